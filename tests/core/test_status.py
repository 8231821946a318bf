"""How things stand: the worst that holds, its reason, and one line for systemd."""

from typing import Any

import pytest

from jada_configd.core.marks import Mark
from jada_configd.core.model import ABSENT, Change, Drift, Json, Resource, ResourceId, Result
from jada_configd.core.report import Contest, Report
from jada_configd.core.snapshot import quantiles, resource_plain, standing_plain
from jada_configd.core.status import (
    Board,
    Last,
    State,
    overall,
    reason,
    state_of,
    worst,
)

FILE = ResourceId("settings", "/home/ubuntu/.claude/settings.json")
AGENT = ResourceId("service", "jada-agent.service")
LIMITS = ResourceId("unit-dropin", "jada-agent.service")
NOUNS = {"settings": "file", "unit-dropin": "file", "process-limits": "", "service": "service"}
SECOND_NS = 1_000_000_000
MODEL = Change(("model",), "haiku", "sonnet")


def report(
    result: Result,
    resource: ResourceId = FILE,
    *changes: Change,
    **other: Any,  # noqa: ANN401 - of the report
) -> Report:
    held = Resource(resource, None, "enforce", "policy.toml:7")
    drift = Drift(changes, other.get("problem"))
    return Report(held, result, drift, **other)


STATES: list[tuple[Report, State]] = [
    (report("in-sync"), "in-sync"),
    (report("in-sync", problem="jada-agent.service is inactive"), "in-sync"),
    (report("corrected"), "in-sync"),
    (report("waiting", again_ns=5), "correcting"),
    (report("waiting"), "drifted"),
    (report("waiting", opens_at=5), "drifted"),
    (report("drifted"), "drifted"),
    (report("reported"), "drifted"),
    (report("failed"), "drifted"),
    (report("failed", degrades=True), "degraded"),
    (report("held"), "held"),
    (report("contested"), "contested"),
    (report("corrected", contest=Contest("on", (), "")), "contested"),
    (report("failed", contest=Contest("on", (), "")), "contested"),
    (report("failed", degrades=True, contest=Contest("on", (), "")), "degraded"),
    (report("in-sync", contest=Contest("over", (), "")), "in-sync"),
]


@pytest.mark.parametrize(("said", "state"), STATES)
def test_what_one_resource_makes_of_the_host(said: Report, state: State) -> None:
    assert state_of(said) == state


def test_the_worst_counts_in_the_order_that_is_promised() -> None:
    states: list[State] = ["degraded", "contested", "drifted", "correcting", "held", "in-sync"]
    while states:
        assert worst(reversed(states)) == states[0]
        states.pop(0)
    assert worst([]) == "in-sync"


def test_a_trouble_of_the_daemon_itself_comes_first() -> None:
    state, why = overall([report("drifted", FILE, MODEL)], ["no bus", "no state"])
    assert (state, why) == ("degraded", "no bus")


def test_nothing_is_said_of_a_host_in_sync() -> None:
    assert overall([report("in-sync"), report("corrected", AGENT)], []) == ("in-sync", "")


def test_the_reason_names_the_first_of_the_worst_and_counts_the_others() -> None:
    reports = [
        report("waiting", AGENT, again_ns=5),
        report("drifted", FILE, MODEL),
        report("failed", LIMITS, problem="is a FIFO"),
    ]
    state, why = overall(reports, [])
    assert state == "drifted"
    assert why == "settings:/home/ubuntu/.claude/settings.json: /model (and 1 more)"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (report("failed", FILE, MODEL, problem="is a FIFO"), "is a FIFO"),
        (report("drifted", FILE, MODEL), "/model"),
        (
            report("drifted", FILE, *(Change((each,), 1, 2) for each in "abcde")),
            "/a, /b, /c and 2 more",
        ),
        (report("held"), "held"),
    ],
)
def test_why_a_resource_is_not_in_sync(said: Report, why: str) -> None:
    assert reason(said) == f"{FILE}: {why}"


def test_hostile_names_are_escaped_in_the_reason() -> None:
    hostile = ResourceId("settings", "/home/eve/\x1b[2J\n.json")
    state, why = overall([report("drifted", hostile, Change(("\udc80\r",), 1, 2))], [])
    assert state == "drifted"
    assert why.isprintable()
    assert overall([], ["a\nb"]) == ("degraded", r"a\nb")


# ------------------------------------------------------------------------------ STATUS=


def board(*reports: Report) -> Board:
    board = Board(NOUNS)
    for each in reports:
        board.take(each, "2026-11-20T20:00:00.000Z")
    return board


def test_the_line_counts_what_is_held() -> None:
    held = board(report("in-sync", FILE), report("in-sync", LIMITS), report("in-sync", AGENT))
    assert held.line("in-sync", "") == "in sync: 2 files, 1 service"
    assert board(report("in-sync")).line("in-sync", "") == "in sync: 1 file"


