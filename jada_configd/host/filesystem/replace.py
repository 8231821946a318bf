"""Replaces and removes one file: what was looked at, or nothing (`Stale`).

The way is walked anew, with the same checks as for reading, or it is the one of the look that was
kept (`kept.py`). The new content stands complete beside
the old one before anything happens to that; how they change places is `exchange.py`'s.
"""

import os
import stat
from contextlib import suppress
from typing import Final

from jada_configd.core.actions import RemoveFile, ReplaceFile, digest
from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, Refused, Stale
from jada_configd.host.filesystem import kernel, reading
from jada_configd.host.filesystem.attributes import attributes
from jada_configd.host.filesystem.complaints import complaint
from jada_configd.host.filesystem.exchange import UNSUPPORTED, Looked, came_out, exchange, raced
from jada_configd.host.filesystem.ground import TRUSTED
from jada_configd.host.filesystem.kept import Kept
from jada_configd.host.filesystem.temporary import Temporary, temporary_name
from jada_configd.host.filesystem.walk import Directory, End, Nowhere, Walk
from jada_configd.host.filesystem.writers import Writers

_DIRECTORY_MODE: Final = 0o755


def replace_file(walk: Walk, action: ReplaceFile, writers: Writers) -> None:
    """Carry the action out; raises `Stale`, `Refused`, `HostError`."""
    end = _end(walk, action)
    if action.replaces is None:
        if end.descriptor >= 0:
            raise Stale(f"{escaped(action.path)} exists by now")
        _create(end, action)
        return
    descriptor = _open(walk, end, action.path)
    _replace(end, action, _look(descriptor, end, action.replaces, writers))


def replace_kept(kept: Kept, action: ReplaceFile, writers: Writers) -> bool:
    """The same from the look that was kept; false where it has to be walked anew."""
    if action.replaces != digest(kept.data) or not kept.is_in_place():
        return False
    _replace(kept.end, action, _looked(kept.descriptor, kept.end, kept.data, kept.facts, writers))
    return True


def remove_file(walk: Walk, action: RemoveFile, writers: Writers) -> None:
    """Carry the action out; raises `Stale`, `Refused`, `HostError`."""
    try:
        end = walk.to(action.path)
    except Nowhere:
        raise Stale(f"{escaped(action.path)} is gone by now") from None
    descriptor = _open(walk, end, action.path)
    _remove(end, _look(descriptor, end, action.replaces, writers))
    _remove_empty(end.directory)


def _end(walk: Walk, action: ReplaceFile) -> End:
    try:
        return walk.to(action.path)
    except Nowhere as nowhere:
        if action.replaces is not None:
            raise Stale(f"{escaped(action.path)} is gone by now") from None
        if not action.make_directories:
            missing = nowhere.at.below(nowhere.rest[0])
            raise HostError(f"{escaped(missing)} does not exist") from None
        _make_directories(walk, nowhere.at, nowhere.rest)
    try:
        return walk.to(action.path)
    except Nowhere:
        raise Stale(f"the directories of {escaped(action.path)} are gone by now") from None


def _make_directories(walk: Walk, at: Directory, names: list[str]) -> None:
    for name in names:
        path = at.below(name)
        if at.ground.holder != TRUSTED or name == "..":
            raise Refused(f"{escaped(path)} does not exist, and others can write to the way there")
        try:
            with suppress(FileExistsError):
                os.mkdir(name, _DIRECTORY_MODE, dir_fd=at.descriptor)
                os.chmod(name, _DIRECTORY_MODE, dir_fd=at.descriptor)  # whatever the umask
        except OSError as error:
            raise complaint(error, path) from error
        try:
            at = walk.into(at, name)
        except Nowhere:
            raise Stale(f"{escaped(path)} is gone by now") from None


def _open(walk: Walk, end: End, path: str) -> int:
    if end.descriptor < 0:
        raise Stale(f"{escaped(path)} is gone by now")
    return walk.own(reading.open_regular(end))


