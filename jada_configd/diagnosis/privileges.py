"""Whether the program may do what the policy asks: who runs it, capabilities, security modules."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from jada_configd.core.survey import ProcessLook, SecurityLook
from jada_configd.core.wording import escaped
from jada_configd.diagnosis.containers import grant
from jada_configd.diagnosis.findings import Finding, ok, problem, warning

# Without these root cannot correct files in users' directories.
_FOR_FILES: Final = {
    "CAP_CHOWN": "a corrected file cannot keep its owner",
    "CAP_DAC_OVERRIDE": "settings in users' directories cannot be read or corrected",
    "CAP_FOWNER": "a corrected file cannot keep its mode and attributes",
}
_LESS: Final = {
    "CAP_LEASE": "a program that still writes to a file when it is replaced goes unnoticed",
    "CAP_SYS_RESOURCE": (
        "limits of running processes of other users cannot be changed, and no hard limit raised"
    ),
}
# The kernel asks for more than root's user id there (kernel/sysctl.c, kernel/bpf/syscall.c).
_ADMIN_KEYS: Final = frozenset(
    {"kernel.dmesg_restrict", "kernel.kptr_restrict", "kernel.unprivileged_bpf_disabled"}
)


@dataclass(frozen=True, slots=True)
class Doer:
    """Who does the work: the daemon where one runs, else this very process."""

    look: ProcessLook
    is_daemon: bool
    above: frozenset[str] | None = None  # what PID 1 has: the rest our own unit keeps back
    container: str = ""

    @property
    def name(self) -> str:
        """`the daemon (process 77)`."""
        return f"the daemon (process {self.look.pid})" if self.is_daemon else "this process"


def identity(uid: int, *, user: bool, sysctls: Collection[str] = ()) -> Iterator[Finding]:
    """Root's work needs root."""
    if user and uid != 0 and sysctls:
        says = f"the policy of one user holds {', '.join(sorted(sysctls))}: root alone can set that"
        yield problem("user", says, "move [sysctl] to the policy of the host")
    elif user:
        yield ok("user", f"works for one user, uid {uid}, without root")
    elif uid == 0:
        yield ok("user", "runs as root")
    else:
        says = f"runs as uid {uid}: without root neither other users' files nor units can be held"
        yield problem("user", says, "sudo jada-configd doctor  # or, for one user: --user")


def capabilities(
    doer: Doer, *, holds_files: bool, holds_limits: bool, sysctls: frozenset[str]
) -> Iterator[Finding]:
    """What root may really do (capabilities(7)); of the daemon's, where one runs."""
    check, held = "capabilities", doer.look.capabilities
    if doer.look.uid != 0:
        return
    found = False
    for name, effect in {**_FOR_FILES, **_LESS}.items():
        if name in held or not (holds_limits if name == "CAP_SYS_RESOURCE" else holds_files):
            continue
        found = True
        tell = problem if name in _FOR_FILES else warning
        yield tell(check, f"{doer.name} lacks {name}: {effect}", _grant(doer, name))
    if "CAP_SYS_ADMIN" not in held and (keys := sorted(sysctls & _ADMIN_KEYS)):
        found = True
        says = f"{doer.name} lacks CAP_SYS_ADMIN: {', '.join(keys)} cannot be set"
        yield problem(check, says, _grant(doer, "CAP_SYS_ADMIN"))
    if not found:
        yield ok(check, f"{doer.name} has those that the policy needs")


def confinement(module: SecurityLook, doer: Doer) -> Iterator[Finding]:
    """A security module may refuse what permissions grant (selinux(8), apparmor(7))."""
    check = "security-module"
    name = escaped(doer.look.confinement)
    if not module.module:
        yield ok(check, "neither SELinux nor AppArmor is in the way")
    elif not module.enforcing:
        yield ok(check, f"{module.module} does not enforce anything")
    elif not name or "unconfined" in name or name == "kernel":
        yield ok(check, f"{module.module} is enforcing, and leaves {doer.name} unconfined")
    else:
        says = f"{module.module} confines {doer.name} as {name}: it may refuse what root may do"
        yield warning(check, says, _ask(module.module))


def _ask(module: str) -> str:
    if module == "SELinux":
        return "ausearch --message avc --start recent"
    return "journalctl --dmesg --grep 'apparmor=\"DENIED\"'"


def _grant(doer: Doer, name: str) -> str:
    """A unit's own bounds come from its file; what is above it, from whoever started all this."""
    if doer.is_daemon and doer.above is not None and name in doer.above:
        return "jada-configd install  # or systemctl edit jada-configd: CapabilityBoundingSet="
    return grant(doer.container, name)
