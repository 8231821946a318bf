"""Values of limits as systemd reads them; `tests/system/test_limit_lines.py` asks a real one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.facts import LimitPair
from jada_configd.core.limits import LIMITS, limit_text
from jada_configd.formats.limit_values import parse_limit
from tests.formats.limit_table import VALUES

NUMBERS = st.one_of(st.none(), st.integers(0, (1 << 64) - 2))
PAIRS = st.tuples(NUMBERS, NUMBERS).map(
    lambda pair: (
        pair if pair[1] is None or (pair[0] is not None and pair[0] <= pair[1]) else pair[::-1]
    )
)
TEXTS = st.text(st.sampled_from("0123456789:.+-KMGTsmhx infinity\t\\\u00b5"), max_size=12)


def parsed(limit: str, text: str) -> LimitPair | None:
    try:
        return parse_limit(limit, text)
    except ValueError:
        return None


@pytest.mark.parametrize("limit", VALUES)
def test_a_value_is_what_systemd_makes_of_it(limit: str) -> None:
    table = VALUES[limit]
    assert {text: parsed(limit, text) for text in table} == table


def test_every_limit_has_its_row() -> None:
    assert VALUES.keys() == set(LIMITS)


@pytest.mark.parametrize(
    ("limit", "text", "reason"),
    [
        ("nofile", "", "it is empty"),
        ("nofile", "nonsense", "it is no limit"),
        ("nofile", "1:2:3", "it is no limit"),
        ("nofile", "30000:15000", "its soft limit is above its hard limit"),
        ("nofile", "infinity:15000", "its soft limit is above its hard limit"),
        ("nofile", "18446744073709551615", "it is beyond all limits"),
        ("as", "16E", "it is beyond all limits"),
        ("cpu", "584543y", "it is beyond all limits"),
        ("nice", "41", "it is no nice level"),
    ],
)
def test_a_value_that_systemd_passes_over_says_why(limit: str, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_limit(limit, text)


@given(st.sampled_from(["nofile", "nproc", "as", "core", "memlock"]), PAIRS)
def test_what_systemd_writes_is_read_back(limit: str, pair: LimitPair) -> None:
    assert parse_limit(limit, limit_text(pair)) == pair


@given(st.sampled_from(LIMITS), st.one_of(TEXTS, st.text()))
def test_any_text_is_a_limit_or_a_reason(limit: str, text: str) -> None:
    pair = parsed(limit, text)
    if pair is not None:
        soft, hard = pair
        assert hard is None or (soft is not None and 0 <= soft <= hard < 1 << 64)


def test_long_digits_are_passed_over_in_no_time() -> None:
    for limit in LIMITS:
        assert parsed(limit, "9" * 1_000_000) is None
