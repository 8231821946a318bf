"""What is to be done about a drift, and the one place where the order of a batch stands."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jada_configd.core.actions import (
    Action,
    KeepEvidence,
    ReloadUnits,
    RemoveFile,
    ReplaceFile,
    SetProcessLimit,
    SetSysctl,
    StartJob,
)
from jada_configd.core.model import ResourceId


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions that mend one drift; with none of them, `waits` says what it waits for.

    `or_restart` names a unit whose restart would do the same where the kernel refuses the actions.
    `under_way`: what it waits for ends by itself, and that end is an event. `way_back`: it takes a
    change back that did not go well, and nothing holds that up.
    """

    actions: tuple[Action, ...] = ()
    waits: str | None = None
    or_restart: str | None = None
    under_way: bool = False
    way_back: bool = False


_PROCESSES_NAMED = 3

# Content that is lost otherwise comes first; the kernel before all that it bounds; files before
# systemd reads them, systemd before the processes that it gives limits to, and jobs last, when all
# that they take up is in place.
_ORDER = (
    KeepEvidence,
    SetSysctl,
    ReplaceFile,
    RemoveFile,
    ReloadUnits,
    SetProcessLimit,
    StartJob,
)


def ordered(plans: Mapping[ResourceId, Plan]) -> list[tuple[Action, tuple[ResourceId, ...]]]:
    """All actions of a batch in the order in which they are carried out, with whose they are.

    An action that several resources ask for (`ReloadUnits`) is carried out once, for all of them.
    """
    askers: dict[Action, list[ResourceId]] = {}
    for resource, plan in plans.items():
        for action in plan.actions:
            askers.setdefault(action, []).append(resource)
    return [(action, tuple(askers[action])) for action in sorted(askers, key=_rank)]


def _rank(action: Action) -> int:
    return _ORDER.index(type(action))


def shown(actions: Iterable[Action], then: Iterable[str] = ()) -> tuple[str, ...]:
    """The actions as an operator reads them: what would be done, in order.

    Of one limit of many processes no more than the first few are named.
    """
    lines = []
    processes: Counter[str] = Counter()
    for action in actions:
        if isinstance(action, SetProcessLimit):
            processes[action.limit] += 1
            if processes[action.limit] > _PROCESSES_NAMED:
                continue
        if not isinstance(action, KeepEvidence):
            lines.append(str(action))
    for limit, count in processes.items():
        if (more := count - _PROCESSES_NAMED) > 0:
            noun = "process" if more == 1 else "processes"
            lines.append(f"prlimit --{limit} of {more:,} more {noun}")
    return (*lines, *then)
