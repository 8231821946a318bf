"""What a service may be asked about its health: commands, addresses, patterns of its journal.

As in `values.py`, each function raises `ValueError` with one sentence that does not repeat the
value. The patterns below are what the JSON Schema says, too.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from jada_configd.policy import values
from jada_configd.policy.phrasing import Fault
from jada_configd.policy.places import Keys

STABLE: Final = "5s"
WITHIN: Final = "60s"
LONGEST_URL: Final = 2000  # characters
LONGEST_PATTERN: Final = 1000
EXAMPLE_URL: Final = "http://127.0.0.1:8080/healthz"
PROGRAM: Final = r"^(/(?!\.{1,2}(/|$))[^/\u0000]+)+$"
ARGUMENT: Final = r"^[^\u0000]*$"
JOURNAL_PATTERN: Final = r"^[^\u0000\n\r]+$"
_OCTET: Final = r"(?:[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
_HOST: Final = rf"(?:localhost|127(?:\.{_OCTET}){{3}}|\[::1\])"
_PORT: Final = (
    r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
)
_REST: Final = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*"  # RFC 3986, without `#`
URL: Final = rf"^http://{_HOST}(?::{_PORT})?(?:[/?]{_REST})?$"

_AUTHORITY = re.compile(r"http://([^/?#]*)")
_HOST_AND_PORT = re.compile(rf"{_HOST}(?::{_PORT})?")
_PORTLESS = re.compile(rf"{_HOST}:.*", re.DOTALL)
# Where the brackets of PCRE2 cannot be told from text by a scan: \Q...\E, (*VERB:name), callouts
# with strings, and comments in extended patterns.
_OPAQUE = re.compile(r"\\[QE]|\(\*|\(\?C|\(\?\^?[A-Za-z-]*x")
_PIECE = re.compile(
    r"(?P<escape>\\c?[\s\S])"
    r"|(?P<set>\[\^?+\]?+(?:\[(?P<sort>[:.=])[^\]]*?(?P=sort)\]|\\c?[\s\S]|[^\]\\])*\])"
    r"|(?P<note>\(\?\#[^)]*\))"
    r"|(?P<sign>\(\?|[\\\[()|*+?])"
    r"|[^\\\[()|*+?]+"
)


def argument(text: str) -> str:
    """One argument of a command line."""
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def command(arguments: Sequence[str]) -> list[str]:
    """A command line, as its arguments; no shell reads it."""
    if not arguments:
        raise ValueError("is an empty array, which runs nothing; name a program")
    program = arguments[0]
    if not program.startswith("/"):
        raise ValueError("must begin with the absolute path of a program; no shell looks for it")
    if any(part in ("", ".", "..") for part in program[1:].split("/")):
        raise ValueError('must begin with the path of a program, without "//", "." and ".."')
    if len(program.encode(errors="surrogateescape")) > values.LONGEST_PATH:
        raise ValueError(f"has a path longer than Linux allows ({values.LONGEST_PATH} bytes)")
    return list(arguments)


def url(text: str) -> str:
    """An address on this very host, over plain HTTP."""
    found = _AUTHORITY.match(text)
    if found is None:
        raise ValueError(f'must begin with "http://", such as "{EXAMPLE_URL}"')
    authority = found[1]
    if "@" in authority:
        raise ValueError("must carry no user and no password; they would show in logs")
    if not _HOST_AND_PORT.fullmatch(authority):
        if _PORTLESS.fullmatch(authority):
            raise ValueError("has a port that is none; ports are 1 to 65535")
        raise ValueError("must be on this very host: 127.0.0.1, [::1] or localhost")
    if "#" in text:
        raise ValueError('must not hold a "#": no server is told what stands behind it')
    if len(text) > LONGEST_URL:
        raise ValueError(f"must be at most {LONGEST_URL} characters long")
    if not re.compile(URL).fullmatch(text):
        raise ValueError("holds what no address may (RFC 3986); write it as %20 and so on")
    return text


def journal_pattern(text: str) -> str:
    """A regular expression of PCRE2, as far as it can be judged without that library."""
    if not text:
        raise ValueError("is empty, and would show up in every line")
    if any(each in text for each in "\0\n\r"):
        raise ValueError("must be one line: each line of the journal is searched by itself")
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"must be at most {LONGEST_PATTERN} characters long")
    if not _OPAQUE.search(text):
        _check_brackets(text)
    return text


def _check_brackets(text: str) -> None:
    depth = 0
    repeatable = False  # whether there is something that a quantifier may follow
    for piece in _PIECE.finditer(text):
        match piece["sign"]:
            case "\\":
                raise ValueError("is no regular expression: it ends in a backslash")
            case "[":
                raise ValueError('is no regular expression: a "[" lacks its "]"')
            case "(" | "(?":
                depth += 1
            case ")" if not depth:
                raise ValueError('is no regular expression: a ")" lacks its "("')
            case ")":
                depth -= 1
            case "*" | "+" | "?" as sign if not repeatable:
                raise ValueError(f'is no regular expression: nothing stands before a "{sign}"')
            case _:
                pass
        if not piece["note"]:
            repeatable = piece["sign"] not in ("(", "|")
    if depth:
        raise ValueError('is no regular expression: a "(" lacks its ")"')


def health_faults(tree: Mapping[str, Any]) -> Iterator[Fault]:
    """Where a service can never be found healthy in time, in the tree as TOML gave it."""
    services = tree.get("service")
    for unit, service in services.items() if isinstance(services, dict) else ():
        table = service.get("health") if isinstance(service, dict) else None
        if isinstance(table, dict):
            yield from _order_faults(("service", unit, "health"), table)


def _order_faults(keys: Keys, table: Mapping[str, Any]) -> Iterator[Fault]:
    stable, within = table.get("stable", STABLE), table.get("within", WITHIN)
    try:
        if values.seconds(within) > values.seconds(stable):
            return
    except (TypeError, ValueError):
        return  # the models say what is wrong with them
    if "within" in table:
        by_default = "" if "stable" in table else f' ("{STABLE}" by default)'
        yield Fault((*keys, "within"), f"must be longer than `stable`{by_default}")
    else:
        yield Fault((*keys, "stable"), f'must be shorter than `within` ("{WITHIN}" by default)')
