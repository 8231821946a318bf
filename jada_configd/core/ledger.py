"""What services have not taken up yet, and since when each resource is known to be right.

Only looks count as knowledge, never hints; what follows from it for a unit is `staleness.py`'s. All
moments are CLOCK_MONOTONIC in nanoseconds, so the ledger is worth something within one boot only.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from jada_configd.core.facts import Owed, UnitFact
from jada_configd.core.pacing import Pacing
from jada_configd.core.staleness import (
    NEVER_YET,
    SLACK_NS,
    first_started_ns,
    last_began_ns,
    runs,
)
from jada_configd.core.trials import Trials


@dataclass(frozen=True, slots=True)
class Known:
    """The rules (by digest) that held, and when they were last seen to hold; None: never."""

    rules: str
    right_ns: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a restart was made for.

    `held_ns` is the start of a process that had it at first; `twice`: so had the one before.
    """

    wanted: frozenset[str]
    held_ns: int | None = None
    twice: bool = False


class Ledger:
    """Debts by unit, knowledge by resource, and corrections that were begun."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._begun: dict[str, Known] = {}
        self._owed: dict[str, Owed] = {}
        self._tried: dict[str, Attempt] = {}
        self._began_ns = 0  # when a unit last began to read
        self._news = False
        self._changed = False
        self.trials = Trials()
        self.pacing = Pacing()

    @property
    def changed(self) -> bool:
        """Whether there is anything that is not saved."""
        return self._changed or self.trials.changed or self.pacing.changed

    def saved(self) -> None:
        """All that has changed has been saved."""
        self._changed = self.trials.changed = self.pacing.changed = False

    def right(self, resource: str, rules: str, at_ns: int) -> None:
        """The owned values were right at that moment."""
        before = self._known.get(resource)
        self._known[resource] = Known(rules, at_ns)
        self._news |= not _is_after(before, self._began_ns) and at_ns > self._began_ns + SLACK_NS

    def right_since(self, resource: str, rules: str) -> int | None:
        """The last moment at which the values under these rules were known to be right, or None."""
        latest_ns = None
        for known in (self._known.get(resource), self._begun.get(resource)):
            if known is None or known.rules != rules or known.right_ns is None:
                continue
            if latest_ns is None or known.right_ns > latest_ns:
                latest_ns = known.right_ns
        return latest_ns

    def begin(self, resource: str, rules: str) -> None:
        """A correction begins; whoever finds this after a crash knows that it may have happened."""
        if resource not in self._begun:
            self._begun[resource] = Known(rules, self.right_since(resource, rules))
            self._changed = True

    def end(self, resource: str) -> None:
        """The correction is done and what it asks of services is in the ledger."""
        if self._begun.pop(resource, None) is not None:
            self._changed = True

    def has_begun(self, resource: str) -> bool:
        """Whether a correction may have been made for which nothing is asked yet."""
        return resource in self._begun

    def owed(self, unit: str) -> Owed | None:
        """What the unit has not taken up yet."""
        return self._owed.get(unit)

    def owe(self, unit: str, debt: Owed) -> None:
        """The unit has one more thing to take up."""
        old = self._owed.get(unit)
        if old is not None:
            fields = tuple(dict.fromkeys((*old.fields, *debt.fields)))
            first_ns = old.first_ns or old.since_ns
            since_ns = max(old.since_ns, debt.since_ns)
            debt = Owed(old.stale or debt.stale, since_ns, fields, first_ns=first_ns)
        self._owed[unit] = debt
        self._changed = True

    def skip(self, unit: str) -> None:
        """The unit was busy for too long: what it owes is left until there is more."""
        debt = self._owed.get(unit)
        if debt is not None and not debt.skipped:
            self._owed[unit] = replace(debt, skipped=True)
            self._changed = True

    def settle(self, unit: str) -> None:
        """The unit has taken everything up, or does not run."""
        if self._owed.pop(unit, None) is not None:
            self._changed = True

    def reloaded(self, unit: str, begun_ns: int | None = None, *, takes_up: bool = False) -> None:
        """A reload ended well: it settles what a reload can settle, and no staleness.

        `begun_ns` is when it began; what was corrected since then it may have missed. `takes_up`:
        the policy says that a reload has all of it read anew.
        """
        debt = self._owed.get(unit)
        if debt is None or (begun_ns is not None and debt.since_ns > begun_ns):
            return
        if debt.stale and not takes_up:
            self._owed[unit] = replace(debt, reloaded=True)
            self._changed = True
        else:
            self.settle(unit)

    def restarted(self, unit: str, begun_ns: int) -> None:
        """A restart that began then ended well: whatever runs now started afterwards."""
        debt = self._owed.get(unit)
        if debt is not None and debt.since_ns <= begun_ns:
            self.settle(unit)

    def tried(self, unit: str, wanted: frozenset[str], started_ns: int | None = None) -> bool:
        """Whether a restart was already made for all of this, so that another would not help.

        `started_ns` is the start of the main process that lacks it now. One that was seen to have
        it may have lost it by somebody's hand, or by its own, which the next will do again: so
        there is one more restart, and no third. Where it is another process by now, somebody has
        started that since.
        """
        made = self._tried.get(unit)
        if made is None or not wanted <= made.wanted:
            return False
        if started_ns is None or made.held_ns is None:
            return True
        return made.twice and made.held_ns == started_ns

    def has_tried(self, unit: str) -> bool:
        """Whether a restart was made in vain, or is not known yet to have helped for good."""
        return unit in self._tried

    def trying(self, unit: str, wanted: frozenset[str], started_ns: int | None = None) -> None:
        """A restart is made for these, which the main process lacks that started then."""
        made = self._tried.get(unit)
        twice = made is not None and wanted <= made.wanted and made.held_ns == started_ns
        self._tried[unit] = Attempt(wanted, None, twice and started_ns is not None)
        self._changed = True

    def wants_still(self, unit: str, wanted: frozenset[str]) -> None:
        """Of what a restart was made for, these are still wanted; others have come true."""
        made = self._tried.get(unit)
        if made is None or wanted == made.wanted:
            return
        self._changed = True
        if wanted:
            self._tried[unit] = replace(made, wanted=wanted)
        else:
            del self._tried[unit]

    def held(self, unit: str, started_ns: int) -> None:
        """The main process that started then had, at first, what a restart was made for."""
        made = self._tried.get(unit)
        if made is not None and made.held_ns != started_ns:
            self._tried[unit] = replace(made, held_ns=started_ns)
            self._changed = True

    def debts(self, boot: str) -> dict[str, Any]:
        """Debts and begun corrections as plain JSON; moments mean something in that boot only."""
        return {
            "boot": boot,
            "begun": {name: [each.rules, each.right_ns] for name, each in self._begun.items()},
            "owed": {unit: asdict(debt) for unit, debt in self._owed.items()},
            "pace": self.pacing.plain(),
            **self.trials.plain(),
            "tried": {
                unit: [sorted(each.wanted), each.held_ns, each.twice]
                for unit, each in self._tried.items()
            },
        }

    def known(self, boot: str) -> dict[str, Any]:
        """What is known of each resource as plain JSON: large, and cheap to lose."""
        known = {name: [each.rules, each.right_ns] for name, each in self._known.items()}
        return {"boot": boot, "known": known}

    def take_news(self) -> bool:
        """Whether what is known is worth saving anew since the last call.

        It is as soon as something is known to be right after a unit began to read: a crash that
        loses this makes the unit look stale, and costs a restart that was not needed.
        """
        news, self._news = self._news, False
        return news

    @classmethod
    def of(
        cls, debts: Mapping[str, Any] | None, known: Mapping[str, Any] | None, boot: str
    ) -> "Ledger":
        """The ledger as it was kept; what is of another boot, or garbled, counts as nothing."""
        ledger = cls()
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            if debts and debts["boot"] == boot:
                begun = _known_of(debts["begun"])
                owed = {unit: _owed_of(debt) for unit, debt in debts["owed"].items()}
                tried = {unit: _attempt_of(*each) for unit, each in debts["tried"].items()}
                ledger._begun, ledger._owed, ledger._tried = begun, owed, tried
                ledger.trials = Trials.of_plain(debts)
                ledger.pacing = Pacing.of(debts.get("pace"))
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            if known and known["boot"] == boot:
                ledger._known = _known_of(known["known"])
        return ledger

    def pay_off(self, fact: UnitFact) -> None:
        """Strike the debt that a process started after the correction has settled by starting."""
        began_ns = last_began_ns(fact)
        if self._began_ns < began_ns < NEVER_YET:
            self._began_ns = began_ns
            self._news |= any(_is_after(known, began_ns) for known in self._known.values())
        debt = self._owed.get(fact.name)
        if debt is None:
            return
        if not runs(fact) or first_started_ns(fact) > debt.since_ns + SLACK_NS:
            self.settle(fact.name)

    def forget_others(self, resources: frozenset[str], units: frozenset[str]) -> None:
        """Drop what is known of resources and units that the policy no longer holds."""
        self._known = {name: known for name, known in self._known.items() if name in resources}
        self._begun = {name: known for name, known in self._begun.items() if name in resources}
        self._owed = {unit: debt for unit, debt in self._owed.items() if unit in units}
        self._tried = {unit: made for unit, made in self._tried.items() if unit in units}
        self.trials.forget_others(resources, units)
        self.pacing.hold(units)


def _is_after(known: Known | None, began_ns: int) -> bool:
    """Whether this is known of a moment after that one, by more than the clocks' slack."""
    right_ns = None if known is None else known.right_ns
    return right_ns is not None and right_ns > began_ns + SLACK_NS


def _known_of(plain: Mapping[str, Any]) -> dict[str, Known]:
    return {
        name: Known(str(rules), None if at_ns is None else int(at_ns))
        for name, (rules, at_ns) in plain.items()
    }


def _attempt_of(wanted: list[Any], held_ns: object, twice: object) -> Attempt:
    held = None if held_ns is None else int(str(held_ns))
    return Attempt(frozenset(map(str, wanted)), held, bool(twice))


def _owed_of(plain: Mapping[str, Any]) -> Owed:
    fields = tuple(map(str, plain["fields"]))
    reloaded, skipped = bool(plain["reloaded"]), bool(plain["skipped"])
    since_ns, first_ns = int(plain["since_ns"]), int(plain["first_ns"])
    return Owed(bool(plain["stale"]), since_ns, fields, reloaded, first_ns, skipped)
