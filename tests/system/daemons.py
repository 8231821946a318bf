"""Puts the daemon into a throwaway host, as an operator would, and asks it how things stand."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from tests.system.host import CommandFailed, Host, eventually

POLICY = "/etc/jada-configd/policy.toml"
UNIT = "jada-configd.service"


@dataclass(frozen=True, slots=True)
class Daemon:
    """The installed and running daemon of a host."""

    host: Host

    @classmethod
    def install(cls, host: Host, policy: str) -> Self:
        """Install and start it on this policy, by the operator's command."""
        host.write("/root/policy.toml", policy)
        host.run(["jada-configd", "install", "--policy", "/root/policy.toml", "--yes"], timeout=60)
        return cls(host)

    def status(self) -> dict[str, Any]:
        """What it says of itself."""
        said = self.host.run(["jada-configd", "status", "--json"], check=False)
        plain: dict[str, Any] = json.loads(said.stdout)
        return plain

    def result(self, resource: str) -> str:
        """The result of one resource."""
        for each in self.status()["resources"]:
            if each["id"] == resource:
                return str(each["result"])
        raise KeyError(resource)

    def settles(self, state: str = "in-sync", *, within: float = 10) -> None:
        """Wait until it says that things stand so."""
        try:
            holds(lambda: self.status()["state"] == state, within=within)
        except AssertionError as error:
            raise AssertionError(json.dumps(self.status(), indent=1)) from error

    def reload(self, policy: str) -> None:
        """Give it another policy; returns once that is in force, or is known not to load."""
        before = self.status()["policy"]
        self.host.write(POLICY, policy)
        self.host.run(["systemctl", "reload", UNIT], timeout=60)
        # systemctl waits for the signal alone.
        holds(lambda: self.status()["policy"] != before, within=10)

    @property
    def pid(self) -> int:
        """Its main process."""
        return int(self.host.show(UNIT, "MainPID")["MainPID"])


def holds(check: Callable[[], object], *, within: float = 2.0) -> None:
    """Wait until something holds; what cannot be looked at in that moment does not hold yet."""

    def attempt() -> object:
        try:
            return check()
        except (CommandFailed, OSError, ValueError, KeyError):
            return False

    eventually(attempt, within=within)
