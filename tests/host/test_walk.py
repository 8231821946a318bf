"""The walk on a scratch root: every sort of hop, and what is said about the one in the way."""

import ctypes
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jada_configd.core.facts import Content, FileFact, Missing, Unreadable
from jada_configd.errors import HostError
from jada_configd.host.filesystem import kernel
from jada_configd.host.filesystem.files import Files
from jada_configd.host.filesystem.mounts import Fuse, _parse
from jada_configd.host.filesystem.walk import HOPS_AT_MOST, LINKS_AT_MOST
from tests.host.stage import BOB, EVE, Stage, apart, mount

pytestmark = pytest.mark.needs_root

SETTINGS = "/home/eve/.claude/settings.json"
GOOD = b'{"model": "x"}\n'


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    made.home()
    made.home("bob", BOB)
    made.directory("/etc")
    made.file("/etc/settings.json", b"canary")
    yield made
    made.files.close()


def problem(fact: FileFact) -> str:
    assert isinstance(fact, Unreadable), fact
    return fact.problem


# ---- hops that are walked


def plain(stage: Stage) -> None:
    stage.file(SETTINGS, GOOD, EVE)


def made_with_sudo(stage: Stage) -> None:
    stage.file(SETTINGS, GOOD, 0)


def directory_made_with_sudo(stage: Stage) -> None:
    stage.real("/home/eve/.claude").rmdir()
    stage.directory("/home/eve/.claude", 0)
    stage.file(SETTINGS, GOOD, 0)


def link_to_the_file(stage: Stage) -> None:
    stage.directory("/home/eve/dotfiles", EVE)
    stage.file("/home/eve/dotfiles/claude.json", GOOD, EVE)
    stage.link(SETTINGS, "../dotfiles/claude.json", EVE)


def link_to_the_directory(stage: Stage) -> None:
    stage.directory("/home/eve/dotfiles", EVE)
    stage.file("/home/eve/dotfiles/settings.json", GOOD, EVE)
    stage.real("/home/eve/.claude").rmdir()
    stage.link("/home/eve/.claude", "/home/eve/dotfiles/", EVE)


def link_to_a_link(stage: Stage) -> None:
    link_to_the_file(stage)
    stage.real(SETTINGS).rename(stage.real("/home/eve/.claude/second"))
    stage.link(SETTINGS, "/home/eve/.claude/./second", EVE)


def link_to_another_place_of_hers(stage: Stage) -> None:
    stage.directory("/data")
    stage.directory("/data/eve", EVE)
    stage.file("/data/eve/settings.json", GOOD, EVE)
    stage.real("/home/eve/.claude").rmdir()
    stage.link("/home/eve/.claude", "/data/eve", EVE)


def home_moved_by_root(stage: Stage) -> None:
    stage.real("/home").rename(stage.real("/data"))
    stage.link("/home", "data")
    stage.file("/data/eve/.claude/settings.json", GOOD, EVE)


def her_link_over_roots_link(stage: Stage) -> None:
    stage.directory("/run")
    stage.directory("/run/eve", EVE)
    stage.file("/run/eve/settings.json", GOOD, EVE)
    stage.directory("/var")
    stage.link("/var/run", "/run")
    stage.link(SETTINGS, "/var/run/eve/settings.json", EVE)


def in_a_sticky_directory(stage: Stage) -> None:
    stage.directory("/tmp", mode=0o1777)
    stage.file("/tmp/settings.json", GOOD, EVE)
    stage.real("/home/eve/.claude").rmdir()
    stage.real("/home/eve").rmdir()
    stage.directory("/home/eve")
    stage.link("/home/eve/.claude", "/tmp")


WALKED = [
    plain,
    made_with_sudo,
    directory_made_with_sudo,
    link_to_the_file,
    link_to_the_directory,
    link_to_a_link,
    link_to_another_place_of_hers,
    home_moved_by_root,
    her_link_over_roots_link,
    in_a_sticky_directory,
]


