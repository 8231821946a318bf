"""What every reader owes the core: facts, and a sentence where something keeps them from it."""

from dataclasses import replace

import pytest

from jada_configd.core.facts import (
    Content,
    Missing,
    Owed,
    ProcessFact,
    SysctlFact,
    UnitFact,
    Unreadable,
)
from jada_configd.errors import ManagerGone
from tests.contracts.machines import GID, UID, Machine

PATH = "/home/eve/.claude/settings.json"


def read(machine: Machine, path: str = PATH) -> Content:
    fact = machine.reader.read_file(path)
    assert isinstance(fact, Content), fact
    return fact


# ------------------------------------------------------------------------------ files


@pytest.mark.parametrize("data", [b"", b"{}\n", b"\x00\xff\r\n", b"x" * 100_000])
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640])
def test_a_file_is_read_whole_with_its_owner_and_mode(
    machine: Machine, data: bytes, mode: int
) -> None:
    machine.put(PATH, data, mode)
    fact = read(machine)
    assert (fact.path, fact.target, fact.data) == (PATH, PATH, data)
    assert (fact.mode, fact.uid, fact.gid) == (mode, UID, GID)
    assert fact.mtime_ns > 0


def test_two_looks_at_one_file_find_the_same(machine: Machine) -> None:
    machine.put(PATH, b"{}")
    assert read(machine) == read(machine)


def test_a_file_written_in_place_is_the_same_file_at_another_time(machine: Machine) -> None:
    machine.put(PATH, b"{}")
    before = read(machine)
    for _ in range(1000):  # until the clock of the file system has moved on
        machine.put(PATH, b"[]")
        if read(machine).mtime_ns != before.mtime_ns:
            break
    after = read(machine)
    assert after.data == b"[]"
    assert after.inode == before.inode
    assert after.mtime_ns > before.mtime_ns


def test_a_file_renamed_over_it_is_another_file(machine: Machine) -> None:
    machine.put(PATH, b"{}")
    before = read(machine)
    machine.move_over(PATH, b"{}")
    after = read(machine)
    assert after.data == before.data
    assert after.inode != before.inode


def test_where_there_is_no_file_the_directory_and_its_owner_are_told(machine: Machine) -> None:
    machine.make_directory("/home/eve/.claude")
    assert machine.reader.read_file(PATH) == Missing(PATH, directory=True, uid=UID, gid=GID)


@pytest.mark.parametrize("path", [PATH, "/nowhere.d/x", "/a/b/c/d/e"])
def test_where_there_is_no_directory_nobody_owns_it(machine: Machine, path: str) -> None:
    assert machine.reader.read_file(path) == Missing(path, directory=False)


def test_a_removed_file_is_missing(machine: Machine) -> None:
    machine.put(PATH, b"{}")
    machine.unlink(PATH)
    assert machine.reader.read_file(PATH) == Missing(PATH, directory=True, uid=UID, gid=GID)


def test_what_is_no_regular_file_is_said_to_be_none(machine: Machine) -> None:
    machine.make_directory(PATH)
    assert machine.reader.read_file(PATH) == Unreadable(PATH, f"{PATH} is a directory")


# ------------------------------------------------------------------------------ what exists


@pytest.mark.parametrize("data", [b"", b"{}"])
@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_a_file_exists_until_it_is_removed(machine: Machine, data: bytes, mode: int) -> None:
    assert not machine.reader.exists(PATH)
    machine.put(PATH, data, mode)
    assert machine.reader.exists(PATH)
    assert not machine.reader.exists(f"{PATH}.other")
    machine.unlink(PATH)
    assert not machine.reader.exists(PATH)


def test_a_directory_exists(machine: Machine) -> None:
    machine.make_directory("/run/jada-agent/busy")
    assert machine.reader.exists("/run/jada-agent/busy")


@pytest.mark.parametrize("path", ["/nowhere/busy", f"{PATH}/busy", "/run/\0", "/run/\udcff/\ud800"])
def test_where_no_way_leads_nothing_exists(machine: Machine, path: str) -> None:
    machine.put(PATH, b"{}")
    assert not machine.reader.exists(path)


# ------------------------------------------------------------------------------ patterns

