"""Limits of live processes, read and set on real ones; the parsers on what kernels write."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.actions import SetProcessLimit
from jada_configd.core.facts import Ceiling, LimitPair, ProcessFact
from jada_configd.core.limits import LIMITS
from jada_configd.errors import Refused, Stale, Unable
from jada_configd.host.processes import ceilings, facts, limits, procfs, usage
from jada_configd.host.processes.limits import parse_limits
from jada_configd.host.processes.procfs import Stat, parse_stat, parse_status
from tests.policy.declared import MEASURED

# A kernel 6.1 on a server, a value of 20 digits in it, and the last column missing twice, as it is.
DEBIAN_12 = """\
Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max file size             unlimited            unlimited            bytes     
Max data size             unlimited            18446744073709551614 bytes     
Max stack size            8388608              unlimited            bytes     
Max core file size        0                    unlimited            bytes     
Max resident set          unlimited            unlimited            bytes     
Max processes             96365                96365                processes 
Max open files            1024                 524288               files     
Max locked memory         3160260608           3160260608           bytes     
Max address space         unlimited            unlimited            bytes     
Max file locks            unlimited            unlimited            locks     
Max pending signals       96365                96365                signals   
Max msgqueue size         819200               819200               bytes     
Max nice priority         0                    0                    
Max realtime priority     0                    0                    
Max realtime timeout      unlimited            unlimited            us        
"""  # noqa: W291 - the kernel's own blanks
KERNEL_WORDS: Mapping[str, str] = {
    "cpu": "Max cpu time",
    "fsize": "Max file size",
    "data": "Max data size",
    "stack": "Max stack size",
    "core": "Max core file size",
    "rss": "Max resident set",
    "nproc": "Max processes",
    "nofile": "Max open files",
    "memlock": "Max locked memory",
    "as": "Max address space",
    "locks": "Max file locks",
    "sigpending": "Max pending signals",
    "msgqueue": "Max msgqueue size",
    "nice": "Max nice priority",
    "rtprio": "Max realtime priority",
    "rttime": "Max realtime timeout",
}
STAT = (
    b"412 (%b) S 1 412 412 0 -1 4194560 1012 0 3 0 5 4 0 0 20 0 1 0 88123 8704000 1290 "
    b"18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)
SLEEPER = [sys.executable, "-S", "-E", "-c", "import time; print(flush=True); time.sleep(60)"]

values = st.none() | st.integers(0, (1 << 64) - 2)
pairs = st.tuples(values, values)


def proc_text(pairs: Mapping[str, LimitPair]) -> str:
    """`/proc/pid/limits` as fs/proc/base.c prints it."""
    lines = ["Limit                     Soft Limit           Hard Limit           Units     "]
    for name, pair in pairs.items():
        soft, hard = ("unlimited" if value is None else str(value) for value in pair)
        lines.append(f"{KERNEL_WORDS[name]:<25} {soft:<20} {hard:<20} {'units':<10}")
    return "\n".join([*lines, ""])


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEPER, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child
        child.kill()


HOARDER = (
    "import sys; held = [open('/dev/null') for _ in range(int(sys.argv[1]))]; "
    "print(flush=True); input()"
)


@pytest.fixture
def hoarder() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has 100 files open beside its three streams."""
    words = [sys.executable, "-S", "-E", "-c", HOARDER, "100"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child
        child.kill()


def looked_at(child: subprocess.Popen[bytes]) -> ProcessFact:
    fact = facts.process(child.pid)
    assert fact is not None
    return fact


# ---- the parsers


def test_limits_are_read_as_the_kernel_writes_them() -> None:
    found = parse_limits(DEBIAN_12)
    assert found.keys() == set(LIMITS)
    assert found["nofile"] == (1024, 524288)
    assert found["core"] == (0, None)
    assert found["nice"] == (0, 0)
    assert found["data"] == (None, 18446744073709551614)


@given(written=st.dictionaries(st.sampled_from(LIMITS), pairs))
def test_limits_that_are_written_are_read_back(written: dict[str, LimitPair]) -> None:
    assert parse_limits(proc_text(written)) == written


@given(text=st.text() | st.lists(st.sampled_from(DEBIAN_12.splitlines())).map("\n".join))
def test_no_text_upsets_the_reading_of_limits(text: str) -> None:
    assert parse_limits(text).keys() <= set(LIMITS)


@pytest.mark.parametrize(
    "line",
    [
        "Max open files",
        "Max open files            1024",
        "Max open files            many                 524288               files",
        "Max open files            -1                   524288               files",
        "Max open files            \u0661\u0660                   524288               files",
        "Max open doors            1024                 524288               doors",
    ],
)
def test_a_line_that_makes_no_sense_is_left_out(line: str) -> None:
    assert parse_limits(line) == {}


@given(name=st.binary(max_size=64))
def test_whatever_a_process_calls_itself_its_start_is_read(name: bytes) -> None:
    assert parse_stat(STAT.replace(b"%b", name)) == Stat(name, "S", 1, 4194560, 9, 88123)


@pytest.mark.parametrize("name", [b"a) R 1 (b", b"(sleep)", b")", b"", b"a\nb c", b"\xff"])
def test_brackets_and_blanks_in_a_name_are_no_fields(name: bytes) -> None:
    assert parse_stat(STAT.replace(b"%b", name)) == Stat(name, "S", 1, 4194560, 9, 88123)


@given(text=st.binary())
def test_no_bytes_upset_the_reading_of_a_stat(text: bytes) -> None:
    stat = parse_stat(text)
    assert stat is None or stat.started >= 0


def test_half_a_stat_is_none() -> None:
    whole = STAT.replace(b"%b", b"x")
    assert all(parse_stat(whole[:end]) is None for end in range(whole.index(b"88123")))


@given(text=st.text())
def test_no_text_upsets_the_reading_of_a_status(text: str) -> None:
    assert parse_status(f"Uid:\t1000\t1000\n{text}\nCapEff:\t0f\n")["CapEff"] == "0f"


# ---- live processes


def test_a_live_process_is_told_whole(sleeper: subprocess.Popen[bytes]) -> None:
    fact = looked_at(sleeper)
    assert fact.pid == sleeper.pid
    assert fact.uid == os.getuid()
    assert fact.command == tuple(SLEEPER)
    assert fact.limits["nofile"] == resource.prlimit(sleeper.pid, resource.RLIMIT_NOFILE)
    assert fact.limits.keys() == set(LIMITS)
    assert not fact.starting
    ticks = os.sysconf("SC_CLK_TCK")
    assert 0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - fact.started / ticks < 60


def test_what_has_ended_is_none_a_zombie_included() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert facts.process(child.pid) is None
    child.wait()
    assert facts.process(child.pid) is None


def test_others_processes_can_be_looked_at_and_what_never_was_is_none() -> None:
    first = facts.process(1)
    assert first is not None
    assert first.uid == 0
    assert facts.process(2**22 + 1) is None  # beyond PID_MAX_LIMIT, proc(5)


FORKED = 0x400040  # sched.h: PF_FORKNOEXEC, and one that does not matter


@pytest.mark.parametrize(
    ("name", "flags", "command", "program", "starting"),
    [
        # up to systemd 254 the child is a copy of systemd
        (b"systemd", FORKED, b"/sbin/init\0", None, True),
        (b"(sleep)", FORKED, b"(sleep)\0\0\0\0", None, True),
        (b"(sleep)", FORKED, b"(sleep)\0\0\0\0", "systemd", True),
        # from 255 on it executes systemd-executor, by way of a descriptor at first
        (b"systemd-executo", 0, b"/usr/lib/systemd/systemd-executor\0--deserialize\0", None, True),
        (b"9", 0, b"/usr/lib/systemd/systemd-executor\0--deserialize\0", None, True),
        (b"(sleep)", 0, b"(sleep)\0\0\0\0", None, True),
        (b"(sleep)", 0, b"(sleep)\0\0\0\0", "systemd-executor", True),
        # services, and what they may be called
        (b"sleep", 0, b"/bin/sleep\x0010\0", None, False),
        (b"sleep", 0, b"/bin/sleep\x0010\0", "sleep", False),
        (b"systemd", 0x100, b"/usr/lib/systemd/systemd\0--user\0", None, False),
        (b"systemd", 0x100, b"/usr/lib/systemd/systemd\0--user\0", "systemd", False),
        (b"(claims to be)", 0x100, b"/bin/service\0", None, False),
        (b"(claims to be)", 0x100, b"(claims to be)\0", "service", False),
        (b"systemd-executo", 0x100, b"/tmp/systemd-executor\0", "", False),
        (b"nginx", FORKED, b"nginx: worker\0", None, False),
        (b"nginx", FORKED, b"nginx: worker\0", "nginx", False),
        (b"", FORKED, b"", None, False),
    ],
)
def test_a_child_that_systemd_has_only_forked_is_told_from_a_service(
    name: bytes,
    flags: int,
    command: bytes,
    program: str | None,
    starting: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert facts._is_starting(Stat(name, "S", 1, flags, 0, 1), command, program) is starting


def test_only_a_program_of_roots_has_a_name(tmp_path: Path) -> None:
    program = tmp_path / "systemd-executor"
    shutil.copy("/bin/sleep", program)
    if os.getuid() == 0:
        os.chown(program, 12345, -1)
    with subprocess.Popen([program, "1000"]) as service:
        try:
            assert facts._program(service.pid) == ""
            assert not looked_at(service).starting
        finally:
            service.kill()


# ---- setting a limit


def lower(fact: ProcessFact, soft: int = 64, limit: str = "nofile") -> SetProcessLimit:
    return SetProcessLimit(fact.pid, fact.started, limit, soft, fact.limits[limit][1])


def test_a_limit_is_set_on_the_process_that_was_looked_at(
    sleeper: subprocess.Popen[bytes],
) -> None:
    fact = looked_at(sleeper)
    limits.set_limit(lower(fact))
    assert looked_at(sleeper).limits["nofile"] == (64, fact.limits["nofile"][1])
    others = looked_at(sleeper).limits.items() - fact.limits.items()
    assert {name for name, _ in others} == {"nofile"}


@pytest.mark.parametrize("limit", LIMITS)
def test_every_limit_can_be_set_to_what_it_is(sleeper: subprocess.Popen[bytes], limit: str) -> None:
    fact = looked_at(sleeper)
    limits.set_limit(SetProcessLimit(fact.pid, fact.started, limit, *fact.limits[limit]))
    assert looked_at(sleeper).limits == fact.limits


def test_a_pid_that_has_passed_to_another_process_is_stale(
    sleeper: subprocess.Popen[bytes],
) -> None:
    fact = looked_at(sleeper)
    with pytest.raises(Stale, match=f"process {fact.pid} is not the one that was looked at"):
        limits.set_limit(lower(replace(fact, started=fact.started - 1)))
    assert looked_at(sleeper).limits == fact.limits


def test_a_process_that_has_gone_is_stale(sleeper: subprocess.Popen[bytes]) -> None:
    fact = looked_at(sleeper)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(Stale):  # a zombie
        limits.set_limit(lower(fact))
    sleeper.wait()
    with pytest.raises(Stale, match="has gone"):
        limits.set_limit(lower(fact))


def test_a_process_that_ends_meanwhile_is_stale(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fact = looked_at(sleeper)

    def ends(pid: int, limit: int, pair: LimitPair) -> None:
        os.kill(pid, signal.SIGKILL)
        sleeper.wait()

    monkeypatch.setattr(resource, "prlimit", ends)
    with pytest.raises(Stale, match="has ended meanwhile"):
        limits.set_limit(lower(fact))


def test_a_refusal_names_the_capability(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(pid: int, limit: int, pair: LimitPair) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(resource, "prlimit", refuses)
    with pytest.raises(Refused, match=r"give process \d+ nofile 64:\S+ without CAP_SYS_RESOURCE"):
        limits.set_limit(lower(looked_at(sleeper)))


@pytest.mark.parametrize(("soft", "hard"), [(65, 64), (1 << 63, None), (1 << 70, None)])
def test_a_value_that_no_kernel_takes_is_told(
    sleeper: subprocess.Popen[bytes], soft: int, hard: int | None
) -> None:
    fact = looked_at(sleeper)
    with pytest.raises((Unable, Refused), match=str(soft)):
        limits.set_limit(SetProcessLimit(fact.pid, fact.started, "nofile", soft, hard))
    assert looked_at(sleeper).limits == fact.limits


def test_a_limit_is_not_brought_down_to_what_is_in_use_by_now(
    hoarder: subprocess.Popen[bytes],
) -> None:
    fact = looked_at(hoarder)
    with pytest.raises(Stale, match="uses 103 or more of nofile by now"):
        limits.set_limit(lower(fact, 103))
    with pytest.raises(Stale, match="uses 64 or more of nofile by now"):
        limits.set_limit(lower(fact, 64))
    assert looked_at(hoarder).limits == fact.limits
    limits.set_limit(lower(fact, 104))
    assert looked_at(hoarder).limits["nofile"][0] == 104


def test_what_is_below_its_use_already_can_be_raised(hoarder: subprocess.Popen[bytes]) -> None:
    fact = looked_at(hoarder)
    hard = fact.limits["nofile"][1]
    resource.prlimit(hoarder.pid, resource.RLIMIT_NOFILE, (10, hard or resource.RLIM_INFINITY))
    limits.set_limit(lower(fact, 20))
    assert looked_at(hoarder).limits["nofile"] == (20, hard)


def test_no_descriptor_is_left_open(sleeper: subprocess.Popen[bytes]) -> None:
    fact = looked_at(sleeper)
    before = len(list(Path("/proc/self/fd").iterdir()))
    limits.set_limit(lower(fact))
    with pytest.raises(Stale):
        limits.set_limit(lower(replace(fact, started=0)))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# ---- ceilings


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """PID 1 and fs.nr_open as the test has them; PID 9 is a user's manager, without capability."""
    text = {"1/status": "CapEff:\t000001ffffffffff\n", "9/status": "CapEff:\t0000000000000000\n"}
    for pid in (1, 9):
        text[f"{pid}/limits"] = proc_text({"nofile": (1024, 20000), "core": (0, None)})
    monkeypatch.setattr(procfs, "read", lambda pid, name: text.get(f"{pid}/{name}", "").encode())
    (tmp_path / "nr_open").write_text("1048576\n")
    monkeypatch.setattr(ceilings, "_NR_OPEN", str(tmp_path / "nr_open"))
    return text


OWN = "lacks CAP_SYS_RESOURCE, and its own hard limit of nofile is 20000, which whoever starts it"


def test_what_bounds_nofile_is_the_kernel_where_pid_1_may_raise_limits(
    manager: dict[str, str],
) -> None:
    reason = "fs.nr_open is 1048576, which sysctl can raise"
    assert ceilings.ceiling("nofile") == Ceiling(1048576, reason)
    assert ceilings.ceiling("core") is None


def test_what_bounds_all_else_is_the_manager_that_may_not(manager: dict[str, str]) -> None:
    manager["1/status"] = "CapEff:\t000001fffeffffff\n"
    assert ceilings.ceiling("nofile") == Ceiling(20000, f"PID 1 {OWN} can raise")
    assert ceilings.ceiling("core") is None
    who = "the service manager (process 9)"
    assert ceilings.ceiling("nofile", 9) == Ceiling(20000, f"{who} {OWN} can raise")


@pytest.mark.parametrize(
    ("ids", "most"),
    [
        ("         0          0 4294967295\n", 1048576),
        ("         0     100000      65536\n", 20000),
        ("0 1000 1\n1 100000 65535\n", 20000),
        ("", 1048576),
    ],
)
def test_a_capability_in_a_user_namespace_of_ones_own_raises_no_limit(
    manager: dict[str, str], ids: str, most: int
) -> None:
    manager["1/uid_map"] = ids
    found = ceilings.ceiling("nofile")
    assert found is not None
    assert found.value == most


def test_fs_nr_open_counts_where_it_is_less(manager: dict[str, str], tmp_path: Path) -> None:
    manager["1/status"] = "CapEff:\t0\n"
    (tmp_path / "nr_open").write_text("4096\n")
    assert ceilings.ceiling("nofile") == Ceiling(4096, "fs.nr_open is 4096, which sysctl can raise")


@pytest.mark.parametrize("status", ["", "CapEff:\tnone\n", "Name:\tx\n"])
def test_a_manager_that_does_not_show_itself_binds_nothing(
    manager: dict[str, str], status: str
) -> None:
    manager["1/status"] = status
    kernel = Ceiling(1048576, "fs.nr_open is 1048576, which sysctl can raise")
    assert ceilings.ceiling("nofile") == kernel
    assert ceilings.ceiling("core") is None
    assert ceilings.ceiling("core", 0) is None


# ---- use


def test_open_descriptors_are_counted(hoarder: subprocess.Popen[bytes]) -> None:
    assert usage.open_descriptors(hoarder.pid) == 103
    assert usage.in_use(hoarder.pid, "nofile") == 103


def test_open_descriptors_are_counted_one_by_one_where_an_old_kernel_does_not_tell(
    hoarder: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sizeless:
        st_size = 0

    monkeypatch.setattr(os, "stat", lambda _: Sizeless)
    assert usage.open_descriptors(hoarder.pid) == 103


def test_of_a_process_that_has_gone_nothing_is_counted() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    for limit in LIMITS:
        assert usage.in_use(child.pid, limit) is None


def test_where_nobody_may_look_nothing_is_counted(
    hoarder: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuses)
    assert usage.open_descriptors(hoarder.pid) is None


def test_what_counts_against_a_limit_is_told_in_its_own_unit(
    hoarder: subprocess.Popen[bytes],
) -> None:
    status = parse_status(Path(f"/proc/{hoarder.pid}/status").read_text())
    for limit, key in (("as", "VmSize"), ("data", "VmData"), ("stack", "VmStk")):
        assert usage.in_use(hoarder.pid, limit) == int(status[key].split()[0]) * 1024
    assert usage.in_use(hoarder.pid, "memlock") == 0
    assert usage.in_use(hoarder.pid, "cpu") in range(5)


def test_of_what_is_a_users_or_is_not_kept_nothing_is_told(
    hoarder: subprocess.Popen[bytes],
) -> None:
    told = {each for each in LIMITS if usage.in_use(hoarder.pid, each) is not None}
    assert told == {"nofile", "cpu", "as", "data", "memlock", "stack"}
    # And of nproc for the user as a whole, of tasks for the control group (unit_usage.py).
    assert told | {"nproc", "tasks"} == set(MEASURED)
