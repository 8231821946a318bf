"""Where a command gets its policy: the file in place or the one named, or what is known of it."""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from jada_configd import __version__
from jada_configd.core.specs import LimitWord, Policy
from jada_configd.core.wording import escaped
from jada_configd.errors import PolicyError, ValidatorFailed
from jada_configd.host.directories import Directories
from jada_configd.memory import Memory
from jada_configd.policy import Loading, load_plain, revision, sources

_NOTHING_BEGUN: Final = "no policy has been asked for"
_NOT_OURS: Final = (KeyError, TypeError, ValueError, AttributeError)  # from `Policy.from_plain`
_OF_ANOTHER: Final = (
    "its validator is of another version than the daemon, which has been replaced on disk; "
    "`systemctl restart jada-configd` runs the new one"
)


class DiskPolicy:
    """The policy file of a daemon, validated in a short-lived child: a `PolicySource`."""

    def __init__(self, options: argparse.Namespace, where: Directories, memory: Memory) -> None:
        self.path = options.policy or where.policy
        self._where = where
        self._fragments = options.policy is None
        self._memory = memory
        self._loading: Loading | PolicyError = PolicyError([_NOTHING_BEGUN])

    def start(self) -> None:
        """Begin to load; what was begun before is given up."""
        self.close()
        try:
            self._loading = Loading(
                self.path,
                fragments=self._fragments,
                home=self._where.home,
                cached=_usable(self._memory.policy()),
            )
        except PolicyError as error:
            self._loading = error

    def fileno(self) -> int | None:
        """Readable when it is loaded; None where there is nothing to wait for."""
        return self._loading.fileno() if isinstance(self._loading, Loading) else None

    def take(self, seconds: float) -> Policy:
        """The loaded policy; waits for it no longer than that. Raises `PolicyError`."""
        loading, self._loading = self._loading, PolicyError([_NOTHING_BEGUN])
        if isinstance(loading, PolicyError):
            raise loading
        try:
            plain = loading.take(seconds)
        finally:
            loading.close()
        try:
            policy = Policy.from_plain(plain)
        except _NOT_OURS:
            # The validator is started from the files as they are now, and this process is not.
            raise ValidatorFailed([f"{escaped(self.path)}: {_OF_ANOTHER}"]) from None
        policy = _fitted(policy, self._where)
        self._memory.save_policy(plain)
        return policy

    def last_good(self) -> Policy | None:
        """The last one that loaded from this very path, by this version of the program."""
        plain = _usable(self._memory.policy())
        if not plain or plain.get("path") != self.path:
            return None
        with suppress(PolicyError):
            return _fitted(Policy.from_plain(plain), self._where)
        return None

    def revision(self) -> str | None:
        """The revision of what stands on disk now, None where it cannot be read."""
        return revision_on_disk(self.path, fragments=self._fragments)

    def close(self) -> None:
        """Give up what is being loaded."""
        if isinstance(self._loading, Loading):
            self._loading.close()


def load(options: argparse.Namespace, where: Directories) -> Policy:
    """The policy for one pass, validated here unless it is the one that the daemon holds.

    Raises `PolicyError`.
    """
    plain = load_plain(
        options.policy or where.policy,
        fragments=options.policy is None,
        home=where.home,
        cached=_usable(Memory(where.state, create=False).policy()),
    )
    return _fitted(Policy.from_plain(plain), where)


def kept_textfile(where: Directories) -> str | None:
    """Where the last daemon wrote its metrics, by the policy that it kept."""
    plain = Memory(where.state, create=False).policy()
    found = plain.get("textfile") if plain else None
    return found if isinstance(found, str) else None


def _fitted(policy: Policy, where: Directories) -> Policy:
    """The policy as the tree needs it that is worked on; raises `PolicyError` where none is.

    What is written into an image names its policy as the image will see it. How much "max" is will
    only be known where the image runs, and this host's number would be wrong there.
    """
    if where.managed:
        return policy
    unknown = [
        f'{escaped(each.origin)}: {each.name}.limits.{limit}: "max" is what a running host gives; '
        f"the tree at {escaped(where.root)} does not run: name a number, or leave it to the daemon"
        for each in _limited(policy)
        for limit, words in each.limits.items()
        if "max" in words
    ]
    if unknown:
        raise PolicyError(unknown)
    return replace(policy, path=policy.path.removeprefix(where.root) or policy.path)


@dataclass(frozen=True, slots=True)
class _Limited:
    """An entry of a policy that has limits."""

    name: str
    origin: str
    limits: Mapping[str, tuple[LimitWord, LimitWord]]


def _limited(policy: Policy) -> Iterator[_Limited]:
    for service in policy.services:
        yield _Limited(f'service."{service.unit}"', service.origin, service.limits)
    for login in policy.logins:
        yield _Limited(f"login.{escaped(login.domain)}", login.origin, login.limits)


def revision_on_disk(path: str, *, fragments: bool) -> str | None:
    """The revision of the policy at that path now, None where it cannot be read."""
    try:
        return revision(sources(path, fragments=fragments))
    except PolicyError:
        return None


def _usable(plain: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A policy that was kept, unless another program than this one made it."""
    if plain is None or plain.get("program") != __version__:
        return None
    try:
        Policy.from_plain(plain)
    except _NOT_OURS:
        return None
    return plain
