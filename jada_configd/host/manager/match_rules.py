"""What a message bus is to pass on to us (D-Bus specification, Message Bus Message Routing).

As little as can be, so that we sleep through what other units do. Pure.
"""

from collections.abc import Collection, Iterator
from typing import Final

from jada_configd.host.manager.unit_facts import unit_path

SYSTEMD: Final = "org.freedesktop.systemd1"
MANAGER_PATH: Final = "/org/freedesktop/systemd1"
MANAGER: Final = "org.freedesktop.systemd1.Manager"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_UNITS: Final = "/org/freedesktop/systemd1/unit"
_BUS: Final = "org.freedesktop.DBus"
# A bus allows a connection 512 of them (dbus-daemon(1), max_match_rules_per_connection).
_MOST_RULES: Final = 400


def match_rules(units: Collection[str], probes: Collection[str]) -> Iterator[str]:
    """Two rules for each unit and one for each probe; few for all of them where they are many."""
    bus = f"type='signal',sender='{_BUS}',path='/org/freedesktop/DBus'"
    yield f"{bus},interface='{_BUS}',member='NameOwnerChanged',arg0='{SYSTEMD}'"
    manager = f"type='signal',sender='{SYSTEMD}',path='{MANAGER_PATH}',interface='{MANAGER}'"
    yield f"{manager},member='Reloading'"
    change = f"type='signal',sender='{SYSTEMD}',interface='{PROPERTIES}',member='PropertiesChanged'"
    if 2 * len(units) + len(probes) > _MOST_RULES:
        yield f"{change},path_namespace='{_UNITS}'"
        yield f"{manager},member='JobRemoved'"
        return
    for unit in units:
        yield f"{change},path='{unit_path(unit)}'"
    for unit in {*units, *probes}:
        yield f"{manager},member='JobRemoved',arg2='{unit}'"
