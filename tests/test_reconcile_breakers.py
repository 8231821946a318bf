"""Each move of a breaker is told once, with why it moved, by a daemon on a fake host."""

from dataclasses import replace

import pytest

from jada_configd.core.model import Exactly
from jada_configd.core.report import BreakerMoved
from jada_configd.core.specs import FallbackSpec, HealthSpec
from tests.fake_host import SECOND_NS, FakeHost, Unit
from tests.fake_loop import FakeLoop
from tests.kinds.worlds import AGENT, HOME, policy, service_spec, settings_spec

ENTRY = settings_spec(HOME, services=(AGENT,), rules={("model",): Exactly("sonnet")})
FALLBACK = FallbackSpec(ENTRY.name, {("model",): Exactly("haiku")}, after=2, retry=900.0)
ENDED = "its main process ended"
OPENED = BreakerMoved(AGENT, "open", ENDED, 900.0)
SOON_NS = SECOND_NS // 5
WELL = BreakerMoved(AGENT, "closed", "it is healthy on what the policy says")


@pytest.fixture
def loop() -> FakeLoop:
    """A service that runs well, and has a fallback."""
    host = FakeHost()
    host.write(HOME, b'{"model": "sonnet"}')
    host.add_unit(Unit(AGENT))
    host.start(AGENT, ago_ns=100 * SECOND_NS)
    spec = replace(service_spec(), health=HealthSpec(stable=1.0), fallback=FALLBACK)
    loop = FakeLoop(host, policy((ENTRY,), (spec,)))
    loop.settle()
    return loop


def moves(loop: FakeLoop) -> list[BreakerMoved]:
    """What was told of it since this was asked last."""
    told = [each for each in loop.tried if isinstance(each, BreakerMoved)]
    loop.tried.clear()
    return told


def crashes(loop: FakeLoop, times: int) -> None:
    """So often before it could count as healthy in between."""
    for _ in range(times):
        loop.host.crash(AGENT)
        loop.hear()
        loop.host.advance(SOON_NS)
        loop.turn()


def opens(loop: FakeLoop) -> None:
    crashes(loop, 2)
    loop.settle()


def state(loop: FakeLoop) -> object:
    breaker = loop.verdicts.breakers.status(AGENT)
    assert breaker is not None
    return breaker["state"]


def test_nothing_is_told_of_one_that_stays_closed(loop: FakeLoop) -> None:
    loop.host.crash(AGENT)
    loop.settle()
    loop.sweep()
    loop.settle()
    assert (moves(loop), state(loop)) == ([], "closed")


def test_it_opens_is_tried_in_time_and_closes(loop: FakeLoop) -> None:
    opens(loop)
    assert (moves(loop), state(loop)) == ([OPENED], "open")
    loop.sweep()
    loop.settle()
    loop.probation.turn(loop.host.now_ns)
    assert moves(loop) == []
    loop.host.advance(900 * SECOND_NS)
    loop.probation.turn(loop.host.now_ns)
    assert moves(loop) == [BreakerMoved(AGENT, "half-open", "its time has come")]
    loop.sweep()
    loop.settle()
    assert (moves(loop), state(loop)) == ([WELL], "closed")


def test_an_operator_has_it_tried_and_it_may_open_again(loop: FakeLoop) -> None:
    opens(loop)
    moves(loop)
    assert loop.probation.retry(AGENT, loop.host.now_ns)
    assert not loop.probation.retry(AGENT, loop.host.now_ns)
    assert moves(loop) == [BreakerMoved(AGENT, "half-open", "an operator says so")]
    loop.sweep()
    while state(loop) == "half-open":
        loop.turn()
        for job in loop.host.jobs:
            loop.host.step_job(job)
        if not loop.host.jobs:
            crashes(loop, 1)
        loop.hear()
        loop.host.advance(SOON_NS)
    (again,) = moves(loop)
    assert (again.state, again.retry) == ("open", 900.0)


def test_another_policy_closes_it_and_says_so_once(loop: FakeLoop) -> None:
    opens(loop)
    moves(loop)
    changed = BreakerMoved(AGENT, "closed", "the policy has changed")
    loop.enforce(loop.policy)
    assert moves(loop) == []
    loop.enforce(replace(loop.policy, revision="sha256:other"))
    assert moves(loop) == [changed]
    loop.enforce(replace(loop.policy, revision="sha256:another"))
    assert moves(loop) == []


def test_a_policy_without_the_fallback_tells_nothing_of_it(loop: FakeLoop) -> None:
    opens(loop)
    moves(loop)
    (spec,) = loop.policy.services
    without = replace(
        loop.policy, revision="sha256:other", services=(replace(spec, fallback=None),)
    )
    loop.enforce(without)
    assert moves(loop) == []


def test_a_start_of_the_daemon_tells_nothing_that_was_told(loop: FakeLoop) -> None:
    opens(loop)
    moves(loop)
    loop.boot()
    loop.settle()
    assert (moves(loop), state(loop)) == ([], "open")
