"""Processes that run on inside a throwaway host, and how any process inside is ended."""

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(slots=True)
class Background:
    """A process that was started inside and runs on."""

    nsenter: "subprocess.Popen[str]"
    _said: IO[bytes]
    _pid: int = 0

    @property
    def pid(self) -> int:
        """Its PID as the machine sees it; 0 once it has gone before anybody asked."""
        if not self._pid:
            self._pid = child_of(self.nsenter)
        return self._pid

    @property
    def pid_inside(self) -> int:
        """Its PID as the host sees it (proc(5), NSpid)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[-1]) for line in status.splitlines() if "NSpid" in line)

    @property
    def output(self) -> str:
        """What it has said so far, on standard output and error together."""
        return os.pread(self._said.fileno(), 1 << 24, 0).decode(errors="replace")

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, within: float = 30.0) -> int:
        """Its exit status, negative for a signal, at most so many seconds from now."""
        return self.nsenter.wait(within)

    def stop(self) -> int:
        """End it with SIGTERM, or SIGKILL after ten seconds; its exit status."""
        if self.nsenter.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.send_signal(signal.SIGTERM)
            try:
                self.nsenter.wait(10)
            except subprocess.TimeoutExpired:
                kill_inside(self.nsenter)
        return self.nsenter.wait()


def child_of(nsenter: "subprocess.Popen[str]") -> int:
    """The process that nsenter has forked into the host's PID namespace; 0 once it has gone."""
    children = Path(f"/proc/{nsenter.pid}/task/{nsenter.pid}/children")
    while nsenter.poll() is None:
        if pids := children.read_text().split():
            return int(pids[0])
        time.sleep(0.001)
    return 0


def kill_inside(nsenter: "subprocess.Popen[str]") -> None:
    """Kill the process inside, and leave it to its nsenter to reap it.

    Were nsenter killed, the machine's PID 1 would inherit a zombie of the host's PID namespace, and
    the host could not end before that is reaped.
    """
    if child := child_of(nsenter):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
