"""The watcher against the limits of the machine and the ill will of users."""

# ruff: noqa: PTH110, PTH115, PTH208
# It is about names, modes and links as the system has them
import errno
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import requires, version
from pathlib import Path

import pytest
import watchdog.observers.inotify_c

from jada_configd.errors import HostError
from jada_configd.host.watching import inotify
from jada_configd.host.watching.hints import Everything
from jada_configd.host.watching.inotify import Inotify
from jada_configd.host.watching.mount_table import points
from jada_configd.host.watching.watch import Watcher

NOBODY = 65534
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    yield made
    made.close()


def hinted(watcher: Watcher) -> set[str]:
    hints = watcher.hints()
    assert not isinstance(hints, Everything)
    return set(hints)


def descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return found


# ---- what we rest on


def test_watchdog_is_the_one_whose_private_parts_are_used() -> None:
    assert version("watchdog").startswith("7.1.")
    instance = watchdog.observers.inotify_c.InotifyFD()
    assert isinstance(instance._inotify_fd, int)
    before = descriptors()
    instance._close_resources()
    assert len(descriptors()) == len(before) - 3


def test_the_pin_of_watchdog_is_as_narrow_as_that() -> None:
    text = (CHECKOUT / "pyproject.toml").read_text()
    assert '"watchdog>=7.1,<7.2"' in text
    assert requires("watchdog") is not None


def test_every_descriptor_is_closed_in_the_end_and_none_is_inherited() -> None:
    before = descriptors()
    made = Watcher()
    for each in descriptors().keys() - before.keys():
        if each != "0" and os.path.exists(f"/proc/self/fd/{each}"):
            inherited = os.get_inheritable(int(each))
            # The pipe that comes with the instance is never read or written.
            assert not inherited or descriptors()[each].startswith("pipe:")
    made.close()
    assert descriptors().keys() == before.keys()


# ---- limits of the machine


def test_no_instance_left_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(inotify, "InotifyFD", refuse)
    with pytest.raises(HostError, match=r"fs\.inotify\.max_user_instances is \d+"):
        Watcher()


