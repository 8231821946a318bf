"""What outlives the process: ledger, last good contents, evidence, verdicts, the policy in force.

All of it stands in the state directory. Where that cannot be opened or written the work goes on
without, the trouble is told, and it is tried again at the next occasion.
"""

import json
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from jada_configd.core.ledger import Ledger
from jada_configd.core.model import ResourceId
from jada_configd.errors import HostError
from jada_configd.host.storage.state import StateDirectory

_DEBTS = "ledger.json"
_KNOWN = "known.json"
_POLICY = "policy.json"
_VERDICTS = "verdicts.json"
_RETRIES = "retries.json"
T = TypeVar("T")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Memory:
    """The state directory, opened when it is first needed."""

    def __init__(self, path: str, *, create: bool) -> None:
        """`create` False: a directory that is not there stays so, as `check` wants it."""
        self._path = path
        self._create = create
        self._state: StateDirectory | None = None
        self._trouble: str | None = None
        self._failed = False
        self._policy: str | None = None  # as it was last loaded or kept, to be kept once more

    @property
    def retries(self) -> str:
        """The file by which an operator tells us to try again."""
        return f"{self._path}/{_RETRIES}"

    def state(self) -> StateDirectory:
        """The state directory; raises `HostError`."""
        if self._state is None:
            self._state = StateDirectory(self._path, create=self._create)
        return self._state

    def reachable(self) -> StateDirectory | None:
        """The state directory, or None where there is none to be had."""
        return self._attempt(self.state)

    def renew(self) -> bool:
        """Whether the directory was emptied, or could not be had for a while, and is there again.

        The policy, by whose lack that is known, is kept in it anew; the ledger and what is right
        now have to be told once more.
        """
        if self._policy is None or (not self._failed and self._has_policy()):
            return False
        self._state = None  # what it knows to be there is not
        self._failed = False
        self._save(_POLICY, json.loads(self._policy), sync=True)
        return not self._failed

    def troubles(self) -> tuple[str, ...]:
        """What last went wrong with it, if that has not gone right since."""
        return (self._trouble,) if self._trouble is not None else ()

    def ledger(self) -> Ledger:
        """The ledger as the last run of this boot left it."""
        return Ledger.of(self._load(_DEBTS), self._load(_KNOWN), boot_id())

    def save_debts(self, ledger: Ledger) -> None:
        """Small, and saved at each change: before a correction, and when a debt is made or settled.

        Nothing is synced: a crash of the machine ends every process that could owe anything.
        """
        debts = ledger.debts(boot_id())
        self._attempt(lambda: self.state().append(_DEBTS, debts))

    def save_known(self, ledger: Ledger) -> None:
        """Large, and saved now and then: losing it costs a restart that was not needed, at most."""
        self._save(_KNOWN, ledger.known(boot_id()))

    def verdicts(self) -> Mapping[str, Any] | None:
        """What was found of services."""
        return self._load(_VERDICTS)

    def save_verdicts(self, plain: Mapping[str, Any]) -> None:
        """Synced: after a crash of the machine services start on what is kept here."""
        self._save(_VERDICTS, plain, sync=True)

    def take_retries(self) -> tuple[str, ...]:
        """The units that an operator wants tried again; each is told once."""
        kept = self._load(_RETRIES)
        if not kept:
            return ()
        self._attempt(lambda: self.state().remove(_RETRIES))
        units = kept.get("units")
        return tuple(map(str, units)) if isinstance(units, list) else ()

    def ask_retry(self, unit: str) -> None:
        """An operator wants the unit tried again; raises `HostError`."""
        state = self.state()
        kept = state.load(_RETRIES) or {}
        units = [each for each in kept.get("units", ()) if each != unit]
        state.save(_RETRIES, {"units": [*units, unit]})

    def keep_before(self, resource: ResourceId, content: bytes) -> None:
        """Remember what stood in a file, for as long as a change of it is on trial."""
        self._attempt(lambda: self.state().keep_before(str(resource), content))

    def policy(self) -> Mapping[str, Any] | None:
        """The last policy that loaded, as plain data."""
        return self._load(_POLICY)

    def save_policy(self, plain: Mapping[str, Any]) -> None:
        """Keep a policy that loaded: it stays in force across restarts if a later one does not."""
        self._policy = json.dumps(plain, separators=(",", ":"))
        if plain != self.policy():
            self._save(_POLICY, plain, sync=True)

    def _has_policy(self) -> bool:
        return Path(self._path, _POLICY).exists()

    def keep(self, resource: ResourceId, content: bytes) -> None:
        """Remember content that is as declared, for the day when it is broken or lost."""
        self._attempt(lambda: self.state().remember(str(resource), content))

    def _load(self, name: str) -> Mapping[str, Any] | None:
        return self._attempt(lambda: self.state().load(name))

    def _save(self, name: str, plain: Mapping[str, Any], *, sync: bool = False) -> None:
        self._attempt(lambda: self.state().save(name, dict(plain), sync=sync))

    def _attempt(self, act: Callable[[], T]) -> T | None:
        try:
            result = act()
        except HostError as error:
            self._trouble = str(error)
            self._state = None  # it may be another directory by then: opened and checked anew
            self._failed = True
            return None
        self._trouble = None
        return result


@cache
def boot_id() -> str:
    """What names this boot (random(4)); monotonic moments of another one mean nothing."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # no /proc: nothing that was kept means anything, and nothing will
        return f"unknown, at {time.time_ns()}"
