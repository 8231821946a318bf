"""A service that uses as much as it is told to: descriptors, threads, and a child that does too.

What it is told stands in its working directory, `want` (JSON); SIGUSR1 has it read that, and when
it is done it writes the same into `has`:

    files        descriptors that it has open beside its streams
    threads      threads beside its first
    child        the same for a process of its own, whose soft limit is `limit` where that is given

With the standard library alone; it runs until SIGTERM.
"""

import json
import os
import resource
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

held: list[int] = []
threads: list[tuple[threading.Thread, threading.Event]] = []


def use(want: dict[str, Any]) -> None:
    """Come to have so many descriptors and threads."""
    if "limit" in want:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (want["limit"], hard))
    while len(held) < want.get("files", 0):
        held.append(os.open("/dev/null", os.O_RDONLY))
    while len(held) > want.get("files", 0):
        os.close(held.pop())
    while len(threads) < want.get("threads", 0):
        ending = threading.Event()
        thread = threading.Thread(target=ending.wait, daemon=True)
        thread.start()
        threads.append((thread, ending))
    while len(threads) > want.get("threads", 0):
        thread, ending = threads.pop()
        ending.set()
        thread.join()


def beget(want: dict[str, Any]) -> None:
    """A child that has what is wanted of it, and lives as long as this process."""
    ready, told = os.pipe()
    if os.fork() == 0:
        Path("/proc/self/comm").write_text("hoarder-child")
        for descriptor in held:
            os.close(descriptor)
        held.clear()
        use(want)
        os.write(told, b".")
        while True:
            signal.pause()
    os.read(ready, 1)
    os.close(ready)
    os.close(told)


def on_signal(_number: int, _frame: FrameType | None) -> None:
    """Read what is wanted, and come to have it."""
    text = Path("want").read_text()
    want = json.loads(text)
    use(want)
    if "child" in want:
        beget(want["child"])
    Path("has.new").write_text(text)
    Path("has.new").rename("has")


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, on_signal)
    Path("has").write_text("{}")
    while True:
        signal.pause()
