"""The textfile: written when it is told how things stand, moved and removed with the policy."""

import pytest

from jada_configd.core.report import PolicyRejected, Standing
from jada_configd.errors import HostError
from jada_configd.sinks import FanOut
from jada_configd.sinks.metrics import Metrics
from tests.core.test_metrics import facts

HERE = "/var/lib/node/a.prom"
THERE = "/var/lib/node/b.prom"


class Shelf:
    """Files by path; it refuses what it is told to refuse."""

    def __init__(self, *paths: str) -> None:
        self.files = dict.fromkeys(paths, b"of the run before")
        self.refuses: set[str] = set()
        self.done: list[str] = []

    def put(self, path: str, content: bytes) -> None:
        self._act("put", path)
        self.files[path] = content

    def remove(self, path: str) -> None:
        self._act("remove", path)
        self.files.pop(path, None)

    def stands(self, path: str) -> bool:
        return path in self.files

    def _act(self, what: str, path: str) -> None:
        if path in self.refuses:
            raise HostError(f"{path} cannot be written")
        self.done.append(f"{what} {path}")


def standing(textfile: str | None, passes: int = 1) -> Standing:
    counters = {"passes": passes, "overflows": 0}
    return Standing("in-sync", "in sync", facts(counters=counters).snapshot, textfile)


def test_without_a_textfile_nothing_is_written() -> None:
    shelf = Shelf()
    metrics = Metrics(shelf)
    metrics.handle(standing(None))
    assert metrics.stands()
    metrics.close()
    assert shelf.done == []


def test_it_is_replaced_when_it_has_changed_or_is_gone() -> None:
    shelf = Shelf()
    metrics = Metrics(shelf)
    for _ in range(2):
        metrics.handle(standing(HERE))
    assert shelf.done == [f"put {HERE}"]
    assert shelf.files[HERE].startswith(b"# Written by jada-configd from /p; ")
    metrics.handle(standing(HERE, passes=2))
    assert b"\njada_configd_passes_total 2\n" in shelf.files[HERE]
    del shelf.files[HERE]
    assert not metrics.stands()
    metrics.handle(standing(HERE, passes=2))
    assert metrics.stands()


def test_it_counts_what_happens_before_it_is_to_write() -> None:
    shelf = Shelf()
    metrics = Metrics(shelf)
    metrics.handle(PolicyRejected("/p", ("wrong",)))
    metrics.handle(standing(HERE))
    assert b"\njada_configd_policy_load_failures_total 1\n" in shelf.files[HERE]


def test_it_moves_and_goes_with_the_policy() -> None:
    shelf = Shelf()
    metrics = Metrics(shelf)
    metrics.handle(standing(HERE))
    metrics.handle(standing(THERE))
    assert shelf.files.keys() == {THERE}
    metrics.handle(standing(None))
    assert shelf.files == {}
    assert metrics.stands()


def test_the_end_of_the_daemon_is_the_end_of_the_file() -> None:
    shelf = Shelf()
    metrics = Metrics(shelf)
    metrics.handle(standing(HERE))
    metrics.close()
    assert shelf.files == {}


@pytest.mark.parametrize("now", [None, HERE])
def test_what_a_killed_run_left_goes_unless_it_is_written_anew(now: str | None) -> None:
    shelf = Shelf(HERE)
    metrics = Metrics(shelf, earlier=HERE)
    metrics.handle(standing(now))
    assert shelf.files.keys() == ({now} if now else set())
    assert b"of the run before" not in shelf.files.values()


def test_what_cannot_be_written_is_a_trouble_until_it_can() -> None:
    shelf = Shelf()
    shelf.refuses = {HERE}
    metrics = Metrics(shelf)
    told = FanOut((metrics,))
    for _ in range(2):
        told.handle(standing(HERE))
        assert told.troubles() == (f"Metrics: {HERE} cannot be written",)
    assert metrics.stands()  # nothing has been lost: there was none
    shelf.refuses = set()
    told.handle(standing(HERE))
    assert told.troubles() == ()
    assert HERE in shelf.files


def test_a_file_that_does_not_go_is_tried_again() -> None:
    shelf = Shelf()
    told = FanOut((Metrics(shelf),))
    told.handle(standing(HERE))
    shelf.refuses = {HERE}
    told.handle(standing(None))
    assert told.troubles() == (f"Metrics: {HERE} cannot be written",)
    shelf.refuses = set()
    told.handle(standing(None))
    assert (told.troubles(), shelf.files) == ((), {})
