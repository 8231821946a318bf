"""What a file has beside its bytes, owner and mode: extended attributes and ACLs.

Never copied: what gives rights to content (`security.capability`) or vouches for it
(`security.ima`, `security.evm`), because the content is new; and overlayfs's own book-keeping.
"""

import errno
import os
from collections.abc import Mapping
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import Refused

BYTES_AT_MOST: Final = 1024 * 1024

_LABELS: Final = ("security.selinux", "security.SMACK64")
_ACL: Final = "system.posix_acl_access"  # acl(5)
_NONE_HERE: Final = {errno.ENOTSUP, errno.ENODATA, errno.ENOSYS}


def attributes(descriptor: int, path: str) -> dict[str, bytes]:
    """The attributes of an open file that a new content keeps; raises OSError, `Refused`."""
    found: dict[str, bytes] = {}
    size = 0
    for name in _names(descriptor):
        if not _goes_over(name):
            continue
        try:
            found[name] = os.getxattr(descriptor, name)
        except OSError as error:
            if error.errno in _NONE_HERE:
                continue
            raise
        size += len(found[name])
        if size > BYTES_AT_MOST:
            raise Refused(f"{escaped(path)} has more than {BYTES_AT_MOST} bytes of attributes")
    return found


def give(descriptor: int, wanted: Mapping[str, bytes]) -> None:
    """Give an open file these attributes and no others; raises OSError.

    What it inherited goes too: a directory's default ACL gives rights that the replaced file did
    not give. A label or a foreign ACL that cannot be set is left as the directory's policy made it.
    """
    for name in _names(descriptor):
        if name not in wanted and _goes_over(name) and name not in _LABELS:
            os.removexattr(descriptor, name)
    for name, value in wanted.items():
        try:
            os.setxattr(descriptor, name, value)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO} or _is_rights(name):
                raise


def _names(descriptor: int) -> list[str]:
    try:
        return os.listxattr(descriptor)
    except OSError as error:
        if error.errno in _NONE_HERE:
            return []
        raise


def _goes_over(name: str) -> bool:
    if name.startswith("security."):
        return name in _LABELS
    return not name.startswith("trusted.overlay.")


def _is_rights(name: str) -> bool:
    return name == _ACL or name.startswith(("user.", "trusted."))
