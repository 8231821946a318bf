"""Removes the state directory for `uninstall --purge`, and nothing that is not in it."""

import shutil
import stat

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, Refused
from jada_configd.host.mounts import Mounts
from jada_configd.host.trust import trust
from jada_configd.host.walk import Nowhere, Walk


def purge(root: str, path: str) -> bool:
    """Remove the directory at a path inside the root; False where there is none.

    Raises `Refused` where something else stands there, `HostError`.
    """
    mounts = Mounts()
    try:
        with Walk(root, trust(scratch=root != "/"), mounts) as walk:
            end = walk.to(path)
            if end.descriptor < 0:
                return False
            if end.path != path or not stat.S_ISDIR(end.facts.st_mode):
                raise Refused(f"{escaped(path)} is no directory of its own; it is left alone")
            shutil.rmtree(end.name, dir_fd=end.directory.descriptor)
    except Nowhere:
        return False
    except OSError as error:
        raise HostError(f"{escaped(path)} cannot be removed: {error.strerror}") from None
    finally:
        mounts.close()
    return True
