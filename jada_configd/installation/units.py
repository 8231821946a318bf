"""The texts of our own unit and its drop-ins, fitted to an installation and to a policy.

Pure: nothing here looks at the machine.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from jada_configd.core.resources import is_pattern
from jada_configd.core.specs import Policy

UNIT: Final = "jada-configd.service"
NOTIFY_RELOAD: Final = "10-notify-reload.conf"
NOTIFY_RELOAD_SINCE: Final = 253  # systemd.service(5), Type=notify-reload
FROM_POLICY: Final = "50-policy.conf"

# ProtectSystem=yes makes /usr, /boot and /efi read-only (systemd.exec(5)); these lead into /usr.
_UNDER_USR: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_EXEC_START = re.compile(r"^ExecStart=.*$", re.MULTILINE)
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@+=:,./-]+")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a policy asks of our unit: services that start after it, places that it writes to."""

    before: tuple[str, ...]
    writable: tuple[str, ...]


def unit_text(shipped: str, command: Sequence[str], *, user: bool) -> str:
    """The shipped unit with the command of this installation."""
    words = [*command, "run", *(["--user"] if user else [])]
    line = f"ExecStart={' '.join(word(each) for each in words)}"
    return _EXEC_START.sub(lambda _: line, shipped, count=1)


def needs(policy: Policy, earlier: Collection[str], *, user: bool) -> Needs:
    """What the unit needs for this policy; `earlier` are units that start before it anyway."""
    units = {spec.unit for spec in policy.services}
    units.update(unit for spec in policy.settings for unit in spec.services)
    before = sorted(units - {UNIT} - set(earlier))
    paths = [*(spec.path for spec in policy.settings), policy.textfile or ""]
    places = set() if user else {place for path in paths if (place := _closed(path))}
    return Needs(tuple(before), tuple(sorted(places)))


def policy_text(policy_path: str, wanted: Needs) -> str:
    """The drop-in for what depends on the policy."""
    lines = [
        f"# Written by `jada-configd install` for {policy_path}; the next install writes it anew.",
        "",
        "[Unit]",
        "# They start when their files and limits are right.",
        # As they are: in names of units systemd takes no escape away (systemd.unit(5)).
        *(f"Before={unit}" for unit in wanted.before),
    ]
    if wanted.writable:
        lines += ["", "[Service]", "# The policy holds files there, or has metrics written."]
        lines += [f"ReadWritePaths={word('-' + place)}" for place in wanted.writable]
    return "\n".join(lines) + "\n"


def word(text: str) -> str:
    """A word of a unit file: quoted where need be, without specifiers (systemd.syntax(7))."""
    text = text.replace("%", "%%")
    if _PLAIN_WORD.fullmatch(text):
        return text
    return '"' + "".join(_in_quotes(each) for each in text) + '"'


def _in_quotes(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))


def _closed(path: str) -> str | None:
    """The directory that has to be opened for this path to be writable, None where it is."""
    if not path.startswith(tuple(f"{place}/" for place in (*_UNDER_USR, "/boot", "/efi"))):
        return None
    kept: list[str] = []
    for name in path.split("/")[1:-1]:
        if is_pattern(name):
            break
        kept.append(name)
    return "/" + "/".join(kept)
