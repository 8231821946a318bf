"""What limits.conf(5) counts otherwise than setrlimit(2), for whoever resolves, reads or writes."""

from collections.abc import Mapping
from typing import Final

# One number each, of which a login has one alone; all other items have a soft and a hard side.
SINGLE: Final = frozenset({"maxlogins", "maxsyslogins", "nonewprivs", "priority"})
# It counts these in KiB, and cpu in minutes; we have bytes and seconds, as for services.
FACTORS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("as", "core", "data", "fsize", "memlock", "rss", "stack"), 1024),
    "cpu": 60,
}
