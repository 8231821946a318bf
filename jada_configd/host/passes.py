"""A pass has this host for itself, and goes on from its own looks (`filesystem/kept.py`)."""

import gc
from types import TracebackType
from typing import Self

from jada_configd.host.filesystem.files import Files
from jada_configd.host.storage.locks import Standing


class Passes:
    """A context, entered for each pass; entering raises `Busy`, `HostError`.

    No garbage is collected within: a collection takes as long as a correction. What a pass leaves
    is collected after it.
    """

    def __init__(self, lock: Standing, files: Files) -> None:
        self._lock = lock
        self._files = files

    def __enter__(self) -> Self:
        self._lock.__enter__()
        self._files.begin_pass()
        gc.disable()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        gc.enable()
        try:
            self._files.end_pass()
        finally:
            self._lock.__exit__(kind, error, trace)
