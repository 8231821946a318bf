"""A service that takes corrections up: what it owes, what keeps it, and the one job it gets."""

import json
from dataclasses import replace
from typing import Any

import pytest

from jada_configd.core.actions import ReloadUnits, RemoveFile, ReplaceFile, StartJob, digest
from jada_configd.core.course import Before, Course
from jada_configd.core.diff import diff
from jada_configd.core.facts import Ceiling, Inhibitor, Owed
from jada_configd.core.model import ABSENT, Change, Drift, Observed
from jada_configd.core.plan import Plan
from jada_configd.core.specs import Apply, ServiceSpec
from jada_configd.errors import ManagerGone
from jada_configd.kinds.service import Evidence, ServiceKind
from tests.fake_host import FakeHost, Unit
from tests.kinds.worlds import AGENT, HOME, LATER, ROOT, drop_in, service_spec

KIND = ServiceKind()


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    host.add_unit(Unit(AGENT, can_reload=True))
    host.start(AGENT)
    return host


def owe(host: FakeHost, *, stale: bool = True, reloaded: bool = False) -> None:
    host.ledger.owe(AGENT, Owed(stale, host.now_ns, ("/model",), reloaded))


def look(host: FakeHost, spec: ServiceSpec | None = None) -> tuple[Observed, Drift, Plan]:
    spec = spec or service_spec()
    observed = KIND.observe(spec, host)
    drift = diff(KIND.desired(spec), observed)
    return observed, drift, KIND.plan(spec, drift, observed) if drift else Plan()


def test_no_file_is_watched() -> None:
    assert KIND.watches(service_spec()) == ()


def test_a_unit_that_owes_nothing_is_in_sync(host: FakeHost) -> None:
    observed, drift, _ = look(host)
    assert not drift
    assert observed.note is None


def test_a_debt_is_drift_and_asks_for_a_job(host: FakeHost) -> None:
    owe(host)
    _, drift, plan = look(host)
    assert drift == Drift((Change(("loaded",), have=False, want=True),))
    assert plan.actions == (StartJob(AGENT, "restart"),)


JOBS: list[tuple[Apply, bool, bool, bool, str | None]] = [
    # apply, can reload, stale, reloaded since -> job
    ("none", True, True, False, None),
    ("none", True, False, False, None),
    ("reload", True, False, False, "reload"),
    ("reload", True, True, False, "reload"),
    ("reload", True, True, True, None),
    ("reload", False, True, False, None),
    ("reload", False, False, False, None),
    ("restart", True, False, False, "restart"),
    ("restart", True, True, True, "restart"),
    ("restart", False, True, False, "restart"),
    ("reload-or-restart", True, False, False, "reload"),
    ("reload-or-restart", True, True, False, "restart"),
    ("reload-or-restart", True, True, True, "restart"),
    ("reload-or-restart", False, False, False, "restart"),
    ("reload-or-restart", False, True, False, "restart"),
]


@pytest.mark.parametrize(("apply", "can_reload", "stale", "reloaded", "job"), JOBS)
def test_the_job_that_settles_a_debt(
    host: FakeHost,
    apply: Apply,
    job: str | None,
    *,
    can_reload: bool,
    stale: bool,
    reloaded: bool,
) -> None:
    host.units[AGENT].can_reload = can_reload
    owe(host, stale=stale, reloaded=reloaded)
    plan = look(host, service_spec(apply=apply))[2]
    assert [str(each) for each in plan.actions] == ([f"{job} {AGENT}"] if job else [])
    if job is None:
        assert plan.waits == f"a restart of {AGENT} by hand (apply = {apply!r})"
        assert not plan.under_way


def test_a_job_that_is_in_hand_is_waited_for(host: FakeHost) -> None:
    owe(host)
    host.start_job(StartJob(AGENT, "restart"))
    _, drift, plan = look(host)
    assert drift
    assert plan == Plan(waits=f"the job that {AGENT} has in hand", under_way=True)


def test_a_process_that_has_started_since_has_taken_it_up(host: FakeHost) -> None:
    owe(host)
    host.advance(10_000_000)
    host.crash(AGENT)
    assert not look(host)[1]


# ------------------------------------------------------------------------------ not running


