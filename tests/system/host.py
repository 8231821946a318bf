"""A throwaway host: a real systemd, booted in well under a second, on which a test may do anything.

Everything on the machine is there (`tree.py`), nothing that happens inside reaches the machine, and
nothing is left when the host goes, however that comes about (`keeper.py`). It has a network of its
own with nothing but a loopback interface, and the users `ubuntu` (1000) and `eve` (1001).

    with Host.boot() as host:
        host.run(["systemctl", "status"])
"""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.system.background import Background, kill_inside
from tests.system.files import Files
from tests.system.machine import SEARCH_PATH, scope

CHECKOUT = Path(__file__).resolve().parents[2]
USERS: Mapping[str, int] = {"ubuntu": 1000, "eve": 1001}
# What nspawn keeps from the host's own processes, we keep from those that we send in.
NOT_INSIDE = "-sys_module,-sys_rawio,-sys_time,-syslog,-mac_admin,-mac_override"

T = TypeVar("T")


class BootFailed(Exception):
    """The host did not come up; the text says why."""


class CommandFailed(AssertionError):
    """A command inside ended with another status than 0; the text has all that it said."""


@dataclass(slots=True)
class Host(Files):
    """One booted host; see the module."""

    pid: int  # of its first process, as the machine sees it
    boot_seconds: float
    _keeper: "subprocess.Popen[bytes]"
    _background: list[Background] = field(default_factory=list)

    @classmethod
    def boot(
        cls,
        *,
        users: Mapping[str, int] = USERS,
        overlays: Mapping[str, Sequence[Path]] | None = None,
        links: Mapping[str, str] | None = None,
    ) -> Self:
        """Boot a host, and return when its systemd says that it is ready.

        `overlays` puts directories of the machine at places of the host (the first uppermost),
        which writes inside do not change; `links` makes symbolic links. Raises `BootFailed`.
        """
        began = time.monotonic()
        layers = {at: list(map(str, stack)) for at, stack in (overlays or {}).items()}
        wanted = json.dumps({"users": dict(users), "overlays": layers, "links": dict(links or {})})
        keeper = subprocess.Popen(
            [*scope(), sys.executable, "-E", "-s", "-S", "-m", "tests.system.keeper", wanted],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=CHECKOUT,
            start_new_session=True,  # Ctrl-C goes to the whole foreground group
        )
        assert keeper.stdout is not None
        try:
            answer = json.loads(keeper.stdout.readline() or "{}")
            if "leader" not in answer:
                _, said = keeper.communicate(timeout=30)
                raise BootFailed(  # noqa: TRY301 - the same end as any other failure here
                    answer.get("problem") or said.decode(errors="replace").strip()
                )
            root = os.open(f"/proc/{answer['leader']}/root", os.O_PATH | os.O_DIRECTORY)
        except BaseException:
            _let_go(keeper)
            raise
        return cls(root, answer["leader"], time.monotonic() - began, keeper)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the host away, with all that runs in it."""
        if self._root < 0:
            return
        os.close(self._root)
        self._root = -1
        _let_go(self._keeper)
        for background in self._background:
            background.nsenter.wait(10)
            background._said.close()

    # Commands

    def run(
        self,
        command: Sequence[str],
        *,
        user: str | None = None,
        check: bool = True,
        timeout: float = 30.0,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command inside, as root or as a user, in no unit and in a clean environment.

        Raises `CommandFailed` where `check` is set and the exit status is not 0, and
        `subprocess.TimeoutExpired` (the command is killed).
        """
        process = subprocess.Popen(
            self._enter(command, user, cwd),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=self._environment(user, env),
        )
        try:
            out, err = process.communicate(stdin, timeout)
        except BaseException:
            kill_inside(process)
            process.communicate()
            raise
        if check and process.returncode:
            said = f"{out}{err}".strip()
            raise CommandFailed(f"{shlex.join(command)} ended with {process.returncode}:\n{said}")
        return subprocess.CompletedProcess(list(command), process.returncode, out, err)

    def sh(self, script: str, *, user: str | None = None, check: bool = True) -> str:
        """Run a shell script inside; what it said on standard output, without the last newline."""
        return self.run(["sh", "-c", script], user=user, check=check).stdout.removesuffix("\n")

    def start(
        self,
        command: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
    ) -> Background:
        """Start a command inside that runs on, at most until the host goes."""
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the host
        process = subprocess.Popen(
            self._enter(command, user, cwd),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            text=True,
            env=self._environment(user, env),
        )
        self._background.append(Background(process, said))
        return self._background[-1]

    def _enter(self, command: Sequence[str], user: str | None, cwd: str) -> list[str]:
        """The command, entering the host's namespaces, and dying with the `nsenter` before it."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--cgroup", "--uts"]
        inside += ["--ipc", "--net", "--", "setpriv", "--pdeathsig=KILL"]
        if user in (None, "root"):
            inside += [f"--bounding-set={NOT_INSIDE}"]
        else:
            account = self.account(str(user))
            inside += [f"--reuid={account.uid}", f"--regid={account.gid}", "--init-groups"]
        if cwd != "/":
            inside += ["--", "env", f"--chdir={cwd}"]
        return [*inside, "--", *command] if cwd == "/" else [*inside, *command]

    def _environment(self, user: str | None, more: Mapping[str, str] | None) -> dict[str, str]:
        account = self.account(user or "root")
        runtime = f"/run/user/{account.uid}"
        return {
            "HOME": account.home,
            "LANG": "C.UTF-8",
            "LOGNAME": account.name,
            "PATH": SEARCH_PATH,
            "SHELL": "/bin/bash",
            "USER": account.name,
            **({"XDG_RUNTIME_DIR": runtime} if self.exists(runtime) else {}),
            **(more or {}),
        }

    # Users and units

    def start_user_manager(self, user: str) -> None:
        """Have the user's own service manager run, as after a login, for `systemctl --user`."""
        self.run(["loginctl", "enable-linger", user])
        self.run(["systemctl", "start", f"user@{self.account(user).uid}.service"])
        # Its bus starts when it is first asked, which takes a while where much else runs.
        self.run(["busctl", "--user", "--quiet", "list"], user=user)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit, as `systemctl show` tells them."""
        said = self.run(["systemctl", "show", unit, *(f"--property={name}" for name in names)])
        return dict(line.partition("=")[::2] for line in said.stdout.splitlines())

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """The journal's records, oldest first, for arguments of `journalctl` such as `--unit=X`."""
        self.run(["journalctl", "--sync"])
        said = self.run(["journalctl", "--output=json", "--all", "--quiet", "--no-pager", *matches])
        return [json.loads(line) for line in said.stdout.splitlines()]


def eventually(condition: Callable[[], T], within: float = 5.0, every: float = 0.01) -> T:
    """The first true value of a condition; an AssertionError when there is none in that time."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {within} s; last: {value!r}")
        time.sleep(every)
    return value


def _let_go(keeper: "subprocess.Popen[bytes]") -> None:
    """Close the keeper's standard input, upon which it ends the host and itself."""
    with contextlib.suppress(BrokenPipeError):
        keeper.communicate(timeout=30)
