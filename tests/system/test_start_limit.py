"""What systemd shows of starts is what we count: none of ours is refused, whoever makes more."""

import time

import pytest

from jada_configd.core.facts import UnitFact
from jada_configd.core.starts import Starts
from tests.system.host import Host, eventually

UNIT = "often.service"
BURST = 4
SECONDS = 4
SOURCE = f"""\
[Unit]
StartLimitBurst={BURST}
StartLimitIntervalSec={SECONDS}
[Service]
ExecStart=/bin/sleep infinity
Restart=always
RestartSec=50ms
"""


@pytest.fixture
def often(bare_host: Host) -> Host:
    """A unit that runs, the first time."""
    bare_host.write(f"/etc/systemd/system/{UNIT}", SOURCE)
    bare_host.run(["systemctl", "daemon-reload"])
    bare_host.run(["systemctl", "start", UNIT])
    return bare_host


def fact(host: Host) -> UnitFact:
    moments = "ExecMainStartTimestampMonotonic", "InactiveExitTimestampMonotonic"
    shown = host.show(UNIT, "ActiveState", "SubState", "NRestarts", *moments)
    main_us, began_us = (int(shown[each]) for each in moments)
    return UnitFact(
        UNIT,
        "loaded",
        shown["ActiveState"],
        sub_state=shown["SubState"],
        main_started_ns=main_us * 1000,
        activating_since_ns=began_us * 1000,
        restarts=int(shown["NRestarts"]),
        start_burst=BURST,
        start_interval_ns=SECONDS * 1_000_000_000,
    )


def look(host: Host, starts: Starts) -> int | None:
    """When one more start may be made; None: now."""
    now_ns = time.monotonic_ns()
    now = fact(host)
    starts.see(now, now_ns)
    return starts.free_ns(now, now_ns)


def crash(host: Host) -> None:
    before = fact(host).restarts
    host.run(["systemctl", "kill", "--signal=KILL", UNIT])
    eventually(lambda: fact(host).restarts > before and fact(host).sub_state == "running")


def restart(host: Host) -> str:
    host.run(["systemctl", "restart", UNIT], check=False)
    return fact(host).active_state


def test_no_start_of_ours_is_refused_and_one_is_left(often: Host) -> None:
    starts = Starts()
    assert look(often, starts) is None  # it has started once
    crash(often)  # and twice
    assert look(often, starts) is None
    starts.ask(time.monotonic_ns())
    assert restart(often) == "active"  # three times: the last is kept spare
    free_ns = look(often, starts)
    assert free_ns is not None
    crash(often)  # which somebody needs
    assert look(often, starts) is not None
    while (free_ns := look(often, starts)) is not None:
        time.sleep(max(0, free_ns - time.monotonic_ns()) / 1e9)
    starts.ask(time.monotonic_ns())
    assert restart(often) == "active"
    crash(often)


def test_without_that_count_it_would_be_refused(often: Host) -> None:
    states = [restart(often) for _ in range(BURST)]
    assert states == ["active"] * (BURST - 1) + ["failed"]
