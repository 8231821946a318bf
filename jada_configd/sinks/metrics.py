"""The textfile for node_exporter: the metrics whenever it is told how things stand.

What they are is `core/metrics.py`'s table; that the file is put where only we can is the writer's.
"""

import time
from collections.abc import Mapping
from typing import Any, Protocol

from jada_configd.core.account import Account
from jada_configd.core.metrics import METRICS
from jada_configd.core.our_files import snapshot_header
from jada_configd.core.report import Event, Standing
from jada_configd.core.samples import Facts
from jada_configd.formats.exposition import exposition


class Publishes(Protocol):
    """Whoever has the file replaced; both raise `HostError`."""

    def put(self, path: str, content: bytes) -> None:
        """Make this the content of the file, in one step."""

    def remove(self, path: str) -> None:
        """Remove the file, where it is one of ours."""

    def stands(self, path: str) -> bool:
        """Whether there is such a file."""


class Metrics:
    """Counts from the start on, and writes where the policy in force has a textfile."""

    def __init__(self, publisher: Publishes, earlier: str | None = None) -> None:
        """`earlier`: the textfile of the run before, which goes unless it is this run's too."""
        self._publisher = publisher
        self._account = Account(time.time())
        self._path = earlier  # where there is a file of ours, or may be
        self._text: str | None = None  # what we have written there

    def handle(self, event: Event) -> None:
        """Count the event, and write when it tells how things stand; raises `HostError`."""
        if not isinstance(event, Standing):
            self._account.take(event, time.time())
            return
        self._account.hold({each["id"] for each in event.snapshot["resources"]})
        # Two files with the same series would be refused together: the old one goes first.
        if self._path != event.textfile:
            self.close()
            self._path = event.textfile
        if self._path is not None:
            self._write(self._path, _text(event.snapshot, self._account))

    def stands(self) -> bool:
        """Whether the file that was written is there: somebody may have removed it."""
        return self._text is None or self._path is None or self._publisher.stands(self._path)

    def close(self) -> None:
        """The file goes: nobody is to take what it says for how things stand by then."""
        self._text = None
        if self._path is not None:
            self._publisher.remove(self._path)

    def _write(self, path: str, text: str) -> None:
        if text == self._text and self._publisher.stands(path):
            return
        self._text = None
        self._publisher.put(path, text.encode())
        self._text = text


def _text(snapshot: Mapping[str, Any], account: Account) -> str:
    comment = snapshot_header(snapshot["policy"]["path"])
    return exposition(comment, METRICS, Facts(snapshot, account))
