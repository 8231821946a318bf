"""The verbs: parse the command line, call, print, exit status."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, NoReturn, TypeAlias

from jada_configd import __version__

WIDTH = 80
USAGE_ERROR = 64  # EX_USAGE (sysexits.h)
FAILURE = 1

Verb: TypeAlias = Callable[[argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors exit as `sysexits.h` has it."""

    def error(self, message: str) -> NoReturn:
        import textwrap

        self.print_usage(sys.stderr)
        said = textwrap.wrap(
            f"{self.prog}: {message}; see {self.prog} --help",
            WIDTH,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        self.exit(USAGE_ERROR, "\n".join(said) + "\n")


def _path(text: str) -> str:
    """A path on the command line; an empty one is a variable that was not set."""
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    return text


def parser() -> argparse.ArgumentParser:
    """The whole command line. Common options may stand before or after the verb."""
    common = _Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    places = common.add_argument_group("where")
    places.add_argument(
        "--policy", metavar="PATH", type=_path, help="another policy file, without its policy.d"
    )
    places.add_argument("--root", metavar="DIR", type=_path, help="work on the system tree at DIR")
    places.add_argument("--user", action="store_true", help="as this user, without root")
    common.add_argument("-v", "--verbose", action="store_true", help="say more")

    top = _Parser(
        allow_abbrev=False,
        prog="jada-configd",
        description="Holds Claude Code settings and service limits to a declared policy.",
        epilog="Exit status of check, apply and status: 0 in sync, 2 drift, 1 failure.",
        parents=[common],
    )
    top.add_argument("--version", action="version", version=f"jada-configd {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND", required=True)

    def verb(name: str, summary: str, *, json: bool = False) -> argparse.ArgumentParser:
        sub = verbs.add_parser(
            name, help=summary, description=f"{summary}.", parents=[common], allow_abbrev=False
        )
        if json:
            sub.add_argument("--json", action="store_true", help="one JSON document")
        return sub

    verb("run", "the daemon, in the foreground")
    verb("check", "say what has drifted and what would be done; changes nothing", json=True)
    apply = verb("apply", "one pass: correct, have services take it up, look again", json=True)
    apply.add_argument("--enforce", action="store_true", help="correct in observe mode too")
    apply.add_argument("--now", action="store_true", help="wait for no window")
    status = verb("status", "what the daemon says of itself", json=True)
    status.add_argument("--watch", action="store_true", help="show it again whenever it changes")
    retry = verb("retry", "try again what was taken back from a service")
    retry.add_argument("unit", metavar="UNIT", help="a service of the policy")
    verb("doctor", "what would keep this program from working here, and what mends it", json=True)
    validate = verb("validate", "load policies and print errors and warnings")
    validate.add_argument("files", nargs="*", metavar="FILE", help="instead of the one in place")
    verb("schema", "the JSON Schema of the policy language")
    install = verb("install", "put the service in place, enable and start it")
    install.add_argument("--force", action="store_true", help="replace another policy")
    install.add_argument("--yes", "-y", action="store_true", help="do not ask")
    uninstall = verb("uninstall", "stop the service and take its files away")
    uninstall.add_argument("--purge", action="store_true", help="the state directory too")
    uninstall.add_argument("--yes", "-y", action="store_true", help="do not ask")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    options = parser().parse_args(arguments)
    for name, default in (("policy", None), ("root", "/"), ("user", False), ("verbose", False)):
        if not hasattr(options, name):
            setattr(options, name, default)
    if sys.stdout is None:  # closed by who called us: the exit status tells enough
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="ascii")
    try:
        status = _verb(options.verb)(options)
        sys.stdout.flush()
    except BrokenPipeError:  # `jada-configd status | head`
        _give_output_up()
        return FAILURE
    except OSError as error:
        if error.filename is not None:
            raise
        # Of the machine's own troubles none comes as far as this: what we print does not arrive.
        print(f"jada-configd: standard output: {error.strerror}", file=sys.stderr)
        _give_output_up()
        return FAILURE
    except KeyboardInterrupt:
        return 130
    return status


def _give_output_up() -> None:
    """Send what is left nowhere, so that the interpreter does not try it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_MODULES: Final = {
    "check": "passes",
    "apply": "passes",
    "run": "run",
    "status": "status",
    "retry": "retry",
    "doctor": "doctor",
    "validate": "policies",
    "schema": "policies",
    "install": "installation",
    "uninstall": "installation",
}


def _verb(name: str) -> Verb:
    """The function of a verb; its module is imported only when it is asked for."""
    found: Verb = getattr(import_module(f"jada_configd.verbs.{_MODULES[name]}"), name)
    return found


if __name__ == "__main__":
    sys.exit(main())
