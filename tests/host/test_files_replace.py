"""Replacing and removing: what was looked at, with all that belongs to it, or nothing at all."""

import errno
import fcntl
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from jada_configd.core.actions import RemoveFile, ReplaceFile, digest
from jada_configd.core.facts import Content
from jada_configd.errors import HostError, Refused, Stale
from jada_configd.host.filesystem import kernel, writers
from tests.host.stage import BOB, EVE, Stage, apart, replacement

pytestmark = pytest.mark.needs_root

SETTINGS = "/home/eve/.claude/settings.json"
OLD, NEW = b'{"model": "old"}\n', b'{"model": "new"}\n'


@pytest.fixture(params=[False, True], ids=["anew", "kept"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """`kept`: a replacement may go on from the look, as within a pass."""
    made = Stage(tmp_path)
    made.home()
    made.directory("/etc")
    if request.param:
        made.files.begin_pass()
    yield made
    made.files.close()


def looked(stage: Stage, path: str = SETTINGS) -> Content:
    fact = stage.files.read_file(path)
    assert isinstance(fact, Content), fact
    return fact


def clean(stage: Stage, path: str = "/home/eve/.claude") -> bool:
    return not [name for name in stage.listing(path) if "jada-configd" in name]


# ---- making


def test_a_new_file_is_what_the_action_says(stage: Stage) -> None:
    stage.files.replace_file(ReplaceFile(SETTINGS, NEW, 0o600, EVE, BOB, None))
    fact = looked(stage)
    assert (fact.data, fact.mode, fact.uid, fact.gid) == (NEW, 0o600, EVE, BOB)
    assert stage.listing("/home/eve/.claude") == ["settings.json"]


def test_a_new_file_of_nobody_in_particular_is_ours(stage: Stage) -> None:
    stage.files.replace_file(ReplaceFile("/etc/x", NEW, 0o644, -1, -1, None))
    fact = looked(stage, "/etc/x")
    assert (fact.mode, fact.uid, fact.gid) == (0o644, 0, 0)


def test_a_new_file_is_not_made_over_one_that_has_come(stage: Stage) -> None:
    stage.file(SETTINGS, OLD, EVE)
    with pytest.raises(Stale, match="exists by now"):
        stage.files.replace_file(ReplaceFile(SETTINGS, NEW, 0o600, EVE, EVE, None))
    assert looked(stage).data == OLD


def test_a_new_file_goes_to_the_owner_of_its_directory_alone(stage: Stage) -> None:
    with pytest.raises(Stale, match="another owner than was looked at"):
        stage.files.replace_file(ReplaceFile(SETTINGS, NEW, 0o600, BOB, BOB, None))
    assert stage.listing("/home/eve/.claude") == []


def test_directories_are_made_on_our_own_ground_whatever_the_umask(stage: Stage) -> None:
    action = ReplaceFile("/etc/a/b.d/c", NEW, 0o644, -1, -1, None, make_directories=True)
    before = os.umask(0o077)
    try:
        stage.files.replace_file(action)
    finally:
        os.umask(before)
    assert stage.real("/etc/a/b.d").stat().st_mode & 0o7777 == 0o755
    assert looked(stage, "/etc/a/b.d/c").mode == 0o644


def test_directories_are_not_made_unasked_nor_in_a_users_directory(stage: Stage) -> None:
    action = ReplaceFile("/etc/a/c", NEW, 0o644, -1, -1, None)
    with pytest.raises(HostError, match="/etc/a does not exist"):
        stage.files.replace_file(action)
    action = ReplaceFile("/home/eve/a/c", NEW, 0o644, EVE, EVE, None, make_directories=True)
    with pytest.raises(Refused, match="/home/eve/a does not exist, and others can write"):
        stage.files.replace_file(action)
    assert stage.listing("/home/eve") == [".claude"]


# ---- keeping


def test_owner_group_and_mode_are_kept_and_no_set_uid_bit_is_made(stage: Stage) -> None:
    stage.file(SETTINGS, OLD, EVE, 0o6751, BOB)
    stage.replace(SETTINGS, NEW)
    fact = looked(stage)
    assert (fact.data, fact.mode, fact.uid, fact.gid) == (NEW, 0o751, EVE, BOB)


def acl(*entries: tuple[int, int, int]) -> bytes:
    """The binary form of acl(5): version, then tag, permissions and id of each entry."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)


NOBODY = 0xFFFFFFFF
BOB_READS = acl((1, 6, NOBODY), (2, 4, BOB), (4, 4, NOBODY), (16, 4, NOBODY), (32, 0, NOBODY))


def test_attributes_and_acls_are_kept(stage: Stage) -> None:
    stage.file(SETTINGS, OLD, EVE, 0o600)
    path = stage.real(SETTINGS)
    os.setxattr(path, "user.note", b"hers")
    os.setxattr(path, "trusted.note", b"ours")
    os.setxattr(path, "system.posix_acl_access", BOB_READS)
    before = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    mode = path.stat().st_mode
    stage.replace(SETTINGS, NEW)
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == before
    assert path.stat().st_mode == mode
    assert looked(stage).data == NEW


def test_rights_that_the_old_file_did_not_give_are_not_inherited(stage: Stage) -> None:
    stage.file(SETTINGS, OLD, EVE, 0o600)
    directory = stage.real("/home/eve/.claude")
    os.setxattr(directory, "system.posix_acl_default", BOB_READS)
    stage.replace(SETTINGS, NEW)
    assert os.listxattr(stage.real(SETTINGS)) == []
    assert looked(stage).mode == 0o600


def test_what_gives_rights_to_content_does_not_go_over(stage: Stage) -> None:
    stage.file(SETTINGS, OLD, EVE, 0o755)
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    os.setxattr(stage.real(SETTINGS), "security.capability", capability)
    stage.replace(SETTINGS, NEW)
    assert os.listxattr(stage.real(SETTINGS)) == []


def test_a_second_name_of_the_users_own_keeps_the_old_content(stage: Stage) -> None:
    stage.file(SETTINGS, OLD, EVE)
    stage.real("/home/eve/second").hardlink_to(stage.real(SETTINGS))
    stage.replace(SETTINGS, NEW)
    assert stage.real("/home/eve/second").read_bytes() == OLD
    assert looked(stage).data == NEW


@pytest.mark.parametrize("name", ["x" * 255, "\u00e9" * 127, "a\nb", "\udcff", ".x.jada-configd-"])
def test_any_name_has_room_for_a_temporary_one(stage: Stage, name: str) -> None:
    path = f"/home/eve/.claude/{name}"
    stage.file(path, OLD, EVE)
    stage.replace(path, NEW)
    assert stage.listing("/home/eve/.claude") == [name]
    assert looked(stage, path).data == NEW


@pytest.mark.parametrize("size", [0, 1, 2 * 1024 * 1024, 8 * 1024 * 1024])
def test_content_of_any_size_goes_in_whole(stage: Stage, size: int) -> None:
    stage.file(SETTINGS, OLD, EVE)
    stage.replace(SETTINGS, b"x" * size)
    assert looked(stage).data == b"x" * size


# ---- guards


@pytest.mark.parametrize(
    ("uid", "gid", "mode"), [(0, EVE, 0o644), (EVE, BOB, 0o644), (EVE, EVE, 0o600)]
)
def test_what_a_user_did_to_owner_or_mode_since_it_was_looked_at_stands(
    stage: Stage, uid: int, gid: int, mode: int
) -> None:
    stage.file(SETTINGS, OLD, EVE)
    action = replacement(looked(stage), NEW)
    os.chown(stage.real(SETTINGS), uid, gid)
    stage.real(SETTINGS).chmod(mode)
    with pytest.raises(Stale, match="another owner, group or mode"):
        stage.files.replace_file(action)
    assert looked(stage).data == OLD


def test_on_our_own_ground_the_action_says_what_the_mode_is(stage: Stage) -> None:
    stage.file("/etc/x", OLD, 0, 0o600)
    stage.files.replace_file(replace(replacement(looked(stage, "/etc/x"), NEW), mode=0o644))
    assert looked(stage, "/etc/x").mode == 0o644


def test_other_content_than_was_looked_at_stands(stage: Stage) -> None:
    stage.file(SETTINGS, OLD, EVE)
    action = replacement(looked(stage), NEW)
    stage.real(SETTINGS).write_bytes(b"hers")
    inode = stage.real(SETTINGS).stat().st_ino
    with pytest.raises(Stale, match="other content than was looked at"):
        stage.files.replace_file(action)
    assert (looked(stage).data, looked(stage).inode) == (b"hers", inode)


def test_a_file_that_has_gone_is_not_made_again(stage: Stage) -> None:
    stage.file(SETTINGS, OLD, EVE)
    action = replacement(looked(stage), NEW)
    stage.real(SETTINGS).unlink()
    with pytest.raises(Stale, match="is gone by now"):
        stage.files.replace_file(action)
    stage.real("/home/eve/.claude").rmdir()
    with pytest.raises(Stale, match="is gone by now"):
        stage.files.replace_file(action)


# ---- between our system calls

Act = Callable[[Stage], None]


def over(content: bytes, *, mode: int = 0o644) -> Act:
    def act(stage: Stage) -> None:
        stage.file("/home/eve/.claude/tmp", content, EVE, mode)
        stage.real("/home/eve/.claude/tmp").rename(stage.real(SETTINGS))

    return act


def in_place(content: bytes) -> Act:
    def act(stage: Stage) -> None:
        stage.real(SETTINGS).write_bytes(content)

    return act


def in_place_unnoticed(stage: Stage) -> None:
    """As long as ours, within what the clock of an old kernel tells apart."""
    facts = stage.real(SETTINGS).stat()
    stage.real(SETTINGS).write_bytes(b"x" * facts.st_size)
    os.utime(stage.real(SETTINGS), ns=(facts.st_atime_ns, facts.st_mtime_ns))


def unlink(stage: Stage) -> None:
    stage.real(SETTINGS).unlink()


def move_away(stage: Stage) -> None:
    stage.real(SETTINGS).rename(stage.real("/home/eve/moved"))


def a_directory(stage: Stage) -> None:
    stage.real(SETTINGS).unlink()
    stage.directory(SETTINGS, EVE)


def a_link(stage: Stage) -> None:
    stage.real(SETTINGS).unlink()
    stage.link(SETTINGS, "/etc/canary", EVE)


def a_fifo(stage: Stage) -> None:
    stage.real(SETTINGS).unlink()
    os.mkfifo(stage.real(SETTINGS))


def a_hard_link(stage: Stage) -> None:
    stage.real(SETTINGS).unlink()
    stage.real(SETTINGS).hardlink_to(stage.real("/etc/canary"))


def chmod(stage: Stage) -> None:
    stage.real(SETTINGS).chmod(0o600)


def setxattr(stage: Stage) -> None:
    os.setxattr(stage.real(SETTINGS), "user.note", b"hers")


def nothing(_: Stage) -> None:
    pass


@pytest.fixture
def between(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has somebody act right before each of the first renames in turn."""

    def insert(*acts: Act) -> None:
        waiting = list(acts)

        def rename(directory: int, source: str, target: str, flags: int) -> None:
            if waiting:
                waiting.pop(0)(stage)
            real(directory, source, target, flags)

        real = kernel.rename
        monkeypatch.setattr(kernel, "rename", rename)

    return insert


def state(stage: Stage) -> object:
    path = stage.real(SETTINGS)
    if not path.is_symlink() and path.is_file():
        return path.read_bytes()
    return path.lstat().st_mode if os.path.lexists(path) else None


@pytest.mark.parametrize(
    "act",
    [
        over(b"hers"),
        in_place(b"hers"),
        in_place(b""),
        a_directory,
        a_link,
        a_fifo,
        a_hard_link,
        chmod,
        setxattr,
        over(OLD, mode=0o600),
    ],
)
def test_what_came_before_the_exchange_goes_back(
    stage: Stage, between: Callable[..., None], act: Act
) -> None:
    stage.file("/etc/canary", b"canary")
    stage.file(SETTINGS, OLD, EVE)
    action = replacement(looked(stage), NEW)
    act(stage)
    expected = state(stage)
    facts = stage.real(SETTINGS).lstat()
    stage.real(SETTINGS).unlink() if act is not a_directory else stage.real(SETTINGS).rmdir()
    stage.file(SETTINGS, OLD, EVE)
    between(act)
    with pytest.raises(Stale):
        stage.files.replace_file(action)
    assert state(stage) == expected
    assert stage.real(SETTINGS).lstat().st_mode == facts.st_mode
    assert stage.real("/etc/canary").read_bytes() == b"canary"
    assert clean(stage)


def test_who_put_the_same_thing_there_again_loses_nothing(
    stage: Stage, between: Callable[..., None]
) -> None:
    stage.file(SETTINGS, OLD, EVE)
    between(over(OLD))
    stage.replace(SETTINGS, NEW)
    assert looked(stage).data == NEW
    assert clean(stage)


def test_a_file_that_goes_before_the_exchange_stays_away(
    stage: Stage, between: Callable[..., None]
) -> None:
    for act in (unlink, move_away):
        stage.file(SETTINGS, OLD, EVE)
        action = replacement(looked(stage), NEW)
        between(act)
        with pytest.raises(Stale, match="is gone by now"):
            stage.files.replace_file(action)
        assert stage.listing("/home/eve/.claude") == []


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        ((over(b"1"), over(b"2")), b"2"),
        ((in_place(b"1"), over(b"2")), b"2"),
        ((over(b"1"), in_place(b"2")), b"2"),
        ((over(b"1"), over(b"2"), over(b"3")), b"3"),
        ((over(b"1"), over(b"2"), in_place(b"3")), b"3"),
        ((over(b"1"), in_place(b"2"), over(b"3")), b"3"),
        ((over(b"1"), over(b"2"), over(b"3"), over(b"4"), in_place(b"5"), over(b"6")), b"6"),
        ((over(b"1"), in_place_unnoticed), b"x" * len(NEW)),
        ((over(b"1"), unlink), b"1"),
        ((over(b"1"), move_away, nothing), b"1"),
        ((over(b"1"), unlink, over(b"2")), b"2"),
        (tuple(over(b"%d" % number) for number in range(40)), None),
    ],
)
def test_the_newest_of_several_writes_stands(
    stage: Stage, between: Callable[..., None], acts: tuple[Act, ...], expected: bytes | None
) -> None:
    stage.file(SETTINGS, OLD, EVE)
    action = replacement(looked(stage), NEW)
    between(*acts)
    with pytest.raises(HostError):
        stage.files.replace_file(action)
    got = stage.real(SETTINGS).read_bytes()
    assert got == expected if expected is not None else got not in {OLD, NEW}
    assert clean(stage)


