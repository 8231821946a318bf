"""The file that was read last, held open until it is replaced, so that its way is walked once.

A replacement that goes on from the look does what it would after a walk of its own, and is as safe:

- Whatever it does it does by the descriptors of the look, each judged when it was opened. A
  directory that was moved since, or a link that leads elsewhere, sends it nowhere else: it acts in
  the very directory that it looked at, as it would had that been moved just after a second walk.
- It goes on only while the name there still leads to the same inode, with the same owner, mode,
  moments and bytes. Anything else is walked to and judged anew, and refused as ever.
- What the exchange brings out is compared byte for byte with what was looked at, as ever.
- What was corrected is known by the next look, which walks anew: a correction in a directory that
  is no longer the one of that path is found to have changed nothing there.

One look is held, the last, and within one pass alone: no directory of anybody's is kept busy
(umount(2)), and a thousand files take no more descriptors than one.
"""

import os
from dataclasses import dataclass

from jada_configd.host.filesystem.reading import same_moment
from jada_configd.host.filesystem.walk import End, Walk


@dataclass(slots=True)
class Kept:
    """A file as it was read. `path` is as asked for; the walk owns every descriptor."""

    path: str
    walk: Walk
    end: End
    descriptor: int
    data: bytes
    facts: os.stat_result

    def is_in_place(self) -> bool:
        """Whether its name still leads to it, and nothing was done to it since."""
        directory = self.end.directory.descriptor
        facts = self.facts
        try:
            found = os.stat(self.end.name, dir_fd=directory, follow_symlinks=False)
            return (
                (found.st_ino, found.st_dev) == (facts.st_ino, facts.st_dev)
                and (found.st_uid, found.st_gid, found.st_mode, found.st_nlink)
                == (facts.st_uid, facts.st_gid, facts.st_mode, facts.st_nlink)
                and same_moment(found, facts)
                # Within one tick of the clock two writes have the same moment.
                and os.pread(self.descriptor, facts.st_size + 1, 0) == self.data
            )
        except OSError:
            return False
