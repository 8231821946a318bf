"""What somebody asks for beyond what this host can give, on a unit that is held.

systemd takes such a line without a word, and repeats the number when asked: whoever trusts that
learns the truth at the limit. It is nothing that a policy could mend, so it is a note and no drift.
"""

from collections.abc import Mapping, Sequence

from jada_configd.core.facts import Ceiling, LimitLine, ProcessFact, UnitFact
from jada_configd.core.limits import (
    above,
    has_text,
    line_text,
    line_that_gives,
    out_of_reach,
    resolved,
)
from jada_configd.core.resources import DROP_IN
from jada_configd.core.seams import Reader
from jada_configd.core.specs import LimitWord
from jada_configd.core.wording import process_text


def unreachable_note(
    reader: Reader, unit: UnitFact, held: Mapping[str, tuple[LimitWord, LimitWord]]
) -> str | None:
    """What the main process has, what is asked for and where, and why the two differ.

    None where all is in reach, and where no process runs. `held` are the limits of the policy: our
    own line, and a process that lacks what the policy says, are the matter of other resources.
    `infinity` is as much as there is, and misleads nobody.
    """
    process = reader.process(unit.main_pid) if unit.main_pid else None
    if process is None or process.starting:
        return None
    lines = reader.limit_lines(unit.name)
    ceilings = {limit: reader.ceiling(limit) for limit in sorted({each.limit for each in lines})}
    notes = [
        _sentence(line, lines, process, ceiling)
        for line in lines
        if (ceiling := ceilings[line.limit]) is not None
        and _is_beyond(line, ceiling)
        and not _is_told(line, process, held, ceiling)
    ]
    return "; ".join(notes) or None


def _is_beyond(line: LimitLine, ceiling: Ceiling) -> bool:
    if line.ignored is not None or line.layer == "kernel default":
        return False
    if line.source.rpartition(":")[0].endswith(f"/{DROP_IN}"):
        return False
    numbers = (each for each in (line.soft, line.hard) if each is not None)
    return any(above(each, ceiling.value) for each in numbers)


def _is_told(
    line: LimitLine,
    process: ProcessFact,
    held: Mapping[str, tuple[LimitWord, LimitWord]],
    ceiling: Ceiling,
) -> bool:
    """Whether the limit is held, and the process has another than the policy says."""
    if line.limit not in held or line.limit not in process.limits:
        return line.limit not in process.limits
    soft, hard = (resolved(line.limit, word, ceiling) for word in held[line.limit])
    return process.limits[line.limit] != (soft, hard)


def _sentence(
    line: LimitLine, lines: Sequence[LimitLine], process: ProcessFact, ceiling: Ceiling
) -> str:
    has = has_text(process_text(process.pid, process.name), line.limit, process.limits[line.limit])
    last = line_that_gives(lines, line.limit)
    later = last is not None and last != line
    why = f"{line_text(last)} is read later" if last and later else out_of_reach(ceiling)
    return f"{has}; asked: {line_text(line)}; why: {why}"
