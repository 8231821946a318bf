"""How a main process ended is told also when systemd has started the next one by then."""

from dataclasses import replace

from jada_configd.core.facts import UnitFact
from jada_configd.core.specs import HealthSpec
from jada_configd.core.trial import Trial, Unhealthy, judge, plain, seen, trial_of

UNIT = "jada-agent.service"
SECOND_NS = 1_000_000_000
BEGUN = Trial(UNIT, "change", SECOND_NS, stale=True, sound=True).begin(SECOND_NS, 0)
CRASHED = UnitFact(UNIT, "loaded", "activating", "auto-restart", restarts=1, ended="exit status 3")
STARTS = UnitFact(UNIT, "loaded", "activating", "start", main_pid=7, restarts=2)


def verdict(trial: Trial) -> object:
    return judge(trial, HealthSpec(), STARTS, None, 2 * SECOND_NS, at_work=False, stopped=False)


def test_the_end_of_the_last_process_is_told_though_the_next_one_starts() -> None:
    trial = seen(seen(BEGUN, CRASHED, SECOND_NS), STARTS, 2 * SECOND_NS)
    told = "its main process ended 2 times, the last time with exit status 3"
    assert verdict(trial) == Unhealthy(told)
    assert trial_of(UNIT, plain(trial)) == trial


def test_what_ended_before_is_no_end_on_what_is_tried_now() -> None:
    trial = seen(BEGUN, CRASHED, SECOND_NS).begin(2 * SECOND_NS, 0)
    again = seen(trial, replace(STARTS, restarts=2), 3 * SECOND_NS)
    assert verdict(again) == Unhealthy("its main process ended 2 times")