FILES = (
    "/home/eve/.claude/settings.json",
    "/home/ubuntu/.claude/settings.json",
    "/home/ubuntu/.claude/settings.local.json",
    "/home/ubuntu/.claude/.hidden.json",
    "/home/ubuntu/settings.json",
    "/home/.trash/.claude/settings.json",
    "/home/a[b]/.claude/settings.json",
)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (FILES[0], [FILES[0]]),
        ("/home/*/.claude/settings.json", [FILES[6], FILES[0], FILES[1]]),
        ("/home/ubuntu/.claude/*.json", [FILES[1], FILES[2]]),
        ("/home/ubuntu/.claude/.*.json", [FILES[3]]),
        ("/home/ubuntu/*", [FILES[4]]),
        ("/home/*", ["/home/a[b]", "/home/eve", "/home/ubuntu"]),
        ("/home/.*/.claude/*", [FILES[5]]),
        ("/home/[eu]*/.claude/settings.json", [FILES[0], FILES[1]]),
        ("/home/[!e]*/.claude/settings.json", [FILES[6], FILES[1]]),
        ("/home/ev?/*/settings.json", []),
        ("/home/ev?/.claude/settings.json", [FILES[0]]),
        ("/*/ubuntu/settings.json", [FILES[4]]),
        ("/home/*/settings.json", [FILES[4]]),
        ("/home/ubuntu/.claude/settings*", [FILES[1], FILES[2]]),
        ("/home/Eve/.claude/*", []),
        ("/nowhere/*/settings.json", []),
        ("/nowhere/settings.json", []),
    ],
)
def test_a_pattern_finds_what_the_shell_would_in_order(
    machine: Machine, pattern: str, found: list[str]
) -> None:
    for path in FILES:
        machine.put(path, b"{}")
    assert machine.reader.glob(pattern) == tuple(found)


def test_a_pattern_finds_what_there_is_now(machine: Machine) -> None:
    pattern = "/home/*/.claude/settings.json"
    assert machine.reader.glob(pattern) == ()
    machine.put(PATH, b"{}")
    assert machine.reader.glob(pattern) == (PATH,)
    machine.unlink(PATH)
    assert machine.reader.glob(pattern) == ()


# ------------------------------------------------------------------------------ processes


def test_a_process_is_told_with_its_start_and_limits(machine: Machine) -> None:
    fact = machine.start_process()
    assert fact.started > 0
    assert fact.uid == UID
    assert {"nofile", "nproc", "core"} <= fact.limits.keys()
    soft, hard = fact.limits["nofile"]
    assert soft is not None
    assert hard is None or soft <= hard
    assert machine.reader.process(fact.pid) == fact


def test_two_processes_are_two(machine: Machine) -> None:
    one, other = machine.start_process(), machine.start_process()
    assert one.pid != other.pid


def test_a_process_that_has_ended_is_none(machine: Machine) -> None:
    fact = machine.start_process()
    machine.end_process(fact.pid)
    assert machine.reader.process(fact.pid) is None


def test_the_processes_of_a_group_that_lack_a_limit_are_told_with_what_they_have(
    machine: Machine,
) -> None:
    fact = machine.start_process()
    group = machine.group_of(fact.pid)
    assert machine.reader.strays(group, fact.limits) == ()
    other = {**fact.limits, "nofile": (3, 4)}
    (stray,) = machine.reader.strays(group, other)
    assert (stray.pid, stray.started, stray.name) == (fact.pid, fact.started, fact.name)
    assert stray.limits == fact.limits
    assert not stray.starting
    machine.end_process(fact.pid)
    assert machine.reader.strays(group, other) == ()


@pytest.mark.parametrize("group", ["", "/system.slice/nobody.service"])
def test_in_a_group_that_there_is_not_nobody_lacks_anything(machine: Machine, group: str) -> None:
    machine.start_process()
    assert machine.reader.strays(group, {"nofile": (3, 4)}) == ()


def unit_of(machine: Machine, fact: ProcessFact) -> UnitFact:
    """A unit with this process in its control group."""
    return UnitFact("a.service", "loaded", "active", control_group=machine.group_of(fact.pid))


def test_what_a_unit_uses_is_told_beside_its_own_limits(machine: Machine) -> None:
    fact = machine.start_process()
    usage = machine.reader.usage(unit_of(machine, fact), {})
    assert usage is not None
    assert (usage.processes, usage.threads) == (1, 1)
    (use,) = usage.uses["nofile"]
    assert (use.pid, use.started, use.name) == (fact.pid, fact.started, fact.name)
    assert use.limit == fact.limits["nofile"][0]
    assert 1 <= use.used < 20
    assert use.uid == -1


