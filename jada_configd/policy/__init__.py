"""Text in, what is to be held out: TOML, fragments, and errors with file, line and column.

What stands here is light. pydantic is loaded in a short-lived child (`Loading`, for a program that
stays) or on first use (`load`, for one that ends soon), and not at all where `cached` still fits.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from jada_configd import __version__
from jada_configd.core.login_items import SINGLE
from jada_configd.core.specs import Policy
from jada_configd.core.wording import escaped
from jada_configd.errors import PolicyError
from jada_configd.policy.files import read, revision, revision_of, sources, texts

__all__ = [
    "Loading",
    "bypass_warnings",
    "load",
    "load_plain",
    "login_warnings",
    "revision",
    "schema",
    "sources",
]

BYPASS_FLAG: Final = "--dangerously-skip-permissions"


class Loading:
    """A policy that is being loaded: there at once where `cached` fits, else made by a child.

    `path` is the policy file; with `fragments`, those of the `policy.d` beside it override it.
    `home` is what a leading `~/` of a settings path stands for; None: it may not be used.
    `cached` is what an earlier `take` or `load_plain` gave.
    """

    def __init__(
        self,
        path: str,
        *,
        fragments: bool = True,
        home: str | None = None,
        cached: Mapping[str, Any] | None = None,
    ) -> None:
        """Read the files and begin. Raises `PolicyError` where not even that can be done."""
        self._frame, pairs = _read(path, fragments=fragments, home=home)
        self._cached = cached if cached is not None and _fits(cached, self._frame) else None
        self._child = None
        if self._cached is None:
            from jada_configd.policy.child import Child

            self._child = Child({"path": self._frame["path"], "texts": pairs, "home": home})

    def fileno(self) -> int | None:
        """A descriptor that is readable as soon as `take` will not wait; None: it never does."""
        return None if self._child is None else self._child.fileno()

    def take(self, seconds: float = 30.0) -> dict[str, Any]:
        """The plain policy, for `Policy.from_plain`; waits for it no longer than that.

        To be called once. Raises `PolicyError`.
        """
        if self._child is None:
            return dict(self._cached or {})
        return {**self._frame, **self._child.take(seconds)}

    def close(self) -> None:
        """Give up. May be called at any time, and after `take`."""
        if self._child is not None:
            self._child.close()


def load_plain(
    path: str,
    *,
    fragments: bool = True,
    home: str | None = None,
    cached: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """As `Loading(...).take()`, validated in this very process. Raises `PolicyError`."""
    frame, pairs = _read(path, fragments=fragments, home=home)
    if cached is not None and _fits(cached, frame):
        return dict(cached)
    from jada_configd.policy.validation import validate

    return {**frame, **validate(pairs, home)}


def load(
    path: str,
    *,
    fragments: bool = True,
    home: str | None = None,
    cached: Mapping[str, Any] | None = None,
) -> Policy:
    """The policy; see `load_plain`. Raises `PolicyError` with every message at once."""
    return Policy.from_plain(load_plain(path, fragments=fragments, home=home, cached=cached))


def schema() -> dict[str, Any]:
    """The policy language as a JSON Schema (draft 2020-12)."""
    from jada_configd.policy.models import schema as made

    return made()


def bypass_warnings(
    policy: Policy, commands_of: Callable[[str], Sequence[Sequence[str]]]
) -> list[str]:
    """Warnings for each unit that a held `disableBypassPermissionsMode` may keep from starting.

    `commands_of` gives a unit's command lines, each as its arguments: those of `ExecStart=` and of
    the live main process.
    """
    return [
        f"{place}: warning: {unit} is started with {BYPASS_FLAG}, which Claude Code refuses while "
        "this is held: the service may not start again"
        for unit, place in policy.bypasses
        if any(BYPASS_FLAG in _words(command) for command in commands_of(unit))
    ]


def login_warnings(policy: Policy, user_of: Callable[[str], str | None]) -> list[str]:
    """Warnings where somebody has limits at a login that a service of the same user has not.

    `user_of` gives the user as whom a unit runs, None where that is not known.
    """
    logins = {spec.domain: spec for spec in policy.logins if spec.limits.keys() - SINGLE}
    found = []
    for service in policy.services if logins else ():
        spec = logins.get(user_of(service.unit) or "")
        lacking = sorted(spec.limits.keys() - SINGLE - service.limits.keys()) if spec else []
        if spec is not None and lacking:
            found.append(
                f"{spec.origin}: login.{spec.domain}: warning: {service.unit} runs as "
                f"{spec.domain}, and login limits never reach a service; "
                f'service."{service.unit}".limits has no {", ".join(lacking)}'
            )
    return found


def _words(command: Sequence[str]) -> Iterator[str]:
    """Arguments, and the words inside them: `sh -c "claude --dangerously-skip-permissions"`."""
    for argument in command:
        yield from (word.strip("'\";") for word in argument.split())


def _read(
    path: str, *, fragments: bool, home: str | None
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What a plain policy says of where it came from, and the texts."""
    try:
        path = os.path.abspath(path)
    except OSError:
        raise PolicyError([f"{escaped(path)}: the working directory is gone"]) from None
    found = read(sources(path, fragments=fragments))
    frame = {
        "program": __version__,
        "path": found[0].path,
        "sources": [source.path for source in found],
        "revision": revision_of(found),
        "home": home,
    }
    return frame, texts(found)


def _fits(cached: Mapping[str, Any], frame: Mapping[str, Any]) -> bool:
    """Whether an earlier plain policy is what these very sources and this program would give."""
    return all(cached.get(key) == value for key, value in frame.items())
