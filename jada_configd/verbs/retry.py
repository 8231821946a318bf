"""`retry`: have what was taken back from a service tried on it again.

What it says is a file in the state directory, which the daemon takes, or the next `apply`.
"""

import argparse
import os

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, PolicyError
from jada_configd.host.directories import NEEDS_ROOT, directories
from jada_configd.host.survey.daemon_look import snapshot
from jada_configd.memory import Memory
from jada_configd.verbs.output import complain
from jada_configd.verbs.sources import load
from jada_configd.verdicts import Verdicts

DONE, FAILURE = 0, 1


def retry(options: argparse.Namespace) -> int:
    """Ask for it; that nothing was taken back is no failure."""
    where = directories(user=options.user, root=options.root, environ=os.environ)
    unit = options.unit if "." in options.unit else f"{options.unit}.service"
    try:
        where.check_root()
        named = [spec.unit for spec in load(options, where).services]
        if unit not in named:
            held = ", ".join(map(escaped, named)) or "none"
            complain(f"jada-configd: {escaped(unit)} is no service of the policy (there: {held})")
            return FAILURE
        memory = Memory(where.state, create=True)
        verdicts = Verdicts(memory)
        breaker = verdicts.breakers.kept_open(unit)
        if verdicts.marks.of(unit) is None and not breaker:
            print(f"{escaped(unit)}: nothing was taken back, so there is nothing to try again")
            return DONE
        memory.ask_retry(unit)
    except PolicyError as error:
        complain(*error.messages)
        return FAILURE
    except HostError as error:
        complain(f"jada-configd: {error}", *([NEEDS_ROOT] if where.needs_root else []))
        return FAILURE
    runs = snapshot(where.status) is not None
    then = "`jada-configd status` shows how it goes" if runs else "by the next `jada-configd apply`"
    print(f"{escaped(unit)}: what was taken back is tried again; {then}")
    return DONE
