"""A throwaway host: a real systemd, booted in well under a second, on which a test may do anything.

Everything on the machine is there (`tree.py`), nothing that happens inside reaches the machine, and
nothing is left when the host goes, however that comes about (`keeper.py`). It has a network of its
own with nothing but a loopback interface, and the users `ubuntu` (1000) and `eve` (1001).

    with Host.boot() as host:
        host.run(["systemctl", "status"])
"""

import contextlib
import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self, TypeVar

CHECKOUT = Path(__file__).resolve().parents[2]
USERS: Mapping[str, int] = {"ubuntu": 1000, "eve": 1001}
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SYS_OPENAT2 = 437  # the same number everywhere (openat2(2))
RESOLVE_IN_ROOT = 0x10
# What nspawn keeps from the host's own processes, we keep from those that we send in.
NOT_INSIDE = "-sys_module,-sys_rawio,-sys_time,-syslog,-mac_admin,-mac_override"

T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)


class BootFailed(Exception):
    """The host did not come up; the text says why."""


class CommandFailed(AssertionError):
    """A command inside ended with another status than 0; the text has all that it said."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the host's /etc/passwd has it."""

    name: str
    uid: int
    gid: int
    home: str


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
            self._pid = _child(self.nsenter)
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
                _kill_inside(self.nsenter)
        return self.nsenter.wait()


@dataclass(slots=True)
class Host:
    """One booted host; see the module."""

    pid: int  # of its first process, as the machine sees it
    boot_seconds: float
    _keeper: "subprocess.Popen[bytes]"
    _root: int
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
            [*_scope(), sys.executable, "-E", "-s", "-S", "-m", "tests.system.keeper", wanted],
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
        return cls(answer["leader"], time.monotonic() - began, keeper, root)

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
            _kill_inside(process)
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

    def account(self, name: str) -> Account:
        """A user of the host. Raises `KeyError`."""
        for line in self.read("/etc/passwd").splitlines():
            found, _, uid, gid, _, home, *_ = line.split(":")
            if found == name:
                return Account(name, int(uid), int(gid), home)
        raise KeyError(name)

    def start_user_manager(self, user: str) -> None:
        """Have the user's own service manager run, as after a login, for `systemctl --user`."""
        self.run(["loginctl", "enable-linger", user])
        self.run(["systemctl", "start", f"user@{self.account(user).uid}.service"])

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit, as `systemctl show` tells them."""
        said = self.run(["systemctl", "show", unit, *(f"--property={name}" for name in names)])
        return dict(line.partition("=")[::2] for line in said.stdout.splitlines())

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """The journal's records, oldest first, for arguments of `journalctl` such as `--unit=X`."""
        self.run(["journalctl", "--sync"])
        said = self.run(["journalctl", "--output=json", "--all", "--quiet", "--no-pager", *matches])
        return [json.loads(line) for line in said.stdout.splitlines()]

    # Files. A link inside, whatever it says, leads to a place inside (openat2(2), RESOLVE_IN_ROOT).

    def read(self, path: str) -> str:
        """A file's text. Raises `OSError`."""
        return self.read_bytes(path).decode()

    def read_bytes(self, path: str) -> bytes:
        """A file's bytes. Raises `OSError`."""
        with os.fdopen(self._open(path, os.O_RDONLY), "rb") as file:
            return file.read()

    def exists(self, path: str) -> bool:
        """Whether there is something, links followed."""
        return self.status(path) is not None

    def status(self, path: str, *, follow: bool = True) -> os.stat_result | None:
        """What stat(2) says, or None where there is nothing."""
        try:
            descriptor = self._open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def write(
        self, path: str, text: str | bytes, *, owner: str = "root", mode: int = 0o644
    ) -> None:
        """Write a file in place; one that is new, and directories on the way, get that owner."""
        account = self.account(owner)
        self.make_directory(str(PurePosixPath(path).parent), owner=owner)
        new = not self.exists(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(self._open(path, flags, mode), "wb") as file:
            if new:
                os.fchown(file.fileno(), account.uid, account.gid)
                os.fchmod(file.fileno(), mode)
            file.write(text.encode() if isinstance(text, str) else text)

    def make_directory(self, path: str, *, owner: str = "root", mode: int = 0o755) -> None:
        """Make a directory, and those on the way, where there are none."""
        account = self.account(owner)
        for place in reversed([PurePosixPath(path), *PurePosixPath(path).parents]):
            if self.exists(str(place)):
                continue
            parent = self._open(str(place.parent), os.O_PATH | os.O_DIRECTORY)
            try:
                os.mkdir(place.name, mode, dir_fd=parent)
                os.chmod(place.name, mode, dir_fd=parent)
                os.chown(place.name, account.uid, account.gid, dir_fd=parent)
            finally:
                os.close(parent)

    def remove(self, path: str) -> None:
        """Remove a file, or a link itself. Raises `OSError`."""
        parent = self._open(str(PurePosixPath(path).parent), os.O_PATH | os.O_DIRECTORY)
        try:
            os.unlink(PurePosixPath(path).name, dir_fd=parent)
        finally:
            os.close(parent)

    def _open(self, path: str, flags: int, mode: int = 0) -> int:
        how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, mode, RESOLVE_IN_ROOT)
        size = ctypes.sizeof(how)
        descriptor = _libc.syscall(SYS_OPENAT2, self._root, os.fsencode(path), how, size)
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return int(descriptor)


