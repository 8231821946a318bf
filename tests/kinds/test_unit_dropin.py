"""The drop-in of a unit: our file to the letter, and what systemd has made of it."""

from dataclasses import replace

import pytest

from jada_configd.core.actions import ReloadUnits, RemoveFile, ReplaceFile, digest
from jada_configd.core.diff import diff
from jada_configd.core.facts import Content, LimitPair
from jada_configd.core.limits import directive, limit_text
from jada_configd.core.model import ABSENT, Change, Drift, Observed
from jada_configd.core.our_files import header
from jada_configd.core.plan import Plan
from jada_configd.core.specs import DropIn
from jada_configd.kinds.unit_dropin import DropInKind
from tests.fake_host import FakeHost, Unit, named
from tests.kinds.worlds import AGENT, LATER, drop_in, policy

KIND = DropInKind()
PATH = drop_in(AGENT)
HEADER = header(policy())
LIMITS: dict[str, LimitPair] = {"nofile": (65536, 1048576), "nproc": (8192, 8192)}
SPEC = DropIn(AGENT, PATH, HEADER, LIMITS, managed=True)
GONE = replace(SPEC, limits={})
TEXT = f"# {HEADER}\n\n[Service]\nLimitNOFILE=65536:1048576\nLimitNPROC=8192\n".encode()


@pytest.fixture
def host() -> FakeHost:
    """A host on which all is as declared."""
    host = FakeHost()
    host.write(PATH, TEXT, mode=0o644, uid=0)
    host.add_unit(Unit(AGENT))
    return host


def look(host: FakeHost, spec: DropIn = SPEC) -> tuple[Observed, Drift, Plan]:
    observed = KIND.observe(spec, host)
    drift = diff(KIND.desired(spec), observed)
    return observed, drift, KIND.plan(spec, drift, observed) if drift else Plan()


def fields(drift: Drift) -> dict[str, tuple[object, object]]:
    return {"/".join(each.field): (each.have, each.want) for each in drift.changes}


def test_our_file_is_what_is_watched() -> None:
    assert KIND.watches(SPEC) == (PATH,)


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        ((5, 6), "5:6"),
        ((5, 5), "5"),
        ((0, 0), "0"),
        ((5, None), "5:infinity"),
        ((None, None), "infinity"),
    ],
)
def test_limits_are_written_as_systemd_writes_them(pair: LimitPair, text: str) -> None:
    assert limit_text(pair) == text
    assert directive("nofile") == "LimitNOFILE"
    assert directive("as") == "LimitAS"


def test_a_drop_in_as_declared_and_read_asks_for_nothing(host: FakeHost) -> None:
    assert not look(host)[1]


def test_on_a_scratch_root_nobody_is_asked_and_nothing_reloaded(host: FakeHost) -> None:
    spec = replace(SPEC, managed=False)
    host.manager_is_gone = True
    assert not look(host, spec)[1]
    host.unlink(PATH)
    assert named(look(host, spec)[2].actions) == ["ReplaceFile"]
    host.write(PATH, TEXT)
    assert look(host, replace(spec, limits={}))[2].actions == (RemoveFile(PATH, digest(TEXT)),)


# ------------------------------------------------------------------------------ the file


def test_a_missing_drop_in_is_made_with_its_directory(host: FakeHost) -> None:
    host.unlink(PATH)
    host.finish_reload()
    _, drift, plan = look(host)
    assert fields(drift) == {
        "header": (ABSENT, HEADER),
        "LimitNOFILE": (ABSENT, "65536:1048576"),
        "LimitNPROC": (ABSENT, "8192"),
        "systemd/LimitNOFILE": ("1024:524288", "65536:1048576"),
        "systemd/LimitNPROC": ("15000", "8192"),
    }
    assert plan.actions == (
        ReplaceFile(PATH, TEXT, 0o644, -1, -1, None, make_directories=True),
        ReloadUnits(),
    )


