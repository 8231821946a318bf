"""What outlives the process, where the state directory does not."""

import shutil
from pathlib import Path

import pytest

from jada_configd.core.model import ResourceId
from jada_configd.memory import Memory

FILE = ResourceId("settings", "/a")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def memory(place: Path) -> Memory:
    memory = Memory(str(place), create=True)
    memory.save_policy({"revision": "sha256:1"})
    memory.keep(FILE, b"{}")
    return memory


def test_nothing_is_renewed_where_nothing_was_lost(memory: Memory) -> None:
    assert not memory.renew()
    assert memory.troubles() == ()


def test_a_state_directory_that_was_removed_is_renewed_with_the_policy_in_force(
    place: Path, memory: Memory
) -> None:
    shutil.rmtree(place)
    assert memory.renew()
    assert not memory.renew()
    assert memory.policy() == {"revision": "sha256:1"}
    memory.keep(FILE, b"{}")
    assert memory.state().last_good(str(FILE)) == b"{}"


def test_one_that_was_in_the_way_for_a_while_is_renewed_once_it_is_not(
    place: Path, memory: Memory
) -> None:
    shutil.rmtree(place)
    place.touch()
    assert not memory.renew()
    assert memory.troubles() != ()
    assert not memory.renew()
    place.unlink()
    assert memory.renew()
    assert memory.policy() == {"revision": "sha256:1"}
    assert memory.troubles() == ()
