"""How things stand as plain JSON: what `check`, `apply` and `status` print with `--json`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from jada_configd.core.facts import UnitFact, Usage
from jada_configd.core.marks import Mark
from jada_configd.core.report import Report
from jada_configd.core.status import Board
from jada_configd.core.wording import change_plain


def snapshot(
    board: Board, head: Mapping[str, Any], services: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The whole of `status --json`; `head` is what is said of the daemon and its policy."""
    return {
        **head,
        "resources": [
            {
                "id": str(each),
                "result": entry.report.lasting,
                "since": entry.since,
                "corrections": entry.corrections,
                "problem": entry.report.problem,
            }
            for each, entry in sorted(board.entries.items())
        ],
        "services": list(services),
        "counters": asdict(board.counters),
        "latency_ms": {
            "corrected": quantiles(board.corrected),
            "healthy": quantiles(each for kept in board.healthy.values() for each in kept),
        },
    }


def service_plain(
    unit: UnitFact,
    *,
    loaded: bool,
    standing: Mapping[str, Any],
    usage: Usage | None = None,
    measured: str | None = None,
) -> dict[str, Any]:
    """One service; `standing` is how it does (`standing_plain`).

    `measured` is when its usage was looked at; there is none where nothing of it runs.
    """
    return {
        "unit": unit.name,
        "active": unit.active_state,
        "main_pid": unit.main_pid,
        "loaded": loaded,
        **standing,
        "usage": None if usage is None else {**usage_plain(usage), "measured": measured},
    }


def standing_plain(
    healthy: bool | None,  # noqa: FBT001 - null is a third value
    ailment: str | None,
    mark: Mark | None,
    breaker: Mapping[str, Any] | None,
    latencies: Iterable[float],
    clock: Callable[[float], str],
) -> dict[str, Any]:
    """How a service does on what is held, for `status`: null is what is not known, or not there."""
    return {
        "healthy": healthy,
        "health": None if ailment is None else {"why": ailment},
        "rolled_back": None
        if mark is None
        else {
            "revision": mark.revision,
            "why": mark.why,
            "since": clock(mark.since),
            "healthy": mark.well,
        },
        "breaker": None if breaker is None else _breaker_plain(breaker, clock),
        "latency_ms": {"healthy": quantiles(latencies)},
    }


def _breaker_plain(breaker: Mapping[str, Any], clock: Callable[[float], str]) -> dict[str, Any]:
    retry_at = breaker["retry_at"]
    return {
        **breaker,
        "since": clock(breaker["since"]),
        "retry_at": None if retry_at is None else clock(retry_at),
    }


def usage_plain(usage: Usage) -> dict[str, Any]:
    """By limit the process that is nearest to it, and what the unit has in all.

    `share` is null where `limit` is "infinity": nothing binds it then. A limit that bounds a user
    has a `uid`, one that bounds the unit as a whole no process.
    """
    plain: dict[str, Any] = {}
    for limit, (nearest, *_) in sorted(usage.uses.items()):
        bound = nearest.limit is not None
        plain[limit] = {
            "used": nearest.used,
            "limit": nearest.limit if bound else "infinity",
            "share": round(nearest.share, 3) if bound else None,
        }
        if nearest.pid:
            plain[limit] |= {"pid": nearest.pid, "name": nearest.name}
        if nearest.uid >= 0:
            plain[limit]["uid"] = nearest.uid
    return {**plain, "processes": usage.processes, "threads": usage.threads}


def resource_plain(report: Report) -> dict[str, Any]:
    """One resource for `check --json` and `apply --json`."""
    return {
        "id": str(report.resource.id),
        "result": report.result,
        "origin": report.resource.origin,
        "changes": [change_plain(change) for change in report.drift.changes],
        "problem": report.problem,
        "actions": list(report.actions),
    }


def quantiles(values: Iterable[float]) -> dict[str, float | None]:
    """Median and 99th percentile in milliseconds, null where nothing was measured."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": None, "p99": None}
    last = len(ordered) - 1
    return {
        name: round(ordered[min(last, round(share * last))] * 1000, 3)
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }
