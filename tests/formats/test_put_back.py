"""A change is taken back: byte for byte, or its values alone where somebody has written since."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jada_configd.core.model import ABSENT, Field, Value
from jada_configd.formats.put_back import put_back
from tests.kinds.worlds import FIELDS, documents, value_at

MODEL: Field = ("model",)
BEFORE = b'{\r\n\t"n": 1e2,\n  "model":"sonnet" }'
OURS = b'{\r\n\t"n": 1e2,\n  "model":"bad" }'
THEIRS = b'{\r\n\t"n": 1e2, "x": [ 1 ],\n  "model":"bad" }'
VALUES: list[tuple[Field, Value]] = [(MODEL, "sonnet")]


def test_what_is_as_we_left_it_becomes_what_it_was_byte_for_byte() -> None:
    assert put_back(OURS, BEFORE, VALUES, as_left=True) == BEFORE


def test_what_was_not_there_goes() -> None:
    assert put_back(OURS, None, VALUES, as_left=True) is None


def test_what_somebody_has_written_since_stays_but_for_the_values() -> None:
    assert put_back(THEIRS, BEFORE, VALUES, as_left=False) == THEIRS.replace(b"bad", b"sonnet")


def test_a_key_that_was_not_there_goes_again_and_nothing_else() -> None:
    found = put_back(THEIRS, None, [(MODEL, ABSENT)], as_left=False)
    assert found is not None
    assert json.loads(found) == {"n": 100, "x": [1]}


def test_a_value_that_somebody_has_put_right_meanwhile_is_left() -> None:
    right = THEIRS.replace(b"bad", b"sonnet")
    assert put_back(right, BEFORE, VALUES, as_left=False) == right


@pytest.mark.parametrize("broken", [b"{", b'{"model": "bad",}', b"[1", b"\xff"])
def test_what_nobody_can_have_meant_becomes_what_it_was(broken: bytes) -> None:
    assert put_back(broken, BEFORE, VALUES, as_left=False) == BEFORE


@pytest.mark.parametrize("as_left", [True, False])
def test_what_was_changed_as_a_whole_goes_back_as_a_whole(*, as_left: bool) -> None:
    assert put_back(THEIRS, b"{ broken", (), as_left=as_left) == b"{ broken"
    assert put_back(THEIRS, None, (), as_left=as_left) is None


@given(before=documents(), theirs=documents(), field=st.sampled_from(FIELDS))
def test_what_goes_back_is_the_field_and_nothing_beside_it(
    before: bytes, theirs: bytes, field: Field
) -> None:
    have = value_at(json.loads(before), field)
    now = json.loads(theirs)
    assume(isinstance(now, dict))
    found = put_back(theirs, before, [(field, have)], as_left=False)
    assert found is not None
    assert repr(value_at(json.loads(found), field)) == repr(have)
    others = [each for each in FIELDS if each[0] != field[0]]
    for each in others:
        assert repr(value_at(json.loads(found), each)) == repr(value_at(now, each))
