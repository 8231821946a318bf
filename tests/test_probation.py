"""Services on probation, on a fake host: each way of failing, the way back, and what it leaves.

The unit reads its model when it starts, and does with it what `Agent.ways` says.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from jada_configd.core.actions import Action, RemoveFile, ReplaceFile, StartJob
from jada_configd.core.model import Exactly, Field, Gone, ResourceId, Rule
from jada_configd.core.report import BreakerMoved, Tried
from jada_configd.core.specs import FallbackSpec, HealthSpec, Policy, ServiceSpec
from jada_configd.core.status import overall
from jada_configd.core.windows import Purpose, Window
from jada_configd.policy.windows import window
from tests.fake_host import MILLISECOND_NS, SECOND_NS, Died, FakeHost, Fate, Process, Unit
from tests.fake_loop import FakeLoop
from tests.kinds.worlds import AGENT, HOME, OTHER, policy, service_spec, settings_spec

SETTINGS = ResourceId("settings", HOME)
SERVICE = ResourceId("service", AGENT)
MODEL: Field = ("model",)
THEME: Field = ("theme",)
GOOD = "sonnet"
BAD = "bad"
NEW = "opus"
TEXT = b'{\n  "n": 1e2,\n  "model": "sonnet"}'  # what a way back has to restore, byte for byte
CHECKED = HealthSpec(stable=1.0, within=8.0, command=("/check",))
PLAIN = HealthSpec(stable=1.0, within=8.0)
SAYS_NO = "exit status 10"


def model_of(process: Process | None) -> object:
    """What it runs on; its own model where the file does not parse."""
    if process is None:
        return None
    try:
        read = json.loads(process.saw.get(HOME, b"{}"))
    except ValueError:
        return None
    return read.get("model") if isinstance(read, dict) else None


@dataclass(slots=True)
class Agent:
    """How a unit does, by its model; `says`: how its health probe ends."""

    ways: dict[object, Fate] = field(default_factory=dict)
    says: dict[object, str] = field(default_factory=dict)
    comes_back: bool = True

    def unit(self, name: str = AGENT) -> Unit:
        return Unit(
            name,
            fate=lambda process: self.ways.get(model_of(process), "runs"),
            answers=lambda process: self.says.get(model_of(process), ""),
            comes_back=self.comes_back,
        )


def rules(model: str = GOOD, **more: Any) -> dict[Field, Rule]:  # noqa: ANN401 - JSON
    return {MODEL: Exactly(model), **{(key,): Exactly(value) for key, value in more.items()}}


def held(
    wanted: dict[Field, Rule],
    spec: ServiceSpec | None = None,
    *others: ServiceSpec,
    revision: str | None = None,
) -> Policy:
    """A policy of these rules; its revision is theirs, as that of a text is the text's."""
    services = (spec or judged(), *others)
    entry = settings_spec(services=tuple(each.unit for each in services), rules=wanted)
    return replace(policy((entry,), services), revision=revision or repr(sorted(wanted.items())))


def judged(unit: str = AGENT, **other: Any) -> ServiceSpec:  # noqa: ANN401 - of the spec
    return service_spec(unit, **{"on_unhealthy": "roll-back", "health": PLAIN, **other})


def begun(agent: Agent, wanted: Policy | None = None, text: bytes | None = TEXT) -> FakeLoop:
    """A daemon that watches a service which runs well."""
    host = FakeHost()
    host.make_directory(HOME.rpartition("/")[0])
    if text is not None:
        host.write(HOME, text, mode=0o640)
    wanted = wanted or held(rules())
    for spec in wanted.services:
        host.add_unit(agent.unit(spec.unit))
        host.start(spec.unit, ago_ns=100 * SECOND_NS)
    loop = FakeLoop(host, wanted)
    loop.live(60 * SECOND_NS)
    host.done.clear()
    loop.tried.clear()
    return loop


def change(loop: FakeLoop, wanted: Policy) -> None:
    loop.enforce(wanted)
    loop.settle()


def model(loop: FakeLoop, unit: str = AGENT) -> object:
    return model_of(loop.host.units[unit].process)


def text(loop: FakeLoop) -> bytes | None:
    entry = loop.host.files.get(HOME)
    return None if entry is None else entry.data


def runs_on(loop: FakeLoop, wanted: str, unit: str = AGENT) -> bool:
    return loop.host.units[unit].active_state == "active" and model(loop, unit) == wanted


def verdicts(loop: FakeLoop) -> list[tuple[str, bool | None]]:
    """How the trials have ended."""
    return [(each.outcome, each.well) for each in loop.tried if isinstance(each, Tried)]


def state(loop: FakeLoop) -> str:
    return overall(loop.reports.values(), [])[0]


