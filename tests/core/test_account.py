"""What has happened, counted: each drift once, nothing ever less, no name that comes and goes."""

from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.account import Account
from jada_configd.core.breaker import State
from jada_configd.core.histogram import Histogram
from jada_configd.core.model import Change, Drift, Resource, ResourceId, Result
from jada_configd.core.report import (
    BreakerMoved,
    Contest,
    Event,
    PolicyLoaded,
    PolicyRejected,
    Reconciled,
    Report,
    ServiceApplied,
    Tried,
)

DRIFT = Drift((Change(("model",), "haiku", "sonnet"),))


def told(
    result: Result,
    name: str = "/a",
    drift: Drift = DRIFT,
    **other: Any,  # noqa: ANN401 - of the report
) -> Reconciled:
    held = Resource(ResourceId("settings", name), None, "enforce", "policy.toml:7")
    return Reconciled(Report(held, result, drift, **other))


def account(*events: Event) -> Account:
    made = Account(100.0)
    for moment, event in enumerate(events, 101):
        made.take(event, float(moment))
    return made


def test_a_drift_that_is_corrected_at_once_counts_as_one_of_each() -> None:
    one = account(told("corrected", detected_ns=1_000_000, corrected_ns=3_000_000))
    assert one.drifts == one.corrections == {"settings": 1}
    assert one.failures == {}
    assert one.last_correction == 101
    assert (one.correction_seconds["settings"].count, one.correction_seconds["settings"].sum) == (
        1,
        0.002,
    )


def test_a_drift_counts_once_until_it_is_over() -> None:
    found = (told("waiting", again_ns=1), told("drifted"), told("failed"), told("corrected"))
    assert account(*found).drifts == {"settings": 1}
    assert account(*found, told("drifted")).drifts == {"settings": 2}
    over = told("in-sync", drift=Drift())
    assert account(told("reported"), over, told("reported")).drifts == {"settings": 2}


def test_a_correction_with_a_problem_left_is_not_the_end_of_it() -> None:
    left = told("corrected", problem="a limit is out of reach")
    assert account(left, told("drifted")).drifts == {"settings": 1}


def test_what_may_be_half_written_and_then_is_right_was_no_drift() -> None:
    over = told("in-sync", drift=Drift())
    assert account(told("waiting", again_ns=1), over).drifts == {}


def test_what_could_not_be_looked_at_is_a_failure_and_no_drift() -> None:
    one = account(told("failed", drift=Drift(), problem="no permission"))
    assert (one.failures, one.drifts) == ({"settings": 1}, {})


def test_drifts_of_resources_that_are_held_no_more_are_forgotten() -> None:
    one = account(told("drifted", "/a"), told("drifted", "/b"))
    one.hold({"settings:/b"})
    one.take(told("drifted", "/a"), 1)
    one.take(told("drifted", "/b"), 1)
    assert one.drifts == {"settings": 3}


def contest(stands: Literal["begun", "on", "over"], *fields: str) -> Contest:
    return Contest(stands, tuple((field,) for field in fields), "model is changed back")


def test_a_contest_counts_once_and_its_fields_while_it_lasts() -> None:
    begun = told("contested", corrected_ns=5, contest=contest("begun", "model"))
    more = told("contested", contest=contest("begun", "model", "hooks"))
    elsewhere = told("contested", "/b", contest=contest("on", "model"))
    unread = told("failed", drift=Drift(), problem="no permission")
    one = account(begun, more, elsewhere, unread)
    assert (one.contests, one.contested) == ({"settings": 2}, {"settings": 3})
    assert (one.corrections, one.drifts) == ({"settings": 1}, {"settings": 2})
    one.hold({"settings:/a"})
    assert one.contested == {"settings": 2}
    one.take(told("in-sync", drift=Drift(), contest=contest("over", "model")), 1)
    assert (one.contests, one.contested) == ({"settings": 2}, {})


def test_what_is_observed_only_from_now_on_is_contested_no_more() -> None:
    begun = told("contested", contest=contest("begun", "model"))
    assert account(begun, told("reported")).contested == {}


