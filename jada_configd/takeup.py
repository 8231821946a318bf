"""What a correction asks of the services that read what was corrected.

The questions are answered by `core/staleness.py` and `core/ledger.py`; this is where a pass puts
them, with the unit as it is at that moment. With each debt a trial is opened (`core/trial.py`);
what stands in a file before it is changed is kept by `befores.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from jada_configd.befores import Befores
from jada_configd.core.applies import apply_for
from jada_configd.core.facts import Content, Missing, Owed, UnitFact
from jada_configd.core.ledger import Ledger
from jada_configd.core.model import Drift, Resource, ResourceId, pointer
from jada_configd.core.resources import services_of
from jada_configd.core.seams import Reader
from jada_configd.core.specs import DropIn, ProcessLimits, ServiceSpec, SettingsSpec
from jada_configd.core.staleness import SLACK_NS, debt_of, has_read, is_stale
from jada_configd.core.trial import Round, Trial, identity, is_sound
from jada_configd.errors import HostError
from jada_configd.looks import Look

OWN_DOING_NS: Final = 2_000_000_000  # within this a program has set its limits, if it does that
NO_ROUNDS: Final[Mapping[str, Round]] = MappingProxyType({})


class TakeUp:
    """Notes begun corrections, and the debts of units that finished ones make."""

    def __init__(
        self,
        reader: Reader,
        ledger: Ledger,
        save: Callable[[], None],
        keep_before: Callable[[ResourceId, bytes], None],
        rounds: Mapping[str, Round] = NO_ROUNDS,
    ) -> None:
        """`keep_before` keeps the bytes of a file that is about to be changed.

        `rounds` are those of health probes as they are at any moment, the last of each unit.
        """
        self._reader = reader
        self._ledger = ledger
        self._save = save
        self._rounds = rounds
        self._asked: set[str] = set()
        self.befores = Befores(reader, ledger, keep_before)
        self.services: Mapping[str, ServiceSpec] = {}

    def take_asked(self) -> frozenset[str]:
        """The units that have been asked for something since the last call."""
        asked = frozenset(self._asked)
        self._asked.clear()
        return asked

    def begin(self, looks: Iterable[tuple[Look, str]]) -> None:
        """Note what is about to be changed under services, so that a crash cannot hide it.

        Each look comes with the digest of its resource's rules. Saved before anything is changed,
        and so is what stands there: a service may turn out not to bear the change.
        """
        self.befores.begin()
        for look, rules in looks:
            resource = look.resource
            if isinstance(resource.spec, SettingsSpec | DropIn) and services_of(resource):
                self._ledger.begin(str(resource.id), rules)
                if self._may_go_back(resource):
                    self.befores.note(look)
        self.save()

    def _may_go_back(self, resource: Resource) -> bool:
        specs = (self.services.get(unit) for unit in services_of(resource))
        return any(spec is not None and spec.on_unhealthy == "roll-back" for spec in specs)

    def corrected(
        self,
        resource: Resource,
        drift: Drift,
        right_ns: int | None,
        done_ns: int,
        *,
        found_ns: int = 0,
        by_us: bool = True,
    ) -> None:
        """The resource was right at `right_ns` (None: unknown) and is right again since `done_ns`.

        That it was not was found at `found_ns` (0: just then). Where somebody else put it right
        (`by_us` False) a service is asked to take that up only if it may have read what was wrong.
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
            spec = spec if by_us else replace(spec, when="stale")
            self._owe(spec, right_ns, done_ns, fields, found_ns or done_ns)
        self._ledger.end(str(resource.id))
        if isinstance(resource.spec, SettingsSpec):
            self.befores.forget(resource)
        self.save()

    def found_right(
        self, resource: Resource, right_ns: int | None, at_ns: int, file: Content | Missing | None
    ) -> None:
        """It is right as it is first looked at, and was at `right_ns` (None: who knows).

        Nobody looked in between. Who started then has read what stands there now only where it has
        not been touched since; what else was read cannot be known, and counts as stale.
        """
        if not isinstance(resource.spec, SettingsSpec) or right_ns is None:
            return
        changed_ns = file.changed_ns if isinstance(file, Content) else 0
        for unit in services_of(resource):
            spec, fact = self.services.get(unit), self._unit(unit)
            # Nobody has seen it wrong: who started as it was last seen right has read that.
            if spec is None or fact is None or not is_stale(fact, right_ns + 2 * SLACK_NS, at_ns):
                continue
            if has_read(fact, changed_ns, right_ns) or self._ledger.owed(unit) is not None:
                continue
            debt = Owed(stale=True, since_ns=at_ns, fields=())
            self._ask(unit, debt, self._trial(spec, fact, debt, right_ns, at_ns))
        self.save()

    def is_borne(self, resource: Resource) -> bool:
        """Whether what stands there may be gone back to: no service has yet to run well on it."""
        units = services_of(resource)
        held = (spec for unit in units if (spec := self.services.get(unit)) is not None)
        return not self.befores.is_awaited(
            each.unit for each in held if each.on_unhealthy != "keep"
        )

    def would_ask(self, resource: Resource, fields: tuple[str, ...]) -> tuple[str, ...]:
        """What a correction of these fields may be followed by, as an operator reads it."""
        if not isinstance(resource.spec, SettingsSpec):
            return ()
        specs = (self.services.get(unit) for unit in resource.spec.services)
        applies = [(apply_for(each, fields), each.unit) for each in specs if each]
        return tuple(f"{apply} {unit}" for apply, unit in applies if apply != "none")

    def is_right(self, resource: Resource, at_ns: int) -> int | None:
        """Nothing is left that a restart was made for: for the next drift there may be another.

        But not for what a program does whenever it starts (Node.js raises its soft `nofile` to the
        hard one): till it has run for a while nothing is known, and this is when to look again.
        """
        if not isinstance(resource.spec, ProcessLimits):
            return None
        unit = resource.spec.unit
        if self._ledger.owed(unit) is None and self._ledger.trials.of(unit) is None:
            # What the drop-in was before is of no more use: no start of ours hangs on it.
            self._ledger.trials.forget_before(f"unit-dropin:{unit}")
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
        fields = tuple(pointer(change.field) for change in drift.changes)
        if spec is None or apply_for(spec, fields) in ("none", "reload"):
            return f"a restart of {unit} by hand would bring it"
        # A limit is the same one whichever process lacks it: the last two of a field's names.
        wanted = frozenset(f"{pointer(each.field[-2:])} {each.want}" for each in drift.changes)
        started_ns = self._started_ns(unit)
        tried = self._ledger.tried(unit, wanted, started_ns)
        if tried:
            self._ledger.wants_still(unit, wanted)
        else:
            self._ledger.trying(unit, wanted, started_ns)
            debt = Owed(stale=True, since_ns=now_ns, fields=fields)
            self._ask(unit, debt, self._trial(spec, self._unit(unit), debt, None, now_ns))
        self.save()
        if tried and self._ledger.owed(unit) is None:
            return f"a restart of {unit} did not bring it either"
        return None

    def _started_ns(self, unit: str) -> int | None:
        """When its main process started, None where nobody can tell."""
        fact = self._unit(unit)
        return fact.main_started_ns or None if fact else None

    def _unit(self, unit: str) -> UnitFact | None:
        try:
            return self._reader.unit(unit)
        except HostError:
            return None

    def save(self) -> None:
        """Make the ledger last, if it has changed."""
        if self._ledger.changed:
            self._save()
            self._ledger.saved()

    def _owe(
        self,
        spec: ServiceSpec,
        right_ns: int | None,
        done_ns: int,
        fields: tuple[str, ...],
        found_ns: int,
    ) -> None:
        fact = self._unit(spec.unit)
        # It cannot be known where nobody tells, and what cannot be known counts as stale.
        unknown = Owed(stale=True, since_ns=done_ns, fields=fields)
        debt = debt_of(spec, fact, right_ns, done_ns, fields) if fact else unknown
        if debt is not None:
            self._ask(spec.unit, debt, self._trial(spec, fact, debt, right_ns, found_ns))

    def _trial(
        self,
        spec: ServiceSpec,
        fact: UnitFact | None,
        debt: Owed,
        right_ns: int | None,
        found_ns: int,
    ) -> Trial:
        """How the service does on the change will be known; and how it did before."""
        last, now_ns = self._rounds.get(spec.unit), debt.since_ns
        sound = is_sound(spec.health, fact, last, now_ns) if fact else False
        if fact and right_ns is not None and spec.health.is_young(identity(fact)[1], now_ns):
            sound = False  # what it has read was wrong for a moment only: nobody ran well on that
        return Trial(spec.unit, "change", found_ns, debt.stale, sound, debt.fields)

    def _ask(self, unit: str, debt: Owed, trial: Trial) -> None:
        self._ledger.owe(unit, debt)
        self._ledger.trials.open(trial)
        self._asked.add(unit)

    def also(self, spec: ServiceSpec, fields: tuple[str, ...], now_ns: int) -> None:
        """A file was put back that this one reads too; it takes that up as any correction."""
        fact = self._unit(spec.unit)
        debt = debt_of(replace(spec, when="stale"), fact, None, now_ns, fields) if fact else None
        if debt is not None:
            # What it did before is no matter: it does not go back from what has come back.
            trial = Trial(spec.unit, "change", now_ns, stale=False, sound=False, fields=fields)
            self._ask(spec.unit, debt, trial)
