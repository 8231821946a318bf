"""What a correction asks of the services that read what was corrected.

The questions are answered by `core/staleness.py` and `core/ledger.py`; this is where a pass puts
them, with the unit as it is at that moment.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from jada_configd.core.ledger import Ledger
from jada_configd.core.model import Drift, Resource, pointer
from jada_configd.core.resources import services_of
from jada_configd.core.seams import Owed, Reader
from jada_configd.core.specs import DropIn, ProcessLimits, ServiceSpec, SettingsSpec
from jada_configd.core.staleness import debt_of
from jada_configd.errors import HostError

OWN_DOING_NS: Final = 2_000_000_000  # within this a program has set its limits, if it does that


class TakeUp:
    """Notes begun corrections, and the debts of units that finished ones make."""

    def __init__(self, reader: Reader, ledger: Ledger, save: Callable[[], None]) -> None:
        self._reader = reader
        self._ledger = ledger
        self._save = save
        self._asked: set[str] = set()
        self.services: Mapping[str, ServiceSpec] = {}

    def take_asked(self) -> frozenset[str]:
        """The units that have been asked for something since the last call."""
        asked = frozenset(self._asked)
        self._asked.clear()
        return asked

    def begin(self, resources: Iterable[tuple[Resource, str]]) -> None:
        """Note what is about to be changed under services, so that a crash cannot hide it.

        Each resource comes with the digest of its rules. Saved before anything is changed.
        """
        for resource, rules in resources:
            if isinstance(resource.spec, SettingsSpec | DropIn) and services_of(resource):
                self._ledger.begin(str(resource.id), rules)
        self.save()

    def corrected(
        self,
        resource: Resource,
        drift: Drift,
        right_ns: int | None,
        done_ns: int,
        *,
        by_us: bool = True,
    ) -> None:
        """The resource was right at `right_ns` (None: unknown) and is right again since `done_ns`.

        Where somebody else put it right (`by_us` False) a service is asked to take that up only if
        it may have read what was wrong.
        """
        if not isinstance(resource.spec, SettingsSpec | DropIn):
            return
        fields = tuple(pointer(change.field) for change in drift.changes)
        for unit in services_of(resource):
            spec = self.services.get(unit)
            # systemd gives a drop-in's limits to processes at their start; whether one has them is
            # seen at the process itself, so the file asks for nothing but what `always` says.
            if spec is None or (isinstance(resource.spec, DropIn) and spec.when != "always"):
                continue
            self._owe(spec if by_us else replace(spec, when="stale"), right_ns, done_ns, fields)
        self._ledger.end(str(resource.id))
        self.save()

    def would_ask(self, resource: Resource) -> tuple[str, ...]:
        """What a correction may be followed by, as an operator reads it."""
        if not isinstance(resource.spec, SettingsSpec):
            return ()
        specs = (self.services.get(unit) for unit in resource.spec.services)
        return tuple(f"{each.apply} {each.unit}" for each in specs if each and each.apply != "none")

    def is_right(self, resource: Resource, at_ns: int) -> int | None:
        """Nothing is left that a restart was made for: for the next drift there may be another.

        But not for what a program does whenever it starts (Node.js raises its soft `nofile` to the
        hard one): till it has run for a while nothing is known, and this is when to look again.
        """
        if not isinstance(resource.spec, ProcessLimits):
            return None
        unit = resource.spec.unit
        if not self._ledger.has_tried(unit):
            return None
        started_ns = self._started_ns(unit)
        if started_ns is not None and started_ns + OWN_DOING_NS > at_ns:
            self._ledger.held(unit, started_ns)
            self.save()
            return started_ns + OWN_DOING_NS
        self._ledger.wants_still(unit, frozenset())
        return None

    def restart(self, unit: str, drift: Drift, now_ns: int) -> str | None:
        """Ask for a restart in place of what the kernel refused; None, or why there is none.

        Of what one restart did not bring, no second one is made, and no third of what was lost.
        """
        spec = self.services.get(unit)
        if spec is None or spec.apply in ("none", "reload"):
            return f"a restart of {unit} by hand would bring it"
        # A limit is the same one whichever process lacks it: the last two of a field's names.
        wanted = frozenset(f"{pointer(each.field[-2:])} {each.want}" for each in drift.changes)
        started_ns = self._started_ns(unit)
        tried = self._ledger.tried(unit, wanted, started_ns)
        if tried:
            self._ledger.wants_still(unit, wanted)
        else:
            self._ledger.trying(unit, wanted, started_ns)
            fields = tuple(pointer(change.field) for change in drift.changes)
            self._ask(unit, Owed(stale=True, since_ns=now_ns, fields=fields))
        self.save()
        if tried and self._ledger.owed(unit) is None:
            return f"a restart of {unit} did not bring it either"
        return None

    def _started_ns(self, unit: str) -> int | None:
        """When its main process started, None where nobody can tell."""
        try:
            return self._reader.unit(unit).main_started_ns or None
        except HostError:
            return None

    def save(self) -> None:
        """Make the ledger last, if it has changed."""
        if self._ledger.changed:
            self._save()
            self._ledger.changed = False

    def _owe(
        self, spec: ServiceSpec, right_ns: int | None, done_ns: int, fields: tuple[str, ...]
    ) -> None:
        try:
            debt = debt_of(spec, self._reader.unit(spec.unit), right_ns, done_ns, fields)
        except HostError:  # it cannot be known, and what cannot be known counts as stale
            debt = Owed(stale=True, since_ns=done_ns, fields=fields)
        if debt is not None:
            self._ask(spec.unit, debt)

    def _ask(self, unit: str, debt: Owed) -> None:
        self._ledger.owe(unit, debt)
        self._asked.add(unit)
