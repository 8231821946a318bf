"""Where something is installed: a host, one user's part of it, or an image at a root."""

import argparse
import os
from dataclasses import dataclass
from typing import Final

from jada_configd.errors import HostError
from jada_configd.host.directories import Directories, directories
from jada_configd.host.filesystem.files import Files
from jada_configd.installation.manager import Manager

_PERSONAL: Final = ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")


@dataclass(frozen=True, slots=True)
class Site:
    """Directories, files below the root, and the service manager that units are meant for."""

    where: Directories
    files: Files
    manager: Manager

    @property
    def image(self) -> bool:
        """Whether this is a tree that does not run."""
        return not self.where.managed

    def inside(self, path: str) -> str:
        """A path of `where` as it is seen inside the root."""
        return path.removeprefix(self.where.root) if self.image else path


def site(options: argparse.Namespace) -> Site:
    """The place that the command line means. Raises `HostError` where nothing can be installed."""
    # What a unit hands over ($STATE_DIRECTORY ...) is of another service, should this run in one.
    environ = {name: os.environ[name] for name in _PERSONAL if name in os.environ}
    where = directories(user=options.user, root=options.root, environ=environ)
    where.check_root()
    manager = Manager(options.user, where.root)
    if where.managed:
        _check(manager)
    elif options.user:
        raise HostError("--user with --root: a user's service is installed on a running host")
    return Site(where, Files(where.root), manager)


def _check(manager: Manager) -> None:
    if not manager.user and os.geteuid() != 0:
        raise HostError("a service of the host needs root: sudo; without root: --user")
    if manager.runs:
        return
    if manager.user:
        whose = "root's, under sudo" if os.geteuid() == 0 else "yours"
        raise HostError(
            f"there is no service manager of a user ({whose}): log in, or `loginctl enable-linger`"
        )
    raise HostError(
        "systemd does not run here (/run/systemd/system is missing); "
        "`jada-configd run` runs in the foreground, --root DIR installs into an image"
    )
