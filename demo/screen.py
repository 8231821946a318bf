"""What the demo says: one line an event, with the seconds since it began in front."""

import os
import sys
import time
from dataclasses import dataclass, field

MARGIN = " " * 11


def duration(seconds: float) -> str:
    """A time as a person reads it: `0.8 ms`, `312 ms`, `2.1 s`."""
    if seconds < 0.01:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


@dataclass(slots=True)
class Screen:
    """Standard output, for a person or a log."""

    began: float = field(default_factory=time.monotonic)
    failures: list[str] = field(default_factory=list)

    def title(self, text: str) -> None:
        """What comes next."""
        bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(f"\n\033[1m{text}\033[0m" if bold else f"\n{text}", flush=True)

    def line(self, text: str) -> None:
        """Something that is so now."""
        print(f"{time.monotonic() - self.began:8.2f} s {text}", flush=True)

    def typed(self, who: str, command: str) -> None:
        """A command that is about to be run."""
        self.line(f"{who}{'#' if who == 'root' else '$'} {command}")

    def output(self, text: str) -> None:
        """What a command said."""
        for line in text.splitlines():
            print(f"{MARGIN}  {line}".rstrip(), flush=True)

    def after(self, seconds: float, text: str, *, exact: bool = True) -> None:
        """Something that came so many seconds after what stands above, or sooner."""
        self.line(f"  + {'' if exact else 'less than '}{duration(seconds)}: {text}")

    def failed(self, text: str) -> None:
        """Something that should have come and did not."""
        self.failures.append(text)
        self.line(f"  NOT SO: {text}")