def test_a_new_file_that_somebody_else_makes_first_stands(
    stage: Stage, between: Callable[..., None]
) -> None:
    between(over(b"hers"))
    with pytest.raises(Stale, match="exists by now"):
        stage.files.replace_file(ReplaceFile(SETTINGS, NEW, 0o600, EVE, EVE, None))
    assert stage.real(SETTINGS).read_bytes() == b"hers"
    assert clean(stage)


@pytest.mark.parametrize("late", [False, True])
def test_a_writer_that_has_the_file_open_is_awaited_and_keeps_what_it_writes(
    stage: Stage, between: Callable[..., None], *, late: bool
) -> None:
    def open_now_and_write_later(stage: Stage) -> None:
        reading, writing = os.pipe()
        children.append(os.fork())
        if children[-1] == 0:
            with stage.real(SETTINGS).open("r+b", buffering=0) as file:
                os.write(writing, b".")
                time.sleep(0.05 if late else 0.003)
                file.write(b"hers")
            os._exit(0)
        os.read(reading, 1)
        os.close(reading)
        os.close(writing)

    children: list[int] = []
    stage.file(SETTINGS, OLD, EVE)
    action = replacement(looked(stage), NEW)
    between(open_now_and_write_later)
    with pytest.raises(Stale):
        stage.files.replace_file(action)
    for child in children:
        os.waitpid(child, 0)
    assert stage.real(SETTINGS).read_bytes().startswith(b"hers")
    assert clean(stage)


