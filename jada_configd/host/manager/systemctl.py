"""systemd through `systemctl`, where neither the bus nor the private socket can be had.

It tells nothing by itself: what was started, and units that are followed, are polled, by `events`
when `poll_due` says.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import IO, Final

from jada_configd.core.actions import How
from jada_configd.core.facts import Inhibitor, Probe
from jada_configd.host.manager.routes import (
    Declined,
    Event,
    Gone,
    Silent,
    UnitChanged,
    UnitsReloaded,
)
from jada_configd.host.manager.transient_units import ASKED_SHOWN, as_arguments, probe_settings
from jada_configd.host.manager.unit_facts import (
    MANAGER_SHOWN,
    SHOWN,
    ManagerFact,
    UnitLook,
    job_path,
    look_from_show,
    manager_from_show,
    values_from_show,
)

_VERBS: Final[Mapping[How, str]] = {
    "reload": "reload",
    "restart": "try-restart",
    "reload-or-restart": "try-reload-or-restart",
    "start": "restart",
}
_POLL_NS: Final = 100_000_000
_UNITS_NS: Final = 5_000_000_000  # between two looks at the units; each is a process of some 10 ms
_UNITS_SECONDS: Final = 2.0
# What is another once a unit has another main process, or another state.
_CHANGES: Final = (
    "MainPID", "ActiveState", "SubState", "ExecMainStartTimestampMonotonic",
    "StateChangeTimestampMonotonic",
)  # fmt: skip
_RELOAD_NS: Final = 90_000_000_000  # as long as systemctl itself waits for an answer
_EXISTS: Final = "was already loaded or has a fragment file"
_SAID_BYTES: Final = 4096


class Systemctl:
    """One command each call: a `Route`."""

    name = "systemctl"

    def __init__(self, *, user: bool, seconds: float) -> None:
        """Raises `Gone` and `Silent` where nobody answers it."""
        self._whose = "--user" if user else "--system"
        self._user = user
        self._reload: subprocess.Popen[bytes] | None = None
        self._reload_said: IO[bytes] | None = None
        self._reload_until_ns = 0
        self._poll_ns: int | None = None
        self._units: tuple[str, ...] = ()
        self._units_ns = 0
        self._known: dict[str, str] = {}  # what was said of each at the last look
        self._run("show", "--property=Version", seconds=seconds)

    # ---- calls

    def look(self, unit: str, seconds: float) -> UnitLook:
        """The unit as it is now."""
        wanted = f"--property={','.join(SHOWN)}"
        return look_from_show(unit, self._run("show", wanted, "--", unit, seconds=seconds))

    def start_job(self, unit: str, how: How, seconds: float) -> str:
        """Start a job; its path, or some other word where it has ended already."""
        if how == "start":
            self.reset(unit, seconds)
        return self._started(unit, ("systemctl", "--no-block", _VERBS[how], "--", unit), seconds)

    def start_probe(self, probe: Probe, seconds: float) -> str:
        """Start a probe as a transient unit; as `start_job`."""
        wanted = f"--property={','.join(ASKED_SHOWN)}"
        asked = values_from_show(self._run("show", wanted, "--", probe.unit, seconds=seconds))
        settings = probe_settings(probe, asked, user=self._user)
        arguments = as_arguments(probe.name, probe.command, settings)
        command = ("systemd-run", "--no-block", "--quiet", "--no-ask-password", *arguments)
        return self._started(probe.name, command, seconds)

    def _started(self, unit: str, command: Sequence[str], seconds: float) -> str:
        try:
            self._run_command(command, seconds)
        except Gone as error:
            # It is refused by what the command says; who has gone says so when asked for the job.
            self._run("show", "--property=Version", seconds=seconds)
            name = "UnitExists" if _EXISTS in str(error) else ""
            raise Declined(name, str(error)) from error
        job = self.look(unit, seconds).job
        return job_path(job) if job else f"a job of {unit}"

    def stop(self, unit: str, seconds: float) -> None:
        """Stop a unit. That it has gone already is no failure, and nothing is waited for."""
        with suppress(Gone):
            self._run("--no-block", "stop", "--", unit, seconds=seconds)

    def inhibitors(self, seconds: float) -> tuple[Inhibitor, ...]:
        """None: logind is asked on the message bus alone."""
        return ()

    def reset(self, unit: str, seconds: float) -> None:
        """Have a failure forgotten, if there is any."""
        with suppress(Gone):
            self._run("reset-failed", "--", unit, seconds=seconds)

    def begin_reload(self, seconds: float) -> None:
        """Start a daemon-reload, unless one is under way."""
        if self._reload is not None:
            return
        self._reload_said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with its end
        self._reload = subprocess.Popen(
            ["systemctl", self._whose, "daemon-reload"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._reload_said,
            env=_environment(),
        )
        self._poll_ns = time.monotonic_ns() + _POLL_NS
        self._reload_until_ns = time.monotonic_ns() + _RELOAD_NS

    def follow(self, aliases: Mapping[str, str], probes: Collection[str], seconds: float) -> None:
        """Look at these units from now on; how they are now is what the next look is held to.

        Probes are looked at by whoever started them.
        """
        self._units = tuple(aliases)
        self._units_ns = time.monotonic_ns()
        self._known = {name: said for name, said in self._known.items() if name in aliases}

    def manager(self, seconds: float) -> ManagerFact:
        """What the manager says of itself."""
        wanted = f"--property={','.join(MANAGER_SHOWN)}"
        return manager_from_show(self._run("show", wanted, seconds=seconds))

    def manager_pid(self, seconds: float) -> int:
        """The service manager's own process, which systemctl does not tell: 0."""
        return 0

    # ---- events

    def reloading(self) -> bool:
        """Whether systemd is reading its units again, and so will not answer for a while."""
        return self._reload is not None

    def pending(self) -> bool:
        """Never: `poll_due` tells."""
        return False

    def fileno(self) -> None:
        """Nothing becomes readable."""

    def poll_due(self) -> int | None:
        """When the daemon-reload, or the units, are to be looked at."""
        if self._reload is not None or not self._units:  # it does not answer till it has read them
            return self._poll_ns
        return self._units_ns

    def events(self) -> list[Event]:
        """The end of a daemon-reload, and the units that are not as they were. Raises `Gone`."""
        return [*self._reloaded(), *self._changed()]

    def _reloaded(self) -> list[Event]:
        now_ns = time.monotonic_ns()
        if self._reload is None or self._poll_ns is None or now_ns < self._poll_ns:
            return []
        status = self._reload.poll()
        if status is None and now_ns < self._reload_until_ns:
            self._poll_ns = now_ns + _POLL_NS
            return []
        return [UnitsReloaded(self._ended(status))]

    def _changed(self) -> list[Event]:
        if not self._units or time.monotonic_ns() < self._units_ns or self._reload is not None:
            return []
        wanted = f"--property={','.join(_CHANGES)}"
        try:
            said = self._run("show", wanted, "--", *self._units, seconds=_UNITS_SECONDS)
        except Silent as error:
            raise Gone(str(error)) from error
        self._units_ns = time.monotonic_ns() + _UNITS_NS
        blocks = said.strip("\n").split("\n\n")
        if len(blocks) != len(self._units):
            return []
        before, self._known = self._known, dict(zip(self._units, blocks, strict=True))
        return [
            UnitChanged(name)
            for name, block in self._known.items()
            if before.get(name, block) != block
        ]

    def close(self) -> None:
        """Forget what is under way."""
        if self._reload is not None:
            self._ended(self._reload.poll())

    def _ended(self, status: int | None) -> str | None:
        """Put the daemon-reload away; what it complained of."""
        reload, said = self._reload, self._reload_said
        self._reload = self._reload_said = self._poll_ns = None
        if reload is None or said is None:
            return None
        if status is None:
            reload.kill()
            reload.wait()
        with said:
            said.seek(0)
            complaint = _sentence(said.read(_SAID_BYTES))
        if status is None:
            return "systemctl daemon-reload does not come to an end"
        return None if status == 0 else complaint or f"systemctl daemon-reload: exit {status}"

    # ---- commands

    def _run(self, *arguments: str, seconds: float) -> str:
        """What systemctl says. Raises `Gone` with its complaint, and `Silent`."""
        return self._run_command(("systemctl", *arguments), seconds)

    def _run_command(self, command: Sequence[str], seconds: float) -> str:
        name, *arguments = command
        try:
            done = subprocess.run(
                [name, self._whose, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                env=_environment(),
                check=False,
            )
        except OSError as error:
            raise Gone(f"{name}: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise Silent(f"{name} {arguments[0]} does not come to an end") from error
        if done.returncode:
            complaint = _sentence(done.stderr)
            raise Gone(complaint or f"{name} {arguments[0]}: exit {done.returncode}")
        return done.stdout.decode(errors="replace")


def _environment() -> Mapping[str, str]:
    """Ours, with plain English and no pager; systemctl(1), Environment."""
    plain = {"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "", "SYSTEMD_URLIFY": "0"}
    return {**os.environ, **plain}


def _sentence(said: bytes) -> str:
    """The first line of a complaint."""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else ""
