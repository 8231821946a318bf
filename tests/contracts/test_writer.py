"""What every writer owes the core: the one change that an action says, or none and an error."""

from dataclasses import replace
from typing import get_args

import pytest

from jada_configd.core.actions import (
    How,
    KeepEvidence,
    RemoveFile,
    ReplaceFile,
    SetProcessLimit,
    SetSysctl,
    StartJob,
    digest,
)
from jada_configd.core.facts import Content, LimitValue, ProcessFact, SysctlFact
from jada_configd.errors import HostError, ManagerGone, Refused, Stale
from tests.contracts.machines import GID, UID, Machine
from tests.fake_host import FakeHost, JobEnded, Unit

DIRECTORY = "/home/eve/.claude"
PATH = f"{DIRECTORY}/settings.json"
OLD = b'{"model": "haiku"}\n'
NEW = b'{"model": "sonnet"}\n'
THEIRS = b'{"model": "theirs"}\n'

DROP_INS = "/etc/systemd/system/jada-agent.service.d"
DROP_IN = f"{DROP_INS}/zz-jada-configd.conf"


def read(machine: Machine, path: str = PATH) -> Content:
    fact = machine.reader.read_file(path)
    assert isinstance(fact, Content), fact
    return fact


def replacement(fact: Content, content: bytes = NEW) -> ReplaceFile:
    return ReplaceFile(fact.path, content, fact.mode, fact.uid, fact.gid, digest(fact.data))


def creation(path: str = PATH, *, make_directories: bool = False) -> ReplaceFile:
    return ReplaceFile(path, NEW, 0o600, UID, GID, None, make_directories)


# ------------------------------------------------------------------------------ replacing


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400])
@pytest.mark.parametrize("content", [NEW, b"", b"x" * 100_000])
def test_what_was_looked_at_is_replaced_whole_and_keeps_its_mode_and_owner(
    machine: Machine, mode: int, content: bytes
) -> None:
    machine.put(PATH, OLD, mode)
    before = read(machine)
    machine.writer.replace_file(replacement(before, content))
    after = read(machine)
    assert after.data == content
    assert (after.mode, after.uid, after.gid) == (mode, UID, GID)
    assert machine.names(DIRECTORY) == ["settings.json"]


def test_a_replacement_is_another_file_so_that_a_reader_never_sees_half_of_it(
    machine: Machine,
) -> None:
    machine.put(PATH, OLD)
    before = read(machine)
    machine.writer.replace_file(replacement(before))
    assert read(machine).inode != before.inode


def test_what_was_not_looked_at_is_not_overwritten(machine: Machine) -> None:
    machine.put(PATH, OLD)
    action = replacement(read(machine))
    machine.put(PATH, THEIRS)
    with pytest.raises(Stale):
        machine.writer.replace_file(action)
    assert read(machine).data == THEIRS
    assert machine.names(DIRECTORY) == ["settings.json"]


def test_what_was_renamed_over_it_is_not_overwritten(machine: Machine) -> None:
    machine.put(PATH, OLD)
    action = replacement(read(machine))
    machine.move_over(PATH, THEIRS)
    with pytest.raises(Stale):
        machine.writer.replace_file(action)
    assert read(machine).data == THEIRS


def test_the_same_content_again_is_what_was_looked_at(machine: Machine) -> None:
    machine.put(PATH, OLD)
    action = replacement(read(machine))
    machine.move_over(PATH, OLD)
    machine.writer.replace_file(action)
    assert read(machine).data == NEW


def test_what_has_gone_is_not_replaced(machine: Machine) -> None:
    machine.put(PATH, OLD)
    action = replacement(read(machine))
    machine.unlink(PATH)
    with pytest.raises(Stale):
        machine.writer.replace_file(action)
    assert machine.names(DIRECTORY) == []


def test_a_replacement_is_made_once(machine: Machine) -> None:
    machine.put(PATH, OLD)
    action = replacement(read(machine))
    machine.writer.replace_file(action)
    with pytest.raises(Stale):
        machine.writer.replace_file(action)
    assert read(machine).data == NEW


def test_what_is_no_regular_file_is_refused(machine: Machine) -> None:
    machine.make_directory(PATH)
    with pytest.raises((Refused, Stale)):
        machine.writer.replace_file(creation())
    assert machine.names(PATH) == []


# ------------------------------------------------------------------------------ creating


def test_a_new_file_has_the_mode_that_it_is_made_with(machine: Machine) -> None:
    machine.make_directory(DIRECTORY)
    machine.writer.replace_file(creation())
    fact = read(machine)
    assert (fact.data, fact.mode, fact.uid, fact.gid) == (NEW, 0o600, UID, GID)
    assert machine.names(DIRECTORY) == ["settings.json"]


def test_where_a_file_has_appeared_none_is_made(machine: Machine) -> None:
    machine.put(PATH, THEIRS)
    with pytest.raises(Stale):
        machine.writer.replace_file(creation())
    assert read(machine).data == THEIRS
    assert machine.names(DIRECTORY) == ["settings.json"]


