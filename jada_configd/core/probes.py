"""The questions that are put to a service by commands: their names, and what the answers mean.

What the commands are is `host/probing/`'s, and how they run the service manager's. A no and no
answer at all are two things: no service is unhealthy because nobody could ask.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from jada_configd.core.specs import HealthSpec
from jada_configd.core.wording import escaped

Question: TypeAlias = Literal["command", "url", "journal_must", "journal_must_not"]
Purpose: TypeAlias = Question | Literal["busy"]

NO: Final = 10  # exit status of a program of ours for "no"; all but this and 0 says nothing
UNASKED: Final = 69  # of the same (sysexits.h, EX_UNAVAILABLE): its output says what is in the way

# None begins another one with a hyphen behind it, so that no two purposes share a name.
_WORDS: Final[Mapping[Purpose, str]] = {
    "command": "health-command",
    "url": "health-url",
    "journal_must": "health-journal-shows",
    "journal_must_not": "health-journal-lacks",
    "busy": "busy",
}
_LONGEST: Final = 255  # of a unit's name (systemd.unit(5))
_DIGITS: Final = 32
_PLAIN: Final = re.compile(rb"[A-Za-z0-9:_.-]")
_STATUS: Final = re.compile(r"exit status ([0-9]+)\b")
# A shell's statuses for a command that it could not run or find, and from here on systemd's own
# (systemd.exec(5), process exit codes).
_NOT_RUN: Final = (126, 127)
_BY_SYSTEMD: Final = range(200, 245)
_SHOWN: Final = 200  # characters of a pattern or an address


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question of health; `healthy` None: it could not be asked. `text` says why."""

    healthy: bool | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Engagement:
    """Whether a service has work in flight; `problem`: it did not say, and so counts as busy."""

    busy: bool
    problem: str | None = None


def questions(health: HealthSpec) -> tuple[Question, ...]:
    """What is asked besides what systemd tells."""
    return tuple(each for each in get_args(Question) if getattr(health, each))


def probe_name(purpose: Purpose, unit: str) -> str:
    r"""The transient unit that asks: `jada-configd-health-url-jada-agent.service`.

    What no plain unit's name may have, `@` above all, is escaped as systemd-escape(1) does; so is
    the last dot of what is no service. A hyphen stays, to be read. Too long a name ends with a
    digest, behind a `\x2d` that the rest has nowhere.
    """
    stem, dot, suffix = unit.rpartition(".")
    if suffix == "service":
        name = _escaped(stem)
    else:
        name = _escaped(stem) + (r"\x2e" if dot else "") + _escaped(suffix)
    name = f"jada-configd-{_WORDS[purpose]}-{name}"
    if len(name) + len(".service") > _LONGEST:
        mark = r"\x2d" + hashlib.sha256(_bytes(unit)).hexdigest()[:_DIGITS]
        name = name[: _LONGEST - len(".service") - len(mark)] + mark
    return f"{name}.service"


def purpose(name: str) -> Purpose | None:
    """What the transient unit of this name asks; None of one that is none of ours."""
    for each, word in _WORDS.items():
        if name.startswith(f"jada-configd-{word}-"):
            return each
    return None


def answer(question: Question, health: HealthSpec, *, passed: bool, why: str) -> Answer:
    """What came of a question.

    `why` is how its command ended: "exit status 3", "signal SEGV", "took longer than 10 s".
    """
    if passed:
        return Answer(healthy=True)
    if question == "command":
        return Answer(healthy=False, text=f"its health command {_ended(why)}")
    asked, no = _words(question, health)
    if _status(why) == NO:
        return Answer(healthy=False, text=no)
    return Answer(healthy=None, text=f"{asked} cannot be asked: {_tool(why)}")


def engagement(*, passed: bool, why: str) -> Engagement:
    """What came of `busy`, where that is a command; see `answer`.

    Whoever does not answer, by hanging, crashing or not being there, may have work in flight. That
    holds a restart up for `drain` at most, and is told; to take it for idle might cost the work.
    """
    if passed:
        return Engagement(busy=True)
    status = _status(why)
    if status is not None and status not in _NOT_RUN and status not in _BY_SYSTEMD:
        return Engagement(busy=False)
    problem = f"its busy command {_ended(why)}, and counts as busy"
    return Engagement(busy=True, problem=problem)


def _words(question: Question, health: HealthSpec) -> tuple[str, str]:
    """What is asked, and what it means when the answer is no."""
    match question:
        case "url":
            address = _short((health.url or "").partition("?")[0])  # a query may hold a secret
            return address, f"{address} did not answer 200"
        case "journal_must":
            return "its journal", f"its journal does not show {_short(health.journal_must or '')}"
        case _:
            return "its journal", f"its journal shows {_short(health.journal_must_not or '')}"


def _ended(why: str) -> str:
    status = _status(why)
    if status is not None:
        how = "could not be run: it ended" if status in (*_NOT_RUN, *_BY_SYSTEMD) else "ended"
        return f"{how} with {escaped(why)}"
    if why.startswith("signal "):
        return f"was ended by {escaped(why)}"
    if why.startswith("took "):
        return escaped(why)
    return f"did not end well: {escaped(why)}" if why else "did not end well"


def _tool(why: str) -> str:
    """How a program of ours ended that gave no answer."""
    if _status(why) == UNASKED:
        return "its probe says why in the journal"
    return f"its probe {_ended(why)}"


def _status(why: str) -> int | None:
    found = _STATUS.match(why)
    return int(found[1]) if found else None


def _short(text: str) -> str:
    shown = escaped(text)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 4]} ..."


def _escaped(text: str) -> str:
    return "".join(
        chr(byte) if _PLAIN.match(bytes((byte,))) else rf"\x{byte:02x}" for byte in _bytes(text)
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogatepass")
