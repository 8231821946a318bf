"""What people read on a terminal: 80 columns, what has drifted first, and what to do next."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jada_configd.core.breaker import BESIDE, held_in_place
from jada_configd.core.marks import taken_back
from jada_configd.core.model import ABSENT
from jada_configd.core.wording import both_shown, count, escaped, seconds

WIDTH = 80
_INDENT = "    "
_COLOURS = {
    "in-sync": "32",
    "corrected": "32",
    "drifted": "33",
    "waiting": "33",
    "correcting": "33",
    "reported": "33",
    "held": "36",
    "contested": "31",
    "failed": "31",
    "degraded": "31",
    "ok": "32",
    "warning": "33",
    "problem": "31",
}
_IN_SYNC_LISTED = 20
_UNIT = 36  # columns of its name
_NO_BREAK = "\N{NO-BREAK SPACE}"
MUCH = 0.5  # of a limit: who uses so much is named
_YES_NO = {True: "yes", False: "no"}
_CAME_BACK = {
    True: "it is healthy on what stood before",
    False: "it is not healthy on what stood before either",
    None: "how it does on what stood before is not known",
}


class Painter:
    """Colours words on a terminal, and leaves them alone elsewhere."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, word: str) -> str:
        """A state or result in its colour."""
        code = _COLOURS.get(word)
        return f"\x1b[{code}m{word}\x1b[0m" if self._colour and code else word


def passed(
    resources: Sequence[Mapping[str, Any]], paint: Painter, *, next_step: str | None, verbose: bool
) -> str:
    """The outcome of `check` or `apply`, from the plain form of its resources."""
    quiet = [each for each in resources if each["result"] == "in-sync" and not each["problem"]]
    told = [each for each in resources if each not in quiet] if quiet else list(resources)
    listed = quiet if verbose or len(quiet) <= _IN_SYNC_LISTED else []
    lines = [line for each in (*told, *listed) for line in _resource(each, paint)]
    lines.append(_summary(resources))
    if next_step is not None:
        lines += _wrapped(next_step, "")
    return "\n".join(lines) + "\n"


def _resource(plain: Mapping[str, Any], paint: Painter) -> list[str]:
    identity = escaped(plain["id"])
    result = plain["result"]
    lines = [f"{result:<10}{identity}"] if len(identity) <= WIDTH - 10 else [result, identity]
    lines[0] = lines[0].replace(result, paint(result), 1)
    for change in plain["changes"]:
        lines += _wrapped(_change(change), _INDENT)
    if plain["problem"]:
        lines += _told(plain["problem"])
    verb = "did: " if result == "corrected" else "to do: "
    for action in plain["actions"]:
        lines += _wrapped(verb + escaped(action), _INDENT)
    return lines


def _change(change: Mapping[str, Any]) -> str:
    # What arrives here is public already: nothing is left to redact.
    have, want = both_shown((), change.get("have", ABSENT), change.get("want", ABSENT))
    return f"{escaped(change['field'])}  {have} -> {want}"


def _summary(resources: Sequence[Mapping[str, Any]]) -> str:
    results = [each["result"] for each in resources]
    parts = [f"{results.count(each)} {each}" for each in dict.fromkeys(sorted(results))]
    return f"{count(len(results), 'resource')}: {', '.join(parts)}" if parts else "nothing to hold"


def status(plain: Mapping[str, Any], paint: Painter, hints: Iterable[str]) -> str:
    """`jada-configd status`, from the daemon's snapshot; `hints` say what to do next."""
    policy = plain["policy"]
    daemon = f"jada-configd {plain['version']}, process {plain['pid']}"
    if plain["mode"]:
        daemon += f", {plain['mode']} mode"
    lines = [f"{paint(plain['state'])}: {daemon}"]
    if plain.get("reason"):
        lines += _wrapped(escaped(plain["reason"]), _INDENT)
    revision = policy["revision"][:19] if policy["revision"] else "(none in force)"
    lines += _wrapped(f"policy {escaped(str(policy['path']))} {revision}", "")
    if policy["error"]:
        for line in policy["error"].splitlines():
            lines += _wrapped(escaped(line), _INDENT)
    lines.append("")
    lines += [f"{'RESULT':<10}{'SINCE (UTC)':<21}{'CORRECTED':>9}  RESOURCE"]
    below = _told_below(plain["services"])
    for each in plain["resources"]:
        lines += _status_row(each, paint, below)
    if plain["services"]:
        head = f"{'ACTIVE':<14}{'PROCESS':>8}  {'LOADED':<8}{'HEALTHY':<8}"
        lines += ["", f"{'SERVICE':<{_UNIT}}{head}"]
    lines += [line for each in plain["services"] for line in _service_rows(each)]
    counters = plain["counters"]
    corrected = plain["latency_ms"]["corrected"]
    counted = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counters.items())
    lines += ["", counted]
    if corrected["p50"] is not None:
        lines.append(f"correction takes {corrected['p50']} ms (p50), {corrected['p99']} ms (p99)")
    for hint in hints:
        lines += _wrapped(hint, "")
    return "\n".join(lines) + "\n"


