"""The clock, the security module, what logins go through, and what a command line would run."""

import ctypes
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Final

from jada_configd.core.survey import ClockLook, PamLook, ProgramLook, SecurityLook

_TIMEX_BYTES: Final = 512  # struct timex has 208; the rest is for kernels to come
_MAXERROR: Final = 3  # its fourth long, microseconds (adjtimex(2))
_SYNCHRONISED_WITHIN: Final = 16_000_000  # µs: as systemd's own NTPSynchronized has it
_SELINUX: Final = "/sys/fs/selinux/enforce"
_APPARMOR: Final = "/sys/module/apparmor/parameters/enabled"

_CONTAINER: Final = "/run/systemd/container"
_LOGINS: Final = ("login", "sshd", "su", "su-l", "common-session", "system-auth")
_INCLUDE: Final = re.compile(r"@include\s+(\S+)|-?\w+\s+(?:include|substack)\s+(\S+)")
_PAM_LIMITS: Final = re.compile(r"-?session\s+(?:\[[^\]]*\]|\S+)\s+(?:\S*/)?pam_limits\.so")
_PAM_DEEPEST: Final = 8
_USEPAM: Final = re.compile(r"\s*UsePAM\s+(\S+)", re.IGNORECASE)
_TEXT_AT_MOST: Final = 1 << 20
_SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def clock_look() -> ClockLook:
    """The clock. adjtimex(2) with no mode set only reads."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    synchronised = None
    if ctypes.CDLL(None).adjtimex(buffer) >= 0:
        error = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_long))[_MAXERROR]
        synchronised = error < _SYNCHRONISED_WITHIN
    return ClockLook(synchronised, time.gmtime().tm_year)


def security_look() -> SecurityLook:
    """SELinux, or AppArmor, or none."""
    enforcing = _text(_SELINUX).strip()
    if enforcing:
        return SecurityLook("SELinux", enforcing == "1")
    if _text(_APPARMOR).strip() == "Y":
        return SecurityLook("AppArmor", enforcing=True)
    return SecurityLook("", enforcing=False)


def container() -> str:
    """What all this runs in (`docker`, `podman`, `lxc`, `systemd-nspawn` …), "" on a host itself.

    systemd writes its name down (systemd-detect-virt(1)); without it, two leave a mark.
    """
    if name := _text(_CONTAINER).strip():
        return name
    marks = {"docker": "/.dockerenv", "podman": "/run/.containerenv"}
    return next((name for name, mark in marks.items() if os.path.exists(mark)), "")


def pam_look(root: str) -> PamLook:
    """Which of the usual ways to log in go through pam_limits(8), in the tree at a root."""
    place = f"{root.rstrip('/')}/etc"
    names = [name for name in _LOGINS if os.path.isfile(f"{place}/pam.d/{name}")]
    limited = {name: _goes_through(f"{place}/pam.d", name, 0) for name in names}
    said = (_USEPAM.match(line) for line in _text(f"{place}/ssh/sshd_config").splitlines())
    first = next((found[1].lower() for found in said if found), None)
    return PamLook(limited, None if first is None else first == "yes")


def program_look(command: Sequence[str]) -> ProgramLook:
    """What a command line runs: whether it is there, and the interpreter that it is written for."""
    path = command[0]
    real = os.path.realpath(path)
    if not os.access(real, os.X_OK) or not os.path.isfile(real):
        return ProgramLook(path, real, path)
    interpreter = _interpreter(real)
    lacks = interpreter if interpreter and not os.access(interpreter, os.X_OK) else None
    return ProgramLook(path, real, lacks)


def on_search_path(name: str) -> tuple[str, ...]:
    """Where programs of that name really are on the search path of root's shell, first first."""
    found = (shutil.which(name, path=place) for place in _SEARCH_PATH.split(":"))
    return tuple(dict.fromkeys(os.path.realpath(path) for path in found if path))


def _interpreter(path: str) -> str:
    """The first word after `#!` (execve(2)), "" where there is none."""
    try:
        with open(path, "rb") as file:
            line = file.readline(4096)
    except OSError:
        return ""
    words = line[2:].split() if line.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else ""


def _goes_through(directory: str, name: str, depth: int) -> bool:
    return any(_PAM_LIMITS.match(line) for line in _pam_lines(directory, name, depth))


def _pam_lines(directory: str, name: str, depth: int) -> Iterator[str]:
    """The lines of a file with those that it includes (pam.d(5)); Debian's `@include` too."""
    for line in _text(f"{directory}/{name}").splitlines():
        rule = line.strip()
        included = _INCLUDE.match(rule)
        if included is None:
            yield rule
        elif depth < _PAM_DEEPEST:
            yield from _pam_lines(directory, included[1] or included[2], depth + 1)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_TEXT_AT_MOST)
    except OSError:
        return ""
