"""The demo: what it tells comes true, and nothing of it is left."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo import scratch
from demo.screen import Screen
from tests.system import layers
from tests.system.host import CHECKOUT


def test_every_drift_of_the_demo_is_corrected_on_its_host(installed: layers.Installed) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "demo"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 60
    assert "NOT SO" not in done.stdout
    assert done.stdout.count("the file says claude-sonnet-4-6 again") == 3
    assert "the agent was restarted and runs on it" in done.stdout
    before, _, after = done.stdout.partition("A policy with a typing error")
    taken_back, _, mended = after.partition("The policy is mended")
    assert "the file is, byte for byte, what it was before" in taken_back
    assert "degraded: jada-configd" in taken_back
    assert "`jada-configd retry jada-agent.service` tries it again" in taken_back
    assert "degraded" not in before + mended
    assert "in-sync: jada-configd" in mended


def test_every_drift_of_the_demo_is_corrected_without_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    screen = Screen()
    scratch.tell(screen)
    assert not screen.failures, capsys.readouterr().out
    assert capsys.readouterr().out.count("the file says claude-sonnet-4-6 again") == 3
    assert list(tmp_path.iterdir()) == []
