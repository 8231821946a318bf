"""`status`: what the daemon says of itself, from the file that it replaces."""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from jada_configd.core.wording import process_text
from jada_configd.host.directories import Directories, directories
from jada_configd.host.processes.connections import connections, told
from jada_configd.host.survey.daemon_look import snapshot
from jada_configd.render import MUCH
from jada_configd.render import status as rendered
from jada_configd.verbs.output import complain, painter, print_json
from jada_configd.verbs.sources import revision_on_disk

IN_SYNC, FAILURE, DRIFT, NOT_RUNNING = 0, 1, 2, 3
_EXIT: Final = {"in-sync": IN_SYNC, "degraded": FAILURE}
_LOOK_EVERY: Final = 0.25  # seconds; the file is read again only when it has been replaced
_CLEAR: Final = "\x1b[H\x1b[J"


def status(options: argparse.Namespace) -> int:
    """Print how things stand; with --watch again whenever it changes, until interrupted."""
    where = directories(user=options.user, root=options.root, environ=os.environ)
    if options.watch:
        return _watch(options, where)
    return _once(options, where, snapshot(where.status))


def _once(options: argparse.Namespace, where: Directories, plain: Mapping[str, Any] | None) -> int:
    if plain is None:
        unit = "systemctl --user start" if where.user else "systemctl start"
        if options.json:
            print_json({"state": "not-running"})
        complain(f"jada-configd is not running; {unit} jada-configd.service starts it")
        return NOT_RUNNING
    if options.json:
        print_json(plain)
    else:
        print(rendered(plain, painter(), _hints(where, plain)), end="")
    return _EXIT.get(plain["state"], DRIFT)


def _watch(options: argparse.Namespace, where: Directories) -> int:
    """Draw again on change; in place on a terminal, one after the other elsewhere."""
    shown: object = _watch
    code = NOT_RUNNING
    while True:
        plain = snapshot(where.status)
        if plain != shown:
            if sys.stdout.isatty() and not options.json:
                sys.stdout.write(_CLEAR)
            code = _once(options, where, plain)
            sys.stdout.flush()
            shown = plain
        try:
            time.sleep(_LOOK_EVERY)
        except KeyboardInterrupt:
            return code


def _hints(where: Directories, plain: Mapping[str, Any]) -> list[str]:
    hints = []
    unit = "systemctl --user" if where.user else "systemctl"
    policy = plain["policy"]
    on_disk = revision_on_disk(policy["path"], fragments=policy["path"] == where.policy)
    if policy["error"]:
        hints.append(f"Mend the policy, then `{unit} reload jada-configd`.")
    elif on_disk is not None and on_disk != policy["revision"]:
        hints.append(
            f"The policy on disk is another than the one in force; `{unit} reload jada-configd` "
            "loads it."
        )
    hints += _connections(plain)
    if plain["state"] == "degraded" and not _gone_back(plain):
        hints.append("`jada-configd doctor` says what is in the way, and what mends that.")
    if plain["state"] not in ("in-sync", "correcting"):
        hints.append("`jada-configd check` shows what would be done.")
    return hints


def _gone_back(plain: Mapping[str, Any]) -> bool:
    """Whether other values than the policy's being held for a service is the reason."""
    held = [
        f"service:{each['unit']}:"
        for each in plain["services"]
        if each.get("rolled_back") or (each.get("breaker") or {}).get("state") == "open"
    ]
    return (plain["reason"] or "").startswith(tuple(held))


def _connections(plain: Mapping[str, Any]) -> list[str]:
    """Of each process that has used much of its `nofile`, what of that are connections."""
    hints = []
    for service in plain["services"]:
        use = (service.get("usage") or {}).get("nofile") or {}
        if (use.get("share") or 0) < MUCH:
            continue
        states = connections(use["pid"])
        if states is not None:
            who = process_text(use["pid"], use["name"])
            hints.append(f"Of the descriptors of {who} are {told(states)}.")
    return hints