def jobs(loop: FakeLoop) -> list[str]:
    return [each.how for each in loop.host.done if isinstance(each, StartJob)]


def writes(loop: FakeLoop) -> list[Action]:
    return [each for each in loop.host.done if isinstance(each, ReplaceFile | RemoveFile)]


def stays_so(loop: FakeLoop) -> None:
    """Hours of sweeps, and another daemon, do nothing more."""
    loop.host.done.clear()
    for _ in range(3):
        loop.host.advance(3600 * SECOND_NS)
        loop.sweep()
        loop.settle()
    loop.boot()
    loop.settle()
    assert loop.host.done == []


def gone_back(loop: FakeLoop, times: int = 1) -> None:
    """It is as it was before, healthy, told, and left alone."""
    assert text(loop) == TEXT
    assert runs_on(loop, GOOD)
    assert verdicts(loop) == [("rolled-back", True)] * times
    assert state(loop) == "degraded"
    assert loop.reports[SETTINGS].result == "drifted"
    stays_so(loop)
    assert text(loop) == TEXT
    assert runs_on(loop, GOOD)
    assert state(loop) == "degraded"


# ------------------------------------------------------------------------------ what is well


def test_a_change_that_is_borne_is_told_so_once() -> None:
    loop = begun(Agent())
    change(loop, held(rules(NEW)))
    assert verdicts(loop) == [("healthy", None)]
    assert runs_on(loop, NEW)
    assert (state(loop), jobs(loop)) == ("in-sync", ["restart"])
    assert loop.ledger.trials.befores() == ()
    stays_so(loop)


def test_it_is_under_way_until_that_is_known() -> None:
    loop = begun(Agent())
    loop.enforce(held(rules(NEW)))
    while not jobs(loop):
        loop.turn()
        loop.host.advance(5 * MILLISECOND_NS)
    while loop.host.jobs:
        loop.host.step_job(loop.host.jobs[0])
    loop.hear()
    loop.turn()
    assert loop.probation.under_way() == [f"{AGENT} is watched until it is known to be healthy"]
    assert state(loop) == "correcting"
    assert loop.reports[SERVICE].problem == f"waits for {AGENT} to be healthy for 1 s"
    loop.settle()
    assert loop.probation.under_way() == []


def test_probes_are_part_of_it() -> None:
    loop = begun(Agent(), held(rules(), judged(health=CHECKED)))
    change(loop, held(rules(NEW), judged(health=CHECKED)))
    assert verdicts(loop) == [("healthy", None)]


def test_one_crash_that_it_comes_back_from_is_borne() -> None:
    agent = Agent()
    loop = begun(agent)
    first: Iterator[Fate] = iter(["exits"])
    loop.host.units[AGENT].fate = lambda _: next(first, "runs")
    change(loop, held(rules(NEW)))
    assert verdicts(loop) == [("healthy", None)]


# ------------------------------------------------------------------------------ ways of failing

WAYS: dict[str, Agent] = {
    "exits at start": Agent({BAD: "exits"}),
    "exits at start, and is not started again": Agent({BAD: "exits"}, comes_back=False),
    "ends after a while": Agent({BAD: "ends"}),
    "ends after a while, and is not started again": Agent({BAD: "ends"}, comes_back=False),
    "never gets ready": Agent({BAD: "hangs"}),
    "its probe says no": Agent(says={BAD: SAYS_NO}),
}


@pytest.fixture(params=WAYS)
def failing(request: pytest.FixtureRequest) -> FakeLoop:
    """A daemon, and a service that does not bear one model."""
    return begun(WAYS[request.param], SPEC_OF_FAILING)


FAILS = judged(health=HealthSpec(stable=4.0, within=10.0, command=("/check",)))
SPEC_OF_FAILING = held(rules(), FAILS)
FAILING = held(rules(BAD), FAILS)


def test_what_it_does_not_bear_is_taken_back_and_not_tried_again(failing: FakeLoop) -> None:
    change(failing, FAILING)
    gone_back(failing)
    assert failing.host.files[HOME].mode == 0o640


def test_the_operator_is_told_why_and_what_to_do(failing: FakeLoop) -> None:
    change(failing, FAILING)
    for resource in (SETTINGS, SERVICE):
        problem = failing.reports[resource].problem or ""
        assert "did not become healthy on this policy, which was taken back: " in problem
        assert f"`jada-configd retry {AGENT}`" in problem


def test_one_restart_tries_it_and_one_start_takes_it_back(failing: FakeLoop) -> None:
    change(failing, FAILING)
    assert jobs(failing) == ["restart", "start"]
    assert len(writes(failing)) == 2


# ------------------------------------------------------------------------------ what ends a mark


