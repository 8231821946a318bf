"""When a service counts as healthy on a change, when not, and when nobody will know."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.facts import UnitFact
from jada_configd.core.specs import HealthSpec
from jada_configd.core.trial import (
    Healthy,
    Over,
    Pending,
    Round,
    Trial,
    Unhealthy,
    Verdict,
    identity,
    is_sound,
    judge,
    plain,
    seen,
    trial_of,
)

UNIT = "jada-agent.service"
SECOND = 1_000_000_000
BEGUN = 1000 * SECOND
START = BEGUN + SECOND // 10  # of the process that took the change up
PLAIN = HealthSpec(stable=5.0, within=60.0)
PROBED = replace(PLAIN, command=("/check",))
MAIN = (77, START)
TRIAL = Trial(
    UNIT,
    "change",
    BEGUN - SECOND,
    stale=True,
    sound=True,
    begun_ns=BEGUN,
    main=MAIN,
    since_ns=START,
)


def unit(active: str = "active", **other: Any) -> UnitFact:  # noqa: ANN401 - of the fact
    runs = active not in ("inactive", "failed")
    fact = UnitFact(
        UNIT,
        "loaded",
        active,
        "running" if active == "active" else active,
        "success",
        main_pid=77 if runs else 0,
        main_started_ns=START if runs else 0,
        activating_since_ns=START,
        state_changed_ns=START,
    )
    return replace(fact, **other)


def verdict(
    after: float,
    fact: UnitFact | None = None,
    health: HealthSpec = PLAIN,
    last: Round | None = None,
    *,
    trial: Trial = TRIAL,
    at_work: bool = False,
    stopped: bool = False,
) -> Verdict:
    """What is known so many seconds after the trial began."""
    fact = unit() if fact is None else fact
    now_ns = BEGUN + round(after * SECOND)
    return judge(trial, health, fact, last, now_ns, at_work=at_work, stopped=stopped)


def asked(
    at: float, *failures: str, unasked: tuple[str, ...] = (), main: tuple[int, int] = MAIN
) -> Round:
    """A round that began so many seconds after the trial, and took a tenth of one."""
    begun_ns = BEGUN + round(at * SECOND)
    return Round(main, begun_ns, begun_ns + SECOND // 10, failures, unasked)


# ------------------------------------------------------------------------------ what systemd tells


def test_it_is_healthy_once_one_process_has_been_active_for_long_enough() -> None:
    assert verdict(0.2) == Pending(START + 5 * SECOND)
    assert verdict(5.05) == Pending(START + 5 * SECOND)
    assert verdict(5.1) == Healthy()


def test_a_reload_does_not_interrupt_that() -> None:
    assert verdict(5.1, unit("reloading")) == Healthy()


@pytest.mark.parametrize("active", ["activating", "deactivating"])
def test_what_does_not_get_active_in_time_is_not(active: str) -> None:
    assert verdict(59.9, unit(active)) == Pending(BEGUN + 60 * SECOND)
    assert verdict(60.0, unit(active, sub_state="start")) == Unhealthy(
        "it did not become active within 60 s (start)"
    )


def test_a_job_that_does_not_end_in_time_is_one_that_failed() -> None:
    for at_work, job in ((True, False), (False, True)):
        assert verdict(30, unit(job=job), at_work=at_work) == Pending(BEGUN + 60 * SECOND)
        assert isinstance(verdict(60, unit(job=job), at_work=at_work), Unhealthy)


def test_what_keeps_no_process_for_long_enough_is_not() -> None:
    young = replace(TRIAL, since_ns=BEGUN + 58 * SECOND)
    assert verdict(59, trial=young) == Pending(BEGUN + 60 * SECOND)
    assert verdict(60, trial=young) == Unhealthy(
        "it did not keep one main process for long enough within 60 s"
    )


def test_one_end_of_the_main_process_may_be_chance_and_two_are_not() -> None:
    assert isinstance(verdict(0.2, trial=replace(TRIAL, crashes=1)), Pending)
    assert verdict(0.2, unit(ended="signal SEGV"), trial=replace(TRIAL, crashes=2)) == Unhealthy(
        "its main process ended 2 times, the last time with signal SEGV"
    )


def test_what_has_failed_is_not_whatever_time_there_is() -> None:
    fact = unit("failed", result="start-limit-hit", ended="exit status 3")
    assert verdict(0.2, fact) == Unhealthy(
        "it has failed (start-limit-hit), the last time with exit status 3"
    )
    assert verdict(0.2, fact, stopped=True) == verdict(0.2, fact)


def test_one_that_has_failed_before_our_job_gets_to_it_is_waited_for() -> None:
    assert isinstance(verdict(0.2, unit("failed"), at_work=True), Pending)
    assert isinstance(verdict(0.2, unit("failed", job=True)), Pending)


def test_who_stops_by_himself_is_not_and_who_is_stopped_is_left() -> None:
    assert verdict(0.2, unit("inactive")) == Unhealthy("its main process has ended")
    assert verdict(0.2, unit("inactive"), stopped=True) == Over("somebody has stopped it")
    assert isinstance(verdict(0.2, unit("inactive"), at_work=True), Pending)


def test_a_oneshot_that_has_done_its_work_is_healthy() -> None:
    assert verdict(0.2, unit("inactive", once=True, result="success")) == Healthy()
    assert isinstance(verdict(0.2, unit("inactive", once=True, result="timeout")), Unhealthy)


@pytest.mark.parametrize("state", ["not-found", "masked", "bad-setting", "error"])
def test_a_unit_that_is_gone_is_not_judged(state: str) -> None:
    over = verdict(90, unit("inactive", load_state=state))
    assert over == Over(f"{UNIT} is not there any more ({state})")


# ------------------------------------------------------------------------------ what probes tell


def test_probes_are_asked_when_it_has_run_for_long_enough() -> None:
    assert verdict(5.0, health=PROBED) == Pending(START + 5 * SECOND)
    assert verdict(5.2, health=PROBED) == Pending(BEGUN + 60 * SECOND, asks=True)
    assert verdict(5.2, health=PROBED, last=asked(5.15)) == Healthy()


@pytest.mark.parametrize(
    "last", [asked(2.0), asked(5.15, main=(70, START)), asked(-3.0, main=(70, BEGUN))]
)
def test_what_was_asked_too_early_or_of_another_process_does_not_count(last: Round) -> None:
    assert verdict(5.2, health=PROBED, last=last) == Pending(BEGUN + 60 * SECOND, asks=True)


def test_a_no_is_asked_again_a_moment_later_until_the_time_is_over() -> None:
    no = asked(6.0, "its health command ended with exit status 10")
    assert verdict(6.2, health=PROBED, last=no) == Pending(no.ended_ns + SECOND)
    assert verdict(7.1, health=PROBED, last=no) == Pending(BEGUN + 60 * SECOND, asks=True)
    assert verdict(60, health=PROBED, last=no) == Unhealthy(no.failures[0])


def test_while_the_answer_is_out_nobody_looks_again_and_again() -> None:
    """It is an event: a look every few milliseconds would be one of a thousand."""
    no = asked(6.0, "no")
    for after in (7.1, 8.0, 20.0, 59.9):
        pending = verdict(after, health=PROBED, last=no)
        assert isinstance(pending, Pending)
        assert pending.again_ns > BEGUN + round(after * SECOND)


def test_nobody_is_unhealthy_because_nobody_could_ask() -> None:
    last = asked(58.0, unasked=("it cannot be asked: no bus",))
    assert verdict(60, health=PROBED, last=last) == Over("it cannot be asked: no bus")
    both = asked(58.0, "its health command ended with exit status 10", unasked=("the url",))
    assert isinstance(verdict(60, health=PROBED, last=both), Unhealthy)


def test_who_was_not_asked_in_time_is_asked_late_and_not_given_up() -> None:
    """The daemon may have been dead all the while."""
    late = verdict(4000, health=PROBED)
    assert late == Pending(BEGUN + 4001 * SECOND, asks=True)
    assert verdict(4001, health=PROBED, last=asked(4000)) == Healthy()
    assert verdict(4001, health=PROBED, last=asked(4000, "no")) == Unhealthy("no")


# ------------------------------------------------------------------------------ what a look changes


def test_a_look_counts_the_ends_that_systemd_has_mended() -> None:
    again = seen(TRIAL, unit(restarts=1, main_started_ns=START + SECOND), BEGUN + 2 * SECOND)
    assert (again.crashes, again.restarts) == (1, 1)
    assert (again.main, again.since_ns) == ((77, START + SECOND), START + SECOND)
    more = seen(again, unit("activating", restarts=3), BEGUN + 3 * SECOND)
    assert (more.crashes, more.main, more.since_ns) == (3, (0, 0), 0)


def test_a_start_by_hand_counts_no_end_anew() -> None:
    ended = replace(TRIAL, restarts=4, crashes=1)
    assert seen(ended, unit(restarts=0), BEGUN + SECOND).crashes == 1


def test_a_process_counts_from_when_it_was_ready_or_the_trial_began() -> None:
    fresh = replace(TRIAL, main=(0, 0), since_ns=0)
    ready = START + 3 * SECOND
    assert seen(fresh, unit(state_changed_ns=ready), BEGUN + 9 * SECOND).since_ns == ready
    old = unit(main_started_ns=5 * SECOND, state_changed_ns=5 * SECOND)  # a reload takes it up
    assert seen(fresh, old, BEGUN + 9 * SECOND).since_ns == BEGUN
    assert seen(fresh, unit(state_changed_ns=BEGUN + 99 * SECOND), BEGUN + SECOND).since_ns == (
        BEGUN + SECOND
    )


def test_a_unit_without_a_main_process_is_known_by_its_activation() -> None:
    assert identity(unit()) == (77, START)
    assert identity(unit(main_pid=0, activating_since_ns=5)) == (0, 5)


@given(
    looks=st.lists(
        st.tuples(
            st.sampled_from(["active", "activating", "failed", "inactive", "reloading"]),
            st.integers(0, 3),
            st.integers(1, 20),
        ),
        max_size=12,
    )
)
def test_no_look_forgets_an_end_and_none_is_of_the_future(
    looks: list[tuple[str, int, int]],
) -> None:
    trial, now_ns, restarts = TRIAL, BEGUN, 0
    for active, ends, seconds in looks:
        now_ns, restarts = now_ns + seconds * SECOND, restarts + ends
        before = trial
        trial = seen(trial, unit(active, restarts=restarts), now_ns)
        assert trial.crashes == before.crashes + ends
        assert trial.since_ns <= now_ns
        assert (trial.main == (0, 0)) == (active not in ("active", "reloading"))


# ------------------------------------------------------------------------------ how it was before

SOUND: dict[str, tuple[UnitFact, HealthSpec, Round | None, bool | None]] = {
    "it runs": (unit(), PLAIN, None, True),
    "it has failed": (unit("failed"), PLAIN, None, False),
    "it starts": (unit("activating"), PLAIN, None, False),
    "somebody has just started it": (unit(main_started_ns=BEGUN), PLAIN, None, True),
    "systemd had to start it again": (unit(main_started_ns=BEGUN, restarts=1), PLAIN, None, False),
    "it had to long ago": (unit(main_started_ns=9, restarts=1), PLAIN, None, True),
    "nobody has asked": (unit(), PROBED, None, None),
    "another was asked": (unit(), PROBED, asked(0, main=(1, 1)), None),
    "its probe said yes": (unit(), PROBED, asked(0), True),
    "its probe said no": (unit(), PROBED, asked(0, "no"), False),
    "its probe said nothing": (unit(), PROBED, asked(0, unasked=("bus",)), None),
}


@pytest.mark.parametrize("case", SOUND.values(), ids=SOUND)
def test_whether_it_was_healthy_before(
    case: tuple[UnitFact, HealthSpec, Round | None, bool | None],
) -> None:
    fact, health, last, sound = case
    assert is_sound(health, fact, last, BEGUN + SECOND) is sound


# ------------------------------------------------------------------------------ two changes in one


def test_another_change_is_tried_with_the_first_and_both_anew() -> None:
    first = replace(TRIAL, fields=("/model",), crashes=1)
    later = Trial(UNIT, "change", BEGUN + 9, stale=False, sound=False, fields=("/theme", "/model"))
    both = first.merged(later)
    assert both.fields == ("/model", "/theme")
    assert (both.sound, both.stale, both.found_ns) == (True, True, TRIAL.found_ns)
    assert (both.begun_ns, both.crashes, both.since_ns) == (0, 0, 0)


# ------------------------------------------------------------------------------ kept


@given(
    trial=st.builds(
        Trial,
        st.just(UNIT),
        st.sampled_from(["change", "way back", "fallback"]),
        st.integers(0),
        st.booleans(),
        st.sampled_from([None, True, False]),
        st.lists(st.text(), max_size=3).map(tuple),
        st.integers(0),
        st.tuples(st.integers(0), st.integers(0)),
        st.integers(0),
        st.integers(0),
        st.integers(0),
        st.text(),
    )
)
def test_it_comes_back_as_it_was_kept(trial: Trial) -> None:
    assert trial_of(UNIT, json.loads(json.dumps(plain(trial)))) == trial


@pytest.mark.parametrize("key", plain(TRIAL))
def test_what_is_garbled_is_refused(key: str) -> None:
    kept = plain(TRIAL)
    del kept[key]
    with pytest.raises(KeyError):
        trial_of(UNIT, kept)


def test_a_purpose_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="sideways"):
        trial_of(UNIT, {**plain(TRIAL), "purpose": "sideways"})
