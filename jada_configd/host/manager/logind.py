"""Who keeps the host from being shut down (org.freedesktop.login1(5)): inhibitors in mode "block".

logind is another name on the message bus than systemd: its owner is found out for each question,
without starting it, and only that one's answer is heard.
"""

import time
from typing import Final

from jada_configd.core.facts import Inhibitor
from jada_configd.host.manager.bus import MESSAGE_BUS, Bus, Target
from jada_configd.host.manager.routes import Declined, Silent

_LOGIND: Final = "org.freedesktop.login1"
_PATH: Final = "/org/freedesktop/login1"
_INTERFACE: Final = "org.freedesktop.login1.Manager"
_MOST_SECONDS: Final = 1.0  # it is not what we live on, and its answer is from memory


def inhibitors(bus: Bus, seconds: float) -> tuple[Inhibitor, ...]:
    """Those against shutdown; none where logind does not run, does not answer, or says no.

    Raises `Gone` where the bus has ended.
    """
    deadline = time.monotonic() + min(seconds, _MOST_SECONDS)
    try:
        left = deadline - time.monotonic()
        (owner,) = bus.call(MESSAGE_BUS, "GetNameOwner", "s", (_LOGIND,), seconds=left)
        target = Target(owner, _PATH, _INTERFACE)
        with bus.hearing(owner):
            left = deadline - time.monotonic()
            (listed,) = bus.call(target, "ListInhibitors", seconds=left)
    except (Declined, Silent, ValueError):  # ValueError: an answer of another shape
        return ()
    return tuple(
        Inhibitor(pid, who, why)
        for what, who, why, mode, _, pid in listed
        if mode == "block" and "shutdown" in what.split(":")
    )
