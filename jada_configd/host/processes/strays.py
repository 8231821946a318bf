"""The processes of a control group that have other limits than they should.

Of 2,000 processes nearly all are as they should be, so each is first asked for its limits alone,
and only one that strays is looked at closely (prlimit(2), proc(5)).
"""

import resource
from collections.abc import Mapping
from typing import Final

from jada_configd.core.facts import LimitPair, LimitValue, Stray
from jada_configd.host.processes import control_groups, facts, procfs
from jada_configd.host.processes.limits import NUMBERS, parse_limits

_PF_KTHREAD: Final = 0x00200000  # linux/sched.h
_UNSIGNED: Final = (1 << 64) - 1  # as which RLIM_INFINITY is the largest number
_SIGNED: Final = 1 << 63


def strays(
    control_group: str,
    wanted: Mapping[str, LimitPair],
    manager_pid: int = 1,
    mount: str = control_groups.MOUNT,
) -> tuple[Stray, ...]:
    """The live processes of a control group, and below, that lack some of these limits.

    The oldest first. Who ends meanwhile is none of them, nor are zombies, kernel threads and
    systemd's own `(sd-pam)`. Raises `Unable`.
    """
    look = _Look(wanted, manager_pid)
    before = sorted(set(control_groups.members(control_group, mount)))
    found = [stray for pid in before if (stray := look.at(pid)) is not None]
    if found:
        # A number that has passed to somebody else's process meanwhile is no longer listed.
        after = set(control_groups.members(control_group, mount))
        found = [stray for stray in found if stray.pid in after]
    return tuple(sorted(found, key=lambda stray: (stray.started, stray.pid)))


class _Look:
    """One look at many processes: what was read of one need not be parsed again for its like."""

    def __init__(self, wanted: Mapping[str, LimitPair], manager_pid: int) -> None:
        self._wanted = wanted
        self._asked = [
            (limit, NUMBERS[limit], (_for_kernel(soft), _for_kernel(hard)))
            for limit, (soft, hard) in wanted.items()
        ]
        self._manager_pid = manager_pid
        self._may_ask = True
        self._parsed: dict[bytes, dict[str, LimitPair] | None] = {}

    def at(self, pid: int) -> Stray | None:
        """The process where it has other limits than wanted."""
        limits = self._differing(pid)
        if limits is None:
            return None
        stat = procfs.stat(pid)
        if stat is None or stat.flags & _PF_KTHREAD or facts.is_pam_session(stat):
            return None
        starting = False
        if stat.parent == self._manager_pid:  # nobody else starts a service's processes
            starting = facts.is_starting(pid, stat)
            # Those of a child that has become the service since they were read are its own.
            limits = self._differing(pid)
            if limits is None:
                return None
        name = stat.name.decode(errors="replace")
        return Stray(pid, stat.started, name, limits, starting)

    def _differing(self, pid: int) -> dict[str, LimitPair] | None:
        """The limits that were asked for, or None where all are as wanted or the process has gone.

        prlimit(2) tells one in a microsecond, but of other users' processes to CAP_SYS_RESOURCE
        alone; `/proc/PID/limits` tells everybody, and takes ten times as long.
        """
        if not self._may_ask:
            return self._read(pid)
        try:
            have = [resource.prlimit(pid, number) for _, number, _ in self._asked]
        except ProcessLookupError:
            return None
        except PermissionError:
            self._may_ask = False  # the next one is hardly another user's
            return self._read(pid)
        if all(one == want for one, (_, _, want) in zip(have, self._asked, strict=True)):
            return None
        pairs = zip(self._asked, have, strict=True)
        return {limit: (_value(soft), _value(hard)) for (limit, _, _), (soft, hard) in pairs}

    def _read(self, pid: int) -> dict[str, LimitPair] | None:
        text = procfs.read(pid, "limits")
        if text not in self._parsed:
            found = parse_limits(text.decode(errors="replace"))
            limits = {limit: found[limit] for limit in self._wanted if limit in found}
            differs = any(self._wanted[limit] != have for limit, have in limits.items())
            self._parsed[text] = limits if differs else None
        return self._parsed[text]


def _for_kernel(value: LimitValue) -> int:
    """As Python gives it, which takes all for signed numbers of 64 bits."""
    if value is None:
        return resource.RLIM_INFINITY
    return value if value < _SIGNED else value - (1 << 64)


def _value(number: int) -> LimitValue:
    number &= _UNSIGNED
    return None if number == _UNSIGNED else number
