"""The links by which systemd starts our unit: found and removed where the unit itself is gone.

`systemctl disable` removes them as long as there is a unit to read. Without one some versions of
systemd still do, and others complain and leave them.
"""

import os
import stat
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError
from jada_configd.host.directories import Directories
from jada_configd.host.filesystem.files import Files
from jada_configd.host.filesystem.mounts import Mounts
from jada_configd.host.filesystem.trust import trust
from jada_configd.host.filesystem.walk import Nowhere, Walk, components
from jada_configd.installation.units import UNIT

_KINDS: Final = ("wants", "requires", "upholds")  # systemd.unit(5), [Install]


def links(where: Directories, files: Files) -> list[str]:
    """The paths, as seen inside the root, of the links by which other units pull ours in."""
    found = (path for kind in _KINDS for path in files.glob(f"{where.units}/*.{kind}/{UNIT}"))
    return [path for path in found if _is_link(where.root, path, remove=False)]


def unlink(root: str, path: str) -> None:
    """Remove one of them; raises `HostError`."""
    _is_link(root, path, remove=True)


def _is_link(root: str, path: str, *, remove: bool) -> bool:
    """Whether a link stands there, or stood: what is no link stays in any case."""
    *way, name = components(path)
    mounts = Mounts()
    try:
        with Walk(root, trust(scratch=root != "/"), mounts) as walk:
            here = walk.start()
            for each in way:
                here = walk.into(here, each)
            facts = os.stat(name, dir_fd=here.descriptor, follow_symlinks=False)
            if not stat.S_ISLNK(facts.st_mode):
                return False
            if remove:
                os.unlink(name, dir_fd=here.descriptor)
            return True
    except (Nowhere, FileNotFoundError):
        return False
    except OSError as error:
        raise HostError(f"{escaped(path)} cannot be removed: {error.strerror}") from None
    finally:
        mounts.close()