def _look(descriptor: int, end: End, expected: str, writers: Writers) -> Looked:
    data, facts = reading.read_whole(descriptor, end.path, end.facts)
    end.directory.ground.at_file(end.path, end.directory.facts, facts)
    if digest(data) != expected:
        raise Stale(f"{escaped(end.path)} has other content than was looked at")
    return _looked(descriptor, end, data, facts, writers)


def _looked(
    descriptor: int, end: End, data: bytes, facts: os.stat_result, writers: Writers
) -> Looked:
    if not writers.are_gone(descriptor):
        raise Stale(f"{escaped(end.path)} is open for writing in another process")
    try:
        return Looked(descriptor, data, facts, attributes(descriptor, end.path), writers)
    except OSError as error:
        raise complaint(error, end.path) from error


def _check_owner(action: ReplaceFile, facts: os.stat_result, end: End) -> None:
    """In a user's directory the file keeps what it has; that is what has to have been looked at."""
    have = (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode) & 0o777)
    if have != (action.uid, action.gid, action.mode & 0o777):
        raise Stale(f"{escaped(end.path)} has another owner, group or mode than was looked at")


def _create(end: End, action: ReplaceFile) -> None:
    directory = end.directory
    directory.ground.at_nothing(end.path, directory.facts)
    if directory.ground.holder != TRUSTED and action.uid not in {-1, directory.facts.st_uid}:
        raise Stale(f"{escaped(directory.path)} has another owner than was looked at")
    with Temporary(directory, end.name) as new:
        new.fill(action.content, (action.uid, action.gid), action.mode, None)
        try:
            _name_new(directory, new.name, end.name)
        except FileExistsError:
            raise Stale(f"{escaped(end.path)} exists by now") from None
        except OSError as error:
            raise complaint(error, end.path) from error
        new.placed = True


def _name_new(directory: Directory, source: str, name: str) -> None:
    """Rename unless there is such a name; raises OSError, FileExistsError among them."""
    at = directory.descriptor
    try:
        kernel.rename(at, source, name, kernel.RENAME_NOREPLACE)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        # link(2) never replaces either, and a file system that cannot do the one can do the other.
        os.link(source, name, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
        os.unlink(source, dir_fd=at)


def _replace(end: End, action: ReplaceFile, looked: Looked) -> None:
    if end.directory.ground.holder != TRUSTED:
        _check_owner(action, looked.facts, end)
    with Temporary(end.directory, end.name) as new:
        new.fill(action.content, (action.uid, action.gid), action.mode, looked.extra)
        exchange(end, new, action.content, looked)


def _remove(end: End, looked: Looked) -> None:
    at = end.directory.descriptor
    aside = temporary_name(end.name)
    try:
        _name_new(end.directory, end.name, aside)
        if came_out(end.directory, aside, looked):
            os.unlink(aside, dir_fd=at)
            return
        try:
            _name_new(end.directory, aside, end.name)
        except FileExistsError:
            os.unlink(aside, dir_fd=at)  # newer content has the name by now
    except FileNotFoundError:
        raise Stale(f"{escaped(end.path)} is gone by now") from None
    except OSError as error:
        raise complaint(error, end.path) from error
    raise raced(end)


def _remove_empty(directory: Directory) -> None:
    """Remove a unit's drop-in directory that is of no more use; one in use refuses by itself.

    Others (limits.d, sysctl.d) are not ours to remove: their packages have put them there.
    """
    name = directory.path.rpartition("/")[2]
    if not name.endswith(".service.d") or directory.ground.holder != TRUSTED:
        return
    above = os.open("..", os.O_PATH | os.O_CLOEXEC, dir_fd=directory.descriptor)
    try:
        with suppress(OSError):
            os.rmdir(name, dir_fd=above)
    finally:
        os.close(above)
