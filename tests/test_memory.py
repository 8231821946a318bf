"""What outlives the process, where the state directory does not."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from jada_configd.core.marks import Mark
from jada_configd.core.model import ResourceId
from jada_configd.host.storage.state import StateDirectory
from jada_configd.memory import Memory
from jada_configd.verdicts import Verdicts

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


# ---- verdicts, and what an operator says of them

UNIT = "jada-agent.service"
OTHER = "other.service"
VERDICTS = {"marks": {UNIT: {"why": "it \ud800 failed"}}, "breakers": {}}


def test_verdicts_come_back_to_the_next_daemon(place: Path, memory: Memory) -> None:
    assert memory.verdicts() is None
    memory.save_verdicts(VERDICTS)
    assert Memory(str(place), create=False).verdicts() == VERDICTS


def test_they_are_synced(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash of the machine services start on what is kept there."""
    synced: list[str] = []
    save = StateDirectory.save

    def noted(self: StateDirectory, name: str, plain: Any, *, sync: bool = False) -> None:  # noqa: ANN401 - JSON
        if sync:
            synced.append(name)
        save(self, name, plain, sync=sync)

    monkeypatch.setattr(StateDirectory, "save", noted)
    memory.save_verdicts(VERDICTS)
    assert synced == ["verdicts.json"]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'"x"', b"\x00"])
def test_spoiled_verdicts_count_as_none(place: Path, memory: Memory, text: bytes) -> None:
    memory.save_verdicts(VERDICTS)
    (place / "verdicts.json").write_bytes(text)
    kept = Memory(str(place), create=True)
    assert kept.verdicts() is None
    verdicts = Verdicts(kept)
    assert (verdicts.marks.of(UNIT), verdicts.breakers.status(UNIT)) == (None, None)


@pytest.mark.parametrize("plain", [{"marks": 5}, {"marks": {UNIT: []}, "breakers": [1]}, {}])
def test_verdicts_of_another_shape_count_as_none(memory: Memory, plain: dict[str, Any]) -> None:
    memory.save_verdicts(plain)
    verdicts = Verdicts(memory)
    assert (verdicts.marks.of(UNIT), verdicts.breakers.status(UNIT)) == (None, None)


def test_they_are_saved_where_there_is_news_and_by_nobody_who_only_looks(memory: Memory) -> None:
    mark = Mark(UNIT, "sha256:1", "it failed", 5.0, {str(FILE): frozenset({("model",)})})
    looks = Verdicts(memory, keeps=False)
    looks.marks.put(mark)
    looks.changed = True
    looks.save()
    assert memory.verdicts() is None
    verdicts = Verdicts(memory)
    verdicts.marks.put(mark)
    verdicts.save()
    assert memory.verdicts() is None
    verdicts.changed = True
    verdicts.save()
    assert Verdicts(memory).marks.of(UNIT) == mark


def test_a_unit_is_to_be_tried_again_once(place: Path, memory: Memory) -> None:
    assert memory.take_retries() == ()
    memory.ask_retry(UNIT)
    memory.ask_retry(OTHER)
    memory.ask_retry(UNIT)
    assert Path(memory.retries).exists()
    assert memory.retries == str(place / "retries.json")
    daemon = Memory(str(place), create=True)
    assert daemon.take_retries() == (OTHER, UNIT)
    assert daemon.take_retries() == ()
    assert not Path(memory.retries).exists()


@pytest.mark.parametrize("text", ["", "[]", '{"units": "all"}', '{"units": null}', "{}"])
def test_a_word_that_is_none_tries_nothing_and_hides_no_later_one(
    memory: Memory, text: str
) -> None:
    Path(memory.retries).write_text(text)
    assert memory.take_retries() == ()
    memory.ask_retry(UNIT)
    assert memory.take_retries() == (UNIT,)


def test_what_stood_before_comes_back(place: Path, memory: Memory) -> None:
    memory.keep_before(FILE, b"{ }")
    assert Memory(str(place), create=False).state().before(str(FILE)) == b"{ }"


def test_a_place_where_nothing_can_be_kept_is_told_and_stops_nobody(place: Path) -> None:
    place.touch()
    memory = Memory(str(place), create=True)
    memory.keep_before(FILE, b"{}")
    memory.save_verdicts(VERDICTS)
    assert memory.verdicts() is None
    assert memory.take_retries() == ()
    assert memory.troubles() != ()
