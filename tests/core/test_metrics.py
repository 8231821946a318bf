"""The table of metrics: names by Prometheus' conventions, bounded, and each one documented."""

import re
from pathlib import Path
from typing import Any

import pytest

from jada_configd.core.account import Account
from jada_configd.core.histogram import Histogram
from jada_configd.core.metrics import METRICS, PREFIX
from jada_configd.core.report import BreakerMoved, ServiceApplied, Tried
from jada_configd.core.samples import RESOURCES_MOST, Facts

DOCS = Path(__file__).resolve().parents[2] / "docs/metrics.md"
ROW = re.compile(r"\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|")
USAGE = {
    "nofile": {"used": 5, "limit": 100, "share": 0.05, "pid": 7, "name": "python3"},
    "as": {"used": 4096, "limit": "infinity", "share": None, "pid": 7, "name": "python3"},
    "processes": 2,
    "threads": 9,
    "measured": "2026-11-20T20:00:00.000Z",
}


def service(unit: str = "a.service", **other: object) -> dict[str, object]:
    plain = {
        "unit": unit,
        "active": "active",
        "loaded": True,
        "healthy": True,
        "rolled_back": None,
        "breaker": None,
        "usage": None,
    }
    return {**plain, **other}


def facts(account: Account | None = None, **other: object) -> Facts:
    """How things stand on a host of which all is known, unless it is said otherwise."""
    snapshot: dict[str, Any] = {
        "state": "in-sync",
        "mode": "enforce",
        "version": "0.1.0",
        "policy": {"path": "/p", "revision": "sha256:0", "error": None},
        "resources": [{"id": "sysctl:fs.nr_open", "result": "in-sync"}],
        "services": [service()],
        "counters": {"passes": 120, "overflows": 1},
    }
    return Facts({**snapshot, **other}, account or Account(1.5))


def values(name: str, of: Facts) -> dict[tuple[str, ...], object]:
    (metric,) = (each for each in METRICS if each.name == name)
    return dict(metric.samples(of))


def test_every_metric_is_documented_as_it_is() -> None:
    rows = [match.groups() for match in ROW.finditer(DOCS.read_text())]
    assert rows == [
        (
            PREFIX + each.name,
            each.sort,
            ", ".join(f"`{label}`" for label in each.labels),
            each.help,
        )
        for each in METRICS
    ]


def test_names_end_as_they_should_and_stand_once() -> None:
    names = [each.name for each in METRICS]
    assert len(set(names)) == len(names)
    for each in METRICS:
        assert re.fullmatch("[a-z][a-z_]*[a-z]", each.name)
        assert each.name.endswith("_total") == (each.sort == "counter")
        assert not each.name.endswith(("_count", "_sum", "_bucket"))
        assert each.sort != "histogram" or each.name.endswith("_seconds")
        assert each.help.endswith(".")


def test_one_state_of_all_holds() -> None:
    found = values("state", facts(state="held"))
    assert found[("held",)] == 1
    assert list(found.values()).count(0) == len(found) - 1 == 5


def test_counters_are_there_before_anything_has_happened() -> None:
    counters = ("drifts_total", "corrections_total", "correction_failures_total", "contests_total")
    for name in (*counters, "contested_fields"):
        assert values(name, facts()) == {("sysctl",): 0}
    applies = {("a.service", "done"): 0, ("a.service", "failed"): 0}
    assert values("service_applies_total", facts()) == applies
    assert values("policy_load_failures_total", facts()) == {(): 0}
    trials = {("a.service", each): 0 for each in ("healthy", "unhealthy", "rolled-back")}
    assert values("service_trials_total", facts()) == trials
    back = {("a.service", each): 0 for each in ("yes", "no", "unknown")}
    assert values("service_rollbacks_total", facts()) == back
    (recovery,) = values("service_recovery_duration_seconds", facts()).values()
    assert isinstance(recovery, Histogram)
    assert recovery.count == 0


def test_what_comes_of_trials_stands_beside_what_has_not_come() -> None:
    account = Account(0)
    account.take(Tried("a.service", "healthy", "", (), 5.2), 1)
    account.take(Tried("a.service", "rolled-back", "why", (), 9.0, well=False), 1)
    found = facts(account, services=[service(), service("b.service")])
    trials = values("service_trials_total", found)
    assert trials["a.service", "healthy"] == trials["a.service", "rolled-back"] == 1
    assert trials["b.service", "healthy"] == trials["a.service", "unhealthy"] == 0
    back = values("service_rollbacks_total", found)
    assert (back["a.service", "no"], back["a.service", "yes"], len(back)) == (1, 0, 6)
    timed = values("service_recovery_duration_seconds", found)
    assert timed["a.service",] is account.recovery_seconds["a.service"]


