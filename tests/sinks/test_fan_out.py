"""Several sinks: one that fails harms no other, and is told of until what failed has gone right."""

from collections.abc import Iterator

import pytest

from jada_configd.core.report import Event, PolicyLoaded, Standing
from jada_configd.sinks import FanOut
from jada_configd.sinks.status_file import StatusFile

STANDING = Standing("in-sync", "in sync", {"state": "in-sync"})
LOADED = PolicyLoaded("/etc/jada-configd/policy.toml", "sha256:0", ())


class Scripted:
    """A sink that hears all, and fails as often as it is told to."""

    def __init__(self, *failures: Exception | None) -> None:
        self.heard: list[Event] = []
        self._failures: Iterator[Exception | None] = iter(failures)

    def handle(self, event: Event) -> None:
        self.heard.append(event)
        if (failure := next(self._failures, None)) is not None:
            raise failure

    def close(self) -> None:
        raise OSError("it is closed already")


def test_one_that_fails_harms_no_other() -> None:
    failing, other = Scripted(ValueError("full")), Scripted()
    told = FanOut((failing, other))
    told.handle(STANDING)
    assert other.heard == [STANDING]
    assert told.troubles() == ("Scripted: full",)
    told.close()


def test_a_trouble_lasts_until_an_event_of_that_sort_was_taken() -> None:
    """The others a sink may just have passed over."""
    told = FanOut((Scripted(OSError("full")),))
    told.handle(STANDING)
    told.handle(LOADED)
    assert told.troubles() == ("Scripted: full",)
    told.handle(STANDING)
    assert told.troubles() == ()


def test_a_status_file_that_cannot_be_written_stays_a_trouble_through_other_events(
    tmp_path: pytest.TempPathFactory,
) -> None:
    told = FanOut((StatusFile(f"{tmp_path}/none/status.json"),))
    told.handle(STANDING)
    told.handle(LOADED)
    assert len(told.troubles()) == 1