def _status_row(each: Mapping[str, Any], paint: Painter, below: Mapping[str, str]) -> list[str]:
    since = _moment(each["since"])
    identity = escaped(each["id"])
    row = f"{each['result']:<10}{since:<21}{each['corrections']:>9}  "
    lines = (
        [row + identity]
        if len(row) + len(identity) <= WIDTH
        else [row.rstrip(), _INDENT + identity]
    )
    lines[0] = lines[0].replace(each["result"], paint(each["result"]), 1)
    problem, units = each.get("problem") or "", {}
    for sentence, unit in below.items():
        if sentence in problem:
            problem = problem.replace(sentence, "")
            units[unit] = f"see {unit} below"
    left = filter(None, problem.split("; "))
    return lines + [line for part in (*left, *units.values()) for line in _told(part)]


def _told_below(services: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The sentences of problems that are told of a service itself, and of which."""
    told: dict[str, str] = {}
    for each in services:
        unit, health = each["unit"], each.get("health")
        back, breaker = each.get("rolled_back"), each.get("breaker")
        if back:
            told[taken_back(unit, back["why"])] = unit
        if breaker and breaker["state"] == "open":
            told[held_in_place(unit, breaker["why"])] = unit
        if health:
            told[health["why"]] = unit
    return told


def _service_rows(each: Mapping[str, Any]) -> list[str]:
    unit, process = escaped(each["unit"]), each["main_pid"] or "-"
    loaded, healthy = (_YES_NO.get(each[name], "-") for name in ("loaded", "healthy"))
    row = f"{each['active']:<14}{process:>8}  {loaded:<8}{healthy}"
    lines = [f"{unit:<{_UNIT}}{row}"] if len(unit) < _UNIT else [unit, " " * _UNIT + row]
    lines += [line for sentence in _course(each) for line in _told(sentence)]
    if each.get("usage"):
        # Broken between the limits, not within one.
        parts = (part.replace(" ", _NO_BREAK) for part in _usage(each["usage"]))
        told = _wrapped(", ".join(parts), _INDENT)
        lines += [line.replace(_NO_BREAK, " ") for line in told]
    return lines


def _course(each: Mapping[str, Any]) -> Iterator[str]:
    """How a service does on what is held: why not well, and what is held in place of that."""
    retry = f"`jada-configd retry {each['unit']}`"
    ailment = (each.get("health") or {}).get("why", "")
    if ailment:
        yield ailment.removeprefix(f"{each['unit']} ")
    if back := each.get("rolled_back"):
        yield f"this policy was taken back at {_moment(back['since'])} UTC: {back['why']}"
        if not ailment or back["healthy"] is not False:  # else it says so
            yield _CAME_BACK[back["healthy"]]
        yield f"{retry} tries it again"
    breaker = each.get("breaker") or {"state": "closed"}
    if breaker["state"] != "closed":
        yield _breaker(breaker, ailment, retry)
    healthy = each.get("latency_ms", {}).get("healthy", {"p50": None})
    if healthy["p50"] is not None:
        p50, p99 = (seconds(healthy[name] / 1000) for name in ("p50", "p99"))
        yield f"from drift to healthy: {p50} (p50), {p99} (p99)"


def _breaker(breaker: Mapping[str, Any], ailment: str, retry: str) -> str:
    why, _, beside = (breaker["why"] or "why is not known").partition(BESIDE)
    since = f"since {_moment(breaker['since'])} UTC"
    if breaker["state"] == "half-open":
        return f"the policy's values are tried once, {since}; its fallback was held: {why}"
    if beside and not ailment.endswith(beside):
        why += f"{BESIDE}{beside}"
    again = f"{_moment(breaker['retry_at'])} UTC" if breaker["retry_at"] else "some time"
    then = f"the policy's values are tried again at {again}, or by {retry}"
    return f"its fallback is held {since}: {why}; {then}"


def _moment(at: str) -> str:
    """To the second."""
    return at.replace("T", " ")[:19]


def _usage(plain: Mapping[str, Any]) -> list[str]:
    """`nofile 812 of 65536 (1 %)`, `12 processes`, `40 threads`; who, where it is much; when."""
    parts = []
    for limit, use in plain.items():
        if not isinstance(use, Mapping):
            continue
        if use["share"] is None:
            parts.append(f"{limit} {use['used']} (no limit)")
            continue
        who = f", process {use['pid']} {escaped(use['name'])}" if use.get("pid") else ""
        much = who if use["share"] >= MUCH else ""
        parts.append(f"{limit} {use['used']} of {use['limit']} ({int(use['share'] * 100)} %{much})")
    processes = plain["processes"]
    parts.append("1 process" if processes == 1 else f"{processes} processes")
    parts.append(f"{count(plain['threads'], 'thread')} at {plain['measured'][11:19]}")
    return parts


def _told(problem: str) -> list[str]:
    """A sentence, each of its parts in a line of its own: what is, what was asked for, why."""
    return [line for part in problem.split("; ") for line in _wrapped(escaped(part), _INDENT)]


def _wrapped(text: str, indent: str) -> list[str]:
    wrapped = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )
    return wrapped or [indent.rstrip()]
