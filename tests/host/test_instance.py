"""One daemon a host, whatever is cleaned up under it."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jada_configd.errors import Busy
from jada_configd.host.storage.instance import Instance


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def instance(run: Path, state: Path) -> Instance:
    return Instance(f"{run}/daemon.lock", [(f"{state}/daemon.lock", 0o700)])


@contextmanager
def another(run: Path, state: Path) -> Iterator[int]:
    """Another process that is the one daemon."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with instance(run, state):
                os.write(writing, b".")
                time.sleep(60)
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


def starts(run: Path, state: Path) -> bool:
    try:
        with instance(run, state):
            return True
    except Busy:
        return False


@pytest.mark.parametrize("removed", ["run", "state", ""])
def test_no_second_one_starts_whichever_of_its_directories_is_removed(
    run: Path, state: Path, removed: str
) -> None:
    with another(run, state):
        if removed:
            shutil.rmtree(run.parent / removed)
        assert not starts(run, state)
    assert starts(run, state)


def test_the_directories_are_made_with_their_own_modes(run: Path, state: Path) -> None:
    with instance(run, state):
        assert [path.stat().st_mode & 0o777 for path in (run, state)] == [0o755, 0o700]


def test_a_state_directory_that_cannot_be_had_keeps_no_daemon_from_starting(
    run: Path, state: Path
) -> None:
    state.touch()
    with instance(run, state) as held:
        held.keep()
        assert held.troubles() == ()
        state.unlink()
        held.keep()
        assert (state / "daemon.lock").exists()


def test_what_was_removed_is_locked_anew(run: Path, state: Path) -> None:
    with instance(run, state) as held:
        for path in (run, state):
            shutil.rmtree(path)
        held.keep()
        assert held.troubles() == ()
        child = os.fork()
        if child == 0:
            os._exit(starts(run, state))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_another_that_started_meanwhile_is_told_of_and_no_longer_once_it_ends(
    run: Path, state: Path
) -> None:
    with instance(run, state) as held:
        for path in (run, state):
            shutil.rmtree(path)
        with another(run, state) as child:
            held.keep()
            assert held.troubles() == (
                f"another instance runs on this host: {run}/daemon.lock is held by process {child}",
            )
        held.keep()
        assert held.troubles() == ()


def test_nothing_is_kept_open(run: Path, state: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with instance(run, state) as held:
        for _ in range(5):
            shutil.rmtree(run)
            held.keep()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
