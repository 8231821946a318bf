"""Limits by name and in words: what a policy means, which line gives one, why a process has less.

Where the lines come from is for `Reader.limit_lines`; what is done about it for the kinds.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from jada_configd.core.facts import Ceiling, LimitLine, LimitPair, LimitValue
from jada_configd.core.specs import LimitWord
from jada_configd.core.wording import SHORT, escaped

# The names of limits.conf(5), which are those of systemd.exec(5) in small letters.
LIMITS: Final = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
    "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip
NICE_MOST: Final = 40  # RLIMIT_NICE of nice -20 (getrlimit(2)); systemd takes no more for it


def directive(limit: str) -> str:
    """The unit-file name of a limit: `LimitNOFILE` for `nofile` (systemd.exec(5))."""
    return f"Limit{limit.upper()}"


def resolved(limit: str, word: LimitWord, ceiling: Ceiling | None) -> LimitValue:
    """What a policy's word for a limit comes to; "max" is the ceiling of the host."""
    if word == "infinity":
        return None
    if word != "max":
        return word
    most = None if ceiling is None else ceiling.value
    return NICE_MOST if limit == "nice" and above(most, NICE_MOST) else most


def plain_value(value: LimitValue) -> int | str:
    """A limit as a policy writes it: a number, or `infinity`."""
    return "infinity" if value is None else value


def value_text(value: LimitValue) -> str:
    """The same as text."""
    return str(plain_value(value))


def pair_text(pair: LimitPair) -> str:
    """Soft and hard, each by itself: `1024:20000`."""
    return ":".join(map(value_text, pair))


def limit_text(pair: LimitPair) -> str:
    """Soft and hard as systemd writes them; one number where both are one."""
    return value_text(pair[0]) if pair[0] == pair[1] else pair_text(pair)


def above(value: LimitValue, ceiling: LimitValue) -> bool:
    """Whether a limit is higher than another; None is infinity."""
    return ceiling is not None and (value is None or value > ceiling)


def line_that_gives(
    lines: Iterable[LimitLine], limit: str, given: LimitPair | None = None
) -> LimitLine | None:
    """The line that a limit comes from: the last that systemd takes.

    `given` is what systemd says that it gives: then the last line that says so, or None where none
    does, because a file is another by now than the one that systemd has read.
    """
    found = None
    for line in lines:
        taken = line.limit == limit and line.ignored is None
        if taken and given in (None, (line.soft, line.hard)):
            found = line
    return found


def line_text(line: LimitLine) -> str:
    """`LimitNOFILE=2147483646 in /etc/systemd/system/x.service.d/y.conf:2`."""
    key = directive(line.limit)
    if line.layer == "manager default":
        key = f"Default{key}"
    value = line.text or limit_text((line.soft, line.hard))
    if len(value) > SHORT:
        value = f"{value[:SHORT]}..."
    return f"{key}={escaped(value)} in {escaped(line.source)}"


def has_text(who: str, limit: str, have: LimitPair) -> str:
    """`process 77 has nofile 1024:20000`."""
    return f"{who} has {limit} {pair_text(have)}"


def out_of_reach(ceiling: Ceiling) -> str:
    """Why nobody gets what is beyond the ceiling, though systemd has taken the line."""
    return f"{ceiling.reason}, and systemd takes what it cannot reach without a word"


def why_not_as_asked(
    who: str,
    limit: str,
    have: LimitPair,
    lines: Sequence[LimitLine],
    given: LimitPair | None,
    ceiling: Ceiling | None,
) -> str:
    """One sentence of three parts: what a process has, what was asked for, why they differ.

    `who` is the process in words (`process 77`), `given` what systemd says that it gives (the
    unit's own property, which repeats what was asked). The parts are joined by `; `, at which a
    table for people begins a new line.
    """
    parts = [has_text(who, limit, have)]
    line = line_that_gives(lines, limit, given)
    if line is not None:
        parts.append(f"asked: {line_text(line)}")
        given = (line.soft, line.hard)
    elif given is not None:
        asked = f"{directive(limit)}={limit_text(given)}"
        parts.append(f"asked: {asked}, which stands in no file that can be read now")
    if given is not None:
        parts.append(f"why: {_reason(have, given, ceiling)}")
    return "; ".join(parts)


def _reason(have: LimitPair, given: LimitPair, ceiling: Ceiling | None) -> str:
    if have == given:
        return "systemd gives what it is asked for"
    if ceiling is not None and (above(given[1], ceiling.value) or above(given[0], ceiling.value)):
        return out_of_reach(ceiling)
    return "it was started before systemd was asked for that, or its limit was changed since"
