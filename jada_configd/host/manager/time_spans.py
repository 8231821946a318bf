"""Time spans as systemctl writes them (systemd.time(7)): `1min 30s`, `1.500s`, `infinity`."""

import re
from typing import Final

INFINITY: Final = (1 << 64) - 1  # USEC_INFINITY

_US: Final[dict[str, int]] = {
    "y": 31_557_600_000_000,
    "month": 2_629_800_000_000,
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "min": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_PART: Final = re.compile(rf"(\d+)(?:\.(\d+))?({'|'.join(_US)})", re.ASCII)
_LONGEST: Final = 400  # of a text that systemctl could have written


def microseconds(text: str) -> int:
    """The span; 0 for what is none."""
    if text == "infinity":
        return INFINITY
    parts = [_PART.fullmatch(word) for word in text[:_LONGEST].split()]
    total = 0
    for part in parts:
        if part is None:
            return 0
        whole, fraction, unit = part.groups("")
        total += int(whole) * _US[unit]
        total += int(fraction or "0") * _US[unit] // 10 ** len(fraction)
    return min(total, INFINITY)
