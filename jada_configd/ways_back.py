"""Ways back: to what stood before the changes on trial, and what is left as it is from then on.

Whether a service goes back is `probation.py`'s to decide; its files are put back by the plan of its
kind.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from jada_configd.core.course import Before
from jada_configd.core.ledger import Ledger
from jada_configd.core.marks import Mark
from jada_configd.core.model import Field, Resource
from jada_configd.core.resources import services_of
from jada_configd.takeup import TakeUp
from jada_configd.verdicts import Verdicts


class WaysBack:
    """By unit; the files that it reads are known by the resources that are held."""

    def __init__(
        self,
        ledger: Ledger,
        takeup: TakeUp,
        verdicts: Verdicts,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now` is the wall clock (CLOCK_REALTIME, seconds), for people to read."""
        self._ledger = ledger
        self._takeup = takeup
        self._verdicts = verdicts
        self._now = now
        self._resources: Mapping[str, Resource] = {}

    def keep_to(self, revision: str, going_back: Collection[str]) -> None:
        """This revision of the policy is in force from now on, and ends the marks of others.

        But for those of units that are going back, which keep theirs till that is over.
        """
        self._verdicts.changed |= self._verdicts.marks.keep_to(revision, going_back)

    def hold(self, resources: Mapping[str, Resource]) -> None:
        """These are the resources from now on, by their ids in words."""
        self._resources = resources

    def sparing(self, resource: str) -> tuple[frozenset[Field] | None, str] | None:
        """What of a resource is left as it is, because a service did not bear it."""
        found = self._verdicts.marks.sparing(resource)
        if found is None:
            return None
        mark, fields = found
        if self._verdicts.breakers.holds_fallback(mark.unit):
            return None
        return fields, mark.sentence()

    def to(self, unit: str) -> tuple[Before, ...]:
        """What stood in the files that this unit reads, as far as there is a way back to it."""
        return tuple(
            each
            for each in self._ledger.trials.befores()
            if (resource := self._resources.get(each.resource)) and unit in services_of(resource)
        )

    def mark(self, unit: str, why: str, revision: str) -> None:
        """That policy is not tried on it again; the caller has this saved."""
        spared = _spared(self.to(unit))
        self._verdicts.marks.put(Mark(unit, revision, why, self._now(), spared))
        self._verdicts.changed = True

    def unmark(self, unit: str) -> bool:
        """It is to be tried again; whether it was marked."""
        marked = self._verdicts.marks.remove(unit)
        self._verdicts.changed |= marked
        return marked

    def begun(self, unit: str, now_ns: int) -> None:
        """Its files have been put back: what others read too they have to take up as it is now."""
        fields = ("",)
        for before in self.to(unit):
            for other in services_of(self._resources[before.resource]):
                spec = self._takeup.services.get(other)
                if other != unit and spec is not None:
                    self._takeup.also(spec, fields, now_ns)

    def ended(self, unit: str, *, well: bool) -> None:
        """How the unit does on what came back."""
        self._verdicts.marks.ended(unit, well=well)
        self._verdicts.changed = True

    def forget(self, unit: str) -> None:
        """Its trial is over: what stood before is kept only where another has need of it."""
        for before in self.to(unit):
            self._takeup.befores.forget(self._resources[before.resource])


def _spared(back_to: Sequence[Before]) -> dict[str, frozenset[Field] | None]:
    """The fields that go back, by resource; of a drop-in all, and what processes have of it."""
    spared: dict[str, frozenset[Field] | None] = {}
    for before in back_to:
        fields = None if before.whole else frozenset(field for field, _ in before.values)
        spared[before.resource] = fields
        if before.is_drop_in:
            unit = before.resource.partition(":")[2]
            spared[f"process-limits:{unit}"] = None
    return spared
