"""The wall clock, and what time zones make of it (tzfile(5)): a `Calendar`."""

import time
from typing import Final

from jada_configd.core.seams import Offset
from jada_configd.core.wording import escaped
from jada_configd.errors import Unable

UTC: Final = "UTC"


class TimeZones:
    """The zones of this host, read anew each time that one is asked for."""

    def now(self) -> int:
        """The moment (CLOCK_REALTIME, whole seconds).

        The host's own zone may have been set anew since the last one (timedatectl(1)).
        """
        time.tzset()
        return int(time.time())

    def zone(self, name: str) -> Offset:
        """The clock of a zone; raises `Unable` where this host does not know it."""
        if not name:
            return _local
        if name == UTC:  # without a database too
            return _utc
        from datetime import UTC as UNIVERSAL
        from datetime import datetime
        from zoneinfo import ZoneInfo  # 0.4 MiB, for those who name a zone

        try:
            zone = ZoneInfo.no_cache(name)
        # KeyError: it is not there; ValueError: no file of that sort, or no name of a zone
        except (OSError, ValueError, KeyError):
            raise Unable(
                f"the time zone {escaped(name)} cannot be read; is tzdata installed?"
            ) from None

        def offset(at: int) -> int:
            shift = datetime.fromtimestamp(at, UNIVERSAL).astimezone(zone).utcoffset()
            return 0 if shift is None else int(shift.total_seconds())

        return offset


def _local(at: int) -> int:
    return time.localtime(at).tm_gmtoff


def _utc(_at: int) -> int:
    return 0
