"""The ways to the service manager, where one cannot even be tried."""

import time

import pytest

from jada_configd.errors import ManagerGone
from jada_configd.host.manager.routes import Route
from jada_configd.host.manager.ways import Way, Ways


def test_a_way_whose_code_is_being_replaced_on_disk_is_one_that_fails() -> None:
    """What a route needs is imported when it is tried, and an upgrade may be under way then."""

    def gone(_seconds: float) -> Route:
        raise ModuleNotFoundError("No module named 'x.systemctl'", name="x.systemctl")

    ways = Ways([Way("systemctl", gone)], lambda _route, _seconds: None)
    with pytest.raises(ManagerGone, match=r"systemctl: ModuleNotFoundError: x\.systemctl"):
        ways.current(time.monotonic() + 1)
    ways.close()
