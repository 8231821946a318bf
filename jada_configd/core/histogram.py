"""A distribution as Prometheus has it: how many values were at most each bound, and their sum."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate


class Histogram:
    """Counts values by buckets, whose upper bounds belong to them."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """`bounds` ascend; behind the last there is one more bucket, for all that is above."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Each bound, infinity last, and how many values were at most that."""
        yield from zip((*self._bounds, float("inf")), accumulate(self._counts), strict=True)
