"""Files of the real machine: read with their metadata, listed by pattern, replaced and removed.

The way to a file is `walk.py`'s and whose it may be `ground.py`'s; how one is replaced
without a loss is `replace.py`'s.
"""

import os
import time
from collections.abc import Iterable
from typing import Self

from jada_configd.core.actions import RemoveFile, ReplaceFile
from jada_configd.core.facts import Content, FileFact, Missing, Unreadable
from jada_configd.errors import HostError
from jada_configd.host.filesystem import litter, patterns, reading, replace
from jada_configd.host.filesystem.kept import Kept
from jada_configd.host.filesystem.mounts import Mounts
from jada_configd.host.filesystem.trust import trust
from jada_configd.host.filesystem.walk import End, Nowhere, Walk
from jada_configd.host.filesystem.writers import Writers


class Files:
    """The files below a root, `/` to every path and link, as systemd's `--root=` has it."""

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._trust = trust(scratch=root != "/")
        self._mounts = Mounts()
        self._writers = Writers()
        self._keeps = False
        self._kept: Kept | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back every descriptor, the mount table's among them."""
        self.end_pass()
        self._mounts.close()

    def begin_pass(self) -> None:
        """From now on the last file that was read is kept open, to be replaced (`kept.py`)."""
        self._keeps = True

    def end_pass(self) -> None:
        """Keep no file open any more."""
        self._keeps = False
        self._let_go()

    def read_file(self, path: str) -> FileFact:
        """The file at an absolute path. Raises nothing: what cannot be read is `Unreadable`."""
        self._let_go()
        walk = self._walk()
        try:
            end = walk.to(path)
            if end.descriptor < 0:
                return _missing(path, end)
            descriptor = walk.own(reading.open_regular(end))
            data, facts = reading.read_whole(descriptor, end.path, end.facts)
            # The owner may have changed since the walk; at_file() costs less than a doubt.
            end.directory.ground.at_file(end.path, end.directory.facts, facts)
            if self._keeps:
                self._kept = Kept(path, walk, end, descriptor, data, facts)
            return _content(path, end, data, facts)
        except Nowhere as nowhere:
            lacks = f"{nowhere.at.path.rstrip('/')}/{nowhere.rest[0]}" if nowhere.rest else ""
            return Missing(path, directory=False, lacks=lacks)
        except HostError as error:
            return Unreadable(path, str(error))
        finally:
            if self._kept is None:
                walk.close()

    def glob(self, pattern: str) -> tuple[str, ...]:
        """The absolute paths that match, sorted; raises `patterns.TooMany` past its bounds."""
        self._let_go()
        with self._walk() as walk:
            return patterns.matches(walk, pattern)

    def exists(self, path: str) -> bool:
        """Whether anything stands at an absolute path, links followed; raises nothing.

        It is found with O_PATH and not opened: a FIFO waits for nobody, a device does nothing.
        """
        try:
            with self._walk() as walk:
                return walk.to(path).descriptor >= 0
        except (Nowhere, HostError):
            return False

    def replace_file(self, action: ReplaceFile) -> None:
        """Put content in place of what was looked at; raises `Stale`, `Refused`, `HostError`."""
        try:
            kept = self._kept
            if (
                kept is not None
                and kept.path == action.path
                and replace.replace_kept(kept, action, self._writers)
            ):
                return
        finally:
            self._let_go()
        with self._walk() as walk:
            replace.replace_file(walk, action, self._writers)

    def remove_file(self, action: RemoveFile) -> None:
        """Remove what was looked at; raises `Stale`, `Refused`, `HostError`."""
        self._let_go()
        with self._walk() as walk:
            replace.remove_file(walk, action, self._writers)

    def clean_litter(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Remove what a crash left beside these files; to be called under the pass lock."""
        return litter.clean(self._walk, paths)

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.walk.close()
            self._kept = None

    def _walk(self) -> Walk:
        return Walk(self._root, self._trust, self._mounts)


def _content(path: str, end: End, data: bytes, facts: os.stat_result) -> Content:
    return Content(
        path,
        end.path,
        data,
        facts.st_mode & 0o7777,
        facts.st_uid,
        facts.st_gid,
        facts.st_ino,
        facts.st_mtime_ns,
        facts.st_ctime_ns - (time.time_ns() - time.monotonic_ns()),
    )


def _missing(path: str, end: End) -> Missing:
    directory = end.directory
    directory.ground.at_nothing(end.path, directory.facts)
    return Missing(path, directory=True, uid=directory.facts.st_uid, gid=directory.facts.st_gid)
