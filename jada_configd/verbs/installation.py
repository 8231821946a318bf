"""`install`: this very installation as a service of the host, or of one user.

What is there and what is wanted is worked out and shown first; then it is done step by step, each
said when it is done, so that after a failure the last line tells how things were left.
"""

import argparse
import os
import pwd
import time
from collections.abc import Sequence
from pathlib import Path

from jada_configd import __version__
from jada_configd.core.facts import Missing
from jada_configd.core.wording import escaped, seconds
from jada_configd.errors import HostError, PolicyError
from jada_configd.installation import placements
from jada_configd.installation.environment import Environment, check_trust, this_environment
from jada_configd.installation.manager import START_SECONDS
from jada_configd.installation.placements import Pending, Placement
from jada_configd.installation.policies import Candidate, candidate, difference
from jada_configd.installation.preview import first_pass
from jada_configd.installation.shipped import policies, shipped
from jada_configd.installation.site import Site
from jada_configd.installation.trusted import Trusted
from jada_configd.installation.units import UNIT, needs, policy_text, unit_text
from jada_configd.verbs.output import complain, painter, sentences
from jada_configd.verbs.steps import DONE, FAILURE, agreed, guarded, told, update_catalogue
from jada_configd.verbs.uninstallation import uninstall

__all__ = ["install", "uninstall"]


def install(options: argparse.Namespace) -> int:
    """Put the service in place, enable and start it, and wait until it is ready."""
    return guarded(_install, options)


def _install(options: argparse.Namespace, here: Site) -> int:
    environment = this_environment(user=here.where.user)
    if not here.image:
        check_trust(environment, Trusted())
    chosen = _candidate(options, here)
    changes = _policy_changes(options, here, chosen)
    if changes is None:
        return FAILURE
    wanted, unordered = _wanted(here, environment, chosen)
    changes += placements.pending(wanted, here.files)
    old = list(placements.outdated(here.where, wanted, here.files))
    _show(options, here, chosen, changes, old)
    if not agreed(options):
        return FAILURE
    with told("install"):
        _change(here, changes, old)
        _enable(here)
    if here.manager.runs and not _start(here):
        return FAILURE
    _advise(here, environment, unordered)
    return DONE


def _candidate(options: argparse.Namespace, here: Site) -> Candidate:
    path = options.policy or here.where.policy
    if options.policy is None and not Path(path).exists():
        ours = [path for path in policies() if here.where.user == path.endswith("workstation.toml")]
        raise PolicyError(
            [
                f"{escaped(path)}: no policy yet; name one: install --policy FILE",
                "These come with jada-configd, to be copied and changed:",
                *(f"  {escaped(path)}" for path in ours),
            ]
        )
    return candidate(path, here.where)


def _policy_changes(
    options: argparse.Namespace, here: Site, chosen: Candidate
) -> list[Pending] | None:
    """What puts the policy in its place; None, with the difference shown, over another one."""
    place = here.inside(here.where.policy)
    wanted = Placement(place, chosen.source.data, chosen.mode)
    changes = placements.pending([wanted], here.files)
    if not changes or isinstance(changes[0].present, Missing):
        return changes
    present = changes[0].present
    if not options.force:
        for line in difference(present.data, chosen.source.data, place, chosen.source.path):
            print(line)
        _warn(
            f"jada-configd: another policy stands at {escaped(here.where.policy)} and nothing was "
            "changed; --force puts this one in its place"
        )
        return None
    kept = Placement(f"{place}.old", present.data, present.mode)
    return [*placements.pending([kept], here.files), *changes]


def _wanted(
    here: Site, environment: Environment, chosen: Candidate
) -> tuple[tuple[Placement, ...], list[str]]:
    """The files to stand on the host, and the services that cannot start after ours."""
    user = here.where.user
    earlier = here.manager.earlier() if here.manager.runs else frozenset[str]()
    wanted = needs(chosen.policy, earlier, user=user)
    template = shipped(f"systemd/user/{UNIT}" if user else f"systemd/{UNIT}")
    unit = unit_text(template, environment.command, user=user)
    found = placements.placements(
        here.where, unit, policy_text(chosen.policy.path, wanted), here.manager.version()
    )
    return found, sorted(set(needs(chosen.policy, (), user=user).before) - set(wanted.before))


