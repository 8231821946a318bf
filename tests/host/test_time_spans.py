"""Time spans as systemctl writes them; the texts are a real 252's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.host.manager.time_spans import INFINITY, microseconds

UNITS = (  # time-util.c, format_timespan
    ("y", 31_557_600_000_000),
    ("month", 2_629_800_000_000),
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
)


def written(span: int) -> str:
    """As systemctl writes it, without the dot that it puts where less than a minute is left."""
    words = []
    for unit, size in UNITS:
        if count := span // size:
            words.append(f"{count}{unit}")
        span %= size
    return " ".join(words) or "0"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("10s", 10_000_000),
        ("1min 30s", 90_000_000),
        ("1.500s", 1_500_000),
        ("1min 1.000001s", 61_000_001),
        ("250ms", 250_000),
        ("1month 2w", 2_629_800_000_000 + 2 * 604_800_000_000),
        ("7us", 7),
        ("0", 0),
        ("infinity", INFINITY),
        ("", 0),
        ("soon", 0),
        ("1min soon", 0),
        ("10", 0),
        ("[not set]", 0),
        ("99999999999999999999y", INFINITY),
    ],
)
def test_spans(text: str, span: int) -> None:
    assert microseconds(text) == span


@given(span=st.integers(0, INFINITY))
def test_what_is_written_is_read(span: int) -> None:
    assert microseconds(written(span)) == span


@given(text=st.text() | st.text("0123456789.smin ") | st.integers(0).map("{}y".format))
def test_no_text_is_less_than_nothing_or_more_than_all(text: str) -> None:
    assert 0 <= microseconds(text) <= INFINITY
