"""The limits that processes of a unit really have: within reach, out of reach, left alone."""

from dataclasses import replace

import pytest

from jada_configd.core.actions import SetProcessLimit
from jada_configd.core.diff import diff
from jada_configd.core.facts import Ceiling, LimitPair, LimitValue
from jada_configd.core.limits import above
from jada_configd.core.model import Change, Drift, Observed
from jada_configd.core.plan import Plan
from jada_configd.core.specs import ProcessLimits
from jada_configd.kinds.process_limits import ProcessLimitsKind
from tests.fake_host import SECOND_NS, TICK_NS, UNITS, FakeHost, Process, Unit
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


def set_limits(
    host: FakeHost, limit: str, *pair: LimitValue, of: Process | None = None
) -> SetProcessLimit:
    process = of or host.units[AGENT].process
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
    named = {("nofile", "soft"), ("nofile", "hard")}
    assert set(look(host)[0].fields) == named | {("others", *each) for each in named}


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
        f"process {process.pid} (agent) has nofile 1024:20000 "
        f"and no restart would give it 1048576: {REASON}"
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


# ------------------------------------------------------------------------------ other processes

ALL = replace(SPEC, live="all")
NONE = replace(SPEC, live="none")
OTHERS = Change(("others", "nofile", "soft"), 256, 65536)


@pytest.fixture
def right(host: FakeHost) -> FakeHost:
    """The main process has its limits."""
    host.lower_limit(AGENT, "nofile", (65536, 1048576))
    host.advance(SECOND_NS)
    return host


def child(host: FakeHost, *pair: LimitValue, name: str = "worker") -> Process:
    """Another process, which has set limits of its own."""
    process = host.fork(AGENT, name)
    soft, hard = pair
    host.lower_limit(AGENT, "nofile", (soft, hard), pid=process.pid)
    host.advance(SECOND_NS)
    return process


def test_others_that_have_the_limits_ask_for_nothing(right: FakeHost) -> None:
    right.fork(AGENT)
    for spec in (SPEC, ALL, NONE):
        assert not look(right, spec)[1]


def test_a_child_that_lowers_its_own_limit_is_told_and_left_by_default(right: FakeHost) -> None:
    process = child(right, 256, 1048576)
    observed, drift, plan = look(right)
    assert drift.changes == (OTHERS,)
    assert drift.problem == (
        f"process {process.pid} (worker) has nofile 256:1048576 instead of 65536:1048576; "
        'live = "main" leaves that till it starts anew'
    )
    assert observed.evidence is not None
    assert plan.actions == ()
    assert plan.or_restart is None


def test_where_all_are_changed_the_child_is_the_main_process_is_not_touched(
    right: FakeHost,
) -> None:
    process = child(right, 256, 1048576)
    _, drift, plan = look(right, ALL)
    assert drift == Drift((OTHERS,))
    assert plan.actions == (set_limits(right, "nofile", 65536, 1048576, of=process),)


def test_where_none_is_changed_the_main_process_is_left_too(host: FakeHost) -> None:
    host.units[AGENT].loaded = {"nofile": (65536, 1048576)}
    process = host.units[AGENT].process
    assert process is not None
    _, drift, plan = look(host, NONE)
    assert drift.changes == (
        Change(("nofile", "soft"), 1024, 65536),
        Change(("nofile", "hard"), 524288, 1048576),
    )
    assert drift.problem == (
        f"process {process.pid} (agent) has nofile 1024:524288 instead of 65536:1048576; "
        'live = "none" leaves that till it starts anew'
    )
    assert plan.actions == ()
    assert plan.or_restart is None


def test_the_main_process_is_set_while_the_others_are_left(host: FakeHost) -> None:
    host.fork(AGENT)
    _, drift, plan = look(host)
    assert plan.actions == (set_limits(host, "nofile", 65536, 1048576),)
    assert [change.field[0] for change in drift.changes] == ["nofile"] * 2 + ["others"] * 2


