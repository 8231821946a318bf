"""How often a unit has been started of late, whoever did it, and what its start limit leaves.

systemd counts the starts of a unit from the first one after its last count has lapsed, for one
interval (ratelimit_below in src/basic/ratelimit.c, put by unit_test_start_limit). Wherever that
count began, it holds no start that is not among those of the interval before now: so these are
counted here, and are never fewer. What makes systemd forget (`reset-failed`, and in 252 each
daemon-reload) is not followed, which only counts more. All moments are CLOCK_MONOTONIC in
nanoseconds.
"""

from dataclasses import dataclass
from typing import Any

from jada_configd.core.facts import UnitFact
from jada_configd.core.staleness import SLACK_NS


@dataclass(frozen=True, slots=True)
class _Look:
    """What the last look showed: when it left its rest, and its main process; and NRestarts."""

    began_ns: int
    main_ns: int
    restarts: int


class Starts:
    """The starts of one unit that may still count."""

    def __init__(self) -> None:
        self._last: _Look | None = None
        self._made: list[tuple[int, int]] = []  # when, and how many
        self._asked = 0  # by us, and not seen to have happened,
        self._announced = 0  # nor were these of Restart=,
        self._awaited_ns = 0  # which count as if they were made then

    def see(self, fact: UnitFact, now_ns: int) -> bool:
        """Count the starts that a look shows; whether it shows anything new."""
        look = _Look(fact.activating_since_ns, fact.main_started_ns, fact.restarts)
        last, self._last = self._last, look
        counts_now = fact.job or _rests(fact)  # one more may be just beginning
        moved = _has_moved(last, look, rests=_rests(fact))
        grown = 0 if last is None else max(0, look.restarts - last.restarts)
        if moved:
            at_ns = now_ns if counts_now else max(look.began_ns, look.main_ns)
            self._made.append((at_ns, self._number(last, look, grown)))
            self._asked = self._announced = 0
        elif grown:  # the count goes up when the job is queued, a moment before the start
            self._announced += grown
            self._awaited_ns = now_ns
        if fact.job:  # what is awaited is yet to come
            self._awaited_ns = now_ns
        self._forget_lapsed(fact, now_ns)
        return look != last

    def ask(self, now_ns: int) -> None:
        """A job that starts it was accepted: the next start that is seen is no other one."""
        self._asked += 1
        self._awaited_ns = now_ns

    def free_ns(self, fact: UnitFact, now_ns: int) -> int | None:
        """When the limit leaves room for one more start of ours; None: it does now.

        One start is kept spare, for whoever needs it, but where the limit is a single one.
        """
        if not _is_limited(fact):
            return None
        earlier = most_starts(fact) - 1
        awaited = self._awaited_ns, self._asked + self._announced
        for at_ns, number in sorted((*self._made, awaited), reverse=True):
            earlier -= number
            if earlier < 0:
                lapses_ns = at_ns + fact.start_interval_ns + SLACK_NS
                return lapses_ns if lapses_ns > now_ns else None
        return None

    def plain(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        last = self._last
        return {
            "last": None if last is None else [last.began_ns, last.main_ns, last.restarts],
            "made": [list(each) for each in self._made],
            "awaited": [self._asked, self._announced, self._awaited_ns],
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Starts":
        """The starts as they were kept; raises ValueError, TypeError or KeyError if garbled."""
        starts = cls()
        if plain["last"] is not None:
            starts._last = _Look(*map(whole, plain["last"]))
        starts._made = [(whole(at_ns), whole(number)) for at_ns, number in plain["made"]]
        starts._asked, starts._announced, starts._awaited_ns = map(whole, plain["awaited"])
        return starts

    def _number(self, last: _Look | None, look: _Look, grown: int) -> int:
        """How many starts there were since the last look, by which the unit was started.

        Where it was stopped and started anew, by us or by others, systemd counts its restarts anew.
        """
        if last is None:
            return 1 + look.restarts
        awaited = self._asked + self._announced
        if self._asked:
            return awaited + look.restarts
        if grown:
            return awaited + grown
        if awaited and look.restarts == last.restarts:
            return awaited
        return awaited + 1 + look.restarts

    def _forget_lapsed(self, fact: UnitFact, now_ns: int) -> None:
        if not _is_limited(fact):
            self._made.clear()
            self._asked = self._announced = 0
            return
        since_ns = now_ns - fact.start_interval_ns - SLACK_NS
        self._made = [each for each in self._made if each[0] > since_ns]
        if self._awaited_ns <= since_ns:
            self._asked = self._announced = 0


def most_starts(fact: UnitFact) -> int:
    """How many starts in one interval there may be with ours: all but one, and one at least."""
    return max(1, fact.start_burst - 1)


def whole(value: object) -> int:
    """A moment or a count as it was kept; raises ValueError for what cannot be one."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no moment and no count")
    return value


def _has_moved(last: _Look | None, look: _Look, *, rests: bool) -> bool:
    """Whether the unit was started since the last look: it left its rest, for more than to wait.

    Its main process may come later (`ExecStartPre=`), and another may take over (sd_notify(3),
    MAINPID=): neither is a start.
    """
    if last is None:
        return look.began_ns > 0
    return look.began_ns > last.began_ns and (not rests or look.main_ns > last.main_ns)


def _rests(fact: UnitFact) -> bool:
    """Whether it waits for RestartSec= to pass: systemd takes that for the begin of activating."""
    return fact.sub_state in ("auto-restart", "auto-restart-queued")  # the second since 254


def _is_limited(fact: UnitFact) -> bool:
    return fact.start_burst > 0 and fact.start_interval_ns > 0
