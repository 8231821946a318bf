"""One pass from looking to knowing: what is done, what is told of it, and when to look again."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from jada_configd.core.actions import Action, KeepEvidence, ReloadUnits, ReplaceFile, StartJob
from jada_configd.core.facts import Ceiling
from jada_configd.core.model import Exactly, Gone, Resource, ResourceId
from jada_configd.core.report import Report, Tried
from jada_configd.core.specs import Policy, SettingsSpec
from jada_configd.errors import HostError, ManagerGone, Refused, Unable, UnitRefused
from jada_configd.obstacles import EVENT_LOST_NS
from jada_configd.reconcile import UNTAKEN_MOST
from tests.fake_host import MILLISECOND_NS, SECOND_NS, FakeHost, JobEnded, Unit, named
from tests.fake_loop import FakeLoop
from tests.kinds.worlds import (
    AGENT,
    HOME,
    LATER,
    OPT,
    OTHER,
    PATTERN,
    drop_in,
    policy,
    service_spec,
    settings_spec,
)

SETTINGS = ResourceId("settings", HOME)
DROP_IN = ResourceId("unit-dropin", AGENT)
LIMITS = ResourceId("process-limits", AGENT)
SERVICE = ResourceId("service", AGENT)
GOOD = b'{"model": "sonnet"}'
BAD = b'{"model": "haiku"}'
HELD = policy((settings_spec(services=(AGENT,)),), (service_spec(),))


@pytest.fixture
def host() -> FakeHost:
    """A file as declared, and a unit that has run for long."""
    host = FakeHost()
    host.write(HOME, GOOD)
    host.add_unit(Unit(AGENT))
    host.start(AGENT, ago_ns=100 * SECOND_NS)
    return host


@pytest.fixture
def loop(host: FakeHost) -> FakeLoop:
    """A daemon that has found it so."""
    return settled(host, HELD)


def settled(host: FakeHost, held: Policy) -> FakeLoop:
    loop = FakeLoop(host, held)
    loop.settle()
    host.advance(SECOND_NS)
    host.done.clear()
    host.attempts = 0
    loop.history.clear()
    return loop


def turn(loop: FakeLoop, resource: ResourceId) -> Report:
    """Hear, look at what is due, and say what came of one resource."""
    loop.hear()
    (report,) = (each for each in loop.turn() if each.resource.id == resource)
    return report


def fails(error: Exception, *kinds: type) -> Callable[[Action], None]:
    def hook(action: Action) -> None:
        if isinstance(action, kinds or object):
            raise error

    return hook


# ------------------------------------------------------------------------------ a correction


def test_a_correction_is_told_with_what_was_found_and_done(host: FakeHost, loop: FakeLoop) -> None:
    host.write(HOME, BAD)
    report = turn(loop, SETTINGS)
    assert report.result == "corrected"
    assert report.settled
    assert [change.have for change in report.drift.changes] == ["haiku"]
    assert report.actions == (f"replace {HOME}",)
    assert report.cause == "hint"
    assert report.corrected_ns == report.detected_ns
    assert report.again_ns is None
    assert json.loads(host.files[HOME].data) == {"model": "sonnet"}


def test_a_pass_over_what_is_in_sync_says_so_and_asks_for_nothing(
    host: FakeHost, loop: FakeLoop
) -> None:
    loop.sweep()
    assert {each.result for each in loop.turn()} == {"in-sync"}
    assert host.attempts == 0


def test_what_was_in_sync_is_kept_for_the_day_on_which_it_is_broken(
    host: FakeHost, loop: FakeLoop
) -> None:
    content = b'{"model": "sonnet", "theme": "dark"}'
    host.write(HOME, content)
    assert turn(loop, SETTINGS).result == "in-sync"
    assert host.good[str(SETTINGS)] == content
    host.write(HOME, b'{"theme": "light"}')
    assert turn_later(loop, SETTINGS).result == "corrected"
    assert json.loads(host.good[str(SETTINGS)]) == {"theme": "light", "model": "sonnet"}


def turn_later(loop: FakeLoop, resource: ResourceId) -> Report:
    loop.host.advance(10 * MILLISECOND_NS)
    return turn(loop, resource)


def test_what_is_wrong_is_not_kept_as_good(host: FakeHost) -> None:
    host.write(HOME, BAD)
    loop = settled(host, policy((settings_spec(mode="observe"),)))
    assert loop.reports[SETTINGS].result == "reported"
    assert host.good == {}


def test_a_file_that_does_not_parse_waits_until_it_stands_still(
    host: FakeHost, loop: FakeLoop
) -> None:
    host.write(HOME, b'{"model": "son')
    report = turn(loop, SETTINGS)
    assert report.result == "waiting"
    assert report.again_ns == report.detected_ns + 250 * MILLISECOND_NS
    host.advance(200 * MILLISECOND_NS)
    host.write(HOME, GOOD + b"\n")
    assert turn(loop, SETTINGS).result == "in-sync"
    assert host.attempts == 0
    assert host.evidence == []


def test_a_broken_file_is_kept_as_evidence_and_becomes_its_last_good_content(
    host: FakeHost, loop: FakeLoop
) -> None:
    host.write(HOME, b"{")
    assert turn(loop, SETTINGS).result == "waiting"
    host.advance(250 * MILLISECOND_NS)
    report = turn(loop, SETTINGS)
    assert report.result == "corrected"
    assert named(host.done) == ["KeepEvidence", "ReplaceFile"]
    assert host.evidence == [(str(SETTINGS), b"{")]
    assert host.files[HOME].data == GOOD


def test_a_broken_file_whose_evidence_cannot_be_kept_is_left(
    host: FakeHost, loop: FakeLoop
) -> None:
    host.before.append(fails(Unable("the disk is full"), KeepEvidence))
    host.write(HOME, b"{")
    loop.settle()
    report = loop.reports[SETTINGS]
    assert report.result == "failed"
    assert report.degrades
    assert host.files[HOME].data == b"{"
    host.before.clear()
    host.advance(60 * SECOND_NS)
    loop.settle()
    assert host.files[HOME].data == GOOD


# ------------------------------------------------------------------------------ nothing is done


def test_observed_drift_is_reported_with_what_would_be_done(host: FakeHost) -> None:
    host.write(HOME, BAD)
    held = policy(
        (settings_spec(services=(AGENT, OTHER, "unnamed.service"), mode="observe"),),
        (service_spec(), service_spec(OTHER, apply="none")),
    )
    report = settled(host, held).reports[SETTINGS]
    assert report.result == "reported"
    assert report.actions == (f"replace {HOME}", f"reload-or-restart {AGENT}")
    assert host.attempts == 0


def test_a_place_that_does_not_exist_is_waited_for(host: FakeHost) -> None:
    loop = settled(host, policy((settings_spec("/nowhere/s.json"),)))
    report = loop.reports[ResourceId("settings", "/nowhere/s.json")]
    assert (report.result, report.again_ns, report.backs_off) == ("waiting", None, False)
    assert report.problem == "/nowhere does not exist; it is watched for"
    host.make_directory("/nowhere")
    loop.sweep()
    loop.settle()
    assert "/nowhere/s.json" in host.files


def test_what_cannot_be_looked_at_has_failed_and_degrades_nothing(host: FakeHost) -> None:
    host.blocked[HOME] = f"{HOME} is a FIFO"
    report = settled(host, policy((settings_spec(),))).reports[SETTINGS]
    assert (report.result, report.problem) == ("failed", f"{HOME} is a FIFO")
    assert not report.degrades


def test_an_inactive_unit_is_in_sync_and_said_to_be_inactive(host: FakeHost) -> None:
    host.stop(AGENT)
    report = settled(host, HELD).reports[SERVICE]
    assert report.result == "in-sync"
    assert report.problem == f"{AGENT} is inactive; a correction does not start it"


@pytest.mark.parametrize("state", ["absent", "failed", "masked"])
def test_a_unit_that_cannot_run_is_drift_that_is_left(host: FakeHost, state: str) -> None:
    host.stop(AGENT, failed=state == "failed")
    if state == "absent":
        del host.units[AGENT]
    elif state == "masked":
        host.units[AGENT].load_state = "masked"
    loop = settled(host, HELD)
    host.write(HOME, BAD)
    loop.settle()
    assert loop.reports[SETTINGS].settled
    report = loop.reports[SERVICE]
    assert report.result == "drifted"
    assert report.again_ns is None
    assert not any(isinstance(each, StartJob) for each in host.done)


def test_looking_alone_tells_what_would_be_done(host: FakeHost, loop: FakeLoop) -> None:
    host.write(HOME, BAD)
    (report,) = loop.reconciler.check([(loop.resources[SETTINGS], "operator")])
    assert report.result == "drifted"
    assert report.actions == (f"replace {HOME}", f"reload-or-restart {AGENT}")
    assert report.cause == "operator"
    host.blocked[HOME] = "is a FIFO"
    (report,) = loop.reconciler.check([(loop.resources[SETTINGS], "operator")])
    assert (report.result, report.actions) == ("failed", ())


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("error", "degrades"),
    [
        (Unable("the disk is full"), True),
        (ManagerGone("no bus"), True),
        (Refused("a hop of somebody else's"), False),
        (UnitRefused("Unit is masked."), False),
        (HostError("whatever"), False),
    ],
)
def test_what_the_machine_refuses_fails_and_is_tried_again(
    host: FakeHost, loop: FakeLoop, error: HostError, *, degrades: bool
) -> None:
    host.before.append(fails(error, ReplaceFile))
    host.write(HOME, BAD)
    report = turn(loop, SETTINGS)
    assert (report.result, report.problem) == ("failed", str(error))
    assert report.backs_off
    assert report.degrades == degrades
    assert report.traceback is None
    assert report.drift.changes != ()
    host.before.clear()
    loop.settle()
    assert loop.reports[SETTINGS].result == "in-sync"


def test_a_fault_of_our_own_is_told_with_its_traceback_and_the_daemon_lives(
    host: FakeHost, loop: FakeLoop
) -> None:
    host.write(OPT, BAD)
    loop.enforce(policy((*HELD.settings, settings_spec(OPT, name="other")), HELD.services))
    loop.settle()
    host.before.append(fails(ZeroDivisionError("oops"), ReplaceFile))
    host.write(HOME, BAD)
    report = turn(loop, SETTINGS)
    assert report.result == "failed"
    assert report.problem == "a fault of jada-configd: ZeroDivisionError: oops"
    assert report.traceback is not None
    assert "ZeroDivisionError" in report.traceback
    assert report.backs_off
    assert report.degrades
    assert loop.reports[ResourceId("settings", OPT)].settled


def test_a_fault_in_looking_harms_no_other_resource(host: FakeHost) -> None:
    class Broken(FakeHost):
        def last_good(self, resource: str) -> bytes | None:
            raise RuntimeError("oops")

    broken = Broken()
    broken.write(HOME, b"{")
    broken.write(OPT, BAD)
    loop = FakeLoop(broken, policy((settings_spec(), settings_spec(OPT))))
    loop.settle()
    assert loop.reports[SETTINGS].traceback is not None
    assert loop.reports[ResourceId("settings", OPT)].settled


def test_without_a_service_manager_files_are_held_all_the_same(host: FakeHost) -> None:
    host.manager_is_gone = True
    host.write(HOME, BAD)
    loop = FakeLoop(host, HELD)
    loop.settle()
    assert loop.reports[SETTINGS].settled
    report = loop.reports[SERVICE]
    assert (report.result, report.degrades, report.backs_off) == ("failed", True, True)
    host.manager_is_gone = False
    loop.settle()
    assert loop.reports[SERVICE].settled
    process = host.units[AGENT].process
    assert process is not None
    assert json.loads(process.saw[HOME]) == {"model": "sonnet"}


def test_the_first_failure_of_a_resource_ends_its_actions_but_nobody_elses(
    host: FakeHost,
) -> None:
    def full(action: Action) -> None:
        if isinstance(action, ReplaceFile) and action.path == drop_in(AGENT):
            raise Unable("the disk is full")

    host.add_unit(Unit(OTHER))
    host.before.append(full)
    held = policy(
        services=(
            service_spec(limits={"core": (0, 0)}),
            service_spec(OTHER, limits={"core": (0, 0)}),
        )
    )
    loop = FakeLoop(host, held)
    loop.settle()
    assert loop.reports[DROP_IN].degrades
    assert loop.reports[ResourceId("unit-dropin", OTHER)].settled


def test_a_daemon_reload_that_fails_fails_all_who_asked_for_it(host: FakeHost) -> None:
    host.add_unit(Unit(OTHER))
    host.before.append(fails(ManagerGone("no bus"), ReloadUnits))
    held = policy(
        services=(
            service_spec(limits={"core": (0, 0)}),
            service_spec(OTHER, limits={"core": (0, 0)}),
        )
    )
    loop = FakeLoop(host, held)
    loop.turn()
    assert [loop.reports[ResourceId("unit-dropin", each)].problem for each in (AGENT, OTHER)] == [
        "no bus"
    ] * 2
    host.before.clear()
    loop.settle()
    assert loop.reports[DROP_IN].settled


# ------------------------------------------------------------------------------ races


def test_what_changed_between_look_and_guard_is_looked_at_again_at_once(
    host: FakeHost, loop: FakeLoop
) -> None:
    theirs = b'{"model": "haiku", "theme": "theirs"}'
    host.write(HOME, BAD)

    def race(_: Action) -> None:
        host.before.clear()
        host.write(HOME, theirs)

    host.before.append(race)
    report = turn(loop, SETTINGS)
    assert report.result == "waiting"
    assert report.again_ns is not None
    assert not report.backs_off
    assert host.files[HOME].data == theirs
    loop.settle()
    assert json.loads(host.files[HOME].data) == {"model": "sonnet", "theme": "theirs"}


def test_a_rival_that_writes_back_at_once_is_corrected_and_then_backed_off_from(
    host: FakeHost, loop: FakeLoop
) -> None:
    replace_file = host.replace_file
    rounds = []

    def replaced_and_undone(action: ReplaceFile) -> None:
        replace_file(action)
        rounds.append(action)
        host.write(HOME, BAD)

    host.replace_file = replaced_and_undone  # type: ignore[method-assign]
    host.write(HOME, BAD)
    for _ in range(UNTAKEN_MOST - 1):
        assert turn_later(loop, SETTINGS).result == "waiting"
    host.write(HOME, GOOD)
    assert turn_later(loop, SETTINGS).result == "in-sync"
    host.advance(60 * SECOND_NS)  # so many within a minute would be a contest
    host.write(HOME, BAD)
    results = [turn_later(loop, SETTINGS).result for _ in range(UNTAKEN_MOST)]
    assert results == ["waiting"] * (UNTAKEN_MOST - 1) + ["failed"]
    assert loop.reports[SETTINGS].backs_off
    assert loop.reports[SETTINGS].problem == "it was changed again at once"
    host.replace_file = replace_file  # type: ignore[method-assign]
    loop.settle()
    assert host.files[HOME].data != BAD
    assert loop.reports[SETTINGS].settled


# ------------------------------------------------------------------------------ services


def test_one_job_takes_up_a_whole_batch(host: FakeHost) -> None:
    host.write(OPT, BAD)
    host.write(HOME, BAD)
    held = policy(
        (settings_spec(services=(AGENT,)), settings_spec(OPT, services=(AGENT,))),
        (service_spec(),),
    )
    FakeLoop(host, held).settle()
    assert named(host.done) == ["ReplaceFile", "ReplaceFile", "StartJob"]


def test_a_job_comes_after_the_file_and_its_end_is_an_event(host: FakeHost, loop: FakeLoop) -> None:
    host.write(HOME, BAD)
    host.start(AGENT)  # a process that read it
    turn(loop, SETTINGS)
    report = turn_later(loop, SERVICE)
    assert report.result == "waiting"
    assert report.actions == (f"restart {AGENT}",)
    assert report.again_ns == report.detected_ns + EVENT_LOST_NS
    host.advance(50 * SECOND_NS)  # and still it is no reason to wait for it
    loop.hear()
    loop.turn()
    while host.jobs:
        host.step_job(host.jobs[0])
    loop.settle()
    (corrected,) = (
        each for each in loop.history if each.resource.id == SERVICE and each.result == "corrected"
    )
    assert corrected.detected_ns == report.detected_ns
    assert corrected.corrected_ns > report.detected_ns + 50 * SECOND_NS
    assert named(host.done) == ["ReplaceFile", "StartJob"]


def test_a_service_that_has_read_right_values_goes_on(host: FakeHost, loop: FakeLoop) -> None:
    host.write(HOME, BAD)
    loop.settle()
    assert named(host.done) == ["ReplaceFile"]


def test_a_reload_and_no_restart_where_what_runs_has_read_right_values(host: FakeHost) -> None:
    host.units[AGENT].can_reload = True
    loop = settled(host, HELD)
    host.write(HOME, BAD)
    loop.settle()
    assert [str(each) for each in host.done] == [f"replace {HOME}", f"reload {AGENT}"]


def test_a_correction_during_a_reload_asks_for_another(host: FakeHost) -> None:
    host.units[AGENT].can_reload = True
    loop = settled(host, HELD)
    host.write(HOME, BAD)
    turn(loop, SETTINGS)
    turn_later(loop, SERVICE)
    assert len(host.jobs) == 1
    host.write(HOME, BAD)
    turn_later(loop, SETTINGS)
    loop.settle()
    assert [str(each) for each in host.done if isinstance(each, StartJob)] in (
        [f"reload {AGENT}", f"restart {AGENT}"],  # it may have read what was wrong while reloading
        [f"reload {AGENT}", f"reload {AGENT}"],
    )
    process = host.units[AGENT].process
    assert process is not None
    assert json.loads((process.reread or process.saw)[HOME]) == {"model": "sonnet"}


def test_a_service_whose_job_failed_is_left_alone_for_a_while(
    host: FakeHost, loop: FakeLoop
) -> None:
    host.job_results[AGENT] = ["canceled"]
    host.write(HOME, BAD)
    host.start(AGENT)
    turn(loop, SETTINGS)
    turn_later(loop, SERVICE)
    (job,) = host.jobs
    host.jobs.clear()  # systemd has dropped it, and the unit runs on
    host.units[AGENT].active_state = "active"
    host.told.append(JobEnded(job, "canceled"))
    report = turn_later(loop, SERVICE)
    assert report.result == "drifted"
    assert report.problem == "is left alone for a while, because its last job failed"
    assert report.again_ns is not None
    assert report.again_ns > report.detected_ns + 9 * SECOND_NS
    host.job_results.clear()
    loop.settle()
    assert loop.reports[SERVICE].settled
    assert named(host.done) == ["ReplaceFile", "StartJob", "StartJob"]


def test_the_end_of_a_job_that_nobody_told_is_found_by_looking(
    host: FakeHost, loop: FakeLoop
) -> None:
    host.write(HOME, BAD)
    host.start(AGENT)
    turn(loop, SETTINGS)
    turn_later(loop, SERVICE)
    host.jobs.clear()  # systemd shows none any more, and nothing was done
    host.units[AGENT].active_state = "active"
    host.told.clear()
    loop.settle()
    assert loop.reports[SERVICE].settled
    assert named(host.done) == ["ReplaceFile", "StartJob", "StartJob"]


def test_somebody_elses_job_is_waited_for(host: FakeHost, loop: FakeLoop) -> None:
    host.write(HOME, BAD)
    host.start(AGENT)
    turn(loop, SETTINGS)
    host.accepted = lambda _: None  # it is not the daemon's
    host.start_job(StartJob(AGENT, "restart"))
    report = turn_later(loop, SERVICE)
    assert report.result == "waiting"
    assert report.problem == f"waits for the job that {AGENT} has in hand"
    assert report.again_ns == report.detected_ns + EVENT_LOST_NS
    loop.settle()
    assert loop.reports[SERVICE].settled
    assert named(host.done) == ["ReplaceFile", "StartJob"]


def test_no_second_job_is_made_before_the_end_of_the_first_is_told(
    host: FakeHost, loop: FakeLoop
) -> None:
    host.write(HOME, BAD)
    host.start(AGENT)
    turn(loop, SETTINGS)
    turn_later(loop, SERVICE)
    (job,) = host.jobs
    host.jobs.clear()  # systemd shows the unit without it, and has not told yet
    host.units[AGENT].active_state = "active"
    loop.sweep()
    report = turn_later(loop, SERVICE)
    assert report.result == "waiting"
    assert report.again_ns == report.detected_ns + EVENT_LOST_NS
    assert named(host.done) == ["ReplaceFile", "StartJob"]
    host.advance(MILLISECOND_NS)
    host.told.append(JobEnded(job, "done"))
    loop.settle()
    assert loop.reports[SERVICE].settled
    assert named(host.done) == ["ReplaceFile", "StartJob"]


def test_what_somebody_else_put_right_is_taken_up_though_the_daemon_dies(
    host: FakeHost, loop: FakeLoop
) -> None:
    host.write(HOME, b"")
    host.start(AGENT)
    turn(loop, SETTINGS)
    host.advance(100 * MILLISECOND_NS)
    host.write(HOME, GOOD)
    assert turn(loop, SETTINGS).result == "in-sync"
    loop.boot()
    loop.settle()
    assert named(host.done) == ["StartJob"]


def test_a_service_that_only_a_hand_may_restart_is_drift_and_no_waiting(host: FakeHost) -> None:
    held = policy((settings_spec(services=(AGENT,)),), (service_spec(apply="reload"),))
    host.units[AGENT].can_reload = True
    host.write(HOME, BAD)
    loop = FakeLoop(host, held)
    loop.settle()
    report = loop.reports[SERVICE]
    assert [str(each) for each in host.done] == [f"replace {HOME}", f"reload {AGENT}"]
    assert report.result == "waiting"
    assert report.again_ns is None
    assert report.problem == f"waits for a restart of {AGENT} by hand (apply = 'reload')"
    host.advance(SECOND_NS)
    host.crash(AGENT)
    loop.settle()
    assert loop.reports[SERVICE].result in ("in-sync", "corrected")


def test_what_somebody_else_put_right_is_taken_up_by_who_read_it_wrong(
    host: FakeHost, loop: FakeLoop
) -> None:
    host.write(HOME, b"")  # in the middle of being written
    host.start(AGENT)
    assert turn(loop, SETTINGS).result == "waiting"
    host.advance(100 * MILLISECOND_NS)
    host.write(HOME, GOOD)
    loop.settle()
    assert named(host.done) == ["StartJob"]


def test_what_somebody_else_put_right_is_no_correction_of_ours(host: FakeHost) -> None:
    host.units[AGENT].can_reload = True
    loop = settled(
        host, policy((settings_spec(services=(AGENT,)),), (service_spec(when="always"),))
    )
    host.write(HOME, b"")
    assert turn(loop, SETTINGS).result == "waiting"
    host.write(HOME, GOOD)
    loop.settle()
    assert host.done == []


def test_nobody_restarts_anything_for_what_is_only_observed(host: FakeHost) -> None:
    loop = settled(
        host, policy((settings_spec(services=(AGENT,), mode="observe"),), (service_spec(),))
    )
    host.write(HOME, BAD)
    host.start(AGENT)
    loop.settle()
    host.write(HOME, GOOD)
    loop.settle()
    assert loop.reports[SETTINGS].result == "in-sync"
    assert host.done == []


def test_a_new_policy_makes_what_ran_under_the_old_one_stale(
    host: FakeHost, loop: FakeLoop
) -> None:
    spec = settings_spec(services=(AGENT,), rules={("model",): Exactly("opus")})
    loop.enforce(policy((spec,), HELD.services))
    loop.settle()
    assert named(host.done) == ["ReplaceFile", "StartJob"]
    process = host.units[AGENT].process
    assert process is not None
    assert json.loads(process.saw[HOME]) == {"model": "opus"}


def test_what_a_service_did_not_bear_is_no_correction_once_the_policy_is_mended(
    host: FakeHost,
) -> None:
    held = replace(HELD, services=(service_spec(on_unhealthy="roll-back"),))
    loop = settled(host, held)
    spec = settings_spec(services=(AGENT,), rules={("model",): Exactly("opus")})
    host.job_results[AGENT] = ["failed"]
    loop.enforce(replace(held, settings=(spec,), revision="bad"))
    loop.settle()
    (told,) = loop.tried
    assert isinstance(told, Tried)
    assert told.outcome == "rolled-back"
    assert loop.reports[SERVICE].result == "drifted"
    loop.history.clear()
    loop.enforce(held)
    loop.settle()
    results = {each.result for each in loop.history if each.resource.id == SERVICE}
    assert results == {"in-sync"}


# ------------------------------------------------------------------------------ limits

WITH_LIMITS = policy(services=(service_spec(limits={"nofile": (5, 6)}),))


def test_a_drop_in_is_corrected_once_systemd_has_read_it(host: FakeHost) -> None:
    loop = FakeLoop(host, WITH_LIMITS)
    loop.turn()
    report = loop.reports[DROP_IN]
    assert report.result == "waiting"
    assert report.actions == (f"create {drop_in(AGENT)}", "daemon-reload")
    host.finish_reload()
    loop.settle()
    results = [each.result for each in loop.history if each.resource.id == DROP_IN]
    assert results[0] == "waiting"
    assert results.count("corrected") == 1
    assert results[-1] in ("corrected", "in-sync")


def test_looks_while_systemd_reads_its_files_start_no_second_daemon_reload(
    host: FakeHost,
) -> None:
    loop = FakeLoop(host, WITH_LIMITS)
    loop.turn()
    for _ in range(3):
        host.advance(10 * MILLISECOND_NS)
        loop.sweep()
        loop.turn()
        assert loop.reports[DROP_IN].result == "waiting"
    assert named(host.done).count("ReloadUnits") == 1


def test_a_daemon_reload_whose_end_was_not_told_is_made_again(host: FakeHost) -> None:
    loop = FakeLoop(host, WITH_LIMITS)
    loop.turn()
    host.reloads = 0
    loop.settle()
    assert named(host.done).count("ReloadUnits") == 2
    assert loop.reports[DROP_IN].settled


def test_a_drop_in_that_changes_while_systemd_reads_is_read_again(host: FakeHost) -> None:
    loop = FakeLoop(host, WITH_LIMITS)
    loop.turn()
    host.write(drop_in(AGENT), b"")
    loop.hear()
    host.advance(10 * MILLISECOND_NS)
    loop.turn()
    assert named(host.done).count("ReloadUnits") == 2
    loop.settle()
    assert loop.reports[DROP_IN].settled


@pytest.mark.parametrize(("when", "job"), [("always", True), ("auto", False), ("stale", False)])
def test_a_corrected_drop_in_is_applied_where_every_correction_is(
    host: FakeHost, when: str, *, job: bool
) -> None:
    host.units[AGENT].can_reload = True
    held = policy(services=(service_spec(when=when, limits={"nofile": (5, 6)}),))
    loop = settled(host, held)
    host.unlink(drop_in(AGENT))
    loop.settle()
    assert [str(each) for each in host.done if isinstance(each, StartJob)] == (
        [f"reload {AGENT}"] if job else []
    )


def test_a_refused_limit_is_given_by_one_restart(host: FakeHost) -> None:
    host.raises_limits = False
    loop = FakeLoop(host, WITH_LIMITS)
    loop.settle()
    process = host.units[AGENT].process
    assert process is not None
    assert process.limits["nofile"] == (5, 6)
    assert named(host.done).count("StartJob") == 1
    assert loop.reports[LIMITS].settled
    assert any(
        each.result == "corrected" and each.actions == (f"restart {AGENT}",)
        for each in loop.history
        if each.resource.id == LIMITS
    )


def test_a_refused_limit_that_systemd_is_only_now_told_to_give_is_no_failure(
    host: FakeHost,
) -> None:
    host.raises_limits = False
    host.units[AGENT].own = {"nofile": (1, 2)}
    host.write(drop_in(AGENT, LATER), b"[Service]\nLimitNOFILE=1:2\n", mode=0o644, uid=0)
    loop = FakeLoop(host, WITH_LIMITS)
    loop.settle()
    host.crash(AGENT)
    host.unlink(drop_in(AGENT, LATER))
    before = len(loop.history)
    loop.sweep()
    loop.settle()
    assert "failed" not in {each.result for each in loop.history[before:]}
    assert loop.reports[LIMITS].settled
    assert named(host.done).count("StartJob") == 1


def test_looks_in_the_middle_of_that_restart_ask_for_no_second_one(host: FakeHost) -> None:
    host.raises_limits = False
    loop = settled(host, WITH_LIMITS)
    host.lower_limit(AGENT, "nofile", (1, 1))
    loop.sweep()
    for _ in range(50):
        loop.hear()
        loop.turn()
        host.advance(10 * MILLISECOND_NS)
        loop.sweep()
        loop.turn()
        if host.jobs:
            host.step_job(host.jobs[0])
    loop.settle()
    assert named(host.done).count("StartJob") == 1
    assert loop.reports[LIMITS].settled
    assert "failed" not in {each.result for each in loop.history}


def test_what_a_restart_did_not_bring_is_told_and_not_tried_again(host: FakeHost) -> None:
    host.raises_limits = False
    loop = settled(host, WITH_LIMITS)
    # systemd says one thing and gives another, without a word
    host.ceilings["nofile"] = Ceiling(2, "nobody may know")
    host.ceiling = lambda _: None  # type: ignore[assignment,method-assign]
    host.crash(AGENT)
    loop.settle()
    for _ in range(3):
        loop.sweep()
        loop.settle()
    assert named(host.done) == ["StartJob"]
    report = loop.reports[LIMITS]
    assert report.result == "failed"
    assert not report.degrades
    assert report.problem is not None
    assert report.problem.endswith(f"; a restart of {AGENT} did not bring it either")
    host.lower_limit(AGENT, "nofile", (5, 6))  # somebody else found a way
    loop.sweep()
    loop.settle()
    assert loop.reports[LIMITS].result == "in-sync"


def test_what_a_program_does_whenever_it_starts_brings_no_third_restart(host: FakeHost) -> None:
    """Node.js raises its soft limit: the process was right for a moment, and is not any more."""
    host.raises_limits = False
    loop = settled(host, WITH_LIMITS)
    host.lower_limit(AGENT, "nofile", (6, 6))
    for _ in range(4):
        loop.sweep()
        for _ in range(100):
            loop.hear()
            loop.turn()
            host.advance(10 * MILLISECOND_NS)
            if host.jobs:
                host.step_job(host.jobs[0])
                if not host.jobs:
                    loop.hear()
                    loop.turn()
                    assert loop.reports[LIMITS].settled
                    host.lower_limit(AGENT, "nofile", (6, 6))
        host.advance(300 * SECOND_NS)
    assert named(host.done).count("StartJob") == 2
    report = loop.reports[LIMITS]
    assert report.problem is not None
    assert report.problem.endswith(f"; a restart of {AGENT} did not bring it either")


def test_a_process_that_somebody_else_started_since_may_have_another_restart(
    host: FakeHost,
) -> None:
    host.raises_limits = False
    loop = settled(host, WITH_LIMITS)
    host.lower_limit(AGENT, "nofile", (1, 1))
    loop.sweep()
    for _ in range(100):
        loop.hear()
        loop.turn()
        host.advance(MILLISECOND_NS)
        if host.jobs:
            host.step_job(host.jobs[0])
    assert loop.reports[LIMITS].settled
    host.start(AGENT)
    host.lower_limit(AGENT, "nofile", (1, 1))
    loop.sweep()
    loop.settle()
    assert loop.reports[LIMITS].settled
    assert named(host.done).count("StartJob") == 2


def test_what_held_for_a_while_after_a_restart_may_have_another(host: FakeHost) -> None:
    host.raises_limits = False
    loop = settled(host, WITH_LIMITS)
    for count in (1, 2):
        host.lower_limit(AGENT, "nofile", (1, 1))
        loop.sweep()
        loop.settle()
        assert loop.reports[LIMITS].settled
        assert named(host.done).count("StartJob") == count


def test_a_process_whose_limit_is_refused_keeps_no_other_from_its_own(host: FakeHost) -> None:
    host.raises_limits, host.same_user = False, True
    held = policy(services=(service_spec(limits={"nofile": (5, 6)}, live="all"),))
    loop = settled(host, held)
    beyond, within = host.fork(AGENT), host.fork(AGENT)
    host.lower_limit(AGENT, "nofile", (1, 2), pid=beyond.pid)
    host.lower_limit(AGENT, "nofile", (1, 6), pid=within.pid)
    main = host.units[AGENT].process
    loop.sweep()
    loop.settle()
    limits = {each.pid: each.limits["nofile"] for each in host.units[AGENT].others}
    assert limits == {beyond.pid: (1, 2), within.pid: (5, 6)}
    report = loop.reports[LIMITS]
    assert report.result == "failed"
    assert report.problem == f"the kernel refuses nofile to process {beyond.pid}"
    assert host.units[AGENT].process == main


def test_a_process_that_ends_before_it_is_set_keeps_no_other_from_its_own(host: FakeHost) -> None:
    held = policy(services=(service_spec(limits={"nofile": (5, 6)}, live="all"),))
    loop = settled(host, held)
    ends, stays = host.fork(AGENT), host.fork(AGENT)
    for child in (ends, stays):
        host.lower_limit(AGENT, "nofile", (1, 2), pid=child.pid)
    host.before.append(lambda _: host.end(AGENT, ends.pid))
    loop.sweep()
    (report,) = (each for each in loop.turn() if each.resource.id == LIMITS)
    assert report.result == "waiting"
    (other,) = host.units[AGENT].others
    assert other.limits["nofile"] == (5, 6)
    loop.settle()
    assert loop.reports[LIMITS].settled


@pytest.mark.parametrize("apply", ["none", "reload"])
def test_where_no_restart_is_allowed_it_is_left_to_a_hand(host: FakeHost, apply: str) -> None:
    host.raises_limits = False
    held = policy(services=(service_spec(apply=apply, limits={"nofile": (5, 6)}),))
    loop = FakeLoop(host, held)
    loop.settle()
    report = loop.reports[LIMITS]
    assert report.result == "failed"
    assert report.again_ns is None
    assert report.problem is not None
    assert report.problem.endswith(f"; a restart of {AGENT} by hand would bring it")
    assert not any(isinstance(each, StartJob) for each in host.done)
    host.crash(AGENT)
    loop.settle()
    assert loop.reports[LIMITS].settled


def test_what_is_out_of_reach_does_not_keep_the_rest_from_being_corrected(host: FakeHost) -> None:
    host.ceilings["nofile"] = Ceiling(2000, "fs.nr_open is 2000")
    host.crash(AGENT)
    held = policy(services=(service_spec(limits={"nofile": (5, 9999), "nproc": (7, 8)}),))
    loop = FakeLoop(host, held)
    loop.settle()
    for _ in range(UNTAKEN_MOST + 1):
        host.lower_limit(AGENT, "nproc", (1, 2))
        loop.sweep()
        loop.settle()
        process = host.units[AGENT].process
        assert process is not None
        assert process.limits["nproc"] == (7, 8)
    assert "failed" not in {each.result for each in loop.history}
    report = loop.reports[LIMITS]
    assert report.result == "drifted"
    assert not report.backs_off
    assert report.problem is not None
    assert "no restart would give it 9999: fs.nr_open is 2000" in report.problem


# ------------------------------------------------------------------------------ globs


def test_each_file_of_a_pattern_is_held_by_itself(host: FakeHost) -> None:
    eve = "/home/eve/.claude/settings.json"
    host.write(eve, b'{"model": "haiku", "env": {"A": 1}}')
    spec = settings_spec(PATTERN, create=False, rules={("env", "A"): Gone()})
    loop = FakeLoop(host, policy((spec,)))
    loop.settle()
    assert json.loads(host.files[eve].data) == {"model": "haiku", "env": {}}
    assert host.files[HOME].data == GOOD
    assert all(isinstance(each.spec, SettingsSpec) for each in loop.resources.values())


def test_a_resource_whose_spec_changes_is_judged_by_the_new_one(host: FakeHost) -> None:
    loop = settled(host, policy((settings_spec(),)))
    resource = loop.resources[SETTINGS]
    other = Resource(
        SETTINGS, settings_spec(rules={("model",): Gone()}), resource.mode, resource.origin
    )
    (report,) = loop.reconciler.reconcile([(other, "policy")], host)
    assert report.result == "corrected"
    assert json.loads(host.files[HOME].data) == {}
