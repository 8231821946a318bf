"""`make demo`: jada-configd at work, on a throwaway host or, without root, in the foreground."""

import sys

from demo import scratch, throwaway
from demo.screen import Screen
from tests.system.machine import why_not


def main() -> int:
    """Tell the story that can be told here; 1 where something in it did not come true."""
    screen = Screen()
    if reason := why_not():
        screen.line(f"{reason}; so this is --user on a scratch home")
        scratch.tell(screen)
    else:
        throwaway.tell(screen)
    if screen.failures:
        print(f"\n{len(screen.failures)} did not come true:", file=sys.stderr)
        print(*(f"  {failure}" for failure in screen.failures), sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # the host has gone on the way here
        sys.exit(130)
