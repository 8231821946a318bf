"""Which command asks which question, and as whom."""

import os
import sys
from pathlib import Path

import pytest

from jada_configd.core.facts import Probe
from jada_configd.core.probes import questions
from jada_configd.core.specs import HealthSpec, ServiceSpec
from jada_configd.errors import HostError
from jada_configd.host.probing import commands
from jada_configd.host.probing.commands import busy_probe, health_probe

UNIT = "jada-agent.service"
SINCE = 1_700_000_000.25


def health_probes(health: HealthSpec, *, user: bool = False) -> list[Probe]:
    """All that is asked."""
    return [health_probe(each, UNIT, health, SINCE, user=user) for each in questions(health)]


def service(busy: str | tuple[str, ...] | None) -> ServiceSpec:
    health = HealthSpec(timeout=3.0)
    return ServiceSpec(UNIT, "restart", "auto", {}, "enforce", "", busy=busy, health=health)


def test_who_asks_nothing_has_no_probe() -> None:
    assert health_probes(HealthSpec()) == []


def test_a_command_runs_as_it_is_as_the_services_user() -> None:
    command = ("/usr/local/bin/check", "$HOME", "%n", "")
    (probe,) = health_probes(HealthSpec(command=command, timeout=3.0))
    assert probe == Probe("jada-configd-health-command-jada-agent.service", UNIT, command, 3.0)


def test_an_address_is_asked_as_the_services_user_without_a_file_of_ours() -> None:
    (probe,) = health_probes(HealthSpec(url="http://127.0.0.1/", timeout=0.5))
    assert probe.command[:4] == (os.path.realpath(sys.executable), "-I", "-S", "-c")
    assert probe.command[5:] == ("http://127.0.0.1/", "0.5")
    assert (probe.unit, probe.as_root) == (UNIT, False)
    assert probe.seconds > 0.5  # so that the answer is ours


def test_the_journal_is_asked_as_root_for_what_the_unit_itself_has_said_since() -> None:
    health = HealthSpec(journal_must="-ready", journal_must_not="$panic")
    shows, lacks = health_probes(health)
    assert (shows.as_root, lacks.as_root) == (True, True)
    assert shows.command[5:7] == ("shows", "10")
    assert lacks.command[5:7] == ("lacks", "10")
    assert {"--grep=-ready", f"_SYSTEMD_UNIT={UNIT}", "--since=@1700000000.250000"} <= set(
        shows.command
    )
    assert "--grep=$panic" in lacks.command


def test_of_a_users_unit_the_users_own_records_are_asked_for() -> None:
    (probe,) = health_probes(HealthSpec(journal_must="x"), user=True)
    assert {f"_SYSTEMD_USER_UNIT={UNIT}", f"_UID={os.geteuid()}"} <= set(probe.command)
    assert f"_SYSTEMD_UNIT={UNIT}" not in probe.command


def test_each_question_has_a_probe_of_another_name() -> None:
    health = HealthSpec(
        command=("/c",), url="http://[::1]/", journal_must="a", journal_must_not="b"
    )
    assert len({each.name for each in health_probes(health)}) == 4


def test_a_busy_command_runs_as_it_is_as_the_services_user() -> None:
    command = ("/usr/local/bin/busy", "--quiet")
    name = "jada-configd-busy-jada-agent.service"
    assert busy_probe(UNIT, service(command)) == Probe(name, UNIT, command, 3.0)


@pytest.mark.parametrize("busy", [None, "/run/jada-agent/busy"])
def test_a_busy_file_needs_no_command(busy: str | None) -> None:
    assert busy_probe(UNIT, service(busy)) is None


def test_an_installation_that_is_not_whole_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(commands, "__file__", f"{tmp_path}/commands.py")
    commands._text.cache_clear()
    with pytest.raises(HostError, match=r"/fetch\.py, a part of jada-configd, cannot be read: No "):
        health_probes(HealthSpec(url="http://127.0.0.1/"))
