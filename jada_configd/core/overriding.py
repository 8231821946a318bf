"""How it is told that systemd gives another limit than our drop-in asks for, and what to do."""

from collections.abc import Sequence

from jada_configd.core.facts import LimitLine, LimitPair, UnitFact
from jada_configd.core.limits import directive, limit_text, line_text, line_that_gives
from jada_configd.core.wording import escaped


def overridden(
    unit: UnitFact,
    limit: str,
    given: LimitPair,
    lines: Sequence[LimitLine],
    ours: str,
    *,
    user: bool,
) -> str:
    """One sentence of up to three parts, joined by `; `: what is given, by whom, what to do.

    `ours` is the path of our drop-in, and it asks for something else.
    """
    head = f"systemd gives {directive(limit)}={limit_text(given)}"
    refused = next(
        (each for each in lines if each.limit == limit and each.ignored and _path(each) == ours),
        None,
    )
    if refused is not None:
        return f"{head}; asked: {line_text(refused)}; why: {refused.ignored}"
    line = line_that_gives(lines, limit, given) or line_that_gives(lines, limit)
    masking = _masking(unit, ours)
    if masking is not None:
        return (
            f"{head}; our drop-in is masked by {escaped(masking)}, which has the same name and "
            f"counts first; remedy: {_remove(masking, ours, user=user)}"
        )
    if line is None:
        return f"{head}; no file that can be read says so"
    path = _path(line)
    if path == ours:
        return f"{head}; systemd has not taken {line_text(line)}"
    if line.layer != "drop-in":
        return f"{head}; asked: {line_text(line)}"
    whose = _whose(path, unit.name)
    return (
        f"{head}; asked: {line_text(line)}, which is read after our drop-in{whose}; "
        f"remedy: {_take_out(path, ours, user=user)}"
    )


def _path(line: LimitLine) -> str:
    return line.source.rpartition(":")[0]


def _masking(unit: UnitFact, ours: str) -> str | None:
    """The drop-in that systemd reads in the place of ours (systemd.unit(5))."""
    name = ours.rpartition("/")[2]
    if ours in unit.drop_ins:
        return None
    return next((path for path in unit.drop_ins if path.rpartition("/")[2] == name), None)


def _whose(path: str, unit: str) -> str:
    """Whom a drop-in is for that is not this unit's alone (systemd.unit(5))."""
    name = path.split("/")[-2].removesuffix(".d")
    stem, _, suffix = name.rpartition(".")
    if name == unit:
        return ""
    if not stem:
        return f" and is for every {escaped(name)}"
    if stem.endswith("@"):
        return f" and is for every instance of {escaped(name)}"
    if stem.endswith("-"):
        return f" and is for every {escaped(stem)}*.{suffix}"
    return f" and is for {escaped(name)}, too"


def _take_out(path: str, ours: str, *, user: bool) -> str:
    if _is_vendors(path):
        directory, name = ours.rpartition("/")[0], path.rpartition("/")[2]
        masked = f"mask it by an empty {escaped(directory)}/{escaped(name)}"
        return f"{masked}, then {_reload(user=user)}"
    return f"take that line out, then {_reload(user=user)}"


def _remove(path: str, ours: str, *, user: bool) -> str:
    if _is_vendors(path):
        return f"{_reload(user=user)}, as {escaped(ours)} is to count before it"
    return f"remove it, then {_reload(user=user)}"


def _is_vendors(path: str) -> bool:
    """Whether a package or a generator owns the file, so that an edit of it would not last."""
    return path.startswith(("/usr/", "/lib/", "/run/systemd/generator"))


def _reload(*, user: bool) -> str:
    return f"`systemctl {'--user ' if user else ''}daemon-reload`"
