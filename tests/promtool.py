"""Prometheus' own judge of metrics, which `tests/setup promtool` has fetched."""

import shutil
import subprocess
from pathlib import Path

import pytest

_PLACE = Path(__file__).resolve().parents[1] / ".venv/bin"


def check(text: str) -> str:
    """What `promtool check metrics` finds wrong: nothing, where all is right."""
    command = shutil.which("promtool", path=str(_PLACE)) or shutil.which("promtool")
    if command is None:
        pytest.skip("there is no promtool: tests/setup promtool")
    done = subprocess.run(
        [command, "check", "metrics"], input=text.encode(), capture_output=True, check=False
    )
    found = (done.stdout + done.stderr).decode()
    return found or ("" if done.returncode == 0 else f"exit status {done.returncode}")
