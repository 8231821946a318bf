"""What is wrong with the limits of live processes, why it is left so, and in what words.

The words must not change while the thing does not, and processes come and go: one is named, the
oldest, and of how many more there are no more than the order of magnitude is said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from jada_configd.core.facts import Ceiling, LimitPair, LimitValue, ProcessFact, Stray, UnitFact
from jada_configd.core.limits import (
    above,
    has_text,
    line_that_gives,
    pair_text,
    value_text,
    why_not_as_asked,
)
from jada_configd.core.seams import Reader
from jada_configd.core.specs import ProcessLimits
from jada_configd.core.wording import process_text

# Why a wrong limit is left: no process can be given it here; the process uses more than that; the
# policy's `live` says so. None: it is not left.
Reason: TypeAlias = Literal["beyond", "used", "left"] | None

_MANY: Final = (2, 10, 100, 1000, 10_000)


@dataclass(frozen=True, slots=True)
class Fault:
    """One limit of one process that is not as declared."""

    process: ProcessFact | Stray
    limit: str
    have: LimitPair
    want: LimitPair
    main: bool = False
    reason: Reason = None


class Judge:
    """Finds what is wrong in one look, and why it is left; says so of the first of each reason."""

    def __init__(self, spec: ProcessLimits, unit: UnitFact, reader: Reader) -> None:
        self._spec = spec
        self._unit = unit
        self._reader = reader
        self._ceilings: dict[str, Ceiling | None] = {}
        self._reasons: dict[tuple[str, LimitPair, bool], Reason] = {}  # but for what is in use

    def faults(self, main: ProcessFact | None) -> Iterator[Fault]:
        """Of the main process, then of the others, the oldest first."""
        wanted, unit = self._spec.limits, self._unit
        if main is not None:
            for limit, want in wanted.items():
                if limit in main.limits and main.limits[limit] != want:
                    yield self._fault(main, limit, main.limits[limit], main=True)
        if unit.active_state == "deactivating":
            return  # what is left is about to end, whatever its limits are
        for stray in self._reader.strays(unit.control_group, wanted):
            if stray.pid != unit.main_pid:
                for limit, have in stray.limits.items():
                    if have != wanted[limit]:
                        yield self._fault(stray, limit, have, main=False)

    def told(self, faults: Sequence[Fault]) -> str | None:
        """One sentence of all that there is to say but have and want; None: nothing."""
        firsts: dict[Reason, Fault] = {}
        pids: dict[Reason, set[int]] = {}
        for fault in faults:
            firsts.setdefault(fault.reason, fault)
            pids.setdefault(fault.reason, set()).add(fault.process.pid)
        sentences = [
            sentence + (_and_so_it_is_with(len(pids[reason]) - 1) if reason else "")
            for reason, fault in firsts.items()
            if (sentence := self._sentence(fault))
        ]
        return "; ".join(sentences) or None

    def _fault(
        self, process: ProcessFact | Stray, limit: str, have: LimitPair, *, main: bool
    ) -> Fault:
        want = self._spec.limits[limit]
        key = (limit, have, main)
        if key not in self._reasons:
            self._reasons[key] = self._reason(limit, have, want, main=main)
        reason = self._reasons[key]
        if reason is None and self._is_used(process.pid, limit, have, want):
            reason = "used"
        return Fault(process, limit, have, want, main, reason)

    def _reason(self, limit: str, have: LimitPair, want: LimitPair, *, main: bool) -> Reason:
        if beyond(want, have, self._ceiling(limit)):
            return "beyond"
        live = self._spec.live
        return None if live == "all" or (main and live == "main") else "left"

    def _is_used(self, pid: int, limit: str, have: LimitPair, want: LimitPair) -> bool:
        """Whether a soft limit would come down to what the process uses, or below."""
        soft = want[0]
        if soft is None or not above(have[0], soft):
            return False
        used = self._reader.in_use(pid, limit)
        return used is not None and used > 0 and used >= soft

    def _sentence(self, fault: Fault) -> str:
        ceiling = self._ceiling(fault.limit)
        too_much = beyond(fault.want, fault.have, ceiling)
        if fault.reason == "used":
            return _in_use(fault)
        if fault.reason == "left":
            return _left_alone(fault, self._spec.live)
        asked = self._asked_for_more(fault, ceiling)
        if ceiling is not None and too_much and not asked:
            return _out_of_reach(fault, too_much[0], ceiling)
        return asked

    def _asked_for_more(self, fault: Fault, ceiling: Ceiling | None) -> str:
        """What came of it that somebody else asked systemd for more than there is; "": nobody did.

        systemd repeats that number as if it were given.
        """
        given = (self._unit.limits or {}).get(fault.limit)
        if not fault.main or given is None or given in (fault.have, fault.want):
            return ""
        if not beyond(given, fault.have, ceiling):
            return ""
        lines = self._reader.limit_lines(self._unit.name)
        line = line_that_gives(lines, fault.limit, given)
        if line is None or line.layer == "kernel default":
            return ""
        return why_not_as_asked(_who(fault.process), fault.limit, fault.have, lines, given, ceiling)

    def _ceiling(self, limit: str) -> Ceiling | None:
        if limit not in self._ceilings:
            self._ceilings[limit] = self._reader.ceiling(limit)
        return self._ceilings[limit]


def _who(process: ProcessFact | Stray) -> str:
    """A process in words."""
    return process_text(process.pid, process.name)


def beyond(want: LimitPair, have: LimitPair, ceiling: Ceiling | None) -> tuple[LimitValue, ...]:
    """What of a wanted limit nobody gets here; what a process has of it already it may keep.

    A soft limit is among it where its hard one is "max" and comes to less.
    """
    if ceiling is None:
        return ()
    return tuple(
        value
        for value in (want[1], want[0])
        if above(value, ceiling.value) and above(value, have[1])
    )


def _out_of_reach(fault: Fault, value: LimitValue, ceiling: Ceiling) -> str:
    """The sentence of what nobody gets here."""
    return f"{_has(fault)} and no restart would give it {value_text(value)}: {ceiling.reason}"


def _in_use(fault: Fault) -> str:
    """The sentence of a limit that is not lowered below what a process uses.

    Not how much that is: it changes from look to look.
    """
    soft = value_text(fault.want[0])
    match fault.limit:
        case "nofile":
            uses, breaks = f"{soft} or more descriptors open", "break it at its next open"
        case "cpu":
            uses, breaks = f"used {soft} s of processor time or more", "end it"
        case limit:
            uses, breaks = (
                f"{soft} bytes of {limit} or more in use",
                "break it when it asks for more",
            )
    wanted = f"{fault.limit} {pair_text(fault.want)}"
    return f"{_who(fault.process)} has {uses}: {wanted} would {breaks}, and is not set"


def _left_alone(fault: Fault, live: str) -> str:
    """The sentence of what the policy wants left as it is."""
    until = f'live = "{live}" leaves that till it starts anew'
    return f"{_has(fault)} instead of {pair_text(fault.want)}; {until}"


def _and_so_it_is_with(count: int) -> str:
    """What a sentence about one process ends with where it holds for so many more."""
    if count == 0:
        return ""
    if count == 1:
        return ", and so it is with one more process"
    least = max(each for each in _MANY if each <= count)
    return f", and so it is with {least:,} or more other processes"


def _has(fault: Fault) -> str:
    return has_text(_who(fault.process), fault.limit, fault.have)