CHANGED: dict[str, tuple[bytes, set[str]]] = {
    "a value is another": (TEXT.replace(b"8192", b"8193"), {"LimitNPROC"}),
    "a line is gone": (TEXT.replace(b"LimitNPROC=8192\n", b""), {"LimitNPROC"}),
    "a later line says otherwise": (TEXT + b"LimitNPROC=1\n", {"LimitNPROC"}),
    "the header is gone": (TEXT.split(b"\n", 1)[1], {"header"}),
    "the header is another": (TEXT.replace(b"# Written", b"# written"), {"header"}),
    "the header is not the first line": (b"\n" + TEXT, {"header"}),
    "the section is another": (
        TEXT.replace(b"[Service]", b"[Install]"),
        {"LimitNOFILE", "LimitNPROC"},
    ),
    "the section is broken": (
        TEXT.replace(b"[Service]", b"[Service"),
        {"LimitNOFILE", "LimitNPROC"},
    ),
    "it is empty": (b"", {"header", "LimitNOFILE", "LimitNPROC"}),
    "it is no text": (b"\xff\xfe\x00", {"header", "LimitNOFILE", "LimitNPROC"}),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_changed_drop_in_is_written_anew_and_read(host: FakeHost, case: str) -> None:
    text, changed = CHANGED[case]
    host.write(PATH, text)
    _, drift, plan = look(host)
    assert {name for name in fields(drift) if not name.startswith("systemd")} == changed
    assert plan.actions == (
        ReplaceFile(PATH, TEXT, 0o644, 0, 0, digest(text)),
        ReloadUnits(),
    )


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"LimitCORE=0", "LimitCORE"),
        (b"Environment=A=b", "Environment"),
        (b"nonsense", "line 6"),
        (b"[Unit]\nDescription=x", "Unit.Description"),
        (b"ExecStartPre=/bin/rm -rf /", "ExecStartPre"),
    ],
)
def test_what_stands_in_our_file_beside_our_lines_does_not_stay(
    host: FakeHost, line: bytes, name: str
) -> None:
    host.write(PATH, TEXT + line + b"\n")
    host.finish_reload()
    _, drift, plan = look(host)
    assert drift.problem == f"holds what the policy does not name: {name}"
    assert drift.changes == ()
    assert plan.actions == (
        ReplaceFile(PATH, TEXT, 0o644, 0, 0, digest(TEXT + line + b"\n")),
        ReloadUnits(),
    )


def test_comments_and_blank_lines_in_our_file_do_no_harm(host: FakeHost) -> None:
    host.write(PATH, TEXT.replace(b"[Service]", b"; a note\n\n[Service]\n# another"))
    host.finish_reload()
    assert not look(host)[1]


def test_what_cannot_be_read_is_left_to_somebody_else(host: FakeHost) -> None:
    host.blocked[PATH] = f"{PATH} is a directory"
    observed, drift, plan = look(host)
    assert drift.problem == f"{PATH} is a directory"
    assert observed.evidence is None
    host.blocked[PATH] = "/dev/null is a device"
    assert look(host)[1].problem == f"{PATH} is a link to /dev/null, which masks it"
    assert plan.actions == ()


# ------------------------------------------------------------------------------ what systemd has


def test_a_drop_in_that_systemd_has_not_read_is_read(host: FakeHost) -> None:
    host.add_unit(Unit(AGENT))
    host.units[AGENT].loaded, host.units[AGENT].loaded_files = {}, ()
    _, drift, plan = look(host)
    assert set(fields(drift)) == {"systemd/LimitNOFILE", "systemd/LimitNPROC"}
    assert drift.problem is None
    assert plan.actions == (ReloadUnits(),)


