"""A trial: how a service does on a change, from the correction till that is known.

It begins when a job of ours, or somebody else's start, has a process take the change up, and ends
with a verdict. What follows from one, going back or not, is `probation.py`'s. All moments are
CLOCK_MONOTONIC in nanoseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from jada_configd.core.facts import UnitFact
from jada_configd.core.specs import HealthSpec
from jada_configd.core.wording import count, seconds

# "fallback": a unit that has failed is started on the values that are held in place of others.
Purpose: TypeAlias = Literal["change", "way back", "fallback"]

# systemd starts a service anew that has ended (Restart=, systemd.service(5)). Once may be a port
# that was still taken; twice is a crash loop, which the start limit would end.
CRASHES_MOST: Final = 2
PROBE_AGAIN_NS: Final = 1_000_000_000  # after a probe that did not pass

Identity: TypeAlias = tuple[int, int]  # a main process: its pid, and when it started


@dataclass(frozen=True, slots=True)
class Trial:
    """One change on one unit.

    `found_ns` is when its drift was found. `stale`: processes may have read what stood there before
    the change, so that to go back to it means something. `sound` is whether the service was healthy
    before; None: that has to be asked yet, and `doubt` is why it was not. `begun_ns` is 0 until a
    process takes the change up, `main` that process, and `since_ns` when it was first seen active.
    """

    unit: str
    purpose: Purpose
    found_ns: int
    stale: bool
    sound: bool | None
    fields: tuple[str, ...] = ()
    begun_ns: int = 0
    main: Identity = (0, 0)
    since_ns: int = 0
    restarts: int = 0  # NRestarts at the last look
    crashes: int = 0
    ended: str = ""  # how its main process did the last time; "": well, or it has not
    why: str = ""  # of a way back: why there is one
    revision: str = ""  # of the policy that it began under: another one has not been tried

    def merged(self, other: "Trial") -> "Trial":
        """One more change before the first has been judged: both are tried together, anew."""
        fields = tuple(dict.fromkeys((*self.fields, *other.fields)))
        stale = self.stale or other.stale
        return replace(
            self, fields=fields, stale=stale, begun_ns=0, since_ns=0, crashes=0, ended=""
        )

    def begin(self, at_ns: int, restarts: int, revision: str = "") -> "Trial":
        """A process takes the change up from now on."""
        began = replace(self, begun_ns=at_ns, main=(0, 0), since_ns=0, revision=revision)
        return replace(began, restarts=restarts, crashes=0, ended="")


@dataclass(frozen=True, slots=True)
class Pending:
    """Not known yet; to be looked at again then. `asks`: once its probes have been asked."""

    again_ns: int
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Healthy:
    """It runs well on the change."""


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """It does not: one sentence says why."""

    why: str


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing will be known: somebody has stopped the service, or nobody can ask it."""

    why: str


Verdict: TypeAlias = Pending | Healthy | Unhealthy | Over


