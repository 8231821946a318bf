"""The files that come with the program, wherever it stands: in a wheel or in a checkout."""

from pathlib import Path
from typing import Final

import jada_configd
from jada_configd.errors import HostError

_PACKAGE: Final = Path(jada_configd.__file__).parent


def shipped(name: str) -> str:
    """The text of a shipped file, named as in a checkout (`systemd/jada-configd.service`).

    Raises `HostError` where the installation is not whole.
    """
    path = _place(name)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        problem = f"{path}, a part of jada-configd, cannot be read: {error.strerror}"
        raise HostError(problem) from None


def policies() -> tuple[str, ...]:
    """The paths of the shipped policies."""
    return tuple(str(path) for path in sorted(_place("policies").glob("*.toml")))


def _place(name: str) -> Path:
    packaged = _PACKAGE / "shipped"
    return (packaged if packaged.is_dir() else _PACKAGE.parent) / name