@pytest.fixture
def back() -> FakeLoop:
    """A daemon that has taken a policy back."""
    loop = begun(Agent({BAD: "exits"}))
    change(loop, held(rules(BAD)))
    assert verdicts(loop) == [("rolled-back", True)]
    loop.host.done.clear()
    loop.tried.clear()
    return loop


def test_another_policy_is_tried(back: FakeLoop) -> None:
    change(back, held(rules(NEW)))
    assert runs_on(back, NEW)
    assert (state(back), verdicts(back)) == ("in-sync", [("healthy", None)])


def test_the_policy_before_is_in_sync_with_what_came_back(back: FakeLoop) -> None:
    change(back, held(rules()))
    assert (text(back), state(back), back.host.done) == (TEXT, "in-sync", [])


def test_the_same_values_under_another_revision_are_tried_anew(back: FakeLoop) -> None:
    change(back, held(rules(BAD), revision="with a comment"))
    gone_back(back)
    assert back.verdicts.marks.of(AGENT) is not None


def test_the_same_revision_loaded_once_more_is_not(back: FakeLoop) -> None:
    change(back, held(rules(BAD)))
    stays_so(back)
    assert (text(back), state(back)) == (TEXT, "degraded")


@pytest.mark.parametrize(
    "then", [held(rules(NEW)), held(rules(BAD), revision=f"{BAD}, with a comment")]
)
@pytest.mark.parametrize("comes_back", [True, False])
def test_another_policy_is_tried_after_a_way_back_that_had_not_begun(
    then: Policy, *, comes_back: bool
) -> None:
    loop = begun(Agent({BAD: "exits"}, comes_back=comes_back))
    loop.enforce(held(rules(BAD)))
    while loop.verdicts.marks.of(AGENT) is None:
        assert loop._goes_on(loop.host.now_ns + SECOND_NS)
    assert jobs(loop) == ["restart"]
    loop.enforce(then)
    loop.settle()
    if BAD in then.revision:
        gone_back(loop, times=2)
    else:
        assert runs_on(loop, NEW)
        assert state(loop) == "in-sync"


@pytest.mark.parametrize("comes_back", [True, False])
def test_an_operator_who_has_it_tried_before_the_way_back_has_begun_does_no_harm(
    *, comes_back: bool
) -> None:
    loop = begun(Agent({BAD: "exits"}, comes_back=comes_back))
    loop.enforce(held(rules(BAD)))
    while loop.verdicts.marks.of(AGENT) is None:
        assert loop._goes_on(loop.host.now_ns + SECOND_NS)
    assert loop.retry(AGENT)
    loop.settle()
    gone_back(loop, times=2)


@pytest.mark.parametrize("way", ["exits", "ends"])
@pytest.mark.parametrize("comes_back", [True, False])
def test_another_policy_is_tried_on_what_has_failed_while_no_daemon_looked(
    way: Fate, *, comes_back: bool
) -> None:
    spec = judged(health=replace(PLAIN, stable=4.0))
    loop = begun(Agent({BAD: way}, comes_back=comes_back), held(rules(), spec))
    until_tried(loop, held(rules(BAD), spec))
    loop.host.advance(60 * SECOND_NS)
    loop.policy = held(rules(NEW), spec)
    loop.boot()
    loop.settle()
    assert runs_on(loop, NEW)
    assert state(loop) == "in-sync"


def test_another_policy_that_is_not_borne_either_is_gone_back_from_to_what_was() -> None:
    loop = begun(Agent({BAD: "exits", NEW: "exits"}, comes_back=False))
    loop.enforce(held(rules(BAD)))
    while loop.verdicts.marks.of(AGENT) is None:
        assert loop._goes_on(loop.host.now_ns + SECOND_NS)
    change(loop, held(rules(NEW)))
    gone_back(loop, times=2)


def test_an_operator_has_it_tried_again(back: FakeLoop) -> None:
    assert back.retry(AGENT)
    back.settle()
    assert jobs(back) == ["restart", "start"]
    gone_back(back)
    back.host.units[AGENT].fate = lambda _: "runs"
    assert back.retry(AGENT)
    back.settle()
    assert runs_on(back, BAD)
    assert state(back) == "in-sync"
    assert not back.retry(AGENT)


def test_a_retry_of_what_is_not_marked_does_nothing() -> None:
    loop = begun(Agent())
    assert not loop.retry(AGENT)
    loop.settle()
    assert loop.host.done == []


# ------------------------------------------------------------------------------ what is left so


def test_who_wants_to_keep_it_may() -> None:
    keeps = judged(on_unhealthy="keep", health=CHECKED)
    agent = Agent(says={BAD: SAYS_NO})
    loop = begun(agent, held(rules(), keeps))
    change(loop, held(rules(BAD), keeps))
    assert runs_on(loop, BAD)
    assert verdicts(loop) == [("unhealthy", None)]
    assert state(loop) == "drifted"
    assert loop.retry(AGENT) is False
    agent.says.clear()
    loop.host.advance(20 * SECOND_NS)
    loop.settle()
    assert state(loop) == "in-sync"


