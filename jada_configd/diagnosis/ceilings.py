"""Whether the kernel and whoever gives out limits can give what the policy asks for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jada_configd.core.facts import Ceiling
from jada_configd.core.limits import above, directive, value_text
from jada_configd.core.survey import InotifyLook, ProcessLook
from jada_configd.diagnosis.containers import grant, raise_limit
from jada_configd.diagnosis.findings import Finding, ok, problem, warning

_SYSCTL_FILE: Final = "/etc/sysctl.d/60-jada-configd-needs.conf"
_DESCRIPTORS: Final = 300  # a walk holds one for each hop, 200 at most; and what stays open
_EVENTS: Final = 4096  # a queue of fewer overflows with one `git checkout` beside a settings file
_ALMOST: Final = 0.8
_FULL: Final = 0.9


@dataclass(frozen=True, slots=True)
class Wanted:
    """A limit of a unit as the policy has it: soft or hard, the larger; None is infinity."""

    unit: str
    limit: str
    value: int | None
    origin: str
    is_max: bool = False


def manager(look: ProcessLook, container: str) -> Iterator[Finding]:
    """The service manager gives a service its limits, before privileges are given up."""
    check = "manager-limits"
    if look.pid != 1:
        who = f"the user's service manager (process {look.pid})"
        yield ok(check, f"{who} gives services no more than its own hard limits")
    elif "CAP_SYS_RESOURCE" in look.capabilities:
        yield ok(check, "PID 1 can give services any limit that the kernel takes")
    else:
        says = "PID 1 lacks CAP_SYS_RESOURCE: no service gets more than PID 1's own hard limits"
        yield warning(check, says, grant(container, "CAP_SYS_RESOURCE"))


def limits(
    wanted: Sequence[Wanted],
    ceilings: Mapping[str, Ceiling | None],
    sets_nr_open: int | None,
    container: str,
) -> Iterator[Finding]:
    """Each limit against the most that can be given here.

    `sets_nr_open` is what the policy itself makes fs.nr_open.
    """
    check, found = "limits", False
    for want in wanted:
        ceiling = ceilings.get(want.limit)
        if want.is_max or ceiling is None or ceiling.value is None:
            continue
        most = ceiling.value
        if _is_kernels(ceiling):
            most = max(most, sets_nr_open or 0)
        if not above(want.value, most):
            continue
        found = True
        asked = f"{want.limit} {value_text(want.value)}"
        says = f"{want.unit} cannot have {asked} ({want.origin}): {ceiling.reason}"
        yield problem(check, says, _raise(want, ceiling, container))
    if wanted and not found:
        known = [f"{name} {each.value}" for name, each in ceilings.items() if each is not None]
        bound = f"; at most {', '.join(known)}" if known else ""
        yield ok(check, f"the policy's limits can be had here{bound}")


def _is_kernels(ceiling: Ceiling) -> bool:
    """Whether it is fs.nr_open that bounds, and not whoever gives limits out."""
    return ceiling.reason.startswith("fs.nr_open")


def _raise(want: Wanted, ceiling: Ceiling, container: str) -> str:
    lower = f"or, at {want.origin}, {want.limit} = {ceiling.value}"
    if _is_kernels(ceiling):
        if want.value is None:
            return f'edit {want.origin}: {want.limit} = "max", which is {ceiling.value} here'
        return f"{_sysctl('fs.nr_open', want.value)}  # {lower}"
    value = value_text(want.value)
    if ceiling.reason.startswith("PID 1 "):
        return f"{raise_limit(container, want.limit, value)}  # {lower}"
    line = f"[Service] {directive(want.limit)}={value}"
    return f"sudo systemctl edit user@.service  # {line}; {lower}"


def inotify(needed: int, look: InotifyLook, *, runs: bool) -> Iterator[Finding]:
    """The watches of this very policy, beside what the user has in use (inotify(7)).

    `runs`: a daemon has its instance already.
    """
    check, found = "inotify", False
    most = look.most_watches
    total = needed + look.used_watches
    if most is not None and total > most * _ALMOST:
        found = True
        tell = problem if total > most else warning
        says = f"the policy needs {needed} watches, {look.used_watches} are in use by others, and "
        says += f"fs.inotify.max_user_watches is {most}: changes past that are seen late"
        yield tell(check, says, _sysctl("fs.inotify.max_user_watches", _room(2 * total)))
    instances = look.most_instances
    if instances is not None and not runs and look.used_instances >= instances:
        found = True
        says = f"all of fs.inotify.max_user_instances, {instances}, are in use: nothing is watched"
        yield problem(check, says, _sysctl("fs.inotify.max_user_instances", _room(2 * instances)))
    if look.most_events is not None and look.most_events < _EVENTS:
        found = True
        says = f"fs.inotify.max_queued_events is {look.most_events}: after each burst of changes "
        says += "everything has to be looked at again"
        yield warning(check, says, _sysctl("fs.inotify.max_queued_events", 4 * _EVENTS))
    if not found:
        of = "" if most is None else f" of {most}"
        used = f"; others use {look.used_watches}" if look.used_watches else ""
        yield ok(check, f"the policy needs {needed}{of} watches{used}")


def daemon(look: ProcessLook) -> Iterator[Finding]:
    """The bounds of the daemon itself (systemd.exec(5), systemd.resource-control(5))."""
    check, found = "daemon-limits", False
    soft = look.limits.get("nofile", (None, None))[0]
    edit = "systemctl edit jada-configd"
    if soft is not None and soft < _DESCRIPTORS:
        found = True
        says = f"the daemon may open {soft} files at a time, and needs up to {_DESCRIPTORS}"
        yield problem(check, says, f"{edit}  # [Service] LimitNOFILE=1024")
    if look.memory is not None and look.memory_most and look.memory > look.memory_most * _FULL:
        found = True
        says = f"the daemon uses {_mib(look.memory)} of its {_mib(look.memory_most)} MiB of memory"
        more = _mib(2 * look.memory_most)
        yield warning(check, says, f"{edit}  # [Service] MemoryMax={more}M")
    if not found:
        memory = f", {_mib(look.memory)} MiB in use" if look.memory is not None else ""
        yield ok(check, f"the daemon may open {soft or 'any number of'} files{memory}")


def _sysctl(key: str, value: int) -> str:
    """For now, and for each boot (sysctl.d(5))."""
    return f"echo '{key} = {value}' >> {_SYSCTL_FILE} && sysctl --load {_SYSCTL_FILE}"


def _room(least: int) -> int:
    """The next power of two, for a number that is easy to know again."""
    return 1 << (least - 1).bit_length()


def _mib(size: int) -> int:
    return size >> 20
