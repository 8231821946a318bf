"""A service near a limit: told once, beside whatever else there is, and nothing done about it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from jada_configd.core.facts import Owed
from jada_configd.core.ledger import Ledger
from jada_configd.core.report import Reconciled, Report
from jada_configd.core.specs import ServiceSpec
from jada_configd.core.status import Board, overall, state_of
from jada_configd.core.usage import LOOK_EVERY_NS
from jada_configd.reconcile import Reconciler
from jada_configd.sinks.records import Records
from jada_configd.takeup import TakeUp
from tests.fake_host import SECOND_NS, FakeHost, Looks, Unit
from tests.fake_loop import FakeLoop
from tests.kinds.worlds import AGENT, policy, service_spec

LIMIT = 1000
NEAR = "process {pid} (agent) has reached 80 % of the nofile limit of 1000"
EASED = "the use of nofile is within what the policy allows again"


@pytest.fixture
def host() -> FakeHost:
    """A unit that may have 1,000 files open, and has one."""
    host = FakeHost()
    host.add_unit(Unit(AGENT, own={"nofile": (LIMIT, LIMIT)}, can_reload=True))
    host.start(AGENT, ago_ns=100 * SECOND_NS)
    return host


class Watched:
    """A daemon on a fake host, with what it tells the journal."""

    def __init__(self, host: FakeHost, spec: ServiceSpec | None = None) -> None:
        self.host = host
        self.records: list[tuple[str, str]] = []
        self._board = Board({})
        self._sink = Records(self._send)
        self._loop = FakeLoop(host, policy(services=(spec or held(),)))
        self._told = 0
        self.settle()

    def settle(self) -> Report:
        """Let everything happen that is due or under way; the last report."""
        self._loop.settle()
        for report in self._loop.history[self._told :]:
            if self._board.take(report, "now"):
                self._sink.handle(Reconciled(report))
        self._told = len(self._loop.history)
        return self._loop.history[-1]

    def use(self, files: int) -> Report:
        """It has so many files open when it is next looked at."""
        self.host.units[AGENT].used["nofile"] = files
        self._loop.sweep()
        return self.settle()

    def owe(self, *, stale: bool = True) -> Report:
        self.host.ledger.owe(AGENT, Owed(stale, self.host.now_ns, ("/model",)))
        self._loop.sweep()
        return self.settle()

    @property
    def pid(self) -> int:
        process = self.host.units[AGENT].process
        assert process is not None
        return process.pid

    def problem(self) -> str:
        return NEAR.format(pid=self.pid)

    def _send(
        self, event: str, text: str, _priority: int, fields: Mapping[str, str | Sequence[str]]
    ) -> None:
        assert fields["JADA_RESOURCE"] == f"service:{AGENT}"
        self.records.append((event, text.partition(f"service:{AGENT}: ")[2]))


def held(**other: Any) -> ServiceSpec:  # noqa: ANN401 - of the spec
    return service_spec(**{"usage": {"nofile": 0.8}, **other})


def test_a_service_past_its_threshold_is_drift_that_nothing_is_done_about(host: FakeHost) -> None:
    watched = Watched(host)
    report = watched.use(812)
    assert (report.result, report.problem) == ("drifted", watched.problem())
    assert overall([report], ()) == ("drifted", f"service:{AGENT}: {watched.problem()}")
    assert not report.settled
    assert report.actions == ()
    assert host.attempts == 0


def test_one_record_is_made_when_it_is_passed_and_one_when_it_is_over(host: FakeHost) -> None:
    watched = Watched(host)
    for files in (790, 812, 850, 890, 760, 899, 812, 730):
        watched.use(files)
    assert watched.records == [("drift", watched.problem())]
    assert watched.use(719).result == "in-sync"
    watched.use(780)
    watched.use(700)
    assert watched.records == [("drift", watched.problem()), ("eased", EASED)]


def test_what_is_over_beside_what_is_not_makes_no_second_record_of_that(host: FakeHost) -> None:
    watched = Watched(host, held(usage={"nofile": 0.8, "nproc": 0.5}))
    watched.use(812)
    host.units[AGENT].used["nproc"] = 9000
    watched.use(812)
    assert [event for event, _ in watched.records] == ["drift", "drift"]
    host.units[AGENT].used["nproc"] = 1
    assert watched.use(812).problem == watched.problem()
    assert [event for event, _ in watched.records] == ["drift", "drift", "eased"]
    host.units[AGENT].used["nproc"] = 9000
    watched.use(1)
    assert [event for event, _ in watched.records][3:] == ["eased", "drift"]


def test_what_has_a_threshold_is_looked_at_without_a_hint(host: FakeHost) -> None:
    watched = Watched(host)
    report = watched.use(10)
    assert report.look_by_ns == report.detected_ns + LOOK_EVERY_NS
    host.units[AGENT].used["nofile"] = 900
    assert watched.settle().result == "drifted"


def test_what_has_none_is_not(host: FakeHost) -> None:
    watched = Watched(host, service_spec())
    report = watched.use(999)
    assert (report.result, report.look_by_ns, report.again_ns) == ("in-sync", None, None)


def test_what_does_not_run_is_not(host: FakeHost) -> None:
    watched = Watched(host)
    host.stop(AGENT)
    report = watched.settle()
    assert (report.result, report.look_by_ns) == ("in-sync", None)


def test_the_end_of_a_unit_is_the_end_of_its_strain(host: FakeHost) -> None:
    watched = Watched(host)
    watched.use(900)
    host.stop(AGENT)
    watched.settle()
    assert [event for event, _ in watched.records] == ["drift", "eased"]


def test_a_debt_is_paid_whatever_is_used_and_both_are_told(host: FakeHost) -> None:
    watched = Watched(host, held(apply="none"))
    watched.use(812)
    report = watched.owe()
    assert [change.field for change in report.drift.changes] == [("loaded",)]
    assert report.problem == f"waits for a restart of {AGENT} by hand (apply = 'none'); " + (
        watched.problem()
    )
    assert state_of(report) == "drifted"
    assert report.look_by_ns is not None


def test_a_job_is_made_for_a_debt_alone_and_its_end_is_told(host: FakeHost) -> None:
    watched = Watched(host, held(apply="reload"))
    watched.use(812)
    report = watched.owe(stale=False)
    assert [str(action) for action in host.done] == [f"reload {AGENT}"]
    assert host.ledger.owed(AGENT) is None
    assert (report.result, report.problem) == ("drifted", watched.problem())
    assert "corrected" in [event for event, _ in watched.records]
    assert not any(each.result == "corrected" and each.settled for each in watched._loop.history)
    watched.settle()
    assert len(host.done) == 1


def test_what_ails_a_unit_is_told_before_what_it_uses(host: FakeHost) -> None:
    watched = Watched(host)
    watched.use(812)
    host.units[AGENT].load_state = "bad-setting"
    problem = watched.use(812).problem
    assert problem is not None
    first, second = problem.split(f"; {'process'}")
    assert first.startswith(f"{AGENT} does not load (bad-setting)")
    assert f"process{second}" == watched.problem()


def test_in_observe_mode_it_is_reported(host: FakeHost) -> None:
    report = Watched(host, held(mode="observe")).use(812)
    assert (report.result, state_of(report)) == ("reported", "drifted")


def test_a_look_alone_finds_it_too(host: FakeHost) -> None:
    host.units[AGENT].used["nofile"] = 1000
    takeup = TakeUp(Looks(host), Ledger(), lambda: None, lambda *_: None)
    checker = Reconciler(Looks(host), Ledger(), takeup, host.clock_ns, lambda *_: None)
    loop = FakeLoop(host, policy(services=(held(),)))
    (report,) = checker.check([(each, "operator") for each in loop.resources.values()])
    assert report.result == "drifted"
    assert "has reached 100 % of the nofile limit of 1000" in str(report.problem)


def test_a_threshold_that_means_nothing_here_is_said_to(host: FakeHost) -> None:
    report = Watched(host, held(usage={"tasks": 0.5})).use(812)
    assert (report.result, report.problem) == (
        "in-sync",
        "nobody can tell how much is used of tasks here",
    )


def test_nobody_who_can_be_asked_is_not_the_end_of_a_strain(host: FakeHost) -> None:
    watched = Watched(host)
    watched.use(812)
    host.manager_is_gone = True
    assert watched.use(812).result == "failed"
    host.manager_is_gone = False
    assert watched.use(812).problem == watched.problem()
    assert "eased" not in [event for event, _ in watched.records]