@pytest.mark.parametrize("way", WALKED)
def test_a_file_on_an_honest_way_is_read_and_replaced(
    stage: Stage, way: Callable[[Stage], None]
) -> None:
    way(stage)
    before = stage.real(SETTINGS).parent.lstat()
    fact = stage.files.read_file(SETTINGS)
    assert isinstance(fact, Content), fact
    assert fact.data == GOOD
    assert stage.real(fact.target).read_bytes() == GOOD
    assert not stage.real(fact.target).is_symlink()
    was_link = {path for path in [*stage.real("/").rglob("*")] if path.is_symlink()}
    stage.replace(SETTINGS, b"{}")
    again = stage.files.read_file(SETTINGS)
    assert isinstance(again, Content)
    assert (again.data, again.uid, again.gid, again.mode, again.target) == (
        b"{}",
        fact.uid,
        fact.gid,
        fact.mode,
        fact.target,
    )
    assert was_link == {path for path in [*stage.real("/").rglob("*")] if path.is_symlink()}
    assert stat.S_IMODE(before.st_mode) == stat.S_IMODE(stage.real(SETTINGS).parent.lstat().st_mode)
    assert not [path for path in stage.real("/").rglob("*") if ".jada-configd-" in path.name]


# ---- hops that are not


def link_out(stage: Stage) -> None:
    stage.real("/home/eve/.claude").rmdir()
    stage.link("/home/eve/.claude", "/etc", EVE)


def file_link_out(stage: Stage) -> None:
    stage.link(SETTINGS, "/etc/settings.json", EVE)


def relative_link_out(stage: Stage) -> None:
    stage.link(SETTINGS, "../../../etc/settings.json", EVE)


def link_to_a_new_file_elsewhere(stage: Stage) -> None:
    stage.link(SETTINGS, "/etc/new.json", EVE)


def link_to_bob(stage: Stage) -> None:
    stage.file("/home/bob/.claude/settings.json", GOOD, BOB)
    stage.link(SETTINGS, "/home/bob/.claude/settings.json", EVE)


def link_to_her_own_file_in_roots_directory(stage: Stage) -> None:
    stage.file("/etc/eve.json", GOOD, EVE)
    stage.link(SETTINGS, "/etc/eve.json", EVE)


def link_through_a_closed_directory(stage: Stage) -> None:
    stage.directory("/secret", mode=0o700)
    stage.directory("/secret/eve", EVE)
    stage.file("/secret/eve/settings.json", GOOD, EVE)
    stage.link(SETTINGS, "/secret/eve/settings.json", EVE)


def roots_link_renamed(stage: Stage) -> None:
    stage.link("/home/eve/to-etc", "/etc", 0)
    stage.real("/home/eve/.claude").rmdir()
    stage.real("/home/eve/to-etc").rename(stage.real("/home/eve/.claude"))


def link_of_bobs(stage: Stage) -> None:
    stage.file("/home/eve/x", GOOD, EVE)
    stage.link(SETTINGS, "../x", BOB)


def link_to_roots_file_of_hers(stage: Stage) -> None:
    stage.file("/home/eve/x", GOOD, 0)
    stage.link(SETTINGS, "../x", EVE)


def her_link_in_a_sticky_directory(stage: Stage) -> None:
    stage.directory("/tmp", mode=0o1777)
    stage.link("/tmp/x", "/etc", EVE)
    stage.real("/home/eve/.claude").rmdir()
    stage.real("/home/eve").rmdir()
    stage.directory("/home/eve")
    stage.link("/home/eve/.claude", "/tmp/x")


def roots_link_in_a_sticky_directory(stage: Stage) -> None:
    her_link_in_a_sticky_directory(stage)
    stage.real("/tmp/x").unlink()
    stage.link("/tmp/x", "/etc")