def test_an_inactive_unit_is_said_to_be_so_and_is_no_drift(host: FakeHost) -> None:
    owe(host)
    host.stop(AGENT)
    observed, drift, _ = look(host)
    assert not drift
    assert observed.note == f"{AGENT} is inactive; a correction does not start it"


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ("not-found", f"{AGENT} does not exist"),
        ("masked", f"{AGENT} is masked; systemctl unmask {AGENT} lets it run"),
        (
            "bad-setting",
            f"{AGENT} does not load (bad-setting); systemctl status {AGENT} tells why",
        ),
        ("error", f"{AGENT} does not load (error); systemctl status {AGENT} tells why"),
    ],
)
def test_a_unit_that_does_not_load_is_a_problem_with_a_way_out(
    host: FakeHost, state: str, problem: str
) -> None:
    host.stop(AGENT)
    host.units[AGENT].load_state = state
    observed, drift, plan = look(host)
    assert drift == Drift(problem=problem)
    assert observed.note is None
    assert plan.actions == ()
    assert not plan.under_way


def test_a_unit_that_has_failed_is_a_problem(host: FakeHost) -> None:
    host.stop(AGENT, failed=True)
    _, drift, plan = look(host)
    assert drift.problem == f"{AGENT} has failed (exit-code); systemctl status {AGENT} tells why"
    assert plan == Plan(waits=f"somebody who mends {AGENT}")


def test_a_unit_that_is_started_again_and_again_is_a_problem(host: FakeHost) -> None:
    host.begin_activation(AGENT)
    host.units[AGENT].sub_state = "auto-restart"
    host.units[AGENT].result = "exit-code"
    problem = look(host)[1].problem
    assert problem is not None
    assert problem.startswith(f"{AGENT} has failed (exit-code) and is started again and again")


def test_a_limit_beyond_reach_that_somebody_asks_for_is_a_note(host: FakeHost) -> None:
    host.ceilings["nofile"] = Ceiling(20000, "fs.nr_open is 20000")
    host.write(drop_in(AGENT, LATER), b"[Service]\nLimitNOFILE=30000\n", mode=0o644, uid=0)
    host.finish_reload()
    host.start(AGENT)
    observed, drift, _ = look(host)
    assert not drift
    assert observed.note is not None
    assert "; asked: LimitNOFILE=30000 in " in observed.note
    owe(host)
    assert look(host)[0].note is None, "a debt comes first, and a job is not kept waiting"


def test_without_a_manager_nobody_can_tell(host: FakeHost) -> None:
    host.manager_is_gone = True
    with pytest.raises(ManagerGone):
        look(host)


# ------------------------------------------------------------------------------ a way back

FILE = f"settings:{HOME}"
DROP_IN = f"unit-dropin:{AGENT}"
OURS = b'{"n": 1e2,\n "model": "bad"}'
STOOD = b'{"n": 1e2,\n "model": "sonnet"}'
START = StartJob(AGENT, "start")


def before(resource: str = FILE, path: str = HOME, **other: Any) -> Before:  # noqa: ANN401 - of it
    found = Before(
        resource,
        path,
        existed=True,
        mode=0o640,
        uid=1001,
        gid=1002,
        wrote=digest(OURS),
        values=((("model",), "sonnet"),),
        bytes_digest=digest(STOOD),
    )
    return replace(found, **other)


def goes_back(host: FakeHost, *back_to: Before, stood: bytes | None = STOOD) -> Plan:
    """What is planned for a unit that has to go back to these."""
    host.course_of = lambda _: Course(goes_back=True, back_to=back_to, taken_back="taken back")
    for each in back_to:
        if stood is not None:
            host.kept_before[each.resource] = stood
    return look(host)[2]


def put(path: str, content: bytes, now: bytes | None, mode: int, uid: int, gid: int) -> ReplaceFile:
    drop_in = path.endswith(".conf")
    replaces = None if now is None else digest(now)
    return ReplaceFile(path, content, mode, uid, gid, replaces, make_directories=drop_in)


def test_a_file_as_we_left_it_becomes_what_it_was_with_mode_and_owner(host: FakeHost) -> None:
    host.write(HOME, OURS, mode=0o600)
    plan = goes_back(host, before())
    assert plan.actions == (put(HOME, STOOD, OURS, 0o640, 1001, 1002), START)
    assert plan.way_back


def test_in_one_that_somebody_has_changed_the_values_alone_go_back(host: FakeHost) -> None:
    theirs = b'{"n": 1e2, "new": [1],\n "model": "bad"}'
    host.write(HOME, theirs, mode=0o600, uid=1000)
    plan = goes_back(host, before())
    wanted = theirs.replace(b"bad", b"sonnet")
    assert plan.actions == (put(HOME, wanted, theirs, 0o600, 1000, 1000), START)


