"""What holds for every test: root's parts skip for an ordinary user and for nobody else."""

import os
from collections.abc import Generator

import pytest


def may_skip() -> bool:
    """Whether a skipped test is acceptable: in CI, and for root, it is a failure."""
    return os.geteuid() != 0 and "CI" not in os.environ


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.skip("needs root: sudo make test")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not may_skip():
        report.outcome = "failed"
        report.longrepr = f"skipped, which root and CI may not: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and not may_skip():
        report.outcome = "failed"
        report.longrepr = f"skipped, which root and CI may not: {_reason(report.longrepr)}"
    return report


def _reason(said: object) -> object:
    return said[2] if isinstance(said, tuple) else said