def test_whether_it_is_rolled_back_now_is_said_of_every_service() -> None:
    back = {"revision": "sha256:0", "why": "why", "since": "", "healthy": True}
    found = facts(services=[service(rolled_back=back), service("b.service")])
    assert values("service_rolled_back", found) == {("a.service",): 1, ("b.service",): 0}


@pytest.mark.parametrize("state", ["closed", "open", "half-open"])
def test_one_state_of_a_breaker_holds_and_who_has_none_has_no_series(state: str) -> None:
    account = Account(0)
    account.take(BreakerMoved("a.service", "open", "why", 60.0), 1)
    found = facts(account, services=[service(breaker={"state": state}), service("b.service")])
    states = values("service_breaker_state", found)
    assert states.keys() == {("a.service", each) for each in ("closed", "open", "half-open")}
    assert [each for each, number in states.items() if number] == [("a.service", state)]
    moves = values("service_breaker_transitions_total", found)
    assert moves.keys() == states.keys()
    assert [each for each, number in moves.items() if number] == [("a.service", "open")]


def test_moments_are_there_once_they_have_come() -> None:
    assert values("start_time_seconds", facts()) == {(): 1.5}
    assert values("last_correction_timestamp_seconds", facts()) == {}


def test_a_host_without_a_policy_says_so() -> None:
    policy = {"path": "/p", "revision": None, "error": "p:1:1: is wrong"}
    none = facts(policy=policy, mode=None, resources=[], services=[])
    assert values("policy_info", none) == {}
    assert values("policy_valid", none) == {(): 0}


def test_a_resource_that_is_gone_has_no_series_and_one_that_stays_has() -> None:
    resources = [{"id": "settings:/a:b", "result": "failed"}]
    found = facts(resources=resources)
    assert values("resource_in_sync", found) == {("settings:/a:b", "settings"): 0}
    assert values("resources", found)[("failed",)] == 1
    assert values("resource_in_sync", facts(resources=[])) == {}


def test_of_too_many_resources_those_that_are_not_in_sync_have_a_series() -> None:
    names = [f"settings:/{number}" for number in range(RESOURCES_MOST + 5)]
    resources = [{"id": name, "result": "in-sync"} for name in names[:-1]]
    found = facts(resources=[*resources, {"id": names[-1], "result": "drifted"}])
    shown = values("resource_in_sync", found)
    assert len(shown) == RESOURCES_MOST
    assert shown[(names[-1], "settings")] == 0
    assert values("resources", found)[("in-sync",)] == RESOURCES_MOST + 4


def test_units_that_have_left_the_policy_have_no_series_and_come_back_with_theirs() -> None:
    account = Account(0)
    account.take(ServiceApplied("a.service", "restart", "timeout", (), 3), 1)
    here, gone = facts(account), facts(account, services=[])
    assert values("service_applies_total", here)[("a.service", "timeout")] == 1
    assert ("a.service",) in values("service_apply_duration_seconds", here)
    for metric in METRICS:
        if "unit" in metric.labels:
            assert not list(metric.samples(gone))


@pytest.mark.parametrize(
    ("active", "up"), [("active", 1), ("reloading", 1), ("activating", 0), ("failed", 0)]
)
def test_a_unit_is_up_while_it_runs(active: str, up: int) -> None:
    found = facts(services=[service(active=active, healthy=None, loaded=False)])
    assert values("service_up", found) == {("a.service",): up}
    assert values("service_healthy", found) == {}
    assert values("service_loaded", found) == {("a.service",): 0}


def test_use_stands_beside_its_limit() -> None:
    found = facts(services=[service(usage=USAGE), service("b.service")])
    nofile, memory = ("a.service", "nofile"), ("a.service", "as")
    assert values("service_limit_used", found) == {nofile: 5, memory: 4096}
    assert values("service_limit", found) == {nofile: 100, memory: float("inf")}
    assert values("service_processes", found) == {("a.service",): 2}
    assert values("service_threads", found) == {("a.service",): 9}
