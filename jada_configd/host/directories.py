"""Where the program has its files: as root, for one user, under systemd, on a scratch root."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError

NAME = "jada-configd"
NEEDS_ROOT = "It needs root on a host: sudo. For files of one's own: --user."


@dataclass(frozen=True, slots=True)
class Directories:
    """Directories as the machine has them, `root` included; `units` as seen inside `root`."""

    root: str
    user: bool
    configuration: str
    state: str
    runtime: str
    units: str
    home: str | None  # what `~/` stands for in a policy; None where it stands for nothing

    @property
    def policy(self) -> str:
        """The policy file."""
        return f"{self.configuration}/policy.toml"

    @property
    def status(self) -> str:
        """The daemon's snapshot of how things stand."""
        return f"{self.runtime}/status.json"

    @property
    def managed(self) -> bool:
        """Whether there is a service manager and there are processes: not on a scratch root."""
        return self.root == "/"

    @property
    def needs_root(self) -> bool:
        """Whether these are root's places on the host itself, and we are somebody else."""
        ours = f"/run/{NAME}"
        return self.managed and not self.user and os.geteuid() != 0 and self.runtime == ours

    def check_root(self) -> None:
        """Raises `HostError` where there is no such tree: a slip of the pen makes none."""
        if not os.path.isdir(self.root):
            raise HostError(f"--root: there is no directory {escaped(self.root)}")


def directories(*, user: bool, root: str = "/", environ: Mapping[str, str]) -> Directories:
    """The directories of this run.

    Under systemd they are those that it hands over (systemd.exec(5), `ConfigurationDirectory=`); of
    several, separated by colons, the first.
    """
    if root != "/":
        root = _absolute(root)
        prefix = root
        environ = {}
    else:
        prefix = ""
    home = home_directory(environ) if user else None
    if user:
        configuration = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
        state = environ.get("XDG_STATE_HOME") or f"{home}/.local/state"
        runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        units = f"{configuration}/systemd/user"
    else:
        configuration, state, runtime, units = "/etc", "/var/lib", "/run", "/etc/systemd/system"
    return Directories(
        root,
        user,
        _handed(environ, "CONFIGURATION_DIRECTORY") or f"{prefix}{configuration}/{NAME}",
        _handed(environ, "STATE_DIRECTORY") or f"{prefix}{state}/{NAME}",
        _handed(environ, "RUNTIME_DIRECTORY") or f"{prefix}{runtime}/{NAME}",
        units,
        home,
    )


def home_directory(environ: Mapping[str, str]) -> str:
    """`$HOME`, or what the user database says."""
    home = environ.get("HOME", "")
    return home.rstrip("/") if home.startswith("/") else pwd.getpwuid(os.getuid()).pw_dir


def _absolute(root: str) -> str:
    try:
        return os.path.realpath(root)
    except OSError:  # relative to a working directory that was removed
        return root


def _handed(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").partition(":")[0]
