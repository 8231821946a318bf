"""Throwaway hosts for tests, with this checkout installed in them as an operator would have it."""

from collections.abc import Generator, Iterator

import pytest

from tests.system import layers
from tests.system.host import Host
from tests.system.machine import why_not


@pytest.fixture(scope="session")
def machine() -> None:
    """What every system test stands on: a machine that can boot throwaway hosts."""
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def installed(machine: None) -> layers.Installed:
    """This checkout, ready to be laid into a host."""
    return layers.prepare()


@pytest.fixture
def host(installed: layers.Installed) -> Iterator[Host]:
    """A fresh host with the package in it, for one test."""
    with Host.boot(overlays=installed.overlays, links=installed.links) as booted:
        yield booted


@pytest.fixture(scope="module")
def shared_host(installed: layers.Installed) -> Iterator[Host]:
    """A host with the package in it, for all tests of a module."""
    with Host.boot(overlays=installed.overlays, links=installed.links) as booted:
        yield booted


@pytest.fixture
def bare_host(machine: None) -> Iterator[Host]:
    """A fresh host without the package."""
    with Host.boot() as booted:
        yield booted


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure on a host comes with the end of that host's journal."""
    report = yield
    hosts = [host for host in getattr(item, "funcargs", {}).values() if isinstance(host, Host)]
    if report.failed and call.when == "call" and hosts:
        tail = hosts[0].run(["journalctl", "--no-pager", "--lines=80"], check=False).stdout
        report.sections.append(("the host's journal", tail))
    return report
