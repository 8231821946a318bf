"""Values, rules and what is drift."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.diff import diff
from jada_configd.core.model import (
    ABSENT,
    Change,
    Drift,
    Exactly,
    Field,
    Gone,
    Json,
    Members,
    Observed,
    OneOf,
    ResourceId,
    Rule,
    Value,
    pointer,
    same,
)

NAN = math.nan

# ------------------------------------------------------------------------------ one value or two

SAME: list[tuple[Value, Value]] = [
    (1, 1.0),
    (0, -0.0),
    (10**20, 1e20),
    (True, True),
    (None, None),
    (ABSENT, ABSENT),
    ("", ""),
    ([], []),
    ({}, {}),
    ([1, [2.0]], [1.0, [2]]),
    ({"a": 1, "b": None}, {"b": None, "a": 1.0}),
    (NAN, NAN),
    ([NAN], [float("nan")]),
    (math.inf, 1e999),
]
DIFFERENT: list[tuple[Value, Value]] = [
    (True, 1),
    (False, 0),
    (True, 1.0),
    (False, None),
    (None, ABSENT),
    (None, 0),
    (None, ""),
    ("", ABSENT),
    ("absent", ABSENT),
    ("1", 1),
    ([], {}),
    ([], ""),
    ([1, 2], [2, 1]),
    ([1], [1, 1]),
    ([True], [1]),
    ({"a": None}, {}),
    ({"a": True}, {"a": 1}),
    ({"a": 1}, {"b": 1}),
    (2**53, 2**53 + 1),
    (float(2**53), 2**53 + 1),
    ("e\u0301", "\u00e9"),
    (NAN, 0),
    (math.inf, -math.inf),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_ways_to_write_one_value_are_the_same(one: Value, other: Value) -> None:
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_values_are_not_the_same(one: Value, other: Value) -> None:
    assert not same(one, other)
    assert not same(other, one)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.floats(), st.sampled_from(["", "a", "1"])
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda below: st.one_of(
        st.lists(below, max_size=3), st.dictionaries(st.sampled_from("ab"), below, max_size=2)
    ),
    max_leaves=6,
)


@given(value=VALUES)
def test_every_value_is_itself(value: Json) -> None:
    assert same(value, value)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ((), ""),
        (("model",), "/model"),
        (("permissions", "deny"), "/permissions/deny"),
        (("a/b", "m~n"), "/a~1b/m~0n"),
        (("~1",), "/~01"),
        (("",), "/"),
        (("hooks", "0"), "/hooks/0"),
    ],
)
def test_fields_are_shown_as_json_pointers(field: Field, text: str) -> None:
    assert pointer(field) == text


def test_a_resource_is_named_by_kind_and_name() -> None:
    assert str(ResourceId("sysctl", "fs.nr_open")) == "sysctl:fs.nr_open"


# ------------------------------------------------------------------------------ rules

WANTED: list[tuple[Rule, Value, Value]] = [
    (Exactly("sonnet"), "sonnet", "sonnet"),
    (Exactly("sonnet"), "haiku", "sonnet"),
    (Exactly("sonnet"), ABSENT, "sonnet"),
    (Exactly(None), ABSENT, None),
    (Exactly(None), None, None),
    (Exactly(1), True, 1),
    (Exactly(value=True), 1, True),
    (Exactly([]), ABSENT, []),
    (Exactly([1, 2]), [2, 1], [1, 2]),
    (Gone(), ABSENT, ABSENT),
    (Gone(), None, ABSENT),
    (Gone(), {"a": 1}, ABSENT),
    (OneOf(("medium", "high")), ABSENT, "medium"),
    (OneOf(("medium", "high")), "high", "high"),
    (OneOf(("medium", "high")), "low", "medium"),
    (OneOf(("medium", "high")), None, "medium"),
    (OneOf((1, 2)), True, 1),
    (OneOf((False, None)), ABSENT, False),
    (Members(include=("a",)), ABSENT, ["a"]),
    (Members(include=("a",)), [], ["a"]),
    (Members(include=("a",)), ["b", "a"], ["b", "a"]),
    (Members(include=("a", "c")), ["b", "c"], ["b", "c", "a"]),
    (Members(include=("a",)), "a", ["a"]),
    (Members(include=("a",)), {"a": 1}, ["a"]),
    (Members(include=("a",)), None, ["a"]),
    (Members(include=(1,)), [True], [True, 1]),
    (Members(include=(1,)), [1.0], [1.0]),
    (Members(include=(["x"],)), [["x"]], [["x"]]),
    (Members(exclude=("a",)), ABSENT, ABSENT),
    (Members(exclude=("a",)), "a", "a"),
    (Members(exclude=("a",)), ["a", "b", "a"], ["b"]),
    (Members(exclude=("a",)), ["b"], ["b"]),
    (Members(exclude=(1,)), [True, 1.0, 1], [True]),
    (Members(include=("a",), exclude=("b",)), ["b", "c"], ["c", "a"]),
    (Members(include=("a",), exclude=("b",)), ABSENT, ["a"]),
    (Members(include=("a",)), ["b", "b"], ["b", "b", "a"]),
]


@pytest.mark.parametrize(("rule", "have", "want"), WANTED)
def test_what_a_rule_wants_of_what_there_is(rule: Rule, have: Value, want: Value) -> None:
    wanted = rule.wanted(have)
    assert same(wanted, want), wanted


RULES: st.SearchStrategy[Rule] = st.one_of(
    VALUES.map(Exactly),
    st.just(Gone()),
    st.lists(VALUES, min_size=1, max_size=3).map(lambda values: OneOf(tuple(values))),
    st.builds(
        lambda include, exclude: Members(
            tuple(include),  # a policy in which both name one member does not load
            tuple(out for out in exclude if not any(same(out, each) for each in include)),
        ),
        st.lists(SCALARS, max_size=2),
        st.lists(SCALARS, max_size=2),
    ),
)


@given(rule=RULES, have=st.one_of(VALUES, st.just(ABSENT)))
def test_what_a_rule_wants_satisfies_it(rule: Rule, have: Value) -> None:
    wanted = rule.wanted(have)
    assert same(rule.wanted(wanted), wanted)


@given(rule=RULES, have=VALUES)
def test_a_value_that_satisfies_a_rule_is_kept_as_it_is_written(rule: Rule, have: Json) -> None:
    wanted = rule.wanted(have)
    if same(wanted, have):
        assert wanted is have


# ------------------------------------------------------------------------------ differences


def test_only_owned_fields_that_differ_are_drift() -> None:
    desired: dict[Field, Rule] = {
        ("model",): Exactly("sonnet"),
        ("env", "ANTHROPIC_MODEL"): Gone(),
        ("effortLevel",): OneOf(("medium",)),
    }
    seen = Observed({("model",): "haiku", ("effortLevel",): "medium", ("theme",): "dark"})
    assert diff(desired, seen) == Drift((Change(("model",), "haiku", "sonnet"),))


def test_a_field_that_was_not_seen_is_absent() -> None:
    desired: dict[Field, Rule] = {("model",): Exactly(None)}
    assert diff(desired, Observed({})) == Drift((Change(("model",), ABSENT, None),))


def test_a_problem_is_drift_without_any_change() -> None:
    drift = diff({}, Observed({}, problem="is a FIFO"))
    assert drift
    assert drift == Drift(problem="is a FIFO")


def test_where_nothing_is_to_be_held_nothing_drifts() -> None:
    desired: dict[Field, Rule] = {("model",): Exactly("sonnet")}
    assert not diff(desired, Observed({}, vacant=True))
    assert not diff({}, Observed({("model",): "haiku"}))
