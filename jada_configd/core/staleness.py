"""Whether a process of a unit may have read a wrong value, and what a correction asks of the unit.

A look that finds the owned values right proves them right at its beginning; a process that started
or reloaded between the last such moment and the correction may have read a wrong one. All moments
are CLOCK_MONOTONIC in nanoseconds, the clock of systemd's `ExecMainStartTimestampMonotonic`.
"""

from jada_configd.core.applies import apply_for
from jada_configd.core.facts import Owed, UnitFact
from jada_configd.core.specs import ServiceSpec

# systemd takes its time stamp when it forks, we take ours before we read: two clock readings on
# two processors, and a service that reads its file some microseconds after. A process that started
# this close to either end counts as stale.
SLACK_NS = 1_000_000
TICK_NS = 20_000_000  # a jiffy is 10 ms at most (CONFIG_HZ, current_time() in fs/inode.c)

_AT_REST = frozenset({"inactive", "failed"})
NEVER_YET = 1 << 63  # later than any moment


def runs(fact: UnitFact) -> bool:
    """Whether processes of the unit may be there; a state that is not known counts as running."""
    return fact.active_state not in _AT_REST


def first_started_ns(fact: UnitFact) -> int:
    """When the earliest process that may have read a file began to; 0 where nobody can tell.

    While a unit is activating its `ExecStartPre=` counts; a unit without a main process
    (`Type=oneshot`, `RemainAfterExit=`) is as old as its activation.
    """
    if fact.active_state == "activating" or not fact.main_started_ns or not fact.main_pid:
        return fact.activating_since_ns
    return fact.main_started_ns


def last_began_ns(fact: UnitFact) -> int:
    """When a process of the unit last began to read: by starting, or by a reload.

    A running unit changes its state when its activation or a reload ends, so that is the latest.
    Where more may start at any moment (before the main process, within a reload) it is never yet.
    """
    if fact.active_state == "reloading" or (
        fact.active_state == "activating" and not fact.main_pid
    ):
        return NEVER_YET
    stops = fact.active_state == "deactivating"
    changed_ns = 0 if stops else fact.state_changed_ns
    return max(first_started_ns(fact), fact.main_started_ns, changed_ns)


def is_stale(fact: UnitFact, right_ns: int | None, corrected_ns: int) -> bool:
    """Whether a process of the unit may have read a value between being right and being corrected.

    A process that read before the values were last known to be right read right ones; with
    `right_ns` None, or no moment of its start, nothing is known and what runs counts as stale.
    """
    first_ns = first_started_ns(fact)
    if not runs(fact) or first_ns > corrected_ns + SLACK_NS:
        return False
    return right_ns is None or not first_ns or last_began_ns(fact) >= right_ns - SLACK_NS


def has_read(fact: UnitFact, changed_ns: int, right_ns: int) -> bool:
    """Whether what a unit has read since `right_ns` it read after a file came to stand as it does.

    `changed_ns` 0: that cannot be told. The kernel stamps a change by a clock that ticks seldom.
    """
    if not changed_ns:
        return False
    began_ns = first_started_ns(fact)
    if began_ns <= right_ns + SLACK_NS:
        began_ns = last_began_ns(fact)
    untouched = changed_ns + TICK_NS < right_ns
    return untouched or changed_ns + TICK_NS < began_ns < NEVER_YET


def debt_of(
    spec: ServiceSpec,
    fact: UnitFact,
    right_ns: int | None,
    corrected_ns: int,
    fields: tuple[str, ...],
) -> Owed | None:
    """What a correction asks of a unit, by its `when` and `apply`; None where it asks nothing."""
    if not runs(fact):
        return None
    debt = Owed(is_stale(fact, right_ns, corrected_ns), corrected_ns, fields)
    if debt.stale or spec.when == "always":
        return debt
    apply = apply_for(spec, fields)
    reloads = apply in ("reload", "reload-or-restart") and fact.can_reload
    return debt if spec.when == "auto" and reloads else None