def her_link_in_roots_directory(stage: Stage) -> None:
    stage.real("/home/eve/.claude").rmdir()
    stage.real("/home/eve").rmdir()
    stage.link("/home/eve", "/etc", EVE)
    stage.directory("/etc/.claude")
    stage.file("/etc/.claude/settings.json", b"canary")


def loop(stage: Stage) -> None:
    stage.link(SETTINGS, "settings.json", EVE)


def loop_of_directories(stage: Stage) -> None:
    stage.real("/home/eve/.claude").rmdir()
    stage.link("/home/eve/.claude", "./.claude/", EVE)


def endless_way(stage: Stage) -> None:
    stage.file("/home/eve/x", GOOD, EVE)
    stage.link(SETTINGS, "../.claude/" * (HOPS_AT_MOST // 2 + 1) + "../x", EVE)


def file_in_the_way(stage: Stage) -> None:
    stage.real("/home/eve/.claude").rmdir()
    stage.file("/home/eve/.claude", b"", EVE)


def directory_in_its_place(stage: Stage) -> None:
    stage.directory(SETTINGS, EVE)


def link_to_a_directory(stage: Stage) -> None:
    stage.link(SETTINGS, "..", EVE)


def link_to_the_root(stage: Stage) -> None:
    stage.link(SETTINGS, "/", EVE)


def fifo(stage: Stage) -> None:
    os.mkfifo(stage.real(SETTINGS))
    os.chown(stage.real(SETTINGS), EVE, EVE)


def unix_socket(stage: Stage) -> None:
    os.mknod(stage.real(SETTINGS), stat.S_IFSOCK | 0o600)
    os.chown(stage.real(SETTINGS), EVE, EVE)


def device(stage: Stage) -> None:
    os.mknod(stage.real(SETTINGS), stat.S_IFCHR | 0o666, os.makedev(1, 5))


def hard_link_to_roots_file(stage: Stage) -> None:
    stage.real(SETTINGS).hardlink_to(stage.real("/etc/settings.json"))


def hard_link_to_bobs_file(stage: Stage) -> None:
    stage.file("/home/bob/x", GOOD, BOB)
    stage.real(SETTINGS).hardlink_to(stage.real("/home/bob/x"))


def file_of_bobs(stage: Stage) -> None:
    stage.file(SETTINGS, GOOD, BOB)


def closed_file_of_roots(stage: Stage) -> None:
    stage.file(SETTINGS, GOOD, 0, 0o640)


def closed_directory_of_roots(stage: Stage) -> None:
    stage.real("/home/eve/.claude").rmdir()
    stage.directory("/home/eve/.claude", 0, 0o700)
    stage.file(SETTINGS, GOOD, 0)


def directory_of_bobs(stage: Stage) -> None:
    stage.real("/home/eve/.claude").rmdir()
    stage.directory("/home/eve/.claude", BOB)
    stage.file(SETTINGS, GOOD, BOB)


def sparse_and_huge(stage: Stage) -> None:
    stage.file(SETTINGS, b"", EVE)
    os.truncate(stage.real(SETTINGS), 1 << 40)


def nothing_in_a_directory_of_roots(stage: Stage) -> None:
    stage.real("/home/eve/.claude").rmdir()
    stage.directory("/home/eve/.claude", 0)


CLAUDE = "/home/eve/.claude"
HERS = f"the link is uid {EVE}'s but"
REFUSED = [
    (link_out, f"{CLAUDE} -> /etc: {HERS} /etc belongs to root"),
    (file_link_out, f"{SETTINGS} -> /etc/settings.json: {HERS} /etc belongs to root"),
    (relative_link_out, f"{SETTINGS} -> ../../../etc/settings.json: {HERS} /etc belongs to root"),
    (link_to_a_new_file_elsewhere, f"{SETTINGS} -> /etc/new.json: {HERS} /etc belongs to root"),
    (link_to_bob, f"/home/bob/.claude/settings.json: {HERS} /home/bob belongs to uid {BOB}"),
    (link_to_her_own_file_in_roots_directory, f"/etc/eve.json: {HERS} /etc belongs to root"),
    (
        link_through_a_closed_directory,
        f"{HERS} /secret belongs to root, and is closed to uid {EVE}",
    ),
    (
        roots_link_renamed,
        f"{CLAUDE} -> /etc: the link is root's, in a directory of uid {EVE}'s, but /etc belongs",
    ),
    (
        link_of_bobs,
        f"{SETTINGS} belongs to uid {BOB}, on the way through a directory of uid {EVE}'s",
    ),
    (link_to_roots_file_of_hers, f"{SETTINGS} -> ../x: {HERS} /home/eve/x belongs to root"),
    (her_link_in_a_sticky_directory, f"/tmp/x -> /etc: {HERS} /etc belongs to root"),
    (roots_link_in_a_sticky_directory, "/tmp/x is a link and is in a directory that others can"),
    (her_link_in_roots_directory, f"/home/eve -> /etc: {HERS} /etc belongs to root"),
    (loop, f"{SETTINGS} leads through more than {LINKS_AT_MOST} links"),
    (loop_of_directories, f"{CLAUDE} leads through more than {LINKS_AT_MOST} links"),
    (endless_way, f"leads through more than {HOPS_AT_MOST} directories and links"),
    (file_in_the_way, f"{CLAUDE} is not a directory"),
    (directory_in_its_place, f"{SETTINGS} is a directory"),
    (link_to_a_directory, "is a directory"),
    (link_to_the_root, f"{SETTINGS} is a link to a directory"),
    (fifo, f"{SETTINGS} is a FIFO"),
    (unix_socket, f"{SETTINGS} is a socket"),
    (device, f"{SETTINGS} is a device"),
    (hard_link_to_roots_file, f"{SETTINGS} has 2 names (hard links) and belongs to root"),
    (hard_link_to_bobs_file, f"{SETTINGS} has 2 names (hard links) and belongs to uid {BOB}"),
    (file_of_bobs, f"{SETTINGS} belongs to uid {BOB}, on the way through a directory of"),
    (closed_file_of_roots, f"{SETTINGS} belongs to root, on the way through a directory of"),
    (closed_directory_of_roots, f"{CLAUDE} belongs to root, on the way through a directory of"),
    (directory_of_bobs, f"{CLAUDE} belongs to uid {BOB}, on the way through a directory of"),
    (sparse_and_huge, f"{SETTINGS} has {1 << 40} bytes, more than 8 MiB"),
    (
        nothing_in_a_directory_of_roots,
        f"{CLAUDE} belongs to root inside a directory of uid {EVE}'s",
    ),
]


@pytest.mark.parametrize(("way", "said"), REFUSED, ids=lambda each: getattr(each, "__name__", ""))
def test_the_hop_in_the_way_is_named_and_nothing_is_touched(
    stage: Stage, way: Callable[[Stage], None], said: str
) -> None:
    from jada_configd.core.actions import RemoveFile, ReplaceFile, digest

    way(stage)
    before = stage.snapshot("/")
    assert said in problem(apart(lambda: stage.files.read_file(SETTINGS), seconds=5))
    for replaces in (None, digest(GOOD), digest(b"canary")):
        with pytest.raises(HostError):
            stage.files.replace_file(ReplaceFile(SETTINGS, b"bad", 0o644, EVE, EVE, replaces))
    with pytest.raises(HostError):
        stage.files.remove_file(RemoveFile(SETTINGS, digest(GOOD)))
    assert before == stage.snapshot("/")


# ---- nothing there


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (SETTINGS, Missing(SETTINGS, directory=True, uid=EVE, gid=EVE)),
        ("/home/eve/a/b", Missing("/home/eve/a/b", directory=False)),
        ("/nowhere/a/b", Missing("/nowhere/a/b", directory=False)),
        ("/etc/new", Missing("/etc/new", directory=True, uid=0, gid=0)),
    ],
)
def test_what_is_not_there_tells_whether_its_directory_is(
    stage: Stage, path: str, expected: Missing
) -> None:
    assert stage.files.read_file(path) == expected


