"""`retry`: have what a service did not bear tried on it again.

What it says is a file in the state directory, which the daemon takes, or the next `apply`.
"""

import argparse
import os
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, PolicyError
from jada_configd.host.directories import NEEDS_ROOT, Directories, directories
from jada_configd.host.survey.daemon_look import snapshot
from jada_configd.memory import Memory
from jada_configd.verbs.output import complain, sentences
from jada_configd.verbs.sources import load
from jada_configd.verdicts import Verdicts

DONE, FAILURE = 0, 1
# A name that ends otherwise is a service's, as systemctl(1) has it.
_SUFFIXES: Final = tuple(
    f".{each}"
    for each in (
        "service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer",
        "slice", "scope",
    )
)  # fmt: skip


def retry(options: argparse.Namespace) -> int:
    """Ask for it; that there is nothing to try is no failure."""
    where = directories(user=options.user, root=options.root, environ=os.environ)
    unit = options.unit if options.unit.endswith(_SUFFIXES) else f"{options.unit}.service"
    try:
        where.check_root()
        named = [spec.unit for spec in load(options, where).services]
        if unit not in named:
            held = ", ".join(map(escaped, named)) or "none"
            return _failed(f"{escaped(unit)} is no service of the policy (there: {held})")
        memory = Memory(where.state, create=False)
        memory.state()  # who may not look there is told so, and not that there is nothing
        verdicts = Verdicts(memory)
        if verdicts.marks.of(unit) is None and verdicts.breakers.state(unit) != "open":
            _say(f"{escaped(unit)}: nothing was taken back from it, so nothing is tried again")
            return DONE
        memory.ask_retry(unit)
    except PolicyError as error:
        complain(*error.messages)
        return FAILURE
    except HostError as error:
        return _failed(str(error), *([NEEDS_ROOT] if where.needs_root else []))
    _say(f"{escaped(unit)}: what the policy says is tried on it again{_then(where)}")
    return DONE


def _then(where: Directories) -> str:
    command = "jada-configd --user" if where.user else "jada-configd"
    if snapshot(where.status) is None:
        return f" by the next `{command} apply`, or when the daemon starts"
    return f"; `{command} status` shows how it goes"


def _say(text: str) -> None:
    print("\n".join(sentences(text)))


def _failed(text: str, *more: str) -> int:
    complain(*sentences(f"jada-configd: {text}"), *more)
    return FAILURE
