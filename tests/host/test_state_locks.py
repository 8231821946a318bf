"""Locks: one holder, gone with its process however that ends, never a child's."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jada_configd.errors import Busy, HostError, Refused
from jada_configd.host.storage.locks import Standing
from jada_configd.host.storage.state import lock
from tests.host.stage import EVE, apart


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run/daemon.lock")


@contextmanager
def held_elsewhere(path: str, seconds: float = 60) -> Iterator[int]:
    """Another process that has the lock."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with lock(path):
                os.write(writing, b".")
                time.sleep(seconds)
        finally:
            os._exit(0)
    os.close(writing)
    assert os.read(reading, 1) == b"."
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)


def test_one_process_has_it_and_another_is_told_who(path: str) -> None:
    with held_elsewhere(path) as child, pytest.raises(Busy, match=f" is held by process {child}"):
        lock(path)
    with lock(path):
        pass


def test_a_process_that_is_killed_has_it_no_longer(path: str) -> None:
    with held_elsewhere(path) as child:
        os.kill(child, signal.SIGKILL)
        with lock(path, 5):
            pass


def test_it_is_waited_for_as_long_as_was_said(path: str) -> None:
    with held_elsewhere(path, 0.2):
        start = time.monotonic()
        with lock(path, 5):
            assert 0.1 < time.monotonic() - start < 2
    with held_elsewhere(path):
        start = time.monotonic()
        with pytest.raises(Busy):
            lock(path, 0.1)
        assert 0.1 <= time.monotonic() - start < 1


def test_the_same_process_cannot_have_it_twice_and_keeps_it(path: str) -> None:
    with lock(path):
        with pytest.raises(Busy, match="this very process"):
            lock(path, 5)
        with pytest.raises(AssertionError, match="is held by process"):
            apart(lambda: lock(path))


def test_released_twice_is_released(path: str) -> None:
    one = lock(path)
    one.release()
    with lock(path):
        one.release()
        with pytest.raises(AssertionError, match="is held by process"):
            apart(lambda: lock(path))


def test_a_child_does_not_keep_it_beyond_its_parent(path: str) -> None:
    """Neither one made by fork alone, nor one that runs another program."""
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            lock(path)
            forked = os.fork()
            if forked == 0:
                time.sleep(60)
            executed = subprocess.Popen(["sleep", "60"], close_fds=False)
            os.write(writing, f"{forked} {executed.pid}".encode())
            time.sleep(60)
        finally:
            os._exit(0)
    os.close(writing)
    children = [int(each) for each in os.read(reading, 100).split()]
    try:
        with pytest.raises(Busy):
            lock(path)
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        with lock(path):
            pass
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        os.close(reading)


def test_two_programs_that_wait_have_it_one_after_the_other(path: str, tmp_path: Path) -> None:
    program = (
        "import sys, time; from jada_configd.host.storage.state import lock\n"
        "for _ in range(20):\n"
        "    with lock(sys.argv[1], 30):\n"
        "        number = int(open(sys.argv[2]).read()); time.sleep(0.001)\n"
        "        open(sys.argv[2], 'w').write(str(number + 1))\n"
    )
    count = tmp_path / "count"
    count.write_text("0")
    running = [
        subprocess.Popen([sys.executable, "-c", program, path, str(count)]) for _ in range(2)
    ]
    assert [each.wait(30) for each in running] == [0, 0]
    assert count.read_text() == "40"


def test_nobody_else_can_open_the_file_and_so_lock_it(path: str) -> None:
    before = os.umask(0)
    try:
        with lock(path):
            assert Path(path).stat().st_mode & 0o7777 == 0o600
            assert Path(path).parent.stat().st_mode & 0o7777 == 0o755
    finally:
        os.umask(before)
    Path(path).chmod(0o666)
    with lock(path):
        assert Path(path).stat().st_mode & 0o7777 == 0o600


def test_the_directory_that_is_made_for_it_is_open_to_readers_whatever_the_umask(path: str) -> None:
    before = os.umask(0o077)
    try:
        with lock(path):
            assert Path(path).parent.stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(before)


def test_a_directory_that_others_can_write_to_is_refused(path: str) -> None:
    Path(path).parent.mkdir()
    Path(path).parent.chmod(0o777)
    with pytest.raises(Refused, match="others can write to"):
        lock(path)


def test_what_is_no_file_in_its_place_is_refused(path: str) -> None:
    Path(path).parent.mkdir()
    Path(path).symlink_to("elsewhere")
    with pytest.raises(HostError, match="links"):
        lock(path)
    assert not Path(path).with_name("elsewhere").exists()
    Path(path).unlink()
    Path(path).mkdir()
    with pytest.raises(HostError, match="directory"):
        lock(path)


@pytest.mark.needs_root
def test_a_strangers_file_in_its_place_is_refused(path: str) -> None:
    Path(path).parent.mkdir()
    Path(path).write_bytes(b"")
    os.chown(path, EVE, EVE)
    with pytest.raises(Refused, match=f"belongs to uid {EVE}"):
        lock(path)


def test_a_standing_lock_excludes_others_each_time_it_is_taken(path: str) -> None:
    standing = Standing(path)
    for _ in range(3):
        with standing.taken(), pytest.raises(Busy, match="this very process"):
            lock(path)
        with held_elsewhere(path) as child:
            with pytest.raises(Busy, match=f"process {child}"), standing.taken():
                pass
            os.kill(child, signal.SIGKILL)


def test_a_standing_lock_is_found_anew_where_its_file_was_replaced(path: str) -> None:
    standing = Standing(path)
    with standing.taken():
        pass
    shutil.rmtree(Path(path).parent)
    with held_elsewhere(path), pytest.raises(Busy), standing.taken():
        pass
    with standing.taken(), pytest.raises(Busy):
        lock(path)
