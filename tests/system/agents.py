"""Puts the sample agent into a throwaway host, and reads what it says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.system.host import Host

HERE = Path(__file__).parent
PROGRAM = "/usr/local/lib/jada-agent/sample_agent.py"
CHECK = "/usr/local/bin/jada-agent-check"


@dataclass(frozen=True, slots=True)
class Agent:
    """One unit that runs the sample agent."""

    host: Host
    unit: str

    @classmethod
    def install(
        cls,
        host: Host,
        *,
        name: str = "jada-agent",
        user: str = "ubuntu",
        reloads: bool = False,
        switches: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Self:
        """Put the unit in place without starting it; `switches` are those of `sample_agent.py`.

        `options` are settings of the unit that go before its own (`StartLimitBurst`, `Restart`).
        """
        agent = cls(host, f"{name}.service")
        host.write(PROGRAM, (HERE / "sample_agent.py").read_text())
        host.write(CHECK, (HERE / "units/jada-agent-check").read_text(), mode=0o755)
        text = (HERE / "units/jada-agent.service").read_text()
        text = text.replace("User=ubuntu", f"User={user}").replace("jada-agent", name)
        text = text.replace(PROGRAM.replace("jada-agent", name), PROGRAM)
        host.write(f"/etc/systemd/system/{agent.unit}", text)
        if reloads:
            drop_in = (HERE / "units/reload.conf").read_text()
            host.write(f"{agent.drop_ins}/reload.conf", drop_in)
        if options:
            host.write(f"{agent.drop_ins}/sample.conf", _sections(options))
        agent.switch(switches or {})
        host.run(["systemctl", "daemon-reload"])
        return agent

    @property
    def name(self) -> str:
        """The unit's name without its type."""
        return self.unit.removesuffix(".service")

    @property
    def drop_ins(self) -> str:
        """Where drop-ins of its unit stand."""
        return f"/etc/systemd/system/{self.unit}.d"

    @property
    def place(self) -> str:
        """Its runtime directory."""
        return f"/run/{self.name}"

    def remove(self) -> None:
        """Take it out of the host, with all that it and others keep of it."""
        unit = self.unit
        self.host.sh(
            f"systemctl stop --no-block {unit}; systemctl kill --signal=KILL {unit};"
            f"systemctl stop {unit}; systemctl reset-failed {unit};"
            f"rm -rf /etc/systemd/system/{unit} {self.drop_ins} /etc/default/{self.name} "
            f"{self.place}; systemctl daemon-reload",
            check=False,
        )

    def switch(self, switches: Mapping[str, str]) -> None:
        """Set how it behaves from its next start on."""
        lines = [f"{key}={value}\n" for key, value in switches.items()]
        self.host.write(f"/etc/default/{self.name}", "".join(lines))

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.host.run(["systemctl", "start", self.unit], timeout=160)

    def work(self) -> None:
        """Have it begin to work: it is busy till it rests."""
        self.host.run(["systemctl", "kill", "--kill-who=main", "--signal=USR1", self.unit])

    def rest(self) -> None:
        """Have it end its work."""
        self.host.run(["systemctl", "kill", "--kill-who=main", "--signal=USR2", self.unit])

    def turn(self, health: str) -> None:
        """Change its health while it runs: `ok`, `hang` (who asks waits for ever) or another."""
        self.host.write(f"{self.place}/health", f"{health}\n")

    @property
    def pid(self) -> int:
        """Its main process as the host sees it, 0 where it does not run."""
        return int(self.host.show(self.unit, "MainPID")["MainPID"])

    @property
    def active(self) -> str:
        """The unit's `ActiveState`."""
        return self.host.show(self.unit, "ActiveState")["ActiveState"]

    @property
    def model(self) -> str:
        """The model that it last became ready with."""
        return self.host.read(f"{self.place}/model").strip()

    @property
    def starts(self) -> list[str]:
        """The model of each of its starts, the oldest first."""
        lines = self.host.read(f"{self.place}/starts").splitlines()
        return [line.split()[1] for line in lines]

    @property
    def started(self) -> list[float]:
        """The moment of each of its starts (CLOCK_MONOTONIC, seconds)."""
        lines = self.host.read(f"{self.place}/starts").splitlines()
        return [float(line.split()[2]) for line in lines]

    @property
    def started_by_systemd(self) -> int:
        """How often systemd has begun to start it, as the journal has it (systemd.journal)."""
        starting = "MESSAGE_ID=7d4958e842da4a758f6c1cdc7b36dcc5"
        return len(self.host.journal(starting, f"UNIT={self.unit}"))

    @property
    def reloads(self) -> int:
        """How often it has reloaded."""
        path = f"{self.place}/reloads"
        return len(self.host.read(path).splitlines()) if self.host.exists(path) else 0

    def limit(self, title: str) -> tuple[str, str]:
        """Soft and hard limit of its main process, by title of /proc/PID/limits (`open files`)."""
        for line in self.host.sh(f"cat /proc/{self.pid}/limits").splitlines():
            if line.startswith(f"Max {title} "):
                soft, hard = line.removeprefix(f"Max {title} ").split()[:2]
                return soft, hard
        raise KeyError(title)


def _sections(options: Mapping[str, str]) -> str:
    """A drop-in with these options, each in its section (systemd.unit(5), systemd.service(5))."""
    unit = [f"{key}={value}" for key, value in options.items() if key.startswith("StartLimit")]
    service = [f"{k}={value}" for k, value in options.items() if not k.startswith("StartLimit")]
    return "\n".join(["[Unit]", *unit, "[Service]", *service, ""])
