"""When what is looked at: gaps, back-off, sweeps; and hints that carry no fact."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.model import Cause, Drift, Resource, ResourceId, Result
from jada_configd.core.report import Report
from jada_configd.core.schedule import (
    BACK_OFF_MOST_NS,
    BACK_OFF_NS,
    FAILED_GAP_NS,
    GAP_NS,
    Schedule,
)

SECOND = 1_000_000_000
SWEEP = 300 * SECOND
NOW = 1000 * SECOND
ONE = ResourceId("settings", "/one")
TWO = ResourceId("settings", "/two")
OTHER = ResourceId("settings", "/other")


def report(
    resource: ResourceId = ONE, *, again_ns: int | None = None, fails: bool = False
) -> Report:
    held = Resource(resource, None, "enforce", "policy.toml:1")
    result: Result = "failed" if fails else "waiting" if again_ns is not None else "in-sync"
    return Report(held, result, Drift(), again_ns=again_ns, backs_off=fails)


@pytest.fixture
def schedule() -> Schedule:
    """Two resources, looked at just now and found in sync."""
    schedule = Schedule(SWEEP)
    schedule.hold([ONE, TWO])
    schedule.hint_all(NOW, "startup")
    schedule.take_due(NOW)
    for each in (ONE, TWO):
        schedule.settle(report(each), NOW)
    return schedule


def test_a_new_resource_is_due_at_its_first_hint() -> None:
    schedule = Schedule(SWEEP)
    schedule.hold([ONE])
    schedule.hint([ONE], NOW, "startup")
    assert schedule.take_due(NOW) == {ONE: "startup"}
    assert schedule.take_due(NOW) == {}


def test_a_hint_is_due_at_once(schedule: Schedule) -> None:
    later = NOW + SECOND
    schedule.hint([ONE], later)
    assert schedule.next_due() == later
    assert schedule.take_due(later) == {ONE: "hint"}


def test_hints_right_after_a_look_fold_into_one_trailing_look(schedule: Schedule) -> None:
    for at in range(NOW, NOW + GAP_NS, GAP_NS // 10):
        schedule.hint([ONE], at)
        assert schedule.take_due(at) == {}
    assert schedule.next_due() == NOW + GAP_NS
    assert schedule.take_due(NOW + GAP_NS) == {ONE: "hint"}
    assert schedule.take_due(NOW + 10 * GAP_NS) == {}


def test_a_file_written_all_the_time_is_looked_at_a_few_hundred_times_a_second(
    schedule: Schedule,
) -> None:
    looks = 0
    for at in range(NOW, NOW + SECOND, 100_000):
        schedule.hint([ONE], at)
        for _ in schedule.take_due(at):
            looks += 1
            schedule.settle(report(), at)
    assert SECOND // GAP_NS - 20 <= looks <= SECOND // GAP_NS + 1


def test_a_hint_for_what_is_not_held_is_dropped(schedule: Schedule) -> None:
    schedule.hint([OTHER], NOW + SECOND)
    assert schedule.take_due(NOW + 10 * SECOND) == {}


def test_the_next_look_is_at_the_next_sweep_where_nothing_happens(schedule: Schedule) -> None:
    assert schedule.next_due() == NOW + SWEEP
    assert not schedule.sweep(NOW + SWEEP - 1)
    assert schedule.sweep(NOW + SWEEP)
    assert schedule.take_due(NOW + SWEEP) == {ONE: "sweep", TWO: "sweep"}
    assert not schedule.sweep(NOW + SWEEP)
    assert schedule.next_due() == NOW + 2 * SWEEP


def test_a_sweep_is_due_from_the_start() -> None:
    schedule = Schedule(SWEEP)
    schedule.hold([ONE])
    assert schedule.next_due() <= NOW
    assert schedule.sweep(NOW)


def test_looking_at_everything_puts_the_sweep_off(schedule: Schedule) -> None:
    schedule.hint_all(NOW + SWEEP - 1, "policy")
    assert schedule.take_due(NOW + SWEEP) == {ONE: "policy", TWO: "policy"}
    assert not schedule.sweep(NOW + SWEEP)


def test_failures_are_tried_again_with_growing_gaps(schedule: Schedule) -> None:
    at, waits = NOW, []
    for _ in range(9):
        schedule.settle(report(fails=True), at)
        due = schedule.next_due()
        assert schedule.take_due(due - 1) == {}
        assert schedule.take_due(due) == {ONE: "retry"}
        waits.append((due - at) // SECOND)
        at = due
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert BACK_OFF_NS == SECOND
    assert BACK_OFF_MOST_NS == 30 * SECOND


def test_a_success_ends_the_back_off(schedule: Schedule) -> None:
    schedule.settle(report(fails=True), NOW)
    schedule.settle(report(fails=True), NOW)
    schedule.take_due(NOW + SECOND)
    schedule.settle(report(), NOW + SECOND)
    assert schedule.next_due() == NOW + SWEEP
    schedule.settle(report(fails=True), NOW + SECOND)
    assert schedule.next_due() == NOW + 2 * SECOND


def test_a_hint_comes_before_a_retry_but_not_faster_than_a_failure_allows(
    schedule: Schedule,
) -> None:
    for _ in range(5):
        schedule.settle(report(fails=True), NOW)
    schedule.hint([ONE], NOW + GAP_NS)
    assert schedule.next_due() == NOW + FAILED_GAP_NS
    assert schedule.take_due(NOW + FAILED_GAP_NS) == {ONE: "hint"}


def test_a_look_that_was_asked_for_comes_when_it_was_asked_for(schedule: Schedule) -> None:
    schedule.settle(report(again_ns=NOW + SECOND), NOW)
    assert schedule.next_due() == NOW + SECOND
    assert schedule.take_due(NOW + SECOND) == {ONE: "retry"}


def test_a_look_asked_for_at_once_keeps_the_gap(schedule: Schedule) -> None:
    schedule.settle(report(again_ns=NOW), NOW)
    assert schedule.next_due() == NOW + GAP_NS


def test_a_look_may_be_asked_for_whatever_came_of_the_last_one(schedule: Schedule) -> None:
    schedule.settle(replace(report(), look_by_ns=NOW + 15 * SECOND), NOW)
    schedule.settle(replace(report(TWO, again_ns=NOW + SECOND), look_by_ns=NOW + 9), NOW)
    assert schedule.take_due(NOW + GAP_NS) == {TWO: "sweep"}
    assert schedule.next_due() == NOW + 15 * SECOND
    assert schedule.take_due(NOW + 15 * SECOND) == {ONE: "sweep"}


def test_a_hint_comes_before_a_look_that_was_asked_for(schedule: Schedule) -> None:
    schedule.settle(report(again_ns=NOW + SECOND), NOW)
    schedule.hint([ONE], NOW + GAP_NS)
    assert schedule.take_due(NOW + GAP_NS) == {ONE: "hint"}


def test_the_earlier_of_two_due_times_counts(schedule: Schedule) -> None:
    schedule.hint([ONE], NOW + SECOND)
    schedule.settle(report(again_ns=NOW + 9 * SECOND), NOW)
    assert schedule.next_due() == NOW + SECOND


def test_what_is_no_longer_held_is_forgotten(schedule: Schedule) -> None:
    schedule.settle(report(fails=True), NOW)
    schedule.hint([TWO], NOW + SECOND)
    schedule.hold([OTHER])
    assert schedule.take_due(NOW + 10 * SECOND) == {}
    schedule.hold([ONE])
    schedule.hint([ONE], NOW)
    assert schedule.take_due(NOW) == {ONE: "hint"}


TIMES = st.integers(0, 20_000_000)
HINTS = st.lists(st.tuples(TIMES, st.sampled_from([ONE, TWO, OTHER])), max_size=20)


@given(hints=HINTS)
def test_whatever_is_hinted_is_looked_at_afterwards_with_the_gap_in_between(
    hints: list[tuple[int, ResourceId]],
) -> None:
    schedule = Schedule(SWEEP)
    schedule.hold([ONE, TWO])
    schedule.hint_all(0, "startup")
    looked = dict.fromkeys((ONE, TWO), -GAP_NS)
    hinted = dict.fromkeys((ONE, TWO), 0)
    for at in range(0, 30_000_000, 500_000):
        for when, resource in hints:
            if at - 500_000 < when <= at:
                schedule.hint([resource], at)
                hinted[resource] = at
        for resource in schedule.take_due(at):
            assert at - looked[resource] >= GAP_NS
            looked[resource] = at
            schedule.settle(report(resource), at)
    assert all(looked[each] >= hinted[each] for each in (ONE, TWO))
    assert schedule.next_due() == SWEEP


@given(hints=HINTS, cause=st.sampled_from(["hint", "retry", "operator"]))
def test_in_whatever_order_hints_come_the_same_is_due(
    hints: list[tuple[int, ResourceId]], cause: Cause
) -> None:
    schedules = []
    for order in (hints, sorted(hints, reverse=True), hints + hints):
        schedule = Schedule(SWEEP)
        schedule.hold([ONE, TWO])
        for at, resource in order:
            schedule.hint([resource], at, cause)
        schedules.append(schedule)
    first, *others = [(each.next_due(), each.take_due(10_000_000)) for each in schedules]
    assert others == [first, first]


# ------------------------------------------------------------------------------ windows


def waiting(resource: ResourceId, opens_at: int) -> Report:
    return replace(report(resource), result="waiting", opens_at=opens_at)


def test_what_waits_for_a_window_is_due_when_the_wall_clock_says_so(schedule: Schedule) -> None:
    schedule.settle(waiting(ONE, 2000), NOW)
    schedule.settle(waiting(TWO, 3000), NOW)
    assert schedule.next_opening() == 2000
    later = NOW + SECOND
    schedule.open_windows(1999.9, later)
    assert schedule.take_due(later) == {}
    schedule.open_windows(2000.0, later)
    assert schedule.take_due(later) == {ONE: "retry"}
    assert schedule.next_opening() == 3000


def test_a_window_that_opens_makes_no_wake_up_of_the_other_clock(schedule: Schedule) -> None:
    schedule.settle(waiting(ONE, 2000), NOW)
    assert schedule.next_due() == NOW + SWEEP


def test_a_look_that_waits_for_nothing_any_more_forgets_the_window(schedule: Schedule) -> None:
    schedule.settle(waiting(ONE, 2000), NOW)
    later = NOW + SECOND
    schedule.hint([ONE], later)
    assert schedule.take_due(later) == {ONE: "hint"}
    schedule.settle(report(ONE), later)
    assert schedule.next_opening() is None


def test_what_is_held_no_more_waits_for_no_window(schedule: Schedule) -> None:
    schedule.settle(waiting(ONE, 2000), NOW)
    schedule.hold([TWO])
    assert schedule.next_opening() is None
