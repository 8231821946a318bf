"""What an operator is told of trials and breakers on a host: metrics, `status`, the journal."""

import pytest

from tests import promtool
from tests.system.host import Host
from tests.system.test_metrics import FILE, WAY, value
from tests.system.trials import (
    AGENT,
    CHECKED,
    WANTED,
    Watch,
    bring,
    calm,
    policy,
    service,
    settings,
)

BAD, HAIKU = "claude-bad", "claude-haiku-4-5"
METRICS = f'[metrics]\ntextfile = "{FILE}"'
FALLBACK = {"settings": "agent", "set": {"model": HAIKU}, "after": 2, "retry": "3s"}
UNIT = f'unit="{AGENT}"'


@pytest.fixture
def host(shared_host: Host) -> Host:
    """The module's host as it was at first, with a place for metrics."""
    calm(shared_host)
    shared_host.sh(f"mkdir -p {WAY}")
    return shared_host


def rules(model: str) -> str:
    return policy(settings(model), service(), METRICS)


def shown(host: Host) -> str:
    """`status` for people, without line ends."""
    return " ".join(host.run(["jada-configd", "status"], check=False).stdout.split())


def test_a_roll_back_is_counted_shown_and_explained(host: Host) -> None:
    bring(host, f"{BAD}=exit")
    watch = Watch.begin(host, rules(WANTED))
    watch.until(lambda: value(host, f"service_rolled_back{{{UNIT}}}") == 0)
    assert value(host, f'service_rollbacks_total{{{UNIT},healthy="yes"}}') == 0
    watch.reload(rules(BAD))
    watch.goes_back()
    watch.until(lambda: value(host, f"service_rolled_back{{{UNIT}}}") == 1)
    watch.until(lambda: value(host, f'service_rollbacks_total{{{UNIT},healthy="yes"}}') == 1)
    assert value(host, f'service_trials_total{{{UNIT},outcome="rolled-back"}}') == 1
    assert promtool.check(host.read(FILE)) == ""
    said = shown(host)
    (_, below) = said.split("SERVICE ACTIVE")
    assert "this policy was taken back at 20" in below
    assert (
        f"it is healthy on what stood before `jada-configd retry {AGENT}` tries it again" in below
    )
    assert f"see {AGENT} below" in said
    (record,) = watch.records("rolled-back")
    assert (record["PRIORITY"], record["JADA_RESOURCE"]) == ("2", f"service:{AGENT}")
    explained = host.run(["journalctl", "-x", "JADA_EVENT=rolled-back"]).stdout
    assert "and was taken back" in explained
    watch.reload(rules(WANTED))
    watch.until(lambda: value(host, f"service_rolled_back{{{UNIT}}}") == 0)


def test_a_drift_is_timed_until_the_service_is_healthy(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED))
    recovery = f"service_recovery_duration_seconds_count{{{UNIT}}}"
    watch.until(lambda: value(host, recovery) == 0)
    watch.reload(rules("claude-opus-4-8"))
    watch.settles_on(agent, "claude-opus-4-8")
    watch.until(lambda: value(host, recovery) == 1)
    assert watch.service()["latency_ms"]["healthy"]["p50"] > 0
    assert "from drift to healthy: " in shown(host)


def test_each_move_of_a_breaker_is_one_record_and_one_state(host: Host) -> None:
    agent = bring(host, f"{WANTED}=unhealthy")
    fallback = service({"fallback": FALLBACK}, health={**CHECKED, "within": "2s"})
    watch = Watch.begin(host, policy(settings(WANTED), fallback, METRICS), healthy=False)
    state = f"service_breaker_state{{{UNIT},state="
    watch.until(lambda: value(host, f'{state}"open"}}') == 1, within=12)
    assert "its fallback is held since 20" in shown(host)
    assert len(watch.records("fallback")) == 1
    agent.switch({})
    watch.until(lambda: value(host, f'{state}"closed"}}') == 1, within=15)
    assert value(host, f'{state}"open"}}') == 0
    watch.settles_on(agent, WANTED)
    told = watch.records("fallback")
    assert [each["PRIORITY"] for each in told] == ["3", "5", "5"]
    moves = f"service_breaker_transitions_total{{{UNIT},state="
    found = [value(host, f'{moves}"{each}"}}') for each in ("open", "half-open", "closed")]
    assert found == [1, 1, 1]
    assert promtool.check(host.read(FILE)) == ""
