"""One action, one change of the machine; nothing else in the program ever changes it.

Nothing is decided here: an action has no choice left in it, and its guard raises `Stale` in the
writer where the machine is no longer as it was looked at.
"""

from collections.abc import Mapping
from typing import Protocol, assert_never

from jada_configd.core.actions import (
    Action,
    KeepEvidence,
    ReloadUnits,
    RemoveFile,
    ReplaceFile,
    SetProcessLimit,
    SetSysctl,
    StartJob,
)
from jada_configd.core.model import ResourceId
from jada_configd.core.plan import Plan, ordered


class Writer(Protocol):
    """Changes the machine. Every method raises `HostError` where the machine says no."""

    def keep_evidence(self, action: KeepEvidence) -> None:
        """Keep bytes in the state directory."""

    def replace_file(self, action: ReplaceFile) -> None:
        """Put whole content in place, atomically, over what was looked at and nothing else."""

    def remove_file(self, action: RemoveFile) -> None:
        """Remove what was looked at and nothing else."""

    def set_sysctl(self, action: SetSysctl) -> None:
        """Give the running kernel a value in place of the one that was looked at.

        What the kernel says to it is no error: the next look tells (`SysctlFact.refused`).
        """

    def reload_units(self) -> None:
        """Start a daemon-reload; its end is an event."""

    def set_process_limit(self, action: SetProcessLimit) -> None:
        """Set one limit of the process that was looked at, and of no later one with its pid."""

    def start_job(self, action: StartJob) -> None:
        """Start a job; its end is an event. What does not run is started by "start" alone."""


def apply(action: Action, writer: Writer) -> None:
    """Carry one action out; raises `HostError` (`errors.py`)."""
    match action:
        case KeepEvidence():
            writer.keep_evidence(action)
        case ReplaceFile():
            writer.replace_file(action)
        case RemoveFile():
            writer.remove_file(action)
        case SetSysctl():
            writer.set_sysctl(action)
        case ReloadUnits():
            writer.reload_units()
        case SetProcessLimit():
            writer.set_process_limit(action)
        case StartJob():
            writer.start_job(action)
        case _:
            assert_never(action)


def carry_out(plans: Mapping[ResourceId, Plan], writer: Writer) -> dict[ResourceId, Exception]:
    """Every action of a batch, in order; a resource whose action failed takes no further one.

    But for limits of processes: one that has gone, or is not ours to change, keeps no other from
    its own. Returns what went wrong, for each resource that it hit.
    """
    errors: dict[ResourceId, Exception] = {}
    for action, askers in ordered(plans):
        if all(each in errors for each in askers) and not isinstance(action, SetProcessLimit):
            continue
        try:
            apply(action, writer)
        except Exception as error:  # noqa: BLE001 - told as a Report; what is no HostError is a bug
            errors |= {each: error for each in askers if each not in errors}
    return errors
