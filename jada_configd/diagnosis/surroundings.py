"""What else the program depends on: the clock, Python, and what logins go through."""

from collections.abc import Iterator, Sequence
from typing import Final

from jada_configd.core.survey import ClockLook, PamLook
from jada_configd.diagnosis.findings import Finding, ok, problem, warning

OLDEST_PYTHON: Final = (3, 11)
_NOT_BEFORE: Final = 2024  # a clock that says an earlier year was never set
_PAM_LINE: Final = "session required pam_limits.so"
# Where a file lacks the line, those that it includes may have it: asked for are those that decide.
_WAYS: Final = ("login", "sshd", "su")


def clock(look: ClockLook) -> Iterator[Finding]:
    """Moments in the history and the journal mean something only on a clock that is right."""
    check = "clock"
    if look.year < _NOT_BEFORE:
        says = f"the clock says that it is {look.year}: what happens is told with wrong times"
        yield problem(check, says, "timedatectl set-ntp true  # or: timedatectl set-time ...")
    elif look.synchronised is None:
        yield ok(check, "is set; whether it is synchronised the kernel does not tell")
    elif not look.synchronised:
        says = "the clock is not synchronised: what happens may be told with wrong times"
        remedy = "timedatectl set-ntp true  # in a container: on its host"
        yield warning(check, says, remedy)
    else:
        yield ok(check, "is synchronised")


def python(version: Sequence[int], executable: str) -> Iterator[Finding]:
    """The interpreter that runs this."""
    check, text = "python", ".".join(map(str, version[:3]))
    if tuple(version[:2]) < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        says = f"Python {text} is older than {oldest}"
        yield problem(check, says, f"python{oldest} -m venv /opt/jada-configd  # and install there")
    else:
        yield ok(check, f"Python {text}, {executable}")


def logins(look: PamLook, *, holds_logins: bool) -> Iterator[Finding]:
    """Limits of logins are given by pam_limits(8), where the way in goes through it."""
    check = "logins"
    if not holds_logins:
        return
    found = False
    ways = [name for name in _WAYS if name in look.limited]
    for name in ways:
        if not look.limited[name]:
            found = True
            says = f"/etc/pam.d/{name} does not go through pam_limits: there limits have no effect"
            yield warning(check, says, f"echo '{_PAM_LINE}' >> /etc/pam.d/{name}")
    if look.usepam is False:
        found = True
        says = "sshd does not use PAM: limits have no effect on its logins"
        yield warning(check, says, "edit /etc/ssh/sshd_config: UsePAM yes; systemctl reload ssh")
    if not ways:
        says = "no login goes through PAM here: limits of logins have no effect"
        yield problem(check, says, "apt install login")
    elif not found:
        yield ok(check, f"go through pam_limits ({', '.join(ways)})")
