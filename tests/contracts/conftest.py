"""Machines for the contracts, each test once on the fake one and once on the real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.machines import MACHINES, Machine


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    made = MACHINES[request.param](tmp_path)
    yield made
    made.close()