def test_one_that_was_put_back_by_somebody_is_left(host: FakeHost) -> None:
    for content in (STOOD, b'{"model": "sonnet"}'):
        host.write(HOME, content)
        assert goes_back(host, before()).actions == (START,)


def test_one_that_was_not_there_is_removed(host: FakeHost) -> None:
    host.write(HOME, OURS)
    absent = before(existed=False, mode=0, uid=-1, gid=-1, values=((("model",), ABSENT),))
    plan = goes_back(host, replace(absent, bytes_digest=""), stood=None)
    assert plan.actions == (RemoveFile(HOME, digest(OURS)), START)


def test_but_not_what_others_have_put_into_it_since(host: FakeHost) -> None:
    theirs = b'{"model": "bad", "new": 1}'
    host.write(HOME, theirs)
    absent = before(existed=False, mode=0, uid=-1, gid=-1, values=((("model",), ABSENT),))
    plan = goes_back(host, replace(absent, bytes_digest=""), stood=None)
    (action, _) = plan.actions
    assert isinstance(action, ReplaceFile)
    assert json.loads(action.content) == {"new": 1}


def test_nothing_old_is_put_where_there_was_no_file(host: FakeHost) -> None:
    """Bytes of an earlier trial may still be kept."""
    host.write(HOME, OURS)
    absent = before(existed=False, mode=0, uid=-1, gid=-1, bytes_digest="")
    assert goes_back(host, absent).actions == (RemoveFile(HOME, digest(OURS)), START)


def test_one_that_somebody_has_removed_meanwhile_comes_back(host: FakeHost) -> None:
    host.make_directory(HOME.rpartition("/")[0])
    plan = goes_back(host, before())
    assert plan.actions == (put(HOME, STOOD, None, 0o640, 1001, 1002), START)
    absent = before(existed=False, mode=0, uid=-1, gid=-1)
    host.kept_before.clear()
    assert goes_back(host, absent, stood=None).actions == (START,)


def test_broken_content_comes_back_as_it_was(host: FakeHost) -> None:
    host.write(HOME, OURS)
    broken = b'{"model": '
    whole = before(whole=True, values=(), bytes_digest=digest(broken))
    plan = goes_back(host, whole, stood=broken)
    assert plan.actions == (put(HOME, broken, OURS, 0o640, 1001, 1002), START)


@pytest.mark.parametrize("stood", [None, b"{}"])
def test_where_the_bytes_are_lost_the_values_go_back(host: FakeHost, stood: bytes | None) -> None:
    """Or were not kept, the disk being full, and others are there."""
    host.write(HOME, OURS, mode=0o600, uid=1000)
    plan = goes_back(host, before(), stood=stood)
    wanted = OURS.replace(b"bad", b"sonnet")
    assert plan.actions == (put(HOME, wanted, OURS, 0o600, 1000, 1000), START)


@pytest.mark.parametrize("stood", [None, b"{}"])
def test_where_there_is_nothing_to_go_back_to_the_unit_is_started(
    host: FakeHost, stood: bytes | None
) -> None:
    host.write(HOME, OURS)
    assert goes_back(host, before(whole=True, values=()), stood=stood).actions == (START,)


def test_a_drop_in_comes_back_with_its_directory_and_systemd_is_told(host: FakeHost) -> None:
    path, was = drop_in(AGENT), b"[Service]\nLimitNOFILE=4096\n"
    owner = {"mode": 0o644, "uid": 0, "gid": 0, "values": (), "whole": True}
    stood = before(DROP_IN, path, **owner, wrote="", bytes_digest=digest(was))
    plan = goes_back(host, stood, stood=was)
    back = put(path, was, None, 0o644, 0, 0)
    assert plan.actions == (back, ReloadUnits(), START)


def test_a_drop_in_that_was_not_there_goes_and_systemd_is_told(host: FakeHost) -> None:
    path, ours = drop_in(AGENT), b"[Service]\nLimitNOFILE=64\n"
    host.write(path, ours, mode=0o644, uid=0)
    absent = before(DROP_IN, path, existed=False, mode=0, uid=-1, gid=-1, values=(), whole=True)
    plan = goes_back(host, replace(absent, wrote=digest(ours), bytes_digest=""), stood=None)
    assert plan.actions == (RemoveFile(path, digest(ours)), ReloadUnits(), START)


