"""A unit with a start limit, which counts its starts as systemd does."""

from jada_configd.core.facts import UnitFact

MICROSECOND = 1000


class CountedUnit:
    """A unit that people, systemd and we start; its moments are those of systemd, in microseconds.

    The count is ratelimit_below of src/basic/ratelimit.c: of a window that a first start opens,
    and that is over when more than the interval has passed.
    """

    def __init__(
        self, name: str, burst: int, interval_ns: int, *, can_reload: bool = False
    ) -> None:
        self.name = name
        self.burst = burst
        self.interval_ns = interval_ns
        self.can_reload = can_reload
        self.window_us: int | None = None
        self.counted = 0
        self.restarts = 0
        self.began_ns = 0
        self.refused = False

    def start(self, now_ns: int) -> bool:
        """Start it anew, as `systemctl restart` does; False: it has hit its limit."""
        self.restarts = 0
        return self._start(now_ns)

    def crash(self, now_ns: int) -> bool:
        """Let its main process end, and systemd start it again at once."""
        self.restarts += 1
        return self._start(now_ns)

    def fact(self, *, job: bool = False) -> UnitFact:
        """What systemd shows of it."""
        return UnitFact(
            self.name,
            "loaded",
            "failed" if self.refused else "active",
            sub_state="failed" if self.refused else "running",
            main_pid=0 if self.refused else 77,
            main_started_ns=self.began_ns,
            activating_since_ns=self.began_ns,
            state_changed_ns=self.began_ns,
            can_reload=self.can_reload,
            job=job,
            restarts=self.restarts,
            start_burst=self.burst,
            start_interval_ns=self.interval_ns,
        )

    def _start(self, now_ns: int) -> bool:
        now_us = now_ns // MICROSECOND
        if self.window_us is None or now_us - self.window_us > self.interval_ns // MICROSECOND:
            self.window_us, self.counted = now_us, 0
        self.counted += 1
        self.refused = 0 < self.burst < self.counted
        if not self.refused:
            self.began_ns = now_us * MICROSECOND
        return not self.refused