def test_a_file_that_a_writer_has_open_is_not_even_exchanged(
    stage: Stage, between: Callable[..., None]
) -> None:
    stage.file(SETTINGS, OLD, EVE)
    between(lambda _: pytest.fail("exchanged"))
    with (
        stage.real(SETTINGS).open("r+b"),
        pytest.raises(Stale, match="is open for writing in another process"),
    ):
        stage.replace(SETTINGS, NEW)


def test_a_writer_that_never_closes_the_file_does_not_keep_it_from_being_corrected(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.file(SETTINGS, OLD, EVE)
    monkeypatch.setattr(writers, "HELD_AT_MOST", 0.1)
    tries = 0
    with stage.real(SETTINGS).open("r+b"):
        until = time.monotonic() + 2
        while looked(stage).data == OLD and time.monotonic() < until:
            tries += 1
            with suppress(Stale):
                stage.replace(SETTINGS, NEW)
    assert looked(stage).data == NEW
    assert tries > 1
    assert clean(stage)


def test_the_lease_of_another_process_is_not_waited_for(stage: Stage) -> None:
    stage.file(SETTINGS, OLD, EVE)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGIO, signal.SIG_IGN)
            descriptor = os.open(stage.real(SETTINGS), os.O_RDWR)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            os.write(writing, b".")
            signal.pause()
        finally:
            os._exit(0)
    assert os.read(reading, 1) == b"."
    start = time.monotonic()
    fact = stage.files.read_file(SETTINGS)
    took = time.monotonic() - start
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    assert not isinstance(fact, Content)
    assert "held by the lease of another process" in str(fact)
    assert took < 0.5
    assert looked(stage).data == OLD


