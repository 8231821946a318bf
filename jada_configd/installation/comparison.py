"""How far the service that is installed is the one that this very program would install."""

import re
from collections.abc import Iterator
from typing import Final

from jada_configd.core.facts import Content, UnitFact
from jada_configd.core.specs import Policy
from jada_configd.core.survey import ServiceLook
from jada_configd.errors import HostError
from jada_configd.host.directories import NAME
from jada_configd.host.filesystem.files import Files
from jada_configd.host.survey.surroundings import on_search_path, program_look
from jada_configd.installation.environment import own_command
from jada_configd.installation.manager import Manager
from jada_configd.installation.shipped import shipped
from jada_configd.installation.site import Site
from jada_configd.installation.units import (
    FROM_POLICY,
    NOTIFY_RELOAD,
    NOTIFY_RELOAD_SINCE,
    UNIT,
    needs,
    unit_text,
    word,
)

_BEFORE: Final = re.compile(r"^Before=(.*)$", re.MULTILINE)


def service_look(
    unit: UnitFact, here: Site, version: int | None, policy: Policy | None
) -> ServiceLook:
    """The unit as systemd has it, compared; `policy` is the one in place, None if none loads."""
    command = own_command()
    closed: tuple[str, ...] = ()
    unordered: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    if unit.fragment == f"{here.where.units}/{UNIT}":
        stale = tuple(_stale(here, command, version))
        if policy is not None:
            text = _text(here.files, f"{here.where.units}/{UNIT}.d/{FROM_POLICY}") or ""
            closed, unordered = _unmet(text, policy, here)
    return ServiceLook(
        unit,
        program_look(unit.command) if unit.command else None,
        command,
        stale,
        closed,
        unordered,
        on_search_path(NAME),
    )


def _stale(here: Site, command: tuple[str, ...], version: int | None) -> Iterator[str]:
    """The files that are otherwise than this version has them, whatever program they start."""
    user, units = here.where.user, here.where.units
    present = _text(here.files, f"{units}/{UNIT}")
    template = shipped(f"systemd/user/{UNIT}" if user else f"systemd/{UNIT}")
    wanted = unit_text(template, command, user=user)
    if present is not None and unit_text(present, command, user=user) != wanted:
        yield f"{units}/{UNIT}"
    if version is None:
        return
    path = f"{units}/{UNIT}.d/{NOTIFY_RELOAD}"
    drop_in = (
        shipped(f"systemd/{UNIT}.d/{NOTIFY_RELOAD}") if version >= NOTIFY_RELOAD_SINCE else None
    )
    if _text(here.files, path) != drop_in:
        yield path


def _unmet(text: str, policy: Policy, here: Site) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The places that the drop-in does not open, and the services that it leaves out of order."""
    wanted = needs(policy, (), user=here.where.user)
    lines = text.splitlines()
    closed = tuple(
        place for place in wanted.writable if f"ReadWritePaths={word('-' + place)}" not in lines
    )
    named = {name for found in _BEFORE.findall(text) for name in found.split()}
    missing = [name for name in wanted.before if name not in named]
    if missing:  # those that start before us in any case are left out (installation/units.py)
        earlier = here.manager.earlier()
        missing = [name for name in missing if name not in earlier]
    return closed, tuple(missing)


def _text(files: Files, path: str) -> str | None:
    fact = files.read_file(path)
    return fact.data.decode(errors="replace") if isinstance(fact, Content) else None


def systemd_version(manager: Manager) -> int | None:
    """The number of the systemd that units are meant for, None where nobody tells."""
    try:
        return manager.version()
    except HostError:
        return None
