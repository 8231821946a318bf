"""Trials by unit, and what stood before: of several changes what counts is before the first."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.course import Before
from jada_configd.core.model import ABSENT, Change, Field, Value
from jada_configd.core.trial import Trial
from jada_configd.core.trials import Trials, values_before

UNIT = "jada-agent.service"
FILE = "settings:/home/ubuntu/.claude/settings.json"
MODEL: Field = ("model",)
THEME: Field = ("theme",)
TRIAL = Trial(UNIT, "change", 5, stale=True, sound=True, fields=("/model",))
BEFORE = Before(
    FILE,
    FILE.partition(":")[2],
    existed=True,
    mode=0o640,
    uid=1000,
    gid=1000,
    wrote="ours",
    values=((MODEL, "sonnet"),),
    bytes_digest="theirs",
)


def kept(trials: Trials) -> Trials:
    """As the next daemon reads them."""
    return Trials.of_plain(json.loads(json.dumps(trials.plain())))


def test_what_the_fields_were_is_what_is_found_there() -> None:
    changes = (Change(MODEL, "haiku", "sonnet"), Change(THEME, ABSENT, "dark"))
    assert values_before(changes) == ((MODEL, "haiku"), (THEME, ABSENT))


def test_a_second_change_joins_the_trial_of_the_first() -> None:
    trials = Trials()
    trials.open(replace(TRIAL, begun_ns=9, crashes=1))
    trials.open(replace(TRIAL, found_ns=8, sound=False, fields=("/theme",)))
    found = trials.of(UNIT)
    assert found is not None
    assert (found.fields, found.sound, found.begun_ns) == (("/model", "/theme"), True, 0)
    assert trials.units() == (UNIT,)


def test_of_several_changes_what_stood_before_the_first_counts() -> None:
    trials = Trials()
    trials.keep(BEFORE)
    later = replace(BEFORE, wrote="later", values=((MODEL, "opus"), (THEME, ABSENT)), mode=0o600)
    trials.keep(replace(later, bytes_digest="other"))
    found = trials.before(FILE)
    assert found == replace(BEFORE, wrote="later", values=((MODEL, "sonnet"), (THEME, ABSENT)))


def test_what_could_not_be_read_once_goes_back_whole() -> None:
    trials = Trials()
    trials.keep(BEFORE)
    trials.keep(replace(BEFORE, whole=True))
    found = trials.before(FILE)
    assert found is not None
    assert found.whole


def test_what_was_noted_can_be_taken_back() -> None:
    trials = Trials()
    trials.keep(BEFORE)
    trials.keep(replace(BEFORE, wrote="later"))
    trials.put_before(BEFORE)
    assert trials.before(FILE) == BEFORE


def test_it_is_to_be_saved_when_it_is_another_and_only_then() -> None:
    trials = Trials()
    changes: list[Callable[[], None]] = [lambda: trials.put(TRIAL), lambda: trials.keep(BEFORE)]
    for change in changes:
        change()
        assert trials.changed
        trials.changed = False
        change()
        assert not trials.changed
    changes = [lambda: trials.close(UNIT), lambda: trials.forget_before(FILE)]
    for forget in changes:
        forget()
        assert trials.changed
        trials.changed = False
        forget()
        assert not trials.changed
    assert (trials.units(), trials.befores()) == ((), ())


def test_what_the_policy_no_longer_holds_is_dropped() -> None:
    trials = Trials()
    trials.put(TRIAL)
    trials.keep(BEFORE)
    trials.forget_others(frozenset({FILE}), frozenset({UNIT}))
    assert (trials.units(), len(trials.befores())) == ((UNIT,), 1)
    trials.forget_others(frozenset(), frozenset())
    assert (trials.units(), trials.befores()) == ((), ())


_JSON: st.SearchStrategy[Value] = st.one_of(
    st.just(ABSENT),
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(), st.booleans(), max_size=2),
)
_FIELDS = st.lists(st.text(), min_size=1, max_size=3).map(tuple)


@given(
    values=st.lists(st.tuples(_FIELDS, _JSON), max_size=4),
    existed=st.booleans(),
    whole=st.booleans(),
)
def test_what_stood_before_comes_back_as_it_was_kept(
    values: list[tuple[Field, Value]], *, existed: bool, whole: bool
) -> None:
    trials = Trials()
    trials.put(TRIAL)
    trials.keep(replace(BEFORE, values=tuple(values), existed=existed, whole=whole))
    again = kept(trials)
    assert again.befores() == trials.befores()
    assert [repr(each.values) for each in again.befores()] == [
        repr(each.values) for each in trials.befores()
    ]
    assert again.of(UNIT) == TRIAL
    assert not again.changed


@pytest.mark.parametrize(
    "spoiled",
    [
        None,
        [],
        {},
        {"trials": [], "before": {}},
        {"trials": {UNIT: {}}, "before": {}},
        {"trials": {}, "before": {FILE: {"path": 5}}},
        {"trials": {}, "before": {FILE: None}},
    ],
)
def test_what_is_garbled_counts_as_nothing(spoiled: object) -> None:
    trials = Trials.of_plain(spoiled)
    assert (trials.units(), trials.befores()) == ((), ())
