"""The machine says no: one sentence, the file as it was, and nothing left behind."""

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from jada_configd.core.actions import RemoveFile, ReplaceFile, digest
from jada_configd.core.facts import Content, Missing, Unreadable
from jada_configd.errors import HostError, Refused
from jada_configd.host.filesystem import reading
from jada_configd.host.filesystem.complaints import sentence
from jada_configd.host.filesystem.files import Files
from tests.host.stage import EVE, Stage, apart, mount, reachable, replacement

OLD, NEW = b'{"model": "old"}\n', b'{"model": "new"}\n'
T = TypeVar("T")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.files.close()


@pytest.mark.needs_root
def test_a_full_disk_leaves_the_old_file_and_no_litter(stage: Stage) -> None:
    stage.directory("/small")

    def act() -> tuple[str, bytes, list[str]]:
        mount("tmpfs", str(stage.real("/small")), "tmpfs", "size=64k,mode=755")
        stage.file("/small/x", OLD)
        fact = stage.files.read_file("/small/x")
        assert isinstance(fact, Content)
        with pytest.raises(HostError) as raised:
            stage.files.replace_file(replacement(fact, b"x" * 100_000))
        return str(raised.value), stage.real("/small/x").read_bytes(), stage.listing("/small")

    said, content, names = apart(act, mounts=True)
    assert said == "No space left on /small"
    assert (content, names) == (OLD, ["x"])


@pytest.mark.needs_root
def test_a_directory_that_has_no_room_for_another_name_is_said_to_be_full(stage: Stage) -> None:
    stage.directory("/small")

    def act() -> tuple[str, list[str]]:
        mount("tmpfs", str(stage.real("/small")), "tmpfs", "nr_inodes=2,mode=755")
        stage.file("/small/x", OLD)
        fact = stage.files.read_file("/small/x")
        assert isinstance(fact, Content)
        with pytest.raises(HostError) as raised:
            stage.files.replace_file(replacement(fact, NEW))
        return str(raised.value), stage.listing("/small")

    assert apart(act, mounts=True) == ("No space left on /small", ["x"])


@pytest.mark.needs_root
def test_a_read_only_file_system_is_named(stage: Stage) -> None:
    stage.directory("/fixed")

    def act() -> list[str]:
        where = str(stage.real("/fixed"))
        mount("tmpfs", where, "tmpfs", "mode=755")
        stage.file("/fixed/x", OLD)
        mount("tmpfs", where, "tmpfs", "", 1 | 32)  # MS_RDONLY, MS_REMOUNT
        fact = stage.files.read_file("/fixed/x")
        assert isinstance(fact, Content)
        said = []
        changes: list[Callable[[], None]] = [
            lambda: stage.files.replace_file(replacement(fact, NEW)),
            lambda: stage.files.replace_file(ReplaceFile("/fixed/y", NEW, 0o600, 0, 0, None)),
            lambda: stage.files.remove_file(RemoveFile("/fixed/x", digest(OLD))),
            lambda: stage.files.replace_file(
                ReplaceFile("/fixed/d/y", NEW, 0o600, 0, 0, None, make_directories=True)
            ),
        ]
        for change in changes:
            with pytest.raises(HostError) as raised:
                change()
            said.append(str(raised.value))
        return said

    fixed = "is on a read-only file system"
    assert apart(act, mounts=True) == [
        f"/fixed {fixed}",
        f"/fixed {fixed}",
        f"/fixed/x {fixed}",
        f"/fixed/d {fixed}",
    ]


@pytest.mark.needs_root
def test_a_file_that_is_a_mount_point_is_read_and_said_not_to_be_replaceable(stage: Stage) -> None:
    stage.file("/x", OLD)
    stage.file("/y", OLD)

    def act() -> tuple[str, list[str]]:
        mount(str(stage.real("/y")), str(stage.real("/x")), "none", "", 4096)  # MS_BIND
        fact = stage.files.read_file("/x")
        assert isinstance(fact, Content)
        with pytest.raises(HostError) as raised:
            stage.files.replace_file(replacement(fact, NEW))
        return str(raised.value), stage.listing("/")

    assert apart(act, mounts=True) == ("/x is a mount point and cannot be replaced", ["x", "y"])


