"""Which of the watched paths may have changed, behind one descriptor.

A hint names a path and says "look there": no event, no content. One too many is harmless, a missing
one is not; so every directory on the way to a path is watched, links are followed as far as their
owner could write, and whatever is not certain counts as changed. What to do about it is the loop's.
"""

import os
import stat
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from jada_configd.host.watching.hints import EVERYTHING, Hints
from jada_configd.host.watching.inotify import FILE, IGNORED, OVERFLOW, WRITTEN, Inotify
from jada_configd.host.watching.places import Place, Step, step_of
from jada_configd.host.watching.wakeup import Wakeup
from jada_configd.host.watching.watches import Watches

# The hops on one component, links and what they lead through: what a user's links can cost.
_MOST_HOPS: Final = 200
# The entries of one directory that are watched by a pattern: of root's, and of anybody else's.
_MOST_MATCHES: Final = 10_000
_MOST_OF_ONE_USER: Final = 1_000


class Watcher:
    """Watches files and patterns of files, whether they exist yet or not."""

    def __init__(self, root: str = "/", inotify: Inotify | None = None) -> None:
        """`root` stands for `/` in paths and in absolute links. Raises `HostError`."""
        self._root = root
        self._as_root = os.geteuid() == 0
        self._trusted = {0, os.geteuid()}
        self._inotify = inotify or Inotify()
        self._wakeup = Wakeup(self._inotify.fileno())
        self._watches = Watches(self._inotify)
        self._paths = frozenset[str]()
        self._wanted = Step()
        self._top = Place("", "/", None, (self._wanted,))
        self._behind: set[Place] = set()  # told at a glance, and not watched yet

    # ---- what the loop calls

    def watch(self, paths: Collection[str]) -> None:
        """Watch exactly these absolute paths and patterns; what stays is watched throughout."""
        wanted = frozenset(paths)
        if wanted != self._paths:
            self._paths = wanted
            self._wanted = step_of(wanted)
            self.refresh()

    def refresh(self) -> None:
        """Walk all paths anew; what could not be watched is tried again."""
        before = self._watches.begin_anew()
        self._top = Place("", "/", None, (self._wanted,))
        self._behind = set()
        self._settle(self._top)
        self._watches.drop_idle(before)

    def hints(self) -> Hints:
        """The paths that may have changed since the last call. Does not block."""
        return self._hear(at_once=False)

    def glance(self) -> Hints:
        """The same, but a file that took another's place is told before it is watched.

        It has to be followed soon by `hints`, which watches such files and tells them again:
        nobody would hear what was written to them in between.
        """
        return self._hear(at_once=True)

    def is_behind(self) -> bool:
        """Whether a glance has left something to `hints`."""
        return bool(self._behind)

    def _hear(self, *, at_once: bool) -> Hints:
        look: set[Place] = set()  # where something else may stand now
        written: set[Place] = set()  # where the same file has other content
        found = overflow = False
        for number, mask, name in self._inotify.read():
            found = True
            if mask & OVERFLOW:
                overflow = True
            else:
                self._sort(number, mask, name, look, written)
        late = bool(self._behind)
        walks_ns = time.monotonic_ns()
        if self._wakeup.mounts.changed():
            found = True
            look |= self._watches.elsewhere()
            at_once = False
        if overflow:
            self.refresh()
            self._wakeup.looked(found=True, useful=False, walks_ns=walks_ns)
            return EVERYTHING
        # Whoever moves directories about costs walks, and is slowed like whoever makes noise.
        cheap = all(place.is_leaf() and place.is_known() for place in look)
        hints = {hint for place in written for hint in place.hints()}
        if at_once and cheap:
            self._behind |= look
            hints.update(hint for place in look for hint in place.hints())
        else:
            hints.update(self._settle_all(look | self._behind))
        if found or not late:
            self._wakeup.looked(found=found, useful=cheap and bool(hints), walks_ns=walks_ns)
        return frozenset(hints)

    def fileno(self) -> int:
        """Readable when `hints` has something to look at."""
        return self._wakeup.fileno()

    def problems(self) -> tuple[str, ...]:
        """What keeps paths from being watched, one sentence each; sweeps have to do there."""
        return self._watches.problems()

    def watches(self) -> int:
        """How many of the kernel's watches are in use."""
        return len(self._watches)

    def close(self) -> None:
        """Stop watching and give every descriptor back."""
        self._wakeup.close()
        self._inotify.close()

    # ---- events

    def _sort(
        self, number: int, mask: int, name: bytes, look: set[Place], written: set[Place]
    ) -> None:
        watch = self._watches.get(number)
        if watch is None:
            return
        if mask & IGNORED:  # deleted, or its file system unmounted
            self._watches.forget(number)
            look |= watch.places()
            return
        places = watch.entries.get(name)
        if places is not None:
            (written if mask & WRITTEN else look).update(places)
        for nursery in watch.nurseries:
            place = nursery.born(os.fsdecode(name)) if name else None
            if place is not None:
                look.add(place)

    # ---- places

    def _settle_all(self, look: set[Place]) -> set[str]:
        """Walk anew from all these places; returns what may have changed."""
        self._behind = set()
        hints: set[str] = set()
        for place in look:
            if not any(above in look for above in place.above()):
                hints.update(self._look_again(place))
        self._watches.drop_idle()
        return hints

    def _look_again(self, place: Place) -> set[str]:
        """Walk anew from here; returns the paths here and below, as they were and as they are."""
        hints = set(place.hints_below())
        self._settle(place)
        hints.update(place.hints_below())
        return hints

    def _settle(self, place: Place) -> None:
        """Find out where a place is, watch it and the way to it, and go on below it."""
        self._watches.release(place)
        place.is_link = False
        place.real = place.watch = None
        found = self._follow(place)
        if found is not None:
            path, mode, uid = found
            if stat.S_ISDIR(mode):
                if place.leads_on():
                    place.real = path
                    place.watch = self._watches.add(path)
                    place.room = _MOST_MATCHES if uid in self._trusted else _MOST_OF_ONE_USER
            elif place.is_wanted():
                place.watch = self._watches.add(path, FILE)
        if place.watch is not None:
            self._watches.note(place, place.watch)
        place.exists = place.real is not None or (found is not None and place.is_wanted())
        if place.parent is not None and not (place.exists or place.is_link or place.is_fixed()):
            place.parent.below.pop(place.name, None)  # an entry that matches a wildcard no more
            self._watches.release(place)
        self._settle_below(place)

    def _settle_below(self, place: Place) -> None:
        names = place.fixed_names() | place.below.keys()
        if place.real is not None and place.has_wildcards():
            if place.watch is not None:
                self._watches.nurse(place, place.watch)
            found = (name for name in _listed(place.real) if place.matches(name))
            names.update(islice(found, place.room))
        for name in names:
            self._settle(place.child(name))

    def _follow(self, place: Place) -> tuple[str, int, int] | None:
        """Where a place's last component leads, with mode and owner of what is there.

        Every entry is noted before it is looked at, so that a change in between is an event. A
        user's link is followed through what is theirs and root's alone.
        """
        if place.parent is None or place.parent.real is None:
            return (self._root, stat.S_IFDIR, 0) if place.parent is None else None
        way = _Way(place.parent.real, place.parent.watch, [place.name])
        for _ in range(_MOST_HOPS):
            if not way.ahead:
                return way.directory, stat.S_IFDIR, way.uid
            path = self._step(place, way)
            entry = self._entry(path, way)
            if entry is None:
                return None
            mode, uid, link = entry
            if link is not None:
                place.is_link = True
                way.ahead += [part for part in reversed(link.split("/")) if part not in {"", "."}]
                at_root = link.startswith("/")
                path, uid = (self._root, 0) if at_root else (way.directory, way.uid)
            elif not way.ahead:
                return path, mode, uid
            elif not stat.S_ISDIR(mode):
                return None
            if path != way.directory:
                way.directory, way.uid, way.watch = path, uid, self._watches.add(path)
                if way.watch is not None:
                    self._watches.note(place, way.watch)
        return None

    def _step(self, place: Place, way: "_Way") -> str:
        """The path of the next entry, on which the place depends from now on."""
        name = way.ahead.pop()
        if name == "..":
            at_root = way.directory == self._root
            return self._root if at_root else os.path.dirname(way.directory)
        if way.watch is not None:
            self._watches.note(place, way.watch, os.fsencode(name))
        return os.path.join(way.directory, name)

    def _entry(self, path: str, way: "_Way") -> tuple[int, int, str | None] | None:
        """Mode and owner of an entry, and where it leads if it is a link; None: the way ends."""
        if self._as_root and path in self._wakeup.mounts.users:
            return None
        try:
            status = os.lstat(path)
            link = os.readlink(path) if stat.S_ISLNK(status.st_mode) else None
        except OSError:
            return None
        if way.owners is not None and status.st_uid not in way.owners:
            return None
        if link is not None and self._as_root and status.st_uid:
            way.owners = (0, status.st_uid)
        return status.st_mode, status.st_uid, link


@dataclass(slots=True)
class _Way:
    """How far a path with links in it has been followed, and by whose leave."""

    directory: str
    watch: int | None
    ahead: list[str]  # the components still to come, the next one last
    uid: int = -1  # of the directory, once a link has led there
    owners: tuple[int, ...] | None = None


def _listed(directory: str) -> Iterable[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return ()
