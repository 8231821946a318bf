"""What can go wrong, drawn as a tree.

::

    JadaError
    ├── PolicyError       the policy does not load; carries every message at once
    │   └── ValidatorFailed   nor could it be told whether it would
    ├── Busy              another instance holds the lock
    └── HostError         the machine said no; becomes a Report, never ends the daemon
        ├── Stale         what was to be replaced is not what was looked at: look again
        ├── Unable        the machine cannot: full, read-only, no permission, an I/O error
        ├── Refused       going on would be unsafe (a hop of somebody else, a FIFO, a device)
        ├── TooMany       a bound was reached; what was found within it comes along
        ├── ManagerGone   neither the bus nor `systemctl` answers
        └── UnitRefused   systemd refused a job or a reload, with its own words

Bad content raises nothing: it is an observation with a problem. Any other exception is a bug.
"""

from collections.abc import Sequence


class JadaError(Exception):
    """The root of the tree."""


class PolicyError(JadaError):
    """The policy does not load.

    `messages` are complete lines, `file:line:column: where: what`, in the order of the text.
    """

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("\n".join(messages))
        self.messages = tuple(messages)


class ValidatorFailed(PolicyError):
    """The policy could not be validated, whatever stands in it: that may go better another time."""


class Busy(JadaError):
    """Another instance, or another pass, holds the lock."""


class HostError(JadaError):
    """The machine said no. The text is one sentence for an operator."""


class Stale(HostError):
    """What was to be changed is no longer what was looked at."""


class Unable(HostError):
    """The machine cannot: a full disk, a read-only file system, no permission, an I/O error."""


class Refused(HostError):
    """Going on would be unsafe; the text names the hop, or the sort of file, that is in the way."""


class TooMany(HostError):
    """A bound was reached. `found` is complete but for what the text names."""

    def __init__(self, text: str, found: tuple[str, ...]) -> None:
        super().__init__(text)
        self.found = found


class ManagerGone(HostError):
    """Neither the bus nor `systemctl` answers."""


class UnitRefused(HostError):
    """systemd refused; the text is its own."""