def test_a_drop_in_that_systemd_does_not_list_is_not_read_whatever_else_it_says(
    host: FakeHost,
) -> None:
    host.units[AGENT].loaded = {}
    fact = replace(host.unit(AGENT), drop_ins=(), need_daemon_reload=False)
    host.unit = lambda _: fact  # type: ignore[assignment,method-assign]
    assert look(host)[2].actions == (ReloadUnits(),)


def test_a_later_drop_in_that_says_otherwise_is_named_and_waited_for(host: FakeHost) -> None:
    later = drop_in(AGENT, LATER)
    host.write(later, b"[Service]\nLimitNPROC=5\n")
    host.finish_reload()
    _, drift, plan = look(host)
    assert fields(drift) == {"systemd/LimitNPROC": ("5", "8192")}
    assert drift.problem == (
        f"systemd gives LimitNPROC=5; asked: LimitNPROC=5 in {later}:2, which is read after our "
        "drop-in; remedy: take that line out, then `systemctl daemon-reload`"
    )
    assert plan == Plan(waits="whoever set a later drop-in")


def test_a_line_that_systemd_does_not_take_is_told(host: FakeHost) -> None:
    spec = replace(SPEC, limits={"nofile": (65536, 20000)})  # soft over hard
    host.write(PATH, f"# {HEADER}\n\n[Service]\nLimitNOFILE=65536:20000\n".encode())
    host.finish_reload()
    _, drift, plan = look(host, spec)
    assert drift.problem == (
        f"systemd gives LimitNOFILE=1024:524288; asked: LimitNOFILE=65536:20000 in {PATH}:4; why: "
        "systemd passes over it, because its soft limit is above its hard limit"
    )
    assert plan.actions == ()


def test_an_earlier_drop_in_of_somebody_else_does_not_matter(host: FakeHost) -> None:
    host.write(drop_in(AGENT, "override.conf"), b"[Service]\nLimitNPROC=5\n")
    host.finish_reload()
    assert not look(host)[1]


@pytest.mark.parametrize("name", ["somebody.conf", LATER])
def test_an_edit_that_brings_nothing_of_ours_is_told_and_left_pending(
    host: FakeHost, name: str
) -> None:
    host.write(drop_in(AGENT, name), b"[Service]\nEnvironment=A=b\n")
    observed, drift, _ = look(host)
    assert not drift
    assert observed.note == (
        f"the files of {AGENT} have changed since systemd read them; "
        "`systemctl daemon-reload` has it read"
    )


def test_an_edit_that_would_override_ours_is_told_before_it_does(host: FakeHost) -> None:
    later = drop_in(AGENT, LATER)
    host.write(later, b"[Service]\nLimitNPROC=5\n")
    observed, drift, _ = look(host)
    assert not drift
    assert observed.note == (
        f"the files of {AGENT} have changed since systemd read them; "
        f"a `systemctl daemon-reload` would bring LimitNPROC=5 in {later}:2"
    )


def test_units_are_read_again_where_that_brings_ours_whoever_made_the_edit(
    host: FakeHost,
) -> None:
    later = drop_in(AGENT, LATER)
    host.write(later, b"[Service]\nLimitNPROC=5\n")
    host.finish_reload()
    host.write(later, b"[Service]\nLimitNPROC=8192\n")
    _, drift, plan = look(host)
    assert fields(drift) == {"systemd/LimitNPROC": ("5", "8192")}
    assert drift.problem is None
    assert plan.actions == (ReloadUnits(),)


def test_units_are_not_read_again_where_a_later_line_would_still_win(host: FakeHost) -> None:
    later = drop_in(AGENT, LATER)
    host.write(later, b"[Service]\nLimitNPROC=5\n")
    host.finish_reload()
    host.write(drop_in(AGENT, "x.conf"), b"[Service]\nEnvironment=A=b\n")
    _, drift, plan = look(host)
    assert drift.problem is not None
    assert f"{later}:2, which is read after our drop-in" in drift.problem
    assert plan.actions == ()


