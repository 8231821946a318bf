"""What the resident process carries: nothing that is heavy and needed only once or by a few."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
HEAVY = {"asyncio", "boto3", "email", "http", "pydantic", "rich", "ssl", "unittest"}


@pytest.mark.parametrize("module", ["cli", "daemon", "assembly", "verbs.run", "verbs.passes"])
def test_nothing_heavy_is_imported_with(module: str) -> None:
    listing = f"import sys, jada_configd.{module}; print(*sorted(sys.modules), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", listing], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()}
    assert not loaded & HEAVY


def test_a_look_by_hand_imports_nothing_to_watch_with() -> None:
    listing = "import sys, jada_configd.verbs.passes; print('watchdog' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", listing], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_policy_can_be_loaded_anew_when_the_program_is_being_replaced_on_disk() -> None:
    """What a reload needs is in memory before: its file may be another by then, or none."""
    listing = (
        "import sys, jada_configd.verbs.run; print('jada_configd.policy.child' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", listing], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