@pytest.fixture
def immutable(stage: Stage) -> Iterator[Callable[[str], None]]:
    """chattr +i for the time of a test."""
    made: list[Path] = []

    def mark(path: str) -> None:
        done = subprocess.run(
            ["chattr", "+i", stage.real(path)], check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            pytest.fail(f"this file system has no immutable files: {done.stderr}")
        made.append(stage.real(path))

    yield mark
    for each in made:
        subprocess.run(["chattr", "-i", each], check=True)


@pytest.mark.needs_root
@pytest.mark.parametrize("which", ["/d/x", "/d"])
def test_what_is_immutable_is_read_and_said_not_to_be_changeable(
    stage: Stage, immutable: Callable[[str], None], which: str
) -> None:
    stage.directory("/d")
    stage.file("/d/x", OLD)
    immutable(which)
    fact = stage.files.read_file("/d/x")
    assert isinstance(fact, Content)
    with pytest.raises(HostError, match="may not be changed: it or its directory is immutable"):
        stage.files.replace_file(replacement(fact, NEW))
    with pytest.raises(HostError, match="may not be changed: it or its directory is immutable"):
        stage.files.remove_file(RemoveFile("/d/x", digest(OLD)))
    assert stage.listing("/d") == ["x"]
    assert stage.real("/d/x").read_bytes() == OLD


def test_without_a_descriptor_left_it_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)

    def act() -> tuple[str, str, list[str]]:
        with Files() as files:
            fact = files.read_file(str(path))
            assert isinstance(fact, Content)
            used = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the descriptors' names
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (used - 1, hard))
            seen = files.read_file(str(path))
            assert isinstance(seen, Unreadable)
            try:
                files.replace_file(replacement(fact, NEW))
                said = ""
            except HostError as error:
                said = str(error)
            with pytest.raises(HostError):
                files.glob(str(tmp_path / "*"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return seen.problem, said, [each.name for each in tmp_path.iterdir()]

    seen, said, names = apart(act)
    assert seen.startswith("No file descriptor is left to open /")
    assert said.startswith("No file descriptor is left to open /")
    assert names == ["x"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EDQUOT, "The disk quota is used up on /x\\ny"),
        (errno.EIO, "Input/output error on /x\\ny"),
        (errno.EACCES, "Permission denied on /x\\ny"),
    ],
)
def test_every_error_becomes_one_escaped_sentence(number: int, said: str) -> None:
    assert sentence(OSError(number, "whatever"), "/x\ny") == said


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM])
@pytest.mark.parametrize("call", ["write", "fsync", "fchmod", "listxattr", "pread", "fchown"])
def test_whichever_call_fails_the_old_file_stands_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)
    gid = os.getegid()
    with Files() as files:
        fact = files.read_file(str(path))
        assert isinstance(fact, Content)
        failed = []

        def fail(*_: object) -> None:
            failed.append(call)
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, call, fail)
        action = ReplaceFile(str(path), NEW, 0o600, fact.uid, gid, digest(OLD))
        if call == "fchown":  # nothing to give away otherwise
            action = ReplaceFile(str(path), NEW, 0o600, fact.uid, gid + 1, digest(OLD))
        if call == "fchmod":  # nothing to change otherwise
            action = ReplaceFile(str(path), NEW, 0o640, fact.uid, gid, digest(OLD))
        with pytest.raises(HostError) as raised:
            files.replace_file(action)
    monkeypatch.undo()
    assert failed
    assert str(tmp_path) in str(raised.value)
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == OLD


# ---- a file that changes while it is read


def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)
    turns = iter([b"shorter", b"longer than before", b"final"])

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        data = real(descriptor, size, offset)
        if (content := next(turns, None)) is not None:
            path.write_bytes(content)
        return data

    real = os.pread
    monkeypatch.setattr(os, "pread", pread)
    with Files() as files:
        fact = files.read_file(str(path))
    assert isinstance(fact, Content)
    assert fact.data == b"final"


def test_a_file_that_never_stands_still_is_said_to_be_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)
    count = iter(range(100))

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        path.write_bytes(b"x" * next(count))
        return real(descriptor, size, offset)

    real = os.pread
    monkeypatch.setattr(os, "pread", pread)
    with Files() as files:
        fact = files.read_file(str(path))
    assert isinstance(fact, Unreadable)
    assert fact.problem == f"{path} is being written: it changed each time that it was read"