# ---- file systems that cannot exchange


@pytest.fixture
def plain_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(kernel, "rename", rename)


def test_where_nothing_can_be_exchanged_it_is_compared_and_renamed(
    stage: Stage, plain_rename: None
) -> None:
    stage.files.replace_file(ReplaceFile(SETTINGS, OLD, 0o600, EVE, EVE, None))
    stage.replace(SETTINGS, NEW)
    assert (looked(stage).data, looked(stage).mode) == (NEW, 0o600)
    with pytest.raises(Stale):
        stage.files.replace_file(ReplaceFile(SETTINGS, OLD, 0o600, EVE, EVE, None))
    stage.files.remove_file(RemoveFile(SETTINGS, digest(NEW)))
    assert stage.listing("/home/eve/.claude") == []


def test_where_nothing_can_be_exchanged_a_write_before_the_rename_stands(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(*_: object) -> None:
        over(b"hers")(stage)
        raise OSError(errno.EINVAL, "Invalid argument")

    stage.file(SETTINGS, OLD, EVE)
    monkeypatch.setattr(kernel, "rename", rename)
    with pytest.raises(Stale):
        stage.replace(SETTINGS, NEW)
    assert stage.real(SETTINGS).read_bytes() == b"hers"
    assert clean(stage)


# ---- removing


def test_a_file_of_ours_goes_and_its_empty_drop_in_directory_too(stage: Stage) -> None:
    stage.directory("/etc/x.service.d")
    stage.file("/etc/x.service.d/a.conf", OLD)
    stage.file("/etc/x.service.d/b.conf", OLD)
    stage.files.remove_file(RemoveFile("/etc/x.service.d/a.conf", digest(OLD)))
    assert stage.listing("/etc/x.service.d") == ["b.conf"]
    stage.files.remove_file(RemoveFile("/etc/x.service.d/b.conf", digest(OLD)))
    assert stage.listing("/etc") == []


def test_a_directory_that_is_no_drop_in_directory_stays(stage: Stage) -> None:
    stage.directory("/etc/x")
    stage.file("/etc/x/a", OLD)
    stage.files.remove_file(RemoveFile("/etc/x/a", digest(OLD)))
    assert stage.listing("/etc/x") == []


def test_other_content_than_was_looked_at_is_not_removed(stage: Stage) -> None:
    stage.file("/etc/x", b"hers")
    with pytest.raises(Stale):
        stage.files.remove_file(RemoveFile("/etc/x", digest(OLD)))
    assert looked(stage, "/etc/x").data == b"hers"
    with pytest.raises(Stale, match="is gone by now"):
        stage.files.remove_file(RemoveFile("/etc/nothing", digest(OLD)))
    with pytest.raises(Stale, match="is gone by now"):
        stage.files.remove_file(RemoveFile("/etc/nothing.d/x", digest(OLD)))


@pytest.mark.parametrize(
    ("acts", "expected"),
    [((over(b"1"),), b"1"), ((over(b"1"), over(b"2")), b"2"), ((unlink,), None)],
)
def test_what_came_before_the_removal_stays(
    stage: Stage, between: Callable[..., None], acts: tuple[Act, ...], expected: bytes | None
) -> None:
    stage.file(SETTINGS, OLD, EVE)
    between(*acts)
    with pytest.raises(Stale):
        stage.files.remove_file(RemoveFile(SETTINGS, digest(OLD)))
    assert state(stage) == expected
    assert clean(stage)


# ---- killed


@pytest.mark.parametrize("after", [False, True])
def test_a_process_killed_around_the_exchange_leaves_one_whole_file_and_cleanable_litter(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    def rename(directory: int, source: str, target: str, flags: int) -> None:
        if after:
            real(directory, source, target, flags)
        os.kill(os.getpid(), signal.SIGKILL)

    stage.file(SETTINGS, OLD, EVE)
    real = kernel.rename
    monkeypatch.setattr(kernel, "rename", rename)
    with pytest.raises(AssertionError, match="status 9"):
        apart(lambda: stage.replace(SETTINGS, NEW))
    monkeypatch.undo()
    assert looked(stage).data == (NEW if after else OLD)
    assert not clean(stage)
    assert len(stage.files.clean_litter([SETTINGS])) == 1
    assert stage.listing("/home/eve/.claude") == ["settings.json"]
    assert (looked(stage).uid, looked(stage).mode) == (EVE, 0o644)