UNWELL: dict[str, Agent] = {
    "its probe says no": Agent(says={GOOD: SAYS_NO, BAD: SAYS_NO}),
    "ends again and again": Agent({GOOD: "ends", BAD: "ends"}),
    "has failed": Agent({GOOD: "exits", BAD: "exits"}, comes_back=False),
}


@pytest.mark.parametrize("agent", UNWELL.values(), ids=UNWELL)
def test_what_was_unhealthy_before_is_not_blamed_on_the_change(agent: Agent) -> None:
    spec = judged(health=replace(CHECKED, stable=4.0))
    loop = begun(agent, held(rules(), spec))
    loop.enforce(held(rules(BAD), spec))
    loop.live(60 * SECOND_NS)
    assert json.loads(text(loop) or b"") == {"model": BAD, "n": 100.0}
    assert "rolled-back" not in [outcome for outcome, _ in verdicts(loop)]
    assert loop.verdicts.marks.of(AGENT) is None
    assert "start" not in jobs(loop)


def test_a_way_back_that_does_not_help_is_told_and_ends() -> None:
    agent = Agent({BAD: "exits"})
    loop = begun(agent)
    loop.enforce(held(rules(BAD)))
    while "restart" not in jobs(loop):
        loop.turn()
        loop.host.advance(5 * MILLISECOND_NS)
    agent.ways[GOOD] = "exits"
    loop.settle()
    assert text(loop) == TEXT
    assert verdicts(loop) == [("rolled-back", False)]
    assert jobs(loop) == ["restart", "start"]
    assert state(loop) == "degraded"
    stays_so(loop)


def until_tried(loop: FakeLoop, wanted: Policy) -> None:
    """The change is on trial, its job is over, and nothing is known yet."""
    loop.enforce(wanted)
    while not jobs(loop) or loop.host.jobs:
        loop.hear()
        loop.turn()
        if loop.host.jobs:
            loop.host.step_job(loop.host.jobs[0])
        loop.host.advance(5 * MILLISECOND_NS)
    loop.hear()
    loop.turn()


def test_what_somebody_stops_in_the_trial_stays_stopped() -> None:
    loop = begun(Agent())
    until_tried(loop, held(rules(BAD)))
    loop.host.stop(AGENT)
    loop.settle()
    assert loop.host.units[AGENT].active_state == "inactive"
    assert verdicts(loop) == []
    assert loop.ledger.trials.units() == ()
    assert json.loads(text(loop) or b"")["model"] == BAD
    stays_so(loop)


def test_so_does_what_is_stopped_while_no_daemon_listens() -> None:
    loop = begun(Agent())
    until_tried(loop, held(rules(BAD)))
    loop.host.stop(AGENT)
    loop.boot()
    loop.settle()
    assert loop.host.units[AGENT].active_state == "inactive"
    assert (verdicts(loop), state(loop)) == ([], "in-sync")


def test_what_ends_by_itself_in_the_trial_was_not_stopped() -> None:
    loop = begun(Agent())
    until_tried(loop, held(rules(BAD)))
    loop.host.stop(AGENT, by_hand=False)
    loop.settle()
    gone_back(loop)


def test_a_unit_that_vanishes_in_the_trial_is_left() -> None:
    loop = begun(Agent())
    until_tried(loop, held(rules(BAD)))
    loop.host.stop(AGENT)
    loop.host.units[AGENT].load_state = "not-found"
    loop.settle()
    assert verdicts(loop) == []
    assert loop.ledger.trials.units() == ()
    assert loop.reports[SERVICE].problem == f"{AGENT} does not exist"
    stays_so(loop)


def test_a_stop_in_the_way_back_ends_it() -> None:
    loop = begun(Agent({BAD: "exits"}))
    loop.enforce(held(rules(BAD)))
    while "start" not in jobs(loop):
        loop.hear()
        loop.turn()
        if loop.host.jobs:
            loop.host.step_job(loop.host.jobs[0])
        loop.host.advance(5 * MILLISECOND_NS)
    loop.host.stop(AGENT)
    loop.settle()
    assert loop.host.units[AGENT].active_state == "inactive"
    assert text(loop) == TEXT
    assert verdicts(loop) == [("rolled-back", None)]
    stays_so(loop)


