"""Asks services how they do: health probes by the clock and on demand, and whether they are busy.

A round asks all probes of a unit at once, each as a transient unit of systemd's, and ends when the
last has; what comes of it is `probation.py`'s and `standings.py`'s. Nothing here waits.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from jada_configd.core.facts import Probe, UnitFact
from jada_configd.core.probes import Question, answer, engagement, questions
from jada_configd.core.specs import ServiceSpec
from jada_configd.core.trial import Identity, Round, identity, is_up
from jada_configd.errors import HostError

NEVER_NS: Final = 1 << 62
AGAIN_NS: Final = 1_000_000_000  # after one that could not be started, and between two of busy
LATE_NS: Final = 5_000_000_000  # past its time limit the end of a probe is not to be expected
BUSY: Final = "its busy command says so"
UNKNOWN_BUSY: Final = "its busy command has not answered yet"


class Asks(Protocol):
    """The service manager, as far as it runs probes."""

    def start_probe(self, probe: Probe) -> str:
        """Start it; its end is an event. Raises `HostError`."""

    def stop_probe(self, name: str) -> None:
        """It is no longer wanted."""


class Questions(Protocol):
    """What is asked of a unit (`host/probing/`)."""

    def health(self, question: Question, spec: ServiceSpec, since: float) -> Probe:
        """A health probe; of its journal what came `since` (CLOCK_REALTIME) counts.

        Raises `HostError`.
        """

    def busy(self, spec: ServiceSpec) -> Probe | None:
        """The command that tells whether it is busy, if there is one."""


@dataclass(slots=True)
class _Asked:
    """A round under way: of which process, since when, which probes are out, what has failed."""

    main: Identity
    begun_ns: int
    out: dict[str, Question]  # by the name of the probe
    late_ns: int
    failures: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Busy:
    """What a busy command said last, and when; `probe` while one is out."""

    said: str | None = UNKNOWN_BUSY
    at_ns: int = 0
    probe: Probe | None = None
    late_ns: int = 0


class Probing:
    """Rounds by unit. One thread uses it, as all else."""

    def __init__(
        self,
        systemd: Asks | None,
        questions: Questions,
        units: Callable[[], Mapping[str, UnitFact]],
        owes: Callable[[str], bool],
    ) -> None:
        """`units` are as they were last seen; `owes` is whether a unit has a change to take up."""
        self._systemd = systemd
        self._questions = questions
        self._units = units
        self._owes = owes
        self._specs: Mapping[str, ServiceSpec] = {}
        self._asked: dict[str, _Asked] = {}
        self._wanted: dict[str, int] = {}  # not before then
        self._busy: dict[str, _Busy] = {}
        self._found: dict[tuple[str, Question], Round] = {}  # when a question was last said yes to
        self.rounds: dict[str, Round] = {}  # the last of each unit

    def serve(self, specs: Mapping[str, ServiceSpec]) -> None:
        """These are the services from now on; probes of others are given up."""
        before, self._specs = self._specs, specs
        for unit in [*self.rounds, *self._asked, *self._busy]:
            known, spec = before.get(unit), specs.get(unit)
            if spec is None or known is None or spec.health != known.health:
                self.forget(unit)
        self._busy = {unit: each for unit, each in self._busy.items() if unit in specs}
        self._found = {key: each for key, each in self._found.items() if key[0] in specs}

    def forget(self, unit: str) -> None:
        """What was found of a unit, or is being asked, is of no more use."""
        self.rounds.pop(unit, None)
        self._wanted.pop(unit, None)
        asked = self._asked.pop(unit, None)
        self._found = {key: each for key, each in self._found.items() if key[0] != unit}
        if asked is not None and self._systemd is not None:
            for name in asked.out:
                self._systemd.stop_probe(name)

    def ask(self, unit: str, now_ns: int) -> None:
        """Its probes are to be asked now."""
        if unit not in self._asked:
            self._wanted[unit] = min(self._wanted.get(unit, now_ns), now_ns)

    def busy(self, unit: str) -> str | None:
        """What its busy command says, None where it is idle or has none."""
        spec = self._specs.get(unit)
        if spec is None or not isinstance(spec.busy, tuple):
            return None
        return self._busy.setdefault(unit, _Busy()).said

    # ---- as time goes on

    def turn(self, now_ns: int) -> list[str]:
        """Start what is due. Returns the units of which a round has ended for want of an answer."""
        if self._systemd is None:
            return []
        late = [unit for unit, asked in self._asked.items() if now_ns >= asked.late_ns]
        for unit in late:
            asked = self._asked[unit]
            asked.unasked += (f"{name} has not ended" for name in asked.out)
            self._end(unit, now_ns)
        for unit, spec in self._specs.items():
            if spec.health.probes and self._due_ns(unit, spec) <= now_ns:
                self._start(self._systemd, unit, spec, now_ns)
            if isinstance(spec.busy, tuple) and self._owes(unit):
                self._ask_busy(self._systemd, unit, spec, now_ns)
        return late

    def due_ns(self) -> int | None:
        """When `turn` has something to do."""
        if self._systemd is None:
            return None
        moments = [asked.late_ns for asked in self._asked.values()]
        for unit, spec in self._specs.items():
            if spec.health.probes and unit not in self._asked:
                moments.append(self._due_ns(unit, spec))
            if isinstance(spec.busy, tuple) and self._owes(unit):
                moments.append(self._busy_due_ns(unit))
        return min(moments, default=None)

    def ended(self, name: str, why: str, now_ns: int) -> str | None:
        """A probe has ended, well (`why` "") or so; the unit that there is news of, or None."""
        for unit, busy in self._busy.items():
            if busy.probe is not None and busy.probe.name == name:
                found = engagement(passed=not why, why=why)
                busy.probe, busy.at_ns = None, now_ns
                busy.said = (found.problem or BUSY) if found.busy else None
                return unit
        for unit, asked in self._asked.items():
            question = asked.out.pop(name, None)
            if question is None:
                continue
            said = answer(question, self._specs[unit].health, passed=not why, why=why)
            if said.healthy:
                self._found[unit, question] = Round(asked.main, asked.begun_ns, now_ns, ())
            elif said.healthy is None:
                asked.unasked.append(said.text)
            else:
                asked.failures.append(said.text)
            if asked.out:
                return None
            self._end(unit, now_ns)
            return unit
        return None

    def _due_ns(self, unit: str, spec: ServiceSpec) -> int:
        fact = self._units().get(unit)
        if unit in self._asked or fact is None or not is_up(fact):
            return NEVER_NS
        last = self.rounds.get(unit)
        by_clock_ns = last.ended_ns + int(spec.health.every * 1e9) if last else 0
        return min(self._wanted.get(unit, NEVER_NS), by_clock_ns)

    def _start(self, systemd: Asks, unit: str, spec: ServiceSpec, now_ns: int) -> None:
        main = identity(self._units()[unit])
        self._wanted.pop(unit, None)
        late_ns = now_ns + int(spec.health.timeout * 1e9) + LATE_NS
        asked = _Asked(main, now_ns, {}, late_ns)
        self._asked[unit] = asked
        for question in questions(spec.health):
            found = self._found.get((unit, question))
            if question == "journal_must" and found is not None and found.main == main:
                continue  # the journal may have let go of it since
            since_ns = main[1]
            if question == "journal_must_not" and found is not None and found.main == main:
                since_ns = found.begun_ns  # not all of a long life is searched each time
            since = time.time() - max(0, now_ns - since_ns) / 1e9
            try:
                probe = self._questions.health(question, spec, since)
                systemd.start_probe(probe)
            except HostError as error:
                asked.unasked.append(f"it cannot be asked: {error}")
            else:
                asked.out[probe.name] = question
        if not asked.out:
            self._end(unit, now_ns)

    def _end(self, unit: str, now_ns: int) -> None:
        asked = self._asked.pop(unit)
        failures, unasked = tuple(asked.failures), tuple(asked.unasked)
        self.rounds[unit] = Round(asked.main, asked.begun_ns, now_ns, failures, unasked)

    def _ask_busy(self, systemd: Asks, unit: str, spec: ServiceSpec, now_ns: int) -> None:
        busy = self._busy.setdefault(unit, _Busy())
        if busy.probe is not None and now_ns >= busy.late_ns:
            busy.probe = None
        probe = self._questions.busy(spec)
        if busy.probe is not None or probe is None or self._busy_due_ns(unit) > now_ns:
            return
        busy.at_ns = now_ns
        try:
            systemd.start_probe(probe)
        except HostError:
            return  # what it says is not known, and is asked again
        busy.probe, busy.late_ns = probe, now_ns + int(probe.seconds * 1e9) + LATE_NS

    def _busy_due_ns(self, unit: str) -> int:
        busy = self._busy.get(unit)
        if busy is None:
            return 0
        return busy.late_ns if busy.probe is not None else busy.at_ns + AGAIN_NS
