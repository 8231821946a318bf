"""The trials that are under way, and what stood before the changes that they are about."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final

from jada_configd.core.course import Before
from jada_configd.core.model import ABSENT, Absent, Change, Field, Value
from jada_configd.core.trial import Trial, plain, trial_of


def values_before(changes: Iterable[Change]) -> tuple[tuple[Field, Value], ...]:
    """What the fields were that are corrected."""
    return tuple((change.field, change.have) for change in changes)


BYTES_AT_MOST: Final = 16 * 1024


class Trials:
    """By unit and by resource; the caller saves them when `changed`."""

    def __init__(self) -> None:
        self._trials: dict[str, Trial] = {}
        self._before: dict[str, Before] = {}
        self.changed = False

    def of(self, unit: str) -> Trial | None:
        """The trial of a unit, if there is one."""
        return self._trials.get(unit)

    def units(self) -> tuple[str, ...]:
        """All that are on trial."""
        return tuple(self._trials)

    def open(self, trial: Trial) -> None:
        """A change is on its way to a unit; what is on trial there already is tried with it."""
        known = self._trials.get(trial.unit)
        self.put(trial if known is None else known.merged(trial))

    def put(self, trial: Trial) -> None:
        """How the trial stands now."""
        if self._trials.get(trial.unit) != trial:
            self._trials[trial.unit] = trial
            self.changed = True

    def close(self, unit: str) -> None:
        """The trial has ended."""
        if self._trials.pop(unit, None) is not None:
            self.changed = True

    def before(self, resource: str) -> Before | None:
        """What stood in the file of a resource."""
        return self._before.get(resource)

    def befores(self) -> tuple[Before, ...]:
        """All that somebody may go back to."""
        return tuple(self._before.values())

    def room(self) -> int:
        """How many more bytes of files may stand here; more are dear to save again and again."""
        held = sum(len(each.content or b"") for each in self._before.values())
        return max(0, BYTES_AT_MOST - held)

    def keep(self, before: Before) -> None:
        """A file is about to be changed; of several changes what stood before the first counts."""
        known = self._before.get(before.resource)
        self.put_before(before if known is None else _followed(known, before))

    def put_before(self, before: Before) -> None:
        """That, and nothing else, stood in the file."""
        if before != self._before.get(before.resource):
            self._before[before.resource] = before
            self.changed = True

    def forget_before(self, resource: str) -> None:
        """Nobody will go back to it."""
        if self._before.pop(resource, None) is not None:
            self.changed = True

    def forget_others(self, resources: frozenset[str], units: frozenset[str]) -> None:
        """Drop what the policy no longer holds."""
        self._before = {name: each for name, each in self._before.items() if name in resources}
        self._trials = {unit: each for unit, each in self._trials.items() if unit in units}

    # ---- to be kept, within one boot

    def plain(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "trials": {unit: plain(trial) for unit, trial in self._trials.items()},
            "before": {name: _plain(each) for name, each in self._before.items()},
        }

    @classmethod
    def of_plain(cls, kept: object) -> "Trials":
        """As they were kept; garbled, they count as nothing."""
        trials = cls()
        if not isinstance(kept, Mapping):
            return trials
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            found = {unit: trial_of(unit, each) for unit, each in kept["trials"].items()}
            before = {name: _before_of(name, each) for name, each in kept["before"].items()}
            trials._trials, trials._before = found, before
        return trials


def _followed(first: Before, later: Before) -> Before:
    known = dict(first.values)
    added = ((field, value) for field, value in later.values if field not in known)
    whole = first.whole or later.whole
    return replace(first, wrote=later.wrote, values=(*first.values, *added), whole=whole)


def _plain(before: Before) -> dict[str, Any]:
    values = [
        [list(field), *([] if isinstance(value, Absent) else [value])]
        for field, value in before.values
    ]
    text = None if before.content is None else before.content.decode("latin-1")
    return {**asdict(replace(before, values=(), content=None)), "values": values, "content": text}


def _before_of(resource: str, kept: Mapping[str, Any]) -> Before:
    values = tuple(
        (tuple(map(str, field)), value[0] if value else ABSENT) for field, *value in kept["values"]
    )
    content = kept["content"]
    return Before(
        resource,
        str(kept["path"]),
        existed=bool(kept["existed"]),
        mode=int(kept["mode"]),
        uid=int(kept["uid"]),
        gid=int(kept["gid"]),
        wrote=str(kept["wrote"]),
        values=values,
        whole=bool(kept["whole"]),
        content=None if content is None else str(content).encode("latin-1"),
        bytes_digest=str(kept["bytes_digest"]),
    )
