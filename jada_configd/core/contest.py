"""Fights over fields: which are changed back as often as they are corrected, and what that costs.

A field that was corrected more than `after` times within `within_ns` is contested. It is corrected
with growing gaps from then on, until it has not been found wrong for ten minutes. What is done in
the meantime, and told, is `contests.py`'s. Moments are CLOCK_MONOTONIC in nanoseconds.
"""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from jada_configd.core.model import ABSENT, Change, Drift, Field, ResourceId, Value, pointer, same
from jada_configd.core.wording import SEMICOLON, count, escaped, seconds, shown

QUIET_NS: Final = 600_000_000_000  # not found wrong for so long, and the fight is over
GAP_NS: Final = 1_000_000_000  # between the correction with which it begins and the next;
GAP_MOST_NS: Final = 60_000_000_000  # twice as long each time, up to this
FIELDS_NAMED: Final = 3
VALUES_NAMED: Final = 2
WHOLE: Final[Field] = ()  # what drifts where no field does: a file that has to go, or is no JSON
_ABSENT: Final = shown(WHOLE, ABSENT)


@dataclass(slots=True)
class Fight:
    """One field that was corrected lately; `gap_ns` is 0 where it is not contested.

    `begun` says how it came to be: so many times, in so many nanoseconds.
    """

    recent: deque[tuple[int, str]] = field(default_factory=deque)  # corrections, and of what value
    ours: tuple[Value, ...] = ()  # what we last put there
    wrong_ns: int = 0  # when it was last found wrong
    gap_ns: int = 0
    next_ns: int = 0  # no correction before
    begun: tuple[int, int] = (0, 0)
    corrections: int = 0  # since it began

    @property
    def contested(self) -> bool:
        """Whether it is a contest by now, and no chance."""
        return self.gap_ns > 0

    def correct(self, at_ns: int, value: str, after: int, within_ns: int) -> bool:
        """It was corrected; whether that makes it contested."""
        recent = self.recent
        recent.append((at_ns, value))
        while len(recent) > after + 1 or recent[0][0] <= at_ns - within_ns:
            recent.popleft()
        self.wrong_ns = at_ns
        if self.contested:
            self.corrections += 1
            self._wait(at_ns, min(2 * self.gap_ns, GAP_MOST_NS))
            return False
        if len(recent) <= after:
            return False
        self.begun = len(recent), at_ns - recent[0][0]
        self._wait(at_ns, GAP_NS)
        return True

    def _wait(self, at_ns: int, gap_ns: int) -> None:
        self.gap_ns, self.next_ns = gap_ns, at_ns + gap_ns

    def values(self) -> list[str]:
        """The values that came back lately, each once."""
        return sorted({value for _, value in self.recent})

    def is_over(self, at_ns: int, within_ns: int) -> bool:
        """Whether nothing of it is worth knowing any more, if it is right at that moment."""
        return at_ns >= self.wrong_ns + (QUIET_NS if self.contested else within_ns)


