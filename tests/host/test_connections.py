"""What of a process's descriptors are connections, on sockets of the test's own."""

import os
import socket
import subprocess
import sys

import pytest

from jada_configd.host.processes.connections import connections, told

HERE = ("127.0.0.1", 0)


def test_connections_are_told_by_their_state() -> None:
    before = connections(os.getpid()) or {}
    with socket.socket() as listening, socket.socket() as near:
        listening.bind(HERE)
        listening.listen()
        near.connect(listening.getsockname())
        far, _ = listening.accept()
        with far, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
            datagram.bind(HERE)
            near.shutdown(socket.SHUT_WR)
            far.recv(1)
            after = connections(os.getpid())
    assert after is not None
    new = {state: after[state] - before.get(state, 0) for state in after}
    closing = new.pop("FIN_WAIT1", 0) + new.pop("FIN_WAIT2", 0)  # the last is still acknowledged
    assert closing == 1
    told_of = {state: count for state, count in new.items() if count}
    assert told_of == {"LISTEN": 1, "CLOSE_WAIT": 1, "NONE": 1}


def test_of_a_process_that_has_gone_nothing_is_told() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert connections(child.pid) is None


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        ({}, "0 connections and 0 other sockets"),
        ({"LISTEN": 1}, "1 connection (1 LISTEN) and 0 other sockets"),
        (
            {"CLOSE_WAIT": 700, "ESTABLISHED": 200, "NONE": 1},
            "900 connections (700 CLOSE_WAIT, 200 ESTABLISHED) and 1 other socket",
        ),
    ],
)
def test_they_are_told_the_most_first(states: dict[str, int], sentence: str) -> None:
    assert told(states) == sentence


def test_nothing_that_stays_resident_loads_psutil() -> None:
    code = (
        "import sys, jada_configd.daemon, jada_configd.verbs.status; print('psutil' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "psutil" not in said.stdout.split()
