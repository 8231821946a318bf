"""The limits that a unit file, a drop-in or system.conf asks for, line by line.

Which of several files counts is for others (`core/drop_in_order.py`).
"""

from jada_configd.core.facts import LimitLayer, LimitLine
from jada_configd.core.limits import LIMITS, directive
from jada_configd.formats.key_value import parse_unit
from jada_configd.formats.limit_values import parse_limit


def limit_lines(data: bytes, section: str, layer: LimitLayer, path: str) -> list[LimitLine]:
    """Every line of a file that sets a limit, in order; a line that systemd passes over says why.

    `section` is `Service` for a service's files and `Manager` for system.conf, where each name
    begins with `Default` (systemd-system.conf(5)).
    """
    prefix = "Default" if layer == "manager default" else ""
    keys = {prefix + directive(limit): limit for limit in LIMITS}
    lines = []
    for line in parse_unit(data.decode(errors="replace")):
        limit = keys.get(line.key)
        if limit is None or line.section != section:
            continue
        source = f"{path}:{line.line}"
        try:
            soft, hard = parse_limit(limit, line.value)
        except ValueError as error:
            ignored = f"systemd passes over it, because {error}"
            lines.append(LimitLine(limit, 0, 0, layer, source, line.value, ignored))
        else:
            lines.append(LimitLine(limit, soft, hard, layer, source, line.value))
    return lines
