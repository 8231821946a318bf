"""A service that takes corrections up: what it owes, what keeps it, and the one job it gets."""

import pytest

from jada_configd.core.actions import StartJob
from jada_configd.core.diff import diff
from jada_configd.core.facts import Ceiling, Owed
from jada_configd.core.model import Change, Drift, Observed
from jada_configd.core.plan import Plan
from jada_configd.core.specs import Apply, ServiceSpec
from jada_configd.errors import ManagerGone
from jada_configd.kinds.service import ServiceKind
from tests.fake_host import FakeHost, Unit
from tests.kinds.worlds import AGENT, LATER, drop_in, service_spec

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