def test_the_line_tells_the_last_correction() -> None:
    held = board(report("in-sync", FILE))
    held.last = Last("14:03:22", MODEL, 0.0009)
    said = held.line("in-sync", "")
    assert said == "in sync: 1 file; last correction 14:03:22 /model (0.9 ms)"
    held.last = Last("14:03:22", None, 1.5)
    assert held.line("in-sync", "").endswith("; last correction 14:03:22 a lost file (1.5 s)")
    held.last = Last("14:03:22", Change(("a\nb",), ABSENT, 1), 1.5)
    assert held.line("in-sync", "").isprintable()


def test_the_line_says_what_is_wrong_before_all_else() -> None:
    held = board(report("drifted", FILE, MODEL))
    held.last = Last("14:03:22", MODEL, 0.0009)
    assert held.line("drifted", "why") == "drifted: why"


# ------------------------------------------------------------------------------ news


def lacks(problem: str) -> Report:
    """A limit of processes that is left as it is."""
    return report("drifted", AGENT, Change(("nofile", "soft"), 1, 2), problem=problem)


NEWS: list[tuple[Report, Report, bool]] = [
    (report("in-sync"), report("in-sync"), False),
    (report("in-sync"), report("drifted", FILE, MODEL), True),
    (report("drifted", FILE, MODEL), report("drifted", FILE, MODEL), False),
    (report("drifted", FILE, MODEL), report("in-sync"), True),
    (report("corrected", FILE, MODEL), report("in-sync"), False),
    (report("in-sync"), report("corrected", FILE, MODEL), True),
    (report("corrected", FILE, MODEL), report("corrected", FILE, MODEL), True),
    (report("failed", problem="full"), report("failed", problem="full"), False),
    (report("failed", problem="full"), report("failed", problem="read-only"), True),
    (
        report("reported", FILE, Change(("a",), 1, 2)),
        report("reported", FILE, Change(("a",), have=True, want=2)),
        True,
    ),
    (
        report("reported", FILE, Change(("a",), 1, 2)),
        report("reported", FILE, Change(("a",), 1.0, 2)),
        False,
    ),
    (
        report("reported", FILE, Change(("a",), None, 2)),
        report("reported", FILE, Change(("a",), ABSENT, 2)),
        True,
    ),
    (
        report("reported", FILE, Change(("a",), 1, 2)),
        report("reported", FILE, Change(("b",), 1, 2)),
        True,
    ),
    (report("reported", FILE, MODEL), report("reported", FILE), True),
    (report("contested", FILE, MODEL, problem="x"), report("contested", problem="x"), False),
    (report("contested", problem="x"), report("contested", problem="y"), True),
    (report("contested", problem="x"), report("contested", problem="x", corrected_ns=5), True),
    (
        report("failed", problem="full"),
        report("failed", problem="full", contest=Contest("begun", (), "")),
        True,
    ),
    (lacks("process 7 (a) has nofile 1:2"), lacks("process 7 (b) has nofile 1:2"), False),
    (lacks("process 7 (a) has nofile 1:2"), lacks("process 8 (a) has nofile 1:2"), False),
    (lacks("process 7 (a) has nofile 1:2"), lacks("process 7 (a) has nofile 1:3"), True),
    (lacks("process 7 takes no nofile 2"), lacks("process 8 takes no nofile 2"), False),
    (
        lacks("process 7 (a)b (x) has nofile 1:2, and so it is with one more process; b"),
        lacks("process 9 (c) has nofile 1:2, and so it is with 10,000 or more other processes; b"),
        False,
    ),
    (
        report("drifted", AGENT, problem="user 5, as whom process 7 (a) runs, has reached 80 %"),
        report("drifted", AGENT, problem="user 5, as whom process 8 (b) runs, has reached 80 %"),
        False,
    ),
    (
        report("drifted", AGENT, problem="process 7 (a) has reached 80 %"),
        report("drifted", AGENT, problem="process 7 (a) has reached 90 %"),
        True,
    ),
]


@pytest.mark.parametrize(("first", "then", "news"), NEWS)
def test_what_is_news(first: Report, then: Report, *, news: bool) -> None:
    held = board(first)
    assert held.take(then, "later") == news


def test_a_service_that_crashes_and_crashes_is_news_once() -> None:
    """Between two crashes it runs for a moment, and is started."""
    held = Board(NOUNS)
    crashes = "jada-agent.service has failed (exit-code) and is started again and again"
    failed = [
        report("drifted", AGENT, problem=crashes, detected_ns=second * SECOND_NS)
        for second in (1, 2, 3, 62, 123)
    ]
    starting = report("waiting", AGENT, problem="is activating", again_ns=1)
    told = []
    for each in failed:
        told.append(held.take(each, "t"))
        held.take(starting, "t")
        held.take(report("in-sync", AGENT), "t")
    assert told == [True, False, False, False, True]
    other = report("drifted", AGENT, problem="is masked", detected_ns=124 * SECOND_NS)
    assert held.take(other, "t")
    again = report("drifted", AGENT, problem=crashes, detected_ns=125 * SECOND_NS)
    assert held.take(again, "t")


