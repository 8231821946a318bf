"""Where resources stand on a host, and how a pattern is followed."""

from dataclasses import dataclass

from jada_configd.core.seams import Reader
from jada_configd.errors import HostError, TooMany


@dataclass(frozen=True, slots=True)
class Scope:
    """Where units have their drop-ins; whether what runs (manager, processes, kernel) is looked at.

    `user`: a user's own service, which has no part in what is root's below /etc.
    """

    unit_directory: str
    managed: bool
    user: bool = False


def is_pattern(path: str) -> bool:
    """Whether a path has a wildcard (glob(7))."""
    return any(wildcard in path for wildcard in "*?[")


def matches(pattern: str, reader: Reader, troubles: list[str]) -> tuple[str, ...]:
    """What a pattern comes to; as much as was found where it cannot be followed to its end."""
    try:
        return reader.glob(pattern)
    except TooMany as error:
        troubles.append(str(error))
        return error.found
    except HostError as error:
        troubles.append(str(error))
        return ()