@pytest.mark.parametrize(
    ("pairs", "have"),
    [
        ([(256, 1048576)], {"soft": 256}),
        ([(256, 1048576), (256, 1048576)], {"soft": 256}),
        ([(512, 1048576), (256, 4096)], {"soft": [256, 512], "hard": 4096}),
        ([(None, None), (256, None)], {"soft": [256, "infinity"], "hard": "infinity"}),
        ([(65536, 65536)], {"hard": 65536}),
    ],
)
def test_wrong_values_of_others_are_told_once_each_in_order(
    right: FakeHost, pairs: list[LimitPair], have: dict[str, object]
) -> None:
    for pair in pairs:
        child(right, *pair)
    _, drift, _ = look(right, ALL)
    assert {change.field: change.have for change in drift.changes} == {
        ("others", "nofile", side): value for side, value in have.items()
    }


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, ""),
        (2, ", and so it is with one more process"),
        (3, ", and so it is with 2 or more other processes"),
        (10, ", and so it is with 2 or more other processes"),
        (11, ", and so it is with 10 or more other processes"),
        (1001, ", and so it is with 1,000 or more other processes"),
    ],
)
def test_of_many_the_oldest_is_named_and_roughly_how_many_more(
    right: FakeHost, count: int, words: str
) -> None:
    first = child(right, 256, 1048576)
    unit = right.units[AGENT]
    unit.others += tuple(
        replace(unit.others[0], pid=5000 + each, started_ns=unit.others[0].started_ns + SECOND_NS)
        for each in range(count - 1)
    )
    problem = look(right)[0].problem
    assert problem is not None
    assert problem.startswith(f"process {first.pid} (worker) has")
    assert problem.endswith(f"starts anew{words}")


def test_what_is_said_stays_the_same_while_others_come_and_go(right: FakeHost) -> None:
    child(right, 256, 1048576)
    several = [child(right, 256, 1048576) for _ in range(12)]
    before = look(right)[1]
    right.end(AGENT, several[3].pid)
    child(right, 256, 1048576)
    child(right, 256, 1048576)
    assert look(right)[1] == before


def test_others_beyond_the_ceiling_are_told_with_what_is_in_the_way(host: FakeHost) -> None:
    host.ceilings["nofile"] = Ceiling(20000, REASON)
    host.crash(AGENT)
    host.advance(SECOND_NS)
    child(host, 64, 64)
    for spec in (SPEC, ALL, NONE):
        observed, _, plan = look(host, spec)
        assert observed.problem is not None
        assert observed.problem.endswith(f"{REASON}, and so it is with one more process")
        assert plan == Plan(waits="a higher ceiling on this host")


def test_where_the_kernel_refuses_no_restart_is_made_for_what_a_child_set_itself(
    right: FakeHost,
) -> None:
    """The main process has it, so a new child would begin with it, and set it again."""
    child(right, 256, 4096)
    right.units[AGENT].loaded = {"nofile": (65536, 1048576)}
    _, _, plan = look(right, ALL)
    assert plan.actions
    assert plan.or_restart is None


def test_where_the_main_process_lacks_it_too_a_restart_brings_it_to_all(host: FakeHost) -> None:
    host.fork(AGENT)
    host.units[AGENT].loaded = {"nofile": (65536, 1048576)}
    _, _, plan = look(host, ALL)
    assert len(plan.actions) == 2
    assert plan.or_restart == AGENT


def test_what_is_left_of_a_unit_that_has_no_main_process_is_held(right: FakeHost) -> None:
    process = child(right, 256, 1048576)
    right.units[AGENT].process = None
    observed, drift, plan = look(right, ALL)
    assert not observed.vacant
    assert drift.changes == (OTHERS,)
    assert plan.actions == (set_limits(right, "nofile", 65536, 1048576, of=process),)


def test_what_is_about_to_end_with_its_unit_is_nobodys_business(right: FakeHost) -> None:
    child(right, 256, 1048576)
    right.units[AGENT].active_state = "deactivating"
    assert not look(right)[1]


def test_another_process_that_is_only_forked_is_waited_for(right: FakeHost) -> None:
    process = child(right, 256, 1048576)
    right.forked.add(process.pid)
    observed, drift, plan = look(right, ALL)
    assert drift
    assert observed.unsettled == f"{process.pid}:{process.started_ns // TICK_NS}"
    assert plan == Plan(waits=f"process {process.pid} to run its program", under_way=True)