def test_one_process_after_the_other_that_comes_too_near_is_news_once() -> None:
    """And so is that it has gone."""
    held = Board(NOUNS)
    told = []
    for second in (1, 2, 3, 120):
        problem = f"process {second} (worker {second}) has reached 80 % of the nofile limit of 1000"
        for look in (0, 1):
            now_ns = (second + look) * SECOND_NS
            told.append(
                held.take(report("drifted", AGENT, problem=problem, detected_ns=now_ns), "t")
            )
        told.append(held.take(report("in-sync", AGENT, eased="it is within"), "t"))
    once = [True, False, True]
    assert told == [*once, *[False] * 6, *once]


def test_a_field_that_drifts_and_drifts_is_news_each_time() -> None:
    held = Board(NOUNS)
    for second in (1, 2):
        drifted = report("reported", FILE, MODEL, detected_ns=second * SECOND_NS)
        assert held.take(drifted, "t")
        held.take(report("in-sync"), "t")


def test_the_first_report_of_a_resource_is_news() -> None:
    assert Board(NOUNS).take(report("in-sync"), "now")


def test_a_number_that_cannot_be_printed_is_compared_all_the_same() -> None:
    huge: list[Json] = [10**5000, 10**5000 + 1]
    one, other = (report("reported", FILE, Change(("model",), each, "sonnet")) for each in huge)
    held = board(one)
    assert not held.take(one, "later")
    assert held.take(other, "later")


def test_corrections_and_new_failures_are_counted() -> None:
    held = board(
        report("corrected", FILE, MODEL),
        report("corrected", FILE, MODEL),
        report("failed", FILE, problem="full"),
        report("failed", FILE, problem="full"),
        report("failed", FILE, problem="read-only"),
    )
    assert held.entries[FILE].corrections == 2
    assert held.counters.corrections == 2
    assert held.counters.failures == 2


def test_a_resource_is_as_it_is_since_its_state_changed() -> None:
    held = Board(NOUNS)
    times = ["1", "2", "3", "4", "5"]
    for said, now in zip(
        (
            report("in-sync"),
            report("corrected", FILE, MODEL),
            report("drifted", FILE, MODEL),
            report("failed", FILE, MODEL),
            report("in-sync"),
        ),
        times,
        strict=True,
    ):
        held.take(said, now)
        assert held.entries[FILE].report is said
        assert held.entries[FILE].since == {"2": "1", "4": "3"}.get(now, now)


def test_what_is_no_longer_held_leaves_the_board() -> None:
    held = board(report("in-sync", FILE), report("in-sync", AGENT))
    held.hold({AGENT: Resource(AGENT, None, "enforce", "policy.toml:1")})
    assert [each.resource.id for each in held.reports()] == [AGENT]


# ------------------------------------------------------------------------------ figures


@pytest.mark.parametrize(
    ("values", "p50", "p99"),
    [
        ([], None, None),
        ([0.001], 1.0, 1.0),
        ([0.003, 0.001, 0.002], 2.0, 3.0),
        ([each / 1000 for each in range(101)], 50.0, 99.0),
    ],
)
def test_latencies_are_told_in_milliseconds(
    values: list[float], p50: float | None, p99: float | None
) -> None:
    assert quantiles(values) == {"p50": p50, "p99": p99}


def test_a_resource_in_plain_json() -> None:
    said = report(
        "drifted", FILE, Change(("model",), ABSENT, "sonnet"), actions=("replace it",), problem="x"
    )
    assert resource_plain(said) == {
        "id": "settings:/home/ubuntu/.claude/settings.json",
        "result": "drifted",
        "origin": "policy.toml:7",
        "changes": [{"field": "/model", "want": "sonnet"}],
        "problem": "x",
        "actions": ["replace it"],
    }


def clock(at: float) -> str:
    return f"at {at:g}"


def test_of_a_service_of_which_nothing_is_known_all_is_null() -> None:
    assert standing_plain(None, None, None, None, (), clock) == {
        "healthy": None,
        "health": None,
        "rolled_back": None,
        "breaker": None,
        "latency_ms": {"healthy": {"p50": None, "p99": None}},
    }


@pytest.mark.parametrize("well", [True, False, None])
def test_what_was_taken_back_is_told_with_how_the_service_does_since(*, well: bool | None) -> None:
    mark = Mark("a.service", "sha256:0", "exit status 3", 7.0, {"settings:/a": None}, well)
    said = standing_plain(False, "a.service is not healthy: no", mark, None, (5.2,), clock)  # noqa: FBT003 - as in status
    assert said["rolled_back"] == {
        "revision": "sha256:0",
        "why": "exit status 3",
        "since": "at 7",
        "healthy": well,
    }
    assert said["health"] == {"why": "a.service is not healthy: no"}
    assert said["latency_ms"] == {"healthy": {"p50": 5200.0, "p99": 5200.0}}


@pytest.mark.parametrize(("retry_at", "told"), [(60.0, "at 60"), (None, None)])
def test_a_breaker_is_told_with_its_moments(retry_at: float | None, told: str | None) -> None:
    breaker = {"state": "open", "failures": 3, "since": 7.0, "why": "no", "retry_at": retry_at}
    said = standing_plain(None, None, None, breaker, (), clock)["breaker"]
    assert said == {**breaker, "since": "at 7", "retry_at": told}
