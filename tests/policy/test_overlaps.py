"""Which patterns meet: what two have in common both match, and nothing in common is missed."""

import time
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jada_configd.host.filesystem.patterns import _test as looked_for
from jada_configd.policy.overlaps import Meeting, common_name, meetings
from jada_configd.policy.values import settings_path


def is_component(text: str) -> bool:
    try:
        return settings_path(f"/{text}", None) == f"/{text}"
    except ValueError:
        return False


def found_by(component: str, name: str) -> bool:
    """Whether the search for files takes it."""
    test = looked_for(component)
    return component == name if test is None else test.match(name) is not None


SETS = st.builds(
    "[{}{}]".format, st.sampled_from(["", "!"]), st.text("ab.]-c!/\\", min_size=1, max_size=4)
)
COMPONENTS = (
    st.lists(st.one_of(st.sampled_from(["*", "?", "a", "b", ".", "-", "]", "!"]), SETS), max_size=6)
    .map("".join)
    .filter(is_component)
)
NAMES = st.text("ab.-]!c\n0", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))


@given(COMPONENTS, COMPONENTS)
def test_what_two_have_in_common_both_match(one: str, other: str) -> None:
    name = common_name(one, other)
    assert (name is None) == (common_name(other, one) is None)
    if name is not None:
        assert found_by(one, name)
        assert found_by(other, name)
        assert name not in ("", ".", "..")
        assert "/" not in name


@st.composite
def components_of(draw: st.DrawFn, name: str) -> str:
    """A component that matches the name, most of the time."""
    parts = []
    for character in name:
        sets = [f"[{character}]", f"[a{character}]", f"[!{'x' if character != 'x' else 'y'}]"]
        parts.append(draw(st.sampled_from([character, "?", "*", "", *sets])))
    return "".join(parts) + draw(st.sampled_from(["", "*"]))


@given(st.data(), NAMES)
def test_a_name_that_both_match_is_not_missed(data: st.DataObject, name: str) -> None:
    one, other = (data.draw(components_of(name)) for _ in range(2))
    assume(is_component(one) and is_component(other))
    common = common_name(one, other)
    if found_by(one, name) and found_by(other, name):
        assert common is not None
        assert len(common) <= len(name)


@given(COMPONENTS, COMPONENTS)
def test_where_there_is_no_common_name_no_short_one_is_found_either(one: str, other: str) -> None:
    assume(common_name(one, other) is None)
    names = ("".join(each) for size in (1, 2, 3) for each in product("ab.-]!0", repeat=size))
    found = (name for name in names if found_by(one, name) and found_by(other, name))
    assert set(found) <= {".", ".."}


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        ("*", "*", "a"),
        ("a*", "*b", "ab"),
        ("a*", "b*", None),
        ("*.json", "settings.*", "settings.json"),
        ("?", "??", None),
        ("[a-m]", "[k-z]", "k"),
        ("[!a-z]*", "[a-z]*", None),
        ("[!a]", "[!b]", "0"),
        ("*", ".*", None),
        (".*", ".?*", ".a"),
        (".?", ".[.]", None),
        ("[.]x", "?x", None),
        ("[[]", "[", "["),
        ("*", "settings.json", "settings.json"),
        ("*", ".hidden", None),
        ("?" * 200, "*", "a" * 200),
        (f"*{'a' * 200}", f"{'b' * 200}*", None),  # longer than a name can be
    ],
)
def test_the_common_name(one: str, other: str, name: str | None) -> None:
    assert common_name(one, other) == name
    assert common_name(other, one) == name


def met(*patterns: str) -> set[Meeting]:
    return set(meetings(patterns))


def test_two_patterns_meet_where_all_their_components_do() -> None:
    assert met("/home/*/a.json", "/home/bob/*.json") == {
        Meeting("/home/*/a.json", "/home/bob/*.json", "/home/bob/a.json", only=True)
    }
    assert met("/home/*/*.json", "/home/*/a*") == {
        Meeting("/home/*/*.json", "/home/*/a*", "/home/a/a.json", only=False)
    }
    assert met("/home/*/a.json", "/home/*/b.json", "/home/*/x/a.json", "/srv/*/a.json") == set()


def test_each_two_are_told_once() -> None:
    patterns = ("/h/*/a", "/h/b*/a", "/h/*b/a", "/h/*/[a]", "/*/b/a")
    told = [frozenset((each.one, each.other)) for each in meetings(patterns)]
    assert len(told) == len(set(told)) == 10


def test_a_great_many_are_compared_within_seconds() -> None:
    began = time.monotonic()
    for patterns in (
        [f"/home/*/{number}.json" for number in range(3000)],
        [f"/srv/{number}/*.json" for number in range(3000)],
    ):
        assert met(*patterns) == set()
    sum(1 for _ in meetings([f"/a/*{number}*?*" for number in range(1000)]))
    sum(1 for _ in meetings([f"/a/{'*?' * 60}{number}" for number in range(50)]))
    assert time.monotonic() - began < 20