def _show(
    options: argparse.Namespace,
    here: Site,
    chosen: Candidate,
    changes: Sequence[Pending],
    old: Sequence[str],
) -> None:
    where = f"the tree at {escaped(here.where.root)}" if here.image else "this host"
    print(f"jada-configd {__version__} for {'this user' if here.where.user else where}")
    print(f"policy {escaped(chosen.source.path)}")
    print("\nThe first pass will find and do this:\n")
    warnings, text = first_pass(chosen.policy, here.where, painter(), verbose=options.verbose)
    complain(*warnings)
    print(text)
    steps = [*map(str, changes), *(f"remove {path}" for path in old)]
    if not here.manager.is_enabled():
        steps.append(f"enable {UNIT}")
    if here.manager.runs:
        steps.append(f"{'restart' if here.manager.is_running() else 'start'} {UNIT}")
    print("This will" if steps else "All is in place.")
    for step in steps:
        print(f"  {escaped(step)}")


def _change(here: Site, changes: Sequence[Pending], old: Sequence[str]) -> None:
    catalogue = False
    for change in changes:
        path = escaped(change.placement.path)
        try:
            placements.put(change, here.files)
        except HostError as error:
            if not change.placement.extra:
                raise
            _warn(f"left out {path}: {error}")
            continue
        catalogue |= path.endswith(".catalog")
        print(f"wrote {path}")
    for path in old:
        placements.take_away(path, here.files)
        print(f"removed {escaped(path)}")
    if catalogue:
        update_catalogue(here)


def _enable(here: Site) -> None:
    if here.manager.runs:
        here.manager.do("daemon-reload")
    if not here.manager.is_enabled():
        here.manager.do("enable", "--quiet", UNIT)
        print(f"enabled {UNIT}")


def _start(here: Site) -> bool:
    """Start it or start it anew, and wait until it is ready; say how it went."""
    manager = here.manager
    was_running = manager.is_running()
    since, began = time.time(), time.monotonic()
    try:
        manager.do("restart" if was_running else "start", UNIT, seconds=START_SECONDS)
    except HostError as error:
        why = str(error).partition(" See ")[0]
        _warn(f"jada-configd: {UNIT} does not get ready: {why}")
        complain(*(f"  {line}" for line in manager.last_words(since)))
        _warn(_left_after_failure(here, was_running=was_running))
        return False
    took = seconds(time.monotonic() - began)
    says = escaped(manager.show("StatusText").get("StatusText", ""))
    _say(f"{UNIT} is ready ({took}){': ' if says else ''}{says}")
    return True


def _left_after_failure(here: Site, *, was_running: bool) -> str:
    """Nothing new is left starting over and over; what ran before is left to systemd."""
    if was_running:
        return f"systemd goes on trying to start {UNIT}; the files named above are in place."
    try:
        here.manager.do("disable", "--quiet", "--now", UNIT)
    except HostError as error:
        return f"It could not be stopped either: {error}"
    return (
        f"{UNIT} is stopped and disabled again; the files named above are in place. "
        "`jada-configd install` tries again, `jada-configd uninstall` takes them away."
    )


def _advise(here: Site, environment: Environment, unordered: Sequence[str]) -> None:
    if unordered:
        units = ", ".join(unordered)
        _warn(f"{UNIT} itself starts after {units}: there it is only put right afterwards")
    if environment.short_lived:
        _warn(
            f"{environment.command[0]} stands in {environment.short_lived}, which a boot or a "
            "cleaner empties; the service would be gone with it"
        )
    if here.image and not Path(here.where.root + environment.command[0]).exists():
        _warn(f"There is no {environment.command[0]} in {here.where.root} yet; {UNIT} runs that.")
    if here.where.user and here.manager.runs:
        name = pwd.getpwuid(os.getuid()).pw_name
        if not here.manager.lingers(name):
            _say(f"It runs while you are logged in; `loginctl enable-linger {name}`: always.")


def _say(text: str) -> None:
    for line in sentences(text):
        print(line)


def _warn(text: str) -> None:
    complain(*sentences(text))
