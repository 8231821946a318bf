"""Which route leads to the service manager now: the best that works, and back to a better one.

A way that fails is left alone for a while, twice as long each time. What is asked, and what is made
of the answers, is the business of `systemd.py`.
"""

import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from jada_configd.errors import ManagerGone
from jada_configd.host.manager.routes import Declined, Gone, Route, Silent

_FIRST_GAP_NS: Final = 1_000_000_000
_HUNG_GAP_NS: Final = 30_000_000_000  # a way that hangs costs the whole time limit at each trial
_LAST_GAP_NS: Final = 60_000_000_000


@dataclass(slots=True)
class Way:
    """A route that may be taken, and when it may be tried again."""

    name: str
    open: Callable[[float], Route]  # within so many seconds; raises Gone, Silent
    gap_ns: int = 0
    not_before_ns: int = 0
    problem: str = ""

    def failed(self, problem: str, *, hung: bool) -> None:
        """Leave it alone: twice as long as the last time."""
        least_ns = _HUNG_GAP_NS if hung else _FIRST_GAP_NS
        self.gap_ns = min(max(self.gap_ns * 2, least_ns), _LAST_GAP_NS)
        self.not_before_ns = time.monotonic_ns() + self.gap_ns
        self.problem = problem

    def works(self) -> None:
        """Nothing is held against it any more."""
        self.gap_ns = self.not_before_ns = 0
        self.problem = ""


class Ways:
    """The ways to the service manager, best first, and the route in use."""

    def __init__(self, ways: Sequence[Way], greet: Callable[[Route, float], None]) -> None:
        """`greet` is done first on each new route, within so many seconds."""
        self._ways = tuple(ways)
        self._greet = greet
        self._way: Way | None = None
        self.route: Route | None = None
        self.missed = False  # something may have happened that no route told of
        # One descriptor for good, whatever socket is behind it: a new socket may well get the
        # number of the old one, and a selector does not notice that it is another.
        self._readable = select.epoll()

    @property
    def best(self) -> bool:
        """Whether there is nothing better than the route in use."""
        return self._way is self._ways[0]

    def fileno(self) -> int:
        """Readable when the route in use has something to tell."""
        return self._readable.fileno()

    def current(self, deadline: float) -> Route:
        """The route in use, or the first that can be taken till then. Raises `ManagerGone`."""
        if self.route is None:
            self._take_first(self._ways, deadline)
        if self.route is None:
            problems = "; ".join(f"{way.name}: {way.problem}" for way in self._ways if way.problem)
            raise ManagerGone(f"nobody tells of units ({problems})")
        return self.route

    def due_ns(self) -> int:
        """When a better way may be tried (CLOCK_MONOTONIC); far away where there is none."""
        return min((way.not_before_ns for way in self._better()), default=1 << 62)

    def improve(self, seconds: float) -> None:
        """Take a better way, if there is one that works again."""
        self._take_first(self._better(), time.monotonic() + seconds)

    def lost(self, problem: str, *, hung: bool = False) -> None:
        """The route in use leads nowhere any more."""
        if self._way is not None:
            self._way.failed(problem, hung=hung)
        self._leave()
        self.missed = True

    def close(self) -> None:
        """Leave the route in use, for good."""
        self._leave()
        self._readable.close()

    def _better(self) -> Sequence[Way]:
        return self._ways if self._way is None else self._ways[: self._ways.index(self._way)]

    def _take_first(self, ways: Sequence[Way], deadline: float) -> None:
        now_ns = time.monotonic_ns()
        for way in ways:
            if way.not_before_ns > now_ns:
                continue
            if time.monotonic() >= deadline or self._take(way, deadline):
                return

    def _take(self, way: Way, deadline: float) -> bool:
        route = None
        try:
            route = way.open(deadline - time.monotonic())
            self._greet(route, max(0.0, deadline - time.monotonic()))
        except (Gone, Silent, Declined) as error:
            if route is not None:
                route.close()
            way.failed(str(error), hung=isinstance(error, Silent))
            self.missed = self.missed or self.route is None
            return False
        except Exception as error:  # noqa: BLE001 - code that is being replaced on disk raises any
            if route is not None:
                route.close()
            way.failed(f"{type(error).__name__}: {error}", hung=False)
            return False
        self.missed = self.missed or self.route is not None
        self._leave()
        self.route, self._way = route, way
        way.works()
        if (descriptor := route.fileno()) is not None:
            self._readable.register(descriptor, select.EPOLLIN)
        return True

    def _leave(self) -> None:
        """Closing the socket takes it out of `_readable` too (epoll(7), question 6)."""
        if self.route is not None:
            self.route.close()
        self.route = self._way = None