def test_who_runs_is_set_while_another_is_only_forked(right: FakeHost) -> None:
    forked, runs = child(right, 256, 1048576), child(right, 256, 1048576)
    right.forked.add(forked.pid)
    assert look(right, ALL)[2].actions == (set_limits(right, "nofile", 65536, 1048576, of=runs),)


# ------------------------------------------------------------------------------ what is in use


@pytest.mark.parametrize(
    ("used", "is_set"), [(None, True), (0, True), (63, True), (64, False), (900, False)]
)
def test_no_limit_comes_down_to_what_a_process_has_open(
    host: FakeHost, used: int | None, *, is_set: bool
) -> None:
    process = host.units[AGENT].process
    assert process is not None
    if used is not None:
        host.in_use_by[process.pid, "nofile"] = used
    host.units[AGENT].loaded = {"nofile": (64, 128)}
    observed, drift, plan = look(host, ProcessLimits(AGENT, {"nofile": (64, 128)}))
    assert drift
    if is_set:
        assert plan.actions == (set_limits(host, "nofile", 64, 128),)
        assert observed.problem is None
    else:
        assert plan.actions == ()
        assert plan.or_restart is None
        assert observed.problem == (
            f"process {process.pid} (agent) has 64 or more descriptors open: "
            "nofile 64:128 would break it at its next open, and is not set"
        )


def test_a_limit_that_goes_up_is_set_whatever_is_in_use(host: FakeHost) -> None:
    process = host.units[AGENT].process
    assert process is not None
    host.in_use_by[process.pid, "nofile"] = 5000
    host.lower_limit(AGENT, "nofile", (10, 100_000))
    spec = ProcessLimits(AGENT, {"nofile": (64, 100_000)})
    assert look(host, spec)[2].actions == (set_limits(host, "nofile", 64, 100_000),)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("cpu", "has used 64 s of processor time or more: cpu 64:128 would end it"),
        ("as", "has 64 bytes of as or more in use: as 64:128 would break it when it asks for more"),
    ],
)
def test_neither_is_what_would_end_a_process_or_starve_it(
    host: FakeHost, limit: str, words: str
) -> None:
    process = host.units[AGENT].process
    assert process is not None
    host.lower_limit(AGENT, limit, (None, None))
    host.in_use_by[process.pid, limit] = 100
    observed, _, plan = look(host, ProcessLimits(AGENT, {limit: (64, 128)}))
    assert observed.problem == f"process {process.pid} (agent) {words}, and is not set"
    assert plan.actions == ()


def test_of_several_reasons_each_is_told_and_what_can_be_set_is(host: FakeHost) -> None:
    process = host.units[AGENT].process
    assert process is not None
    host.in_use_by[process.pid, "nofile"] = 900
    host.advance(SECOND_NS)
    other = child(host, 1024, 524288)
    spec = ProcessLimits(AGENT, {"nofile": (64, 128), "nproc": (7, 8)})
    observed, _, plan = look(host, spec)
    assert plan.actions == (set_limits(host, "nproc", 7, 8),)
    assert observed.problem is not None
    used, left, _ = observed.problem.split("; ")
    assert used.startswith(f"process {process.pid} (agent) has 64 or more descriptors open")
    assert left.startswith(f"process {other.pid} (worker) has nofile 1024:524288")


# ------------------------------------------------------------------------------ asked for more


def test_a_number_that_systemd_repeats_and_nobody_gets_is_told_with_its_place(
    host: FakeHost,
) -> None:
    path = f"{UNITS}/{AGENT}.d/override.conf"
    host.write(path, b"[Service]\nLimitNOFILE=2147483646\n", uid=0)
    host.finish_reload()
    host.ceilings["nofile"] = Ceiling(20000, REASON)
    host.crash(AGENT)
    process = host.units[AGENT].process
    assert process is not None
    has = f"process {process.pid} (agent) has nofile 20000:20000"
    asked = f"asked: LimitNOFILE=2147483646 in {path}:2"
    why = f"why: {REASON}, and systemd takes what it cannot reach without a word"
    within, beyond = ProcessLimits(AGENT, {"nofile": (5, 6)}), SPEC
    for spec, is_set in ((within, True), (beyond, False)):
        observed, _, plan = look(host, spec)
        assert observed.problem == f"{has}; {asked}; {why}"
        assert bool(plan.actions) == is_set
