"""What must hold for every kind, policy and starting world. A kind takes part by being in KINDS."""

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jada_configd.core.actions import Action, RemoveFile, ReplaceFile, SetProcessLimit, SetSysctl
from jada_configd.core.ledger import Ledger
from jada_configd.core.model import ABSENT, Field, Json, Resource
from jada_configd.core.resources import resolve
from jada_configd.core.specs import SettingsSpec
from jada_configd.kinds import KINDS
from jada_configd.reconcile import Reconciler
from jada_configd.takeup import TakeUp
from tests.fake_host import SCOPE, SECOND_NS, FakeHost, JobEnded, Looks, Told
from tests.fake_loop import FakeLoop
from tests.kinds import worlds
from tests.kinds.login_worlds import LOGIN_DEEDS, LOGIN_ROW
from tests.kinds.worlds import (
    Deed,
    World,
    ending,
    value_at,
)

ROWS = {**worlds.ROWS, "login-limits": LOGIN_ROW}
ABSOLUTE_DEEDS = st.one_of(worlds.ABSOLUTE_DEEDS, LOGIN_DEEDS)
DEEDS = st.one_of(worlds.DEEDS, LOGIN_DEEDS)
every_kind = pytest.mark.parametrize("kind", KINDS)
some = settings(
    max_examples=settings().max_examples * 3 // 10,  # of each kind
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_every_kind_has_a_row() -> None:
    assert ROWS.keys() == KINDS.keys()


def expect_held(kind: str, world: World, loop: FakeLoop) -> None:
    """Everything that could be as declared is, and what is told of it is the truth."""
    row = ROWS[kind]
    for resource in world.resources(kind):
        report = loop.reports[resource.id]
        holds = row.holds(world, resource.spec)
        if row.can_hold(world, resource.spec):
            assert holds, report
            assert report.settled, report
        assert holds or not report.settled, report


@every_kind
@some
@given(data=st.data())
def test_one_pass_and_the_end_of_what_it_started_bring_everything_to_what_is_declared(
    kind: str, data: st.DataObject
) -> None:
    world = data.draw(ROWS[kind].worlds)
    loop = FakeLoop(world.host, world.policy)
    loop.settle()
    expect_held(kind, world, loop)


@every_kind
@some
@given(data=st.data())
def test_the_second_pass_changes_nothing_and_says_the_same(kind: str, data: st.DataObject) -> None:
    world = data.draw(ROWS[kind].worlds)
    loop = FakeLoop(world.host, world.policy)
    loop.settle()
    before, done = world.host.snapshot(), len(world.host.done)
    results = {each: report.settled for each, report in loop.reports.items()}
    loop.sweep()
    loop.settle()
    assert world.host.done[done:] == []
    assert world.host.snapshot() == before
    assert {each: report.settled for each, report in loop.reports.items()} == results


@every_kind
@some
@given(data=st.data())
def test_what_nobody_declared_is_left_as_it_was(kind: str, data: st.DataObject) -> None:
    world = data.draw(ROWS[kind].worlds)
    before = copy.deepcopy(world.host)
    resources = resolve(world.policy, world.host, SCOPE)
    FakeLoop(world.host, world.policy).settle()
    expect_unowned_unchanged(resources, world, before)


def expect_unowned_unchanged(resources: Sequence[Resource], world: World, before: FakeHost) -> None:
    host = world.host
    held = {path for each in resources for path in KINDS[each.id.kind].watches(each.spec)}
    units = {spec.unit for spec in world.policy.services}
    for path in before.files.keys() | host.files.keys():
        if path not in held:
            assert host.files.get(path) == before.files.get(path)
        elif path in host.files and path in before.files:
            now, then = host.files[path], before.files[path]
            assert (now.mode, now.uid, now.gid) == (then.mode, then.uid, then.gid)
    for key in before.sysctls.keys() - {spec.key for spec in world.policy.sysctls}:
        assert host.sysctls[key] == before.sysctls[key]
    for name in before.units.keys() - units:
        assert host.units[name].process == before.units[name].process
    for resource in resources:
        if isinstance(resource.spec, SettingsSpec) and resource.spec.path in before.files:
            then = _parsed(before.files[resource.spec.path].data)
            if then is not None:
                now = _parsed(host.files[resource.spec.path].data)
                fields = [field for field in resource.spec.rules if _is_reachable(then, field)]
                assert _without(now, fields) == _without(then, fields)


def _parsed(data: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        parsed = json.loads(data.decode("utf-8-sig") or "{}")
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and b"NaN" not in data else None


def _is_reachable(document: Json, field: Field) -> bool:
    """Whether what is on the way to a field is an object, where there is anything."""
    above = [value_at(document, field[:depth]) for depth in range(1, len(field))]
    assume(all(value is ABSENT or isinstance(value, dict) for value in above))
    return True


def _without(document: Any, fields: list[Field]) -> str:  # noqa: ANN401 - JSON
    """The document without these fields and the objects that they alone made."""
    document = copy.deepcopy(document)
    for field in fields:
        chain = [document]
        for token in field[:-1]:
            below = chain[-1].get(token)
            if not isinstance(below, dict):
                break
            chain.append(below)
        else:
            chain[-1].pop(field[-1], None)
        for token, above in reversed(list(zip(field, chain, strict=False))):
            if above.get(token) == {}:
                del above[token]
    return json.dumps(document, sort_keys=True)


@every_kind
@some
@given(data=st.data())
def test_looking_changes_nothing_and_foretells_what_a_pass_does(
    kind: str, data: st.DataObject
) -> None:
    world = data.draw(ROWS[kind].worlds)
    host = world.host
    host.ledger = Ledger()
    before = host.snapshot()

    def saved() -> None:
        pytest.fail("a look saves nothing")

    takeup = TakeUp(Looks(host), host.ledger, saved, _kept)
    takeup.services = {spec.unit: spec for spec in world.policy.services}
    checker = Reconciler(Looks(host), host.ledger, takeup, host.clock_ns, _kept)
    resources = resolve(world.policy, Looks(host), SCOPE)
    reports = checker.check([(each, "operator") for each in resources])
    assert host.snapshot() == before
    assert host.attempts == 0

    loop = FakeLoop(host, world.policy)
    loop.turn()
    changed = {str(action) for action in host.done}
    for report in reports:
        if report.resource.mode == "enforce" and report.result == "in-sync":
            assert not changed & set(report.actions)
        said = loop.reports[report.resource.id]
        assert (report.result == "in-sync") == (said.result == "in-sync")


def _kept(*_: object) -> None:
    pytest.fail("a look keeps nothing")


# ------------------------------------------------------------------------------ hints


Hearing: TypeAlias = Callable[[list[Told]], list[Told]]


@st.composite
def hearings(draw: st.DrawFn) -> Hearing:
    """What becomes of the hints on their way: some are lost, some come twice, in any order.

    The end of a job is no hint, and comes over a connection that loses nothing.
    """
    seed = draw(st.randoms(use_true_random=False))

    def heard(told: list[Told]) -> list[Told]:
        often = [
            each
            for each in told
            for _ in range(1 if isinstance(each, JobEnded) else seed.choice([0, 1, 1, 2]))
        ]
        seed.shuffle(often)
        return often

    return heard


@every_kind
@some
@given(
    data=st.data(),
    deeds=st.lists(ABSOLUTE_DEEDS, max_size=5),
    heard=hearings(),
    pauses=st.lists(st.sampled_from([0, 10_000_000, SECOND_NS]), min_size=5, max_size=5),
)
def test_lost_repeated_and_reordered_hints_come_to_the_same_end_after_a_sweep(
    kind: str, data: st.DataObject, deeds: list[Deed], heard: Hearing, pauses: list[int]
) -> None:
    world = data.draw(ROWS[kind].worlds)
    assume(all(spec.on_missing == "owned" for spec in world.policy.settings))
    other = copy.deepcopy(world)

    attentive = FakeLoop(world.host, world.policy)
    attentive.settle()
    for deed in deeds:
        deed.do(world.host)
        attentive.settle()

    distracted = FakeLoop(other.host, other.policy)
    distracted.settle()
    for deed, pause in zip(deeds, pauses, strict=False):
        deed.do(other.host)
        told, other.host.told = other.host.told, []
        distracted.hear(heard(told))
        distracted.turn()
        other.host.advance(pause)
    distracted.sweep()
    distracted.settle()

    for each in (attentive, distracted):
        each.sweep()
        each.settle()
    assert ending(other) == ending(world)


@every_kind
@some
@given(data=st.data(), deeds=st.lists(DEEDS, max_size=5))
def test_a_busy_host_comes_to_rest_as_declared(
    kind: str, data: st.DataObject, deeds: list[Deed]
) -> None:
    world = data.draw(ROWS[kind].worlds)
    loop = FakeLoop(world.host, world.policy)
    for deed in deeds:
        deed.do(world.host)
        loop.hear()
        loop.turn()
        world.host.advance(data.draw(st.sampled_from([0, 1_000_000, 300_000_000])))
    loop.sweep()
    loop.settle()
    if kind != "service":  # nobody may have seen what a process read in between
        expect_held(kind, world, loop)


# ------------------------------------------------------------------------------ death and races


@every_kind
@some
@given(
    data=st.data(),
    deaths=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    knows=st.booleans(),
)
def test_dying_after_any_effect_and_starting_again_comes_to_the_same_end(
    kind: str,
    data: st.DataObject,
    deaths: list[int],
    knows: bool,  # noqa: FBT001 - drawn
) -> None:
    world = data.draw(ROWS[kind].worlds)
    undisturbed = copy.deepcopy(world)
    FakeLoop(undisturbed.host, undisturbed.policy).settle()

    loop = FakeLoop(world.host, world.policy)
    loop.keeps_known = knows
    for effects in deaths:
        if loop.settle_or_die(effects):
            world.host.advance(data.draw(st.sampled_from([0, 5_000_000, SECOND_NS])))
            loop.boot()
    loop.settle()
    expect_held(kind, world, loop)
    assert ending(world) == ending(undisturbed)


@every_kind
@some
@given(data=st.data())
def test_a_change_between_look_and_guard_is_never_overwritten(
    kind: str, data: st.DataObject
) -> None:
    world = data.draw(ROWS[kind].worlds)
    host = world.host
    resources = world.resources(kind)
    loop = FakeLoop(host, world.policy)
    assume(resources)
    spec = data.draw(st.sampled_from([each.spec for each in resources]))
    deed = data.draw(st.sampled_from(ROWS[kind].races(host, spec)))
    nth = data.draw(st.integers(0, 3))
    raced: list[Action] = []

    def race(action: Action) -> None:
        if len(raced) <= nth:
            raced.append(action)
            if len(raced) > nth:
                before = _guarded(host, action)
                deed.do(host)
                if before != _guarded(host, action):
                    raced.append(action)  # its guard must hold it back

    host.before.append(race)
    for _ in range(20):
        loop.hear()
        loop.turn()
        host.advance(10_000_000)
    if len(raced) > nth + 1:
        assert sum(each is raced[-1] for each in host.done) == 0
    loop.settle()
    if kind == "sysctl":
        loop.sweep()  # nobody tells of a parameter that was set while something else was done
        loop.settle()
    if kind != "service":
        expect_held(kind, world, loop)


def _guarded(host: FakeHost, action: Action) -> object:
    """What an action must not overlook, of what it acts on."""
    match action:
        case ReplaceFile() | RemoveFile():
            entry = host.files.get(action.path)
            return entry and entry.data
        case SetProcessLimit():
            return host.process(action.pid)
        case SetSysctl():
            return host.sysctls.get(action.key)
        case SetSysctl():
            return host.sysctls.get(action.key)
        case _:
            return None
