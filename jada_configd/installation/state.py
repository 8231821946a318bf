"""Removes the state directory for `uninstall --purge`, and nothing that is not in it."""

import os
import shutil
import stat

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, Refused
from jada_configd.host.filesystem.mounts import Mounts
from jada_configd.host.filesystem.trust import trust
from jada_configd.host.filesystem.walk import Nowhere, Walk, components


def purge(root: str, path: str) -> bool:
    """Remove the directory at a path inside the root; False where there is none.

    Raises `Refused` where something else stands there, `HostError`.
    """
    *way, name = components(path)
    mounts = Mounts()
    try:
        with Walk(root, trust(scratch=root != "/"), mounts) as walk:
            here = walk.start()
            for each in way:
                here = walk.into(here, each)
            facts = os.stat(name, dir_fd=here.descriptor, follow_symlinks=False)
            if not stat.S_ISDIR(facts.st_mode):
                raise Refused(f"{escaped(path)} is no directory of its own; it is left alone")
            shutil.rmtree(name, dir_fd=here.descriptor)
    except (Nowhere, FileNotFoundError):
        return False
    except OSError as error:
        raise HostError(f"{escaped(path)} cannot be removed: {error.strerror}") from None
    finally:
        mounts.close()
    return True
