"""The policy that an installation is to hold: read once, validated with the fragments in place."""

import difflib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jada_configd.core.specs import Policy
from jada_configd.core.wording import REDACTED, escaped, public
from jada_configd.errors import PolicyError
from jada_configd.host.directories import Directories
from jada_configd.policy import sources
from jada_configd.policy.files import Source, read, revision_of, texts

_STRING: Final = re.compile(
    r"""\"{3}(?:[^\\]|\\.)*?\"{3,5}|'{3}.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""", re.DOTALL
)
# Comments too: a key that somebody has put out of use still has its value.
_SCALAR: Final = re.compile(
    r"""([\w"'.-]+[ \t]*=[ \t]*)(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s"'\[{][^\s,}\]]*)"""
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy as it will be in force: its own bytes, and what it declares with its fragments.

    `mode` is for its copy: readable by everybody unless the file was not.
    """

    source: Source
    mode: int
    policy: Policy


def candidate(path: str, where: Directories) -> Candidate:
    """The policy at `path` as if it stood in its place. Raises `PolicyError`."""
    from jada_configd.policy.validation import validate

    found = read([path, *sources(where.policy)[1:]])
    try:
        mode = Path(path).stat().st_mode & 0o644 | 0o600
    except OSError as error:
        raise PolicyError([f"{escaped(path)}: {error.strerror}"]) from None
    place = where.policy.removeprefix(where.root) if where.root != "/" else where.policy
    plain = {
        "path": place,
        "sources": [place, *(source.path for source in found[1:])],
        "revision": revision_of(found),
        **validate(texts(found), where.home),
    }
    return Candidate(found[0], mode, Policy.from_plain(plain))


def difference(old: bytes, new: bytes, old_name: str, new_name: str) -> list[str]:
    """A unified diff in which no value stands that looks like a secret; never empty."""
    shown = [redacted(each.decode(errors="replace")) for each in (old, new)]
    if None in shown:
        return [f"{escaped(old_name)} is not TOML; what stands in it is not shown."]
    before, after = (str(each).splitlines() for each in shown)
    lines = list(difflib.unified_diff(before, after, old_name, new_name, lineterm=""))
    return [escaped(line) for line in lines] or ["They differ only in what is not shown."]


def redacted(text: str) -> str | None:
    """A policy without the values of keys that look like secrets; None where it is not TOML."""
    try:
        secrets = set(_secrets(tomllib.loads(text)))
    except (ValueError, RecursionError):
        return None
    text = _STRING.sub(lambda found: _string(found[0], secrets), text)
    return _SCALAR.sub(_scalar, text)


def _secrets(value: object) -> Iterator[str]:
    """Every string under a key that looks like a secret."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _strings(each) if _is_secret(key) else _secrets(each)
    elif isinstance(value, list):
        for each in value:
            yield from _secrets(each)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def _string(token: str, secrets: set[str]) -> str:
    try:
        value = tomllib.loads(f"value = {token}")["value"]
    except ValueError:
        return token
    return f'"{REDACTED}"' if value in secrets else token


def _scalar(found: re.Match[str]) -> str:
    return f'{found[1]}"{REDACTED}"' if _is_secret(found[1]) else found[0]


def _is_secret(key: str) -> bool:
    return public((key,), None) == REDACTED
