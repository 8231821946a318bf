"""The limits that a main process really has: within reach, out of reach, refused."""

import pytest

from jada_configd.core.actions import SetProcessLimit
from jada_configd.core.diff import diff
from jada_configd.core.model import Change, Drift, Observed
from jada_configd.core.plan import Plan
from jada_configd.core.seams import Ceiling, LimitPair, LimitValue
from jada_configd.core.specs import ProcessLimits
from jada_configd.kinds.process_limits import ProcessLimitsKind, above
from tests.fake_host import TICK_NS, FakeHost, Unit
from tests.kinds.worlds import AGENT

KIND = ProcessLimitsKind()
SPEC = ProcessLimits(AGENT, {"nofile": (65536, 1048576)})
REASON = "fs.nr_open is 20000"


@pytest.fixture
def host() -> FakeHost:
    """A unit that runs, its process with the limits that systemd gives where nobody says more."""
    host = FakeHost()
    host.add_unit(Unit(AGENT))
    host.start(AGENT)
    return host


def look(host: FakeHost, spec: ProcessLimits = SPEC) -> tuple[Observed, Drift, Plan]:
    observed = KIND.observe(spec, host)
    drift = diff(KIND.desired(spec), observed)
    return observed, drift, KIND.plan(spec, drift, observed) if drift else Plan()


def set_limits(host: FakeHost, limit: str, *pair: LimitValue) -> SetProcessLimit:
    process = host.units[AGENT].process
    assert process is not None
    return SetProcessLimit(process.pid, process.started_ns // TICK_NS, limit, *pair)


def test_no_file_is_watched() -> None:
    assert KIND.watches(SPEC) == ()


@pytest.mark.parametrize(
    ("value", "ceiling", "beyond"),
    [
        (5, None, False),
        (None, None, False),
        (5, 5, False),
        (6, 5, True),
        (None, 5, True),
        (0, 0, False),
    ],
)
def test_infinity_is_above_every_number(
    value: LimitValue, ceiling: LimitValue, *, beyond: bool
) -> None:
    assert above(value, ceiling) == beyond


def test_a_process_with_the_limits_asks_for_nothing(host: FakeHost) -> None:
    host.lower_limit(AGENT, "nofile", (65536, 1048576))
    assert not look(host)[1]


def test_only_named_limits_are_looked_at(host: FakeHost) -> None:
    assert set(look(host)[0].fields) == {("nofile", "soft"), ("nofile", "hard")}


def test_a_wrong_limit_is_set_on_the_very_process(host: FakeHost) -> None:
    _, drift, plan = look(host)
    assert drift.changes == (
        Change(("nofile", "soft"), 1024, 65536),
        Change(("nofile", "hard"), 524288, 1048576),
    )
    assert plan.actions == (set_limits(host, "nofile", 65536, 1048576),)


def test_infinity_is_shown_as_a_policy_writes_it(host: FakeHost) -> None:
    spec = ProcessLimits(AGENT, {"core": (None, None)})
    _, drift, plan = look(host, spec)
    assert drift.changes == (Change(("core", "soft"), 0, "infinity"),)
    assert plan.actions == (set_limits(host, "core", None, None),)


def test_of_several_limits_only_wrong_ones_are_set(host: FakeHost) -> None:
    spec = ProcessLimits(AGENT, {"nproc": (15000, 15000), "nofile": (5, 6), "core": (7, 8)})
    assert look(host, spec)[2].actions == (
        set_limits(host, "nofile", 5, 6),
        set_limits(host, "core", 7, 8),
    )


@pytest.mark.parametrize("state", ["inactive", "failed", "absent"])
def test_where_no_process_runs_nothing_is_held(host: FakeHost, state: str) -> None:
    if state == "absent":
        del host.units[AGENT]
    else:
        host.stop(AGENT, failed=state == "failed")
    observed, drift, _ = look(host)
    assert observed.vacant
    assert not drift


def test_a_process_that_has_gone_since_is_none(host: FakeHost) -> None:
    host.begin_activation(AGENT)
    assert look(host)[0].vacant


# ------------------------------------------------------------------------------ out of reach


def test_a_limit_beyond_the_ceiling_is_told_and_never_clamped(host: FakeHost) -> None:
    host.ceilings["nofile"] = Ceiling(20000, REASON)
    host.crash(AGENT)
    process = host.units[AGENT].process
    assert process is not None
    observed, drift, plan = look(host)
    assert observed.evidence is not None
    assert drift.problem == (
        f"process {process.pid} has nofile 1024:20000 and no restart would give it 1048576: "
        + REASON
    )
    assert plan == Plan(waits="a higher ceiling on this host")


def test_what_is_within_reach_is_set_all_the_same(host: FakeHost) -> None:
    host.ceilings["nofile"] = Ceiling(20000, REASON)
    spec = ProcessLimits(AGENT, {"nofile": (65536, 1048576), "nproc": (5, 6)})
    _, drift, plan = look(host, spec)
    assert drift.problem is not None
    assert plan.actions == (set_limits(host, "nproc", 5, 6),)


@pytest.mark.parametrize(
    ("want", "have", "beyond"),
    [
        ((5, 20000), (1024, 20000), None),
        ((20000, 20000), (1024, 20000), None),
        ((5, 20001), (1024, 20000), "20001"),
        ((5, None), (1024, 20000), "infinity"),
        ((None, None), (1024, 20000), "infinity"),
        # "max" comes to less than the soft limit that is asked for
        ((65536, 20000), (1024, 20000), "65536"),
        # what it has it may keep, though nobody would get it now
        ((5, 30000), (1024, 30000), None),
        ((30000, 30000), (1024, 30000), None),
        ((5, 30001), (1024, 30000), "30001"),
    ],
)
def test_what_is_out_of_reach(
    host: FakeHost, want: LimitPair, have: LimitPair, beyond: str | None
) -> None:
    host.ceilings["nofile"] = Ceiling(20000, REASON)
    host.lower_limit(AGENT, "nofile", have)
    observed, _, plan = look(host, ProcessLimits(AGENT, {"nofile": want}))
    if beyond is None:
        assert observed.problem is None
        assert len(plan.actions) == 1
    else:
        assert observed.problem is not None
        assert f"would give it {beyond}: {REASON}" in observed.problem
        assert plan.actions == ()


# ------------------------------------------------------------------------------ restarts


def test_a_restart_stands_in_only_where_systemd_would_give_the_limit(host: FakeHost) -> None:
    assert look(host)[2].or_restart is None
    host.units[AGENT].loaded = {"nofile": (65536, 1048576)}
    assert look(host)[2].or_restart == AGENT
    host.units[AGENT].loaded = {"nofile": (65536, 65536)}
    assert look(host)[2].or_restart is None


def test_a_restart_stands_in_for_what_it_would_bring_of_several_limits(host: FakeHost) -> None:
    spec = ProcessLimits(AGENT, {"nofile": (5, 6), "nproc": (7, 8)})
    host.units[AGENT].loaded = {"nofile": (5, 6)}
    assert look(host, spec)[2].or_restart == AGENT


def test_a_process_that_does_not_run_its_program_yet_is_waited_for(host: FakeHost) -> None:
    process = host.units[AGENT].process
    assert process is not None
    host.forked.add(process.pid)
    observed, drift, plan = look(host)
    assert drift
    assert observed.unsettled is not None
    assert plan.actions == ()
    assert plan.under_way
