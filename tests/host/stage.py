"""A scratch root with users in it, and processes apart in which a test can be one of them."""

import ctypes
import os
import pickle
import shutil
import signal
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from jada_configd.core.actions import ReplaceFile, digest
from jada_configd.core.facts import Content
from jada_configd.host.filesystem.files import Files

EVE = 61001  # users who need no entry in the user database
BOB = 61002

T = TypeVar("T")

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000


class Stage:
    """A root directory whose users are numbers; all in it is made with an owner and a mode."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.root.chmod(0o755)
        self.files = Files(str(root))

    def real(self, path: str) -> Path:
        """Where a path of the stage is on this machine."""
        return self.root / path.lstrip("/")

    def directory(self, path: str, uid: int = 0, mode: int = 0o755, gid: int | None = None) -> None:
        """A directory; those above it must exist."""
        self.real(path).mkdir()
        self._give(path, uid, mode, gid)

    def file(
        self,
        path: str,
        content: bytes = b"{}\n",
        uid: int = 0,
        mode: int = 0o644,
        gid: int | None = None,
    ) -> None:
        """A regular file."""
        self.real(path).write_bytes(content)
        self._give(path, uid, mode, gid)

    def link(self, path: str, target: str, uid: int = 0) -> None:
        """A symbolic link."""
        self.real(path).symlink_to(target)
        os.chown(self.real(path), uid, uid, follow_symlinks=False)

    def home(self, name: str = "eve", uid: int = EVE) -> str:
        """A user's home with a `.claude` in it."""
        if not self.real("/home").exists():
            self.directory("/home")
        self.directory(f"/home/{name}", uid)
        self.directory(f"/home/{name}/.claude", uid)
        return f"/home/{name}/.claude"

    def replace(self, path: str, content: bytes) -> None:
        """Replace what is there now by other content, keeping its owner and mode."""
        fact = self.files.read_file(path)
        assert isinstance(fact, Content), fact
        self.files.replace_file(replacement(fact, content))

    def listing(self, path: str) -> list[str]:
        """The names in a directory."""
        return sorted(each.name for each in self.real(path).iterdir())

    def snapshot(self, path: str) -> dict[str, tuple[int, int, int, bytes]]:
        """All that stands below a path: type, owner, mode and content."""
        found: dict[str, tuple[int, int, int, bytes]] = {}
        for top, directories, files in os.walk(self.real(path)):
            for name in [*directories, *files]:
                each = Path(top) / name
                facts = each.lstat()
                content = _front(each) if stat.S_ISREG(facts.st_mode) else b""
                found[str(each)] = (facts.st_mode, facts.st_uid, facts.st_gid, content)
        return found

    def _give(self, path: str, uid: int, mode: int, gid: int | None) -> None:
        os.chown(self.real(path), uid, uid if gid is None else gid)
        self.real(path).chmod(mode)


def _front(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 16)


def replacement(fact: Content, content: bytes) -> ReplaceFile:
    """The action that replaces what was read."""
    return ReplaceFile(fact.path, content, fact.mode, fact.uid, fact.gid, digest(fact.data))


@contextmanager
def reachable() -> Iterator[Path]:
    """A directory that every user can get to, as those of pytest are not."""
    made = Path(tempfile.mkdtemp(prefix="jada-configd-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def apart(act: Callable[[], T], *, uid: int = 0, mounts: bool = False, seconds: int = 20) -> T:
    """What `act` returns in a process of its own: as another user, or with mounts of its own.

    A process that hangs is killed by its own alarm, and fails the test.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _child(act, uid, writing, mounts=mounts, seconds=seconds)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the process apart ended with status {status} (14: it hung)"
    good, result = pickle.loads(answer)
    assert good, result
    return result  # type: ignore[no-any-return]


def _child(act: Callable[[], Any], uid: int, writing: int, *, mounts: bool, seconds: int) -> None:
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        answer: tuple[bool, Any]
        try:
            if mounts:
                _own_mounts()
            if uid:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            answer = (True, act())
        except BaseException:  # noqa: BLE001 - all of it is told to the parent
            answer = (False, traceback.format_exc())
        os.write(writing, pickle.dumps(answer))
        os._exit(0)
    finally:
        os._exit(1)


def _own_mounts() -> None:
    if _LIBC.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", "/", "none", "", _MS_REC | _MS_PRIVATE)


def mount(source: str, target: str, kind: str, options: str, flags: int = 0) -> None:
    """mount(2), in a process apart."""
    done = _LIBC.mount(
        source.encode(), target.encode(), kind.encode(), flags, options.encode() or None
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


class Attacker:
    """A process of another user that does one thing again and again, until it is stopped."""

    def __init__(self, act: Callable[[int], None], uid: int = EVE) -> None:
        reading, writing = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            try:
                signal.alarm(60)
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                for number in range(1 << 40):
                    try:
                        act(number)
                    except OSError:
                        continue
                    if number == 0:
                        os.write(writing, b".")
            finally:
                os._exit(0)
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
