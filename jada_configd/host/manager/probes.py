"""Probes that run: from a start through whatever was left over, to an end that is told once.

A probe is asked of systemd as a transient unit (`transient_units.py`), and taken away when its end
is known, so that `systemctl --failed` stays clean and its name is free. How the service manager is
reached is the business of `systemd.py`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from jada_configd.core.facts import Probe, UnitFact
from jada_configd.errors import ManagerGone, UnitRefused
from jada_configd.host.manager.polls import FIRST_NS, Poll
from jada_configd.host.manager.routes import Declined, JobEnded, ProbeEnded, Route
from jada_configd.host.manager.unit_facts import is_unit_name

_NS: Final = 1_000_000_000
_UNHEARD_NS: Final = 3 * _NS  # after its time is over: killed by then, and that was told
_EXISTS: Final = "UnitExists"
_ATTEMPTS: Final = 6
_MOMENT_SECONDS: Final = 0.01
_UNSEEN: Final = "nobody saw how it ended"

T = TypeVar("T")


class Ask(Protocol):
    """Puts a question to the best route; `again`: asking twice does no harm."""

    def __call__(self, question: Callable[[Route, float], T], *, again: bool = True) -> T:
        """Raises `ManagerGone` and `Declined`."""


@dataclass(slots=True)
class _Run:
    probe: Probe
    job: str
    poll: Poll
    result: str = ""  # of its job, once that has ended
    wanted: bool = True


class Probes:
    """Keeps account of probes. A name is used again and again, one probe of it at a time."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._runs: dict[str, _Run] = {}
        self.names: frozenset[str] = frozenset()  # of whose jobs a route is to tell

    def __bool__(self) -> bool:
        """Whether any runs."""
        return bool(self._runs)

    def start(self, probe: Probe, *, heard: bool) -> str:
        """Start one; its job. Raises `UnitRefused`."""
        job = self._start(probe)
        gap_ns = round(probe.seconds * _NS) + _UNHEARD_NS if heard else FIRST_NS
        self._runs[probe.name] = _Run(probe, job, Poll.after(gap_ns))
        return job

    def admit(self, probe: Probe) -> bool:
        """Whether its name is new: whoever hears must hear of it before it starts.

        Raises `UnitRefused` for a name that is in use, or none.
        """
        name = probe.name
        if not (is_unit_name(name) and name.endswith(".service") and is_unit_name(probe.unit)):
            raise UnitRefused(f"{name!r} cannot ask {probe.unit!r}: that takes names of units")
        if name in self._runs:
            raise UnitRefused(f"{name} has not ended yet")
        known = name in self.names
        self.names |= {name}
        return not known

    def stop(self, name: str) -> None:
        """Have one end whose end nobody waits for any more; raises nothing."""
        run = self._runs.get(name)
        if run is None:
            return
        run.wanted = False
        with suppress(ManagerGone, Declined):
            self._ask(lambda route, left: route.stop(name, left))

    def forget_names(self) -> None:
        """Hear of those alone that run."""
        self.names = frozenset(self._runs)

    def heard(self, event: JobEnded) -> bool:
        """Whether it tells of a probe; then that is looked after at once."""
        run = self._runs.get(event.unit)
        if run is not None:
            if event.job == run.job:
                run.result = event.result
            run.poll.due_ns = 0
        return event.unit in self.names

    def missed(self) -> None:
        """An end may not have been told."""
        for run in self._runs.values():
            run.poll.soon()

    def dues(self) -> list[int]:
        """When they are to be looked after (CLOCK_MONOTONIC, nanoseconds)."""
        return [run.poll.due_ns for run in self._runs.values()]

    def look_after(self) -> Iterator[ProbeEnded]:
        """Find the ends of those that are due. Raises `ManagerGone`."""
        for name, run in list(self._runs.items()):
            if not run.poll.is_due():
                continue
            run.poll.later()
            fact = None if run.result == "done" else self._look(name)
            why = "" if fact is None else _why_not(run, fact)
            if why is None:
                continue
            del self._runs[name]
            if run.wanted:
                yield ProbeEnded(name, why)
            self._take_away(name, "active" if fact is None else fact.active_state)

    def _start(self, probe: Probe) -> str:
        """Where something of its name is left over (of a daemon that was killed), that goes first.

        What has ended is gone within a few turns of systemd's loop. What still runs takes up to a
        second: it is told to go, and the next attempt gets through.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._begin(probe)
            except Declined as error:
                left = self._look(probe.name)
                is_ours = left.unit_file_state == "transient"  # and no file of somebody's
                if is_ours:
                    self._take_away(probe.name, left.active_state)
                goes = is_ours and left.active_state in ("active", "failed", "inactive")
                gone = left.load_state == "not-found"
                if not error.name.endswith(_EXISTS) or not (goes or gone):
                    raise UnitRefused(str(error)) from error
            time.sleep(_MOMENT_SECONDS)
        try:
            return self._begin(probe)
        except Declined as error:
            raise UnitRefused(str(error)) from error

    def _begin(self, probe: Probe) -> str:
        return self._ask(lambda route, left: route.start_probe(probe, left), again=False)

    def _look(self, name: str) -> UnitFact:
        try:
            return self._ask(lambda route, left: route.look(name, left)).fact
        except Declined:
            return UnitFact(name, "not-found", "inactive")

    def _take_away(self, name: str, state: str) -> None:
        def question(route: Route, left: float) -> None:
            if state == "failed":
                route.reset(name, left)
            elif state != "inactive":
                route.stop(name, left)

        with suppress(Declined):
            self._ask(question)


def _why_not(run: _Run, fact: UnitFact) -> str | None:
    """Why it has not passed, "" where it has; None as long as it has not ended."""
    if fact.active_state == "active":
        return ""
    if fact.active_state == "failed":
        if fact.result == "timeout":
            return f"took longer than {run.probe.seconds:g} s"
        return fact.ended or fact.result
    if fact.active_state != "inactive" or fact.job:
        return None
    return f"its job ended as {run.result}" if run.result else _UNSEEN
