"""Which of a process's descriptors are connections, for a person who wonders what fills its limit.

psutil tells them in one form, whatever the kernel. It takes 4 MiB, and a walk through all of them,
so nothing that stays resident asks for this.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

_OTHER: Final = "NONE"  # psutil's word for a socket without a state: UDP, or local


def connections(pid: int) -> Mapping[str, int] | None:
    """How many a process has in each state (tcp(7)), the most first; `NONE`: other sockets.

    Those of another network namespace (`PrivateNetwork=`) are not seen. None where the process has
    gone, or may not be looked at.
    """
    import psutil

    try:
        found = psutil.Process(pid).net_connections(kind="all")
    except (psutil.Error, OSError):
        return None
    return dict(Counter(each.status for each in found).most_common())


def told(states: Mapping[str, int]) -> str:
    """`900 connections (700 CLOSE_WAIT, 200 ESTABLISHED) and 3 other sockets`."""
    known = {state: count for state, count in states.items() if state != _OTHER}
    total = sum(known.values())
    each = ", ".join(f"{count} {state}" for state, count in known.items())
    connected = f"{total} connection{'' if total == 1 else 's'}" + (f" ({each})" if each else "")
    other = states.get(_OTHER, 0)
    return f"{connected} and {other} other socket{'' if other == 1 else 's'}"
