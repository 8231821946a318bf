"""Contests in a pass: a rival changes a field back; what waits, what does not, what is told."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jada_configd.core.account import Account
from jada_configd.core.actions import ReplaceFile, StartJob
from jada_configd.core.contest import QUIET_NS
from jada_configd.core.model import Exactly, Field, Gone, ResourceId
from jada_configd.core.report import Reconciled, Report
from jada_configd.core.specs import Policy
from jada_configd.core.status import Board, overall, state_of
from jada_configd.kinds import KINDS
from jada_configd.policy.windows import window
from jada_configd.sinks.records import Records
from tests.fake_host import MILLISECOND_NS, SECOND_NS, FakeHost, Unit
from tests.fake_loop import FakeLoop
from tests.kinds.worlds import (
    AGENT,
    HOME,
    OPT,
    drop_in,
    policy,
    service_spec,
    settings_spec,
    sysctl_spec,
)

SETTINGS = ResourceId("settings", HOME)
ELSEWHERE = ResourceId("settings", OPT)
DROP_IN = ResourceId("unit-dropin", AGENT)
LIMITS = ResourceId("process-limits", AGENT)
SERVICE = ResourceId("service", AGENT)
GOOD = b'{"model": "sonnet"}'
BAD = b'{"model": "haiku"}'
STEP_NS = 100 * MILLISECOND_NS
SENTENCE = (
    '/model is changed back again and again, 11 times within 1.0 s, to "haiku" each time; '
    "it is corrected with growing gaps, up to 1 m, and services are left alone"
)
HELD = policy((settings_spec(services=(AGENT,)),), (service_spec(when="always"),))
RULES: dict[Field, Exactly | Gone] = {
    ("model",): Exactly("sonnet"),
    ("permissions", "defaultMode"): Exactly("plan"),
    ("hooks",): Gone(),
}


class Fought:
    """A daemon on a fake host, with what it tells, and the time of what it does."""

    def __init__(self, held: Policy = HELD) -> None:
        self.host = FakeHost()
        for path in (HOME, OPT):
            self.host.write(path, GOOD)
        self.host.add_unit(Unit(AGENT))
        self.host.start(AGENT, ago_ns=100 * SECOND_NS)
        self.records: list[tuple[str, str, Sequence[str]]] = []
        self.board = Board({})
        self.account = Account(0)
        self.told: list[Report] = []
        self._sink = Records(
            lambda event, text, _, fields: self.records.append((event, text, fields["JADA_FIELD"]))
        )
        self.loop = FakeLoop(self.host, held)
        self.loop.settle()
        self.host.advance(SECOND_NS)
        self.loop.history.clear()
        self.writes: list[tuple[int, str]] = []
        self.jobs: list[int] = []
        self.host.before.append(self._note)

    def _note(self, action: object) -> None:
        if isinstance(action, ReplaceFile):
            self.writes.append((self.host.now_ns, action.path))
        elif isinstance(action, StartJob):
            self.jobs.append(self.host.now_ns)

    def turn(self) -> None:
        """Whatever is due now, and all that it has under way."""
        self._look()
        while self.host.reloads or self.host.jobs:
            if self.host.reloads:
                self.host.finish_reload()
            else:
                self.host.step_job(self.host.jobs[0])
            self.host.advance(4 * MILLISECOND_NS)
            self._look()
        for report in self.loop.history:
            if self.board.take(report, "now"):
                self.told.append(report)
                self._sink.handle(Reconciled(report))
                self.account.take(Reconciled(report), 1.0)
        self.loop.history.clear()

    def _look(self) -> None:
        for _ in range(3):  # what a correction asks of a service is due right after it
            self.loop.hear()
            self.loop.turn()

    def fight(self, seconds: float, act: Callable[[], object] | None = None) -> None:
        """Somebody puts the wrong value back a tenth of a second after each correction."""
        for _ in range(round(seconds * SECOND_NS / STEP_NS)):
            self.host.advance(STEP_NS)
            if act is not None:
                act()
            elif self.host.files[HOME].data == GOOD:
                self.host.write(HOME, BAD)
            self.turn()

    def wait(self, seconds: float) -> None:
        """Nobody does anything for so long."""
        end_ns = self.host.now_ns + round(seconds * SECOND_NS)
        self.turn()
        while self.host.now_ns < end_ns:
            due_ns = min((at for at, _ in self.loop.schedule._due.values()), default=end_ns)
            self.host.advance(max(0, min(due_ns, end_ns) - self.host.now_ns))
            self.turn()

    def report(self, resource: ResourceId = SETTINGS) -> Report:
        return self.loop.reports[resource]

    def said(self, event: str, about: str = "") -> list[str]:
        return [text for each, text, _ in self.records if each == event and about in text]

    def states(self) -> set[str]:
        return {state_of(each) for each in self.loop.reports.values()}


# ------------------------------------------------------------------------------ the fight


def test_the_eleventh_correction_within_a_minute_is_told_as_a_contest_and_no_more_after_it() -> (
    None
):
    fought = Fought()
    fought.fight(1.0)
    assert len(fought.said("corrected", HOME)) == 10
    assert fought.said("contested") == []
    fought.fight(120)
    assert len(fought.said("corrected", HOME)) == 10
    (record,) = (each for each in fought.records if each[0] == "contested")
    assert record == ("contested", f"{SETTINGS} is contested: {SENTENCE}", ["/model"])
    assert {each for each, _, _ in fought.records} == {"corrected", "contested"}


def test_it_is_corrected_with_growing_gaps_and_what_is_corrected_is_counted() -> None:
    fought = Fought(policy((settings_spec(),)))
    fought.fight(300)
    at = [at_ns for at_ns, _ in fought.writes][10:]
    gaps = [(later - at_ns) / SECOND_NS for at_ns, later in pairwise(at)]
    assert [round(gap) for gap in gaps] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert all(gap >= 1 for gap in gaps)
    assert fought.board.counters.corrections == len(fought.writes) == 20
    assert fought.board.entries[SETTINGS].corrections == 20
    assert fought.account.corrections == {"settings": 20}
    assert fought.account.contests == {"settings": 1}
    assert fought.account.contested == {"settings": 1}
    assert fought.account.drifts["settings"] == 11
    assert len(fought.told) == 20  # and nothing of what it is between two of them


def test_it_says_that_it_is_contested_whether_it_is_right_at_that_moment_or_not() -> None:
    fought = Fought()
    fought.fight(10)
    wrong = fought.report()
    assert (wrong.result, wrong.problem) == ("contested", SENTENCE)
    assert [change.have for change in wrong.drift.changes] == ["haiku"]
    assert wrong.again_ns is not None
    assert wrong.again_ns - fought.host.now_ns < 60 * SECOND_NS
    fought.wait(60)
    right = fought.report()
    assert fought.host.files[HOME].data == GOOD
    assert (right.result, right.problem) == ("contested", SENTENCE)
    assert overall([right], []) == ("contested", f"{SETTINGS}: {SENTENCE}")
    assert not right.settled
    told = len(fought.told)
    fought.loop.sweep()
    fought.turn()
    assert len(fought.told) == told


def test_it_is_over_after_ten_quiet_minutes_and_that_is_told_once() -> None:
    fought = Fought()
    fought.fight(20)
    fought.wait(60)
    fought.records.clear()
    fought.wait(500)
    assert fought.report().result == "contested"
    assert fought.records == []
    fought.wait(120)
    assert (fought.report().result, fought.report().problem) == ("in-sync", None)
    assert fought.records[0] == (
        "uncontested",
        f"{SETTINGS}: /model is no longer contested: right for 10 m; it was corrected 5 more times",
        ["/model"],
    )
    assert fought.said("uncontested") == [fought.records[0][1]]
    assert fought.account.contested == {}
    fought.wait(1000)
    assert len(fought.said("uncontested")) == 1
    fought.fight(0.5)
    assert len(fought.said("corrected", HOME)) == 5
    assert fought.account.drifts["settings"] == 11 + 5


def test_it_ends_when_it_says_and_not_with_the_next_sweep() -> None:
    fought = Fought()
    fought.fight(2)
    fought.wait(2)
    (wrong_ns,) = (
        each.wrong_ns for each in fought.loop.reconciler.contests._fights.of(SETTINGS).values()
    )
    fought.wait((wrong_ns + QUIET_NS - fought.host.now_ns) / SECOND_NS - 0.01)
    assert fought.report().result == "contested"
    fought.wait(0.02)
    assert fought.report().result == "in-sync"


def test_a_rival_that_is_faster_than_our_second_look_is_one_too() -> None:
    fought = Fought()
    replace_file = fought.host.replace_file

    def replaced_and_undone(action: ReplaceFile) -> None:
        replace_file(action)
        fought.host.write(HOME, BAD)

    fought.host.replace_file = replaced_and_undone  # type: ignore[method-assign]
    fought.host.write(HOME, BAD)
    fought.wait(120)
    at = [at_ns for at_ns, _ in fought.writes]
    begins = fought.loop.reconciler.contests._fights.of(SETTINGS)["model",]
    assert begins.corrections == len(at) - 11
    assert all(later - before >= SECOND_NS for before, later in pairwise(at[10:]))
    assert len(at) < 20
    assert len(fought.said("contested")) == 1
    assert fought.report().result == "contested"
    assert state_of(fought.report()) == "contested"


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda host: host.unlink(HOME), "/model is removed again and again, 11 times"),
        (lambda host: host.write(HOME, b'{"model"'), "/model is removed again and again, 11 times"),
    ],
)
def test_a_rival_that_removes_or_breaks_the_whole_file_is_one(
    act: Callable[[FakeHost], None], said: str
) -> None:
    fought = Fought()

    def harm() -> None:
        entry = fought.host.files.get(HOME)
        if entry is not None and b"}" in entry.data:
            act(fought.host)

    fought.fight(120, harm)
    assert len(fought.said("contested")) == 1
    assert said in fought.said("contested")[0]
    assert len(fought.writes) < 20
    fought.wait(700)
    assert json.loads(fought.host.files[HOME].data) == {"model": "sonnet"}
    assert fought.report().result == "in-sync"


def test_what_is_only_half_written_for_a_moment_does_not_prolong_it() -> None:
    fought = Fought()
    fought.fight(2)
    fought.wait(400)
    fought.host.write(HOME, b"")
    fought.turn()
    assert fought.report().result == "contested"
    assert fought.report().again_ns is not None
    fought.host.advance(10 * MILLISECOND_NS)
    fought.host.write(HOME, GOOD)
    fought.turn()
    fought.wait(210)
    assert fought.report().result == "in-sync"


def test_a_thousand_drifts_in_ten_seconds_delay_no_other_file() -> None:
    fought = Fought(
        policy(
            (settings_spec(services=(AGENT,)), settings_spec(OPT)), (service_spec(when="always"),)
        )
    )
    delays = []
    for n in range(1000):
        fought.host.advance(10 * MILLISECOND_NS)
        fought.host.write(HOME, BAD)
        if n % 100 == 50:
            fought.host.write(OPT, BAD)
            before_ns = fought.host.now_ns
        fought.turn()
        if n % 100 == 50:
            assert fought.host.files[OPT].data == GOOD
            delays += [at_ns - before_ns for at_ns, path in fought.writes if path == OPT][-1:]
    assert delays == [0] * 10
    assert len([path for _, path in fought.writes if path == HOME]) < 20
    assert len(fought.jobs) <= 11
    assert len(fought.said("contested")) == 1
    fought.wait(700)
    assert fought.states() == {"in-sync"}
    assert fought.loop.ledger.owed(AGENT) is None


# ------------------------------------------------------------------------------ what does not wait


def test_what_nobody_fights_over_in_the_same_file_is_corrected_at_once_and_told() -> None:
    fought = Fought(policy((settings_spec(rules=RULES),)))
    good = fought.host.files[HOME].data
    wrong = good.replace(b"sonnet", b"haiku")

    def again() -> None:
        if b"haiku" not in fought.host.files[HOME].data:
            fought.host.write(HOME, wrong)

    fought.fight(10, again)
    fought.records.clear()
    fought.host.write(HOME, json.dumps({"model": "haiku", "hooks": {"Stop": []}}).encode())
    fought.turn()
    left = json.loads(fought.host.files[HOME].data)
    assert left == {"model": "haiku", "permissions": {"defaultMode": "plan"}}
    assert [event for event, _, _ in fought.records] == ["corrected"]
    assert fought.records[0][2] == ["/permissions/defaultMode", "/hooks"]
    assert state_of(fought.report()) == "contested"
    assert fought.report().lasting == "contested"
    fought.host.advance(4 * MILLISECOND_NS)
    fought.turn()
    assert fought.report().result == "contested"
    assert [change.field for change in fought.report().drift.changes] == [("model",)]
    assert len(fought.records) == 1
    fought.wait(60)
    assert json.loads(fought.host.files[HOME].data)["model"] == "sonnet"
    assert len(fought.records) == 1


def test_a_lost_file_is_made_again_at_once_where_others_have_a_stake_in_it() -> None:
    fought = Fought(policy((settings_spec(rules=RULES),)))
    wrong = fought.host.files[HOME].data.replace(b"sonnet", b"haiku")

    def again() -> None:
        if b"haiku" not in fought.host.files[HOME].data:
            fought.host.write(HOME, wrong)

    fought.fight(10, again)
    model = fought.loop.reconciler.contests._fights.of(SETTINGS)["model",]
    before = model.corrections
    fought.host.unlink(HOME)
    fought.turn()
    assert model.corrections == before + 1
    assert json.loads(fought.host.files[HOME].data)["permissions"] == {"defaultMode": "plan"}


def test_a_fault_in_planning_for_a_part_is_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fought = Fought(policy((settings_spec(rules=RULES), settings_spec(OPT))))
    wrong = fought.host.files[HOME].data.replace(b"sonnet", b"haiku")

    def again() -> None:
        if b"haiku" not in fought.host.files[HOME].data:
            fought.host.write(HOME, wrong)

    fought.fight(10, again)
    plan = type(KINDS["settings"]).plan

    def faulty(self: object, spec: object, drift: object, observed: object) -> object:
        if len(drift.changes) == 1 and drift.changes[0].field == ("hooks",):  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return plan(self, spec, drift, observed)  # type: ignore[arg-type]

    monkeypatch.setattr(type(KINDS["settings"]), "plan", faulty)
    fought.host.write(HOME, wrong[:-1] + b', "hooks": {}}')
    fought.host.write(OPT, BAD)
    fought.turn()
    assert fought.report().result == "failed"
    assert "ZeroDivisionError" in (fought.report().problem or "")
    assert fought.report(ELSEWHERE).result == "corrected"


# ------------------------------------------------------------------------------ services


def test_the_service_is_left_alone_until_it_is_over_and_then_takes_it_up() -> None:
    fought = Fought()
    fought.fight(20)
    jobs = len(fought.jobs)
    assert jobs <= 11
    assert fought.loop.ledger.owed(AGENT) is not None
    report = fought.report(SERVICE)
    assert (report.result, report.problem) == (
        "contested",
        f"is left alone while {SETTINGS} is contested",
    )
    assert fought.said("drift") == []
    fought.wait(600)
    assert len(fought.jobs) == jobs
    fought.wait(30)
    assert len(fought.jobs) == jobs + 1
    assert fought.loop.ledger.owed(AGENT) is None
    assert fought.states() == {"in-sync"}


def test_who_reads_another_file_is_not_left_alone() -> None:
    held = policy(
        (settings_spec(), settings_spec(OPT, services=(AGENT,))), (service_spec(when="always"),)
    )
    fought = Fought(held)
    fought.fight(10)
    assert fought.report().result == "contested"
    assert "services" not in (fought.report().problem or "")
    fought.host.write(OPT, BAD)
    fought.turn()
    assert len(fought.jobs) == 1


def test_a_contested_file_that_is_held_no_more_keeps_nobody_from_anything() -> None:
    held = policy(
        (settings_spec(services=(AGENT,)), settings_spec(OPT, services=(AGENT,))),
        (service_spec(when="always"),),
    )
    fought = Fought(held)
    fought.fight(10)
    jobs = len(fought.jobs)
    fought.loop.enforce(replace(held, settings=held.settings[1:]))
    fought.wait(1)
    assert len(fought.jobs) == jobs + 1


def test_limits_that_somebody_takes_from_a_process_keep_no_file_from_being_taken_up() -> None:
    held = policy(
        (settings_spec(services=(AGENT,)),),
        (service_spec(when="always", limits={"nofile": (4096, 8192)}),),
    )
    fought = Fought(held)
    fought.wait(70)

    def lower() -> None:
        fought.host.lower_limit(AGENT, "nofile", (100, 8192))
        fought.loop.schedule.hint([LIMITS], fought.host.now_ns)

    fought.fight(5, lower)
    assert fought.report(LIMITS).result == "contested"
    assert "/nofile/soft is changed back" in (fought.report(LIMITS).problem or "")
    fought.jobs.clear()
    fought.host.write(HOME, BAD)
    fought.turn()
    assert len(fought.jobs) == 1


def test_a_drop_in_that_somebody_replaces_is_contested_and_systemd_is_spared() -> None:
    fought = Fought(policy(services=(service_spec(limits={"nofile": (4096, 8192)}),)))
    fought.wait(70)
    path = drop_in(AGENT)
    good = fought.host.files[path].data

    def again() -> None:
        if fought.host.files[path].data == good:
            fought.host.write(path, b"[Service]\nLimitNOFILE=1\n")

    fought.fight(100, again)
    assert fought.report(DROP_IN).result == "contested"
    assert 11 < len(fought.writes) < 20
    assert len(fought.said("contested")) == 1
    assert len(fought.said("corrected")) == 10
    assert fought.board.entries[DROP_IN].corrections >= len(fought.writes)
    fought.wait(700)
    assert fought.states() == {"in-sync"}


def test_a_daemon_reload_that_is_lost_again_and_again_is_no_contest() -> None:
    fought = Fought(policy(services=(service_spec(limits={"nofile": (4096, 8192)}),)))
    fought.wait(50)
    fought.host.write(drop_in(AGENT), b"[Service]\nLimitNOFILE=1\n")
    fought.host.finish_reload()
    fought.loop.hear()
    for _ in range(200):
        fought.loop.turn()
        fought.host.reloads = 0
        fought.host.advance(SECOND_NS // 2)
    assert fought.host.files[drop_in(AGENT)].data.startswith(b"# ")
    assert fought.report(DROP_IN).result == "waiting"


# ------------------------------------------------------------------------------ policies


def test_what_is_one_too_many_is_in_the_policy() -> None:
    fought = Fought(replace(HELD, contested_after=2, contested_within=1.0))
    fought.fight(0.2)
    assert fought.said("contested") == []
    fought.fight(0.1)
    assert len(fought.said("contested")) == 1


def test_another_policy_ends_no_contest() -> None:
    fought = Fought()
    fought.fight(5)
    fought.loop.enforce(replace(HELD, revision="sha256:1", contested_after=100))
    fought.turn()
    assert fought.report().result == "contested"
    assert len(fought.said("contested")) == 1


def test_a_policy_that_wants_what_the_rival_wants_makes_peace() -> None:
    fought = Fought()
    fought.fight(20)
    spec = replace(HELD.settings[0], rules={("model",): Exactly("haiku")})
    fought.loop.enforce(replace(HELD, settings=(spec,)))
    fought.turn()
    writes = len(fought.writes)
    fought.wait(650)
    assert len(fought.writes) == writes
    assert fought.report().result == "in-sync"


def test_what_is_only_observed_is_not_contested() -> None:
    fought = Fought()
    fought.fight(5)
    fought.loop.enforce(replace(HELD, settings=(replace(HELD.settings[0], mode="observe"),)))
    fought.turn()
    assert fought.report().result == "reported"
    assert fought.account.contested == {}
    fought.loop.enforce(HELD)
    fought.turn()
    assert fought.report().result == "corrected"


def test_outside_its_window_it_waits_and_neither_is_told_again() -> None:
    fought = Fought()
    fought.fight(5)
    fought.records.clear()
    shut = replace(HELD, windows={"correct": (window("Mon-Fri 02:00-05:00 UTC"),)})
    fought.loop.enforce(shut)
    fought.turn()
    fought.wait(120)
    assert fought.report().result == "waiting"
    assert state_of(fought.report()) == "contested"
    assert [event for event, _, _ in fought.records] == ["drift"]
    assert fought.host.files[HOME].data == BAD


def test_a_kernel_parameter_can_be_contested_too() -> None:
    fought = Fought(policy(sysctls=(sysctl_spec("net.core.somaxconn", "4096"),)))
    parameter = ResourceId("sysctl", "net.core.somaxconn")

    def again() -> None:
        fought.host.sysctls["net.core.somaxconn"] = "128"
        fought.loop.schedule.hint([parameter], fought.host.now_ns)

    fought.host.sysctls["net.core.somaxconn"] = "4096"
    fought.loop.sweep()
    fought.turn()
    fought.fight(5, again)
    assert fought.report(parameter).result == "contested"
    assert "/live is changed back" in (fought.report(parameter).problem or "")
    assert len(fought.said("contested")) == 1


# ------------------------------------------------------------------------------ any order of things


class Rivals(RuleBasedStateMachine):
    """Fields are changed in any order, at any pace: the gaps hold, and in the end all is right."""

    WRONG: dict[str, bytes] = {  # noqa: RUF012 - a table
        "model": b'{"model": "haiku"}',
        "both": b'{"model": "opus", "hooks": {}}',
        "hooks": b'{"model": "sonnet", "hooks": {}}',
        "none": GOOD,
    }

    @initialize(after=st.integers(1, 3), within=st.sampled_from([1.0, 20.0, 60.0]))
    def begin(self, after: int, within: float) -> None:
        rules: dict[Field, Exactly | Gone] = {("model",): Exactly("sonnet"), ("hooks",): Gone()}
        held = policy(
            (settings_spec(services=(AGENT,), rules=rules),), (service_spec(when="always"),)
        )
        self.fought = Fought(replace(held, contested_after=after, contested_within=within))
        self.after, self.within_ns = after, int(within * SECOND_NS)
        self.corrections: dict[str, list[int]] = {"model": [], "hooks": []}
        self.too_soon: list[str] = []
        self.fought.host.before.append(self.judge)

    def judge(self, action: object) -> None:
        host, now_ns = self.fought.host, self.fought.host.now_ns
        contested = self.fought.loop.reconciler.contests._fights.of(SETTINGS)
        if isinstance(action, StartJob) and contested:
            self.too_soon.append(f"{action} at {now_ns}")
        if not isinstance(action, ReplaceFile):
            return
        before, then = json.loads(host.files[HOME].data), json.loads(action.content)
        for name, at in self.corrections.items():
            if before.get(name) == then.get(name):
                continue
            if (name,) in contested and now_ns < at[-1] + SECOND_NS:
                self.too_soon.append(f"{name} at {now_ns}")
            at.append(now_ns)

    @rule(what=st.sampled_from([*WRONG]), times=st.sampled_from([1, 2, 8]))
    def change(self, what: str, times: int) -> None:
        for _ in range(times):
            self.fought.host.write(HOME, self.WRONG[what])
            self.fought.turn()
            self.fought.host.advance(50 * MILLISECOND_NS)

    @rule(seconds=st.sampled_from([0.01, 1, 5, 45, 300, 600]))
    def pass_time(self, seconds: float) -> None:
        self.fought.wait(seconds)

    @rule()
    def sweep(self) -> None:
        self.fought.loop.sweep()
        self.fought.turn()

    @rule()
    def restart_by_hand(self) -> None:
        self.fought.host.start(AGENT)

    @invariant()
    def nothing_contested_is_done_too_soon(self) -> None:
        assert self.too_soon == []

    @invariant()
    def what_was_never_corrected_so_often_is_not_contested(self) -> None:
        for name, at in self.corrections.items():
            if (name,) in self.fought.loop.reconciler.contests._fights.of(SETTINGS):
                assert any(
                    later - before < self.within_ns
                    for before, later in zip(at, at[self.after :], strict=False)
                )

    def teardown(self) -> None:
        """Once all is quiet nothing is contested, owed or wrong, and each word has had its end."""
        if not hasattr(self, "fought"):
            return
        self.fought.wait(700)
        assert self.too_soon == []
        assert self.fought.states() == {"in-sync"}
        assert self.fought.loop.ledger.owed(AGENT) is None
        assert self.fought.account.contested == {}
        told = [event for event, _, _ in self.fought.records if event.endswith("contested")]
        assert bool(told) == bool(self.fought.account.contests)
        assert told[-1:] in ([], ["uncontested"])
        assert ("uncontested", "uncontested") not in pairwise(told)
        begun = self.fought.account.contests["settings"]
        assert len(self.fought.said("contested")) == begun


TestRivals = Rivals.TestCase
TestRivals.settings = settings(
    max_examples=40,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_what_an_operator_wants_otherwise_no_rival_has_changed_back() -> None:
    fought = Fought(policy((settings_spec(),)))
    fought.fight(1.0)
    for turn in range(20):
        rules = {("model",): Exactly(f"model-{turn % 2}")}
        other = replace(policy((settings_spec(rules=rules),)), revision=f"sha256:{turn}")
        fought.loop.enforce(other)
        fought.wait(0.1)
    assert fought.said("contested") == []
    assert fought.report().result != "contested"
