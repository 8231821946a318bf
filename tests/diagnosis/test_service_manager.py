"""The service manager: whether it is there, how it is reached, and the units of the policy."""

import pytest

from jada_configd.core.facts import UnitFact
from jada_configd.core.survey import ManagerLook, Unknown
from jada_configd.diagnosis import service_manager
from tests.diagnosis.tables import one, unit

BUS = ManagerLook(runs=True, route="the message bus", by_bus=True, problem=None, pid=1)
SOCKET = ManagerLook(runs=True, route="systemd's private socket", by_bus=False, problem=None, pid=1)
SILENT = ManagerLook(runs=True, route=None, by_bus=False, problem="nobody tells", pid=0)
NONE = ManagerLook(runs=False, route=None, by_bus=False, problem=None, pid=0)


@pytest.mark.parametrize(
    ("look", "user", "holds", "status", "remedy"),
    [
        (BUS, False, True, "ok", ""),
        (SOCKET, False, True, "problem", "systemctl start dbus.socket"),
        (SOCKET, True, True, "problem", "systemctl --user start dbus.socket"),
        (SILENT, False, True, "problem", "systemctl start dbus.socket"),
        (NONE, False, True, "problem", "jada-configd run"),
        (NONE, False, False, "warning", "jada-configd run"),
        (NONE, True, True, "problem", 'loginctl enable-linger "$USER"'),
    ],
)
def test_the_way_to_it(
    look: ManagerLook, status: str, remedy: str, *, user: bool, holds: bool
) -> None:
    found = one(service_manager.bus(look, user=user, holds_units=holds))
    assert found.status == status
    assert str(found.remedy or "").startswith(remedy)


def test_why_nobody_answers_is_said() -> None:
    assert "nobody tells" in one(service_manager.bus(SILENT, user=False, holds_units=True)).says


@pytest.mark.parametrize(
    ("number", "status", "says"),
    [
        (None, "warning", "cannot be told"),
        (249, "warning", "older than 252"),
        (252, "ok", "SIGHUP"),
        (253, "ok", "notify-reload"),
    ],
)
def test_its_version(number: int | None, status: str, says: str) -> None:
    found = one(service_manager.version(number))
    assert found.status == status
    assert says in found.says


@pytest.mark.parametrize(
    ("listens", "status"), [(True, "ok"), (False, "warning"), (Unknown("no"), "warning")]
)
def test_the_journal(status: str, *, listens: bool | Unknown) -> None:
    assert one(service_manager.journal(listens=listens)).status == status


@pytest.mark.parametrize(
    ("fact", "status", "remedy"),
    [
        (unit(), "ok", ""),
        (unit("not-found"), "problem", "edit policy.toml:4"),
        (unit("masked"), "problem", "systemctl unmask jada-configd.service"),
        (
            unit("masked", unit_file_state="masked-runtime"),
            "problem",
            "systemctl unmask --runtime jada-configd.service",
        ),
        (unit("bad-setting"), "problem", "systemd-analyze verify"),
        (unit("error"), "problem", "systemd-analyze verify"),
        (unit(need_daemon_reload=True), "warning", "systemctl daemon-reload"),
    ],
)
def test_a_unit_of_the_policy(fact: UnitFact, status: str, remedy: str) -> None:
    found = one(
        service_manager.units({"a.service": "policy.toml:4"}, {"a.service": fact}, user=False)
    )
    assert found.status == status
    assert str(found.remedy or "").startswith(remedy)


def test_units_of_which_nobody_tells_are_left_out() -> None:
    assert not list(service_manager.units({"a.service": "policy.toml:4"}, {}, user=False))


def test_a_unit_that_is_named_twice_is_told_once_where_it_is_named_first() -> None:
    named = service_manager.names_of([("a.service", "policy.toml:4"), ("a.service", "x:9")])
    assert named == {"a.service": "policy.toml:4"}
