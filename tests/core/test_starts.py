"""Starts are counted whoever makes them, so that none of ours is the one that systemd refuses."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jada_configd.core.facts import UnitFact
from jada_configd.core.staleness import SLACK_NS
from jada_configd.core.starts import Starts
from tests.fake_start_limit import CountedUnit

UNIT = "jada-agent.service"
SECOND = 1_000_000_000
MILLISECOND = 1_000_000
FORK = 400_000  # from the begin of a start to its main process
NOW = 1000 * SECOND
INTERVAL = 10 * SECOND
LAPSE = INTERVAL + SLACK_NS


def unit(began: int = 100 * SECOND, **other: Any) -> UnitFact:  # noqa: ANN401 - of the fact
    """A unit that was started then, with the usual limit of five starts in ten seconds."""
    fact = UnitFact(
        UNIT,
        "loaded",
        "active",
        sub_state="running",
        main_pid=77,
        main_started_ns=began + FORK,
        activating_since_ns=began,
        start_burst=5,
        start_interval_ns=INTERVAL,
    )
    return replace(fact, **other)


def seen(*looks: tuple[int, UnitFact]) -> Starts:
    starts = Starts()
    for at_ns, fact in looks:
        starts.see(fact, at_ns)
    return starts


def counted(starts: Starts, fact: UnitFact, now_ns: int) -> int:
    """How many starts there were: one less than the smallest limit that leaves room for another."""
    for burst in range(2, 100):
        if starts.free_ns(replace(fact, start_burst=burst), now_ns) is None:
            return burst - 2
    raise AssertionError("more than can be")


OLD = unit()
ANEW = unit(NOW)
RESTS: dict[str, Any] = {"active_state": "activating", "sub_state": "auto-restart", "main_pid": 0}


@pytest.mark.parametrize(
    ("looks", "number"),
    [
        # at first sight
        ([OLD], 0),
        ([UnitFact(UNIT, "loaded", "inactive", start_burst=5, start_interval_ns=INTERVAL)], 0),
        ([ANEW], 1),
        ([replace(ANEW, restarts=3)], 4),
        # one start, by whatever shows it, and however often it is looked at
        ([OLD, OLD], 0),
        ([OLD, ANEW], 1),
        ([OLD, ANEW, ANEW, ANEW], 1),
        # while ExecStartPre= runs, and when its main process has come
        ([OLD, replace(ANEW, main_started_ns=0), ANEW], 1),
        # systemd has started it again: once, or several times between two looks
        ([OLD, replace(ANEW, restarts=1)], 1),
        ([OLD, replace(ANEW, restarts=4)], 4),
        ([replace(OLD, restarts=7), replace(ANEW, restarts=9)], 2),
        # the count is up before the start, and the start is no second one
        ([OLD, replace(OLD, restarts=1)], 1),
        ([OLD, replace(OLD, restarts=1), replace(ANEW, restarts=1)], 1),
        # it waits for RestartSec=, which is no start yet
        ([OLD, replace(unit(NOW, main_started_ns=OLD.main_started_ns), **RESTS)], 0),
        (
            [
                OLD,
                replace(unit(NOW), main_started_ns=OLD.main_started_ns, **RESTS),
                unit(NOW + 1, restarts=1),
            ],
            1,
        ),
        # somebody started it anew, and systemd a few times since
        ([replace(OLD, restarts=7), ANEW], 1),
        ([replace(OLD, restarts=7), replace(ANEW, restarts=2)], 3),
        ([replace(OLD, restarts=2), replace(ANEW, restarts=2)], 3),
        # another main process took over
        ([OLD, replace(OLD, main_started_ns=NOW)], 0),
        # somebody started it anew, and it crashed
        ([OLD, replace(ANEW, **RESTS)], 1),
        # a failure was reset, or it was stopped: no start
        ([replace(OLD, restarts=7), OLD], 0),
        ([OLD, replace(OLD, active_state="inactive", sub_state="dead", main_pid=0)], 0),
    ],
)
def test_how_many_starts_looks_show(looks: list[UnitFact], number: int) -> None:
    starts = seen(*((NOW + MILLISECOND, fact) for fact in looks))
    assert counted(starts, looks[-1], NOW + MILLISECOND) == number


@pytest.mark.parametrize(
    ("after", "number"),
    [
        # not to be seen yet; seen; seen in its middle and at its end
        ([OLD], 1),
        ([ANEW], 1),
        ([replace(OLD, job=True), replace(ANEW, main_started_ns=0, job=True), ANEW], 1),
        # and then systemd started it again
        ([ANEW, replace(ANEW, activating_since_ns=NOW + 1, restarts=1)], 2),
        ([replace(ANEW, restarts=2)], 3),
    ],
)
def test_a_start_of_ours_counts_once(after: list[UnitFact], number: int) -> None:
    starts = seen((NOW - 1, OLD))
    starts.ask(NOW)
    for fact in after:
        starts.see(fact, NOW + MILLISECOND)
    assert counted(starts, after[-1], NOW + MILLISECOND) == number


def test_a_start_that_we_ask_for_forgets_what_systemd_had_restarted() -> None:
    starts = seen((NOW - 1, replace(OLD, restarts=1)))
    starts.ask(NOW)
    fact = replace(ANEW, restarts=3)
    starts.see(fact, NOW + SECOND)
    assert counted(starts, fact, NOW + SECOND) == 4


def test_a_job_that_was_cancelled_counts_for_one_interval() -> None:
    starts = seen((NOW - 1, OLD))
    starts.ask(NOW)
    starts.see(OLD, NOW + LAPSE - 1)
    assert counted(starts, OLD, NOW + LAPSE - 1) == 1
    starts.see(OLD, NOW + LAPSE)
    assert counted(starts, OLD, NOW + LAPSE) == 0


def test_a_job_that_stops_slowly_has_its_start_yet_to_come() -> None:
    starts = seen((NOW - 1, OLD))
    starts.ask(NOW)
    starts.see(replace(OLD, job=True), NOW + 8 * SECOND)
    starts.see(replace(OLD, job=True), NOW + 16 * SECOND)
    assert counted(starts, OLD, NOW + 26 * SECOND) == 1
    fact = unit(NOW + 17 * SECOND)
    starts.see(fact, NOW + 18 * SECOND)
    assert counted(starts, fact, NOW + 18 * SECOND) == 1
    assert counted(starts, fact, fact.main_started_ns + LAPSE) == 0


@pytest.mark.parametrize(
    ("burst", "ago", "frees"),
    [
        # so many starts, so long ago in seconds: when one of ours may follow, in seconds from now
        (5, [], None),
        (5, [3, 2, 1], None),
        (5, [4, 3, 2, 1], 6),
        (5, [5, 4, 3, 2, 1], 6),
        (5, [9, 8, 7, 6], 1),
        (5, [11, 3, 2, 1], None),
        (3, [1], None),
        (3, [2, 1], 8),
        (2, [], None),
        (2, [4], 6),
        # where there is a single one, none can be spared
        (1, [], None),
        (1, [4], 6),
        (0, [4, 3, 2, 1], None),
    ],
)
def test_when_the_limit_leaves_room(burst: int, ago: list[int], frees: int | None) -> None:
    starts = seen((NOW - 100 * SECOND, OLD))
    for each in ago:
        fact = unit(NOW - each * SECOND, main_started_ns=0)
        starts.see(fact, NOW - each * SECOND)
    fact = unit(NOW - ago[-1] * SECOND if ago else OLD.activating_since_ns, main_started_ns=0)
    free_ns = starts.free_ns(replace(fact, start_burst=burst), NOW)
    assert free_ns == (None if frees is None else NOW + frees * SECOND + SLACK_NS)


def test_without_an_interval_there_is_no_limit_and_nothing_is_kept() -> None:
    starts = Starts()
    for at_ns in range(NOW, NOW + 50):
        starts.see(unit(at_ns, start_interval_ns=0), at_ns)
        starts.ask(at_ns)
    assert starts.free_ns(unit(NOW + 49, start_interval_ns=0), NOW + 50) is None
    starts.see(unit(NOW + 49, start_interval_ns=0), NOW + 50)
    assert starts.plain()["made"] == []
    assert starts.plain()["awaited"][:2] == [0, 0]


def test_what_has_lapsed_is_not_kept() -> None:
    starts = Starts()
    for each in range(200):
        starts.see(unit(NOW + each * SECOND, restarts=each), NOW + each * SECOND)
    assert len(starts.plain()["made"]) == 11


# ------------------------------------------------------------------------------ systemd's own count

NEAR = [INTERVAL - 1, INTERVAL, INTERVAL + 1, INTERVAL + 999, INTERVAL + 1000, LAPSE]
GAPS = st.sampled_from([1000, 1999, MILLISECOND, SECOND // 10, SECOND, 3 * SECOND, *NEAR])


@st.composite
def events(draw: st.DrawFn) -> list[tuple[str, int, int, int, bool]]:
    """Who starts it, and how often; after how long, and how long it takes; is it seen at once?"""
    who = st.sampled_from(["somebody", "systemd", "systemd", "we", "we"])
    return draw(st.lists(st.tuples(who, st.integers(1, 4), GAPS, GAPS, st.booleans()), max_size=20))


@given(burst=st.integers(0, 7), restarts=st.integers(0, 3), events=events(), dies=st.booleans())
@settings(max_examples=500)
def test_no_start_of_ours_is_refused_or_takes_the_last_one(
    burst: int, restarts: int, events: list[tuple[str, int, int, int, bool]], *, dies: bool
) -> None:
    now = NOW
    agent = CountedUnit(UNIT, burst, INTERVAL)
    agent.start(now)
    for _ in range(restarts):
        now += MILLISECOND
        agent.crash(now)
    starts = seen((now, agent.fact()))
    for who, number, gap, span, is_seen in events:
        now += gap
        if who == "systemd":  # of its starts the number shows, whatever was seen before
            for _ in range(number):
                now += span // number
                agent.crash(now)
        else:
            starts.see(agent.fact(), now)
        if who == "somebody":
            agent.start(now)
        if who == "we" and starts.free_ns(agent.fact(), now) is None:
            starts.ask(now)
            now += span  # it stops slowly
            assert agent.start(now)
            assert not burst or agent.counted <= max(1, burst - 1)
        if dies:
            starts = Starts.of(json.loads(json.dumps(starts.plain())))
        if is_seen or who == "somebody":
            now += 0 if who == "systemd" else span
            starts.see(agent.fact(), now)


@given(burst=st.integers(1, 7), gaps=st.lists(GAPS, max_size=20))
def test_where_nobody_else_starts_it_one_start_in_an_interval_is_always_ours(
    burst: int, gaps: list[int]
) -> None:
    now = NOW
    agent = CountedUnit(UNIT, burst, INTERVAL)
    agent.start(now)
    starts = seen((now, agent.fact()))
    for gap in gaps:
        now += gap
        starts.see(agent.fact(), now)
        if starts.free_ns(agent.fact(), now) is None:
            starts.ask(now)
            agent.start(now)
    starts.see(agent.fact(), now)
    free_ns = starts.free_ns(agent.fact(), now)
    assert free_ns is None or now < free_ns <= now + LAPSE
    assert starts.free_ns(agent.fact(), now + LAPSE) is None
