"""The metrics: one table of what is shown, under which name, and what it means.

Names, units and what may be a label follow Prometheus' conventions; a new one is an entry in
`METRICS` and a line in docs/metrics.md. How they are written down is `formats/exposition.py`'s.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from jada_configd.core import samples
from jada_configd.core.samples import Samples

Sort: TypeAlias = Literal["counter", "gauge", "histogram"]

PREFIX: Final = "jada_configd_"
_KIND: Final = ("kind",)
_UNIT: Final = ("unit",)
_LIMIT: Final = ("unit", "limit")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name behind the prefix, what it means in one sentence, and its samples."""

    name: str
    sort: Sort
    labels: tuple[str, ...]
    help: str
    samples: Samples


METRICS: Final[tuple[Metric, ...]] = (
    Metric(
        "build_info", "gauge", ("version",), "Always 1; the version of the daemon.", samples.build
    ),
    Metric(
        "start_time_seconds",
        "gauge",
        (),
        "When the daemon started, since the epoch.",
        samples.moment("started"),
    ),
    Metric(
        "state",
        "gauge",
        ("state",),
        "1 for the state of the host, 0 for all others.",
        samples.states,
    ),
    Metric("passes_total", "counter", (), "Passes of the daemon.", samples.counted("passes")),
    Metric(
        "watch_overflows_total",
        "counter",
        (),
        "Times that the kernel's queue of file events overflowed; everything was looked at then.",
        samples.counted("overflows"),
    ),
    Metric(
        "policy_info",
        "gauge",
        ("path", "revision", "mode"),
        "Always 1; the policy in force.",
        samples.policy,
    ),
    Metric(
        "policy_valid",
        "gauge",
        (),
        "Whether the policy on disk loads, as last tried.",
        samples.policy_valid,
    ),
    Metric(
        "policy_loaded_timestamp_seconds",
        "gauge",
        (),
        "When a policy last loaded, since the epoch.",
        samples.moment("policy_loaded"),
    ),
    Metric(
        "policy_load_failures_total",
        "counter",
        (),
        "Policies that did not load, each counted once.",
        samples.policy_rejected,
    ),
    Metric(
        "resources",
        "gauge",
        ("result",),
        "Resources by the result of the last look at them.",
        samples.results,
    ),
    Metric(
        "resource_in_sync",
        "gauge",
        ("id", "kind"),
        "Whether a resource is as the policy says.",
        samples.in_sync,
    ),
    Metric(
        "drifts_total",
        "counter",
        _KIND,
        "Drifts that were found, each counted once.",
        samples.by_kind("drifts"),
    ),
    Metric(
        "corrections_total",
        "counter",
        _KIND,
        "Drifts that were corrected.",
        samples.by_kind("corrections"),
    ),
    Metric(
        "correction_failures_total",
        "counter",
        _KIND,
        "Looks and corrections that failed, each counted once until it fails otherwise.",
        samples.by_kind("failures"),
    ),
    Metric(
        "contests_total",
        "counter",
        _KIND,
        "Times that something was changed back so often that it became contested.",
        samples.by_kind("contests"),
    ),
    Metric(
        "contested_fields",
        "gauge",
        _KIND,
        "Fields that are contested: corrected with growing gaps, services left alone.",
        samples.by_kind("contested"),
    ),
    Metric(
        "last_correction_timestamp_seconds",
        "gauge",
        (),
        "When something was last corrected, since the epoch.",
        samples.moment("last_correction"),
    ),
    Metric(
        "correction_duration_seconds",
        "histogram",
        _KIND,
        "From a drift's detection to its correction.",
        samples.corrections,
    ),
    Metric(
        "service_applies_total",
        "counter",
        ("unit", "result"),
        "Jobs that had a service take corrections up, by how they ended.",
        samples.applies,
    ),
    Metric(
        "service_apply_duration_seconds",
        "histogram",
        _UNIT,
        "From the start of such a job to its end.",
        samples.apply_seconds,
    ),
    Metric(
        "service_trials_total",
        "counter",
        ("unit", "outcome"),
        "Changes that were tried on a service, by what came of it.",
        samples.trials,
    ),
    Metric(
        "service_recovery_duration_seconds",
        "histogram",
        _UNIT,
        "From a drift's detection, or a new policy, until the service is known to be healthy on "
        "what was changed.",
        samples.recovery_seconds,
    ),
    Metric(
        "service_rollbacks_total",
        "counter",
        ("unit", "healthy"),
        "Times that what stood before was put back, by whether the service was healthy on that.",
        samples.roll_backs,
    ),
    Metric(
        "service_rolled_back",
        "gauge",
        _UNIT,
        "Whether the policy in force was taken back from the service.",
        samples.rolled_back,
    ),
    Metric(
        "service_breaker_state",
        "gauge",
        ("unit", "state"),
        "1 for the state of the breaker of a service that has a fallback, 0 for all others.",
        samples.breakers,
    ),
    Metric(
        "service_breaker_transitions_total",
        "counter",
        ("unit", "state"),
        "Times that a breaker came into a state.",
        samples.breaker_moves,
    ),
    Metric("service_up", "gauge", _UNIT, "Whether the unit is active.", samples.up),
    Metric(
        "service_healthy",
        "gauge",
        _UNIT,
        "Whether the service is healthy.",
        samples.truth("healthy"),
    ),
    Metric(
        "service_loaded",
        "gauge",
        _UNIT,
        "Whether the service has taken up all that was corrected.",
        samples.truth("loaded"),
    ),
    Metric(
        "service_limit_used",
        "gauge",
        _LIMIT,
        "What the process that is nearest to a limit uses of it, in the unit of setrlimit(2).",
        samples.usage("used"),
    ),
    Metric(
        "service_limit",
        "gauge",
        _LIMIT,
        "That process's limit, in the unit of setrlimit(2); +Inf where nothing binds it.",
        samples.usage("limit"),
    ),
    Metric(
        "service_processes",
        "gauge",
        _UNIT,
        "Processes of the service.",
        samples.population("processes"),
    ),
    Metric(
        "service_threads",
        "gauge",
        _UNIT,
        "Threads of all processes of the service.",
        samples.population("threads"),
    ),
)
