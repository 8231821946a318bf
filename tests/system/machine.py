"""What the machine must have so that throwaway hosts can boot on it, and what it says if not."""

import os
from collections.abc import Mapping
from pathlib import Path

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NEEDED: Mapping[str, str] = {
    "dbus-daemon": "dbus",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "systemctl": "systemd",
    "systemd-nspawn": "systemd-container",
}


def why_not() -> str | None:
    """One sentence that says why no throwaway host can boot on this machine, or None."""
    if os.geteuid() != 0:
        return "a throwaway host needs root"
    if missing := [name for name in NEEDED if not _on_path(name)]:
        packages = " ".join(sorted({NEEDED[name] for name in missing}))
        return f"{', '.join(missing)} not found: apt-get install -y {packages}"
    if "cgroup2" not in Path("/proc/filesystems").read_text():
        return "this kernel has no cgroup v2"
    release = Path("/proc/sys/kernel/osrelease").read_text().lower()
    if "microsoft" in release and not Path("/run/systemd/system").is_dir():
        return "WSL without systemd cannot boot a throwaway host: set systemd=true in /etc/wsl.conf"
    held = next(
        int(line.split()[1], 16)
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("CapEff")
    )
    if not held >> 21 & 1:  # capability.h, CAP_SYS_ADMIN
        return "this container lacks CAP_SYS_ADMIN, which a throwaway host needs (--privileged)"
    return None


def _on_path(name: str) -> bool:
    return any(Path(place, name).exists() for place in SEARCH_PATH.split(":"))


def scope() -> list[str]:
    """A part of the control groups that is ours, where systemd manages them (sd_booted(3))."""
    if not Path("/run/systemd/system").is_dir():
        return []
    return ["systemd-run", "--quiet", "--scope", "--collect", "--property=Delegate=yes", "--"]
