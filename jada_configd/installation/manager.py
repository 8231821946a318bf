"""The service manager as an operator drives it: `systemctl`, the version, what starts before us.

Only `install` and `uninstall` are here; the daemon has `host/manager/systemd.py`.
"""

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError
from jada_configd.installation.units import UNIT

START_SECONDS: Final = 90.0  # longer than the unit's own TimeoutStartSec=
_SECONDS: Final = 60.0
_JOURNAL_LINES: Final = 15
# What our unit says of its order, and what every service with default dependencies comes after.
_AFTER: Final = ("dbus.service", "basic.target", "sysinit.target")
_VERSION: Final = re.compile(r"(?:systemd |shared-)([0-9]+)")
_LIBRARIES: Final = tuple(
    f"{place}/systemd/libsystemd-shared-*.so" for place in ("usr/lib", "usr/lib/*", "usr/lib64")
)
_LINGER: Final = Path("/var/lib/systemd/linger")


@dataclass(frozen=True, slots=True)
class Manager:
    """The system's service manager or the user's; with `root`, none: unit files of an image."""

    user: bool
    root: str = "/"

    @property
    def runs(self) -> bool:
        """Whether there is a manager to ask (sd_booted(3))."""
        if self.root != "/":
            return False
        if self.user:
            return Path(_runtime_directory(), "systemd/private").exists()
        return Path("/run/systemd/system").is_dir()

    def version(self) -> int | None:
        """The number of the systemd that units are meant for, None where an image does not tell."""
        if self.root == "/":
            found = _VERSION.search(self._systemctl(["--version"]).stdout)
        else:
            libraries = (path for lib in _LIBRARIES for path in Path(self.root).glob(lib))
            found = _VERSION.search(" ".join(path.name for path in libraries))
        return int(found[1]) if found else None

    def is_running(self) -> bool:
        """Whether our unit runs, or starts over and over."""
        return self.show("ActiveState").get("ActiveState") not in ("inactive", "failed")

    def is_enabled(self) -> bool:
        """Whether our unit starts at boot, or at the user's login."""
        return self._systemctl(["is-enabled", "--quiet", UNIT]).returncode == 0

    def knows_unit(self) -> bool:
        """Whether there is such a unit as far as the manager knows."""
        return self.show("LoadState").get("LoadState") != "not-found" or self.is_running()

    def forget(self) -> None:
        """Have the manager notice that the unit's files are gone, and that it ever failed."""
        self.do("daemon-reload")
        self._systemctl(["reset-failed", UNIT])  # which fails where it is not known any more

    def do(self, *arguments: str, seconds: float = _SECONDS) -> None:
        """Run `systemctl`; raises `HostError` with what it said."""
        ended = self._systemctl(arguments, seconds)
        if ended.returncode != 0:
            said = escaped(" ".join(ended.stderr.split())) or f"exit status {ended.returncode}"
            raise HostError(f"systemctl {' '.join(arguments)}: {said}")

    def show(self, *properties: str) -> Mapping[str, str]:
        """Properties of our own unit."""
        wanted = [f"--property={name}" for name in properties]
        said = self._systemctl(["show", UNIT, *wanted]).stdout
        return dict(line.partition("=")[::2] for line in said.splitlines())

    def earlier(self) -> frozenset[str]:
        """The units that come before ours at boot, directly or not.

        None of them can come after it too: systemd would break the circle by leaving one out.
        """
        found: set[str] = set()
        next_ones = set(_AFTER)
        while next_ones:
            found |= next_ones
            said = self._systemctl(["show", "--property=After", *sorted(next_ones)]).stdout
            next_ones = set(said.replace("After=", " ").split()) - found - {UNIT}
        return frozenset(found)

    def last_words(self, since: float) -> list[str]:
        """The last lines that our unit and systemd about it have left in the journal."""
        unit = "--user-unit" if self.user else "--unit"
        command = ["journalctl", f"{unit}={UNIT}", f"--since=@{int(since)}", "--quiet"]
        try:
            if not self.user:  # what has not been written yet is not found
                _run(["journalctl", "--sync"], _SECONDS)
            ended = _run([*command, "--no-pager", f"--lines={_JOURNAL_LINES}"], _SECONDS)
        except HostError:
            return []
        return [escaped(line) for line in ended.stdout.splitlines()]

    def lingers(self, name: str) -> bool:
        """Whether the user's services run without a login (loginctl(1))."""
        return not self.user or (_LINGER / name).exists()

    def _systemctl(
        self, arguments: Sequence[str], seconds: float = _SECONDS
    ) -> "subprocess.CompletedProcess[str]":
        options = ["--user"] if self.user else []
        if self.root != "/":
            options = [f"--root={self.root}"]
        return _run(["systemctl", *options, "--no-pager", "--no-ask-password", *arguments], seconds)


def update_catalog(root: str) -> None:
    """Have `journalctl -x` find what catalogue files say now."""
    ended = _run(["journalctl", f"--root={root}", "--update-catalog"], _SECONDS)
    if ended.returncode != 0:
        raise HostError(f"journalctl --update-catalog: {escaped(' '.join(ended.stderr.split()))}")


def _run(command: Sequence[str], seconds: float) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": _runtime_directory()}
    began = time.monotonic()
    try:
        return subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise HostError(f"there is no {command[0]} on this machine") from None
    except subprocess.TimeoutExpired:
        took = time.monotonic() - began
        raise HostError(f"{' '.join(command)} did not end within {took:.0f} s") from None


def _runtime_directory() -> str:
    """Where the user's manager is; `su` leaves the variable out."""
    return os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