def test_a_probe_that_nobody_can_start_takes_nothing_back() -> None:
    loop = begun(Agent(), held(rules(), judged(health=CHECKED)))
    until_tried(loop, held(rules(NEW), judged(health=CHECKED)))
    loop.host.refuses_probes = True
    loop.settle()
    assert runs_on(loop, NEW)
    assert "rolled-back" not in [outcome for outcome, _ in verdicts(loop)]
    assert loop.verdicts.marks.of(AGENT) is None


# ------------------------------------------------------------------------------ the file


def test_what_somebody_else_has_added_in_the_trial_stays() -> None:
    loop = begun(Agent({BAD: "hangs"}))
    loop.enforce(held(rules(BAD)))
    while not loop.host.jobs:
        loop.turn()
        loop.host.advance(5 * MILLISECOND_NS)
    while text(loop) == TEXT:
        loop.turn()
    loop.host.write(HOME, (text(loop) or b"").replace(b"1e2", b'1e2, "added": [true]'))
    loop.settle()
    assert text(loop) == TEXT.replace(b"1e2", b'1e2, "added": [true]')
    assert verdicts(loop) == [("rolled-back", True)]
    assert runs_on(loop, GOOD)


def test_what_somebody_wrote_just_before_the_correction_stays_too() -> None:
    loop = begun(Agent({BAD: "exits"}))
    added = TEXT.replace(b"1e2", b'1e2, "added": [true]')

    def earlier(action: Action) -> None:
        if isinstance(action, ReplaceFile) and text(loop) == TEXT:
            loop.host.write(HOME, added)

    loop.host.before.append(earlier)
    change(loop, held(rules(BAD)))
    assert text(loop) == added
    assert verdicts(loop) == [("rolled-back", True)]
    assert runs_on(loop, GOOD)


def test_what_goes_back_is_what_stood_there_when_it_was_changed_at_last() -> None:
    loop = begun(Agent({BAD: "exits"}))

    def earlier(action: Action) -> None:
        if isinstance(action, ReplaceFile) and text(loop) == TEXT:
            loop.host.write(HOME, b'{"model": "opus"}')

    loop.host.before.append(earlier)
    change(loop, held(rules(BAD)))
    assert text(loop) == b'{"model": "opus"}'
    assert verdicts(loop) == [("rolled-back", True)]
    assert runs_on(loop, NEW)


def test_so_does_what_came_with_a_drift_that_was_corrected_in_the_trial() -> None:
    loop = begun(Agent({BAD: "hangs"}))
    loop.enforce(held(rules(BAD)))
    while text(loop) == TEXT:
        loop.turn()
        loop.host.advance(5 * MILLISECOND_NS)
    loop.host.write(HOME, b'{"model": "rival", "added": true}', mode=0o600)
    loop.live(SECOND_NS)
    assert text(loop) == b'{"model": "bad", "added": true}'
    loop.settle()
    assert text(loop) == b'{"model": "sonnet", "added": true}'
    assert verdicts(loop) == [("rolled-back", True)]
    assert runs_on(loop, GOOD)


def test_bytes_that_could_not_be_kept_are_not_those_of_an_earlier_change() -> None:
    loop = begun(Agent({BAD: "exits"}))
    change(loop, held(rules(NEW)))
    added = (text(loop) or b"").replace(b"1e2", b'1e2, "added": [true]')
    loop.host.write(HOME, added)
    loop.settle()
    loop.takeup.befores._keep = lambda _, __: None  # the disk is full
    loop.host.advance(60 * SECOND_NS)
    change(loop, held(rules(BAD)))
    assert text(loop) == added
    assert runs_on(loop, NEW)


def test_a_file_that_was_not_there_is_gone_again() -> None:
    loop = begun(Agent({BAD: "exits"}), held({THEME: Gone()}), text=None)
    change(loop, held(rules(BAD)))
    assert text(loop) is None
    assert verdicts(loop) == [("rolled-back", True)]
    stays_so(loop)
    assert text(loop) is None


def test_broken_content_comes_back_byte_for_byte() -> None:
    broken = b'{"model": "sonnet",\r\n\t"theme'
    loop = begun(Agent({BAD: "exits"}), held({THEME: Gone()}), text=TEXT)
    loop.policy = policy()
    loop.boot()
    loop.host.write(HOME, broken)
    loop.host.start(AGENT)
    loop.host.advance(60 * SECOND_NS)
    change(loop, held(rules(BAD)))
    assert text(loop) == broken
    assert verdicts(loop) == [("rolled-back", True)]
    stays_so(loop)
    assert text(loop) == broken


# ------------------------------------------------------------------------------ while a mark stands


