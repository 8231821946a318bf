"""Limits of logins: our file to the letter, whose lines count in its place, what is left out."""

from dataclasses import replace

import pytest

from jada_configd.core.actions import RemoveFile, ReplaceFile, digest
from jada_configd.core.diff import diff
from jada_configd.core.facts import Ceiling
from jada_configd.core.model import ABSENT, Drift, Observed
from jada_configd.core.our_files import header
from jada_configd.core.plan import Plan, ordered
from jada_configd.core.resources import Scope, resolve
from jada_configd.core.resources.logins import LOGIN_FILE
from jada_configd.core.specs import LimitWord, LoginLimits, LoginSpec, Policy
from jada_configd.kinds.login_limits import LoginLimitsKind
from tests.fake_host import SCOPE, UNITS, FakeHost
from tests.kinds.login_worlds import GROUP, HEADER, LATER, MAIN, PASSWD
from tests.kinds.worlds import policy, service_spec

KIND = LoginLimitsKind()
TEXT = (
    f"# {HEADER}\n\n"
    "* soft core 1\n* hard core unlimited\n* - priority 5\n"
    "ubuntu soft nofile 1024\nubuntu hard nofile 65536\nubuntu - maxlogins 4\n"
).encode()


def login(domain: str, **limits: tuple[LimitWord, LimitWord]) -> LoginSpec:
    return LoginSpec(domain, limits, "enforce", "policy.toml:9")


UBUNTU = login("ubuntu", nofile=(1024, 65536), maxlogins=(4, 4))
ALL = login("*", core=(1024, "infinity"), priority=(5, 5))


def held(*logins: LoginSpec) -> Policy:
    return replace(policy(), logins=logins or (UBUNTU, ALL))


@pytest.fixture
def host() -> FakeHost:
    """A host on which all is as declared."""
    host = FakeHost()
    host.write(LOGIN_FILE, TEXT, mode=0o644, uid=0)
    host.write("/etc/passwd", PASSWD, mode=0o644, uid=0)
    host.write("/etc/group", GROUP, mode=0o644, uid=0)
    host.ceilings["nofile"] = Ceiling(1048576, "fs.nr_open is 1048576")
    return host


def host_with(text: bytes) -> FakeHost:
    host = FakeHost()
    host.write(LOGIN_FILE, text)
    return host


def look(
    host: FakeHost, made: Policy | None = None, scope: Scope = SCOPE
) -> dict[str, tuple[Observed, Drift, Plan]]:
    found = {}
    for resource in resolve(made or held(), host, scope):
        spec = resource.spec
        if isinstance(spec, LoginLimits):
            observed = KIND.observe(spec, host)
            drift = diff(KIND.desired(spec), observed)
            plan = KIND.plan(spec, drift, observed) if drift else Plan()
            found[resource.id.name] = observed, drift, plan
    return found


def wrong(drift: Drift) -> dict[str, tuple[object, object]]:
    return {"/".join(each.field): (each.have, each.want) for each in drift.changes}


def test_all_that_pam_limits_reads_is_watched(host: FakeHost) -> None:
    host.write(LATER, b"", uid=0)
    (spec, *_) = [each.spec for each in resolve(held(), host, SCOPE)]
    assert KIND.watches(spec) == (LOGIN_FILE, MAIN, LATER, "/etc/security/limits.d/*.conf")  # type: ignore[arg-type]


def test_a_file_as_declared_asks_for_nothing(host: FakeHost) -> None:
    for _, drift, plan in look(host).values():
        assert not drift
        assert plan.actions == ()


def test_a_missing_file_is_made_once_for_all_domains(host: FakeHost) -> None:
    host.unlink(LOGIN_FILE)
    found = look(host)
    assert wrong(found["ubuntu"][1]) == {
        "header": (ABSENT, HEADER),
        "nofile/soft": (ABSENT, 1024),
        "nofile/hard": (ABSENT, 65536),
        "maxlogins": (ABSENT, 4),
    }
    assert wrong(found["*"][1]) == {
        "core/soft": (ABSENT, 1024),
        "core/hard": (ABSENT, "infinity"),
        "priority": (ABSENT, 5),
    }
    made = ReplaceFile(LOGIN_FILE, TEXT, 0o644, -1, -1, None, make_directories=True)
    plans = {each.id: found[each.id.name][2] for each in resolve(held(), host, SCOPE)}
    assert [action for action, _ in ordered(plans)] == [made]


