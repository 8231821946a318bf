"""Closed, open, half-open: when a fallback's values are held, over simulated time."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jada_configd.core.breaker import Breakers, State
from jada_configd.core.model import Exactly
from jada_configd.core.specs import FallbackSpec

AGENT = "jada-agent.service"
OTHER = "other.service"
NONE = "no-fallback.service"
SECOND = 1_000_000_000
START = 1000 * SECOND
WALL = 1_800_000_000.0
BOOT = "0f4c"
RETRY = 1800.0


def fallback(after: int = 3, retry: float = RETRY) -> FallbackSpec:
    return FallbackSpec("orchestrator", {("model",): Exactly("haiku")}, after, retry)


class Clocked:
    """Breakers with a clock beside them, which goes on by hand."""

    def __init__(self, **specs: FallbackSpec) -> None:
        self.specs = {f"{name}.service": spec for name, spec in specs.items()}
        self.at_ns = START
        self.breakers = Breakers()
        self.hold()

    @property
    def wall(self) -> float:
        return WALL + (self.at_ns - START) / SECOND

    def hold(self, revision: str = "sha256:1") -> tuple[str, ...]:
        return self.breakers.hold(self.specs, revision, self.at_ns, self.wall)

    def results(self, row: str, unit: str = "one.service") -> list[State | None]:
        """What comes of a row of results, `u` being unhealthy, a second before each."""
        found = []
        for each in row:
            self.pass_time(1)
            problem = None if each == "h" else "exit status 3"
            found.append(self.breakers.result(unit, problem, self.at_ns, self.wall))
        return found

    def pass_time(self, seconds: float) -> None:
        self.at_ns += round(seconds * SECOND)

    def turn(self) -> tuple[str, ...]:
        return self.breakers.turn(self.at_ns, self.wall)

    def restart(self, boot: str = BOOT, kept_in: str = BOOT) -> None:
        """A daemon that starts with what the one before has kept."""
        kept = json.loads(json.dumps(self.breakers.plain(kept_in)))
        self.breakers = Breakers.of(kept, boot)
        self.hold()

    def state(self, unit: str = "one.service") -> State:
        state: State = self.status(unit)["state"]
        return state

    def status(self, unit: str = "one.service") -> dict[str, Any]:
        status = self.breakers.status(unit)
        assert status is not None
        return status


@pytest.mark.parametrize(
    ("after", "row", "states"),
    [
        (3, "uuu", [None, None, "open"]),
        (3, "uuhuuu", [None, None, None, None, None, "open"]),
        (3, "uuhuuhuuh", [None] * 9),
        (1, "u", ["open"]),
        (1, "hu", [None, "open"]),
        (2, "uuuhhu", [None, "open", None, None, None, None]),
    ],
)
def test_so_many_unhealthy_results_in_a_row_open_it_and_no_result_closes_an_open_one(
    after: int, row: str, states: list[State | None]
) -> None:
    assert Clocked(one=fallback(after)).results(row) == states


def test_a_thousand_failures_may_be_asked_for() -> None:
    clocked = Clocked(one=fallback(after=1000))
    assert clocked.results("u" * 1000) == [None] * 999 + ["open"]
    assert clocked.status()["failures"] == 1000


@pytest.mark.parametrize("retry", [1.0, 0.25, 1800.0, 0.1 + 0.2, 86400 * 365.0])
def test_it_is_half_open_when_its_time_is_over_and_not_before(retry: float) -> None:
    clocked = Clocked(one=fallback(after=1, retry=retry))
    assert clocked.breakers.next_due_ns() is None
    clocked.results("u")
    due_ns = clocked.at_ns + round(retry * SECOND)
    assert clocked.breakers.next_due_ns() == due_ns
    clocked.at_ns = due_ns - 1
    assert clocked.turn() == ()
    assert clocked.state() == "open"
    clocked.at_ns = due_ns
    assert clocked.turn() == ("one.service",)
    assert clocked.state() == "half-open"
    assert clocked.turn() == ()
    assert clocked.breakers.next_due_ns() is None


def half_open() -> Clocked:
    clocked = Clocked(one=fallback())
    clocked.results("uuu")
    clocked.pass_time(RETRY)
    clocked.turn()
    return clocked


def test_the_first_result_closes_a_half_open_one_and_the_count_begins_anew() -> None:
    clocked = half_open()
    assert clocked.results("huu") == ["closed", None, None]
    assert clocked.status()["failures"] == 2
    assert clocked.results("u") == ["open"]


def test_the_first_result_opens_a_half_open_one_for_as_long_again() -> None:
    clocked = half_open()
    clocked.pass_time(1000)  # so long a trial may take: it is no part of the wait
    assert clocked.results("uh") == ["open", None]
    assert clocked.breakers.next_due_ns() == clocked.at_ns - SECOND + round(RETRY * SECOND)
    assert clocked.status()["failures"] == 4


def test_time_alone_ends_no_trial() -> None:
    clocked = half_open()
    clocked.pass_time(100 * RETRY)
    assert clocked.turn() == ()
    assert clocked.state() == "half-open"


def test_an_operator_has_the_wanted_values_tried_at_once() -> None:
    clocked = Clocked(one=fallback())
    assert not clocked.breakers.retry("one.service", clocked.wall)
    clocked.results("uuu")
    assert clocked.breakers.retry("one.service", clocked.wall)
    assert clocked.state() == "half-open"
    assert clocked.breakers.next_due_ns() is None
    assert not clocked.breakers.retry("one.service", clocked.wall)
    assert not clocked.breakers.retry(NONE, clocked.wall)


def test_each_unit_has_its_own() -> None:
    clocked = Clocked(one=fallback(after=1, retry=20), two=fallback(after=2, retry=10))
    clocked.results("u", "one.service")
    clocked.results("uu", "two.service")
    opened_ns = clocked.at_ns
    assert clocked.breakers.next_due_ns() == opened_ns + 10 * SECOND
    assert set(clocked.breakers.fallbacks()) == {"one.service", "two.service"}
    clocked.pass_time(10)
    assert clocked.turn() == ("two.service",)
    assert clocked.breakers.next_due_ns() == opened_ns + 18 * SECOND
    assert clocked.breakers.fallbacks() == {"one.service": clocked.specs["one.service"]}
    assert clocked.breakers.holds_fallback("one.service")
    assert not clocked.breakers.holds_fallback("two.service")


def test_results_of_units_without_a_fallback_are_nothing() -> None:
    clocked = Clocked(one=fallback(after=1))
    assert clocked.results("uuu", NONE) == [None] * 3
    assert clocked.breakers.status(NONE) is None
    assert not clocked.breakers.holds_fallback(NONE)
    assert NONE not in clocked.breakers.plain(BOOT)["units"]


# ------------------------------------------------------------------------------ what is told


def test_the_status_tells_the_state_since_when_why_and_until_when() -> None:
    clocked = Clocked(one=fallback(after=2, retry=60))
    fresh = {"state": "closed", "failures": 0, "since": WALL, "why": None, "retry_at": None}
    assert clocked.status() == fresh
    clocked.results("u")
    assert clocked.status() == {**fresh, "failures": 1, "why": "exit status 3"}
    clocked.results("u")
    opened = {
        "state": "open",
        "failures": 2,
        "since": WALL + 2,
        "why": "exit status 3",
        "retry_at": WALL + 62,
    }
    assert clocked.status() == opened
    clocked.pass_time(60)
    clocked.turn()
    tried = {**opened, "state": "half-open", "since": WALL + 62, "retry_at": None}
    assert clocked.status() == tried
    clocked.results("h")
    assert clocked.status() == {**fresh, "since": WALL + 63}
    clocked.results("h")
    assert clocked.status() == {**fresh, "since": WALL + 63}


def test_that_the_fallback_is_no_better_is_told_for_as_long_as_it_is_so() -> None:
    clocked = Clocked(one=fallback(after=1))
    clocked.results("u")
    clocked.breakers.result("one.service", "too slow", clocked.at_ns, clocked.wall)
    told = "exit status 3; with the fallback's values: too slow"
    assert clocked.status()["why"] == told
    assert clocked.status()["failures"] == 1
    clocked.restart()
    assert clocked.status()["why"] == told
    clocked.results("h")
    assert clocked.status()["why"] == "exit status 3"
    clocked.results("u")
    clocked.breakers.retry("one.service", clocked.wall)
    assert clocked.status()["why"] == "exit status 3"


def test_it_says_when_there_is_something_new_to_keep() -> None:
    clocked = Clocked(one=fallback(after=2))

    def news(row: str) -> bool:
        clocked.breakers.changed = False
        clocked.results(row)
        return clocked.breakers.changed

    assert clocked.breakers.changed
    assert [news("h"), news("u"), news("h"), news("uu"), news("h"), news("u"), news("u")] == [
        False,
        True,
        True,
        True,
        False,
        True,
        False,
    ]
    clocked.breakers.changed = False
    assert clocked.turn() == ()
    clocked.hold()
    assert not clocked.breakers.changed
    clocked.pass_time(RETRY)
    clocked.turn()
    assert clocked.breakers.changed
    clocked.breakers.changed = False
    clocked.hold("sha256:2")
    assert clocked.breakers.changed


# ------------------------------------------------------------------------------ another policy


def test_another_revision_closes_all() -> None:
    clocked = Clocked(one=fallback(), two=fallback(after=1))
    clocked.results("uu", "one.service")
    clocked.results("u", "two.service")
    clocked.hold("sha256:2")
    assert [clocked.state("one.service"), clocked.state("two.service")] == ["closed", "closed"]
    assert clocked.results("uu", "one.service") == [None, None]
    assert clocked.breakers.next_due_ns() is None


def test_another_revision_names_those_that_it_has_closed() -> None:
    clocked = Clocked(one=fallback(after=1), two=fallback(after=1), three=fallback())
    for unit in ("one.service", "two.service", "three.service"):
        clocked.results("u", unit)
    assert clocked.breakers.retry("two.service", clocked.wall)
    del clocked.specs["one.service"]
    assert clocked.hold("sha256:2") == ("two.service",)
    assert clocked.hold("sha256:3") == ()


def test_the_same_revision_once_more_changes_nothing() -> None:
    clocked = Clocked(one=fallback(after=1))
    clocked.results("u")
    before, due_ns = clocked.status(), clocked.breakers.next_due_ns()
    clocked.pass_time(60)
    assert clocked.hold() == ()
    assert clocked.status() == before
    assert clocked.breakers.next_due_ns() == due_ns


def test_units_that_leave_are_forgotten() -> None:
    clocked = Clocked(one=fallback(after=1), two=fallback(after=1))
    clocked.results("u", "one.service")
    spec = clocked.specs.pop("one.service")
    clocked.hold()
    assert clocked.breakers.status("one.service") is None
    assert clocked.breakers.fallbacks() == {}
    assert clocked.breakers.next_due_ns() is None
    clocked.specs["one.service"] = spec
    clocked.hold()
    assert clocked.state() == "closed"


# ------------------------------------------------------------------------------ what is kept


def test_a_restart_of_the_daemon_goes_on_with_count_and_wait() -> None:
    clocked = Clocked(one=fallback(retry=60))
    clocked.results("uu")
    clocked.restart()
    assert clocked.results("u") == ["open"]
    due_ns, status = clocked.breakers.next_due_ns(), clocked.status()
    clocked.pass_time(20)
    clocked.restart()
    assert clocked.breakers.next_due_ns() == due_ns
    assert clocked.status() == status
    clocked.pass_time(100)  # with no daemon to see that its time has come
    clocked.restart()
    assert clocked.turn() == ("one.service",)
    clocked.restart()
    assert clocked.state() == "half-open"
    assert clocked.results("u") == ["open"]


def test_one_that_opened_in_another_boot_waits_anew() -> None:
    clocked = Clocked(one=fallback(after=1, retry=60))
    clocked.results("u")
    clocked.pass_time(50)
    clocked.at_ns = 5 * SECOND
    clocked.restart(boot="another")
    assert clocked.state() == "open"
    assert clocked.breakers.next_due_ns() == 65 * SECOND
    assert clocked.status()["retry_at"] == clocked.wall + 60
    assert clocked.breakers.changed  # to be kept with this boot
    clocked.pass_time(10)
    clocked.restart(boot="another", kept_in="another")
    assert clocked.breakers.next_due_ns() == 65 * SECOND


def test_what_was_kept_of_another_revision_counts_as_nothing() -> None:
    clocked = Clocked(one=fallback(after=1))
    clocked.results("u")
    kept = clocked.breakers.plain(BOOT)
    clocked.breakers = Breakers.of(kept, BOOT)
    clocked.hold("sha256:2")
    assert clocked.state() == "closed"


def test_before_a_policy_is_held_nothing_is_held_by_what_was_kept() -> None:
    clocked = Clocked(one=fallback(after=1))
    clocked.results("u")
    kept = Breakers.of(clocked.breakers.plain(BOOT), BOOT)
    assert kept.fallbacks() == {}
    assert kept.result("one.service", "too slow", clocked.at_ns, clocked.wall) is None
    assert kept.plain(BOOT) == clocked.breakers.plain(BOOT)


OPEN = {"state": "open", "failures": 3, "since": WALL, "why": "w", "beside": None, "due_ns": START}


def kept(**other: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever may stand in a file
    return {"boot": BOOT, "revision": "sha256:1", "units": {"one.service": {**OPEN, **other}}}


def restored(plain: Mapping[str, Any]) -> Clocked:
    clocked = Clocked(one=fallback(retry=60))
    clocked.breakers = Breakers.of(plain, BOOT)
    clocked.hold()
    return clocked


@pytest.mark.parametrize(
    "other",
    [
        {"state": "ajar"},
        {"state": None},
        {"state": ["open"]},
        {"failures": -1},
        {"failures": True},
        {"failures": 3.0},
        {"failures": "3"},
        {"since": "2026-11-20"},
        {"since": True},
        {"since": float("nan")},
        {"since": 1e300},
        {"since": -1.0},
        {"why": 3},
        {"beside": []},
    ],
)
def test_what_is_garbled_counts_as_nothing(other: dict[str, Any]) -> None:
    assert restored(kept()).state() == "open"
    assert restored(kept(**other)).state() == "closed"


@pytest.mark.parametrize("due_ns", [None, "soon", 1e9, True, START * 1000, 1 << 200])
def test_whatever_stands_there_an_open_one_waits_no_longer_than_once_more(
    due_ns: object,
) -> None:
    clocked = restored(kept(due_ns=due_ns))
    assert clocked.state() == "open"
    assert clocked.breakers.next_due_ns() == START + 60 * SECOND
    assert clocked.status()["retry_at"] == WALL + 60


@pytest.mark.parametrize("state", ["closed", "half-open"])
def test_only_an_open_one_is_due(state: State) -> None:
    clocked = restored(kept(state=state))
    assert clocked.state() == state
    assert clocked.turn() == ()
    assert clocked.breakers.next_due_ns() is None


def test_the_first_result_decides_whatever_count_stands_there() -> None:
    assert restored(kept(state="half-open", failures=0)).results("u") == ["open"]


def test_a_clock_that_was_set_moves_what_is_shown_and_not_the_moment() -> None:
    clocked = Clocked(one=fallback(after=1))
    clocked.results("u")
    due_ns, wall = clocked.breakers.next_due_ns(), clocked.wall + 86400
    clocked.breakers.hold(clocked.specs, "sha256:1", clocked.at_ns, wall)
    assert clocked.status()["retry_at"] == wall + RETRY
    assert clocked.breakers.next_due_ns() == due_ns


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each),
    max_leaves=10,
)
FIELDS = st.sampled_from(sorted(OPEN))


@given(
    kept_plain=st.one_of(
        st.none(),
        JSON,
        st.fixed_dictionaries({"boot": JSON, "revision": JSON, "units": JSON}),
        st.builds(lambda name, value: kept(**{name: value}), FIELDS, JSON),
    ),
    row=st.text("hu", max_size=6),
)
def test_whatever_was_kept_the_work_goes_on(kept_plain: Any, row: str) -> None:  # noqa: ANN401
    clocked = restored(kept_plain)
    clocked.turn()
    clocked.results(row)
    clocked.pass_time(60)
    clocked.turn()
    json.dumps(clocked.status())
    clocked.restart()
    assert clocked.state() in ("closed", "half-open")


# ------------------------------------------------------------------------------ any order of things

SPECS = st.builds(fallback, st.integers(1, 4), st.sampled_from([0.5, 1.0, 60.0, 1800.0]))
UNITS = st.sampled_from([AGENT, OTHER, NONE])


class Lives(RuleBasedStateMachine):
    """Results, time, restarts, reboots, other policies and operators, in any order."""

    @initialize(agent=SPECS, other=SPECS)
    def begin(self, agent: FallbackSpec, other: FallbackSpec) -> None:
        self.specs = {AGENT: agent, OTHER: other}
        self.at_ns = START
        self.wall = WALL
        self.boot = 0
        self.revision = 0
        self.breakers = Breakers()
        self.steady = Breakers()  # never restarted, but with the machine
        self.hold()
        self.forget()

    def forget(self) -> None:
        """Nothing has happened yet under this policy."""
        self.log = dict.fromkeys(self.specs, "")  # results since it was closed, on its values
        self.opened_ns: dict[str, int] = {}
        self.tried: set[str] = set()

    def both(self) -> tuple[Breakers, Breakers]:
        return self.breakers, self.steady

    def hold(self) -> None:
        for each in self.both():
            each.hold(self.specs, f"sha256:{self.revision}", self.at_ns, self.wall)

    def kept(self) -> Breakers:
        plain = json.loads(json.dumps(self.breakers.plain(f"boot {self.boot}")))
        return Breakers.of(plain, f"boot {self.boot}")

    def due_ns(self, unit: str) -> int:
        return self.opened_ns[unit] + round(self.specs[unit].retry * SECOND)

    @rule(unit=UNITS, row=st.text("hu", min_size=1, max_size=5))
    def results(self, unit: str, row: str) -> None:
        for each in row:
            problem = None if each == "h" else f"failed at {self.at_ns}"
            news, other = (one.result(unit, problem, self.at_ns, self.wall) for one in self.both())
            assert news == other
            self.judge(unit, each, news)

    def judge(self, unit: str, result: str, news: State | None) -> None:
        if unit not in self.specs or unit in self.opened_ns:
            assert news is None
        elif unit in self.tried:
            assert news == ("closed" if result == "h" else "open")
            self.tried.remove(unit)
        else:
            self.log[unit] += result
            after = self.specs[unit].after
            assert news == ("open" if self.log[unit].endswith("u" * after) else None)
        if news == "open":
            self.opened_ns[unit] = self.at_ns
        elif news == "closed":
            self.log[unit] = ""

    @rule(seconds=st.sampled_from([1e-9, 0.5, 1, 59, 60, 1799, 1800, 100_000]))
    def pass_time(self, seconds: float) -> None:
        self.at_ns += round(seconds * SECOND)
        self.wall += seconds
        self.turn()

    @rule(early_ns=st.sampled_from([0, 1, SECOND]))
    def sleep_until_due(self, early_ns: int) -> None:
        due_ns = self.breakers.next_due_ns()
        if due_ns is not None and due_ns - early_ns > self.at_ns:
            self.wall += (due_ns - early_ns - self.at_ns) / SECOND
            self.at_ns = due_ns - early_ns
        self.turn()

    def turn(self) -> None:
        """Open ones are half-open after their time: all of them, and no others."""
        turned, other = (set(each.turn(self.at_ns, self.wall)) for each in self.both())
        assert turned == other
        assert turned == {unit for unit in self.opened_ns if self.due_ns(unit) <= self.at_ns}
        self.try_again(turned)

    def try_again(self, units: set[str]) -> None:
        for unit in units:
            del self.opened_ns[unit]
            self.tried.add(unit)

    @rule(unit=UNITS)
    def operator_retries(self, unit: str) -> None:
        waited = unit in self.opened_ns
        assert [each.retry(unit, self.wall) for each in self.both()] == [waited, waited]
        self.try_again({unit} if waited else set())

    @rule()
    def restart_the_daemon(self) -> None:
        self.breakers = self.kept()
        self.hold()

    @rule(up_for=st.integers(1, 100), wall=st.sampled_from([0.0, 30.0, 86400.0]))
    def reboot(self, up_for: int, wall: float) -> None:
        plain = self.breakers.plain(f"boot {self.boot}")
        self.boot += 1
        self.at_ns, self.wall = up_for * SECOND, self.wall + wall
        self.breakers = Breakers.of(plain, f"boot {self.boot}")
        self.steady = Breakers.of(plain, f"boot {self.boot}")
        self.hold()
        self.opened_ns = dict.fromkeys(self.opened_ns, self.at_ns)

    @rule(wall=st.sampled_from([0.0, WALL - 86400, WALL + 86400]))
    def set_the_clock(self, wall: float) -> None:
        self.wall = wall

    @rule(agent=SPECS, other=st.none() | SPECS)
    def change_the_policy(self, agent: FallbackSpec, other: FallbackSpec | None) -> None:
        self.specs = {AGENT: agent} | ({OTHER: other} if other is not None else {})
        self.revision += 1
        self.hold()
        self.forget()

    @rule()
    def load_the_same_policy(self) -> None:
        self.hold()

    @invariant()
    def the_states_are_those_that_have_come_about(self) -> None:
        for unit in (AGENT, OTHER, NONE):
            status = self.breakers.status(unit)
            if unit not in self.specs:
                assert status is None
                continue
            assert status is not None
            tried = "half-open" if unit in self.tried else "closed"
            assert status["state"] == ("open" if unit in self.opened_ns else tried)
            assert (status["retry_at"] is not None) == (unit in self.opened_ns)
            assert (status["why"] is None) == (status["failures"] == 0)

    @invariant()
    def the_fallback_is_held_while_it_is_open_and_the_next_wake_up_is_its_end(self) -> None:
        assert set(self.breakers.fallbacks()) == set(self.opened_ns)
        due_ns = min(map(self.due_ns, self.opened_ns), default=None)
        assert self.breakers.next_due_ns() == due_ns

    @invariant()
    def it_is_as_if_the_daemon_had_never_been_restarted(self) -> None:
        boot = "this"
        assert self.breakers.plain(boot) == self.steady.plain(boot)


TestLives = Lives.TestCase