def test_another_field_of_the_file_is_held_all_the_same() -> None:
    spec = judged()
    wanted = held(rules(BAD, theme="dark"), spec)
    loop = begun(Agent({BAD: "exits"}), held(rules(theme="dark"), spec))
    change(loop, wanted)
    assert verdicts(loop) == [("rolled-back", True)]
    loop.host.done.clear()
    loop.host.write(HOME, b'{"model": "sonnet", "theme": "light", "n": 1}')
    loop.settle()
    assert json.loads(text(loop) or b"") == {"model": GOOD, "theme": "dark", "n": 1}
    assert state(loop) == "degraded"
    assert runs_on(loop, GOOD)


@pytest.mark.parametrize("content", [None, b"{", b"", b"[]"])
def test_a_lost_or_broken_file_does_not_get_the_bad_values(
    back: FakeLoop, content: bytes | None
) -> None:
    if content is None:
        back.host.unlink(HOME)
    else:
        back.host.write(HOME, content)
    back.settle()
    back.sweep()
    back.settle()
    assert BAD.encode() not in (text(back) or b"")
    assert back.host.units[AGENT].active_state == "active"
    stays_so(back)


@pytest.mark.parametrize(
    ("content", "left"),
    [(None, {"theme": "dark"}), (b"{", {"n": 100, "model": GOOD, "theme": "dark"})],
)
def test_a_lost_or_broken_file_gets_the_other_values(
    content: bytes | None, left: dict[str, object]
) -> None:
    loop = begun(Agent({BAD: "exits"}), held(rules(theme="dark")))
    change(loop, held(rules(BAD, theme="dark")))
    if content is None:
        loop.host.unlink(HOME)
    else:
        loop.host.write(HOME, content)
    loop.settle()
    assert json.loads(text(loop) or b"") == left
    stays_so(loop)


def test_somebody_who_writes_the_bad_value_himself_is_left_alone(back: FakeLoop) -> None:
    back.host.write(HOME, b'{"model": "bad"}')
    back.settle()
    assert text(back) == b'{"model": "bad"}'
    assert back.host.done == []
    assert state(back) == "degraded"


def test_a_mark_does_not_speak_of_a_file_that_has_left_the_policy(back: FakeLoop) -> None:
    back.host.make_directory("/opt")
    entry = settings_spec("/opt/agent.json", services=(AGENT,))
    change(back, replace(policy((entry,), (judged(),)), revision="other"))
    assert state(back) == "in-sync"
    assert back.verdicts.marks.of(AGENT) is None


# ------------------------------------------------------------------------------ two units, one file


def shared(wanted: str) -> Policy:
    return held(rules(wanted), judged(), judged(OTHER))


def test_who_reads_the_file_too_takes_it_up_as_it_has_come_back() -> None:
    agent = Agent({BAD: "exits"})
    loop = begun(agent, shared(GOOD))
    loop.host.units[OTHER].fate = lambda _: "runs"
    change(loop, shared(BAD))
    assert text(loop) == TEXT
    assert runs_on(loop, GOOD)
    assert runs_on(loop, GOOD, OTHER)
    assert state(loop) == "degraded"
    stays_so(loop)


def test_two_that_do_not_bear_it_go_back_together() -> None:
    loop = begun(Agent({BAD: "exits"}), shared(GOOD))
    change(loop, shared(BAD))
    assert text(loop) == TEXT
    assert runs_on(loop, GOOD)
    assert runs_on(loop, GOOD, OTHER)
    assert {("rolled-back", True)} <= set(verdicts(loop))
    assert {outcome for outcome, _ in verdicts(loop)} <= {"rolled-back", "healthy"}
    stays_so(loop)


def test_who_fails_later_than_the_other_does_not_bring_the_bad_value_back() -> None:
    loop = begun(Agent({BAD: "exits"}), shared(GOOD))
    loop.host.units[OTHER].fate = lambda process: "ends" if model_of(process) == BAD else "runs"
    loop.host.units[OTHER].comes_back = False
    change(loop, shared(BAD))
    assert text(loop) == TEXT
    assert runs_on(loop, GOOD)
    assert runs_on(loop, GOOD, OTHER)
    stays_so(loop)


# ------------------------------------------------------------------------------ what may not wait


def test_no_window_holds_up_a_way_back() -> None:
    windows: dict[Purpose, tuple[Window, ...]] = {
        "restart": (window("Fri 19:00-20:01 UTC"),),
        "correct": (window("Fri 19:00-20:01 UTC"),),
    }
    loop = begun(Agent({BAD: "hangs"}))
    loop.calendar.set("2026-11-20 20:00:55")
    spec = judged(health=replace(PLAIN, within=30.0))
    change(loop, replace(held(rules(BAD), spec), windows=windows))
    assert loop.calendar.now() > 60
    assert jobs(loop) == ["restart", "start"]
    gone_back(loop)