CHANGED: dict[str, tuple[bytes, str, set[str]]] = {
    "a value is another": (TEXT.replace(b"65536", b"9"), "ubuntu", {"nofile/hard"}),
    "a later line says otherwise": (
        TEXT + b"ubuntu - nofile 9\n",
        "ubuntu",
        {"nofile/soft", "nofile/hard"},
    ),
    "a line is gone": (TEXT.replace(b"* - priority 5\n", b""), "*", {"priority"}),
    "the header is gone": (TEXT.split(b"\n", 1)[1], "ubuntu", {"header"}),
    "it is empty": (b"", "*", {"core/soft", "core/hard", "priority"}),
}


@pytest.mark.parametrize("case", CHANGED)
def test_what_is_changed_in_it_is_written_anew(host: FakeHost, case: str) -> None:
    text, domain, changed = CHANGED[case]
    host.write(LOGIN_FILE, text)
    _, drift, plan = look(host)[domain]
    assert set(wrong(drift)) == changed
    assert plan.actions == (ReplaceFile(LOGIN_FILE, TEXT, 0o644, 0, 0, digest(text)),)


@pytest.mark.parametrize(
    ("line", "domain"),
    [
        (b"nonsense", "ubuntu"),
        (b"mallory hard nofile 9\xff", "ubuntu"),
        (b"ubuntu -", "ubuntu"),
        (b"ubuntu hard nproc 9", "ubuntu"),
        (b"* hard nproc 9", "*"),
        (b"* hard nproc", "ubuntu"),
    ],
)
def test_what_stands_in_it_beside_our_lines_does_not_stay(
    host: FakeHost, line: bytes, domain: str
) -> None:
    (spec, *_) = resolve(held(), host, SCOPE)
    host.write(LOGIN_FILE, TEXT + line + b"\n")
    assert isinstance(spec.spec, LoginLimits)
    for resource in resolve(held(), host, SCOPE):
        assert isinstance(resource.spec, LoginLimits)
        known = replace(resource.spec, left=())  # as it was before somebody wrote that
        observed = KIND.observe(known, host)
        is_told = observed.problem == "holds what the policy does not name: line 9"
        assert is_told == (resource.id.name == domain)
        if is_told:
            plan = KIND.plan(known, Drift((), observed.problem), observed)
            assert [each.content for each in plan.actions if isinstance(each, ReplaceFile)] == [
                TEXT
            ]


def test_what_left_the_policy_leaves_the_file_and_the_last_takes_it_along(host: FakeHost) -> None:
    found = look(host, held(ALL))
    assert not found["*"][1]
    _, drift, plan = found["ubuntu"]
    assert drift.problem == "its entry has left the policy"
    (action,) = plan.actions
    assert isinstance(action, ReplaceFile)
    assert action.content == TEXT.split(b"ubuntu")[0]
    none = look(host, policy())
    gone = (RemoveFile(LOGIN_FILE, digest(TEXT)),)
    assert {domain: plan.actions for domain, (_, _, plan) in none.items()} == {
        "ubuntu": gone,
        "*": gone,
    }


def test_a_file_of_another_policy_or_of_nobody_is_not_taken_for_one_left_behind(
    host: FakeHost,
) -> None:
    for text in (b"ubuntu - nofile 5\n", TEXT.replace(b"policy.toml", b"other.toml")):
        host.write(LOGIN_FILE, text)
        assert look(host, policy()) == {}
    (left, *_) = resolve(policy(), host_with(TEXT), SCOPE)
    assert isinstance(left.spec, LoginLimits)
    host.write(LOGIN_FILE, b"ubuntu - nofile 5\n* - core 0\n")  # meanwhile
    assert not diff(KIND.desired(left.spec), KIND.observe(left.spec, host))


def test_a_file_of_ours_with_nothing_in_it_goes(host: FakeHost) -> None:
    text = f"# {HEADER}\n".encode()
    host.write(LOGIN_FILE, text)
    gone = (RemoveFile(LOGIN_FILE, digest(text)),)
    assert [plan.actions for _, _, plan in look(host, policy()).values()] == [gone]
    made = held(login("ubuntu", nofile=(2000000, 2000000)))
    assert look(host, made)["ubuntu"][2].actions == gone


def test_a_users_own_service_has_no_part_in_it(host: FakeHost) -> None:
    assert look(host, held(), Scope(UNITS, managed=True, user=True)) == {}


