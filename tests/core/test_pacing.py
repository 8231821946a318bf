"""Changes share an apply, applies are apart, starts are spared, and work is let come to its end."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jada_configd.core.actions import How
from jada_configd.core.facts import Owed, UnitFact
from jada_configd.core.pacing import ASIDE_NS, Pacing, Wait, ends_process
from jada_configd.core.specs import DrainPolicy, ServiceSpec
from jada_configd.core.staleness import SLACK_NS
from jada_configd.core.wording import count, seconds
from tests.fake_start_limit import CountedUnit

AGENT = "jada-agent.service"
SECOND = 1_000_000_000
MILLISECOND = 1_000_000
NOW = 1000 * SECOND
INTERVAL = 10 * SECOND
BUSY = "/run/jada-agent/busy exists"
HOWS: tuple[How, ...] = ("reload", "restart", "reload-or-restart", "start")

GATHER = f"waits: changes within 200.0 ms share one apply of {AGENT}"
APART = f"waits: two applies of {AGENT} are 10.0 s apart"
SPARE = f"waits: systemd lets {AGENT} start 5 times in 10.0 s, and the last is kept spare"
DRAIN = f"waits until {AGENT} is idle, 300.0 s at most: {BUSY}"
GIVEN_UP = f"{AGENT} was busy for 300.0 s, so its restart is given up until the next correction"


def spec(**other: Any) -> ServiceSpec:  # noqa: ANN401 - of the spec
    return replace(ServiceSpec(AGENT, "restart", "auto", {}, "enforce", "policy.toml:1"), **other)


def unit(began: int = 100 * SECOND, **other: Any) -> UnitFact:  # noqa: ANN401 - of the fact
    fact = UnitFact(
        AGENT,
        "loaded",
        "active",
        main_pid=77,
        main_started_ns=began,
        activating_since_ns=began,
        start_burst=5,
        start_interval_ns=INTERVAL,
    )
    return replace(fact, **other)


def debt(since: int = NOW - SECOND, **other: Any) -> Owed:  # noqa: ANN401 - of the debt
    return replace(Owed(stale=True, since_ns=since, fields=("/model",)), **other)


SPEC, UNIT, DEBT = spec(), unit(), debt()


def started(pacing: Pacing, *ago: int) -> UnitFact:
    """The unit after starts so many seconds ago, each of which was seen."""
    fact = UNIT
    for each in ago:
        fact = unit(NOW - each * SECOND)
        pacing.see(fact, NOW - each * SECOND)
    return fact


# --------------------------------------------------------------------------- changes share an apply


@pytest.mark.parametrize(
    ("owed", "waits_until"),
    [
        (debt(NOW), 200),
        (debt(NOW - 199 * MILLISECOND), 1),
        (debt(NOW - 200 * MILLISECOND), None),
        # the window begins with the first change, and a later one does not move it
        (debt(NOW, first_ns=NOW - 150 * MILLISECOND), 50),
        (debt(NOW, first_ns=NOW - 200 * MILLISECOND), None),
    ],
)
@pytest.mark.parametrize("how", ["reload", "restart", "reload-or-restart"])
def test_changes_are_gathered(how: How, owed: Owed, waits_until: int | None) -> None:
    expected = None if waits_until is None else Wait(GATHER, NOW + waits_until * MILLISECOND)
    assert Pacing().wait(SPEC, UNIT, owed, how, NOW) == expected


# -------------------------------------------------------------------------------- applies are apart


def test_the_first_apply_is_not_delayed() -> None:
    assert Pacing().wait(spec(min_interval=3600.0), UNIT, DEBT, "restart", NOW) is None


@pytest.mark.parametrize("before", HOWS)
@pytest.mark.parametrize("how", ["reload", "restart", "reload-or-restart"])
def test_two_applies_are_apart_whatever_they_are(before: How, how: How) -> None:
    pacing = Pacing()
    pacing.see(UNIT, NOW)
    pacing.applied(AGENT, before, NOW)
    wait = Wait(APART, NOW + 10 * SECOND)
    assert pacing.wait(SPEC, UNIT, DEBT, how, NOW + 1) == wait
    assert pacing.wait(SPEC, UNIT, DEBT, how, NOW + 10 * SECOND - 1) == wait
    assert pacing.wait(SPEC, UNIT, DEBT, how, NOW + 10 * SECOND) is None


def test_each_unit_has_a_pace_of_its_own() -> None:
    pacing = Pacing()
    pacing.applied("other.service", "restart", NOW)
    assert pacing.wait(SPEC, UNIT, DEBT, "restart", NOW + 1) is None


# ---------------------------------------------------------------------------- starts are kept spare


def test_starts_of_others_leave_room_for_ours_and_one_more() -> None:
    pacing = Pacing()
    fact = started(pacing, 4, 3, 2)
    assert pacing.wait(SPEC, fact, DEBT, "restart", NOW) is None
    fact = started(pacing, 1)
    assert pacing.wait(SPEC, fact, DEBT, "restart", NOW) == Wait(SPARE, NOW + 6 * SECOND + SLACK_NS)


def test_to_be_asked_is_to_look() -> None:
    fact = replace(unit(NOW - SECOND), restarts=3)
    wait = Wait(SPARE, NOW + 9 * SECOND + SLACK_NS)
    assert Pacing().wait(SPEC, fact, DEBT, "restart", NOW) == wait


def test_starts_of_ours_count_too() -> None:
    pacing = Pacing()
    eager = spec(min_interval=0.0)
    pacing.see(UNIT, NOW)
    for _ in range(4):
        assert pacing.wait(eager, UNIT, DEBT, "restart", NOW) is None
        pacing.applied(AGENT, "restart", NOW)
    assert pacing.wait(eager, UNIT, DEBT, "restart", NOW) == Wait(SPARE, NOW + INTERVAL + SLACK_NS)


def test_a_single_start_cannot_be_spared() -> None:
    pacing = Pacing()
    fact = replace(started(pacing, 4), start_burst=1)
    sentence = f"waits: systemd lets {AGENT} start 1 time in 10.0 s"
    until_ns = NOW + 6 * SECOND + SLACK_NS
    assert pacing.wait(SPEC, fact, DEBT, "restart", NOW) == Wait(sentence, until_ns)
    assert pacing.wait(SPEC, fact, DEBT, "restart", until_ns) is None


@pytest.mark.parametrize(
    ("how", "can_reload", "is_held_up"),
    [
        ("restart", True, True),
        ("reload", True, False),
        ("reload-or-restart", True, False),
        ("reload-or-restart", False, True),
        ("start", False, False),
    ],
)
def test_what_starts_nothing_needs_no_room(how: How, *, can_reload: bool, is_held_up: bool) -> None:
    pacing = Pacing()
    fact = replace(started(pacing, 4, 3, 2, 1), can_reload=can_reload)
    assert (pacing.wait(SPEC, fact, DEBT, how, NOW) is not None) == is_held_up


@pytest.mark.parametrize(
    ("how", "can_reload", "starts"),
    [
        ("restart", True, 4),
        ("start", True, 4),
        ("reload-or-restart", False, 4),
        ("reload-or-restart", True, 3),
        ("reload", True, 3),
    ],
)
def test_which_jobs_count_as_starts(how: How, *, can_reload: bool, starts: int) -> None:
    pacing = Pacing()
    started(pacing, 4, 3)
    fact = replace(started(pacing, 2), can_reload=can_reload)
    pacing.see(fact, NOW)
    pacing.applied(AGENT, how, NOW)
    wait = pacing.wait(spec(min_interval=0.0), fact, DEBT, "restart", NOW + 1)
    assert (wait is not None) == (starts == 4)


# ---------------------------------------------------------------------------------- busy services


def drain(
    pacing: Pacing,
    at: float,
    busy: str | None = BUSY,
    *,
    policy: DrainPolicy = "restart",
    owed: Owed = DEBT,
) -> Wait | None:
    now_ns = NOW + round(at * SECOND)
    return pacing.drain(spec(drain_policy=policy), UNIT, owed, "restart", busy, now_ns)


WAITS = Wait(DRAIN, NOW + 300 * SECOND)


def test_an_idle_service_is_restarted_at_once() -> None:
    assert drain(Pacing(), 0, None) is None


def test_a_restart_waits_for_a_busy_service_and_then_happens() -> None:
    pacing = Pacing()
    assert [drain(pacing, at) for at in (0, 1, 299.9)] == [WAITS, WAITS, WAITS]
    assert [drain(pacing, at) for at in (300, 301, 400)] == [None, None, None]


def test_a_restart_is_made_as_soon_as_the_service_is_idle() -> None:
    pacing = Pacing()
    assert drain(pacing, 0) == WAITS
    assert drain(pacing, 10, None) is None
    # what is busy again before the job was accepted is waited for anew
    assert drain(pacing, 11) == Wait(DRAIN, NOW + 311 * SECOND)


def test_more_corrections_do_not_prolong_the_wait() -> None:
    pacing = Pacing()
    more = replace(DEBT, since_ns=NOW + 100 * SECOND, first_ns=DEBT.since_ns)
    assert drain(pacing, 0) == WAITS
    assert drain(pacing, 100, owed=more) == WAITS
    assert drain(pacing, 300, owed=more) is None


def test_another_debt_waits_anew() -> None:
    pacing = Pacing()
    assert drain(pacing, 0) == WAITS  # and then somebody restarts it
    wait = Wait(DRAIN, NOW + 1300 * SECOND)
    assert drain(pacing, 1000, owed=debt(NOW + 999 * SECOND)) == wait


def test_what_the_daemon_was_not_able_to_settle_with_a_restart_waits_anew() -> None:
    pacing = Pacing()
    drain(pacing, 0)
    assert drain(pacing, 300) is None
    pacing.applied(AGENT, "restart", NOW + 300 * SECOND)
    assert drain(pacing, 310) == Wait(DRAIN, NOW + 610 * SECOND)


def test_a_restart_is_given_up_where_the_policy_says_so() -> None:
    pacing = Pacing()
    assert drain(pacing, 0, policy="skip") == WAITS
    for at, busy in ((300, BUSY), (301, BUSY), (302, None)):
        until_ns = NOW + at * SECOND + ASIDE_NS
        given_up = Wait(GIVEN_UP, until_ns, gives_up=True)
        assert drain(pacing, at, busy, policy="skip") == given_up


def test_the_next_correction_of_what_was_given_up_is_waited_for_anew() -> None:
    pacing = Pacing()
    drain(pacing, 0, policy="skip")
    drain(pacing, 300, policy="skip")
    more = replace(DEBT, since_ns=NOW + 400 * SECOND, first_ns=DEBT.since_ns)
    wait = Wait(DRAIN, NOW + 700 * SECOND)
    assert drain(pacing, 400, policy="skip", owed=more) == wait
    assert drain(pacing, 500, None, policy="skip", owed=more) is None


def test_what_is_known_to_be_given_up_is_not_asked_again() -> None:
    given_up = Wait(GIVEN_UP, NOW + ASIDE_NS, gives_up=True)
    owed = replace(DEBT, skipped=True)
    assert drain(Pacing(), 0, None, policy="skip", owed=owed) == given_up
    # a policy that gives nothing up any more
    assert drain(Pacing(), 0, None, owed=owed) is None


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("can_reload", [False, True])
def test_only_what_ends_a_process_waits_for_it_to_be_idle(how: How, *, can_reload: bool) -> None:
    fact = replace(UNIT, can_reload=can_reload)
    waits = Pacing().drain(SPEC, fact, DEBT, how, BUSY, NOW) is not None
    assert waits == (ends_process(how, can_reload=can_reload) and how != "start")
    assert ends_process("reload-or-restart", can_reload=can_reload) != can_reload
    assert not ends_process("reload", can_reload=can_reload)


# ---------------------------------------------------------------------------------- all of them


def test_they_are_asked_in_their_order() -> None:
    pacing = Pacing()
    fact = started(pacing, 4, 3, 2, 1)
    pacing.applied(AGENT, "reload", NOW - 7 * SECOND)
    owed = debt(NOW)
    sentences = []
    now_ns = NOW
    while (wait := pacing.wait(SPEC, fact, owed, "restart", now_ns)) is not None:
        sentences.append(wait.sentence)
        now_ns = wait.until_ns
    assert sentences == [GATHER, APART, SPARE]


def test_a_way_back_is_held_up_by_nothing() -> None:
    pacing = Pacing()
    fact = started(pacing, 4, 3, 2, 1)
    pacing.applied(AGENT, "restart", NOW)
    assert pacing.wait(SPEC, fact, debt(NOW), "start", NOW) is None
    assert pacing.drain(SPEC, fact, replace(DEBT, skipped=True), "start", BUSY, NOW) is None


def test_what_is_no_longer_held_is_forgotten() -> None:
    pacing = Pacing()
    pacing.applied(AGENT, "restart", NOW)
    pacing.applied("other.service", "restart", NOW)
    pacing.hold({AGENT})
    assert pacing.plain().keys() == {AGENT}
    pacing.hold(())
    assert pacing.wait(SPEC, UNIT, DEBT, "restart", NOW) is None


def test_it_is_worth_saving_when_something_has_changed() -> None:
    pacing = Pacing()

    def has_changed() -> bool:
        changed, pacing.changed = pacing.changed, False
        return changed

    pacing.see(UNIT, NOW)
    assert has_changed()
    pacing.see(UNIT, NOW)
    assert pacing.wait(SPEC, UNIT, DEBT, "restart", NOW) is None
    assert not has_changed()
    drain(pacing, 0)
    assert has_changed()
    drain(pacing, 1)
    assert not has_changed()
    drain(pacing, 2, None)
    assert has_changed()
    pacing.applied(AGENT, "reload", NOW)
    assert has_changed()
    pacing.see(unit(NOW + 1), NOW + 1)
    assert has_changed()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(plain=JSON, part=st.sampled_from(["starts", "can_reload", "applied_ns", "drain"]))
def test_garbled_memory_counts_as_none(plain: object, part: str) -> None:
    assert Pacing.of({AGENT: plain}).plain() in ({}, {AGENT: plain})
    pacing = Pacing()
    pacing.applied(AGENT, "restart", NOW)
    good = pacing.plain()[AGENT]
    mixed = Pacing.of({AGENT: good | {part: plain}, "other.service": good}).plain()
    assert mixed["other.service"] == good
    assert Pacing.of(json.loads(json.dumps(mixed))).plain() == mixed


# ------------------------------------------------------------------------------ any order of things


class Daemon:
    """Asks as a daemon does, of a unit that counts its starts as systemd does.

    It looks whenever something has happened, and when a wait says so.
    """

    def __init__(self, agent: CountedUnit, held: ServiceSpec, how: How) -> None:
        self.agent, self.held, self.how = agent, held, how
        self.pacing = Pacing()
        self.now = NOW
        self.owed: Owed | None = None
        self.busy: str | None = None
        self.wait: Wait | None = None
        self.applied: list[int] = []
        self.refused: list[int] = []
        self.takes_the_last: list[int] = []
        self.disturbed: list[tuple[int, int]] = []  # when work was ended that was waited for since
        self.waits_since: int | None = None  # for the busy service
        self.sentences: set[str] = set()
        self.turn()

    def correct(self) -> None:
        if self.agent.refused:
            return  # what does not run takes nothing up
        first = self.owed.first_ns or self.owed.since_ns if self.owed else 0
        self.owed = debt(self.now, first_ns=first)

    def turn(self) -> None:
        """One look, and what may be done."""
        fact = self.agent.fact()
        self.pacing.see(fact, self.now)
        if self.owed and (self.agent.refused or fact.main_started_ns > self.owed.since_ns):
            self.owed = None
        self.wait = None
        if self.owed is None:
            self.waits_since = None
            return
        self.wait = self.pacing.wait(self.held, fact, self.owed, self.how, self.now)
        if self.wait is None:
            self.waits_since = None if self.busy is None else self.waits_since or self.now
            self.wait = self.pacing.drain(self.held, fact, self.owed, self.how, self.busy, self.now)
        if self.wait is None:
            self.apply()
            return
        assert self.wait.until_ns > self.now
        self.sentences.add(self.wait.sentence)
        if self.wait.gives_up:
            self.owed = replace(self.owed, skipped=True)
            self.waits_since = None

    def apply(self) -> None:
        self.pacing.applied(AGENT, self.how, self.now)
        self.applied.append(self.now)
        self.now += MILLISECOND
        if self.how == "restart":
            if self.busy:
                self.disturbed.append((self.now, self.waits_since or self.now))
            if not self.agent.start(self.now):
                self.refused.append(self.now)
            if self.agent.burst > 1 and self.agent.counted > self.agent.burst - 1:
                self.takes_the_last.append(self.now)
        self.owed = None
        self.now += MILLISECOND
        self.turn()

    def pass_time(self, span: int) -> None:
        until = self.now + span
        while self.wait is not None and self.wait.until_ns <= until:
            self.now = max(self.now, self.wait.until_ns)
            self.turn()
        self.now = max(self.now, until)

    def die(self) -> None:
        self.pacing = Pacing.of(json.loads(json.dumps(self.pacing.plain())))
        self.turn()


@given(
    min_interval=st.sampled_from([0.3, 1.0, 2.5, 10.0, 60.0]),
    burst=st.sampled_from([0, 1, 2, 5]),
    how=st.sampled_from(["restart", "reload"]),
)
@settings(max_examples=30)
def test_a_thousand_changes_make_as_many_applies_as_may_be(
    min_interval: float, burst: int, how: How
) -> None:
    agent = CountedUnit(AGENT, burst, INTERVAL)
    agent.start(NOW - 100 * SECOND)
    daemon = Daemon(agent, spec(min_interval=min_interval), how)
    for _ in range(1000):
        daemon.correct()
        daemon.turn()
        daemon.pass_time(10 * MILLISECOND)
    most = 1 + int(10 / min_interval)
    if burst and how == "restart":
        most = min(most, max(1, burst - 1) * 2)
    assert 1 <= len(daemon.applied) <= most
    daemon.pass_time(70 * SECOND)
    assert daemon.owed is None
    assert daemon.refused == []
    assert len(daemon.applied) <= most + 1


SPANS = st.sampled_from([1, 50, 199, 200, 1000, 3000, 9999, 10_000, 10_001, 31_000])  # milliseconds


class Paced(RuleBasedStateMachine):
    """Corrections, crashes, people, work in flight, a daemon that dies: the pace is kept."""

    @initialize(
        burst=st.sampled_from([0, 1, 2, 3, 5]),
        min_interval=st.sampled_from([0.0, 1.0, 10.0]),
        policy=st.sampled_from(["restart", "skip"]),
        how=st.sampled_from(["restart", "restart", "reload"]),
    )
    def begin(self, burst: int, min_interval: float, policy: DrainPolicy, how: How) -> None:
        agent = CountedUnit(AGENT, burst, INTERVAL, can_reload=how == "reload")
        agent.start(NOW - 100 * SECOND)
        held = spec(min_interval=min_interval, drain=30.0, drain_policy=policy)
        self.daemon = Daemon(agent, held, how)
        self.apart = round(min_interval * SECOND)

    @rule(span=SPANS)
    def pass_time(self, span: int) -> None:
        self.daemon.pass_time(span * MILLISECOND)

    @rule(spans=st.lists(SPANS, min_size=1, max_size=6))
    def correct(self, spans: list[int]) -> None:
        for span in spans:
            self.daemon.correct()
            self.daemon.turn()
            self.daemon.pass_time(span * MILLISECOND)

    @rule(times=st.integers(1, 3), span=SPANS)
    def crash(self, times: int, span: int) -> None:
        if self.daemon.agent.refused:
            return
        for _ in range(times):
            self.daemon.now += MILLISECOND
            self.daemon.agent.crash(self.daemon.now)
        self.daemon.turn()
        self.correct([span])

    @rule(span=SPANS)
    def restart_by_hand(self, span: int) -> None:
        self.daemon.now += MILLISECOND
        self.daemon.agent.start(self.daemon.now)
        self.daemon.turn()
        self.correct([span])

    @rule()
    def work_begins(self) -> None:
        self.daemon.busy = BUSY
        self.daemon.turn()

    @precondition(lambda self: self.daemon.busy)
    @rule()
    def work_ends(self) -> None:
        self.daemon.busy = None
        self.daemon.turn()

    @rule()
    def die(self) -> None:
        self.daemon.die()

    @invariant()
    def applies_are_apart(self) -> None:
        assert all(b - a >= self.apart for a, b in pairwise(self.daemon.applied))

    @invariant()
    def no_start_of_ours_is_refused_or_takes_the_last(self) -> None:
        assert self.daemon.refused == []
        assert self.daemon.takes_the_last == []

    @invariant()
    def work_is_ended_only_when_it_was_waited_for(self) -> None:
        assert not (self.daemon.held.drain_policy == "skip" and self.daemon.disturbed)
        assert all(at - since >= 30 * SECOND for at, since in self.daemon.disturbed)

    @invariant()
    def a_wait_says_the_same_for_as_long_as_it_lasts(self) -> None:
        apart = seconds(self.daemon.held.min_interval)
        burst = count(self.daemon.agent.burst, "time")
        assert self.daemon.sentences <= {
            GATHER,
            APART.replace("10.0 s", apart),
            SPARE.replace("5 times", burst),
            SPARE.replace("5 times", burst).removesuffix(", and the last is kept spare"),
            DRAIN.replace("300.0 s", "30.0 s"),
            GIVEN_UP.replace("300.0 s", "30.0 s"),
        }

    def teardown(self) -> None:
        """Whatever was corrected is applied in the end, or given up as the policy says."""
        if not hasattr(self, "daemon"):
            return
        longest = 200 * MILLISECOND + self.apart + INTERVAL + SLACK_NS + 30 * SECOND
        self.daemon.pass_time(longest)
        owed = self.daemon.owed
        assert owed is None or (owed.skipped and self.daemon.held.drain_policy == "skip")
        self.applies_are_apart()
        self.no_start_of_ours_is_refused_or_takes_the_last()
        self.work_is_ended_only_when_it_was_waited_for()


TestPaced = Paced.TestCase
TestPaced.settings = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