def test_what_was_wrong_till_the_policy_changed_was_read_by_nobody() -> None:
    """A file that waits for its window comes to be what another policy wants."""
    shut: dict[Purpose, tuple[Window, ...]] = {"correct": (window("Fri 02:00-02:01 UTC"),)}
    loop = begun(Agent(), replace(held(rules()), windows=shut))
    loop.host.write(HOME, b'{"model": "opus"}')
    loop.settle()
    assert loop.reports[SETTINGS].result == "waiting"
    assert runs_on(loop, GOOD)
    change(loop, replace(held(rules(NEW)), windows=shut))
    assert runs_on(loop, NEW)
    assert jobs(loop) == ["restart"]


def test_no_pace_holds_up_a_way_back() -> None:
    slow = judged(min_interval=3600.0, busy="/run/busy", drain=3600.0)
    loop = begun(Agent({BAD: "exits"}), held(rules(), slow))
    until_tried(loop, held(rules(BAD), slow))
    loop.host.write("/run/busy", b"")
    at_ns = loop.host.now_ns
    while "start" not in jobs(loop):
        loop.hear()
        loop.turn()
        loop.host.advance(50 * MILLISECOND_NS)
    assert loop.host.now_ns - at_ns < 5 * SECOND_NS
    loop.settle()
    gone_back(loop)


def test_a_rival_that_fights_for_another_field_does_not_hold_up_a_way_back() -> None:
    wanted = replace(held(rules(BAD, theme="dark")), contested_after=2)
    loop = begun(Agent({BAD: "hangs"}), replace(held(rules(theme="dark")), contested_after=2))
    until_tried_hanging(loop, wanted)
    at_ns = loop.host.now_ns
    for _ in range(6):
        loop.host.write(HOME, (text(loop) or b"").replace(b"dark", b"light"))
        loop.live(50 * MILLISECOND_NS)
    assert loop.reports[SETTINGS].is_contested
    loop.live(20 * SECOND_NS)
    assert runs_on(loop, GOOD)
    assert "start" in jobs(loop)
    assert loop.host.now_ns - at_ns < 30 * SECOND_NS


def until_tried_hanging(loop: FakeLoop, wanted: Policy) -> None:
    loop.enforce(wanted)
    while model(loop) != BAD:
        loop.live(MILLISECOND_NS)


def test_a_rival_that_fights_for_the_field_does_not_hold_up_a_way_back() -> None:
    loop = begun(Agent({BAD: "hangs"}))
    loop.enforce(replace(held(rules(BAD)), contested_after=2))
    while not loop.host.jobs:
        loop.turn()
        loop.host.advance(5 * MILLISECOND_NS)
    for _ in range(4):
        loop.host.write(HOME, b'{"model": "rival"}')
        loop.hear()
        loop.turn()
        loop.host.advance(50 * MILLISECOND_NS)
    loop.settle()
    assert loop.host.units[AGENT].active_state == "active"
    assert model(loop) != BAD
    loop.host.advance(700 * SECOND_NS)
    loop.settle()
    assert model(loop) != BAD
    assert loop.host.units[AGENT].active_state == "active"
    assert BAD.encode() not in (text(loop) or b"")


# ------------------------------------------------------------------------------ killed anywhere

DEATHS = 30  # more than there are effects in a correction, its trial, and the way back together


