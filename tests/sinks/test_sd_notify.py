"""What arrives at the notification socket, and what happens where none is read."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.sinks.sd_notify import LONGEST_STATUS, Notifier


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    yield from _listen(str(tmp_path / "notify"), str(tmp_path / "notify"), monkeypatch)


@pytest.fixture
def abstract(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    name = f"jada-notify-{os.getpid()}"
    yield from _listen(f"\0{name}", f"@{name}", monkeypatch)


def _listen(address: str, said: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(0)
        monkeypatch.setenv("NOTIFY_SOCKET", said)
        yield listening


def told(manager: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(manager.recv(8192).decode("ascii"))
        except BlockingIOError:
            return messages


def fill(notifier: Notifier) -> None:
    """Beat until the manager's queue is full."""
    while notifier.failed is None:
        notifier.beat()


def test_each_state_is_one_message(manager: socket.socket) -> None:
    notifier = Notifier()
    notifier.ready()
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    after = time.monotonic_ns() // 1000
    notifier.beat()
    notifier.status("in sync: 2 files, 1 service")
    notifier.stopping()
    ready, reloading, *rest = told(manager)
    assert ready == "READY=1"
    assert rest == ["WATCHDOG=1", "STATUS=in sync: 2 files, 1 service", "STOPPING=1"]
    first, _, moment = reloading.partition("\nMONOTONIC_USEC=")
    assert first == "RELOADING=1"
    assert before <= int(moment) <= after
    notifier.close()


def test_an_abstract_socket_is_found(abstract: socket.socket) -> None:
    notifier = Notifier()
    notifier.ready()
    assert told(abstract) == ["READY=1"]
    notifier.close()


def test_a_status_is_one_line_of_ascii(manager: socket.socket) -> None:
    notifier = Notifier()
    notifier.status("/home/josé → corrected…\nREADY=0\x1b[31m \u202e")
    notifier.ready()
    status, ready = told(manager)
    assert status == r"STATUS=/home/jos\xe9 -> corrected...\nREADY=0\x1b[31m \u202e"
    assert ready == "READY=1"
    notifier.close()


@given(line=st.text())
def test_no_status_is_lost_or_says_anything_but_a_status(line: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        name = f"jada-status-{os.getpid()}"
        for manager in _listen(f"\0{name}", f"@{name}", monkeypatch):
            notifier = Notifier()
            notifier.status(line)
            (message,) = told(manager)
            notifier.close()
    assert message.startswith("STATUS=")
    assert "\n" not in message
    assert len(message) <= LONGEST_STATUS + len("STATUS=")


def test_a_long_status_is_cut_and_says_so(manager: socket.socket) -> None:
    notifier = Notifier()
    notifier.status("x" * 5000)
    (message,) = told(manager)
    assert message == "STATUS=" + "x" * (LONGEST_STATUS - 3) + "..."
    notifier.close()


def test_without_a_manager_nothing_happens() -> None:
    notifier = Notifier()
    notifier.ready()
    notifier.status("x")
    assert notifier.failed is None
    assert notifier.watchdog_seconds() is None


def test_a_full_queue_blocks_nobody_and_loses_no_state(manager: socket.socket) -> None:
    notifier = Notifier()
    fill(notifier)
    began = time.monotonic()
    notifier.beat()
    notifier.status("dropped")
    assert time.monotonic() - began < 0.1
    notifier.reloading()
    notifier.ready()
    assert time.monotonic() - began < 2
    assert notifier.failed == "Resource temporarily unavailable"
    told(manager)
    notifier.beat()
    reloading, ready, beat = told(manager)
    assert reloading.startswith("RELOADING=1\n")
    assert (ready, beat) == ("READY=1", "WATCHDOG=1")
    assert notifier.failed is None
    notifier.close()


def test_a_socket_that_is_made_anew_is_found_again(manager: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier()
    manager.close()
    notifier.ready()
    assert notifier.failed is not None
    (tmp_path / "notify").unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as anew:
        anew.bind(str(tmp_path / "notify"))
        anew.settimeout(0)
        notifier.beat()
        assert told(anew) == ["READY=1", "WATCHDOG=1"]
        assert notifier.failed is None
    notifier.close()


def test_nobody_at_the_socket_is_told_as_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notifier = Notifier()
    notifier.beat()
    assert notifier.failed == f"nobody listens at {tmp_path}/nobody"
    notifier.close()


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("30000000", "", 30.0),
        ("30000000", "ours", 30.0),
        ("30000000", "1", None),
        ("500000", None, 0.5),
        ("0", None, None),
        ("-1", None, None),
        ("soon", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_ours_alone(
    monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None, seconds: float | None
) -> None:
    if usec is not None:
        monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid)
    assert Notifier().watchdog_seconds() == seconds
