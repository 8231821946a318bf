"""What services have not taken up yet, and since when each resource is known to be right.

The question behind it: could a process of this unit have read a wrong value? Only looks count as
knowledge, never hints. A look that finds the owned values right proves them right at its beginning;
a process that started between the last such moment and the correction may have read a wrong one
(contract of `when`). All moments are CLOCK_MONOTONIC in nanoseconds, the clock of systemd's own
`ExecMainStartTimestampMonotonic`, so the ledger is worth something within one boot only.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from jada_configd.core.seams import Owed, UnitFact
from jada_configd.core.specs import ServiceSpec

# systemd takes its time stamp when it forks, we take ours before we read: two clocks readings on
# two processors, and a service that reads its file some microseconds after. A process that started
# this close to either end counts as stale.
_SLACK_NS = 1_000_000

_RUNNING = frozenset({"active", "reloading", "activating", "deactivating"})


@dataclass(frozen=True, slots=True)
class Known:
    """The rules (by digest) that held, and when they were last seen to hold."""

    rules: str
    right_ns: int


class Ledger:
    """Debts by unit, knowledge by resource, and corrections that were begun."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._begun: dict[str, int | None] = {}
        self._owed: dict[str, Owed] = {}
        self._tried: dict[str, str] = {}
        self.changed = False

    def right(self, resource: str, rules: str, at_ns: int) -> None:
        """The owned values were right at that moment."""
        self._known[resource] = Known(rules, at_ns)

    def right_since(self, resource: str, rules: str) -> int | None:
        """The last moment at which the values under these rules were known to be right, or None."""
        known = self._known.get(resource)
        return known.right_ns if known is not None and known.rules == rules else None

    def begin(self, resource: str, rules: str) -> None:
        """A correction begins: whoever finds this after a crash knows that one may have happened."""
        self._begun.setdefault(resource, self.right_since(resource, rules))
        self.changed = True

    def end(self, resource: str) -> None:
        """The correction is done and what it asks of services is in the ledger."""
        if self._begun.pop(resource, _NOTHING) is not _NOTHING:
            self.changed = True

    def begun(self) -> Mapping[str, int | None]:
        """Corrections that were begun and never ended, with the last moment before that was right."""
        return dict(self._begun)

    def owed(self, unit: str) -> Owed | None:
        """What the unit has not taken up yet."""
        return self._owed.get(unit)

    def owe(self, unit: str, debt: Owed) -> None:
        """The unit has one more thing to take up."""
        old = self._owed.get(unit)
        if old is not None:
            fields = tuple(dict.fromkeys((*old.fields, *debt.fields)))
            debt = Owed(old.stale or debt.stale, max(old.since_ns, debt.since_ns), fields)
        self._owed[unit] = debt
        self.changed = True

    def settle(self, unit: str) -> None:
        """The unit has taken everything up, or does not run."""
        if self._owed.pop(unit, None) is not None:
            self.changed = True

    def reloaded(self, unit: str) -> None:
        """A reload ended well: it settles what a reload can settle, and no staleness."""
        debt = self._owed.get(unit)
        if debt is None:
            return
        if debt.stale:
            self._owed[unit] = replace(debt, reloaded=True)
            self.changed = True
        else:
            self.settle(unit)

    def tried(self, unit: str, wanted: str) -> bool:
        """Whether a restart was already made for just this, so that another would not help."""
        return self._tried.get(unit) == wanted

    def trying(self, unit: str, wanted: str | None) -> None:
        """A restart is made for this; None forgets, because what was wanted has come true."""
        if wanted is None:
            if self._tried.pop(unit, None) is not None:
                self.changed = True
        elif self._tried.get(unit) != wanted:
            self._tried[unit] = wanted
            self.changed = True

    def debts(self, boot: str) -> dict[str, Any]:
        """Debts and begun corrections as plain JSON; moments mean something in that boot only."""
        return {
            "boot": boot,
            "begun": dict(self._begun),
            "owed": {unit: asdict(debt) for unit, debt in self._owed.items()},
            "tried": dict(self._tried),
        }

    def known(self, boot: str) -> dict[str, Any]:
        """What is known of each resource as plain JSON: large, and cheap to lose."""
        known = {name: [each.rules, each.right_ns] for name, each in self._known.items()}
        return {"boot": boot, "known": known}

    @classmethod
    def of(
        cls, debts: Mapping[str, Any] | None, known: Mapping[str, Any] | None, boot: str
    ) -> "Ledger":
        """The ledger as it was kept; what is of another boot, or garbled, counts as nothing."""
        ledger = cls()
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            if debts and debts["boot"] == boot:
                owed = {
                    unit: Owed(**{**debt, "fields": tuple(debt["fields"])})
                    for unit, debt in debts["owed"].items()
                }
                ledger._begun = dict(debts["begun"])
                ledger._tried = dict(debts["tried"])
                ledger._owed = owed
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            if known and known["boot"] == boot:
                ledger._known = {
                    name: Known(str(rules), int(at)) for name, (rules, at) in known["known"].items()
                }
        return ledger

    def pay_off(self, fact: UnitFact) -> None:
        """Strike the debt that a process started after the correction has settled by starting."""
        debt = self._owed.get(fact.name)
        if debt is None:
            return
        if not runs(fact) or started_ns(fact) > debt.since_ns + _SLACK_NS:
            self.settle(fact.name)

    def forget_others(self, resources: frozenset[str], units: frozenset[str]) -> None:
        """Drop what is known of resources and units that the policy no longer holds."""
        self._known = {name: known for name, known in self._known.items() if name in resources}
        self._begun = {name: since for name, since in self._begun.items() if name in resources}
        self._owed = {unit: debt for unit, debt in self._owed.items() if unit in units}


_NOTHING = object()


def runs(fact: UnitFact) -> bool:
    """Whether processes of the unit may be there."""
    return fact.active_state in _RUNNING


def started_ns(fact: UnitFact) -> int:
    """When the earliest process that may have read a file began to.

    While a unit is activating its `ExecStartPre=` counts; a unit without a main process
    (`Type=oneshot`, `RemainAfterExit=`) is as old as its activation.
    """
    if fact.active_state == "activating" or not fact.main_started_ns or not fact.main_pid:
        return fact.activating_since_ns
    return fact.main_started_ns


def is_stale(fact: UnitFact, right_ns: int | None, corrected_ns: int) -> bool:
    """Whether a process of the unit may have read a value between being right and being corrected.

    A process that started before the values were last known to be right read right ones; with
    `right_ns` None nothing is known, and every process that runs counts as stale.
    """
    if not runs(fact) or started_ns(fact) > corrected_ns + _SLACK_NS:
        return False
    return right_ns is None or started_ns(fact) >= right_ns - _SLACK_NS


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
    reloads = spec.apply in ("reload", "reload-or-restart") and fact.can_reload
    return debt if spec.when == "auto" and reloads else None