def check_dead_or_alive(loop: FakeLoop) -> None:
    """However it came: well on the new values, or well on the old ones."""
    assert loop.host.units[AGENT].active_state == "active"
    assert model_of(loop.host.units[AGENT].process) == json.loads(text(loop) or b"")["model"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("effects", range(DEATHS))
def test_a_daemon_that_is_killed_leaves_nobody_on_what_it_does_not_bear(
    effects: int, way: str
) -> None:
    loop = begun(WAYS[way], SPEC_OF_FAILING)
    loop.policy = FAILING
    try:
        loop.host.dies_after, loop.host.effects = effects, 0
        loop.enforce(FAILING)
    except Died:
        died = True
    else:
        died = loop.settle_or_die(effects)
    loop.boot()
    loop.settle()
    check_dead_or_alive(loop)
    assert runs_on(loop, GOOD)
    assert text(loop) == TEXT
    assert loop.verdicts.marks.of(AGENT) is not None
    stays_so(loop)
    assert died or effects > 10


@pytest.mark.parametrize("effects", range(DEATHS))
def test_a_daemon_that_is_killed_again_and_again_gets_there_too(effects: int) -> None:
    loop = begun(Agent({BAD: "exits"}))
    loop.policy = held(rules(BAD))
    for more in (effects, effects % 7 + 1, effects % 5 + 1, effects % 3 + 1):
        loop.boot()
        loop.settle_or_die(more)
    loop.boot()
    loop.settle()
    assert runs_on(loop, GOOD)
    assert text(loop) == TEXT
    stays_so(loop)


@pytest.mark.parametrize("effects", range(DEATHS))
def test_a_daemon_that_is_killed_in_a_change_that_is_borne_finishes_it(effects: int) -> None:
    loop = begun(Agent(), held(rules(), FAILS))
    loop.policy = held(rules(NEW), FAILS)
    loop.boot()
    loop.settle_or_die(effects)
    loop.boot()
    loop.settle()
    assert runs_on(loop, NEW)
    assert state(loop) == "in-sync"
    assert loop.verdicts.marks.of(AGENT) is None
    stays_so(loop)


# ------------------------------------------------------------------------------ a fallback

LATER = "haiku"
FALLBACK = FallbackSpec("orchestrator", {MODEL: Exactly(LATER)}, after=2, retry=900.0)


def falling_back(**other: Any) -> ServiceSpec:  # noqa: ANN401 - of the spec
    health = HealthSpec(stable=1.0, within=8.0, every=5.0, command=("/check",))
    return judged(**{"health": health, "fallback": FALLBACK, **other})


def sickens(agent: Agent, loop: FakeLoop) -> None:
    """It stops being healthy on what it has been healthy on."""
    agent.says[GOOD] = SAYS_NO
    loop.live(30 * SECOND_NS)


def moves(loop: FakeLoop) -> list[str]:
    return [each.state for each in loop.tried if isinstance(each, BreakerMoved)]


def test_what_stops_being_healthy_goes_to_its_fallback_and_returns_in_time() -> None:
    agent = Agent()
    loop = begun(agent, held(rules(), falling_back()))
    sickens(agent, loop)
    assert runs_on(loop, LATER)
    assert text(loop) == TEXT.replace(b"sonnet", b"haiku")
    assert (moves(loop), state(loop)) == (["open"], "degraded")
    agent.says.clear()
    loop.live(900 * SECOND_NS)
    assert runs_on(loop, GOOD)
    assert text(loop) == TEXT
    assert (moves(loop), state(loop)) == (["open", "half-open", "closed"], "in-sync")


def test_what_is_still_ill_when_it_is_tried_stays_on_its_fallback() -> None:
    agent = Agent()
    loop = begun(agent, held(rules(), falling_back()))
    sickens(agent, loop)
    loop.host.done.clear()
    loop.live(960 * SECOND_NS)
    assert runs_on(loop, LATER)
    assert moves(loop) == ["open", "half-open", "open"]
    assert jobs(loop) == ["restart", "restart"]
    assert loop.verdicts.marks.of(AGENT) is None
    assert state(loop) == "degraded"


def test_an_open_breaker_outlives_the_daemon() -> None:
    agent = Agent()
    loop = begun(agent, held(rules(), falling_back()))
    sickens(agent, loop)
    loop.host.done.clear()
    loop.boot()
    loop.settle()
    assert runs_on(loop, LATER)
    assert (loop.host.done, state(loop)) == ([], "degraded")


def test_a_crash_loop_ends_on_the_fallback() -> None:
    agent = Agent()
    loop = begun(agent, held(rules(), judged(fallback=FALLBACK)))
    agent.ways[GOOD] = "exits"
    loop.host.crash(AGENT)
    loop.live(60 * SECOND_NS)
    assert runs_on(loop, LATER)
    assert state(loop) == "degraded"


def test_a_change_that_is_not_borne_goes_back_and_opens_nothing() -> None:
    loop = begun(Agent(says={BAD: SAYS_NO}), held(rules(), falling_back()))
    change(loop, held(rules(BAD), falling_back()))
    assert moves(loop) == []
    assert (text(loop), model(loop)) == (TEXT, GOOD)
    assert loop.verdicts.marks.of(AGENT) is not None


def test_what_stops_being_healthy_on_what_came_back_goes_to_its_fallback() -> None:
    agent = Agent(says={BAD: SAYS_NO})
    loop = begun(agent, held(rules(), falling_back()))
    change(loop, held(rules(BAD), falling_back()))
    sickens(agent, loop)
    assert runs_on(loop, LATER)
    assert moves(loop) == ["open"]
    loop.live(1000 * SECOND_NS)
    assert runs_on(loop, LATER) or runs_on(loop, GOOD)
    assert model(loop) != BAD


def test_a_mark_and_an_open_breaker_end_together_by_an_operators_word() -> None:
    agent = Agent(says={BAD: SAYS_NO})
    loop = begun(agent, held(rules(), falling_back()))
    change(loop, held(rules(BAD), falling_back()))
    sickens(agent, loop)
    agent.says.clear()
    assert loop.retry(AGENT)
    loop.live(60 * SECOND_NS)
    assert runs_on(loop, BAD)
    assert state(loop) == "in-sync"
    assert loop.verdicts.marks.of(AGENT) is None