def test_no_directory_is_made_unless_that_is_asked_for(machine: Machine) -> None:
    with pytest.raises(HostError) as caught:
        machine.writer.replace_file(creation())
    assert not isinstance(caught.value, Stale)
    assert not machine.exists("/home/eve")


def test_directories_of_our_own_are_made_where_that_is_asked_for(machine: Machine) -> None:
    action = replace(creation(DROP_IN, make_directories=True), uid=-1, gid=-1, mode=0o644)
    machine.writer.replace_file(action)
    fact = read(machine, DROP_IN)
    assert (fact.data, fact.mode) == (NEW, 0o644)
    assert machine.names(DROP_INS) == ["zz-jada-configd.conf"]


# ------------------------------------------------------------------------------ removing


def test_our_file_is_removed_with_the_directory_that_it_leaves_empty(machine: Machine) -> None:
    machine.put(DROP_IN, OLD)
    machine.writer.remove_file(RemoveFile(DROP_IN, digest(OLD)))
    assert not machine.exists(DROP_INS)
    assert machine.exists("/etc/systemd/system")


def test_a_directory_with_anything_else_in_it_stays(machine: Machine) -> None:
    machine.put(DROP_IN, OLD)
    machine.put(f"{DROP_INS}/override.conf", b"")
    machine.writer.remove_file(RemoveFile(DROP_IN, digest(OLD)))
    assert machine.names(DROP_INS) == ["override.conf"]


def test_a_directory_that_is_none_for_drop_ins_stays(machine: Machine) -> None:
    machine.put(PATH, OLD)
    machine.writer.remove_file(RemoveFile(PATH, digest(OLD)))
    assert machine.names(DIRECTORY) == []


@pytest.mark.parametrize("directory", ["/etc/security/limits.d", "/etc/sysctl.d"])
def test_a_directory_of_a_package_stays_when_our_file_in_it_was_the_last(
    machine: Machine, directory: str
) -> None:
    path = f"{directory}/zz-jada-configd.conf"
    machine.put(path, OLD)
    machine.writer.remove_file(RemoveFile(path, digest(OLD)))
    assert machine.names(directory) == []


def test_what_was_not_looked_at_is_not_removed(machine: Machine) -> None:
    machine.put(DROP_IN, THEIRS)
    with pytest.raises(Stale):
        machine.writer.remove_file(RemoveFile(DROP_IN, digest(OLD)))
    assert read(machine, DROP_IN).data == THEIRS
    assert machine.names(DROP_INS) == ["zz-jada-configd.conf"]


@pytest.mark.parametrize("path", [DROP_IN, "/etc/nowhere.d/x"])
def test_what_has_gone_is_not_removed(machine: Machine, path: str) -> None:
    machine.make_directory(DROP_INS)
    with pytest.raises(Stale):
        machine.writer.remove_file(RemoveFile(path, digest(OLD)))


# ------------------------------------------------------------------------------ evidence


def test_evidence_is_kept_byte_for_byte(machine: Machine) -> None:
    machine.writer.keep_evidence(KeepEvidence(f"settings:{PATH}", b"\x00{broken"))
    machine.writer.keep_evidence(KeepEvidence("settings:/elsewhere", b""))
    assert sorted(machine.evidence()) == [b"", b"\x00{broken"]


# ------------------------------------------------------------------------------ processes


def limiting(fact: ProcessFact, soft: LimitValue, hard: LimitValue) -> SetProcessLimit:
    return SetProcessLimit(fact.pid, fact.started, "nofile", soft, hard)


def limits(machine: Machine, pid: int) -> tuple[LimitValue, LimitValue]:
    fact = machine.reader.process(pid)
    assert fact is not None
    return fact.limits["nofile"]


def test_a_limit_is_set_on_the_process_and_on_no_other(machine: Machine) -> None:
    fact, other = machine.start_process(), machine.start_process()
    machine.writer.set_process_limit(limiting(fact, 100, 200))
    assert limits(machine, fact.pid) == (100, 200)
    assert limits(machine, other.pid) == other.limits["nofile"]
    after = machine.reader.process(fact.pid)
    assert after is not None
    assert {**after.limits, "nofile": None} == {**fact.limits, "nofile": None}


def test_a_later_process_of_that_number_is_left_alone(machine: Machine) -> None:
    fact = machine.start_process()
    with pytest.raises(Stale):
        machine.writer.set_process_limit(limiting(replace(fact, started=fact.started - 1), 1, 2))
    assert limits(machine, fact.pid) == fact.limits["nofile"]


def test_a_process_that_has_ended_is_stale(machine: Machine) -> None:
    fact = machine.start_process()
    machine.end_process(fact.pid)
    with pytest.raises(Stale):
        machine.writer.set_process_limit(limiting(fact, 100, 200))


def test_more_than_the_host_gives_is_refused(machine: Machine) -> None:
    fact = machine.start_process()
    ceiling = machine.reader.ceiling("nofile")
    assert ceiling is not None
    assert ceiling.value is not None
    most = max(ceiling.value, fact.limits["nofile"][1] or 0)
    with pytest.raises(Refused):
        machine.writer.set_process_limit(limiting(fact, 100, most + 1))
    assert limits(machine, fact.pid) == fact.limits["nofile"]


