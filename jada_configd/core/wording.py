"""How values, changes and moments are put into words: escaped, shortened, and without secrets.

Whatever is shown here may have been chosen by somebody who wants to write into an operator's
terminal or log, so nothing but printable characters ever comes out.
"""

import json
import math
import re

from jada_configd.core.model import Absent, Change, Field, Json, Value, pointer

_SECRET = re.compile(r"token|key|secret|password|authorization|cookie|credential", re.IGNORECASE)
REDACTED = "<redacted>"
LARGEST_NUMBER_BITS = 4096  # past some 4,300 digits Python refuses to print one
MASKED = "/dev/null is a device"  # a link there says that a file sets nothing (sysctl.d(5))
SEMICOLON = r";\x20"
# What `process_text` and core/limit_faults.py write; some sentences have the number alone.
_WHO = re.compile(r"process [0-9]+(?: \(.*?\)(?= has | runs,))?")
_SO_MANY = re.compile(r", and so it is with (?:one more process|[0-9,]+ or more other processes)")
SHORT = 60  # characters of a value in one line for a person; the whole stands in --json


def escaped(text: str) -> str:
    """The text with every character that a terminal or log would act on written as an escape."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", errors="backslashreplace").decode("ascii")


def public(field: Field, value: Json) -> Json:
    """The value as it may be shown: without what stands under a key that looks like a secret."""
    if any(_SECRET.search(token) for token in field):
        return REDACTED
    if isinstance(value, dict):
        return {key: public((key,), each) for key, each in value.items()}
    if isinstance(value, list):
        return [public((), each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON cannot say it; a file can, with 1e999
    if isinstance(value, int) and value.bit_length() > LARGEST_NUMBER_BITS:
        return f"<a number of {value.bit_length()} bits>"
    return value


def shown(field: Field, value: Value) -> str:
    """The value in one short line: JSON, escaped, cut in the middle where it is long."""
    text = _text(field, value)
    if len(text) <= SHORT:
        return text
    half = (SHORT - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def both_shown(field: Field, have: Value, want: Value) -> tuple[str, str]:
    """The two sides of a change; where they differ in what `shown` cuts out, that piece of each."""
    sides = shown(field, have), shown(field, want)
    one, other = _text(field, have), _text(field, want)
    if sides[0] != sides[1] or one == other:  # a secret stays one
        return sides
    pairs = enumerate(zip(one, other, strict=False))
    at = next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))
    start = max(0, at - SHORT // 3)
    one, other = (f"... {text[start : start + SHORT - 8]} ..." for text in (one, other))
    return one, other


def _text(field: Field, value: Value) -> str:
    if isinstance(value, Absent):
        return "(absent)"
    return escaped(json.dumps(public(field, value), ensure_ascii=False))


def change_line(change: Change) -> str:
    """One change: `/model "claude-haiku-4-5" -> "claude-sonnet-4-6"`."""
    have, want = both_shown(change.field, change.have, change.want)
    return f"{escaped(pointer(change.field))} {have} -> {want}"


def change_plain(change: Change) -> dict[str, Json]:
    """One change for `--json`; a side that is absent is left out, null is a value."""
    plain: dict[str, Json] = {"field": pointer(change.field)}
    for side, value in (("have", change.have), ("want", change.want)):
        if not isinstance(value, Absent):
            plain[side] = public(change.field, value)
    return plain


def process_text(pid: int, name: str) -> str:
    """A process in words; it chooses its own name (PR_SET_NAME, prctl(2)).

    `; ` parts a sentence into what is, what was asked and why: no name may begin such a part.
    """
    return f"process {pid} ({escaped(name).replace('; ', SEMICOLON)})"


def in_the_way(path: str, problem: str) -> str:
    """Why a file of ours cannot be read; of a link to /dev/null only that would be named."""
    if problem != MASKED:
        return problem
    return f"{escaped(path)} is a link to /dev/null, which masks it"


def impersonal(problem: str) -> str:
    """A problem without who has it, and how many: processes come, go and rename themselves."""
    return _WHO.sub("process", _SO_MANY.sub("", problem))


def count(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def seconds(value: float) -> str:
    """A span as a person reads it: `0.9 ms`, `5.2 s`."""
    milliseconds = f"{value * 1000:.1f}"
    return f"{milliseconds} ms" if float(milliseconds) < 1000 else f"{value:.1f} s"  # noqa: PLR2004
