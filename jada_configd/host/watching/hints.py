"""What a watcher hears: paths that may have changed, and no fact about any of them."""

import enum
from typing import Final, TypeAlias


class Everything(enum.Enum):
    """The type of `EVERYTHING`: any path may have changed."""

    EVERYTHING = "everything"


EVERYTHING: Final = Everything.EVERYTHING
Hints: TypeAlias = "frozenset[str] | Everything"