def test_a_link_of_hers_to_nothing_yet_is_missing_where_it_leads(stage: Stage) -> None:
    stage.directory("/home/eve/dotfiles", EVE, gid=BOB)
    stage.link(SETTINGS, "../dotfiles/x.json", EVE)
    assert stage.files.read_file(SETTINGS) == Missing(SETTINGS, directory=True, uid=EVE, gid=BOB)
    stage.real("/home/eve/dotfiles").rmdir()
    found = stage.files.read_file(SETTINGS)
    assert found == Missing(SETTINGS, directory=False)
    assert isinstance(found, Missing)
    assert found.lacks == "/home/eve/dotfiles"


# ---- names


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "caf\u00e9", "\udcff\udcfe", "\u202e", "\\n"])
def test_a_file_of_any_name_is_read_and_a_problem_shows_it_escaped(stage: Stage, name: str) -> None:
    path = f"/home/eve/{name}"
    stage.file(path, GOOD, EVE)
    fact = stage.files.read_file(path)
    assert isinstance(fact, Content)
    assert (fact.path, fact.target, fact.data) == (path, path, GOOD)
    stage.replace(path, b"{}")
    stage.real(path).unlink()
    os.mkfifo(stage.real(path))
    said = problem(stage.files.read_file(path))
    assert said.isprintable()
    assert said.endswith(" is a FIFO")


