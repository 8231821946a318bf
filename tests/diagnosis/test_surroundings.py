"""Clock, Python and logins."""

import pytest

from jada_configd.core.survey import ClockLook, PamLook
from jada_configd.diagnosis import surroundings
from tests.diagnosis.tables import one


@pytest.mark.parametrize(
    ("look", "status"),
    [
        (ClockLook(synchronised=True, year=2026), "ok"),
        (ClockLook(synchronised=None, year=2026), "ok"),
        (ClockLook(synchronised=False, year=2026), "warning"),
        (ClockLook(synchronised=True, year=1970), "problem"),
        (ClockLook(synchronised=False, year=2023), "problem"),
    ],
)
def test_the_clock(look: ClockLook, status: str) -> None:
    assert one(surroundings.clock(look)).status == status


@pytest.mark.parametrize(
    ("version", "status"),
    [((3, 10, 9), "problem"), ((3, 11, 0), "ok"), ((3, 14, 0), "ok"), ((4, 0, 0), "ok")],
)
def test_python(version: tuple[int, ...], status: str) -> None:
    assert one(surroundings.python(version, "/usr/bin/python3")).status == status


@pytest.mark.parametrize(
    ("look", "status", "says"),
    [
        (PamLook({"login": True, "su": True, "common-session": False}), "ok", "(login, su)"),
        (PamLook({"login": True, "sshd": True}, usepam=True), "ok", "(login, sshd)"),
        (PamLook({"login": True, "su": False}), "warning", "/etc/pam.d/su does not go"),
        (PamLook({"login": True, "sshd": True}, usepam=False), "warning", "sshd does not use PAM"),
        (PamLook({"common-session": True}), "problem", "no login goes through PAM"),
        (PamLook({}), "problem", "no login goes through PAM"),
    ],
)
def test_logins(look: PamLook, status: str, says: str) -> None:
    found = one(surroundings.logins(look, holds_logins=True))
    assert found.status == status
    assert says in found.says


def test_logins_that_no_policy_holds_are_not_told_of() -> None:
    assert not list(surroundings.logins(PamLook({}), holds_logins=False))