def test_of_two_limits_the_one_that_a_reload_brings_is_brought_and_the_other_told(
    host: FakeHost,
) -> None:
    later = drop_in(AGENT, LATER)
    host.write(later, b"[Service]\nLimitNPROC=5\nLimitNOFILE=6\n")
    host.finish_reload()
    host.write(later, b"[Service]\nLimitNPROC=5\n")
    _, drift, plan = look(host)
    assert drift.problem is not None
    assert drift.problem.startswith("systemd gives LimitNPROC=5; asked: LimitNPROC=5 in ")
    assert plan.actions == (ReloadUnits(),)


def test_one_of_our_name_elsewhere_masks_ours_and_no_reload_helps(host: FakeHost) -> None:
    masking = f"/etc/systemd/system.control/{AGENT}.d/zz-jada-configd.conf"
    host.units[AGENT].loaded = {"nofile": (1, 2)}
    fact = replace(host.unit(AGENT), drop_ins=(masking,), need_daemon_reload=False)
    host.unit = lambda _: fact  # type: ignore[assignment,method-assign]
    _, drift, plan = look(host)
    assert drift.problem is not None
    assert f"our drop-in is masked by {masking}" in drift.problem
    assert plan.actions == ()


def test_ours_is_known_under_its_own_path_behind_a_link(host: FakeHost) -> None:
    later = drop_in(AGENT, LATER)
    host.write(later, b"[Service]\nLimitNPROC=5\n")
    host.finish_reload()
    content = host.read_file(PATH)
    assert isinstance(content, Content)
    real = "/srv/units/zz-jada-configd.conf"
    read = {PATH: replace(content, target=real)}
    plain_read, fact = host.read_file, replace(host.unit(AGENT), drop_ins=(real, later))
    host.read_file = lambda path: read.get(path) or plain_read(path)  # type: ignore[method-assign]
    host.unit = lambda _: fact  # type: ignore[assignment,method-assign]
    problem = look(host)[1].problem
    assert problem is not None
    assert "is read after our drop-in" in problem


def test_one_that_has_to_go_reads_no_edit_of_somebody_elses(host: FakeHost) -> None:
    host.unlink(PATH)
    host.finish_reload()
    host.write(drop_in(AGENT, LATER), b"[Service]\nLimitNPROC=5\n")
    assert not look(host, GONE)[1]


@pytest.mark.parametrize("load_state", ["masked", "not-found"])
def test_of_a_unit_that_is_not_loaded_only_the_file_counts(host: FakeHost, load_state: str) -> None:
    del host.units[AGENT]
    if load_state == "masked":
        host.add_unit(Unit(AGENT, load_state))
    assert not look(host)[1]
    host.write(PATH, b"")
    assert named(look(host)[2].actions) == ["ReplaceFile", "ReloadUnits"]


# ------------------------------------------------------------------------------ one that has to go


def test_a_drop_in_whose_entry_has_left_the_policy_goes(host: FakeHost) -> None:
    _, drift, plan = look(host, GONE)
    assert drift == Drift(problem="its entry has left the policy")
    assert plan.actions == (RemoveFile(PATH, digest(TEXT)), ReloadUnits())


def test_one_that_has_gone_is_forgotten_by_systemd_too(host: FakeHost) -> None:
    host.unlink(PATH)
    assert look(host, GONE)[2].actions == (ReloadUnits(),)
    host.finish_reload()
    assert not look(host, GONE)[1]


@pytest.mark.parametrize("text", [b"", b"[Service]\nLimitNOFILE=5\n", b"\n" + TEXT])
def test_one_that_is_not_ours_any_more_stays(host: FakeHost, text: bytes) -> None:
    host.write(PATH, text)
    assert not look(host, GONE)[1]


def test_a_change_is_told_field_by_field(host: FakeHost) -> None:
    host.write(PATH, TEXT.replace(b"8192", b"1"))
    assert Change(("LimitNPROC",), "1", "8192") in look(host)[1].changes
