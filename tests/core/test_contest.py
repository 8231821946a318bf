"""Fights over fields: when one is contested, how often it is corrected, and when it is over."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jada_configd.core.contest import (
    GAP_MOST_NS,
    GAP_NS,
    QUIET_NS,
    WHOLE,
    Fights,
    contested_sentence,
    fields_of,
    over_sentence,
)
from jada_configd.core.model import ABSENT, Change, Drift, Field, ResourceId, Value

SECOND_NS = 1_000_000_000
START_NS = 1_000 * SECOND_NS
FILE = ResourceId("settings", "/home/ubuntu/.claude/settings.json")
OTHER = ResourceId("settings", "/opt/settings.json")
MODEL: Field = ("model",)
EFFORT: Field = ("effortLevel",)


def drift(*fields: Field, have: Value = "haiku") -> Drift:
    return Drift(tuple(Change(each, have, "sonnet") for each in fields))


def correct(
    fights: Fights, times: int, at_ns: int = START_NS, step_ns: int = SECOND_NS
) -> list[bool]:
    """Corrections of the model, one a step; whether each makes it contested."""
    return [fights.corrected(FILE, drift(MODEL), at_ns + n * step_ns) for n in range(times)]


def sentence(fights: Fights, *, services: bool = True) -> str:
    return contested_sentence(fights.of(FILE), services=services)


# ------------------------------------------------------------------------------ when one begins


def test_it_begins_with_the_correction_that_is_one_too_many_and_begins_once() -> None:
    fights = Fights()
    assert correct(fights, 10) == [False] * 10
    assert fights.of(FILE) == {}
    assert correct(fights, 5, START_NS + 10 * SECOND_NS) == [True] + [False] * 4
    assert set(fights.of(FILE)) == {MODEL}


def test_ten_within_any_minute_may_go_on_for_ever() -> None:
    fights = Fights()
    assert not any(correct(fights, 200, step_ns=6 * SECOND_NS))


def test_what_is_one_too_many_is_the_policys() -> None:
    fights = Fights()
    fights.after, fights.within_ns = 2, 5 * SECOND_NS
    assert not any(correct(fights, 10, step_ns=5 * SECOND_NS // 2))
    assert correct(fights, 1, START_NS + 23 * SECOND_NS) == [True]


def test_another_policy_ends_no_contest_and_counts_what_was_corrected_before() -> None:
    fights = Fights()
    correct(fights, 6)
    fights.after = 6
    assert correct(fights, 1, START_NS + 6 * SECOND_NS) == [True]
    fights.after = 1000
    assert set(fights.of(FILE)) == {MODEL}


def test_each_field_of_each_resource_is_a_fight_of_its_own() -> None:
    fights = Fights()
    for n in range(11):
        other = OTHER if n % 2 else FILE
        fights.corrected(other, drift(MODEL), START_NS + n)
        fights.corrected(FILE, drift(EFFORT), START_NS + n)
    assert set(fights.of(FILE)) == {EFFORT}
    assert fights.of(OTHER) == {}


def test_a_drift_without_a_field_is_one_too() -> None:
    fights = Fights()
    broken = Drift((), "is not JSON that Claude Code reads")
    assert fields_of(broken) == {WHOLE}
    for n in range(11):
        fights.corrected(FILE, broken, START_NS + n)
    assert set(fights.of(FILE)) == {WHOLE}
    assert sentence(fights).startswith("the whole is changed back again and again, 11 times")


# ------------------------------------------------------------------------------ the gaps


def test_gaps_double_with_each_correction_up_to_a_minute() -> None:
    fights = Fights()
    correct(fights, 11)
    at_ns = START_NS + 10 * SECOND_NS
    gaps = []
    for _ in range(9):
        (until_ns,) = fights.found(FILE, {MODEL}, at_ns).values()
        assert fights.found(FILE, {MODEL}, until_ns - 1) == {MODEL: until_ns}
        assert fights.found(FILE, {MODEL}, until_ns) == {}
        gaps.append((until_ns - at_ns) // SECOND_NS)
        at_ns = until_ns
        fights.corrected(FILE, drift(MODEL), at_ns)
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_what_is_not_contested_need_not_wait() -> None:
    fights = Fights()
    correct(fights, 10)
    assert fights.found(FILE, {MODEL, EFFORT}, START_NS + 10 * SECOND_NS) == {}
    correct(fights, 1, START_NS + 10 * SECOND_NS)
    assert set(fights.found(FILE, {MODEL, EFFORT}, START_NS + 10 * SECOND_NS)) == {MODEL}
    assert fights.found(OTHER, {MODEL}, START_NS + 10 * SECOND_NS) == {}


# ------------------------------------------------------------------------------ the end


def test_it_is_over_when_it_has_not_been_found_wrong_for_ten_minutes() -> None:
    fights = Fights()
    correct(fights, 11)
    wrong_ns = START_NS + 100 * SECOND_NS
    fights.found(FILE, {MODEL}, wrong_ns)
    fights.found(FILE, set(), wrong_ns + QUIET_NS - 1)
    assert set(fights.of(FILE)) == {MODEL}
    fights.found(FILE, {EFFORT}, wrong_ns + QUIET_NS)
    assert fights.of(FILE) == {}
    assert correct(fights, 10, wrong_ns + QUIET_NS) == [False] * 10


def test_that_nobody_has_looked_for_long_is_no_quiet() -> None:
    fights = Fights()
    correct(fights, 11)
    fights.found(FILE, {MODEL}, START_NS + 2 * QUIET_NS)
    assert set(fights.of(FILE)) == {MODEL}


def test_nothing_is_kept_of_what_was_long_ago() -> None:
    fights = Fights()
    correct(fights, 3)
    fights.found(FILE, set(), START_NS + 63 * SECOND_NS)
    assert fights._fights == {}


def test_a_file_that_leaves_its_pattern_for_a_moment_is_known_again() -> None:
    fights = Fights()
    correct(fights, 10)
    fights.hold((), START_NS + 10 * SECOND_NS)
    assert correct(fights, 1, START_NS + 10 * SECOND_NS) == [True]
    fights.hold((), START_NS + 60 * SECOND_NS)
    assert set(fights.of(FILE)) == {MODEL}
    fights.hold((), START_NS + 10 * SECOND_NS + QUIET_NS)
    assert fights._fights == {}


def test_what_nobody_corrects_any_more_is_not_contested() -> None:
    fights = Fights()
    correct(fights, 11)
    fights.forget(FILE)
    assert fights.of(FILE) == {}


# ------------------------------------------------------------------------------ words


def fought(*haves: Value, fields: tuple[Field, ...] = (MODEL,)) -> str:
    fights = Fights()
    for n in range(11):
        have = haves[n % len(haves)]
        fights.corrected(FILE, drift(*fields, have=have), START_NS + n * SECOND_NS // 4)
    return sentence(fights)


@pytest.mark.parametrize(
    ("haves", "said"),
    [
        (("haiku",), 'changed back again and again, 11 times within 2.5 s, to "haiku" each time;'),
        (("b", "a"), 'changed back again and again, 11 times within 2.5 s, to "a" or "b";'),
        ((3, 1, 2), "changed back again and again, 11 times within 2.5 s, to 1, 2 and others;"),
        ((ABSENT,), "removed again and again, 11 times within 2.5 s;"),
        (("x; y",), 'to "x;\\x20y" each time; it is corrected'),
        (("\x1b[2J",), 'to "\\u001b[2J" each time;'),
    ],
)
def test_the_values_that_come_back_are_named(haves: tuple[Value, ...], said: str) -> None:
    assert said in fought(*haves)
    assert fought(*haves).startswith("/model is ")


def test_no_secret_is_named() -> None:
    said = fought("hunter2", fields=(("env", "ANTHROPIC_API_KEY"),))
    assert "hunter2" not in said
    assert 'to "<redacted>" each time' in said


def test_of_many_fields_the_first_are_named() -> None:
    fields = tuple((letter,) for letter in "edcba")
    assert fought("x", fields=fields) == (
        "/a, /b, /c and 2 more are changed back again and again, 11 times within 2.5 s; "
        "they are corrected with growing gaps, up to 1 m, and services are left alone"
    )


def test_services_are_named_only_where_there_are_any() -> None:
    fights = Fights()
    correct(fights, 11)
    assert sentence(fights).endswith("up to 1 m, and services are left alone")
    assert sentence(fights, services=False).endswith("up to 1 m")


def test_the_words_stay_while_it_goes_on_and_the_end_says_what_it_came_to() -> None:
    fights = Fights()
    correct(fights, 11)
    before = sentence(fights)
    correct(fights, 2, START_NS + 20 * SECOND_NS)
    assert sentence(fights) == before
    assert over_sentence(fights.of(FILE)) == (
        "/model is no longer contested: right for 10 m; it was corrected 2 more times"
    )


# ------------------------------------------------------------------------------ any order of things


@dataclass
class Told:
    """What has come of one field, kept whole: nothing is forgotten, and nothing is clever."""

    corrected: list[int] = field(default_factory=list)
    wrong_ns: int = 0
    since: int | None = None  # the number of the correction with which it became contested


class Rivals(RuleBasedStateMachine):
    """Fields are changed, found and corrected whenever they may be, in any order."""

    fields = (MODEL, EFFORT)

    @initialize(after=st.integers(1, 4), within=st.integers(1, 90))
    def begin(self, after: int, within: int) -> None:
        self.fights = Fights()
        self.now_ns = START_NS
        self.told: dict[Field, Told] = {each: Told() for each in self.fields}
        self.fights.after, self.fights.within_ns = after, within * SECOND_NS

    @rule(milliseconds=st.sampled_from([1, 300, 1000, 4000, 30_000, 61_000, 300_000, 600_000]))
    def pass_time(self, milliseconds: int) -> None:
        self.now_ns += milliseconds * 1_000_000

    @rule(wrong=st.sets(st.sampled_from(fields)))
    def look(self, wrong: set[Field]) -> None:
        """Look, and correct at once what may be."""
        early = self.fights.found(FILE, wrong, self.now_ns)
        for name, told in self.told.items():
            if name in wrong:
                told.wrong_ns = self.now_ns
            elif told.since is not None and self.now_ns >= told.wrong_ns + QUIET_NS:
                told.since = None
        for name, until_ns in early.items():
            assert self.told[name].since is not None
            assert self.now_ns < until_ns <= self.now_ns + GAP_MOST_NS
        free = [each for each in self.fields if each in wrong and each not in early]
        if free:
            self.correct(free)

    def correct(self, free: list[Field]) -> None:
        before = set(self.fights.of(FILE))
        begun = self.fights.corrected(FILE, drift(*free), self.now_ns)
        after = set(self.fights.of(FILE))
        assert begun == bool(after - before)
        for name in free:
            told = self.told[name]
            if told.since is not None:
                self.judge_gap(told)
            told.corrected.append(self.now_ns)
            recent = [at for at in told.corrected if at > self.now_ns - self.fights.within_ns]
            if told.since is None and len(recent) > self.fights.after:
                told.since = len(told.corrected) - 1

    def judge_gap(self, told: Told) -> None:
        """Each gap of a contest is at least twice the one before, up to a minute."""
        assert told.since is not None
        number = len(told.corrected) - 1 - told.since
        least_ns = min(GAP_NS << min(number, 6), GAP_MOST_NS)
        assert self.now_ns - told.corrected[-1] >= least_ns

    @rule()
    def resolve_without_it(self) -> None:
        self.fights.hold((), self.now_ns)
        for told in self.told.values():
            if told.since is not None and self.now_ns >= told.wrong_ns + QUIET_NS:
                told.since = None

    @invariant()
    def all_agree_on_what_is_contested(self) -> None:
        contested = {name for name, told in self.told.items() if told.since is not None}
        assert set(self.fights.of(FILE)) == contested

    @invariant()
    def no_more_is_kept_than_is_needed(self) -> None:
        for each in self.fights._fights.get(FILE, {}).values():
            assert len(each.recent) <= 5


TestRivals = Rivals.TestCase
TestRivals.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
