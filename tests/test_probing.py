"""Rounds of probes, and of busy commands, with a manager that takes them and a clock by hand."""

import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from jada_configd.core.facts import Probe, UnitFact
from jada_configd.core.probes import Question, probe_name
from jada_configd.core.specs import HealthSpec, ServiceSpec
from jada_configd.core.trial import Round
from jada_configd.errors import HostError
from jada_configd.probing import AGAIN_NS, LATE_NS, Probing
from tests.kinds.worlds import AGENT, OTHER, service_spec

SECOND = 1_000_000_000
START = 1000 * SECOND
NO = "exit status 10"
COMMAND = probe_name("command", AGENT)
URL = probe_name("url", AGENT)
SHOWS = probe_name("journal_must", AGENT)
LACKS = probe_name("journal_must_not", AGENT)
BUSY = probe_name("busy", AGENT)
HEALTH = HealthSpec(every=10.0, timeout=5.0, command=("/check",))
ALL = replace(HEALTH, url="http://[::1]/", journal_must="ready", journal_must_not="panic")
BUSY_COMMAND = ("/is-busy",)


class Manager:
    """Takes probes, and says what it was asked for."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.refuses: set[str] = set()

    def start_probe(self, probe: Probe) -> str:
        if probe.name in self.refuses:
            raise HostError("no bus")
        self.started.append(probe.name)
        return "/job/1"

    def stop_probe(self, name: str) -> None:
        self.stopped.append(name)

    def take(self) -> list[str]:
        """What was started since the last call."""
        started, self.started = self.started, []
        return started


class Questions:
    """What is asked, and of which time."""

    def __init__(self) -> None:
        self.since: dict[Question, float] = {}
        self.troubled = False

    def health(self, question: Question, spec: ServiceSpec, since: float) -> Probe:
        if self.troubled:
            raise HostError("there is no grep here")
        self.since[question] = since
        return Probe(probe_name(question, spec.unit), spec.unit, (question,), spec.health.timeout)

    def busy(self, spec: ServiceSpec) -> Probe | None:
        if not isinstance(spec.busy, tuple):
            return None
        return Probe(probe_name("busy", spec.unit), spec.unit, spec.busy, spec.health.timeout)


class Asking:
    """Probing with all that it asks; time goes on by hand."""

    def __init__(self, *specs: ServiceSpec, manager: bool = True) -> None:
        self.manager = Manager()
        self.questions = Questions()
        self.units: dict[str, UnitFact] = {}
        self.owing: set[str] = set()
        self.now_ns = START
        self.probing = Probing(
            self.manager if manager else None,
            self.questions,
            lambda: self.units,
            self.owing.__contains__,
        )
        self.serve(*specs)
        for spec in specs:
            self.starts(spec.unit)

    def serve(self, *specs: ServiceSpec) -> None:
        self.probing.serve({spec.unit: spec for spec in specs})

    def starts(self, unit: str = AGENT, active: str = "active") -> None:
        """Another main process."""
        self.units[unit] = UnitFact(
            unit, "loaded", active, main_pid=self.now_ns // SECOND, main_started_ns=self.now_ns
        )

    def turn(self, seconds: float = 0.0) -> list[str]:
        """Time passes; the units that there is news of."""
        self.now_ns += round(seconds * SECOND)
        return self.probing.turn(self.now_ns)

    def ends(self, name: str, why: str = "", after: float = 0.1) -> str | None:
        self.now_ns += round(after * SECOND)
        return self.probing.ended(name, why, self.now_ns)

    def round(self, unit: str = AGENT) -> Round:
        return self.probing.rounds[unit]


def one(health: HealthSpec = HEALTH, **other: object) -> ServiceSpec:
    return replace(service_spec(), health=health, **other)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ rounds


def test_a_round_asks_all_at_once_and_ends_with_the_last_answer() -> None:
    asking = Asking(one(ALL))
    assert asking.turn() == []
    assert asking.manager.take() == [COMMAND, URL, SHOWS, LACKS]
    assert [asking.ends(each) for each in (URL, LACKS, COMMAND)] == [None] * 3
    assert AGENT not in asking.probing.rounds
    assert asking.ends(SHOWS) == AGENT
    main = (START // SECOND, START)
    assert asking.round() == Round(main, START, asking.now_ns, ())
    assert asking.round().passed


def test_what_one_says_no_to_is_in_it_and_the_others_are_waited_for() -> None:
    asking = Asking(one(ALL))
    asking.turn()
    assert asking.ends(COMMAND, "exit status 3") is None
    assert asking.ends(URL, NO) is None
    asking.ends(SHOWS)
    asking.ends(LACKS)
    assert asking.round().failures == (
        "its health command ended with exit status 3",
        "http://[::1]/ did not answer 200",
    )
    assert not asking.round().passed


def test_the_next_one_is_asked_by_the_clock() -> None:
    asking = Asking(one())
    assert asking.probing.due_ns() == 0
    asking.turn()
    asking.ends(COMMAND)
    asking.manager.take()
    assert asking.probing.due_ns() == asking.now_ns + 10 * SECOND
    asking.turn(9.9)
    assert asking.manager.take() == []
    asking.turn(0.1)
    assert asking.manager.take() == [COMMAND]


def test_or_at_once_where_somebody_has_to_know() -> None:
    asking = Asking(one())
    asking.turn()
    asking.ends(COMMAND)
    asking.manager.take()
    asking.probing.ask(AGENT, asking.now_ns + SECOND)
    asking.probing.ask(AGENT, asking.now_ns + 5 * SECOND)
    assert asking.probing.due_ns() == asking.now_ns + SECOND
    asking.turn(1.0)
    assert asking.manager.take() == [COMMAND]


def test_who_is_being_asked_is_not_asked_beside_it() -> None:
    asking = Asking(one())
    asking.turn()
    asking.manager.take()
    asking.probing.ask(AGENT, asking.now_ns)
    asking.turn(1.0)
    assert asking.manager.take() == []
    assert asking.probing.due_ns() == START + 5 * SECOND + LATE_NS


@pytest.mark.parametrize("active", ["inactive", "failed", "activating", "deactivating"])
def test_what_does_not_run_is_asked_nothing(active: str) -> None:
    asking = Asking(one())
    asking.starts(active=active)
    asking.turn(60.0)
    asking.units.clear()
    asking.turn(60.0)
    assert asking.manager.take() == []
    assert AGENT not in asking.probing.rounds


def test_a_service_without_probes_is_asked_nothing() -> None:
    asking = Asking(one(HealthSpec()))
    asking.turn(60.0)
    assert (asking.manager.take(), asking.probing.due_ns()) == ([], None)


def test_each_service_is_asked_by_itself() -> None:
    asking = Asking(one(), replace(one(), unit=OTHER))
    asking.turn()
    assert asking.manager.take() == [COMMAND, probe_name("command", OTHER)]
    assert asking.ends(probe_name("command", OTHER), "exit status 3") == OTHER
    assert AGENT not in asking.probing.rounds
    assert asking.ends(COMMAND) == AGENT
    assert (asking.round().passed, asking.round(OTHER).passed) == (True, False)


def test_a_round_is_of_the_process_that_ran_when_it_began() -> None:
    asking = Asking(one())
    asking.turn()
    main = asking.units[AGENT].main_pid
    asking.now_ns += SECOND
    asking.starts()
    asking.ends(COMMAND)
    assert asking.round().main == (main, START)


# ------------------------------------------------------------------------------ no answer


def test_who_cannot_be_asked_is_not_unhealthy() -> None:
    asking = Asking(one())
    asking.manager.refuses.add(COMMAND)
    asking.turn()
    found = asking.round()
    assert (found.failures, found.unasked) == ((), ("it cannot be asked: no bus",))
    assert not found.passed


def test_one_question_that_cannot_be_asked_does_not_spoil_the_others() -> None:
    asking = Asking(one(ALL))
    asking.manager.refuses.add(URL)
    asking.turn()
    asking.ends(COMMAND, "exit status 1")
    asking.ends(SHOWS)
    asking.ends(LACKS)
    assert asking.round().failures == ("its health command ended with exit status 1",)
    assert asking.round().unasked == ("it cannot be asked: no bus",)


def test_a_question_for_which_the_host_has_no_program_is_unasked() -> None:
    asking = Asking(one())
    asking.questions.troubled = True
    asking.turn()
    assert asking.round().unasked == ("it cannot be asked: there is no grep here",)


@pytest.mark.parametrize("why", ["exit status 69", "exit status 1", "signal KILL", "took longer"])
def test_a_probe_of_ours_that_fails_says_nothing_of_the_service(why: str) -> None:
    asking = Asking(one(replace(ALL, command=(), journal_must=None, journal_must_not=None)))
    asking.turn()
    asking.ends(URL, why)
    assert asking.round().failures == ()
    assert asking.round().unasked[0].startswith("http://[::1]/ cannot be asked: ")


def test_an_answer_that_does_not_come_ends_the_round_without_one() -> None:
    asking = Asking(one(ALL))
    asking.turn()
    for name in (COMMAND, URL, SHOWS):
        asking.ends(name, after=0.0)
    assert asking.turn(9.9) == []
    assert asking.turn(0.1) == [AGENT]
    found = asking.round()
    assert (found.failures, found.unasked) == ((), (f"{LACKS} has not ended",))


def test_one_that_comes_too_late_is_news_of_nothing() -> None:
    asking = Asking(one())
    asking.turn()
    asking.turn(10.0)
    late = asking.round()
    assert asking.ends(COMMAND, "exit status 1") is None
    assert asking.round() is late


def test_the_end_of_somebody_elses_unit_is_no_answer() -> None:
    asking = Asking(one())
    asking.turn()
    assert asking.ends("jada-configd-health-command-x.service") is None
    assert asking.ends(COMMAND) == AGENT
    assert asking.ends(COMMAND) is None


def test_where_no_manager_is_nothing_is_asked() -> None:
    asking = Asking(one(), manager=False)
    assert (asking.turn(), asking.probing.due_ns()) == ([], None)
    asking.probing.forget(AGENT)


# ------------------------------------------------------------------------------ the journal


def answered(asking: Asking) -> None:
    for name in asking.manager.take():
        asking.ends(name)


def test_what_the_journal_must_show_is_looked_for_until_it_is_found() -> None:
    asking = Asking(one(ALL))
    asking.turn()
    asking.ends(SHOWS, NO)
    for name in (COMMAND, URL, LACKS):
        asking.ends(name)
    assert asking.round().failures == ("its journal does not show ready",)
    asking.manager.take()
    asking.turn(10.0)
    assert SHOWS in asking.manager.started
    answered(asking)
    asking.turn(10.0)
    assert asking.manager.started == [COMMAND, URL, LACKS]
    answered(asking)
    assert asking.round().passed


def test_another_process_has_to_show_it_anew() -> None:
    asking = Asking(one(ALL))
    asking.turn()
    answered(asking)
    asking.now_ns += SECOND
    asking.starts()
    asking.turn(10.0)
    assert asking.manager.take() == [COMMAND, URL, SHOWS, LACKS]


def since_ns(asking: Asking, question: Question) -> int:
    """Of when the journal was asked, by the clock that goes by hand."""
    ago = time.time() - asking.questions.since[question]
    return asking.now_ns - round(ago * SECOND)


def near(one: int, other: int) -> bool:
    return abs(one - other) < SECOND


def test_what_it_must_not_show_is_looked_for_from_where_the_last_look_began() -> None:
    asking = Asking(one(ALL))
    asking.now_ns += 100 * SECOND
    asking.turn()
    assert near(since_ns(asking, "journal_must_not"), START)
    begun_ns = asking.now_ns
    answered(asking)
    asking.turn(50.0)
    assert near(since_ns(asking, "journal_must_not"), begun_ns)


def test_but_from_the_start_of_its_process_where_it_was_found() -> None:
    asking = Asking(one(ALL))
    asking.now_ns += 100 * SECOND
    asking.turn()
    for name in asking.manager.take():
        asking.ends(name, NO if name == LACKS else "")
    assert asking.round().failures == ("its journal shows panic",)
    asking.turn(50.0)
    assert near(since_ns(asking, "journal_must_not"), START)


# ------------------------------------------------------------------------------ given up


def test_what_is_forgotten_is_stopped_and_asked_anew() -> None:
    asking = Asking(one(ALL))
    asking.turn()
    asking.ends(COMMAND)
    asking.manager.take()
    asking.probing.forget(AGENT)
    assert asking.manager.stopped == [URL, SHOWS, LACKS]
    assert asking.ends(URL, NO) is None
    assert AGENT not in asking.probing.rounds
    asking.turn()
    assert asking.manager.take() == [COMMAND, URL, SHOWS, LACKS]


def test_another_policy_with_the_same_questions_goes_on_with_them() -> None:
    asking = Asking(one())
    asking.turn()
    asking.serve(one(min_interval=7.0))
    assert asking.manager.stopped == []
    assert asking.ends(COMMAND) == AGENT


@pytest.mark.parametrize("specs", [(), (one(replace(HEALTH, command=("/other",))),)])
def test_other_questions_or_none_give_it_up(specs: tuple[ServiceSpec, ...]) -> None:
    asking = Asking(one())
    asking.turn()
    asking.serve(*specs)
    assert asking.manager.stopped == [COMMAND]
    assert asking.ends(COMMAND) is None


# ------------------------------------------------------------------------------ busy


def busy() -> Asking:
    asking = Asking(one(HealthSpec(), busy=BUSY_COMMAND))
    asking.owing.add(AGENT)
    return asking


def test_nobody_is_asked_whether_he_is_busy_before_that_counts() -> None:
    asking = busy()
    asking.owing.clear()
    asking.turn(60.0)
    assert (asking.manager.take(), asking.probing.due_ns()) == ([], None)


def test_who_has_not_said_yet_counts_as_busy() -> None:
    asking = busy()
    assert asking.probing.busy(AGENT) == "its busy command has not answered yet"
    asking.turn()
    assert asking.manager.take() == [BUSY]
    assert asking.probing.busy(AGENT) == "its busy command has not answered yet"


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("", "its busy command says so"),
        ("exit status 1", None),
        ("took longer than 5 s", "its busy command took longer than 5 s, and counts as busy"),
    ],
)
def test_the_answer_says_so(why: str, said: str | None) -> None:
    asking = busy()
    asking.turn()
    assert asking.ends(BUSY, why) == AGENT
    assert asking.probing.busy(AGENT) == said


def test_it_is_asked_once_a_second_for_as_long_as_it_counts() -> None:
    asking = busy()
    asking.turn()
    asking.ends(BUSY)
    asking.manager.take()
    assert asking.probing.due_ns() == asking.now_ns + AGAIN_NS
    asking.turn(0.9)
    assert asking.manager.take() == []
    asking.turn(0.1)
    assert asking.manager.take() == [BUSY]
    asking.turn(3.0)
    assert asking.manager.take() == []


def test_one_whose_answer_is_lost_is_asked_again() -> None:
    asking = busy()
    asking.turn()
    asking.manager.take()
    asking.turn(14.9)
    assert asking.manager.take() == []
    asking.turn(0.1)
    assert asking.manager.take() == [BUSY]


def test_one_that_cannot_be_asked_counts_as_busy_and_is_asked_again() -> None:
    asking = busy()
    asking.manager.refuses.add(BUSY)
    asking.turn()
    assert asking.probing.busy(AGENT) == "its busy command has not answered yet"
    assert asking.probing.due_ns() == asking.now_ns + AGAIN_NS
    asking.manager.refuses.clear()
    asking.turn(1.0)
    assert asking.manager.take() == [BUSY]


@pytest.mark.parametrize("command", [None, "/run/busy"])
def test_a_file_or_nothing_is_not_asked(command: str | None) -> None:
    asking = Asking(one(HealthSpec(), busy=command))
    asking.owing.add(AGENT)
    asking.turn(60.0)
    assert asking.manager.take() == []
    assert asking.probing.busy(AGENT) is None
    assert asking.probing.busy("unknown.service") is None


def test_the_moments_are_those_of_a_mapping_that_is_read_each_time() -> None:
    """Units come and go in what was last seen of them."""
    asking = Asking(one())
    known: Mapping[str, UnitFact] = dict(asking.units)
    asking.units.clear()
    asking.turn()
    assert asking.manager.take() == []
    asking.units.update(known)
    asking.turn()
    assert asking.manager.take() == [COMMAND]
