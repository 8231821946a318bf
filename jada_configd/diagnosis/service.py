"""Whether our own service is in place, is this very installation's, and runs well."""

import shlex
from collections.abc import Iterator

from jada_configd.core.survey import DaemonLook, ServiceLook
from jada_configd.core.wording import escaped
from jada_configd.diagnosis.findings import Finding, ok, problem, warning
from jada_configd.diagnosis.service_manager import systemctl, unmask

_UNIT = "jada-configd"


def installation(look: ServiceLook, *, user: bool) -> Iterator[Finding]:
    """The unit: there, enabled, for this very program, and as this version has it."""
    check = "installation"
    unit, control, install = look.unit, systemctl(user=user), _install(user=user)
    if unit.load_state == "masked":
        yield problem(check, f"{_UNIT}.service is masked", unmask(unit, user=user))
        return
    if unit.load_state == "not-found":
        says = "no service is installed here"
        yield warning(check, says, f"{install}  # --policy FILE, where there is none yet")
        return
    found = list(_program(check, look, install))
    if unit.load_state != "loaded":
        says = f"{_UNIT}.service does not load ({escaped(unit.load_state)})"
        found.append(problem(check, says, install))
    found += [
        problem(
            check, f"the service may not write below {escaped(place)}, as the policy asks", install
        )
        for place in look.closed
    ]
    found += [
        warning(check, f"{escaped(path)} is not as this version has it", install)
        for path in look.stale
    ]
    found += [
        warning(check, f"at boot {escaped(name)} may start before its files are right", install)
        for name in look.unordered
    ]
    found += _others(check, look)
    if unit.need_daemon_reload:
        says = "the files of the service are others than systemd has read"
        found.append(warning(check, says, f"{control} daemon-reload && {control} restart {_UNIT}"))
    if unit.unit_file_state == "disabled":
        says = "the service does not start by itself"
        found.append(warning(check, says, f"{control} enable {_UNIT}"))
    yield from found or [ok(check, f"{escaped(unit.fragment)} runs this very program")]


def _program(check: str, look: ServiceLook, install: str) -> Iterator[Finding]:
    program = look.program
    if program is None:
        return
    if program.lacks is not None:
        says = f"the service runs {escaped(program.path)}"
        missing = "which is not there"
        if program.lacks != program.path:
            missing = f"for which {escaped(program.lacks)} is not there"
        yield problem(check, f"{says}, {missing}", install)
    elif tuple(look.unit.command[: len(look.command)]) != look.command:
        says = f"the service runs {escaped(program.path)}, and this is {escaped(look.command[0])}"
        yield warning(check, says, f"{shlex.join(look.command)} {install.partition(' ')[2]}")


def _others(check: str, look: ServiceLook) -> list[Finding]:
    if len(look.others) < 2:  # noqa: PLR2004 - one is as it should be
        return []
    says = (
        f"several programs of this name are on the search path: {escaped(', '.join(look.others))}"
    )
    return [warning(check, says, f"rm {shlex.quote(look.others[-1])}  # which one is not meant?")]


def daemon(
    look: DaemonLook | None, service: ServiceLook | None, version: str, *, user: bool
) -> Iterator[Finding]:
    """Whether it runs, in which version, and can do its work."""
    check, control = "daemon", systemctl(user=user)
    log = f"journalctl {'--user-unit' if user else '--unit'} {_UNIT} --lines 20"
    if look is None:
        yield from _stopped(check, service, log, user=user)
        return
    if look.version != version:
        says = (
            f"the daemon (process {look.pid}) is version {escaped(look.version)}, this is {version}"
        )
        yield warning(check, says, f"{control} restart {_UNIT}")
    if look.state == "degraded":
        says = f"the daemon is degraded: {escaped(look.reason)}"
        yield problem(check, says, f"{log}  # it recovers by itself once that is mended")
    else:
        yield ok(check, f"runs as process {look.pid}, and says {escaped(look.state)}")


def _stopped(check: str, service: ServiceLook | None, log: str, *, user: bool) -> Iterator[Finding]:
    control = systemctl(user=user)
    unit = service.unit if service is not None else None
    if unit is None or unit.load_state in ("not-found", "masked"):
        install = _install(user=user)
        yield warning(check, "the daemon does not run: nothing is held", install)
    elif unit.active_state in ("failed", "activating"):
        result = escaped(unit.result or unit.sub_state)
        says = f"the daemon does not get to run: {unit.active_state} ({result})"
        yield problem(check, says, f"{log}; {control} restart {_UNIT}")
    elif unit.active_state == "active":
        says = "the service runs, and no daemon has told how things stand"
        yield problem(check, says, f"{log}; {control} restart {_UNIT}")
    else:
        says = "the daemon does not run: nothing is held"
        yield problem(check, says, f"{control} start {_UNIT}")


def _install(*, user: bool) -> str:
    return "jada-configd install --user" if user else "jada-configd install"
