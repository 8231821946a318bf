"""How things stand as plain JSON: what `check`, `apply` and `status` print with `--json`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from jada_configd.core.report import Report
from jada_configd.core.seams import UnitFact
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
                # What stays true after the moment of a correction.
                "result": "in-sync" if entry.report.result == "corrected" else entry.report.result,
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
            "healthy": quantiles(board.healthy),
        },
    }


def service_plain(unit: UnitFact, *, loaded: bool) -> dict[str, Any]:
    """One service; without a health check of its own it is healthy when it is active."""
    return {
        "unit": unit.name,
        "active": unit.active_state,
        "main_pid": unit.main_pid,
        "loaded": loaded,
        "healthy": unit.active_state == "active",
    }


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
