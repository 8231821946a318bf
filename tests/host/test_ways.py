"""The ways to the service manager, where one cannot even be tried."""

import time

import pytest

from jada_configd.errors import ManagerGone
from jada_configd.host.manager.routes import Route
from jada_configd.host.manager.ways import Way, Ways


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("no x.systemctl"), SyntaxError("no x.systemctl")]
)
def test_a_way_whose_code_is_being_replaced_on_disk_is_one_that_fails(error: Exception) -> None:
    """What a route needs is imported when it is tried, and an upgrade may be under way then."""

    def gone(_seconds: float) -> Route:
        raise error

    ways = Ways([Way("systemctl", gone)], lambda _route, _seconds: None)
    with pytest.raises(ManagerGone, match=f"systemctl: {type(error).__name__}: no x.systemctl"):
        ways.current(time.monotonic() + 1)
    ways.close()
