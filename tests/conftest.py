"""What holds for every test: root's parts skip for nobody else, and the machine stays as it was."""

import os
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

# On shared machines how long an example takes says nothing. More of them, and new ones, for an hour
# of one's own: HYPOTHESIS_PROFILE=thorough.
settings.register_profile("ci", deadline=None, print_blob=True)
settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# What a test with a mistake in it would hit first: a link followed to the top, a sysctl not masked.
PLACES = ("/", "/etc", "/home", "/root", "/run", "/tmp", "/usr", "/var")
SYSCTLS = ("fs/file-max", "fs/nr_open", "kernel/hostname", "kernel/pid_max")


def may_skip() -> bool:
    """Whether a skipped test is acceptable: in CI, and for root, it is a failure."""
    return os.geteuid() != 0 and "CI" not in os.environ


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.skip("needs root: sudo make test")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not may_skip():
        report.outcome = "failed"
        report.longrepr = f"skipped, which root and CI may not: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and not may_skip():
        report.outcome = "failed"
        report.longrepr = f"skipped, which root and CI may not: {_reason(report.longrepr)}"
    return report


def _reason(said: object) -> object:
    return said[2] if isinstance(said, tuple) else said


def _machine() -> Mapping[str, object]:
    seen: dict[str, object] = {"names in /": sorted(path.name for path in Path("/").iterdir())}
    for place in PLACES:
        status = Path(place).stat()
        seen[place] = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
    for name in SYSCTLS:
        seen[name] = Path("/proc/sys", name).read_text()
    return seen


@pytest.fixture(autouse=True)
def machine_stays_as_it_was() -> Iterator[None]:
    """A test, or another that runs beside it, that changes the machine itself is found out."""
    before = _machine()
    yield
    after = _machine()
    changed = [
        f"{key}: {before[key]} became {after[key]}" for key in before if before[key] != after[key]
    ]
    assert not changed, f"the machine itself was changed: {'; '.join(changed)}"
