"""`jada-configd run`: the loop, kept turning, with a policy that can be loaded anew.

It answers for start and stop, signals, the watchdog beat and what is told of how things stand; what
is looked at and corrected is the loop's.
"""

import gc
import os
import selectors
import time
from typing import Any, Final, Protocol

from jada_configd import __version__
from jada_configd.assembly import Assembly
from jada_configd.core.facts import UnitFact
from jada_configd.core.model import Cause
from jada_configd.core.report import Standing
from jada_configd.core.snapshot import service_plain, snapshot, standing_plain
from jada_configd.core.specs import Policy
from jada_configd.core.status import State, overall
from jada_configd.enforcement import NEVER_NS, PolicyInForce, PolicySource
from jada_configd.host.signals import Signals
from jada_configd.loop import clock
from jada_configd.sinks import FanOut
from jada_configd.upkeep import Upkeep

FIRST_PASS_NS: Final = 10_000_000_000  # services wait for us at boot: no longer than this
TELL_AFTER_NS: Final = 20_000_000  # what happens within is told together
TELL_SHARE: Final = 20  # telling takes a twentieth of the time at most: 1,000 files are a long tale
TROUBLE_NS: Final = 1_000_000_000  # then it is told, and tried, again
TROUBLE_MOST_NS: Final = 30_000_000_000


class Notifier(Protocol):
    """The service manager, as far as the daemon speaks to it (sd_notify(3))."""

    def ready(self) -> None:
        """The first pass, or a reload, is done."""

    def reloading(self) -> None:
        """A reload begins."""

    def stopping(self) -> None:
        """The end begins."""

    def beat(self) -> None:
        """The loop has gone round."""

    def watchdog_seconds(self) -> float | None:
        """How often a beat is expected, None where none is."""