def test_what_is_no_file_is_left_alone(host: FakeHost) -> None:
    host.unlink(LOGIN_FILE)
    host.blocked[LOGIN_FILE] = f"{LOGIN_FILE} is a FIFO"
    observed, _, plan = look(host)["ubuntu"]
    assert (observed.problem, observed.evidence) == (f"{LOGIN_FILE} is a FIFO", None)
    host.blocked[LOGIN_FILE] = "/dev/null is a device"
    assert look(host)["ubuntu"][0].problem == f"{LOGIN_FILE} is a link to /dev/null, which masks it"
    assert plan.actions == ()


# ------------------------------------------------------------------------------ out of reach

BEYOND = login("ubuntu", nofile=(1024, 2000000), nproc=(64, 64))


def test_what_no_login_can_get_is_left_out_and_told(host: FakeHost) -> None:
    made = held(BEYOND)
    _, drift, plan = look(host, made)["ubuntu"]
    (action,) = plan.actions
    assert isinstance(action, ReplaceFile)
    assert action.content == f"# {HEADER}\n\nubuntu soft nproc 64\nubuntu hard nproc 64\n".encode()
    host.replace_file(action)
    _, drift, plan = look(host, made)["ubuntu"]
    assert wrong(drift) == {"nofile/soft": (ABSENT, 1024), "nofile/hard": (ABSENT, 2000000)}
    assert drift.problem == (
        "no login can get nofile 1024:2000000 here, and it might be refused over it, so it is left "
        "out: fs.nr_open is 1048576"
    )
    assert plan == Plan(waits="a higher ceiling")


def test_what_was_written_before_the_ceiling_sank_is_taken_out(host: FakeHost) -> None:
    made = held(login("ubuntu", nofile=(5000, 5000)))
    text = f"# {HEADER}\n\nubuntu soft nofile 5000\nubuntu hard nofile 5000\n".encode()
    host.write(LOGIN_FILE, text)
    assert not look(host, made)["ubuntu"][1]
    host.ceilings["nofile"] = Ceiling(4000, "fs.nr_open is 4000")
    assert look(host, made)["ubuntu"][2].actions == (RemoveFile(LOGIN_FILE, digest(text)),)
    host.unlink(LOGIN_FILE)
    assert look(host, made)["ubuntu"][2].actions == ()


@pytest.mark.parametrize(
    ("limit", "most", "line"),
    [
        ("nofile", 1048576, "1048576"),
        ("memlock", 8388608, "8192"),
        ("memlock", 8389000, "8192"),
        ("memlock", None, "unlimited"),
        ("nice", None, "-20"),
        ("nice", 30, "-10"),
        ("cpu", 100, "1"),
    ],
)
def test_the_most_that_a_login_gets_is_what_the_host_gives(
    host: FakeHost, limit: str, most: int | None, line: str
) -> None:
    host.ceilings[limit] = Ceiling(most, "a reason")
    if most is None:
        del host.ceilings[limit]
    spec = LoginSpec("ubuntu", {limit: ("max", "max")}, "enforce", "policy.toml:9")
    (action,) = look(host, held(spec))["ubuntu"][2].actions
    assert isinstance(action, ReplaceFile)
    assert action.content.decode().split("\n\n")[1] == (
        f"ubuntu soft {limit} {line}\nubuntu hard {limit} {line}\n"
    )


def test_a_soft_limit_above_what_max_comes_to_is_left_out(host: FakeHost) -> None:
    made = held(login("ubuntu", nproc=(5000, "max")))
    host.ceilings["nproc"] = Ceiling(4000, "a reason")
    host.unlink(LOGIN_FILE)
    observed, _, plan = look(host, made)["ubuntu"]
    assert "no login can get nproc 5000:4000 here" in (observed.problem or "")
    assert plan.actions == ()


def test_nofile_is_never_written_without_a_number(host: FakeHost) -> None:
    del host.ceilings["nofile"]
    _, drift, plan = look(host, held(login("ubuntu", nofile=("max", "max"))))["ubuntu"]
    assert plan.actions == (RemoveFile(LOGIN_FILE, digest(TEXT)),)
    assert wrong(drift)["nofile/hard"] == (65536, "infinity")


def test_on_a_scratch_root_nobody_knows_what_is_within_reach(host: FakeHost) -> None:
    scope = Scope(UNITS, managed=False)
    (action,) = look(host, held(BEYOND), scope)["ubuntu"][2].actions
    assert isinstance(action, ReplaceFile)
    assert b"ubuntu hard nofile 2000000\n" in action.content


# ------------------------------------------------------------------------------ other files


