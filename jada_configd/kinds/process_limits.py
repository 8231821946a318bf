"""The limits that the main process of a unit really has, as `/proc/PID/limits` tells them.

systemd takes a limit that it cannot reach without a word and repeats it when asked; only the
process itself is the truth (proc(5), getrlimit(2)).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jada_configd.core.actions import SetProcessLimit
from jada_configd.core.model import Drift, Exactly, Field, Observed, Rule, Value
from jada_configd.core.plan import Plan
from jada_configd.core.seams import Ceiling, LimitPair, LimitValue, ProcessFact, Reader
from jada_configd.core.specs import ProcessLimits


@dataclass(frozen=True, slots=True)
class Evidence:
    """The process as it was read, and the limits that are wrong and within reach.

    `restart_helps`: systemd would give some of them to a new process.
    """

    process: ProcessFact
    reachable: Mapping[str, LimitPair]
    restart_helps: bool


def shown(value: LimitValue) -> int | str:
    """A limit as a policy writes it."""
    return "infinity" if value is None else value


def above(value: LimitValue, ceiling: LimitValue) -> bool:
    """Whether a limit is higher than another; None is infinity."""
    return ceiling is not None and (value is None or value > ceiling)


class ProcessLimitsKind:
    """`process-limits:UNIT`."""

    name: ClassVar[str] = "process-limits"
    noun: ClassVar[str] = ""
    early: ClassVar[bool] = False
    asks_manager: ClassVar[bool] = True
    starts_jobs: ClassVar[bool] = False
    moves_ceilings: ClassVar[bool] = False

    def watches(self, spec: ProcessLimits) -> tuple[str, ...]:
        """Nothing: a new main process is told by the service manager, the rest by the sweep."""
        return ()

    def units(self, spec: ProcessLimits) -> tuple[str, ...]:
        """Its own: it has another main process by then."""
        return (spec.unit,)

    def desired(self, spec: ProcessLimits) -> Mapping[Field, Rule]:
        """Soft and hard, each a field."""
        rules: dict[Field, Rule] = {}
        for limit, (soft, hard) in spec.limits.items():
            rules[limit, "soft"] = Exactly(shown(soft))
            rules[limit, "hard"] = Exactly(shown(hard))
        return rules

    def observe(self, spec: ProcessLimits, reader: Reader) -> Observed:
        """What the main process has; nothing is held where none runs."""
        unit = reader.unit(spec.unit)
        process = reader.process(unit.main_pid) if unit.main_pid else None
        if process is None:
            return Observed({}, vacant=True, interim=True)
        fields: dict[Field, Value] = {}
        reachable = {}
        problem = None
        for limit, want in spec.limits.items():
            if limit not in process.limits:
                continue
            have = process.limits[limit]
            fields[limit, "soft"], fields[limit, "hard"] = shown(have[0]), shown(have[1])
            if have == want:
                continue
            ceiling = reader.ceiling(limit)
            beyond = _beyond(want, have, ceiling)
            if ceiling and beyond:
                problem = problem or (
                    f"process {process.pid} has {limit} {shown(have[0])}:{shown(have[1])} and no "
                    f"restart would give it {shown(beyond[0])}: {ceiling.reason}"
                )
            else:
                reachable[limit] = want
        given = unit.limits or {}
        helps = any(given.get(limit) == want for limit, want in reachable.items())
        # Between fork and exec a process has limits that are not its own yet (systemd.exec(5)).
        forked = f"{process.pid}:{process.started}" if process.starting else None
        evidence = Evidence(process, reachable, helps)
        return Observed(fields, evidence, problem, unsettled=forked)

    def plan(self, spec: ProcessLimits, drift: Drift, observed: Observed) -> Plan:
        """prlimit(2) on the process; a restart where the kernel refuses that and it would help."""
        evidence = observed.evidence
        if not isinstance(evidence, Evidence) or not evidence.reachable:
            return Plan(waits="a higher ceiling on this host")
        process = evidence.process
        if process.starting:
            return Plan(waits=f"process {process.pid} to run its program", under_way=True)
        actions = tuple(
            SetProcessLimit(process.pid, process.started, limit, *pair)
            for limit, pair in evidence.reachable.items()
        )
        return Plan(actions, or_restart=spec.unit if evidence.restart_helps else None)


def _beyond(want: LimitPair, have: LimitPair, ceiling: Ceiling | None) -> list[LimitValue]:
    """What of a wanted limit nobody gets here; what a process has of it already it may keep.

    A soft limit is among it where its hard one is "max" and comes to less.
    """
    if ceiling is None:
        return []
    return [
        value
        for value in (want[1], want[0])
        if above(value, ceiling.value) and above(value, have[1])
    ]
