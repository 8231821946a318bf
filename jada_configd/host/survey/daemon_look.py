"""What a daemon says of itself, in the snapshot that it replaces, and whether it is alive."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jada_configd.core.survey import DaemonLook


def snapshot(path: str) -> Mapping[str, Any] | None:
    """The snapshot at that path, or None where no daemon is there that it could be of."""
    try:
        plain: Mapping[str, Any] = json.loads(Path(path).read_text(encoding="ascii"))
        pid = int(plain["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return plain if _is_ours(pid) else None


def daemon_look(path: str) -> DaemonLook | None:
    """What a doctor needs to know of it."""
    plain = snapshot(path)
    if plain is None:
        return None
    policy = plain.get("policy")
    revision = policy.get("revision") if isinstance(policy, Mapping) else None
    return DaemonLook(
        int(plain["pid"]),
        str(plain.get("state", "")),
        str(plain.get("reason") or ""),
        str(plain.get("version", "")),
        str(revision) if revision else None,
    )


def _is_ours(pid: int) -> bool:
    """Whether that process is a daemon of this program; one that was killed leaves its file."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"jada-configd" in command or b"jada_configd" in command
