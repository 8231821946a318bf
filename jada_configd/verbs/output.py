"""What the verbs share about printing: JSON alone on standard output, colour only on a terminal."""

import json
import os
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from jada_configd.render import WIDTH, Painter


def print_json(plain: Mapping[str, Any]) -> None:
    """One JSON document and nothing else; ASCII, so that no terminal acts on it."""
    sys.stdout.write(json.dumps(plain, indent=2) + "\n")


def painter() -> Painter:
    """Colour on a terminal, unless `NO_COLOR` is set (https://no-color.org)."""
    return Painter(colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))


def sentences(text: str) -> list[str]:
    """What is said to a person, in lines of 80 columns; a word, such as a path, stays whole."""
    lines = []
    for line in text.splitlines():
        lines += textwrap.wrap(
            line,
            WIDTH,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def complain(*lines: str) -> None:
    """Lines on standard error."""
    for line in lines:
        print(line, file=sys.stderr)
