"""How a process ended, in words: what waitid(2) tells, and systemd's own exit statuses."""

import signal
import subprocess

import pytest

from jada_configd.host.manager.process_ends import _FIRST_STEP, _STEPS, how_it_ended

EXITED, KILLED, DUMPED = 1, 2, 3


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        (0, 0, ""),
        (EXITED, 0, ""),
        (EXITED, 1, "exit status 1"),
        (EXITED, 3, "exit status 3"),
        (EXITED, 127, "exit status 127"),
        (EXITED, 203, "exit status 203 (EXEC)"),
        (EXITED, 217, "exit status 217 (USER)"),
        (EXITED, 223, "exit status 223"),
        (EXITED, 255, "exit status 255"),
        (KILLED, signal.SIGKILL, "signal KILL"),
        (DUMPED, signal.SIGSEGV, "signal SEGV"),
        (KILLED, 35, "signal 35"),
        (KILLED, 0, "signal 0"),
        (EXITED, -1, "exit status -1"),
        (77, 5, ""),
    ],
)
def test_an_end_in_words(code: int, status: int, words: str) -> None:
    assert how_it_ended(code, status) == words


def test_steps_have_the_names_that_systemd_gives_them() -> None:
    try:
        said = subprocess.run(
            ["systemd-analyze", "exit-status"], capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("no systemd-analyze")
    rows = [line.split() for line in said.stdout.splitlines()]
    named = {int(row[1]): row[0] for row in rows if row[-1] == "systemd"}
    ours = {_FIRST_STEP + at: name for at, name in enumerate(_STEPS) if name}
    assert ours == {status: named.get(status, name) for status, name in ours.items()}
    assert named
