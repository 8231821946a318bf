import time
import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.policy.places import DEEPEST, Keys, Places
from tests.policy.toml_texts import Writer, documents

FRAGMENTS = st.sampled_from(
    [
        *"ab=[]{},\n #1\"'\\.\té\x00",
        *('"""', "'''", "b.c", '"q"', "'l'", " = ", "[[", "]]", '"a"', "= 1\n", "[a]\n", "[[a]]\n"),
    ]
)


def paths(value: object, keys: Keys = ()) -> Iterator[Keys]:
    inside: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    for key, each in inside:
        yield (*keys, key)
        yield from paths(each, (*keys, key))


def test_places_are_where_an_editor_shows_them() -> None:
    text = 'a = 1\n\n[b."c d"]\n  e.f = [10, {g = 2},\n    30]\n'
    places = Places(text)
    assert {keys: places.line_column(offset) for keys, offset in places.at.items()} == {
        ("a",): (1, 1),
        ("b",): (3, 2),
        ("b", "c d"): (3, 4),
        ("b", "c d", "e"): (4, 3),
        ("b", "c d", "e", "f"): (4, 5),
        ("b", "c d", "e", "f", 0): (4, 10),
        ("b", "c d", "e", "f", 1): (4, 14),
        ("b", "c d", "e", "f", 1, "g"): (4, 15),
        ("b", "c d", "e", "f", 2): (5, 5),
    }


def test_a_table_stands_at_its_own_header_even_where_one_inside_it_comes_first() -> None:
    places = Places("[a.b.c]\n[a.b]\n[a]\n")
    assert [places.line_column(places.at[keys]) for keys in (("a",), ("a", "b"))] == [
        (3, 2),
        (2, 4),
    ]


def test_tables_in_an_array_of_tables_are_counted() -> None:
    places = Places("[[a]]\nb = 1\n[[a]]\n[a.c]\nd = 1\n")
    assert places.line_column(places.at["a", 1, "c", "d"]) == (5, 1)
    assert places.line_column(places.at["a", 1]) == (3, 3)


@given(documents())
def test_every_key_and_element_that_tomllib_reads_has_its_place(writer: Writer) -> None:
    places = Places(writer.text)
    try:
        tree = tomllib.loads(writer.text)
    except tomllib.TOMLDecodeError:
        return  # keys that clash
    assert set(places.at) == set(paths(tree))
    assert places.at == writer.at
    assert places.twice is None


@given(st.lists(FRAGMENTS, max_size=20).map("".join))
def test_whatever_tomllib_reads_has_the_same_keys(text: str) -> None:
    places = Places(text)  # raises nothing, for any text
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(places.at) == set(paths(tree))


@given(st.text(max_size=30), st.integers(0, 30))
def test_offset_is_the_reverse_of_line_and_column(text: str, offset: int) -> None:
    places = Places(text)
    offset = min(offset, len(text))
    assert places.offset(*places.line_column(offset)) == offset


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 200_000 + " = 1",
        "a" + " . a" * 200_000,
        "[a" + ".a" * 200_000 + "]",
        "a = " + "[" * 200_000,
        "a = " + "{" * 200_000,
        "a = " + "{a=" * 200_000,
        "a = [" + "a . " * 200_000,
        "a = {" + "a . " * 200_000,
        'a = "' + "\\" * 400_001,
        'a = """' + '"" ' * 200_000,
        "a = '''" + "'' " * 200_000,
        '"' * 400_000,
        "\n" * 400_000,
        "[" * 400_000,
        "a = [" + "#" * 400_000,
        "a = [" + "#\n" * 200_000,
    ],
    ids=lambda text: text[:10],
)
def test_a_text_made_to_be_slow_takes_linear_time(text: str) -> None:
    started = time.process_time()
    Places(text)
    assert time.process_time() - started < 2  # quadratic would be minutes


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("a" + ".a" * DEEPEST + " = 1", 1 + 2 * DEEPEST),
        ("[a" + ".a" * DEEPEST + "]", 2 + 2 * DEEPEST),
        ("a = " + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), 5 + DEEPEST),
    ],
)
def test_the_first_key_that_is_too_deep_is_named(text: str, column: int) -> None:
    tomllib.loads(text)
    too_deep = Places(text).too_deep
    assert too_deep is not None
    assert Places(text).line_column(too_deep) == (1, column)


def test_a_hundred_levels_are_not_too_deep() -> None:
    assert Places("a" + ".a" * (DEEPEST - 1) + " = 1").too_deep is None
