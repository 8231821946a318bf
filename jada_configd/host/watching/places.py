"""What is watched for, as trees: what the policy asks for, and the places that it names here.

A tree of `Step`s holds the components of all paths and patterns, shared where paths begin alike;
a tree of `Place`s what they come to. Looking at the host and watching is `watch.py`'s.
"""

import fnmatch
import re
from collections.abc import Iterable, Iterator
from typing import Final

_WILDCARDS: Final = re.compile(r"[*?\[]")


class Step:
    """One component of what is asked for. `asked` are the paths, as given, that end here."""

    __slots__ = ("asked", "fixed", "is_last", "wild")

    def __init__(self) -> None:
        self.fixed: dict[str, Step] = {}
        self.wild: dict[str, tuple[re.Pattern[str], Step]] = {}
        self.is_last = False
        self.asked: set[str] = set()

    def at(self, name: str) -> "Iterator[Step]":
        """The steps to which an entry of that name leads."""
        if name in self.fixed:
            yield self.fixed[name]
        for pattern, step in self.wild.values():
            if pattern.match(name):
                yield step

    def _next(self, component: str) -> "Step":
        if not _WILDCARDS.search(component):
            return self.fixed.setdefault(component, Step())
        if component not in self.wild:
            # A leading period is matched by a period alone (glob(7)).
            visible = "" if component.startswith(".") else r"(?!\.)"
            pattern = re.compile(visible + fnmatch.translate(component))
            self.wild[component] = (pattern, Step())
        return self.wild[component][1]


def step_of(paths: Iterable[str]) -> Step:
    """The first step of all these absolute paths and patterns."""
    top = Step()
    for path in paths:
        step = top
        for component in path.split("/"):
            if component not in {"", "."}:
                step = step._next(component)  # noqa: SLF001 - of the same class
        step.is_last = True
        if not _WILDCARDS.search(path):
            step.asked.add(path)
    return top


class Place:
    """A path on the way to, or at, what is asked for, links not followed.

    `real` is the directory to which it leads, `watch` the kernel's number for that directory or for
    the file, `notes` the entries of watched directories on which it depends. `exists` tells
    whether, when last looked at, something was there that can be what is asked for; what `is_link`
    may lead there one day.
    """

    __slots__ = (
        "_leads_on",
        "_steps",
        "below",
        "exists",
        "is_link",
        "name",
        "notes",
        "parent",
        "path",
        "real",
        "room",
        "watch",
    )

    def __init__(self, name: str, path: str, parent: "Place | None", steps: Iterable[Step]) -> None:
        self.name = name
        self.path = path
        self.parent = parent
        self._steps = tuple(steps)
        self._leads_on = any(step.fixed or step.wild for step in self._steps)
        self.below: dict[str, Place] = {}
        self.exists = False
        self.is_link = False
        self.room = 0  # the most entries below it that are known by a pattern
        self.real: str | None = None
        self.watch: int | None = None
        self.notes: list[tuple[int, bytes]] = []

    # ---- what is asked for

    def is_wanted(self) -> bool:
        """Whether it is itself what is asked for."""
        return any(step.is_last for step in self._steps)

    def is_fixed(self) -> bool:
        """Whether its name is asked for as it stands, so that it counts while it does not exist."""
        return self.parent is None or any(self.name in step.fixed for step in self.parent._steps)  # noqa: SLF001

    def leads_on(self) -> bool:
        """Whether anything below it is asked for."""
        return self._leads_on

    def has_wildcards(self) -> bool:
        """Whether entries right below it are asked for by a pattern."""
        return any(step.wild for step in self._steps)

    def fixed_names(self) -> set[str]:
        """The entries right below it that are asked for by name."""
        return {name for step in self._steps for name in step.fixed}

    def matches(self, name: str) -> bool:
        """Whether an entry of that name right below it is on the way to what is asked for."""
        return any(True for step in self._steps for _ in step.at(name))

    def is_leaf(self) -> bool:
        """Whether nothing below it is asked for."""
        return not self._leads_on

    def is_known(self) -> bool:
        """Whether the loop may have heard of it: it is named, or it was there at the last look."""
        return self.exists or self.is_fixed()

    # ---- the tree

    def child(self, name: str) -> "Place":
        """The place right below it of that name, which is made where there is none yet."""
        place = self.below.get(name)
        if place is None:
            steps = [found for step in self._steps for found in step.at(name)]
            place = self.below[name] = Place(name, f"{self.path.rstrip('/')}/{name}", self, steps)
        return place

    def born(self, name: str) -> "Place | None":
        """The place of a new entry right below it, if a pattern asks for such entries."""
        if name in self.below or (self.matches(name) and len(self.below) < self.room):
            return self.child(name)
        return None

    def above(self) -> "Iterator[Place]":
        """The places on the way to it, the nearest first."""
        place = self.parent
        while place is not None:
            yield place
            place = place.parent

    def hints(self) -> Iterator[str]:
        """The path by which the loop knows it, if it is what is asked for."""
        for step in self._steps:
            if step.is_last:
                yield from step.asked or (self.path,)

    def hints_below(self) -> Iterator[str]:
        """The paths that are asked for, here and below."""
        if self.is_known():
            yield from self.hints()
            for place in self.below.values():
                yield from place.hints_below()
