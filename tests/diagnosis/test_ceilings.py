"""What the kernel and the service manager can give, against what a policy asks for."""

from dataclasses import replace

import pytest

from jada_configd.core.facts import Ceiling
from jada_configd.core.survey import InotifyLook
from jada_configd.diagnosis import ceilings
from jada_configd.diagnosis.ceilings import Wanted
from tests.diagnosis.tables import one, process

KERNEL = Ceiling(1048576, "fs.nr_open is 1048576, which sysctl can raise")
PID_1 = Ceiling(20000, "PID 1 lacks CAP_SYS_RESOURCE, and its own hard limit of nofile is 20000")
OF_A_USER = Ceiling(4096, "the service manager (process 900) lacks CAP_SYS_RESOURCE, and …")
INOTIFY = InotifyLook(8192, 128, 16384, used_watches=0, used_instances=0)


def wanted(value: int | None, *, is_max: bool = False, limit: str = "nofile") -> Wanted:
    return Wanted("a.service", limit, value, "policy.toml:7", is_max)


class TestLimits:
    @pytest.mark.parametrize(
        ("want", "ceiling", "sets"),
        [
            (wanted(1048576), KERNEL, None),
            (wanted(1048577), KERNEL, 1048577),  # the policy raises the ceiling itself
            (wanted(None, is_max=True), KERNEL, None),
            (wanted(1 << 40), None, None),  # nothing bounds it
            (wanted(None), None, None),
        ],
    )
    def test_that_can_be_had(self, want: Wanted, ceiling: Ceiling | None, sets: int | None) -> None:
        assert one(ceilings.limits([want], {"nofile": ceiling}, sets, "")).status == "ok"

    @pytest.mark.parametrize(
        ("want", "ceiling", "container", "remedy"),
        [
            (wanted(2000000), KERNEL, "", "fs.nr_open = 2000000"),
            (wanted(None), KERNEL, "", 'edit policy.toml:7: nofile = "max", which is 1048576'),
            (wanted(20001), PID_1, "docker", "docker run --ulimit nofile=20001:20001 ..."),
            (wanted(20001), PID_1, "systemd-nspawn", "systemd-nspawn --rlimit=NOFILE=20001 ..."),
            (wanted(20001), PID_1, "lxc", "lxc.prlimit.nofile = 20001"),
            (wanted(20001), PID_1, "", "start the first process with nofile 20001"),
            (
                wanted(5000),
                OF_A_USER,
                "",
                "systemctl edit user@.service  # [Service] LimitNOFILE=5",
            ),
        ],
    )
    def test_beyond_reach_say_whose_the_ceiling_is_and_who_can_raise_it(
        self, want: Wanted, ceiling: Ceiling, container: str, remedy: str
    ) -> None:
        found = one(ceilings.limits([want], {"nofile": ceiling}, None, container))
        assert found.status == "problem"
        assert ceiling.reason in found.says
        assert "a.service cannot have nofile" in found.says
        assert remedy in str(found.remedy)

    def test_beyond_what_the_policy_itself_makes_of_the_ceiling(self) -> None:
        found = one(ceilings.limits([wanted(3000000)], {"nofile": KERNEL}, 2000000, ""))
        assert found.status == "problem"

    def test_a_policy_without_any_is_not_told_of(self) -> None:
        assert not list(ceilings.limits([], {}, None, ""))


class TestInotify:
    @pytest.mark.parametrize(
        ("needed", "look", "runs", "status", "key"),
        [
            (10, INOTIFY, False, "ok", ""),
            (10, InotifyLook(None, None, None, 0, 0), False, "ok", ""),
            (7000, INOTIFY, False, "warning", "max_user_watches = 16384"),
            (8193, INOTIFY, False, "problem", "max_user_watches = 32768"),
            (10, replace(INOTIFY, used_watches=8190), False, "problem", "max_user_watches = "),
            (
                10,
                replace(INOTIFY, used_instances=128),
                False,
                "problem",
                "max_user_instances = 256",
            ),
            (10, replace(INOTIFY, used_instances=128), True, "ok", ""),
            (10, replace(INOTIFY, most_events=1024), False, "warning", "max_queued_events = 16384"),
        ],
    )
    def test_is_measured_against_this_policy(
        self, needed: int, look: InotifyLook, status: str, key: str, *, runs: bool
    ) -> None:
        found = one(ceilings.inotify(needed, look, runs=runs))
        assert found.status == status
        assert key in str(found.remedy or "")
        if status != "ok":
            assert str(found.remedy).startswith("echo 'fs.inotify.max_")
            assert " && sysctl --load /etc/sysctl.d/" in str(found.remedy)


@pytest.mark.parametrize(
    ("lacks", "pid", "status"),
    [((), 1, "ok"), (("CAP_SYS_RESOURCE",), 1, "warning"), (("CAP_SYS_RESOURCE",), 900, "ok")],
)
def test_the_service_manager_gives_what_it_may(
    lacks: tuple[str, ...], pid: int, status: str
) -> None:
    assert one(ceilings.manager(process(*lacks, pid=pid), "docker")).status == status


@pytest.mark.parametrize(
    ("nofile", "memory", "status", "remedy"),
    [
        (1024, (None, None), "ok", ""),
        (None, (100 << 20, 512 << 20), "ok", ""),
        (None, (100 << 20, None), "ok", ""),
        (64, (None, None), "problem", "LimitNOFILE=1024"),
        (1024, (500 << 20, 512 << 20), "warning", "MemoryMax=1024M"),
    ],
)
def test_the_daemon_has_room_for_its_own_work(
    nofile: int | None, memory: tuple[int | None, int | None], status: str, remedy: str
) -> None:
    used, most = memory
    look = replace(process(nofile=nofile), memory=used, memory_most=most)
    found = one(ceilings.daemon(look))
    assert found.status == status
    assert remedy in str(found.remedy or "")
