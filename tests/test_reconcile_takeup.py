"""Whatever happens: no service runs on values that were wrong, and none is restarted for nothing.

A machine of rules does to one settings file and one unit what people, programs and systemd do, in
any order, while the daemon looks, loses hints and dies. It knows the truth: what stood in the file
when a process read it, and whether anybody had looked in between.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jada_configd.core.actions import Action, StartJob
from jada_configd.core.model import Exactly, ResourceId
from jada_configd.core.report import Report
from jada_configd.core.specs import Apply, When
from jada_configd.core.staleness import TICK_NS
from tests.fake_host import MILLISECOND_NS, SECOND_NS, Died, FakeHost, JobEnded, Unit
from tests.fake_loop import FakeLoop
from tests.kinds.worlds import AGENT, HOME, content_holds, policy, service_spec, settings_spec

SPEC = settings_spec(HOME, services=(AGENT,), rules={("model",): Exactly("sonnet")})
SETTINGS = ResourceId("settings", HOME)
SERVICE = ResourceId("service", AGENT)
RIGHT = (b'{"model": "sonnet"}', b'{"model": "sonnet", "theme": "dark"}')
WRONG = (b'{"model": "haiku"}', b"", b"{")
SLACK_NS = MILLISECOND_NS


class Watched(FakeLoop):
    """The loop, with a note of every look that came to its end."""

    looks: "list[tuple[int, Report]]"

    def turn(self) -> list[Report]:
        at_ns = self.host.now_ns
        reports = super().turn()
        self.looks += [(at_ns, each) for each in reports if each.resource.id == SETTINGS]
        return reports


class Services(RuleBasedStateMachine):
    """One file, one unit, one daemon."""

    @initialize(
        when=st.sampled_from(["auto", "stale", "always"]),
        apply=st.sampled_from(["restart", "reload-or-restart"]),
        can_reload=st.booleans(),
        keeps_known=st.booleans(),
        content=st.sampled_from(RIGHT + WRONG),
        ago_ns=st.sampled_from([0, SECOND_NS, 100 * SECOND_NS]),
    )
    def begin(
        self,
        when: When,
        apply: Apply,
        content: bytes,
        ago_ns: int,
        *,
        can_reload: bool,
        keeps_known: bool,
    ) -> None:
        self.host = FakeHost()
        self.host.write(HOME, content)
        self.host.add_unit(Unit(AGENT, can_reload=can_reload))
        self.host.start(AGENT, ago_ns=ago_ns)
        self.host.before.append(self.judge)
        self.when = when
        self.restarts = when == "always" and (apply == "restart" or not can_reload)
        self.right_ns: int | None = None  # when the daemon last saw it right, as far as it knows
        self.was_wrong = False  # at the last look
        self.may_have_begun = False  # a correction, when the daemon died
        self.corrected_ns = 0
        self.unfounded: list[int] = []
        self.is_new = True  # the daemon has not looked yet
        self.seen = False  # the present wrong values, by a look
        self.is_new = False  # the daemon, which has not looked yet
        self.suspects: set[int] = set()  # activations that may have read wrong values
        self.excused: set[int] = set()  # that did so while nobody looked
        self.keeps_known = keeps_known
        held = policy((SPEC,), (service_spec(when=when, apply=apply),))
        self.loop = Watched.__new__(Watched)
        self.loop.looks = []
        self.loop.__init__(self.host, held)  # type: ignore[misc]
        self.loop.keeps_known = keeps_known

    # ---- what is true

    @property
    def unit(self) -> Unit:
        return self.host.units[AGENT]

    @property
    def activation(self) -> int:
        return self.unit.activating_since_ns

    def is_right(self) -> bool:
        entry = self.host.files.get(HOME)
        return content_holds(SPEC, entry.data if entry else None)

    def has_read_wrong(self) -> bool:
        process = self.unit.process
        return process is not None and not all(
            content_holds(SPEC, read.get(HOME))
            for read in (process.saw, process.reread or process.saw)
        )

    def last_read_ns(self) -> int:
        """The last moment at which a process of the unit may have read; now, where it may yet."""
        unit = self.unit
        if unit.active_state == "reloading" or unit.process is None:
            return self.host.now_ns
        return max(unit.process.started_ns, unit.state_changed_ns)

    # ---- what was seen, and what may be done for it

    def note_looks(self) -> None:
        if self.is_new and self.loop.looks:
            self.is_new = False
            self.suspect_unseen(self.loop.looks[0][0])
        for at_ns, report in self.loop.looks:
            right = report.result in ("in-sync", "corrected")
            found_wrong = report.result != "in-sync"
            if found_wrong or self.was_wrong or self.may_have_begun or self.is_unwatched():
                self.suspect(at_ns)
            self.is_new = False
            if right:
                self.right_ns, self.was_wrong, self.seen = at_ns, False, False
                self.may_have_begun = False
            else:
                self.was_wrong = self.seen = True
        self.loop.looks.clear()

    def is_unwatched(self) -> bool:
        """Whether the unit may have read what has gone since, and nobody can tell any more."""
        entry = self.host.files.get(HOME)
        untouched = entry is not None and entry.mtime_ns + TICK_NS < self.activation
        return self.is_new and not untouched

    def suspect(self, at_ns: int) -> None:
        """The file was wrong at this look, or had been; who may have read it since it was right?"""
        self.corrected_ns = at_ns
        if self.unit.active_state not in ("inactive", "failed"):
            known = self.right_ns
            if known is None or self.last_read_ns() >= known - SLACK_NS:
                self.suspects.add(self.activation)

    def suspect_unseen(self, at_ns: int) -> None:
        """It read while nobody looked, and the file was touched since, or it may have been."""
        entry = self.host.files.get(HOME)
        if self.right_ns is None or entry is None or self.last_read_ns() <= self.right_ns:
            return
        touched_ns = entry.mtime_ns + TICK_NS
        if touched_ns >= self.last_read_ns() and touched_ns >= self.right_ns:
            self.suspects.add(self.activation)
            self.corrected_ns = at_ns

    def judge(self, action: Action) -> None:
        """Nobody restarts a process that has certainly read right values only."""
        if isinstance(action, StartJob) and action.how == "restart" and not self.restarts:
            self.note_looks()
            at_once = self.activation <= self.corrected_ns + SLACK_NS
            founded = self.activation in self.suspects or self.has_read_wrong()
            if not founded and not at_once:
                self.unfounded.append(self.activation)

    def turn(self) -> None:
        self.loop.hear()
        self.loop.turn()
        self.note_looks()

    def die(self) -> None:
        self.note_looks()
        if self.was_wrong and self.is_right() and self.has_read_wrong():
            self.excused.add(self.activation)  # whoever had seen that is dead
        if self.is_new:  # who died in its first pass may have looked
            self.suspect_unseen(self.host.now_ns)
        self.loop.boot()
        self.is_new = True
        self.was_wrong = self.seen = False
        self.is_new = True
        if not self.keeps_known:
            self.right_ns = None

    def change(self, content: bytes | None) -> None:
        """Somebody else's doing; they may put right what nobody has seen."""
        before = self.is_right()
        if content is None:
            self.host.unlink(HOME)
        else:
            self.host.write(HOME, content)
        if self.is_right() and not before and not self.seen and self.has_read_wrong():
            self.excused.add(self.activation)

    # ---- rules

    @rule(content=st.sampled_from(WRONG))
    def somebody_writes_what_is_wrong(self, content: bytes) -> None:
        self.change(content)

    @rule(content=st.sampled_from(RIGHT))
    def somebody_writes_what_is_right(self, content: bytes) -> None:
        self.change(content)

    @rule()
    def somebody_removes_the_file(self) -> None:
        self.change(None)

    @rule(nanoseconds=st.sampled_from([1000, MILLISECOND_NS, 3 * MILLISECOND_NS, SECOND_NS]))
    def time_passes(self, nanoseconds: int) -> None:
        self.host.advance(nanoseconds)

    @rule()
    def the_daemon_turns(self) -> None:
        self.turn()

    @rule()
    def hints_are_lost(self) -> None:
        """The end of a job is no hint: it comes over a connection that loses nothing."""
        self.host.told = [each for each in self.host.told if isinstance(each, JobEnded)]

    @rule()
    def the_daemon_dies_at_rest(self) -> None:
        self.die()

    @rule(effects=st.integers(0, 4))
    def the_daemon_dies_in_a_pass(self, effects: int) -> None:
        was_wrong = not self.is_right()
        self.host.effects = 0
        self.host.dies_after = effects
        try:
            self.turn()
        except Died:
            if was_wrong or self.may_have_begun or self.is_unwatched():
                self.suspect(self.host.now_ns)
            self.may_have_begun = True
            self.die()
        finally:
            self.host.dies_after = None

    @precondition(lambda self: self.unit.active_state != "activating")
    @rule()
    def somebody_starts_or_restarts_the_unit(self) -> None:
        self.host.start(AGENT)

    @rule()
    def the_unit_begins_to_start(self) -> None:
        self.host.begin_activation(AGENT)

    @precondition(lambda self: self.unit.active_state == "activating" and not self.unit.process)
    @rule()
    def its_main_process_starts(self) -> None:
        self.host.start_main(AGENT)

    @precondition(lambda self: self.unit.active_state == "activating" and self.unit.process)
    @rule()
    def the_unit_becomes_ready(self) -> None:
        self.host.become_ready(AGENT)

    @rule(failed=st.booleans())
    def the_unit_stops(self, *, failed: bool) -> None:
        self.host.stop(AGENT, failed=failed)

    @precondition(lambda self: self.unit.active_state == "active" and self.unit.can_reload)
    @rule()
    def somebody_reloads_the_unit(self) -> None:
        self.host.reload(AGENT)

    @precondition(lambda self: self.host.jobs)
    @rule()
    def a_job_comes_further(self) -> None:
        self.host.step_job(self.host.jobs[0])

    @precondition(lambda self: self.host.jobs)
    @rule()
    def a_job_fails(self) -> None:
        self.host.job_results[AGENT] = ["failed"]
        while self.host.jobs:
            self.host.step_job(self.host.jobs[0])
        self.host.job_results.clear()

    @rule()
    def everything_settles(self) -> None:
        if self.unit.active_state == "activating":
            if self.unit.process is None:
                self.host.start_main(AGENT)
            self.host.become_ready(AGENT)
        self.loop.sweep()
        self.loop.settle()
        self.note_looks()
        assert self.is_right()
        assert self.loop.ledger.owed(AGENT) is None
        assert self.loop.reports[SETTINGS].settled
        assert self.loop.reports[SERVICE].settled == (self.unit.active_state != "failed")
        if self.activation not in self.excused:
            assert not self.has_read_wrong(), "runs on values that were wrong"

    @invariant()
    def nothing_is_restarted_for_nothing_and_the_daemon_has_no_fault(self) -> None:
        if hasattr(self, "loop"):
            assert not self.unfounded
            assert [each.traceback for each in self.loop.history if each.traceback] == []


TestServices = Services.TestCase
TestServices.settings = settings(
    max_examples=settings().max_examples,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
