"""What a script inside a host begins with: a real `Systemd`, and ways to wait for what it tells.

`test_systemd_bus.py` sends this text ahead of each script; nothing imports it.
"""
# ruff: noqa: F401 - the scripts use what stands here

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from jada_configd.core.actions import SetProcessLimit
from jada_configd.core.facts import Probe
from jada_configd.errors import HostError, ManagerGone, UnitRefused
from jada_configd.host.manager import systemd as module
from jada_configd.host.manager.systemd import (
    Event,
    JobEnded,
    ManagerLost,
    ProbeEnded,
    Systemd,
    UnitChanged,
    UnitsReloaded,
)
from jada_configd.host.manager.ways import Way
from jada_configd.host.processes import ceilings, facts, limits


def only(*names: str) -> None:
    """From now on, no other ways lead to systemd."""
    every = module._ways

    def some(*, user: bool) -> Sequence[Way]:
        return [way for way in every(user=user) if way.name in names]

    module._ways = some


def sh(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True)


def hear(
    systemd: Systemd, enough: Callable[[list[Event]], object], seconds: float = 10
) -> list[Event]:
    """What it tells till that is enough; it sleeps as the daemon's loop does."""
    heard: list[Event] = []
    end = time.monotonic() + seconds
    while not enough(heard):
        left = end - time.monotonic()
        assert left > 0, f"only heard {heard}"
        due_ns = systemd.poll_due()
        if due_ns is not None:
            left = min(left, max(0, due_ns - time.monotonic_ns()) / 1e9)
        if not systemd.pending():
            select.select([systemd.fileno()], [], [], left)
        heard += systemd.events()
    return heard


def end_of(systemd: Systemd, job: str) -> str:
    """How a job ends; under each name of its unit that is followed, it is told alike."""

    def ended(heard: list[Event]) -> set[str]:
        return {each.result for each in heard if isinstance(each, JobEnded) and each.job == job}

    (result,) = ended(hear(systemd, ended))
    return result


def ask_unit(
    systemd: Systemd, name: str, *command: str, of: str = "asked", seconds: float = 10
) -> list[object]:
    """Start a probe and wait for its end: whether it passed, and why not."""
    systemd.start_probe(Probe(f"{name}.service", f"{of}.service", command, seconds))
    return probe_end(systemd, name)


def probe_end(systemd: Systemd, name: str) -> list[object]:
    """How a probe ends."""

    def ended(heard: list[Event]) -> list[ProbeEnded]:
        return [each for each in heard if isinstance(each, ProbeEnded)]

    (end,) = ended(hear(systemd, ended))
    assert end.name == f"{name}.service", end
    return [end.passed, end.why]


def state(unit: str) -> str:
    return _said("systemctl", "is-active", unit)


def main_pid(unit: str) -> int:
    return int(_said("systemctl", "show", "--value", "--property=MainPID", unit))


def _said(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip()


def refused(call: Callable[..., object], *arguments: object) -> str:
    try:
        return f"not refused: {call(*arguments)!r}"
    except UnitRefused as error:
        return str(error)