@pytest.mark.parametrize(
    ("path", "text", "problem"),
    [
        (LATER, "# x\n\nubuntu - nofile 7", f"{LATER}:3 sets nofile for ubuntu after us"),
        (LATER, "ubuntu soft nofile 7", f"{LATER}:1 sets nofile for ubuntu after us"),
        (LATER, ":1000 - nofile 7", f"{LATER}:1 sets nofile for :1000 after us"),
        (LATER, "ubuntu - maxsyslogins 7", f"{LATER}:1 sets maxsyslogins for ubuntu after us"),
        (LATER, "ubuntu - maxsyslogins 4", f"{LATER}:1 sets maxsyslogins for ubuntu after us"),
        (LATER, "@adm -", f"{LATER}:1 takes all limits off @adm"),
        (MAIN, "ubuntu -", f"{MAIN}:1 takes all limits off ubuntu"),
        (
            LATER,
            "ubuntu - nofile 7\nubuntu - nofile 8",
            f"{LATER}:1 sets nofile for ubuntu after us (and 1 more line)",
        ),
        (LATER, "ubuntu soft nofile 1024\nubuntu hard nofile 65536", None),
        (LATER, "@adm - nofile 7\n* - nofile 7\neve - nofile 7\n1001: - nofile 7", None),
        (LATER, "ubuntu - nofiles 7\nubuntu - nproc 7\nubuntu nofile 7", None),
        (MAIN, "ubuntu - nofile 7", None),
        ("/etc/security/limits.d/90-nproc.conf", "ubuntu - nofile 7", None),
        ("/etc/security/limits.d/zzz.conf.rpmsave", "ubuntu - nofile 7", None),
    ],
)
def test_a_line_that_counts_in_place_of_a_users_is_named(
    host: FakeHost, path: str, text: str, problem: str | None
) -> None:
    host.write(path, text.encode(), uid=0)
    observed, drift, plan = look(host)["ubuntu"]
    assert (observed.problem, drift.changes, plan.actions) == (problem, (), ())


@pytest.mark.parametrize(
    ("path", "text", "problem", "note"),
    [
        (LATER, "* hard core 7", f"{LATER}:1 sets core for * after us", None),
        (LATER, "* - priority 7", f"{LATER}:1 sets priority for * after us", None),
        (
            LATER,
            "@adm - core 7",
            None,
            f"{LATER}:1 sets core for @adm, which counts there in place of this",
        ),
        (
            MAIN,
            "eve -\nroot hard core 0",
            None,
            f"{MAIN}:1 exempts eve, which counts there in place of this (and 1 more line)",
        ),
        (MAIN, "* - core 7\n@adm - priority 3", None, None),
    ],
)
def test_a_line_that_says_more_of_some_is_told_without_being_drift(
    host: FakeHost, path: str, text: str, problem: str | None, note: str | None
) -> None:
    host.write(path, text.encode(), uid=0)
    observed, _, plan = look(host, held(login("*", core=(1024, "infinity"), priority=(5, 5))))["*"]
    assert (observed.problem, plan.actions) == (problem, ())
    if problem is None:
        expected = note or "login limits never reach services"
        assert (observed.note or "").startswith(expected)


def test_what_cannot_be_read_may_say_otherwise(host: FakeHost) -> None:
    host.blocked[MAIN] = f"{MAIN} is a FIFO"
    assert f"{MAIN} is a FIFO, and may say otherwise" in (look(host)["ubuntu"][0].note or "")


# ------------------------------------------------------------------------------ notes


@pytest.mark.parametrize(
    ("domain", "note"),
    [
        ("stranger", "stranger does not stand in /etc/passwd"),
        ("@strangers", "strangers does not stand in /etc/group"),
    ],
)
def test_who_is_not_there_is_told_and_no_drift(host: FakeHost, domain: str, note: str) -> None:
    made = held(login(domain, maxlogins=(4, 4)))
    host.write(LOGIN_FILE, f"# {HEADER}\n\n{domain} - maxlogins 4\n".encode())
    observed, drift, _ = look(host, made)[domain]
    assert not drift
    assert observed.note == note


def test_what_login_limits_never_reach_is_told_until_the_services_have_their_own(
    host: FakeHost,
) -> None:
    note = look(host)["ubuntu"][0].note
    assert note == 'login limits never reach services; service."UNIT".limits does'
    one, other = service_spec("a.service"), service_spec("b.service")
    reached = replace(other, limits={"nofile": (1, 1)})
    made = replace(held(), services=(one, reached))
    note = look(host, made)["ubuntu"][0].note
    assert note == 'login limits never reach services; service."a.service".limits does'
    assert look(host, replace(held(), services=(reached,)))["ubuntu"][0].note is None


def test_the_header_is_that_of_every_file_of_ours() -> None:
    assert header(policy()) == HEADER
