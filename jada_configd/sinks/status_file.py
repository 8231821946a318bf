"""`status.json` in the run-time directory: what the daemon says of itself, replaced atomically."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from jada_configd.core.report import Event, Standing

STATUS_MODE = 0o644  # anybody may read it: no secret is in it


class StatusFile:
    """Writes the snapshot when it has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._written: Mapping[str, Any] | None = None

    def handle(self, event: Event) -> None:
        """Replace the file; raises OSError where the run-time directory is not to be written."""
        if not isinstance(event, Standing):
            return
        if event.snapshot == self._written and self.stands():
            return
        text = json.dumps(event.snapshot, ensure_ascii=True) + "\n"
        # One daemon a host and one thread in it, so the name needs to be no other than this; what
        # a crash leaves is written over. The directory is ours alone (checked when it is opened).
        temporary = f"{self._path}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(temporary, flags, STATUS_MODE)
        try:
            os.fchmod(descriptor, STATUS_MODE)
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
        os.replace(temporary, self._path)  # noqa: PTH105 - as the other calls here
        self._written = event.snapshot

    def stands(self) -> bool:
        """Whether the file is there: who finds none believes that no daemon runs."""
        return os.path.lexists(self._path)

    def close(self) -> None:
        """The file goes: who reads none knows that no daemon runs."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108 - as above
