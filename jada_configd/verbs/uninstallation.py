"""`uninstall`: the reverse of `install`, whole or half; what people wrote stays."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from jada_configd.core.resources.sysctls import SYSCTL_FILE
from jada_configd.core.wording import escaped
from jada_configd.installation import placements
from jada_configd.installation.links import links, unlink
from jada_configd.installation.manager import START_SECONDS
from jada_configd.installation.site import Site
from jada_configd.installation.state import purge
from jada_configd.installation.units import UNIT
from jada_configd.verbs.sources import kept_textfile
from jada_configd.verbs.steps import DONE, FAILURE, agreed, guarded, told, update_catalogue


def uninstall(options: argparse.Namespace) -> int:
    """Stop the service and take its files away; the policy stays, and the state unless purged."""
    return guarded(_uninstall, options)


def _uninstall(options: argparse.Namespace, here: Site) -> int:
    own = placements.present_files(here.where, here.files)
    held = placements.held_files(here.where, here.files)
    told_in = placements.of_ours([kept_textfile(here.where)], here.files)
    enabled = f"{here.where.units}/{UNIT}" in own
    # Without its unit file systemctl may not know what to disable.
    left = [] if enabled else links(here.where, here.files)
    loaded = here.manager.runs and here.manager.knows_unit()
    state = here.inside(here.where.state)
    purged = options.purge and os.path.lexists(here.where.state)
    if not (own or held or told_in or left or loaded or purged):
        print("jada-configd is not installed here.")
        return DONE
    print("This will")
    if loaded:
        print(f"  stop and disable {UNIT}")
    for path in (*left, *own, *held, *told_in):
        print(f"  remove {escaped(path)}")
    if purged:
        print(f"  remove {escaped(state)}, with evidence and last good contents")
    if not agreed(options):
        return FAILURE
    with told("uninstall"):
        _stop(here, loaded=loaded, enabled=enabled)
        _remove(here, left, (*own, *held, *told_in))
        if any(path.endswith(".catalog") for path in own):
            update_catalogue(here)
        if here.manager.runs:
            here.manager.forget()
        if purged and purge(here.where.root, state):
            print(f"removed {escaped(state)}")
    _say_what_stays(here, held)
    return DONE


def _stop(here: Site, *, loaded: bool, enabled: bool) -> None:
    """Before anything is removed: a daemon that runs would put drop-ins back."""
    if loaded:
        here.manager.do("stop", UNIT, seconds=START_SECONDS)
        print(f"stopped {UNIT}")
    if enabled:
        here.manager.do("disable", "--quiet", UNIT)
        print(f"disabled {UNIT}")


def _remove(here: Site, left: Sequence[str], files: Sequence[str]) -> None:
    for path in left:
        unlink(here.where.root, path)
        print(f"removed {escaped(path)}")
    for path in files:
        placements.take_away(path, here.files)
        print(f"removed {escaped(path)}")


def _say_what_stays(here: Site, held: Sequence[str]) -> None:
    where = here.where
    print("Settings files stay as they are.")
    if held and here.manager.runs:
        print("Running processes keep their limits; units have their own again when they start.")
    if SYSCTL_FILE in held:
        print("The kernel keeps its values until they are set or the host boots.")
    kept = [path for path in (where.configuration, where.state) if Path(path).exists()]
    if kept:
        hint = "; --purge removes the state" if where.state in kept else ""
        print(f"Kept: {', '.join(map(escaped, kept))}{hint}.")
