"""Puts the sample agent into a throwaway host, and reads what it says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.system.host import Host

HERE = Path(__file__).parent
PROGRAM = "/usr/local/lib/jada-agent/sample_agent.py"


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
    ) -> Self:
        """Put the unit in place without starting it; `switches` are those of `sample_agent.py`."""
        agent = cls(host, f"{name}.service")
        host.write(PROGRAM, (HERE / "sample_agent.py").read_text())
        text = (HERE / "units/jada-agent.service").read_text()
        text = text.replace("User=ubuntu", f"User={user}").replace("jada-agent", name)
        text = text.replace(PROGRAM.replace("jada-agent", name), PROGRAM)
        host.write(f"/etc/systemd/system/{agent.unit}", text)
        if reloads:
            drop_in = (HERE / "units/reload.conf").read_text()
            host.write(f"/etc/systemd/system/{agent.unit}.d/reload.conf", drop_in)
        agent.switch(switches or {})
        host.run(["systemctl", "daemon-reload"])
        return agent

    def switch(self, switches: Mapping[str, str]) -> None:
        """Set how it behaves from its next start on."""
        lines = [f"{key}={value}\n" for key, value in switches.items()]
        self.host.write(f"/etc/default/{self.unit.removesuffix('.service')}", "".join(lines))

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.host.run(["systemctl", "start", self.unit], timeout=160)

    @property
    def pid(self) -> int:
        """Its main process as the host sees it, 0 where it does not run."""
        return int(self.host.show(self.unit, "MainPID")["MainPID"])

    @property
    def model(self) -> str:
        """The model that it last became ready with."""
        return self.host.read(f"/run/{self.unit.removesuffix('.service')}/model").strip()

    @property
    def starts(self) -> list[str]:
        """The model of each of its starts, the oldest first."""
        lines = self.host.read(f"/run/{self.unit.removesuffix('.service')}/starts").splitlines()
        return [line.split()[1] for line in lines]

    def limit(self, title: str) -> tuple[str, str]:
        """Soft and hard limit of its main process, by title of /proc/PID/limits (`open files`)."""
        for line in self.host.sh(f"cat /proc/{self.pid}/limits").splitlines():
            if line.startswith(f"Max {title} "):
                soft, hard = line.removeprefix(f"Max {title} ").split()[:2]
                return soft, hard
        raise KeyError(title)
