"""Which events are worth a journal record, and what it says; `journal.py` sends it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from jada_configd.core.breaker import held_in_place
from jada_configd.core.model import pointer
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
from jada_configd.core.wording import change_line, escaped, seconds

Send: TypeAlias = Callable[[str, str, int, Mapping[str, str | Sequence[str]]], None]

CRITICAL: Final = 2  # priorities as in syslog(3)
ERROR: Final = 3
WARNING: Final = 4
NOTICE: Final = 5
_CHANGES_SHOWN: Final = 8


class Records:
    """Tells the journal each event once; a pass that found nothing new has none."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def handle(self, event: Event) -> None:
        """Send the record of an event."""
        match event:
            case Reconciled(report):
                self._reconciled(report)
            case ServiceApplied():
                self._applied(event)
            case Tried():
                self._tried(event)
            case BreakerMoved():
                self._breaker_moved(event)
            case PolicyLoaded():
                self._send("policy-loaded", _loaded(event), NOTICE, {})
            case PolicyRejected():
                text = f"{escaped(event.path)} does not load:\n" + "\n".join(event.messages)
                self._send("policy-rejected", text, ERROR, {})

    def close(self) -> None:
        """Nothing is kept open here."""

    def _reconciled(self, report: Report) -> None:
        identity = escaped(str(report.resource.id))
        fields = {
            "JADA_RESOURCE": str(report.resource.id),
            "JADA_FIELD": [pointer(change.field) for change in report.drift.changes],
        }
        changes = _changes(report)
        if report.eased:
            self._send("eased", f"{identity}: {report.eased}", NOTICE, fields)
        if report.contest is not None:
            self._contest(report.contest, identity, fields)
        match report.result:
            case "corrected":
                took = seconds((report.corrected_ns - report.detected_ns) / 1e9)
                why = f"; found: {escaped(report.drift.problem)}" if report.drift.problem else ""
                text = f"corrected {identity}{changes} ({took}){why}"
                self._send("corrected", text, NOTICE, fields)
            case "failed":
                text = f"cannot correct {identity}{changes}: {escaped(report.problem or '')}"
                more = {"JADA_TRACEBACK": report.traceback} if report.traceback else {}
                self._send("failed", text, ERROR, {**fields, **more})
            case "drifted" if report.degrades:
                pass  # that the host went back on the policy has its own record
            case "drifted" | "reported" if not (report.eased and report.known):
                why = f": {escaped(report.problem)}" if report.problem else ""
                self._send("drift", f"drift in {identity}{changes}{why}", WARNING, fields)
            case "waiting" if report.again_ns is None:
                text = f"drift in {identity}{changes}: {escaped(report.problem or '')}"
                self._send("drift", text, WARNING, fields)

    def _contest(
        self, contest: Contest, identity: str, fields: Mapping[str, str | Sequence[str]]
    ) -> None:
        """One record when it begins, one when it is over, and none in between."""
        about = {**fields, "JADA_FIELD": [pointer(each) for each in contest.fields]}
        if contest.stands == "begun":
            self._send("contested", f"{identity} is contested: {contest.sentence}", WARNING, about)
        elif contest.stands == "over":
            self._send("uncontested", f"{identity}: {contest.sentence}", NOTICE, about)

    def _applied(self, event: ServiceApplied) -> None:
        took = seconds(event.seconds)
        fields = {"JADA_RESOURCE": f"service:{event.unit}", "JADA_FIELD": event.fields}
        if event.job_result == "done":
            text = f"{event.how} of {escaped(event.unit)} is done ({took})"
            self._send("service-applied", text, NOTICE, fields)
        else:
            text = f"{event.how} of {escaped(event.unit)} ended: {event.job_result} ({took})"
            self._send("failed", text, ERROR, fields)

    def _tried(self, event: Tried) -> None:
        """What went well is no news: the job of it has been told."""
        unit, why = escaped(event.unit), escaped(event.why)
        named = [each for each in event.fields if each]  # "" is a file as a whole
        fields = {"JADA_RESOURCE": f"service:{event.unit}", "JADA_FIELD": named}
        changed = f" with {_some(list(map(escaped, named)), ', ')}" if named else ""
        if event.outcome == "unhealthy":
            text = f"{unit} did not become healthy{changed}: {why}"
            self._send("failed", text, ERROR, fields)
        elif event.outcome == "rolled-back":
            ends = {
                True: "and it is healthy on that",
                False: f"and it is not healthy on that either: {escaped(event.beside)}",
                None: f"and how it does on that is not known: {escaped(event.beside)}",
            }
            text = (
                f"{unit} did not become healthy{changed}: {why}; what stood before was put back, "
                f"{ends[event.well]}; this policy is not tried on it again until it changes, or "
                f"until `jada-configd retry {unit}`"
            )
            self._send("rolled-back", text, CRITICAL, fields)

    def _breaker_moved(self, event: BreakerMoved) -> None:
        unit, why = escaped(event.unit), escaped(event.why)
        fields = {"JADA_RESOURCE": f"service:{event.unit}"}
        match event.state:
            case "open":
                again = "" if event.retry is None else f", which are tried in {event.retry:g} s"
                text = f"{held_in_place(unit, None)}{again}: {why}"
                self._send("fallback", text, ERROR, fields)
            case "half-open":
                text = f"the policy's values are tried on {unit} once: {why}"
                self._send("fallback", text, NOTICE, fields)
            case "closed":
                text = f"the policy's values are held for {unit} again, not its fallback: {why}"
                self._send("fallback", text, NOTICE, fields)


def _loaded(event: PolicyLoaded) -> str:
    return "\n".join([f"{escaped(event.path)} is in force, {event.revision}", *event.warnings])


def _changes(report: Report) -> str:
    """The changes in one piece of text: as many as a line bears, and how many more."""
    text = _some([change_line(change) for change in report.drift.changes], "; ")
    return f": {text}" if text else ""


def _some(items: Sequence[str], between: str) -> str:
    shown = items[:_CHANGES_SHOWN]
    more = len(items) - len(shown)
    return between.join([*shown, *([f"and {more} more"] if more else [])])
