"""Worlds with limits of logins: our file, what others say beside it, and who counts in the end."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st

from jada_configd.core.facts import LimitPair
from jada_configd.core.model import Mode
from jada_configd.core.our_files import header
from jada_configd.core.resources.logins import LOGIN_FILE
from jada_configd.core.specs import LimitWord, LoginLimits, LoginSpec
from tests.fake_host import FakeHost
from tests.kinds.worlds import Deed, Row, World, policy, removes, worlds, writes

MAIN: Final = "/etc/security/limits.conf"
LATER: Final = "/etc/security/limits.d/zzz-local.conf"
PASSWD: Final = b"root:x:0:0:root:/root:/bin/bash\nubuntu:x:1000:1000::/home/ubuntu:/bin/bash\n"
GROUP: Final = b"root:x:0:\nubuntu:x:1000:\nadm:x:4:syslog,ubuntu\n"
DOMAINS: Final = ("ubuntu", "@adm", "*", "nobody-here")
HEADER: Final = header(policy())
TEXTS: Final = (
    b"",
    b"ubuntu - nofile 1\n",
    b"# somebody's\n* soft nproc 7\nmallory - maxlogins 5\nubuntu -\n",
    b"ubuntu nofile 7\nnonsense\n\xff\x00\n",
    f"# {HEADER}\n\nubuntu - nofile 99999\nleft-behind - core 1\n@adm hard nproc\n".encode(),
    f"# {HEADER}\n".encode(),
)
# What stands in a file that is read after ours, and what it counts in place of.
OVERRIDES: Final[Mapping[bytes, frozenset[tuple[str, str]]]] = {
    b"": frozenset(),
    b"ubuntu nofile 7\nnonsense\n@adm - nofiles 9\nroot - nofile 9\n": frozenset(),
    b"ubuntu - nofile 77\n": frozenset({("ubuntu", "nofile")}),
    b"* hard nproc 78\n\n@adm soft core 3\n": frozenset({("*", "nproc"), ("@adm", "core")}),
    b"1000: soft nproc 79\n": frozenset({("ubuntu", "nproc")}),
    b"* - priority 2\n": frozenset((each, "priority") for each in DOMAINS),
    b"* -\n": frozenset(),
}
# And in one that is read before it: only who has all limits taken off is beyond us.
EXEMPTIONS: Final[Mapping[bytes, frozenset[str]]] = {
    b"": frozenset(),
    b"* - nofile 5\nubuntu - nofile 6\n@adm - priority 7\n": frozenset(),
    b"ubuntu -\n": frozenset({"ubuntu"}),
    b"@adm -\n": frozenset({"ubuntu", "@adm"}),
}
MODES: st.SearchStrategy[Mode] = st.sampled_from(["enforce"] * 5 + ["observe"])
_WORDS: st.SearchStrategy[LimitWord] = st.sampled_from([4096, 65536, 1024 * 10**6, "infinity"])


@st.composite
def _specs(draw: st.DrawFn) -> tuple[LoginSpec, ...]:
    domains = draw(st.lists(st.sampled_from(DOMAINS), unique=True, min_size=1))
    mode = draw(MODES)
    specs = []
    for line, domain in enumerate(domains):
        limits: dict[str, tuple[LimitWord, LimitWord]] = {}
        for name in draw(st.lists(st.sampled_from(["nofile", "nproc", "core"]), unique=True)):
            words = draw(st.tuples(_WORDS, _WORDS) | st.just(("max", "max")))
            limits[name] = (words[1], words[0]) if _height(words[0]) > _height(words[1]) else words
        if draw(st.booleans()):
            limits["priority"] = (5, 5)
        specs.append(LoginSpec(domain, limits, mode, f"policy.toml:{line}"))
    return tuple(specs)


def _height(word: LimitWord) -> float:
    return float("inf") if isinstance(word, str) else word


@st.composite
def login_worlds(draw: st.DrawFn) -> World:
    """Any world in which a policy has something to say of logins."""
    world = draw(worlds())
    world.policy = replace(world.policy, logins=draw(_specs()))
    host = world.host
    if draw(st.integers(0, 9)) > 0:
        host.make_directory(LOGIN_FILE.rpartition("/")[0], 0, 0)
    if draw(st.integers(0, 9)) > 0:
        host.write("/etc/passwd", PASSWD, mode=0o644, uid=0)
        host.write("/etc/group", GROUP, mode=0o644, uid=0)
    for path, texts in ((LOGIN_FILE, TEXTS), (MAIN, EXEMPTIONS), (LATER, OVERRIDES)):
        if draw(st.booleans()):
            host.write(path, draw(st.sampled_from(list(texts))), mode=0o644, uid=0)
    if draw(st.integers(0, 9)) == 0:
        host.make_directory(LOGIN_FILE.rpartition("/")[0], 0, 0)
        host.files.pop(LOGIN_FILE, None)
        host.blocked[LOGIN_FILE] = f"{LOGIN_FILE} is a FIFO"
    host.told.clear()
    return world


def _lines(host: FakeHost) -> list[str]:
    entry = host.files.get(LOGIN_FILE)
    return entry.data.decode(errors="replace").splitlines() if entry else []


def _word(limit: str, value: int | None) -> str:
    return "unlimited" if value is None else str(value // 1024 if limit == "core" else value)


def _wanted(spec: LoginLimits) -> set[str]:
    lines = set()
    for limit, (soft, hard) in spec.limits.items():
        if limit == "priority":
            lines.add(f"{spec.domain} - priority {hard}")
        else:
            lines.add(f"{spec.domain} soft {limit} {_word(limit, soft)}")
            lines.add(f"{spec.domain} hard {limit} {_word(limit, hard)}")
    return lines


def _holds(world: World, spec: LoginLimits) -> bool:
    lines = _lines(world.host)
    own = [line for line in lines if line.split()[:1] == [spec.domain]]
    if spec.domain in spec.left:
        return not own or lines[0] != f"# {HEADER}"
    return set(own) == _wanted(spec) and _is_within(world, spec) and _counts(world, spec)


def _is_within(world: World, spec: LoginLimits) -> bool:
    """Whether all of it is within reach of a login."""
    for limit, pair in spec.limits.items():
        ceiling = world.host.ceilings.get(limit)
        if (limit == "nofile" and None in pair) or _is_crossed(pair):
            return False
        if ceiling and any(value is None or value > (ceiling.value or 0) for value in pair):
            return False
    return True


def _is_crossed(pair: LimitPair) -> bool:
    soft, hard = pair
    return hard is not None and (soft is None or soft > hard)


def _counts(world: World, spec: LoginLimits) -> bool:
    """Whether no other file has the last word. Without /etc/group, nobody is in a group."""
    files, known = world.host.files, "/etc/passwd" in world.host.files
    if later := files.get(LATER):
        beaten = OVERRIDES.get(later.data, frozenset())
        if not known and b"1000:" in later.data:
            beaten = frozenset()
        if any((spec.domain, limit) in beaten for limit in spec.limits):
            return False
    if main := files.get(MAIN):
        exempt = EXEMPTIONS.get(main.data, frozenset())
        if not known and b"@" in main.data:
            exempt -= {"ubuntu"}
        return spec.domain not in exempt or not spec.limits
    return True


def _can_hold(world: World, spec: LoginLimits) -> bool:
    return LOGIN_FILE not in world.host.blocked and _is_within(world, spec) and _counts(world, spec)


def _races(host: FakeHost, spec: LoginLimits) -> list[Deed]:
    return [writes(LOGIN_FILE, b"ubuntu - nofile 3\n"), removes(LOGIN_FILE)]


LOGIN_ROW: Final = Row(login_worlds(), _holds, _can_hold, _races)
LOGIN_DEEDS: st.SearchStrategy[Any] = st.one_of(
    st.builds(writes, st.just(LOGIN_FILE), st.sampled_from(TEXTS)),
    st.builds(writes, st.just(LATER), st.sampled_from(list(OVERRIDES))),
    st.builds(removes, st.sampled_from([LOGIN_FILE, LATER])),
)