def test_no_watch_left_is_a_problem_until_there_is(
    watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a/settings.json"
    path.parent.mkdir()
    path.write_text("{}")
    with monkeypatch.context() as full:
        add = Inotify.add

        def refuse(self: Inotify, path: str, mask: int) -> int:
            if path.startswith(f"{tmp_path}/a"):
                raise OSError(errno.ENOSPC, "inotify watch limit reached")
            return add(self, path, mask)

        full.setattr(Inotify, "add", refuse)
        watcher.watch([str(path)])
        (problem,) = watcher.problems()
        limit = Path("/proc/sys/fs/inotify/max_user_watches").read_text().strip()
        assert f"{tmp_path}/a and 1 more" in problem
        assert f"fs.inotify.max_user_watches is {limit}" in problem
        path.write_text("[]")
        assert hinted(watcher) == set()
    watcher.refresh()
    assert watcher.problems() == ()
    path.write_text("{}")
    assert hinted(watcher) == {str(path)}


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A directory of an ordinary user, and that user's rights."""
    home = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield home
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        subprocess.run(["chmod", "-R", "u+rwX", home], check=True)
        shutil.rmtree(home)


def test_a_directory_that_may_not_be_read_is_a_problem_until_it_may() -> None:
    with as_nobody() as home:
        path = home / "closed/settings.json"
        path.parent.mkdir()
        path.write_text("{}")
        path.parent.chmod(0)
        watcher = Watcher()
        watcher.watch([str(path)])
        assert watcher.problems() == (f"cannot watch {path.parent}: Permission denied",)
        path.parent.chmod(0o700)
        assert hinted(watcher) == {str(path)}
        assert watcher.problems() == ()
        path.write_text("[]")
        assert hinted(watcher) == {str(path)}
        watcher.close()


def test_a_directory_that_may_only_be_gone_through_is_none() -> None:
    with as_nobody() as home:
        path = home / "closed/open/settings.json"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        path.parents[1].chmod(0o100)
        watcher = Watcher()
        watcher.watch([str(path)])
        assert watcher.problems() == ()
        path.write_text("[]")
        assert hinted(watcher) == {str(path)}
        watcher.close()


def test_in_a_directory_that_may_not_be_read_what_goes_away_is_hinted_all_the_same() -> None:
    with as_nobody() as home:
        file, below = home / "closed/settings.json", home / "closed/open/settings.json"
        below.parent.mkdir(parents=True)
        for path in (file, below):
            path.write_text("{}")
        home.joinpath("closed").chmod(0o300)
        watcher = Watcher()
        watcher.watch([str(file), str(below)])
        file.unlink()
        assert hinted(watcher) == {str(file)}
        below.parent.rename(home / "elsewhere")
        assert hinted(watcher) == {str(below)}
        watcher.close()


def test_a_file_that_may_not_be_read_is_hinted_when_it_may() -> None:
    with as_nobody() as home:
        path = home / "settings.json"
        path.write_text("{}")
        path.chmod(0)
        watcher = Watcher()
        watcher.watch([str(path)])
        assert watcher.problems() == ()
        path.chmod(0o600)
        assert hinted(watcher) == {str(path)}
        path.write_text("[]")
        assert hinted(watcher) == {str(path)}
        watcher.close()


def test_a_thousand_files_are_watched_in_a_moment(watcher: Watcher, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}/settings.json" for number in range(1000)]
    for path in paths:
        path.parent.mkdir()
        path.write_text("{}")
    began = time.process_time()
    watcher.watch([str(path) for path in paths])
    assert time.process_time() - began < 0.5  # some 25 ms; this is for what would be quadratic
    assert len(watcher._watches) <= 2000 + len(tmp_path.parts)


# ---- mounts


SCRIPT = """
import os, select, subprocess, sys
from jada_configd.host.watching.watch import Watcher

path, other = sys.argv[1:]
watcher = Watcher()
watcher.watch([path, other])
subprocess.run(["mount", "-t", "tmpfs", "none", os.path.dirname(path)], check=True)
assert select.select([watcher], [], [], 5)[0], "a mount wakes nobody"
assert watcher.hints() == {path}, "mounted over"
open(path, "w").write("new")
assert watcher.hints() == {path}, "made on the mount"
subprocess.run(["mount", "--bind", other, path], check=True)
assert watcher.hints() == {path}, "a file mounted over"
open(other, "w").write("new")
assert watcher.hints() == {path, other}, "one file in two places"
subprocess.run(["umount", path], check=True)
assert path in watcher.hints(), "the file unmounted"
subprocess.run(["umount", os.path.dirname(path)], check=True)
assert watcher.hints() == {path}, "unmounted"
open(path, "w").write("old")
assert watcher.hints() == {path}, "the file below the mount"
"""


@pytest.mark.needs_root
def test_what_is_mounted_over_a_watched_directory_or_file_is_watched(tmp_path: Path) -> None:
    path, other = tmp_path / "a/settings.json", tmp_path / "other.json"
    path.parent.mkdir()
    path.write_text("{}")
    other.write_text("{}")
    command = ["unshare", "--mount", sys.executable, "-c", SCRIPT, str(path), str(other)]
    subprocess.run(command, check=True, cwd=CHECKOUT)


def test_mounts_that_a_user_serves_are_told_from_others() -> None:
    table = rb"""
36 35 98:0 / / rw,noatime shared:1 - ext4 /dev/root rw,errors=continue
40 36 0:50 / /home/eve/a\040b rw,nosuid,nodev - fuse.sshfs eve@host:/ rw,user_id=1001,group_id=1001
41 36 0:51 / /mnt/bucket rw - fuse.s3fs s3fs rw,user_id=0,group_id=0,allow_other
42 36 0:52 / /home/eve/c rw shared:3 master:4 - fuse image rw,user_id=1001,allow_other
43 36 0:53 / /proc/fs rw - fusectl fusectl rw
"""
    assert points(table) == {"/home/eve/a b", "/home/eve/c"}


# ---- users


@pytest.mark.needs_root
def test_a_users_link_is_followed_only_through_what_is_theirs(
    watcher: Watcher, tmp_path: Path
) -> None:
    for name, uid in ("eve", 1001), ("bob", 1000):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner/file").write_text("{}")
        for each in (tmp_path / name, tmp_path / name / "inner", tmp_path / name / "inner/file"):
            os.chown(each, uid, uid)
    for name, target in (("own", "inner/file"), ("foreign", "../bob/inner/file")):
        link = tmp_path / "eve" / name
        link.symlink_to(target)
        os.chown(link, 1001, 1001, follow_symlinks=False)
    own, foreign = f"{tmp_path}/eve/own", f"{tmp_path}/eve/foreign"
    watcher.watch([own, foreign])
    (tmp_path / "eve/inner/file").write_text("[]")
    assert hinted(watcher) == {own}
    (tmp_path / "bob/inner/file").write_text("[]")
    assert hinted(watcher) == set()


def test_links_cost_a_bounded_number_of_watches(watcher: Watcher, tmp_path: Path) -> None:
    deep = tmp_path
    for number in range(40):
        deep /= f"d{number}"
    deep.mkdir(parents=True)
    for number in range(30):
        target = deep if number == 0 else tmp_path / f"link{number - 1}"
        inside = "" if number == 0 else "/" + "/".join([".."] * 40)
        (tmp_path / f"link{number}").symlink_to(f"{target}{inside}/{deep.relative_to(tmp_path)}")
    watcher.watch([f"{tmp_path}/link29/settings.json"])
    assert len(watcher._watches) < 250


def test_what_a_user_piles_up_below_a_pattern_is_watched_within_bounds(
    watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jada_configd.host.watching.watch._MOST_MATCHES", 20)
    watcher.watch([f"{tmp_path}/*.json"])
    few = len(watcher._watches)
    for number in range(50):
        (tmp_path / f"{number}.json").write_text("{}")
    watcher.hints()
    watcher.refresh()
    assert len(watcher._watches) <= few + 20
    for number in range(50):
        (tmp_path / f"{number}.json").unlink()
    watcher.hints()
    assert len(watcher._watches) == few
    (tmp_path / "one.json").write_text("{}")
    assert hinted(watcher) == {f"{tmp_path}/one.json"}


def test_nothing_is_kept_of_what_came_and_went(watcher: Watcher, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    watcher.watch([str(path), f"{tmp_path}/*/x.json"])

    def kept() -> tuple[int, int]:
        entries = [watch.entries for watch in watcher._watches._used.values()]
        return len(watcher._watches), sum(map(len, entries))

    before = kept()
    for number in range(200):
        path.write_text("{}")
        path.rename(tmp_path / f"old{number}")
        (tmp_path / f"d{number}").mkdir()
        watcher.hints()
        (tmp_path / f"d{number}").rmdir()
        watcher.hints()
    assert kept() == before


def test_a_user_who_moves_directories_about_slows_nobody_but_is_slowed(
    watcher: Watcher, tmp_path: Path
) -> None:
    mine, theirs = tmp_path / "mine/settings.json", tmp_path / "theirs/d/settings.json"
    for path in (mine, theirs):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    watcher.watch([str(mine), str(theirs)])
    away = theirs.parent.with_name("away")
    wakeups = 0
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        theirs.parent.rename(away)
        away.rename(theirs.parent)
        if select.select([watcher], [], [], 0)[0]:
            wakeups += 1
            watcher.hints()
    assert wakeups < 64 + 250 * 0.6
    mine.write_text("[]")
    written = time.monotonic()
    while str(mine) not in hinted(watcher):
        assert time.monotonic() - written < 0.1
        select.select([watcher], [], [], 0.1)


# ---- a scratch root


def test_a_scratch_root_is_the_root_of_paths_and_absolute_links(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/settings.json").write_text("{}")
    (tmp_path / "home").symlink_to("/data")
    (tmp_path / "data/up").symlink_to("../../../../data/settings.json")
    watcher = Watcher(str(tmp_path))
    watcher.watch(["/home/settings.json", "/data/up"])
    (tmp_path / "data/settings.json").write_text("[]")
    assert hinted(watcher) == {"/home/settings.json", "/data/up"}
    watcher.close()