@dataclass(frozen=True, slots=True)
class Round:
    """All probes of a unit, asked once: of which process, from when till when.

    `failures` say what is not well, and `unasked` what nobody could ask: of that nothing is known.
    """

    main: Identity
    begun_ns: int
    ended_ns: int
    failures: tuple[str, ...]
    unasked: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all of them said that it is well."""
        return not self.failures and not self.unasked

    @property
    def tells(self) -> bool | None:
        """Whether the unit is well; None where nobody could ask, and nothing else is known."""
        return True if self.passed else False if self.failures else None


def identity(fact: UnitFact) -> Identity:
    """What tells one activation from the next; a unit may have no main process."""
    if fact.main_pid:
        return fact.main_pid, fact.main_started_ns
    return 0, fact.activating_since_ns


def is_up(fact: UnitFact) -> bool:
    """Whether the unit is active; during a reload it is, too."""
    return fact.active_state in ("active", "reloading")


def is_sound(health: HealthSpec, fact: UnitFact, last: Round | None, at_ns: int) -> bool | None:
    """Whether a service is healthy as it runs, as far as that is known; None: its probes tell.

    One that somebody has just started is; one that systemd had to start anew has to have run for
    `stable` since.
    """
    if not is_up(fact):
        return False
    if fact.restarts and health.is_young(identity(fact)[1], at_ns):
        return False
    if not health.probes:
        return True
    return last.tells if last is not None and last.main == identity(fact) else None


def seen(trial: Trial, fact: UnitFact, now_ns: int) -> Trial:
    """The trial after a look at its unit: another process, another crash."""
    crashes = trial.crashes + max(0, fact.restarts - trial.restarts)
    # systemd forgets how one process has ended as it starts the next.
    ended = fact.ended or trial.ended
    trial = replace(trial, restarts=fact.restarts, crashes=crashes, ended=ended)
    if not is_up(fact):
        return replace(trial, main=(0, 0), since_ns=0)
    if trial.main == identity(fact):
        return trial
    # It may have been active for a while when it was looked at; a reload is a change of state too.
    since_ns = max(trial.begun_ns, fact.state_changed_ns, fact.main_started_ns)
    return replace(trial, main=identity(fact), since_ns=min(since_ns or now_ns, now_ns))


def judge(
    trial: Trial,
    health: HealthSpec,
    fact: UnitFact,
    last: Round | None,
    now_ns: int,
    *,
    at_work: bool,
    stopped: bool,
) -> Verdict:
    """What is known of a trial that has begun, by a look at its unit just now.

    `last` is the last round of its probes; `at_work`: a job of ours has not ended; `stopped`: one
    of somebody else's has, since the trial began.
    """
    over = _over(trial, fact, at_work=at_work, stopped=stopped)
    if over is not None:
        return over
    end_ns = trial.begun_ns + _ns(health.within)
    stable_ns = trial.since_ns + _ns(health.stable)
    within = f"within {_span(health.within)}"
    if not is_up(fact) or at_work or fact.job:
        late = f"it did not become active {within} ({fact.sub_state})"
        return Unhealthy(late) if now_ns >= end_ns else Pending(end_ns)
    if now_ns < stable_ns:
        late = f"it did not keep one main process for long enough {within}"
        return Unhealthy(late) if now_ns >= end_ns else Pending(min(stable_ns, end_ns))
    if not health.probes:
        return Healthy()
    return _asked(trial, last, stable_ns, end_ns, now_ns)


def _over(trial: Trial, fact: UnitFact, *, at_work: bool, stopped: bool) -> Verdict | None:
    """What is plain to see, however long the trial has lasted."""
    if fact.load_state != "loaded":
        return Over(f"{trial.unit} is not there any more ({fact.load_state})")
    if trial.crashes >= CRASHES_MOST:
        often = count(trial.crashes, "time")
        return Unhealthy(f"its main process ended {often}{_how(trial, fact)}")
    if at_work or fact.job:
        return None
    if fact.active_state == "failed":
        return Unhealthy(f"it has failed ({fact.result}){_how(trial, fact)}")
    if fact.active_state != "inactive":
        return None
    if stopped:
        return Over("somebody has stopped it")
    if fact.once and fact.result == "success":
        return Healthy()
    return Unhealthy(f"its main process has ended{_how(trial, fact)}")


def _asked(trial: Trial, last: Round | None, stable_ns: int, end_ns: int, now_ns: int) -> Verdict:
    """What its probes say, those that were asked when it had run for long enough."""
    again_ns = now_ns + PROBE_AGAIN_NS
    if last is None or last.main != trial.main or last.begun_ns < stable_ns:
        # The answer is an event; where there was no daemon to ask in time it is asked late.
        return Pending(max(end_ns, again_ns), asks=True)
    if last.passed:
        return Healthy()
    if now_ns >= end_ns:
        if last.failures:
            return Unhealthy("; ".join(last.failures))
        # No service is unhealthy because nobody could ask.
        return Over("; ".join(last.unasked))
    if now_ns < last.ended_ns + PROBE_AGAIN_NS:
        return Pending(min(last.ended_ns + PROBE_AGAIN_NS, end_ns))
    return Pending(end_ns, asks=True)


def _how(trial: Trial, fact: UnitFact) -> str:
    ended = fact.ended or trial.ended
    return f", the last time with {ended}" if ended else ""


def _ns(value: float) -> int:
    return int(value * 1e9)


def _span(value: float) -> str:
    return f"{value:g} s" if value >= 1 else seconds(value)


# ------------------------------------------------------------------------------ to be kept


def _purpose(kept: object) -> Purpose:
    for purpose in get_args(Purpose):
        if purpose == kept:
            return cast("Purpose", purpose)
    raise ValueError(kept)


def plain(trial: Trial) -> dict[str, Any]:
    """A trial as JSON."""
    return {
        "purpose": trial.purpose,
        "found_ns": trial.found_ns,
        "stale": trial.stale,
        "sound": trial.sound,
        "fields": list(trial.fields),
        "begun_ns": trial.begun_ns,
        "main": list(trial.main),
        "since_ns": trial.since_ns,
        "restarts": trial.restarts,
        "crashes": trial.crashes,
        "ended": trial.ended,
        "why": trial.why,
        "revision": trial.revision,
    }


def trial_of(unit: str, kept: Mapping[str, Any]) -> Trial:
    """The trial that was kept; raises what garbled JSON makes it raise."""
    sound = kept["sound"]
    pid, started_ns = kept["main"]
    return Trial(
        unit,
        _purpose(kept["purpose"]),
        int(kept["found_ns"]),
        bool(kept["stale"]),
        None if sound is None else bool(sound),
        tuple(map(str, kept["fields"])),
        int(kept["begun_ns"]),
        (int(pid), int(started_ns)),
        int(kept["since_ns"]),
        int(kept["restarts"]),
        int(kept["crashes"]),
        str(kept["ended"]),
        str(kept["why"]),
        str(kept["revision"]),
    )
