"""How near a unit is to its limits, and what of that is told: once, however the numbers move.

Measuring is the reader's (`Reader.usage`); which share is too much, the policy's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from jada_configd.core.facts import Usage, Use
from jada_configd.core.model import Strain
from jada_configd.core.wording import process_text

# A use that has passed its threshold is over it until it has fallen below this part of it.
KEPT: Final = 0.9
STEP: Final = 10  # percent: what is told of a share grows by so much at once
LOOK_EVERY_NS: Final = 15_000_000_000  # at what has a threshold: nobody tells us of its use


@dataclass(frozen=True, slots=True)
class Told:
    """What there is to tell of some strains: a problem, and what is over; one sentence each.

    `known`: all of the problem was told before.
    """

    problem: str | None = None
    eased: str | None = None
    known: bool = field(default=False, compare=False)


def near(thresholds: Mapping[str, float]) -> dict[str, float]:
    """The shares from which on a use matters: it may be over the threshold still."""
    return {limit: threshold * KEPT for limit, threshold in thresholds.items()}


def strains(thresholds: Mapping[str, float], usage: Usage | None) -> tuple[Strain, ...]:
    """Each threshold with what there is to be held against it; none where nothing runs."""
    if usage is None:
        return ()
    return tuple(
        Strain(limit, threshold, usage.uses[limit])
        for limit, threshold in thresholds.items()
        if limit in usage.uses
    )


def unmeasured(thresholds: Mapping[str, float], usage: Usage) -> str | None:
    """One sentence on thresholds that mean nothing here, or None: `tasks` needs a controller."""
    names = [limit for limit in thresholds if limit not in usage.uses]
    return f"nobody can tell how much is used of {', '.join(names)} here" if names else None


@dataclass(frozen=True, slots=True)
class _Alarm:
    """A threshold that was passed, by whom, and as it was told."""

    threshold: float
    use: Use
    percent: int

    def is_of(self, use: Use) -> bool:
        """Whether that is the same process, or user, under the same limit."""
        return (use.limit, _who(use)) == (self.use.limit, _who(self.use))

    def sentence(self, limit: str) -> str:
        return f"{_shown(limit, self.use)} has reached {self.percent} % of {_of(limit, self.use)}"


class Alarms:
    """Remembers which thresholds were passed, by resource, so that nothing flaps about one.

    What is told names who was the nearest then, and says more only once that is gone, or somebody
    has come a step nearer.
    """

    def __init__(self) -> None:
        self._raised: dict[str, dict[str, _Alarm]] = {}

    def hold(self, resources: frozenset[str]) -> None:
        """These are the resources from now on; what is known of others is forgotten."""
        self._raised = {name: each for name, each in self._raised.items() if name in resources}

    def take(self, resource: str, found: Sequence[Strain]) -> Told:
        """What to tell of a resource, from how near it is to its limits now."""
        before = self._raised.pop(resource, {})
        now = {}
        for strain in found:
            alarm = _alarm(before.get(strain.limit), strain)
            if alarm is not None:
                now[strain.limit] = alarm
        if now:
            self._raised[resource] = now
        over = [limit for limit in before if limit not in now]
        return Told(
            "; ".join(alarm.sentence(limit) for limit, alarm in now.items()) or None,
            _eased(over) if over else None,
            known=bool(now) and all(before.get(limit) is alarm for limit, alarm in now.items()),
        )


def _eased(limits: Sequence[str]) -> str:
    return f"the use of {', '.join(limits)} is within what the policy allows again"


def _alarm(before: _Alarm | None, strain: Strain) -> _Alarm | None:
    if before is not None and before.threshold != strain.threshold:
        before = None
    floor = strain.threshold * (KEPT if before else 1)
    over = [use for use in strain.uses if use.share >= floor]
    if not over:
        return None
    known = next((use for use in over if before and before.is_of(use)), None)
    percent = _percent(over[0], strain.threshold)
    if before and known and percent <= before.percent:
        return before
    same_step = known is not None and _percent(known, strain.threshold) == percent
    return _Alarm(strain.threshold, known if known and same_step else over[0], percent)


def _percent(use: Use, threshold: float) -> int:
    """The share in whole steps, which a moving count seldom leaves; at least the threshold."""
    steps = int(use.share * 100 // STEP * STEP)
    return max(percent(threshold), min(steps, 100))


def percent(share: float) -> int:
    """A share as people write it."""
    return round(share * 100)


def _who(use: Use) -> tuple[int, ...]:
    return (use.uid,) if use.uid >= 0 else (use.pid, use.started)


def _shown(limit: str, use: Use) -> str:
    if limit == "tasks":
        return "the unit"
    process = process_text(use.pid, use.name)
    return process if use.uid < 0 else f"user {use.uid}, as whom {process} runs,"


def _of(limit: str, use: Use) -> str:
    if limit == "tasks":
        return f"its TasksMax= of {use.limit}"
    return f"the {limit} limit of {use.limit}"
