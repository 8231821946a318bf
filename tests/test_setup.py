"""What `make` says to somebody whose machine lacks something."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
BASICS = ("bash", "cat", "dirname", "id", "sort", "stat")


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A search path with the basics and nothing else, on which nobody is root."""
    for name in BASICS:
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    (tmp_path / "id").unlink()
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    return tmp_path


def test_an_ordinary_user_is_given_the_exact_command(bare_path: Path) -> None:
    done = subprocess.run(
        [bare_path / "bash", CHECKOUT / "tests/setup", "packages"],
        env={**os.environ, "PATH": str(bare_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    command = done.stderr.splitlines()[-1].strip()
    assert command.startswith("sudo apt-get install -y ")
    assert {"dbus", "gcc", "jq", "systemd-container"} <= set(command.split())


def test_a_subcommand_that_is_none_says_which_there_are() -> None:
    done = subprocess.run([CHECKOUT / "tests/setup"], capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert done.stderr == "usage: tests/setup packages|venv|promtool\n"