def test_what_a_users_processes_use_is_told_with_the_user(machine: Machine) -> None:
    fact = machine.start_process()
    usage = machine.reader.usage(unit_of(machine, fact), {})
    assert usage is not None
    (use,) = usage.uses["nproc"]
    assert (use.pid, use.uid) == (fact.pid, fact.uid)
    assert use.used >= 1
    assert use.limit == (fact.limits["nproc"][0] if fact.uid else None)


def test_of_a_unit_that_does_not_run_nothing_is_used(machine: Machine) -> None:
    fact = machine.start_process()
    unit = unit_of(machine, fact)
    machine.end_process(fact.pid)
    assert machine.reader.usage(unit, {"nofile": 0.5}) is None
    assert machine.reader.usage(replace(unit, control_group=""), {}) is None
    assert machine.reader.usage(replace(unit, control_group="/system.slice/b.service"), {}) is None


def test_what_is_asked_for_is_measured_too(machine: Machine) -> None:
    fact = machine.start_process()
    usage = machine.reader.usage(unit_of(machine, fact), {"nofile": 0.0, "cpu": 0.5, "tasks": 0.5})
    assert usage is not None
    assert [use.pid for use in usage.uses["nofile"]] == [fact.pid]
    assert "tasks" not in usage.uses  # there is no controller


def test_the_most_that_a_service_can_have_is_told_with_its_reason(machine: Machine) -> None:
    ceiling = machine.reader.ceiling("nofile")
    assert ceiling is not None
    assert ceiling.value is not None
    assert str(ceiling.value) in ceiling.reason


# ------------------------------------------------------------------------------ units and memory


def test_without_a_service_manager_nobody_can_tell_of_units(machine: Machine) -> None:
    with pytest.raises(ManagerGone):
        machine.reader.unit("jada-agent.service")


def test_without_a_service_manager_nobody_can_tell_of_a_units_limits(machine: Machine) -> None:
    with pytest.raises(ManagerGone):
        machine.reader.limit_lines("jada-agent.service")


def test_without_a_service_manager_nobody_can_tell_of_inhibitors(machine: Machine) -> None:
    fact = machine.start_process()
    with pytest.raises(ManagerGone):
        machine.reader.inhibitors(unit_of(machine, fact))


def test_last_good_content_is_that_of_its_resource(machine: Machine) -> None:
    assert machine.reader.last_good(f"settings:{PATH}") is None
    machine.remember(f"settings:{PATH}", b"old")
    machine.remember(f"settings:{PATH}", b"\x00new\n")
    machine.remember("settings:/elsewhere", b"")
    assert machine.reader.last_good(f"settings:{PATH}") == b"\x00new\n"
    assert machine.reader.last_good("settings:/elsewhere") == b""
    assert machine.reader.last_good("settings:/nowhere") is None


def test_debts_are_those_of_the_ledger(machine: Machine) -> None:
    debt = Owed(stale=True, since_ns=5, fields=("/model",))
    machine.ledger.owe("jada-agent.service", debt)
    assert machine.reader.owed("jada-agent.service") == debt
    assert machine.reader.owed("other.service") is None


# ------------------------------------------------------------------------------ the kernel


@pytest.mark.parametrize("text", ["4096\n", "1\t2\t3\n", "\n", "a b\n"])
def test_a_kernel_parameter_is_told_as_the_kernel_gives_it(machine: Machine, text: str) -> None:
    machine.put_sysctl("net.core.somaxconn", text)
    assert machine.reader.sysctl("net.core.somaxconn") == SysctlFact("net.core.somaxconn", text)


def test_a_kernel_parameter_that_there_is_not_is_a_problem(machine: Machine) -> None:
    machine.put_sysctl("net.core.somaxconn", "1\n")
    problem = "this kernel has no net.bridge.x: a module may not be loaded"
    assert machine.reader.sysctl("net.bridge.x") == SysctlFact("net.bridge.x", None, problem)


def test_a_key_that_leads_elsewhere_is_none(machine: Machine) -> None:
    fact = machine.reader.sysctl("net/../../etc/passwd")
    assert fact.text is None
    assert fact.problem == "net/../../etc/passwd is no key of a kernel parameter"
