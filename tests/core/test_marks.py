"""Marks: what is not tried again, of which revision, and what of a file that leaves free."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.marks import Mark, Marks, shown
from jada_configd.core.model import Field

AGENT = "jada-agent.service"
OTHER = "other.service"
FILE = "settings:/home/ubuntu/.claude/settings.json"
DROP_IN = f"unit-dropin:{AGENT}"
MODEL: Field = ("model",)
THEME: Field = ("theme",)
WHY = "its main process ended 2 times, the last time with exit status 3"
MARK = Mark(AGENT, "sha256:1", WHY, 1_796_000_000.5, {FILE: frozenset({MODEL})})


def marks(*all_of_them: Mark) -> Marks:
    made = Marks()
    for each in all_of_them:
        made.put(each)
    return made


def kept(made: Marks) -> Marks:
    """As the next daemon reads them."""
    return Marks.of_plain(json.loads(json.dumps(made.plain())))


def test_it_says_what_an_operator_has_to_know_and_can_do() -> None:
    assert MARK.sentence() == (
        f"{AGENT} did not become healthy on this policy, which was taken back: {WHY}; "
        f"`jada-configd retry {AGENT}` tries it again"
    )


def test_what_no_mark_speaks_of_is_not_spared() -> None:
    assert marks(MARK).sparing(DROP_IN) is None
    assert Marks().sparing(FILE) is None


def test_the_fields_of_all_marks_are_spared_and_one_of_them_is_named() -> None:
    other = replace(MARK, unit=OTHER, spared={FILE: frozenset({THEME})})
    assert marks(MARK).sparing(FILE) == (MARK, frozenset({MODEL}))
    assert marks(MARK, other).sparing(FILE) == (MARK, frozenset({MODEL, THEME}))


def test_where_one_spares_the_whole_nothing_is_left() -> None:
    whole = replace(MARK, unit=OTHER, spared={FILE: None})
    for made in (marks(MARK, whole), marks(whole, MARK)):
        found = made.sparing(FILE)
        assert found is not None
        assert found[1] is None


def test_another_revision_ends_it_and_the_same_does_not() -> None:
    made = marks(MARK)
    assert not made.keep_to("sha256:1")
    assert made.of(AGENT) == MARK
    assert made.keep_to("sha256:2")
    assert made.of(AGENT) is None
    assert not made.keep_to("sha256:3")


def test_an_operators_word_ends_it_once() -> None:
    made = marks(MARK)
    assert made.remove(AGENT)
    assert not made.remove(AGENT)
    assert made.sparing(FILE) is None


def test_how_it_does_on_what_came_back_stands_in_it() -> None:
    made = marks(MARK)
    made.ended(AGENT, well=False)
    made.ended(OTHER, well=True)
    assert made.of(AGENT) == replace(MARK, well=False)
    assert made.of(OTHER) is None


def test_the_fields_are_shown_as_pointers() -> None:
    assert shown(frozenset({THEME, ("a/b", "c")})) == ["/a~1b/c", "/theme"]
    assert shown(None) == []


@given(
    made=st.lists(
        st.builds(
            Mark,
            st.sampled_from([AGENT, OTHER]),
            st.text(),
            st.text(),
            st.floats(0, 1e12),
            st.dictionaries(
                st.sampled_from([FILE, DROP_IN]),
                st.none()
                | st.frozensets(st.lists(st.text(), min_size=1, max_size=3).map(tuple), max_size=3),
            ),
            st.sampled_from([None, True, False]),
        ),
        max_size=3,
    )
)
def test_they_come_back_as_they_were_kept(made: list[Mark]) -> None:
    all_of_them = marks(*made)
    again = kept(all_of_them)
    for unit in (AGENT, OTHER):
        assert again.of(unit) == all_of_them.of(unit)


@pytest.mark.parametrize(
    "spoiled",
    [
        None,
        [],
        "x",
        {AGENT: {}},
        {AGENT: None},
        {AGENT: {**marks(MARK).plain()[AGENT], "spared": 5}},
    ],
)
def test_what_is_garbled_counts_as_nothing(spoiled: object) -> None:
    assert Marks.of_plain(spoiled).of(AGENT) is None