class Fights:
    """What was corrected lately, by resource and field; all else is forgotten."""

    def __init__(self) -> None:
        self.after = 10
        self.within_ns = 60_000_000_000
        self._fights: dict[ResourceId, dict[Field, Fight]] = {}

    def hold(self, resources: Collection[ResourceId], now_ns: int) -> None:
        """These are the resources from now on.

        Others are known for as long as they would be: a rival that removes a file and makes it
        anew has it leave a pattern each time.
        """
        for resource in [each for each in self._fights if each not in resources]:
            self._drop_past(resource, frozenset(), now_ns)

    def forget(self, resource: ResourceId) -> None:
        """Nobody corrects it any more."""
        self._fights.pop(resource, None)

    def corrected(self, resource: ResourceId, drift: Drift, at_ns: int) -> bool:
        """All of this was corrected at that moment; whether that makes anything contested."""
        fights = self._fights.setdefault(resource, {})
        values = {each.field: _value(each) for each in drift.changes} or {WHOLE: ""}
        for each in drift.changes:
            fight = fights.setdefault(each.field, Fight())
            # What stood there is what we had put there: the policy wants it otherwise by now.
            if fight.ours and same(each.have, fight.ours[0]) and not fight.contested:
                fight.recent.clear()
            fight.ours = (each.want,)
        begun = [
            fights.setdefault(name, Fight()).correct(at_ns, value, self.after, self.within_ns)
            for name, value in values.items()
        ]
        return any(begun)

    def found(self, resource: ResourceId, wrong: Collection[Field], at_ns: int) -> dict[Field, int]:
        """What a look has found wrong; which of that is not to be corrected yet, until when."""
        if resource not in self._fights:
            return {}
        self._drop_past(resource, wrong, at_ns)
        fights = self._fights.get(resource, {})
        early = {}
        for name in wrong:
            if (fight := fights.get(name)) is not None:
                fight.wrong_ns = at_ns
                if fight.contested and at_ns < fight.next_ns:
                    early[name] = fight.next_ns
        return early

    def of(self, resource: ResourceId) -> dict[Field, Fight]:
        """The fields that are contested now."""
        fights = self._fights.get(resource)
        return {name: each for name, each in fights.items() if each.contested} if fights else {}

    def _drop_past(self, resource: ResourceId, wrong: Collection[Field], at_ns: int) -> None:
        fights = self._fights[resource]
        over = [name for name, each in fights.items() if each.is_over(at_ns, self.within_ns)]
        for name in over:
            if name not in wrong or not fights[name].contested:
                del fights[name]
        if not fights:
            del self._fights[resource]


def fields_of(drift: Drift) -> frozenset[Field]:
    """What is wrong."""
    if drift and not drift.changes:
        return frozenset({WHOLE})
    return frozenset(each.field for each in drift.changes)


def contested_sentence(fights: Mapping[Field, Fight], *, services: bool) -> str:
    """What goes on, in words that stay as they are for as long as it does."""
    fields = sorted(fights)
    longest = max(fights.values(), key=lambda each: each.begun)
    times, span_ns = longest.begun
    is_, it_is = ("is", "it is") if len(fields) == 1 else ("are", "they are")
    back, to = _back(longest.values()) if len(fields) == 1 else ("changed back", "")
    how_often = f"{times} times within {seconds(span_ns / 1e9)}"
    alone = ", and services are left alone" if services else ""
    # Who does it has its place behind the values, once that is known.
    return (
        f"{_named(fields)} {is_} {back} again and again, {how_often}{to}; "
        f"{it_is} corrected with growing gaps, up to 1 m{alone}"
    )


def over_sentence(fights: Mapping[Field, Fight]) -> str:
    """That it is over, and what it came to."""
    fields = sorted(fights)
    times = max(each.corrections for each in fights.values())
    is_, it_was = ("is", "it was") if len(fields) == 1 else ("are", "they were")
    return (
        f"{_named(fields)} {is_} no longer contested: right for 10 m; "
        f"{it_was} corrected {count(times, 'more time')}"
    )


def _back(values: list[str]) -> tuple[str, str]:
    """What is done to a field, and the values that come back."""
    if values == [_ABSENT]:
        return "removed", ""
    if len(values) == 1:
        return "changed back", f", to {values[0]} each time" if values[0] else ""
    others = " and others" if len(values) > VALUES_NAMED else ""
    joint = ", " if others else " or "
    return "changed back", f", to {joint.join(values[:VALUES_NAMED])}{others}"


def _named(fields: list[Field]) -> str:
    names = [_plain(escaped(pointer(each))) or "the whole" for each in fields[:FIELDS_NAMED]]
    more = len(fields) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _value(change: Change) -> str:
    return _plain(shown(change.field, change.have))


def _plain(text: str) -> str:
    """`; ` parts sentences where they are shown: nothing that somebody chose may do that."""
    return text.replace("; ", SEMICOLON)
