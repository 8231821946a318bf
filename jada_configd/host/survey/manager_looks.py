"""The service manager: whether there is one, which way leads to it, and what it has of units."""

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Final

from jada_configd.core.facts import UnitFact
from jada_configd.core.survey import ManagerLook, Unknown
from jada_configd.errors import ManagerGone
from jada_configd.host.manager.systemd import Systemd
from jada_configd.host.survey.patience import Note

_CALL_SECONDS: Final = 0.6  # a call takes a millisecond; a bus that hangs costs this once
_BOOTED: Final = "/run/systemd/system"  # sd_booted(3)


def manager_look(
    units: Sequence[str], *, user: bool, at: Note
) -> tuple[ManagerLook, Mapping[str, UnitFact]]:
    """The manager, and those of the units of which it tells."""
    at("the service manager")
    systemd = Systemd(user=user, seconds=_CALL_SECONDS)
    found: dict[str, UnitFact] = {}
    try:
        problem = _greet(systemd, units[0])
        if systemd.route is not None:
            for name in units:
                at(f"the service manager, asked for {name},")
                found[name] = systemd.unit(name)
        pid = systemd.manager_pid() if systemd.route is not None else 0
    except ManagerGone as error:
        return ManagerLook(_runs(user=user), None, by_bus=False, problem=str(error), pid=0), found
    else:
        route, by_bus = systemd.route, systemd.connected
        return ManagerLook(_runs(user=user), route, by_bus, problem, pid), found
    finally:
        systemd.close()


def _greet(systemd: Systemd, unit: str) -> str | None:
    """Ask twice: a way that hangs is left alone afterwards, and another one may do."""
    problem = None
    for _ in range(2):
        try:
            systemd.unit(unit)
        except ManagerGone as error:
            problem = str(error)
        else:
            break
    return problem


def journal_listens(path: str) -> bool | Unknown:
    """Whether somebody reads what is sent to the journal's socket; nothing is sent."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as asked:
            asked.connect(path)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return False
    except OSError as error:
        return Unknown(f"{path}: {error.strerror}")
    return True


def _runs(*, user: bool) -> bool:
    if user:
        directory = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        return os.path.exists(f"{directory}/systemd/private")
    return os.path.isdir(_BOOTED)
