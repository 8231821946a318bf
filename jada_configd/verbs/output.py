"""What the verbs share about printing: JSON alone on standard output, colour only on a terminal."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from jada_configd.render import Painter


def print_json(plain: Mapping[str, Any]) -> None:
    """One JSON document and nothing else; ASCII, so that no terminal acts on it."""
    sys.stdout.write(json.dumps(plain, indent=2) + "\n")


def painter() -> Painter:
    """Colour on a terminal, unless `NO_COLOR` is set (https://no-color.org)."""
    return Painter(colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))


def complain(*lines: str) -> None:
    """Lines on standard error."""
    for line in lines:
        print(line, file=sys.stderr)