@pytest.mark.parametrize("path", ["/home/eve/\0x", "/home/eve/\ud800", "/", "/..", "/home/.."])
def test_a_path_that_can_name_no_file_is_refused(stage: Stage, path: str) -> None:
    assert problem(stage.files.read_file(path)).isprintable()


def test_names_that_are_too_long_are_refused(stage: Stage) -> None:
    assert "too long" in problem(stage.files.read_file("/home/eve/" + "x" * 256))
    assert "too long" in problem(stage.files.read_file("/home/" + "x" * 256 + "/y"))


def test_dots_and_double_slashes_are_walked_as_the_kernel_does(stage: Stage) -> None:
    stage.file(SETTINGS, GOOD, EVE)
    fact = stage.files.read_file("//home/./eve/../eve//.claude/settings.json")
    assert isinstance(fact, Content)
    assert fact.target == SETTINGS


def test_the_way_up_out_of_her_directory_does_not_lead_to_bob(stage: Stage) -> None:
    stage.file("/home/bob/.claude/settings.json", GOOD, BOB)
    said = problem(stage.files.read_file("/home/eve/../bob/.claude/settings.json"))
    assert "/home/bob belongs to" in said


def test_nothing_leads_out_of_the_root(stage: Stage, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "outside").write_bytes(b"outside")
    for target in ("../outside", "/../outside", str(tmp_path / "outside")):
        link = scratch / "link"
        link.symlink_to(target)
        with Files(str(scratch)) as files:
            assert isinstance(files.read_file("/link"), Missing)
        link.unlink()


# ---- mounts


def test_a_file_system_that_root_mounted_in_a_users_directory_is_walked(stage: Stage) -> None:
    def look() -> FileFact:
        where = str(stage.real("/home/eve/.claude"))
        mount("tmpfs", where, "tmpfs", f"mode=755,uid={EVE},gid={EVE}")
        stage.file(SETTINGS, GOOD, EVE)
        stage.replace(SETTINGS, b"{}")
        return stage.files.read_file(SETTINGS)

    fact = apart(look, mounts=True)
    assert isinstance(fact, Content)
    assert fact.data == b"{}"


