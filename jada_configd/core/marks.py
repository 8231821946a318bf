"""Revisions of the policy that were taken back on this host, by the service that did not bear them.

A mark outlives restarts and reboots: without it the next start would write the same values again,
and the service would start on them. It ends with another revision, or by an operator's word.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from jada_configd.core.model import Field, pointer


@dataclass(frozen=True, slots=True)
class Mark:
    """What is not tried again on one unit.

    `spared` are the fields of each resource that are left as they are; None: all of the resource.
    `since` is CLOCK_REALTIME in seconds; `well` whether it was healthy on what came back, None: not
    known.
    """

    unit: str
    revision: str
    why: str
    since: float
    spared: Mapping[str, frozenset[Field] | None]
    well: bool | None = None

    def sentence(self) -> str:
        """What an operator has to know, and can do."""
        return taken_back(self.unit, self.why)


class Marks:
    """By unit; of one revision, which is the one in force."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}

    def of(self, unit: str) -> Mark | None:
        """The mark of a unit."""
        return self._marks.get(unit)

    def put(self, mark: Mark) -> None:
        """The unit did not become healthy."""
        self._marks[mark.unit] = mark

    def ended(self, unit: str, *, well: bool) -> None:
        """How the unit does on what came back."""
        if unit in self._marks:
            self._marks[unit] = replace(self._marks[unit], well=well)

    def remove(self, unit: str) -> bool:
        """It is to be tried again; whether it was marked."""
        return self._marks.pop(unit, None) is not None

    def keep_to(self, revision: str, going_back: Collection[str] = ()) -> bool:
        """Another policy ends all marks, but for those of units on their way back.

        Returns whether one has ended.
        """
        kept = {
            unit: mark
            for unit, mark in self._marks.items()
            if mark.revision == revision or unit in going_back
        }
        ended = len(kept) != len(self._marks)
        self._marks = kept
        return ended

    def sparing(self, resource: str) -> "tuple[Mark, frozenset[Field] | None] | None":
        """The mark that has a resource spared, with its fields (None: all of it)."""
        found: list[tuple[Mark, frozenset[Field] | None]] = [
            (mark, mark.spared[resource])
            for mark in self._marks.values()
            if resource in mark.spared
        ]
        if not found:
            return None
        mark = found[0][0]
        fields: set[Field] = set()
        for _, each in found:
            if each is None:
                return mark, None
            fields |= each
        return mark, frozenset(fields)

    def plain(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            unit: {
                "revision": mark.revision,
                "why": mark.why,
                "since": mark.since,
                "well": mark.well,
                "spared": {
                    name: None if fields is None else sorted(map(list, fields))
                    for name, fields in mark.spared.items()
                },
            }
            for unit, mark in self._marks.items()
        }

    @classmethod
    def of_plain(cls, kept: object) -> "Marks":
        """As they were kept; garbled, they count as nothing."""
        marks = cls()
        if not isinstance(kept, Mapping):
            return marks
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            marks._marks = {str(unit): _mark_of(str(unit), each) for unit, each in kept.items()}
        return marks


def taken_back(unit: str, why: str) -> str:
    """The sentence of a mark."""
    what = f"{unit} did not become healthy on this policy, which was taken back"
    return f"{what}: {why}; `jada-configd retry {unit}` tries it again"


def shown(spared: frozenset[Field] | None) -> list[str]:
    """The fields as JSON Pointers, sorted; none where all of the resource is spared."""
    return sorted(map(pointer, spared or ()))


def _mark_of(unit: str, kept: Mapping[str, Any]) -> Mark:
    spared = {
        str(name): None if fields is None else frozenset(tuple(map(str, each)) for each in fields)
        for name, fields in kept["spared"].items()
    }
    well = kept["well"]
    return Mark(
        unit,
        str(kept["revision"]),
        str(kept["why"]),
        float(kept["since"]),
        spared,
        None if well is None else bool(well),
    )
