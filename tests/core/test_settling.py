"""Content that does not parse waits until it has stood still for 250 ms, and no longer than 3 s."""

import pytest

from jada_configd.core.settling import PATIENCE_NS, STILL_NS, Settling

MILLISECOND = 1_000_000
FILE = "settings:/home/ubuntu/.claude/settings.json"


def test_the_times_are_those_that_are_promised() -> None:
    assert STILL_NS == 250 * MILLISECOND
    assert PATIENCE_NS == 3000 * MILLISECOND


def looks(*steps: tuple[int, str | None]) -> list[int | None]:
    """What a row of looks, at a millisecond and with a signature, are told to wait for."""
    settling = Settling()
    waits = [settling.wait(FILE, signature, at * MILLISECOND) for at, signature in steps]
    return [wait if wait is None else wait // MILLISECOND for wait in waits]


@pytest.mark.parametrize(
    ("steps", "waits"),
    [
        ([(0, None)], [None]),
        ([(0, "a")], [250]),
        ([(0, "a"), (249, "a")], [250, 250]),
        ([(0, "a"), (250, "a")], [250, None]),
        ([(0, "a"), (900, "a")], [250, None]),
        ([(0, "a"), (200, "b"), (449, "b"), (450, "b")], [250, 450, 450, None]),
        ([(0, "a"), (200, "b"), (250, "b")], [250, 450, 450]),
        # whoever writes on and on is waited for no longer than three seconds
        ([(at, str(at)) for at in (0, 200, 1000, 2900, 2999)], [250, 450, 1250, 3000, 3000]),
        ([(0, "a"), (2999, "b"), (3000, "c")], [250, 3000, None]),
        # content that is whole in between ends it, and the next begins anew
        ([(0, "a"), (100, None), (200, "b")], [250, None, 450]),
        ([(0, "a"), (2900, None), (2950, "b"), (3100, "c")], [250, None, 3200, 3350]),
        ([(0, "a"), (240, None), (245, "a")], [250, None, 495]),
        # once it is broken for good it stays so
        ([(0, "a"), (250, "a"), (251, "a"), (9000, "a")], [250, None, None, None]),
    ],
)
def test_when_to_look_again(steps: list[tuple[int, str | None]], waits: list[int | None]) -> None:
    assert looks(*steps) == waits


def test_each_file_settles_by_itself() -> None:
    settling = Settling()
    assert settling.wait("one", "a", 0) == STILL_NS
    assert settling.wait("two", "a", 100) == STILL_NS + 100
    assert settling.wait("one", None, 200) is None
    assert settling.wait("two", "a", 200) == STILL_NS + 100