def eventually(condition: Callable[[], T], within: float = 5.0, every: float = 0.01) -> T:
    """The first true value of a condition; an AssertionError when there is none in that time."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {within} s; last: {value!r}")
        time.sleep(every)
    return value


def why_not() -> str | None:
    """One sentence that says why no throwaway host can boot on this machine, or None."""
    if os.geteuid() != 0:
        return "a throwaway host needs root"
    if missing := [name for name in NEEDED if not _on_path(name)]:
        packages = " ".join(sorted({NEEDED[name] for name in missing}))
        return f"{', '.join(missing)} not found: apt-get install -y {packages}"
    if "cgroup2" not in Path("/proc/filesystems").read_text():
        return "this kernel has no cgroup v2"
    release = Path("/proc/sys/kernel/osrelease").read_text().lower()
    if "microsoft" in release and not Path("/run/systemd/system").is_dir():
        return "WSL without systemd cannot boot a throwaway host: set systemd=true in /etc/wsl.conf"
    held = next(
        int(line.split()[1], 16)
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("CapEff")
    )
    if not held >> 21 & 1:  # capability.h, CAP_SYS_ADMIN
        return "this container lacks CAP_SYS_ADMIN, which a throwaway host needs (--privileged)"
    return None


NEEDED: Mapping[str, str] = {
    "dbus-daemon": "dbus",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "systemctl": "systemd",
    "systemd-nspawn": "systemd-container",
}


def _on_path(name: str) -> bool:
    return any(Path(place, name).exists() for place in SEARCH_PATH.split(":"))


def _scope() -> list[str]:
    """A part of the control groups that is ours, where systemd manages them (sd_booted(3))."""
    if not Path("/run/systemd/system").is_dir():
        return []
    return ["systemd-run", "--quiet", "--scope", "--collect", "--property=Delegate=yes", "--"]


def _child(nsenter: "subprocess.Popen[str]") -> int:
    """The process that nsenter has forked into the host's PID namespace; 0 once it has gone."""
    children = Path(f"/proc/{nsenter.pid}/task/{nsenter.pid}/children")
    while nsenter.poll() is None:
        if pids := children.read_text().split():
            return int(pids[0])
        time.sleep(0.001)
    return 0


def _kill_inside(nsenter: "subprocess.Popen[str]") -> None:
    """Kill the process inside, and leave it to its nsenter to reap it.

    Were nsenter killed, the machine's PID 1 would inherit a zombie of the host's PID namespace, and
    the host could not end before that is reaped.
    """
    if child := _child(nsenter):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _let_go(keeper: "subprocess.Popen[bytes]") -> None:
    """Close the keeper's standard input, upon which it ends the host and itself."""
    with contextlib.suppress(BrokenPipeError):
        keeper.communicate(timeout=30)
