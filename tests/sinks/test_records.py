"""Which events of services are records: what went well is none, what went back is the loudest."""

import logging.handlers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from jada_configd.core.report import BreakerMoved, Event, Outcome, Tried
from jada_configd.sinks.journal import MESSAGE_IDS
from jada_configd.sinks.records import Records

AGENT = "jada-agent.service"
ENDED = "its main process ended 2 times, the last time with exit status 3"
IN_TIME, CHANGED = "which are tried in 1800 s", "the policy has changed"
CRITICAL, ERROR, NOTICE = (
    logging.handlers.SysLogHandler.LOG_CRIT,
    logging.handlers.SysLogHandler.LOG_ERR,
    logging.handlers.SysLogHandler.LOG_NOTICE,
)


@dataclass
class Sent:
    """What was sent: event, priority, text and fields."""

    records: list[tuple[str, int, str]] = field(default_factory=list)
    fields: list[Mapping[str, str | Sequence[str]]] = field(default_factory=list)

    def send(
        self, event: str, text: str, priority: int, fields: Mapping[str, str | Sequence[str]]
    ) -> None:
        self.records.append((event, priority, text))
        self.fields.append(fields)


def sent(*events: Event) -> Sent:
    found = Sent()
    records = Records(found.send)
    for each in events:
        records.handle(each)
    assert all(event in MESSAGE_IDS for event, _, _ in found.records)
    return found


def tried(outcome: Outcome, why: str = ENDED, *fields: str, **other: object) -> Tried:
    return Tried(AGENT, outcome, why, fields, 5.2, **other)  # type: ignore[arg-type]


def test_a_service_that_does_well_is_no_news() -> None:
    assert sent(tried("healthy", "", "/model")).records == []


def test_one_that_does_not_and_stays_so_has_failed() -> None:
    found = sent(tried("unhealthy", ENDED, "/model", "/env/A"))
    text = f"{AGENT} did not become healthy with /model, /env/A: {ENDED}"
    assert found.records == [("failed", ERROR, text)]
    assert found.fields == [
        {"JADA_RESOURCE": f"service:{AGENT}", "JADA_FIELD": ["/model", "/env/A"]}
    ]


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ({"well": True}, "and it is healthy on that"),
        (
            {"well": False, "beside": "no answer"},
            "and it is not healthy on that either: no answer",
        ),
        (
            {"well": None, "beside": "somebody has stopped it"},
            "and how it does on that is not known: somebody has stopped it",
        ),
    ],
)
def test_a_roll_back_is_one_critical_record_that_says_what_to_type(
    end: dict[str, object], told: str
) -> None:
    ((event, priority, text),) = sent(tried("rolled-back", ENDED, "/model", **end)).records
    assert (event, priority) == ("rolled-back", CRITICAL)
    assert text == (
        f"{AGENT} did not become healthy with /model: {ENDED}; what stood before was put back, "
        f"{told}; this policy is not tried on it again until it changes, or until "
        f"`jada-configd retry {AGENT}`"
    )


def test_a_file_as_a_whole_is_no_field_and_of_many_some_are_named() -> None:
    found = sent(tried("unhealthy", ENDED, ""))
    assert found.records[0][2] == f"{AGENT} did not become healthy: {ENDED}"
    assert found.fields[0]["JADA_FIELD"] == []
    many = [f"/{number}" for number in range(11)]
    found = sent(tried("unhealthy", ENDED, *many))
    assert "/7, and 3 more: its main" in found.records[0][2]
    assert found.fields[0]["JADA_FIELD"] == many


@pytest.mark.parametrize(
    ("event", "priority", "text"),
    [
        (
            BreakerMoved(AGENT, "open", ENDED, 1800.0),
            ERROR,
            f"the fallback of {AGENT} is held in place of the policy's values, {IN_TIME}: {ENDED}",
        ),
        (
            BreakerMoved(AGENT, "half-open", "its time has come"),
            NOTICE,
            f"the policy's values are tried on {AGENT} once: its time has come",
        ),
        (
            BreakerMoved(AGENT, "closed", CHANGED),
            NOTICE,
            f"the policy's values are held for {AGENT} again, not its fallback: {CHANGED}",
        ),
    ],
)
def test_each_move_of_a_breaker_is_one_record(
    event: BreakerMoved, priority: int, text: str
) -> None:
    found = sent(event)
    assert found.records == [("fallback", priority, text)]
    assert found.fields == [{"JADA_RESOURCE": f"service:{AGENT}"}]


def test_whatever_a_service_says_of_itself_is_escaped() -> None:
    hostile = "ended with \x1b[2J\nPRIORITY=7"
    events = (
        tried("unhealthy", hostile, f"/{hostile}"),
        tried("rolled-back", hostile, well=False, beside=hostile),
        BreakerMoved(AGENT, "open", hostile, 60.0),
    )
    for _, _, text in sent(*events).records:
        assert text.isprintable()