def test_jobs_count_by_unit_and_end() -> None:
    jobs = [ServiceApplied("a.service", "restart", end, (), 0.3) for end in ("done", "failed")]
    one = account(*jobs, ServiceApplied("b.service", "reload", "done", (), 700.0))
    assert one.applies == {
        ("a.service", "done"): 1,
        ("a.service", "failed"): 1,
        ("b.service", "done"): 1,
    }
    assert one.apply_seconds["a.service"].count == 2
    *_, below, last = one.apply_seconds["b.service"].buckets()
    assert (below, last) == ((300.0, 0), (float("inf"), 1))


def test_trials_count_by_unit_and_outcome_and_what_became_healthy_is_timed() -> None:
    one = account(
        Tried("a.service", "healthy", "", (), 5.2),
        Tried("a.service", "unhealthy", "exit status 3", (), 60.0),
        Tried("b.service", "healthy", "", (), 20_000.0),
    )
    assert one.trials == {
        ("a.service", "healthy"): 1,
        ("a.service", "unhealthy"): 1,
        ("b.service", "healthy"): 1,
    }
    assert one.roll_backs == {}
    timed = one.recovery_seconds
    assert (timed["a.service"].count, timed["a.service"].sum) == (1, 5.2)
    *_, below, last = timed["b.service"].buckets()
    assert (below, last) == ((14400.0, 0), (float("inf"), 1))


def test_roll_backs_count_by_what_became_of_the_service() -> None:
    ends = (True, True, False, None)
    back = [Tried("a.service", "rolled-back", "why", (), 9.0, well=well) for well in ends]
    one = account(*back)
    assert one.trials == {("a.service", "rolled-back"): 4}
    assert one.roll_backs == {
        ("a.service", "yes"): 2,
        ("a.service", "no"): 1,
        ("a.service", "unknown"): 1,
    }
    assert one.recovery_seconds == {}


def test_moves_of_breakers_count_by_the_state_they_came_into() -> None:
    states: tuple[State, ...] = ("open", "half-open", "open")
    one = account(*(BreakerMoved("a.service", state, "why") for state in states))
    assert one.breaker_moves == {("a.service", "open"): 2, ("a.service", "half-open"): 1}


def test_policies_that_load_and_that_do_not() -> None:
    one = account(PolicyRejected("/p", ("wrong",)), PolicyLoaded("/p", "sha256:0", ()))
    assert (one.policy_rejected, one.policy_loaded, one.started) == (1, 102, 100)


def test_a_clock_that_goes_backwards_takes_nothing_from_a_sum() -> None:
    one = account(told("corrected", detected_ns=5, corrected_ns=0))
    assert one.correction_seconds["settings"].sum == 0


RESULTS: list[Result] = ["in-sync", "drifted", "corrected", "reported", "waiting", "failed"]


@given(st.lists(st.tuples(st.sampled_from(RESULTS), st.sampled_from("abc"), st.booleans())))
def test_nothing_ever_becomes_less(events: list[tuple[Result, str, bool]]) -> None:
    one = Account(0)
    before = (0, 0, 0)
    for result, name, holds in events:
        one.take(told(result, name, Drift() if result == "in-sync" else DRIFT), 1)
        if holds:
            one.hold({"settings:a"})
        now = (one.drifts.total(), one.corrections.total(), one.failures.total())
        assert all(new >= old for new, old in zip(now, before, strict=True))
        before = now


@given(
    st.lists(st.floats(0.01, 100, allow_nan=False), min_size=1, max_size=5, unique=True),
    st.lists(st.floats(0, 200, allow_nan=False)),
)
def test_buckets_hold_what_is_at_most_their_bound(bounds: list[float], values: list[float]) -> None:
    histogram = Histogram(tuple(sorted(bounds)))
    for value in values + bounds:
        histogram.observe(value)
    for bound, count in histogram.buckets():
        assert count == sum(value <= bound for value in values + bounds)
    assert histogram.count == len(values) + len(bounds)