class Daemon:
    """Holds a policy until it is told to stop."""

    def __init__(
        self,
        assembly: Assembly,
        source: PolicySource,
        notifier: Notifier,
        told: FanOut,
        upkeep: Upkeep,
    ) -> None:
        """`told` hears every event."""
        self._assembly = assembly
        self._loop = assembly.loop
        self._policy = PolicyInForce(source, self._loop.selector, self._enforce, told.handle)
        self._notifier = notifier
        self._told = told
        self._upkeep = upkeep
        self.ends_because: str | None = None  # where nobody has told it to
        self._signals = Signals()
        self._reloading = False
        self._reload_again = False
        self._told_of_trouble = 0  # so often in a row
        self._state_since = ("", "")
        self._tell_ns = 0
        self._tell_not_before_ns = 0
        self._save_ns = 0
        self._keep_ns = NEVER_NS  # the same, for what is worth it before
        self._keep_not_before_ns = 0
        beat = notifier.watchdog_seconds()
        self._beat_every_ns = NEVER_NS if beat is None else int(beat * 1e9 / 2)
        self._beat_ns = 0

    # ---- from start to stop

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, or until a new process is needed; the exit status."""
        with self._signals:
            self._loop.selector.register(self._signals, selectors.EVENT_READ)
            self._policy.start()
            self._first_pass()
            self._notifier.ready()
            # What has been made so far stays: the collector need not walk it ever again.
            gc.freeze()
            self._loop.allow_jobs()
            while not self._signals.told_to_stop() and self.ends_because is None:
                self._turn()
            self._notifier.stopping()
        self._assembly.save()
        return 0

    def _first_pass(self) -> None:
        """Files, drop-ins and their daemon-reload, before any service that we hold starts."""
        end_ns = time.monotonic_ns() + FIRST_PASS_NS
        self._loop.turn(0)
        while (
            (self._loop.under_way(early=True) or self._loop.blocked())
            and time.monotonic_ns() < end_ns
            and not self._signals.told_to_stop()
        ):
            self._loop.turn(end_ns)
            self._signals.drain()
        self._tell_standing()

    def _turn(self) -> None:
        now_ns = time.monotonic_ns()
        if self._beat_ns <= now_ns:
            self._notifier.beat()
            self._beat_ns = now_ns + self._beat_every_ns
            self._look_after(now_ns)
        passes, troubles = self._loop.board.counters.passes, self._loop.troubles()
        due_ns = min(self._beat_ns, self._policy.due_ns(), self._keep_ns, self._tell_ns or NEVER_NS)
        readable = self._loop.turn(due_ns)
        now_ns = time.monotonic_ns()
        if self._policy.has_come(readable, now_ns):
            self._policy.arrive()
            self._policy_arrived()
        if self._signals.take_reload():
            self._reload()
        if self._policy.retry(now_ns):
            self._policy_arrived()
        if self._loop.board.counters.passes != passes or self._loop.troubles() != troubles:
            soon_ns = max(now_ns + TELL_AFTER_NS, self._tell_not_before_ns)
            self._tell_ns = min(self._tell_ns or soon_ns, soon_ns)
        if self._tell_ns and now_ns >= self._tell_ns:
            self._tell_standing()
        if self._assembly.ledger.take_news():
            self._keep_ns = min(self._keep_ns, max(now_ns, self._keep_not_before_ns))
        # The first has no wake-up of its own: sweeps come as often.
        if now_ns >= min(self._save_ns, self._keep_ns):
            self._assembly.save()
            self._save_ns = now_ns + self._loop.schedule.sweep_ns
            self._keep_ns = NEVER_NS
            ended_ns = time.monotonic_ns()
            self._keep_not_before_ns = ended_ns + TELL_SHARE * (ended_ns - now_ns)

    def _look_after(self, now_ns: int) -> None:
        """With the beat, so that nothing wakes us for it."""
        self.ends_because = self._upkeep.outdated()
        lost, untold = self._upkeep.look()
        if lost:
            self._assembly.save()
            self._loop.schedule.hint_all(now_ns, "retry")
        if untold:
            self._tell_ns = min(self._tell_ns or now_ns, now_ns)

    # ---- the policy

    def _reload(self) -> None:
        if self._reloading:
            # Loading ends, however many signals come; what is read then may be older than this one.
            self._reload_again = True
            return
        self._notifier.reloading()
        self._reloading = True
        if self._policy.begin():
            self._policy_arrived()

    def _policy_arrived(self) -> None:
        self._loop.turn(0)
        self._tell_standing()  # whoever waited for the reload asks right after it
        if self._reloading:
            self._reloading = False
            self._notifier.ready()
        if self._reload_again:
            self._reload_again = False
            self._reload()

    def _enforce(self, policy: Policy, cause: Cause) -> Policy:
        policy = self._assembly.advise(policy)
        self._loop.enforce(policy, cause)
        return policy

    # ---- how things stand

    def _tell_standing(self) -> None:
        self._tell_ns = 0
        began_ns = time.monotonic_ns()
        if self._told_of_trouble:  # what could not be kept is tried again
            self._assembly.save()
        board = self._loop.board
        troubles = self._all_troubles()
        state, why = overall(self._loop.reports(), troubles)
        jobs = self._loop.jobs.under_way()
        watched = self._assembly.probation.under_way()
        if state == "in-sync" and jobs:
            state, why = "correcting", f"{jobs[0]} is under way"
        elif state == "in-sync" and watched:
            state, why = "correcting", watched[0]
        if self._state_since[0] != state:
            self._state_since = (state, clock())
        line = board.line(state, why)
        textfile = self._policy.policy.textfile if self._policy.policy else None
        self._told.handle(Standing(state, line, self._snapshot(state, why), textfile))
        ended_ns = time.monotonic_ns()
        self._tell_not_before_ns = ended_ns + TELL_SHARE * (ended_ns - began_ns)
        if self._assembly.troubles() or self._troubles():
            wait_ns = min(TROUBLE_NS << min(self._told_of_trouble, 10), TROUBLE_MOST_NS)
            self._tell_ns = ended_ns + wait_ns
            self._told_of_trouble += 1
        else:
            self._told_of_trouble = 0
            if troubles != self._all_troubles():  # it was over only when it had been told
                self._tell_ns = self._tell_not_before_ns

    def _troubles(self) -> tuple[str, ...]:
        return (*self._upkeep.instance.troubles(), *self._told.troubles())

    def _all_troubles(self) -> list[str]:
        first = self._policy.error.splitlines()[:1] if self._policy.error else []
        return [*first, *self._assembly.troubles(), *self._troubles()]

    def _snapshot(self, state: State, why: str) -> dict[str, Any]:
        policy = self._policy.policy
        return snapshot(
            self._loop.board,
            {
                "state": state,
                "reason": why or None,
                "mode": policy.mode if policy else None,
                "since": self._state_since[1],
                "pid": os.getpid(),
                "version": __version__,
                "policy": {
                    "path": self._policy.path,
                    "revision": policy.revision if policy else None,
                    "loaded": self._policy.loaded or None,
                    "error": self._policy.error,
                    "warnings": list(policy.warnings) if policy else [],
                },
            },
            self._services(),
        )

    def _services(self) -> list[dict[str, Any]]:
        """The units of the policy as they were last seen."""
        policy = self._loop.policy
        seen = self._assembly.reader.units
        named = [spec.unit for spec in policy.services] if policy else []
        return [self._service(seen[unit]) for unit in named if unit in seen]

    def _service(self, unit: UnitFact) -> dict[str, Any]:
        usage, at = self._assembly.reader.usages.get(unit.name, (None, 0.0))
        standing = standing_plain(
            self._assembly.standings.is_healthy(unit),
            self._assembly.standings.ailment(unit.name),
            self._assembly.verdicts.marks.of(unit.name),
            self._assembly.verdicts.breakers.status(unit.name),
            self._loop.board.healthy.get(unit.name, ()),
            clock,
        )
        loaded = self._loop.owes_nothing(unit.name)
        measured = clock(at)
        return service_plain(unit, loaded=loaded, standing=standing, usage=usage, measured=measured)
