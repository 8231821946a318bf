"""Whether there is a policy that loads, and nobody but its owner can have changed it."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jada_configd.core.specs import Policy
from jada_configd.core.survey import DaemonLook, Unknown
from jada_configd.core.wording import count, escaped
from jada_configd.diagnosis.findings import Finding, ok, problem, unknown, warning
from jada_configd.diagnosis.service_manager import systemctl


@dataclass(frozen=True, slots=True)
class PolicyLook:
    """The policy on disk: what it declares, or every error; `untrusted` names who could change it.

    `named`: given on the command line, so not what the daemon reads.
    """

    path: str
    exists: bool
    policy: Policy | None = None
    errors: tuple[str, ...] = ()
    untrusted: str | None = None
    named: bool = False


def policy(
    look: PolicyLook | Unknown,
    daemon: DaemonLook | None,
    *,
    place: Sequence[str] = (),
    shipped: Sequence[str],
) -> Iterator[Finding]:
    """The policy file with its fragments.

    `place` are the options that mean this very place: `--user`, or `--root` with its directory.
    """
    check = "policy"
    if isinstance(look, Unknown):
        yield unknown(check, look)
        return
    where = shlex.quote(escaped(look.path))
    if not look.exists:
        example = next(iter(shipped), "FILE")
        says = f"there is no policy at {escaped(look.path)}: nothing is held"
        remedy = shlex.join(["jada-configd", "install", *place, "--policy", example])
        yield problem(check, says, escaped(remedy))
        return
    reload = f"{systemctl(user='--user' in place)} reload jada-configd"
    validate = escaped(shlex.join(["jada-configd", "validate", *place]))
    if look.named:
        validate = f"jada-configd validate {where}"
    for message in look.errors:
        after = f" && {reload}" if daemon is not None and not look.named else ""
        yield problem(check, escaped(message), f"edit {where}, then: {validate}{after}")
    if look.untrusted is not None:
        says = f"{look.untrusted}: whoever can change it decides what is held"
        yield problem(check, says, f"chown root: {where} && chmod go-w {where}")
    if look.policy is None:
        return
    for message in look.policy.warnings:
        yield warning(check, escaped(message), f"edit {where}")
    if _is_another(look, daemon):
        says = "the policy on disk is another than the one that the daemon has read"
        yield warning(check, says, reload)
    entries = len(look.policy.settings) + len(look.policy.services)
    if look.untrusted is None:
        yield ok(check, f"{escaped(look.path)} loads ({count(entries, 'table')})")


def _is_another(look: PolicyLook, daemon: DaemonLook | None) -> bool:
    if daemon is None or look.named or look.policy is None:
        return False
    return daemon.revision not in (None, look.policy.revision)
