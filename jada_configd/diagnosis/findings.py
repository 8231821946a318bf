"""What a check comes to: how things are, in one sentence, and what to type where that is wrong."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from jada_configd.core.survey import Unknown
from jada_configd.core.wording import escaped

Status: TypeAlias = Literal["ok", "warning", "problem"]
AGAIN: Final = "jada-configd doctor"


@dataclass(frozen=True, slots=True)
class Finding:
    """`warning`: it works, with less; `problem`: something of the policy cannot be held so.

    `remedy` is a command, or an edit, for all that is not `ok`; it is shown as it stands.
    """

    check: str
    status: Status
    says: str
    remedy: str | None = None


def ok(check: str, says: str) -> Finding:
    """All is well; `says` is what was looked at."""
    return Finding(check, "ok", says)


def warning(check: str, says: str, remedy: str) -> Finding:
    """It works, with less."""
    return Finding(check, "warning", says, remedy)


def problem(check: str, says: str, remedy: str) -> Finding:
    """Something cannot be done."""
    return Finding(check, "problem", says, remedy)


def unknown(check: str, look: Unknown) -> Finding:
    """It could not be looked at: nothing says that anything is wrong, unless it hangs.

    What hangs for us hangs for the daemon, which then does nothing else.
    """
    if look.stuck:
        remedy = f"umount --lazy {shlex.quote(escaped(look.stuck))}  # or mend what serves it"
        return problem(check, look.why, remedy)
    return warning(check, look.why, AGAIN)


def worst(findings: Sequence[Finding]) -> Status:
    """The worst status among some."""
    statuses = {finding.status for finding in findings}
    order: tuple[Status, ...] = ("problem", "warning")
    return next((each for each in order if each in statuses), "ok")
