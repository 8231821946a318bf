"""How the main process of a unit ended, in words for an operator.

From what waitid(2) told systemd, which passes it on as `ExecMainCode` and `ExecMainStatus`.
"""

import signal
from typing import Final

_EXITED: Final = 1  # CLD_EXITED; sigaction(2)
_BY_SIGNAL: Final = (2, 3)  # CLD_KILLED, CLD_DUMPED
# What it means when systemd itself got no further than this on the way to the program; from 200 on
# (systemd.exec(5), process exit codes).
_FIRST_STEP: Final = 200
_STEPS: Final = (
    "CHDIR", "NICE", "FDS", "EXEC", "MEMORY", "LIMITS", "OOM_ADJUST", "SIGNAL_MASK", "STDIN",
    "STDOUT", "CHROOT", "IOPRIO", "TIMERSLACK", "SECUREBITS", "SETSCHEDULER", "CPUAFFINITY",
    "GROUP", "USER", "CAPABILITIES", "CGROUP", "SETSID", "CONFIRM", "STDERR", "", "PAM", "NETWORK",
    "NAMESPACE", "NO_NEW_PRIVILEGES", "SECCOMP", "SELINUX_CONTEXT", "PERSONALITY", "APPARMOR",
    "ADDRESS_FAMILIES", "RUNTIME_DIRECTORY", "", "CHOWN", "SMACK_PROCESS_LABEL", "KEYRING",
    "STATE_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY",
    "NUMA_POLICY", "CREDENTIALS", "BPF",
)  # fmt: skip


def how_it_ended(code: int, status: int) -> str:
    """`exit status 3`, `exit status 203 (EXEC)`, `signal SEGV`; "" for one that ended well.

    "" too for one that has not ended: systemd forgets the end of the last as it starts the next.
    """
    if code in _BY_SIGNAL:
        return f"signal {_signal(status)}"
    if code != _EXITED or status == 0:
        return ""
    step = _STEPS[status - _FIRST_STEP] if 0 <= status - _FIRST_STEP < len(_STEPS) else ""
    return f"exit status {status}" + (f" ({step})" if step else "")


def _signal(number: int) -> str:
    """Its name without SIG; real-time signals have none of their own."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)
