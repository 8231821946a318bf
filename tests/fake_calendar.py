"""A wall clock that goes with a fake host's own, and can be set; its zones are the real ones."""

from datetime import datetime
from zoneinfo import ZoneInfo

from jada_configd.core.seams import Offset
from jada_configd.errors import Unable
from tests.fake_host import SECOND_NS, FakeHost

UNKNOWN = "Mars/Olympus_Mons"


class FakeCalendar:
    """What `host/time_zones.py` is on a real host. `local` is the host's own zone."""

    def __init__(self, host: FakeHost, start: str = "2026-11-20 20:00", local: str = "UTC") -> None:
        self._host = host
        self._ahead = 0
        self.local = local
        self.known = True  # whether there is a database of zones
        self.set(start)

    def set(self, clock: str) -> None:
        """Set the clock, in UTC."""
        at = int(datetime.fromisoformat(f"{clock}+00:00").timestamp())
        self._ahead = at - self._host.now_ns // SECOND_NS

    def now(self) -> int:
        return self._host.now_ns // SECOND_NS + self._ahead

    def zone(self, name: str) -> Offset:
        if name == UNKNOWN or not (self.known or name in ("", "UTC")):
            raise Unable(f"the time zone {name} cannot be read; is tzdata installed?")
        return offset_of(name or self.local)


def offset_of(name: str) -> Offset:
    """A zone's clock, straight from the standard library."""
    zone = ZoneInfo(name)

    def offset(at: int) -> int:
        shift = datetime.fromtimestamp(at, zone).utcoffset()
        assert shift is not None
        return int(shift.total_seconds())

    return offset
