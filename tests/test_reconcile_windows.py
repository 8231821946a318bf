"""Windows in a pass: what waits for one, what does not, how it is told, and when it is done."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jada_configd.core.actions import Action, StartJob
from jada_configd.core.model import ResourceId
from jada_configd.core.specs import Policy
from jada_configd.core.status import overall, state_of
from jada_configd.core.windows import Purpose, Window
from jada_configd.errors import Refused
from jada_configd.policy.windows import window
from tests.fake_calendar import UNKNOWN, offset_of
from tests.fake_host import SECOND_NS, FakeHost, Unit, named
from tests.fake_loop import FakeLoop
from tests.kinds.worlds import AGENT, HOME, policy, service_spec, settings_spec, sysctl_spec

SETTINGS = ResourceId("settings", HOME)
DROP_IN = ResourceId("unit-dropin", AGENT)
LIMITS = ResourceId("process-limits", AGENT)
SERVICE = ResourceId("service", AGENT)
GOOD = b'{"model": "sonnet"}'
BAD = b'{"model": "haiku"}'
HOUR_NS = 3600 * SECOND_NS
NIGHT = "Mon-Fri 02:00-05:00 UTC"
WAITS = f"waits for the window {NIGHT}, which opens 2026-11-23 02:00 UTC"  # it is Friday evening
HELD = policy((settings_spec(services=(AGENT,)),), (service_spec(),))


def within(held: Policy, **texts: str) -> Policy:
    names: tuple[Purpose, ...] = ("restart", "correct")
    return replace(held, windows={name: (window(texts[name]),) for name in names if name in texts})


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    host.write(HOME, GOOD)
    host.add_unit(Unit(AGENT))
    host.start(AGENT, ago_ns=100 * SECOND_NS)
    return host


def settled(host: FakeHost, held: Policy) -> FakeLoop:
    loop = FakeLoop(host, held)
    loop.settle()
    host.advance(SECOND_NS)
    host.done.clear()
    return loop


def make_stale(host: FakeHost) -> None:
    """A process reads what is wrong."""
    host.write(HOME, BAD)
    host.stop(AGENT)
    host.start(AGENT)


def moment(clock: str) -> int:
    return int(datetime.fromisoformat(f"{clock}+00:00").timestamp())


def later(loop: FakeLoop, clock: str) -> None:
    """It is then, and nobody has hinted at anything."""
    loop.host.advance((moment(clock) - loop.calendar.now()) * SECOND_NS)
    loop.settle()


# ------------------------------------------------------------------------------ correct


def test_a_drift_outside_the_window_waits_and_is_told_with_the_time(host: FakeHost) -> None:
    loop = settled(host, within(HELD, correct=NIGHT))
    host.write(HOME, BAD)
    loop.settle()
    report = loop.reports[SETTINGS]
    assert (report.result, report.problem) == ("waiting", WAITS)
    assert [change.have for change in report.drift.changes] == ["haiku"]
    assert report.actions == (f"replace {HOME}", f"reload-or-restart {AGENT}")
    assert (report.again_ns, report.backs_off, report.settled) == (None, False, False)
    assert state_of(report) == "drifted"
    assert overall([report], []) == ("drifted", f"{SETTINGS}: {WAITS}")
    assert host.done == []
    assert loop.reports[SERVICE].result == "in-sync"


def test_it_is_corrected_when_the_window_opens_and_not_before(host: FakeHost) -> None:
    loop = settled(host, within(HELD, correct=NIGHT))
    host.write(HOME, BAD)
    later(loop, "2026-11-23 01:59")
    assert loop.reports[SETTINGS].result == "waiting"
    assert host.done == []
    opens = loop.schedule.next_opening()
    assert opens is not None
    assert opens == moment("2026-11-23 02:00")
    later(loop, "2026-11-23 02:00")
    assert host.files[HOME].data == GOOD
    assert loop.schedule.next_opening() is None
    assert {each.result for each in loop.reports.values()} <= {"in-sync", "corrected"}


def test_in_the_window_it_is_corrected_at_once(host: FakeHost) -> None:
    loop = settled(host, within(HELD, correct="Fri 19:00-21:00 UTC"))
    host.write(HOME, BAD)
    loop.settle()
    assert host.files[HOME].data == GOOD


def test_looking_again_outside_the_window_finds_no_news(host: FakeHost) -> None:
    loop = settled(host, within(HELD, correct=NIGHT, restart=NIGHT))
    host.write(HOME, BAD)
    loop.settle()
    first = loop.reports[SETTINGS]
    for _ in range(3):
        host.advance(HOUR_NS)
        loop.sweep()
        loop.settle()
    assert host.attempts == 0
    assert replace(loop.reports[SETTINGS], detected_ns=0, cause="hint") == replace(
        first, detected_ns=0, cause="hint"
    )


def test_who_read_wrong_values_while_they_waited_is_restarted_after_the_correction(
    host: FakeHost,
) -> None:
    loop = settled(host, within(HELD, correct=NIGHT))
    make_stale(host)
    loop.settle()
    assert host.done == []
    later(loop, "2026-11-23 02:00")
    assert named(host.done) == ["ReplaceFile", "StartJob"]
    process = host.units[AGENT].process
    assert process is not None
    assert process.saw[HOME] == GOOD


@pytest.mark.parametrize("kind", ["unit-dropin", "process-limits", "sysctl"])
def test_all_that_is_changed_waits(host: FakeHost, kind: str) -> None:
    held = policy(
        (),
        (service_spec(limits={"nofile": (2048, 4096)}, live="main"),),
        sysctls=(sysctl_spec("net.core.somaxconn", "4096"),),
    )
    host.sysctls["net.core.somaxconn"] = "128"
    loop = settled(host, within(held, correct=NIGHT))
    assert host.done == []
    found = [each for name, each in loop.reports.items() if name.kind == kind]
    assert [(each.result, each.problem) for each in found] == [("waiting", WAITS)]
    later(loop, "2026-11-23 02:00")
    assert {each.result for each in loop.reports.values()} <= {"in-sync", "corrected"}


def test_a_file_of_ours_that_is_to_go_waits_too(host: FakeHost) -> None:
    limited = policy((), (service_spec(limits={"nofile": (2048, 4096)}),))
    loop = settled(host, limited)
    loop.enforce(within(policy((), (service_spec(),)), correct=NIGHT))
    loop.settle()
    (path,) = drop_in_paths(host)
    assert loop.reports[DROP_IN].result == "waiting"
    later(loop, "2026-11-23 02:00")
    assert path not in host.files


def drop_in_paths(host: FakeHost) -> list[str]:
    return [path for path in host.files if path.endswith("zz-jada-configd.conf")]


def test_a_file_that_is_half_written_settles_before_it_waits_for_a_window(host: FakeHost) -> None:
    loop = settled(host, within(HELD, correct=NIGHT))
    host.write(HOME, b'{"model": "son')
    loop.hear()
    (report,) = (each for each in loop.turn() if each.resource.id == SETTINGS)
    assert report.again_ns is not None
    assert report.opens_at is None
    loop.settle()
    assert (loop.reports[SETTINGS].problem or "").endswith(f"; {WAITS}")
    assert host.done == []


def test_who_only_observes_waits_for_nothing(host: FakeHost) -> None:
    held = within(policy((settings_spec(mode="observe"),)), correct=NIGHT)
    host.write(HOME, BAD)
    assert settled(host, held).reports[SETTINGS].result == "reported"


def test_what_nothing_mends_is_drift_and_waits_for_no_window(host: FakeHost) -> None:
    held = within(policy((settings_spec(),)), correct=NIGHT)
    host.blocked[HOME] = f"{HOME} is a FIFO"
    assert settled(host, held).reports[SETTINGS].result == "failed"


# ------------------------------------------------------------------------------ restart


def test_the_file_is_put_right_and_the_restart_waits_with_its_debt(host: FakeHost) -> None:
    loop = settled(host, within(HELD, restart=NIGHT))
    make_stale(host)
    loop.settle()
    assert host.files[HOME].data == GOOD
    assert named(host.done) == ["ReplaceFile"]
    report = loop.reports[SERVICE]
    assert (report.result, report.problem) == ("waiting", WAITS)
    assert report.actions == (f"restart {AGENT}",)
    owed = loop.ledger.owed(AGENT)
    assert owed is not None
    assert owed.fields == ("/model",)
    later(loop, "2026-11-23 02:00")
    assert named(host.done) == ["ReplaceFile", "StartJob"]
    assert loop.ledger.owed(AGENT) is None
    assert loop.reports[SERVICE].result in ("in-sync", "corrected")


def test_drifts_that_add_up_meanwhile_are_paid_with_one_restart(host: FakeHost) -> None:
    loop = settled(host, within(HELD, restart=NIGHT))
    for _ in range(5):
        make_stale(host)
        loop.settle()
        host.advance(HOUR_NS)
    later(loop, "2026-11-23 02:00")
    assert named(host.done).count("StartJob") == 1


def test_a_restart_by_hand_pays_the_debt(host: FakeHost) -> None:
    loop = settled(host, within(HELD, restart=NIGHT))
    make_stale(host)
    loop.settle()
    host.advance(SECOND_NS)
    host.stop(AGENT)
    host.start(AGENT)
    loop.settle()
    assert loop.reports[SERVICE].result == "in-sync"
    later(loop, "2026-11-23 02:00")
    assert named(host.done) == ["ReplaceFile"]


def test_the_debt_outlives_the_daemon(host: FakeHost) -> None:
    loop = settled(host, within(HELD, restart=NIGHT))
    make_stale(host)
    loop.settle()
    loop.boot()
    loop.settle()
    assert loop.reports[SERVICE].result == "waiting"
    later(loop, "2026-11-23 02:00")
    assert named(host.done) == ["ReplaceFile", "StartJob"]


def test_a_reload_is_no_restart(host: FakeHost) -> None:
    host.units[AGENT].can_reload = True
    loop = settled(host, within(HELD, restart=NIGHT))
    host.write(HOME, BAD)
    loop.settle()
    assert [str(action) for action in host.done] == [f"replace {HOME}", f"reload {AGENT}"]


def test_a_job_that_was_begun_in_the_window_goes_on_after_it(host: FakeHost) -> None:
    loop = settled(host, within(HELD, restart="Fri 19:00-20:01 UTC"))
    make_stale(host)
    loop.hear()
    while not host.jobs:
        loop.turn()
        host.advance(SECOND_NS // 100)
    host.advance(HOUR_NS)
    loop.sweep()
    loop.turn()
    assert loop.reports[SERVICE].opens_at is None
    assert state_of(loop.reports[SERVICE]) == "correcting"
    loop.settle()
    assert loop.ledger.owed(AGENT) is None
    assert named(host.done) == ["ReplaceFile", "StartJob"]


def test_a_restart_for_limits_that_the_kernel_refused_waits_as_well(host: FakeHost) -> None:
    limited = policy((), (service_spec(limits={"nofile": (2048, 4096)}),))

    def refuse(action: Action) -> None:
        if named([action]) == ["SetProcessLimit"]:
            raise Refused("no CAP_SYS_RESOURCE")

    host.before.append(refuse)
    loop = settled(host, within(limited, restart=NIGHT))
    report = loop.reports[LIMITS]
    assert report.result == "waiting"
    assert report.problem == f"no CAP_SYS_RESOURCE; {AGENT} has to restart; {WAITS}"
    assert report.again_ns is None
    assert loop.reports[SERVICE].problem == WAITS
    attempts = host.attempts
    host.advance(HOUR_NS)
    loop.settle()
    assert host.attempts == attempts
    later(loop, "2026-11-23 02:00")
    process = host.units[AGENT].process
    assert process is not None
    assert process.limits["nofile"] == (2048, 4096)
    assert named(host.done).count("StartJob") == 1
    assert {each.result for each in loop.reports.values()} <= {"in-sync", "corrected"}


# ------------------------------------------------------------------------------ clock and policy


def test_a_policy_without_the_window_is_carried_out_at_once(host: FakeHost) -> None:
    loop = settled(host, within(HELD, correct=NIGHT, restart=NIGHT))
    make_stale(host)
    loop.settle()
    assert host.done == []
    loop.enforce(HELD)
    loop.settle()
    assert named(host.done) == ["ReplaceFile", "StartJob"]
    assert loop.schedule.next_opening() is None


def test_a_clock_that_is_set_forward_opens_the_window_at_the_next_turn(host: FakeHost) -> None:
    loop = settled(host, within(HELD, correct=NIGHT))
    host.write(HOME, BAD)
    loop.settle()
    loop.calendar.set("2026-11-24 03:00")
    host.advance(SECOND_NS)
    loop.turn()
    assert host.files[HOME].data == GOOD


def test_a_clock_that_is_set_back_is_noticed_at_the_next_sweep(host: FakeHost) -> None:
    loop = settled(host, within(HELD, correct=NIGHT))
    host.write(HOME, BAD)
    loop.settle()
    loop.calendar.set("2026-11-19 12:00")
    loop.sweep()
    loop.settle()
    assert loop.reports[SETTINGS].problem == WAITS.replace("2026-11-23", "2026-11-20")


def test_a_zone_that_cannot_be_read_keeps_its_window_closed(host: FakeHost) -> None:
    unknown = Window(f"00:00-24:00 {UNKNOWN}", frozenset(range(7)), 0, 1440, UNKNOWN)
    loop = settled(host, replace(HELD, windows={"correct": (unknown,)}))
    host.write(HOME, BAD)
    loop.settle()
    report = loop.reports[SETTINGS]
    assert (report.result, report.opens_at) == ("waiting", None)
    assert "cannot be read" in (report.problem or "")


# ------------------------------------------------------------------------------ check


def test_check_says_what_waits_and_for_when(host: FakeHost) -> None:
    loop = settled(host, within(HELD, correct=NIGHT))
    host.write(HOME, BAD)
    batch = [(each, "operator") for each in loop.resources.values()]
    reports = {each.resource.id: each for each in loop.reconciler.check(batch)}  # type: ignore[arg-type]
    assert (reports[SETTINGS].result, reports[SETTINGS].problem) == ("waiting", WAITS)
    assert reports[SETTINGS].actions == (f"replace {HOME}", f"reload-or-restart {AGENT}")
    assert host.attempts == 0


# ------------------------------------------------------------------------------ any order of things


class Windowed(RuleBasedStateMachine):
    """Files drift, processes start, clocks are set, daemons die: no window is ever overstepped."""

    @initialize(
        restart=st.sampled_from([NIGHT, "Sat 00:00-06:00 UTC", "Fri-Sun 20:10-20:20 Asia/Tokyo"]),
        correct=st.sampled_from([None, NIGHT, "daily 21:00-21:30 UTC"]),
    )
    def begin(self, restart: str, correct: str | None) -> None:
        self.host = FakeHost()
        self.host.write(HOME, GOOD)
        self.host.add_unit(Unit(AGENT))
        self.host.start(AGENT, ago_ns=100 * SECOND_NS)
        texts = {"restart": restart} | ({"correct": correct} if correct else {})
        self.held = within(HELD, **texts)
        self.overstepped: list[str] = []
        self.loop = FakeLoop(self.host, self.held)
        self.host.before.append(self.judge)

    def is_open(self, purpose: Purpose) -> bool:
        windows = self.held.windows.get(purpose)
        at = self.loop.calendar.now()
        return not windows or any(each.is_open(at + offset_of(each.zone)(at)) for each in windows)

    def judge(self, action: Action) -> None:
        restarts = isinstance(action, StartJob)
        if not self.is_open("restart" if restarts else "correct"):
            self.overstepped.append(f"{action} at {self.loop.calendar.now()}")

    @rule(content=st.sampled_from([GOOD, BAD, b"{", b'{"theme": 1}']))
    def write(self, content: bytes) -> None:
        self.host.write(HOME, content)

    @rule()
    def restart_by_hand(self) -> None:
        self.host.stop(AGENT)
        self.host.start(AGENT)

    @rule(minutes=st.sampled_from([1, 9, 60, 240, 1440]))
    def pass_time(self, minutes: int) -> None:
        self.host.advance(minutes * 60 * SECOND_NS)

    @rule(clock=st.sampled_from(["2026-11-20 20:00", "2026-11-23 01:59", "2026-11-21 21:29"]))
    def set_clock(self, clock: str) -> None:
        self.loop.calendar.set(clock)

    @rule(loses_hints=st.booleans())
    def look(self, *, loses_hints: bool) -> None:
        if loses_hints:
            self.host.told.clear()
        self.loop.settle()

    @rule()
    def sweep(self) -> None:
        self.loop.sweep()
        self.loop.turn()

    @rule()
    def die(self) -> None:
        self.loop.keep_known()
        self.loop.boot()

    @invariant()
    def nothing_is_done_outside_its_window(self) -> None:
        assert self.overstepped == []

    def teardown(self) -> None:
        """In the end each window opens, and all is right."""
        if not hasattr(self, "loop"):
            return
        self.loop.sweep()
        self.loop.settle()
        for _ in range(20):
            opens = self.loop.schedule.next_opening()
            if opens is None:
                break
            self.host.advance(max(0, opens - self.loop.calendar.now()) * SECOND_NS)
            self.loop.settle()
        assert self.overstepped == []
        assert self.loop.schedule.next_opening() is None
        assert {each.result for each in self.loop.reports.values()} <= {"in-sync", "corrected"}
        assert self.loop.ledger.owed(AGENT) is None


TestWindowed = Windowed.TestCase
TestWindowed.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
