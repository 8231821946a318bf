"""A crowd of sleeping processes, in a control group as far as files make one, and a look at it."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jada_configd.core.facts import LimitPair, LimitValue, UnitFact
from jada_configd.core.ledger import Ledger
from jada_configd.core.specs import ProcessLimits
from jada_configd.host.filesystem.files import Files
from jada_configd.host.machine import MachineReader
from jada_configd.host.sysctls import Sysctls
from jada_configd.kinds.process_limits import ProcessLimitsKind

UNIT = "crowd.service"
GROUP = f"/system.slice/{UNIT}"
NOBODY = 65534
LEADER = """
import os, signal, sys
count, uid = map(int, sys.argv[1:])
if uid:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
pids = [os.getpid()]
for _ in range(count - 1):
    pid = os.fork()
    if pid == 0:
        while True: signal.pause()
    pids.append(pid)
print(*pids, flush=True)
while True: signal.pause()
"""


class Crowded(MachineReader):
    """The machine, but for a service manager: it says that our crowd is a unit."""

    def unit(self, name: str) -> UnitFact:
        return UnitFact(name, "loaded", "active", control_group=GROUP)


class Crowd:
    """So many processes, and the limits that they have."""

    def __init__(self, pids: list[int], mount: Path) -> None:
        place = mount / GROUP.strip("/")
        place.mkdir(parents=True)
        (place / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        self.count = len(pids)
        ledger = Ledger()
        self._reader = Crowded(
            Files("/"),
            None,
            lambda: None,
            Sysctls(),
            owed=ledger.owed,
            seen=ledger.pay_off,
            groups=str(mount),
        )

    def look(self, *, wrong: bool) -> None:
        """Compare all of them with a policy, as each sweep does."""
        have = {"nofile": own(resource.RLIMIT_NOFILE), "nproc": own(resource.RLIMIT_NPROC)}
        limits = {**have, "nofile": (3, 4)} if wrong else have
        observed = ProcessLimitsKind().observe(ProcessLimits(UNIT, limits), self._reader)
        if observed.vacant == wrong:
            raise SystemExit(f"{self.count} processes, {wrong=}: {observed}")


def own(number: int) -> LimitPair:
    """A limit of ours, which the crowd has from us."""

    def value(limit: int) -> LimitValue:
        return None if limit == resource.RLIM_INFINITY else limit

    soft, hard = resource.getrlimit(number)
    return value(soft), value(hard)


@contextmanager
def crowd(count: int, *, uid: int = 0) -> Iterator[Crowd]:
    """A crowd of ours, or of another user's (root alone can have one)."""
    words = [sys.executable, "-I", "-S", "-c", LEADER, str(count), str(uid)]
    with (
        tempfile.TemporaryDirectory() as mount,
        subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as leader,
    ):
        try:
            assert leader.stdout is not None
            yield Crowd([int(pid) for pid in leader.stdout.readline().split()], Path(mount))
        finally:
            os.killpg(leader.pid, signal.SIGKILL)
