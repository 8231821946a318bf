"""What `install` and `uninstall` share: asking first, and saying how things were left."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from jada_configd.errors import HostError, PolicyError
from jada_configd.installation.manager import update_catalog
from jada_configd.installation.site import Site, site
from jada_configd.verbs.output import complain, sentences

DONE, FAILURE = 0, 1
_HALF_WAY: Final = "stopped half-way: what is said above was done and stays; it can be run again"


def guarded(act: Callable[[argparse.Namespace, Site], int], options: argparse.Namespace) -> int:
    """Run one of the verbs where the command line means it; its exit status."""
    try:
        return act(options, site(options))
    except PolicyError as error:
        complain(*error.messages)
    except HostError as error:
        complain(*sentences(f"jada-configd: {error}"))
    return FAILURE


def agreed(options: argparse.Namespace) -> bool:
    """Ask on a terminal; where nobody can be asked, the command line was the answer."""
    sys.stdout.flush()
    if options.yes or not sys.stdin.isatty():
        return True
    try:
        answer = input("Go on? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() in ("y", "yes"):
        return True
    print("Nothing was changed.")
    return False


@contextmanager
def told(verb: str) -> Iterator[None]:
    """After a failure in the middle, say how things were left and what to do."""
    try:
        yield
    except HostError as error:
        raise HostError(f"{error}\n{verb} {_HALF_WAY}") from None
    except KeyboardInterrupt:
        sys.stdout.flush()
        complain(*sentences(f"jada-configd: interrupted\n{verb} {_HALF_WAY}"))
        raise


def update_catalogue(here: Site) -> None:
    """Have the journal's catalogue as its files are now; its lack is only told."""
    try:
        update_catalog(here.where.root)
    except HostError as error:
        complain(*sentences(f"journalctl -x will not explain our records: {error}"))
