"""The findings for people: a mark for each check, what was looked at, and what to type."""

import textwrap
from collections.abc import Sequence
from typing import Any

from jada_configd.core.wording import count
from jada_configd.diagnosis.findings import Finding
from jada_configd.render import WIDTH, Painter

_MARK = 9  # columns, `problem` and two blanks
_CHECK = 17


def text(findings: Sequence[Finding], paint: Painter) -> str:
    """One line for what is well; what is wrong, with its remedy, which is never broken."""
    lines = [line for finding in findings for line in _lines(finding, paint)]
    return "\n".join([*lines, "", _summary(findings)]) + "\n"


def _lines(finding: Finding, paint: Painter) -> list[str]:
    front = f"{finding.status:<{_MARK}}{finding.check:<{_CHECK}}"
    indent = " " * (_MARK + _CHECK)
    lines: list[str] = []
    for number, part in enumerate(finding.says.splitlines() or [""]):
        lines += textwrap.wrap(
            part,
            WIDTH,
            initial_indent=indent if number else front,
            subsequent_indent=indent,
            break_on_hyphens=False,
            break_long_words=False,  # a path can be copied
        ) or [front]
    lines[0] = lines[0].replace(finding.status, paint(finding.status), 1)
    if finding.remedy is not None:
        lines.append(f"{'':<{_MARK}}mend it: {finding.remedy}")
    return lines


def _summary(findings: Sequence[Finding]) -> str:
    problems, warnings = (
        sum(finding.status == status for finding in findings) for status in ("problem", "warning")
    )
    if not problems and not warnings:
        return "Nothing keeps jada-configd from working here."
    told = ", ".join(
        count(number, noun)
        for number, noun in ((problems, "problem"), (warnings, "warning"))
        if number
    )
    if problems:
        return f"{told}: what is marked `problem` keeps the policy from being held."
    return f"{told}: it works here, with less."


def plain(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings for `--json`."""
    return [
        {
            "check": finding.check,
            "status": finding.status,
            "says": finding.says,
            "remedy": finding.remedy,
        }
        for finding in findings
    ]