def test_soft_over_hard_is_taken_by_no_kernel(machine: Machine) -> None:
    fact = machine.start_process()
    with pytest.raises(HostError) as caught:
        machine.writer.set_process_limit(limiting(fact, 200, 100))
    assert not isinstance(caught.value, Stale)
    assert limits(machine, fact.pid) == fact.limits["nofile"]


# ------------------------------------------------------------------------------ units


AGENT = "jada-agent.service"


@pytest.mark.parametrize("how", get_args(How))
def test_without_a_service_manager_units_are_beyond_reach(machine: Machine, how: How) -> None:
    with pytest.raises(ManagerGone):
        machine.writer.reload_units()
    with pytest.raises(ManagerGone):
        machine.writer.start_job(StartJob(AGENT, how))


# What follows is the fake one's alone: on a real systemd, `tests/system/test_systemd_bus.py` has
# the same.


@pytest.fixture
def host() -> FakeHost:
    made = FakeHost()
    made.add_unit(Unit(AGENT))
    return made


def started(host: FakeHost) -> list[str]:
    """A start from its acceptance to its end; how the jobs of the unit have ended."""
    host.told.clear()
    host.start_job(StartJob(AGENT, "start"))
    while host.jobs:
        host.step_job(host.jobs[0])
    return [each.result for each in host.told if isinstance(each, JobEnded)]


@pytest.mark.parametrize("failed", [False, True])
def test_what_does_not_run_is_started_by_start_alone(host: FakeHost, *, failed: bool) -> None:
    host.start(AGENT)
    host.stop(AGENT, failed=failed)
    before = host.unit(AGENT)
    assert (before.active_state, before.ended) == (
        ("failed", "exit status 1") if failed else ("inactive", "")
    )
    for how in ("restart", "reload-or-restart"):
        host.start_job(StartJob(AGENT, how))
        assert host.unit(AGENT) == before
    assert started(host) == ["done"]
    fact = host.unit(AGENT)
    assert (fact.active_state, fact.result, fact.ended) == ("active", "success", "")
    assert fact.main_pid > 0


def test_a_start_makes_a_new_process_of_a_unit_that_runs(host: FakeHost) -> None:
    before = host.start(AGENT)
    assert started(host) == ["done"]
    assert host.unit(AGENT).main_pid not in (0, before.pid)


def test_a_start_takes_the_place_of_one_that_hangs(host: FakeHost) -> None:
    host.start_job(StartJob(AGENT, "start"))
    (hanging,) = host.jobs
    before = host.start_main(AGENT)
    assert host.unit(AGENT).active_state == "activating"
    assert started(host) == ["done"]
    (end,) = (each for each in host.told if isinstance(each, JobEnded))
    assert end.job.number == hanging.number, "one end is told, by the name of the first"
    assert host.unit(AGENT).active_state == "active"
    assert host.unit(AGENT).main_pid not in (0, before.pid)


def test_a_start_that_fails_leaves_the_unit_failed(host: FakeHost) -> None:
    host.job_results[AGENT] = ["failed"]
    assert started(host) == ["failed"]
    assert host.unit(AGENT).active_state == "failed"


def test_restarts_are_counted_till_somebody_starts_the_unit(host: FakeHost) -> None:
    host.start(AGENT)
    assert (host.unit(AGENT).restarts, host.unit(AGENT).start_burst) == (0, 5)
    host.crash(AGENT)
    host.crash(AGENT)
    assert host.unit(AGENT).restarts == 2
    assert started(host) == ["done"]
    assert host.unit(AGENT).restarts == 0
    host.crash(AGENT)
    host.start(AGENT)
    assert host.unit(AGENT).restarts == 0


# ------------------------------------------------------------------------------ the kernel


def test_the_kernel_is_given_a_value_in_place_of_the_one_looked_at(machine: Machine) -> None:
    machine.put_sysctl("net.core.somaxconn", "4096\n")
    machine.writer.set_sysctl(SetSysctl("net.core.somaxconn", "8192", "4096\n"))
    assert machine.reader.sysctl("net.core.somaxconn") == SysctlFact("net.core.somaxconn", "8192\n")


def test_a_kernel_parameter_that_was_set_since_is_left_alone(machine: Machine) -> None:
    machine.put_sysctl("net.core.somaxconn", "4096\n")
    machine.put_sysctl("net.core.somaxconn", "5\n")
    with pytest.raises(Stale):
        machine.writer.set_sysctl(SetSysctl("net.core.somaxconn", "8192", "4096\n"))
    assert machine.reader.sysctl("net.core.somaxconn").text == "5\n"


def test_a_kernel_parameter_that_there_is_not_cannot_be_set(machine: Machine) -> None:
    machine.put_sysctl("net.core.somaxconn", "1\n")
    with pytest.raises(HostError):
        machine.writer.set_sysctl(SetSysctl("net.core.x", "8192", "4096\n"))
