"""Which command answers which question about a service, as a `Probe` for systemd to run.

The service manager runs them, as the service's user and outside our sandbox, which has no network.
What an answer means is `core/probes.py`'s. A user may be unable to read our installation, or have
no curl, so our own programs go along as texts for the interpreter behind our environment.
"""

import functools
import os
import sys
from typing import Final

from jada_configd.core.facts import Probe
from jada_configd.core.probes import Question, probe_name
from jada_configd.core.specs import HealthSpec, ServiceSpec
from jada_configd.errors import HostError

# What an interpreter may take to start on a host with much to do, which is not the service's fault.
START_SECONDS: Final = 5.0


class Commands:
    """What is asked of units; `user`: of those of a user's own service manager."""

    def __init__(self, *, user: bool) -> None:
        self._user = user

    def health(self, question: Question, spec: ServiceSpec, since: float) -> Probe:
        """One question of a unit's health; see `health_probe`."""
        return health_probe(question, spec.unit, spec.health, since, user=self._user)

    def busy(self, spec: ServiceSpec) -> Probe | None:
        """The command that says whether it has work in flight, if there is one."""
        return busy_probe(spec.unit, spec)


def health_probe(
    question: Question, unit: str, health: HealthSpec, since: float, *, user: bool = False
) -> Probe:
    """One question of a unit's health. Raises `HostError` where our installation is not whole.

    What the journal has from before `since` (CLOCK_REALTIME, seconds) does not count. `unit` is
    the unit's own name, not an alias: the journal knows no other. `user`: of a user's manager.
    """
    name, seconds = probe_name(question, unit), health.timeout
    match question:
        case "command":
            return Probe(name, unit, health.command, seconds)
        case "url":
            command = _program("fetch.py", health.url or "", f"{seconds:g}")
            return Probe(name, unit, command, seconds + START_SECONDS)
        case "journal_must":
            wanted, pattern = "shows", health.journal_must
        case "journal_must_not":
            wanted, pattern = "lacks", health.journal_must_not
    search = _search(unit, pattern or "", since, user=user)
    command = _program("search.py", wanted, f"{seconds:g}", *search)
    # Whom a service runs as may not read the journal, and has no business in it.
    return Probe(name, unit, command, seconds + START_SECONDS, as_root=True)


def busy_probe(unit: str, spec: ServiceSpec) -> Probe | None:
    """The command that says whether a service has work in flight; None where a file does, if any.

    `core/probes.py: engagement` says what its answer means.
    """
    if not isinstance(spec.busy, tuple):
        return None
    return Probe(probe_name("busy", unit), unit, spec.busy, spec.health.timeout)


def _search(unit: str, pattern: str, since: float, *, user: bool) -> tuple[str, ...]:
    """What shows the last record of the unit's own output that matches, and no more.

    Not `--unit=`: that would add what systemd says about the unit, its description in "Started ..."
    among it, and read the name as a pattern. `--boot`, because a clock that was set back makes
    records of an earlier boot look like later ones. Without `--case-sensitive=` a pattern in small
    letters would match capitals too. `--namespace=*` is for services with `LogNamespace=`.
    """
    whose = [f"_SYSTEMD_UNIT={unit}"]
    if user:
        whose = [f"_SYSTEMD_USER_UNIT={unit}", f"_UID={os.geteuid()}"]
    return (
        *("journalctl", "--boot", "--namespace=*", f"--since=@{since:.6f}", *whose),
        *(f"--grep={pattern}", "--case-sensitive=yes", "--lines=1"),
        *("--output=json", "--output-fields=MESSAGE", "--quiet", "--no-pager"),
    )


def _program(name: str, *arguments: str) -> tuple[str, ...]:
    interpreter = os.path.realpath(sys.executable)  # that of an environment may be closed to users
    return (interpreter, "-I", "-S", "-c", _text(name), *arguments)


@functools.cache  # so that an upgrade under a running daemon changes nothing before its restart
def _text(name: str) -> str:
    path = os.path.join(os.path.dirname(__file__), name)
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        problem = f"{path}, a part of jada-configd, cannot be read: {error.strerror}"
        raise HostError(problem) from None