def test_all_files_go_back_in_one_batch(host: FakeHost) -> None:
    host.write(HOME, OURS)
    host.write(ROOT, OURS)
    plan = goes_back(host, before(), before(f"settings:{ROOT}", ROOT))
    assert [str(each) for each in plan.actions] == [
        f"replace {HOME}",
        f"replace {ROOT}",
        f"start {AGENT}",
    ]


def test_a_file_that_cannot_be_read_is_waited_for(host: FakeHost) -> None:
    host.write(HOME, OURS)
    host.blocked[HOME] = f"{HOME} may not be read"
    assert goes_back(host, before()) == Plan(waits=f"a readable {HOME}", way_back=True)


def test_it_goes_back_whatever_it_owes_and_whatever_job_it_has(host: FakeHost) -> None:
    host.write(HOME, OURS)
    owe(host)
    host.start_job(StartJob(AGENT, "restart"))
    host.course_of = lambda _: Course(goes_back=True, back_to=(before(),))
    host.kept_before[FILE] = STOOD
    plan = look(host)[2]
    assert plan.actions[-1] == START


# ------------------------------------------------------------------------------ how it does


def test_what_it_waits_for_ends_by_itself(host: FakeHost) -> None:
    host.course_of = lambda _: Course(awaits=f"{AGENT} to be healthy for 5 s")
    _, drift, plan = look(host)
    assert drift == Drift((Change(("healthy",), have=False, want=True),))
    assert plan == Plan(waits=f"{AGENT} to be healthy for 5 s", under_way=True)


def test_a_new_debt_comes_before_what_it_waits_for(host: FakeHost) -> None:
    owe(host)
    host.course_of = lambda _: Course(awaits=f"{AGENT} to be healthy for 5 s")
    assert look(host)[2].actions == (StartJob(AGENT, "restart"),)


def test_how_it_did_before_is_asked_first(host: FakeHost) -> None:
    owe(host)
    host.course_of = lambda _: Course(asks=True)
    plan = look(host)[2]
    assert plan == Plan(waits=f"word of how {AGENT} does before the change", under_way=True)


@pytest.mark.parametrize(
    ("course", "problem", "degrades"),
    [
        (Course(ailment="it ails"), "it ails", False),
        (Course(taken_back="taken back"), "taken back", True),
        (Course(in_place="in place"), "in place", True),
        (
            Course(ailment="it ails", taken_back="taken back", in_place="in place"),
            "taken back; in place; it ails",
            True,
        ),
    ],
)
def test_what_is_wrong_with_it_is_said_in_one_sentence_each(
    host: FakeHost, course: Course, problem: str, *, degrades: bool
) -> None:
    host.course_of = lambda _: course
    observed, drift, plan = look(host)
    assert (observed.problem, observed.degrades) == (problem, degrades)
    assert drift
    assert plan.actions == ()


# ------------------------------------------------------------------------------ busy


def busy_of(host: FakeHost, spec: ServiceSpec) -> str | None:
    evidence = look(host, spec)[0].evidence
    assert isinstance(evidence, Evidence)
    return evidence.busy


def test_the_file_that_says_busy_is_watched() -> None:
    assert KIND.watches(service_spec(busy="/run/busy")) == ("/run/busy",)
    assert KIND.watches(service_spec(busy=("/is-busy",))) == ()


def test_a_file_says_busy_for_as_long_as_it_exists(host: FakeHost) -> None:
    owe(host)
    spec = service_spec(busy="/run/busy")
    assert busy_of(host, spec) is None
    host.write("/run/busy", b"")
    assert busy_of(host, spec) == "/run/busy exists"
    host.unlink("/run/busy")
    host.make_directory("/run/busy")
    assert busy_of(host, spec) == "/run/busy exists"


def test_so_does_a_command_and_an_inhibitor(host: FakeHost) -> None:
    owe(host)
    host.inhibiting[AGENT] = (Inhibitor(77, "agent", "a task"),)
    assert busy_of(host, service_spec()) == "process 77 (agent) holds off a shutdown: a task"
    host.course_of = lambda _: Course(busy="its busy command says so")
    assert busy_of(host, service_spec(busy=("/is-busy",))) == "its busy command says so"


def test_nobody_looks_where_nothing_is_owed(host: FakeHost) -> None:
    host.write("/run/busy", b"")
    assert busy_of(host, service_spec(busy="/run/busy")) is None