def fuse(target: Path, uid: int) -> int:
    """A FUSE mount whose maker never answers."""
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={descriptor},rootmode=40755,user_id={uid},group_id={uid},allow_other"
    mount("evil", str(target), "fuse.evil", options)
    return descriptor


@pytest.mark.parametrize(
    ("at", "uid"),
    [
        ("/home/eve/.claude", EVE),
        ("/home/eve", EVE),
        ("/home/eve/.claude", 0),
    ],
)
def test_a_fuse_mount_whose_maker_never_answers_is_refused_at_once(
    stage: Stage, at: str, uid: int
) -> None:
    def look() -> tuple[str, tuple[str, ...]]:
        descriptor = fuse(stage.real(at), uid)
        said = problem(stage.files.read_file(SETTINGS))
        found = stage.files.glob("/home/*/.claude/*.json")
        os.close(descriptor)  # aborts it
        return said, found

    stage.file("/home/bob/.claude/settings.json", GOOD, BOB)
    said, found = apart(look, mounts=True, seconds=5)
    whose = f"uid {uid}" if uid else "root"
    assert said == f"{at} is on a FUSE mount (fuse.evil) of {whose}'s"
    assert found == ("/home/bob/.claude/settings.json",)


def test_a_mount_that_comes_later_is_seen(stage: Stage) -> None:
    def look() -> str:
        where = stage.real("/home/eve/.claude")
        mount("tmpfs", str(where), "tmpfs", f"mode=755,uid={EVE},gid={EVE}")
        stage.file(SETTINGS, GOOD, EVE)
        assert isinstance(stage.files.read_file(SETTINGS), Content)
        descriptor = fuse(where, EVE)
        said = problem(stage.files.read_file(SETTINGS))
        os.close(descriptor)
        return said

    assert "FUSE" in apart(look, mounts=True, seconds=5)


def test_without_openat2_the_same_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_openat2(*_: object) -> int:
        ctypes.set_errno(38)  # ENOSYS
        return -1

    def look() -> str:
        descriptor = fuse(stage.real("/home/eve/.claude"), EVE)
        with Files(str(stage.root)) as files:
            said = problem(files.read_file(SETTINGS))
        os.close(descriptor)
        return said

    stage.file("/home/bob/.claude/settings.json", GOOD, BOB)
    monkeypatch.setattr(kernel, "_SYSCALL", no_openat2)
    assert isinstance(stage.files.read_file("/home/bob/.claude/settings.json"), Content)
    assert "FUSE" in apart(look, mounts=True, seconds=5)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"36 35 98:0 / / rw,noatime shared:1 master:2 - ext4 /dev/vda rw", (36, None)),
        (b"36 35 0:5 / /x rw - tmpfs tmpfs rw", (36, None)),
        (
            b"9 1 0:5 / /x rw - fuse.sshfs h:/ rw,user_id=1000,group_id=7",
            (9, Fuse("fuse.sshfs", 1000)),
        ),
        (b"9 1 0:5 / /x\r rw - fuse  rw,user_id=0,group_id=0,allow_other", (9, Fuse("fuse", 0))),
        (b"9 1 8:5 / /x rw - fuseblk /dev/sdb rw,user_id=0", (9, Fuse("fuseblk", 0))),
        (b"9 1 0:5 / /x rw - fuse.x x rw", (9, Fuse("fuse.x", -1))),
    ],
)
def test_a_line_of_the_mount_table(line: bytes, expected: tuple[int, Fuse | None]) -> None:
    assert _parse(line) == expected


def test_no_descriptor_is_left_open(stage: Stage) -> None:
    plain(stage)
    file_link_out_of = "/home/eve/other"
    stage.link(file_link_out_of, "/etc/settings.json", EVE)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (SETTINGS, file_link_out_of, "/home/eve/none/x", "/home/eve/none"):
        stage.files.read_file(path)
    stage.replace(SETTINGS, b"{}")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
