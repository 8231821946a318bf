"""What the tests of health, roll-back, pace and fallback share: policies, and a host made as new.

A boot and an installation take seconds, so one host serves a module: `calm()` takes out of it what
the last test left, and `Watch.begin()` has the daemon watch services that run well.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from tests.system.agents import CHECK, Agent
from tests.system.daemons import POLICY, UNIT, Daemon, holds
from tests.system.host import Host

Keys: TypeAlias = Mapping[str, object]

CLAUDE = "/home/ubuntu/.claude"
SETTINGS = f"{CLAUDE}/settings.json"
FILE = f"settings:{SETTINGS}"
AGENT = "jada-agent.service"
SERVICE = f"service:{AGENT}"
WANTED = "claude-sonnet-4-6"
# Spacing, order, a number's spelling, no newline at its end: what a way back has to restore.
GOOD = '{\n    "theme": "dark",\n    "model": "claude-sonnet-4-6",\n    "n": 1e2\n}'
STATUS = "/run/jada-configd/status.json"
NO_CONTEST: Keys = {"contested_after": 1000, "contested_within": "1s"}
CHECKED: Keys = {"command": [CHECK], "every": "1s", "timeout": "2s"}


# ---- policies


def policy(*tables: str, daemon: Keys | None = None) -> str:
    """A policy of these tables, which looks at everything once a second.

    Tests spoil a file more often than anybody would; they are not the subject of a contest.
    """
    own = _lines({"sweep": "1s", **NO_CONTEST, **(daemon or {})})
    return "\n".join(["version = 1", "[daemon]", *own, *tables, ""])


def settings(
    model: str,
    more: Keys | None = None,
    *,
    name: str = "agent",
    path: str = SETTINGS,
    services: Sequence[str] = (AGENT,),
) -> str:
    """An entry that holds the model, and more, in one file."""
    wanted = {"model": model, **(more or {})}
    keys = {"path": path, "services": list(services), "set": wanted}
    return "\n".join([f"[settings.{name}]", *_lines(keys)])


def service(keys: Keys | None = None, *, unit: str = AGENT, health: Keys | None = None) -> str:
    """A service that is judged as quickly as it can be."""
    judged = {"stable": "500ms", "within": "4s", **(health or {})}
    lines = _lines({"min_interval": "100ms", **(keys or {}), "health": judged})
    return "\n".join([f'[service."{unit}"]', *lines])


def rules(model: str, keys: Keys | None = None, *, health: Keys | None = None) -> str:
    """The policy of most tests: the sample agent runs on this model."""
    return policy(settings(model), service(keys, health=health))


def _lines(keys: Keys) -> list[str]:
    return [f"{json.dumps(key)} = {_toml(value)}" for key, value in keys.items()]


def _toml(value: object) -> str:
    """A value as TOML has it, tables inline; texts, numbers and lists are as JSON has them."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_lines(value)) + " }"
    return json.dumps(value)


# ---- the host


def calm(host: Host) -> None:
    """Take out what the last test left: the daemon with its memory, agents and their files."""
    host.run(["systemctl", "stop", UNIT], check=False)
    units = host.sh("grep -l sample_agent.py /etc/systemd/system/*.service", check=False)
    for path in units.splitlines():
        Agent(host, path.rpartition("/")[2]).remove()
    host.sh(f"rm -rf /var/lib/jada-configd/* /etc/jada-configd/* {CLAUDE} /srv/trials")
    host.run(["systemctl", "reset-failed"])


def bring(
    host: Host,
    ways: str = "",
    *,
    content: str | None = GOOD,
    switches: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
    reloads: bool = False,
    user: str = "ubuntu",
) -> Agent:
    """The sample agent, running; `ways`: how it behaves, by model. It comes back more quickly."""
    if content is not None:
        host.write(SETTINGS, content, owner="ubuntu", mode=0o640)
    agent = Agent.install(
        host,
        user=user,
        reloads=reloads,
        switches={"AGENT_ON_MODEL": ways, **(switches or {})},
        options={"RestartSec": "200ms", **(options or {})},
    )
    agent.start()
    return agent


@dataclass(frozen=True, slots=True)
class Watch(Daemon):
    """The daemon at work, and what it says from the beginning of a test on."""

    cursor: str

    @classmethod
    def begin(cls, host: Host, text: str, *, healthy: bool | None = True) -> Self:
        """Have the daemon work by this policy; returns when it knows how all services are."""
        shown = host.run(["journalctl", "--quiet", "--lines=0", "--show-cursor"]).stdout
        cursor = shown.partition("-- cursor: ")[2].strip()
        watch = cls(host, cursor)
        if host.exists(f"/etc/systemd/system/{UNIT}"):
            host.write(POLICY, text)
            host.run(["systemctl", "start", UNIT], timeout=60)
        else:
            Daemon.install(host, text)
        watch.until(lambda: {each["healthy"] for each in watch.told()["services"]} == {healthy})
        if healthy:
            watch.until(lambda: watch.told()["state"] == "in-sync")
        return watch

    # What it says

    def told(self) -> dict[str, Any]:
        """How things stand by its file, which costs less to read than `status` does to run."""
        plain: dict[str, Any] = json.loads(self.host.read(STATUS))
        return plain

    def service(self, unit: str = AGENT) -> dict[str, Any]:
        """What it says of a service."""
        (found,) = (each for each in self.told()["services"] if each["unit"] == unit)
        return dict(found)

    def resource(self, resource: str = FILE) -> dict[str, Any]:
        """What it says of a resource."""
        (found,) = (each for each in self.told()["resources"] if each["id"] == resource)
        return dict(found)

    def records(self, event: str, about: str = AGENT) -> list[dict[str, Any]]:
        """Its journal records of an event that name a unit, the oldest first."""
        # Not --after-cursor: with matches, journalctl 252 leaves out the first that it finds.
        since = f"--cursor={self.cursor}"
        found = self.host.journal(since, "SYSLOG_IDENTIFIER=jada-configd", f"JADA_EVENT={event}")
        return [each for each in found if about in str(each["MESSAGE"])]

    # What comes

    def until(self, check: Callable[[], object], *, within: float = 10.0) -> None:
        """Wait until something is so; how things stand is told where it does not come."""
        try:
            holds(check, within=within)
        except AssertionError as error:
            stands = self.host.read(STATUS) if self.host.exists(STATUS) else "no daemon runs"
            with contextlib.suppress(ValueError):
                stands = json.dumps(json.loads(stands), indent=1)
            raise AssertionError(f"{error}\n{stands}") from error

    def settles_on(self, agent: Agent, model: str, *, within: float = 10.0) -> None:
        """Wait until the service runs well on a model, and nothing is left to do."""

        def settled() -> bool:
            runs = self.service(agent.unit)
            well = runs["healthy"] is True and runs["loaded"] is True and agent.model == model
            return well and self.told()["state"] == "in-sync" and runs["main_pid"] == agent.pid

        self.until(settled, within=within)

    def goes_back(self, unit: str = AGENT, *, within: float = 12.0) -> None:
        """Wait until a service has been rolled back, and is healthy again."""

        def went_back() -> bool:
            runs = self.service(unit)
            back = runs["rolled_back"]
            return back is not None and back["healthy"] is True and runs["healthy"] is True

        self.until(went_back, within=within)

    # What is done to it

    def restart(self) -> None:
        """An operator restarts it."""
        self.host.run(["systemctl", "restart", UNIT], timeout=60)

    def kill(self) -> None:
        """It dies at this moment, and systemd has it back."""
        old = self.pid
        self.host.run(["systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT])
        holds(lambda: self.pid not in (0, old), within=5)
