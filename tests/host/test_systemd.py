"""`Systemd` over routes that fail as a test has it: which is taken, what is told, what it costs."""

import os
import select
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest

from jada_configd.core.actions import How
from jada_configd.core.facts import Inhibitor, Probe, UnitFact
from jada_configd.errors import ManagerGone, UnitRefused
from jada_configd.host.manager import polls as polls_module
from jada_configd.host.manager import systemd as module
from jada_configd.host.manager import ways as ways_module
from jada_configd.host.manager.routes import Declined, Gone, Route, Silent
from jada_configd.host.manager.systemd import (
    Event,
    JobEnded,
    ManagerLost,
    ProbeEnded,
    Systemd,
    UnitChanged,
    UnitsReloaded,
)
from jada_configd.host.manager.unit_facts import ManagerFact, UnitLook, job_path
from jada_configd.host.manager.ways import Way

A = "a.service"
UNIT = UnitFact(A, "loaded", "active", result="success")


class FakeRoute:
    """A route with a socket that a test writes to, and answers that a test sets."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.read, self.write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.told: list[Event] = []
        self.followed: Mapping[str, str] = {}
        self.probes: frozenset[str] = frozenset()
        self.open = True
        self.reads_units = False

    def _answer(self, call: str) -> None:
        self.world.calls.append((self.name, call))
        problem = self.world.problems.get((self.name, call)) or self.world.problems.get(
            (self.name, "")
        )
        if problem is not None:
            raise problem

    def look(self, unit: str, seconds: float) -> UnitLook:
        self._answer("look")
        look = self.world.units[unit]
        return replace(look, fact=replace(look.fact, name=unit))

    def start_job(self, unit: str, how: How, seconds: float) -> str:
        self._answer("start_job")
        return job_path(7)

    def begin_reload(self, seconds: float) -> None:
        self._answer("begin_reload")

    def start_probe(self, probe: Probe, seconds: float) -> str:
        self._answer("start_probe")
        return job_path(9)

    def stop(self, unit: str, seconds: float) -> None:
        self._answer(f"stop {unit}")

    def reset(self, unit: str, seconds: float) -> None:
        self._answer(f"reset {unit}")

    def inhibitors(self, seconds: float) -> tuple[Inhibitor, ...]:
        self._answer("inhibitors")
        return (Inhibitor(7, "backup", "running"),)

    def follow(self, aliases: Mapping[str, str], probes: Collection[str], seconds: float) -> None:
        self._answer("follow")
        self.followed = dict(aliases)
        self.probes = frozenset(probes)

    def reloading(self) -> bool:
        return self.reads_units

    def manager(self, seconds: float) -> ManagerFact:
        self._answer("manager")
        return ManagerFact({"nofile": (1024, 4096)}, ("/etc/systemd/system",))

    def manager_pid(self, seconds: float) -> int:
        self._answer("manager_pid")
        return 4321

    def tell(self, *events: Event) -> None:
        self.told += events
        os.write(self.write, b"x")

    def events(self) -> list[Event]:
        self._answer("events")
        told, self.told = self.told, []
        if told:
            os.read(self.read, 100)
        return told

    def pending(self) -> bool:
        return False

    def fileno(self) -> int | None:
        return None if self.name == "third" else self.read

    def poll_due(self) -> int | None:
        return None

    def close(self) -> None:
        if self.open:
            os.close(self.read)
            os.close(self.write)
        self.open = False


@dataclass
class World:
    """Three ways, and what is wrong with each. Time stands still but for `later`."""

    units: dict[str, UnitLook] = field(default_factory=lambda: {A: UnitLook(UNIT, A, 0, "success")})
    problems: dict[tuple[str, str], Exception] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    routes: list[FakeRoute] = field(default_factory=list)
    ahead_ns: int = 0

    def open(self, name: str) -> Callable[[float], Route]:
        def open_way(seconds: float) -> Route:
            self.calls.append((name, "open"))
            problem = self.problems.get((name, "open"))
            if problem is not None:
                raise problem
            self.routes.append(FakeRoute(self, name))
            return self.routes[-1]

        return open_way

    def later(self, seconds: float) -> None:
        self.ahead_ns += int(seconds * 1e9)

    @property
    def route(self) -> FakeRoute:
        return self.routes[-1]

    def opened(self) -> list[str]:
        return [name for name, call in self.calls if call == "open"]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    names = ("first", "second", "third")
    monkeypatch.setattr(
        module, "_ways", lambda **_: [Way(name, world.open(name)) for name in names]
    )

    class Clock:
        monotonic = staticmethod(lambda: (time.monotonic_ns() + world.ahead_ns) / 1e9)
        monotonic_ns = staticmethod(lambda: time.monotonic_ns() + world.ahead_ns)

    monkeypatch.setattr(module, "time", Clock)
    monkeypatch.setattr(ways_module, "time", Clock)
    monkeypatch.setattr(polls_module, "time", Clock)
    yield world
    for route in world.routes:
        route.close()


@pytest.fixture
def systemd(world: World) -> Iterator[Systemd]:
    systemd = Systemd(user=False)
    yield systemd
    systemd.close()


def readable(systemd: Systemd) -> bool:
    return bool(select.select([systemd.fileno()], [], [], 0)[0])


def problem_of(call: Callable[[], object]) -> str:
    with pytest.raises(ManagerGone) as gone:
        call()
    return str(gone.value)


# ---- which way


def test_nothing_is_connected_before_somebody_asks(systemd: Systemd, world: World) -> None:
    assert (systemd.connected, systemd.route, systemd.poll_due()) == (False, None, None)
    systemd.follow([])
    assert systemd.events() == []
    assert world.calls == []


def test_the_best_way_is_taken_and_kept(systemd: Systemd, world: World) -> None:
    assert systemd.unit(A) == UNIT
    assert systemd.unit(A) == UNIT
    assert world.opened() == ["first"]
    assert (systemd.connected, systemd.route, systemd.poll_due()) == (True, "first", None)


def test_the_next_way_is_taken_where_the_best_leads_nowhere(systemd: Systemd, world: World) -> None:
    world.problems = {("first", "open"): Gone("no bus"), ("second", "open"): Gone("no socket")}
    assert systemd.unit(A) == UNIT
    assert (systemd.connected, systemd.route) == (False, "third")
    assert world.opened() == ["first", "second", "third"]


def test_a_way_that_breaks_off_is_made_good_within_the_same_call(
    systemd: Systemd, world: World
) -> None:
    systemd.unit(A)
    world.problems["first", "look"] = Gone("closed")
    assert systemd.unit(A) == UNIT
    assert systemd.route == "second"
    assert not world.routes[0].open
    assert systemd.events() == [ManagerLost()]
    assert systemd.events() == []


def test_where_no_way_leads_anywhere_all_are_named_and_none_is_tried_again_at_once(
    systemd: Systemd, world: World
) -> None:
    for name in ("first", "second", "third"):
        world.problems[name, "open"] = Gone(f"no {name}")
    words = "nobody tells of units (first: no first; second: no second; third: no third)"
    assert problem_of(lambda: systemd.unit(A)) == words
    assert problem_of(systemd.reload_units) == words
    assert problem_of(lambda: systemd.start_job(A, "restart")) == words
    assert world.opened() == ["first", "second", "third"]


def test_gaps_grow_to_a_minute(systemd: Systemd, world: World) -> None:
    for name in ("first", "second", "third"):
        world.problems[name, "open"] = Gone("no")
    systemd.follow([A])
    gaps = []
    for _ in range(9):
        due_ns = systemd.poll_due()
        assert due_ns is not None
        gaps.append(round((due_ns - time.monotonic_ns() - world.ahead_ns) / 1e9))
        world.later(gaps[-1] + 0.5)
        assert systemd.events() == []
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    world.problems.clear()
    world.later(60.5)
    assert systemd.events() == [UnitChanged(A)]
    assert systemd.connected


def test_a_better_way_is_taken_back_as_soon_as_it_works(systemd: Systemd, world: World) -> None:
    world.problems["first", "open"] = Gone("no bus")
    systemd.follow([A])
    assert systemd.route == "second"
    assert systemd.events() == [UnitChanged(A)], "nobody heard what happened before"
    world.later(1.5)
    assert systemd.events() == []
    world.problems.clear()
    world.later(2.5)
    assert systemd.events() == [UnitChanged(A)], "nor in between"
    assert systemd.connected
    assert world.route.followed == {A: A}
    assert [route.open for route in world.routes] == [False, True]
    assert systemd.poll_due() is None


def test_the_descriptor_stays_and_tells_of_every_route(systemd: Systemd, world: World) -> None:
    before = systemd.fileno()
    systemd.follow([A])
    world.route.tell(UnitChanged(A))
    assert readable(systemd)
    assert systemd.events() == [UnitChanged(A)]
    assert not readable(systemd)
    number = world.route.read
    world.problems["first", ""] = Gone("closed")
    systemd.unit(A)
    assert world.route.read == number, "the new socket has the old one's number"
    systemd.events()
    world.route.tell(UnitsReloaded())
    assert readable(systemd)
    assert systemd.events() == [UnitsReloaded()]
    assert systemd.fileno() == before


def test_the_manager_of_a_user_is_known_where_a_route_tells_it(world: World) -> None:
    systemd = Systemd(user=True)
    assert systemd.manager_pid() == 4321
    world.problems["first", ""] = Gone("closed")
    for name in ("second", "third"):
        world.problems[name, "open"] = Gone("no")
    assert systemd.manager_pid() == 0
    systemd.close()


def test_the_manager_tells_of_itself_or_nobody_does(systemd: Systemd, world: World) -> None:
    assert systemd.manager().limits == {"nofile": (1024, 4096)}
    world.problems["first", "manager"] = Declined("org.x.Denied", "you may not")
    with pytest.raises(ManagerGone, match="systemd does not tell of itself: you may not"):
        systemd.manager()


def test_the_manager_of_the_system_is_pid_1_and_nobody_is_asked(
    systemd: Systemd, world: World
) -> None:
    assert systemd.manager_pid() == 1
    assert world.calls == []


# ---- time limits


def test_a_way_that_hangs_costs_its_time_once(systemd: Systemd, world: World) -> None:
    systemd.unit(A)
    world.problems["first", "look"] = Silent("no answer")
    words = "systemd has not answered for 5 s through first"
    assert problem_of(lambda: systemd.unit(A)) == words
    assert systemd.unit(A) == UNIT
    assert systemd.route == "second"
    world.later(29)
    systemd.follow([A])
    systemd.events()
    assert world.opened() == ["first", "second"]
    world.later(2)
    systemd.events()
    assert world.opened() == ["first", "second", "first"]


def test_a_manager_that_reads_its_units_is_not_asked_again_till_it_has_done(
    systemd: Systemd, world: World
) -> None:
    systemd.unit(A)
    world.route.reads_units = True
    world.problems["first", "look"] = Silent("no answer")
    assert "has not answered" in problem_of(lambda: systemd.unit(A))
    asked = len(world.calls)
    for _ in range(5):
        assert "does not answer yet" in problem_of(lambda: systemd.unit(A))
    assert len(world.calls) == asked
    assert systemd.connected, "the connection is kept"
    world.problems.clear()
    world.route.reads_units = False
    world.route.tell(UnitsReloaded())
    assert systemd.events() == [UnitsReloaded()]
    assert systemd.unit(A) == UNIT


def test_one_that_reads_its_units_for_ever_is_asked_again_at_last(
    systemd: Systemd, world: World
) -> None:
    systemd.unit(A)
    world.route.reads_units = True
    world.problems["first", "look"] = Silent("no answer")
    problem_of(lambda: systemd.unit(A))
    world.later(31)
    assert "has not answered" in problem_of(lambda: systemd.unit(A))


# ---- units


def test_a_name_that_is_no_units_is_a_fact_and_asks_nobody(systemd: Systemd, world: World) -> None:
    assert systemd.unit("no unit").load_state == "error"
    assert world.calls == []


def test_a_name_that_systemd_takes_for_no_units_is_a_fact(systemd: Systemd, world: World) -> None:
    name = "org.freedesktop.DBus.Error.InvalidArgs"
    world.problems["first", "look"] = Declined(name, "Unit name a.service is not valid.")
    assert systemd.unit(A) == UnitFact(A, "error", "inactive")
    assert systemd.connected


def test_one_that_may_not_be_asked_for_is_told_of_by_nobody(systemd: Systemd, world: World) -> None:
    name = "org.freedesktop.DBus.Error.AccessDenied"
    world.problems["first", "look"] = Declined(name, "Permission denied")
    words = "systemd does not tell of a.service: Permission denied"
    assert problem_of(lambda: systemd.unit(A)) == words


def test_the_unit_behind_an_alias_is_followed_once_it_is_known(
    systemd: Systemd, world: World
) -> None:
    systemd.follow([A])
    world.units[A] = UnitLook(UNIT, "behind.service", 0, "success")
    assert systemd.unit(A).name == A
    assert world.route.followed == {A: "behind.service"}
    systemd.follow([A, "b.service"])
    assert world.route.followed == {A: "behind.service", "b.service": "b.service"}
    world.units[A] = UnitLook(UNIT, A, 0, "success")
    systemd.unit(A)
    assert world.route.followed[A] == A


def test_only_units_can_be_followed(systemd: Systemd, world: World) -> None:
    systemd.follow([A, "x'; rm -rf", ""])
    assert world.route.followed == {A: A}


def test_to_follow_the_same_again_asks_nobody(systemd: Systemd, world: World) -> None:
    systemd.follow([A])
    asked = len(world.calls)
    systemd.follow({A})
    assert len(world.calls) == asked
    assert systemd.events() == []


# ---- jobs


def test_a_job_ends_when_its_route_says_so(systemd: Systemd, world: World) -> None:
    job = systemd.start_job(A, "restart")
    assert world.route.followed == {A: A}
    world.route.tell(JobEnded(A, job, "timeout"))
    assert systemd.events() == [JobEnded(A, job, "timeout")]
    assert systemd.poll_due() is None


def test_the_end_of_a_job_that_is_lost_is_found(systemd: Systemd, world: World) -> None:
    world.units[A] = UnitLook(UNIT, A, 7, "success")
    job = systemd.start_job(A, "restart")
    world.later(31)
    assert systemd.events() == []
    world.units[A] = UnitLook(UNIT, A, 8, "success")
    world.later(31)
    assert systemd.events() == [JobEnded(A, job, "done")]


def test_a_route_that_tells_nothing_is_polled(systemd: Systemd, world: World) -> None:
    world.problems = {("first", "open"): Gone("no bus"), ("second", "open"): Gone("no socket")}
    world.units[A] = UnitLook(UNIT, A, 7, "exit-code")
    job = systemd.start_job(A, "reload")
    systemd.events()
    looks = 0
    for _ in range(40):
        world.later(0.1)
        systemd.events()
        looks = world.calls.count(("third", "look"))
    assert 3 <= looks <= 8, "with growing gaps"
    world.units[A] = UnitLook(UNIT, A, 0, "exit-code")
    world.later(2.1)
    assert JobEnded(A, job, "failed") in systemd.events()


def test_a_job_outlives_the_route_that_it_was_started_by(systemd: Systemd, world: World) -> None:
    world.units[A] = UnitLook(UNIT, A, 7, "success")
    job = systemd.start_job(A, "restart")
    world.problems["first", ""] = Gone("closed")
    world.later(0.5)
    assert systemd.events() == [ManagerLost(), UnitChanged(A)]
    assert systemd.route == "second"
    world.units[A] = UnitLook(replace(UNIT, result="timeout"), A, 0, "success")
    world.later(2.5)
    assert JobEnded(A, job, "failed") in systemd.events()
    assert systemd.events() == []


def test_a_job_is_not_asked_for_twice(systemd: Systemd, world: World) -> None:
    world.problems["first", "start_job"] = Gone("closed")
    assert problem_of(lambda: systemd.start_job(A, "restart")) == "first was lost: closed"
    assert [call for call in world.calls if call[1] == "start_job"] == [("first", "start_job")]


def test_a_refused_job_is_told_in_systemds_words(systemd: Systemd, world: World) -> None:
    world.problems["first", "start_job"] = Declined("a.b", "Unit a.service is masked.")
    with pytest.raises(UnitRefused, match=r"^Unit a\.service is masked\.$"):
        systemd.start_job(A, "restart")
    with pytest.raises(UnitRefused, match="'b' is not the name of a unit"):
        systemd.start_job("b", "restart")
    assert systemd.connected
    assert systemd.poll_due() is None


def test_a_refused_reload_is_told_in_systemds_words(systemd: Systemd, world: World) -> None:
    world.problems["first", "begin_reload"] = Declined("a.b", "Access denied")
    with pytest.raises(UnitRefused, match="Access denied"):
        systemd.reload_units()


def test_a_job_whose_unit_cannot_be_looked_at_harms_nobody(systemd: Systemd, world: World) -> None:
    systemd.start_job(A, "restart")
    for name in ("first", "second", "third"):
        world.problems[name, ""] = Gone("closed")
        world.problems[name, "open"] = Gone("no")
    world.later(31)
    assert systemd.events() == [ManagerLost()]
    assert problem_of(lambda: systemd.unit(A)).startswith("nobody tells of units")
    assert systemd.events() == []


# ---- probes

NAME = "asks.service"
PROBE = Probe(NAME, A, ("/bin/true",), 10.0)
EXISTS = "org.freedesktop.systemd1.UnitExists"


def ended(
    state: str, *, result: str = "success", ended: str = "", load: str = "loaded", job: bool = False
) -> UnitLook:
    fact = UnitFact(NAME, load, state, "", result, "transient", ended=ended, job=job)
    return UnitLook(fact, NAME, int(job), "")


def taken_away(world: World) -> list[str]:
    return [call for _, call in world.calls if call.startswith(("stop ", "reset "))]


def test_a_probe_that_passes_is_told_by_the_end_of_its_job_and_taken_away(
    systemd: Systemd, world: World
) -> None:
    job = systemd.start_probe(PROBE)
    assert world.route.probes == {NAME}
    assert systemd.events() == []
    world.route.tell(JobEnded(NAME, job, "done"))
    assert systemd.events() == [ProbeEnded(NAME)]
    assert ("first", "look") not in world.calls
    assert taken_away(world) == [f"stop {NAME}"]
    world.route.tell(JobEnded(NAME, job_path(10), "done"))  # of the stop
    assert systemd.events() == []
    assert systemd.poll_due() is None


@pytest.mark.parametrize(
    ("look", "why", "gone"),
    [
        (ended("failed", result="exit-code", ended="exit status 3"), "exit status 3", "reset"),
        (ended("failed", result="timeout", ended="signal TERM"), "took longer than 10 s", "reset"),
        (ended("failed", result="signal", ended="signal KILL"), "signal KILL", "reset"),
        (ended("failed", result="resources"), "resources", "reset"),
        (ended("inactive"), "its job ended as canceled", None),
        (ended("inactive", load="not-found"), "its job ended as canceled", None),
        (ended("active"), "", "stop"),
    ],
)
def test_how_a_probe_ended_is_found_by_a_look(
    systemd: Systemd, world: World, look: UnitLook, why: str, gone: str | None
) -> None:
    job = systemd.start_probe(PROBE)
    world.units[NAME] = look
    world.route.tell(JobEnded(NAME, job, "canceled"))
    assert systemd.events() == [ProbeEnded(NAME, why)]
    assert taken_away(world) == ([f"{gone} {NAME}"] if gone else [])


@pytest.mark.parametrize("look", [ended("deactivating"), ended("inactive", job=True)])
def test_a_probe_whose_job_is_over_before_it_is_runs_on(
    systemd: Systemd, world: World, look: UnitLook
) -> None:
    job = systemd.start_probe(PROBE)
    world.units[NAME] = look
    world.route.tell(JobEnded(NAME, job, "canceled"))
    assert systemd.events() == []
    with pytest.raises(UnitRefused, match=r"^asks\.service has not ended yet$"):
        systemd.start_probe(PROBE)
    world.units[NAME] = ended("failed", result="signal", ended="signal TERM")
    world.route.tell(JobEnded(NAME, job_path(10), "done"))
    assert systemd.events() == [ProbeEnded(NAME, "signal TERM")]
    systemd.start_probe(PROBE)


def test_the_end_of_a_probe_that_is_lost_is_found_once_its_time_is_over(
    systemd: Systemd, world: World
) -> None:
    systemd.start_probe(PROBE)
    world.units[NAME] = ended("active")
    world.later(12)
    assert systemd.events() == []
    world.later(1.5)
    assert systemd.events() == [ProbeEnded(NAME)]


def test_a_route_that_tells_nothing_is_polled_for_the_end_of_a_probe(
    systemd: Systemd, world: World
) -> None:
    world.problems = {("first", "open"): Gone("no bus"), ("second", "open"): Gone("no socket")}
    systemd.start_probe(PROBE)
    world.units[NAME] = ended("activating")
    for _ in range(40):
        world.later(0.1)
        assert systemd.events() == []
    assert 3 <= world.calls.count(("third", "look")) <= 8, "with growing gaps"
    world.units[NAME] = ended("active")
    world.later(2.1)
    assert systemd.events() == [ProbeEnded(NAME)]


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (ended("active"), ""),
        (ended("failed", result="exit-code", ended="exit status 1"), "exit status 1"),
        (ended("inactive", load="not-found"), "nobody saw how it ended"),
    ],
)
def test_a_probe_outlives_the_route_that_it_was_started_by(
    systemd: Systemd, world: World, look: UnitLook, why: str
) -> None:
    systemd.start_probe(PROBE)
    world.problems["first", ""] = Gone("closed")
    assert systemd.events() == [ManagerLost()]
    world.units[NAME] = look
    world.later(2.5)
    assert systemd.events() == [ProbeEnded(NAME, why)]
    (route,) = (each for each in world.routes if each.open)
    assert route.name == "second"
    assert route.probes == {NAME}, "the next route tells of it too"


def test_a_probe_that_nobody_can_look_at_is_looked_at_later(systemd: Systemd, world: World) -> None:
    job = systemd.start_probe(PROBE)
    world.units[NAME] = ended("failed", result="exit-code", ended="exit status 1")
    world.route.tell(JobEnded(NAME, job, "failed"))
    world.problems = {("first", "look"): Gone("closed")}
    for name in ("second", "third"):
        world.problems[name, "open"] = Gone("no")
    assert systemd.events() == [ManagerLost()]
    world.problems.clear()
    world.later(2.5)
    assert systemd.events() == [ProbeEnded(NAME, "exit status 1")]


def test_a_probe_that_is_no_longer_wanted_ends_and_is_not_told(
    systemd: Systemd, world: World
) -> None:
    job = systemd.start_probe(PROBE)
    systemd.stop_probe(NAME)
    assert taken_away(world) == [f"stop {NAME}"]
    world.units[NAME] = ended("failed", result="signal", ended="signal TERM")
    world.route.tell(JobEnded(NAME, job, "canceled"))
    assert systemd.events() == []
    assert taken_away(world) == [f"stop {NAME}", f"reset {NAME}"]
    assert systemd.poll_due() is None
    systemd.stop_probe(NAME)
    assert len(taken_away(world)) == 2


def test_to_stop_a_probe_raises_nothing(systemd: Systemd, world: World) -> None:
    systemd.start_probe(PROBE)
    for name in ("first", "second", "third"):
        world.problems[name, ""] = Gone("closed")
        world.problems[name, "open"] = Gone("no")
    systemd.stop_probe(NAME)
    systemd.stop_probe("b.service")


def test_what_is_left_over_of_a_probe_goes_before_the_next(systemd: Systemd, world: World) -> None:
    refusals = [Declined(EXISTS, "Unit asks.service was already loaded.")] * 2
    world.units[NAME] = ended("failed", result="exit-code", ended="exit status 1")

    class Refusing(FakeRoute):
        def start_probe(self, probe: Probe, seconds: float) -> str:
            if refusals:
                raise refusals.pop()
            return super().start_probe(probe, seconds)

    systemd.unit(A)
    world.route.__class__ = Refusing
    job = systemd.start_probe(PROBE)
    assert taken_away(world) == [f"reset {NAME}"] * 2
    world.route.tell(JobEnded(NAME, job, "done"))
    assert systemd.events() == [ProbeEnded(NAME)]


def test_one_that_still_runs_is_stopped_and_the_next_refused_for_now(
    systemd: Systemd, world: World
) -> None:
    world.units[NAME] = ended("activating")
    world.problems["first", "start_probe"] = Declined(EXISTS, "Unit asks.service was loaded.")
    with pytest.raises(UnitRefused, match=r"^Unit asks\.service was loaded\.$"):
        systemd.start_probe(PROBE)
    assert taken_away(world) == [f"stop {NAME}"]
    assert world.calls.count(("first", "start_probe")) == 1
    world.problems.clear()
    systemd.start_probe(PROBE)


def test_a_unit_of_somebody_else_that_has_the_name_is_left_alone(
    systemd: Systemd, world: World
) -> None:
    theirs = UnitFact(NAME, "loaded", "active", unit_file_state="static")
    world.units[NAME] = UnitLook(theirs, NAME, 0, "")
    world.problems["first", "start_probe"] = Declined(EXISTS, "Unit asks.service was loaded.")
    with pytest.raises(UnitRefused, match="was loaded"):
        systemd.start_probe(PROBE)
    assert world.calls.count(("first", "start_probe")) == 1
    assert taken_away(world) == []


def test_a_name_that_never_comes_free_is_refused_at_last(systemd: Systemd, world: World) -> None:
    world.units[NAME] = ended("inactive")
    world.problems["first", "start_probe"] = Declined(EXISTS, "Unit asks.service was loaded.")
    with pytest.raises(UnitRefused, match="was loaded"):
        systemd.start_probe(PROBE)
    assert 1 < world.calls.count(("first", "start_probe")) < 10


def test_another_refusal_is_told_in_systemds_words(systemd: Systemd, world: World) -> None:
    world.units[NAME] = ended("inactive", load="not-found")
    world.problems["first", "start_probe"] = Declined("a.Destructive", "Transaction is destructive")
    with pytest.raises(UnitRefused, match=r"^Transaction is destructive$"):
        systemd.start_probe(PROBE)
    assert world.calls.count(("first", "start_probe")) == 1
    assert systemd.poll_due() is None


def test_a_probe_is_not_asked_for_twice(systemd: Systemd, world: World) -> None:
    world.problems["first", "start_probe"] = Gone("closed")
    assert problem_of(lambda: systemd.start_probe(PROBE)) == "first was lost: closed"
    assert [call for call in world.calls if call[1] == "start_probe"] == [("first", "start_probe")]


@pytest.mark.parametrize(
    ("name", "unit"), [("asks", A), ("asks.socket", A), ("a b.service", A), (NAME, "a"), ("", "")]
)
def test_a_probe_takes_names_of_units(systemd: Systemd, world: World, name: str, unit: str) -> None:
    with pytest.raises(UnitRefused, match="takes names of units"):
        systemd.start_probe(replace(PROBE, name=name, unit=unit))
    assert world.calls == []


def test_a_probe_that_could_not_be_listened_for_is_listened_for_the_next_time(
    systemd: Systemd, world: World
) -> None:
    systemd.unit(A)
    world.route.reads_units = True
    world.problems["first", "follow"] = Silent("no answer")
    assert "has not answered" in problem_of(lambda: systemd.start_probe(PROBE))
    world.problems.clear()
    world.later(31)
    systemd.start_probe(PROBE)
    assert world.route.probes == {NAME}


def test_to_follow_others_forgets_names_of_probes_but_not_of_those_that_run(
    systemd: Systemd, world: World
) -> None:
    other = replace(PROBE, name="other.service")
    job = systemd.start_probe(PROBE)
    world.route.tell(JobEnded(NAME, job, "done"))
    systemd.start_probe(other)
    systemd.events()
    assert world.route.probes == {NAME, "other.service"}
    systemd.follow([A])
    assert world.route.probes == {"other.service"}
    systemd.start_probe(PROBE)
    assert world.route.probes == {NAME, "other.service"}


# ---- inhibitors


def test_inhibitors_are_those_that_the_route_tells(systemd: Systemd, world: World) -> None:
    assert systemd.inhibitors() == (Inhibitor(7, "backup", "running"),)
    for name in ("first", "second", "third"):
        world.problems[name, ""] = Gone("closed")
        world.problems[name, "open"] = Gone("no")
    assert systemd.inhibitors() == ()