def test_the_bound_on_size_is_kept_while_the_file_grows(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(reading.BYTES_AT_MOST)
    with Files() as files:
        fact = files.read_file(str(path))
        assert isinstance(fact, Content)
        assert len(fact.data) == reading.BYTES_AT_MOST
        with path.open("ab") as file:
            file.write(b"x")
        fact = files.read_file(str(path))
    assert isinstance(fact, Unreadable)
    assert fact.problem.endswith("more than 8 MiB")


# ---- as an ordinary user


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of an ordinary user's, reachable by that user."""
    with reachable() as made:
        if os.geteuid() == 0:
            os.chown(made, EVE, EVE)
        yield made


def as_user(act: Callable[[], T]) -> T:
    """What `act` returns for an ordinary user."""
    return apart(act, uid=EVE if os.geteuid() == 0 else 0)


def test_an_ordinary_user_holds_her_own_files(home: Path) -> None:
    def act() -> tuple[bytes, int, list[str], tuple[str, ...]]:
        (home / ".claude").mkdir(0o700)
        path = str(home / ".claude/settings.json")
        (home / "link").symlink_to(".claude/settings.json")
        with Files() as files:
            assert files.read_file(path) == Missing(path, True, os.geteuid(), os.getegid())  # noqa: FBT003
            files.replace_file(ReplaceFile(path, OLD, 0o600, os.geteuid(), os.getegid(), None))
            fact = files.read_file(str(home / "link"))
            assert isinstance(fact, Content)
            files.replace_file(replacement(fact, NEW))
            found = files.glob(f"{home}/.c*/*.json")
            again = files.read_file(path)
            assert isinstance(again, Content)
            return again.data, again.mode, sorted(os.listdir(home / ".claude")), found  # noqa: PTH208

    assert as_user(act) == (
        NEW,
        0o600,
        ["settings.json"],
        (str(home / ".claude/settings.json"),),
    )


@pytest.mark.needs_root
def test_an_ordinary_user_replaces_a_file_that_root_made_in_her_directory(home: Path) -> None:
    path = home / "settings.json"
    path.write_bytes(OLD)
    path.chmod(0o664)

    def act() -> None:
        with Files() as files:
            fact = files.read_file(str(path))
            assert isinstance(fact, Content)
            files.replace_file(replacement(fact, NEW))

    as_user(act)
    facts = path.stat()
    # It is hers now, and her group gets no more than everybody had.
    assert (path.read_bytes(), facts.st_uid, facts.st_mode & 0o777) == (NEW, EVE, 0o644)


@pytest.mark.needs_root
def test_an_ordinary_user_is_told_what_is_closed_to_her(home: Path) -> None:
    (home / "closed").write_bytes(OLD)
    (home / "closed").chmod(0o600)
    (home / "place").mkdir(0o700)
    (home / "open").mkdir(0o755)
    (home / "open/x").write_bytes(OLD)

    def act() -> list[str]:
        said = []
        with Files() as files:
            for name in ("closed", "place/x"):
                fact = files.read_file(str(home / name))
                assert isinstance(fact, Unreadable)
                said.append(fact.problem)
            fact = files.read_file(str(home / "open/x"))
            assert isinstance(fact, Content)
            try:
                files.replace_file(replacement(fact, NEW))
            except HostError as error:
                said.append(str(error))
        return said

    assert as_user(act) == [
        f"Permission denied on {home}/closed",
        f"Permission denied on {home}/place/x",
        f"Permission denied on {home}/open",
    ]


@pytest.mark.needs_root
def test_for_an_ordinary_user_others_are_strangers_too(home: Path) -> None:
    other = home / "other"
    other.mkdir()
    os.chown(other, EVE + 1, EVE + 1)
    (other / "link").symlink_to(home / "hers")
    os.chown(other / "link", EVE + 1, EVE + 1, follow_symlinks=False)
    (home / "hers").write_bytes(OLD)
    os.chown(home / "hers", EVE, EVE)

    def act() -> str:
        with Files() as files:
            fact = files.read_file(str(other / "link"))
        assert isinstance(fact, Unreadable)
        return fact.problem

    assert f"the link is uid {EVE + 1}'s but {home}" in as_user(act)


def test_a_refusal_is_a_host_error() -> None:
    assert issubclass(Refused, HostError)
