"""The shipped units, and the texts that `install` makes of them."""

import configparser
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.specs import Policy, ServiceSpec, SettingsSpec
from jada_configd.installation.shipped import policies, shipped
from jada_configd.installation.units import Needs, needs, policy_text, unit_text, word

CHECKOUT = Path(__file__).resolve().parents[2]
UNITS = ("systemd/jada-configd.service", "systemd/user/jada-configd.service")


def settings(path: str, *services: str) -> SettingsSpec:
    return SettingsSpec(
        "s", path, services, create=True, on_missing="owned", rules={}, mode="enforce", origin="p:1"
    )


def service(unit: str) -> ServiceSpec:
    return ServiceSpec(unit, "reload-or-restart", "auto", {}, "enforce", "p:1")


def policy(*specs: SettingsSpec | ServiceSpec) -> Policy:
    return Policy(
        "/etc/jada-configd/policy.toml",
        (),
        "sha256:",
        "enforce",
        300.0,
        tuple(spec for spec in specs if isinstance(spec, SettingsSpec)),
        tuple(spec for spec in specs if isinstance(spec, ServiceSpec)),
    )


def exec_start(text: str) -> list[str]:
    return re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)


class TestTheShippedUnit:
    @pytest.mark.parametrize("name", UNITS)
    def test_has_one_option_a_line_and_none_twice_but_where_lists_add_up(self, name: str) -> None:
        lines = [line for line in shipped(name).splitlines() if line and line[0] not in "#["]
        names = [line.partition("=")[0] for line in lines]
        assert all(re.fullmatch(r"[A-Z][A-Za-z]+", each) for each in names)
        assert {each for each in names if names.count(each) > 1} <= {"SystemCallFilter"}

    @pytest.mark.parametrize("name", UNITS)
    def test_comes_back_at_once_and_always(self, name: str) -> None:
        text = shipped(name)
        for line in (
            "Type=notify",
            "Restart=always",
            "RestartSec=100ms",
            "StartLimitIntervalSec=0",
            "WatchdogSec=30s",
            "ExecReload=/bin/kill -HUP $MAINPID",
        ):
            assert f"\n{line}\n" in text

    @pytest.mark.parametrize(
        "loosening",
        [
            "ProtectHome",
            "PrivateTmp",
            "PrivateNetwork",
            "PrivateUsers",
            "ProtectProc",
            "ProcSubset",
            "ProtectControlGroups",
            "ProtectHostname",
            "ProtectKernelTunables",
        ],
    )
    def test_says_why_beside_each_loosening(self, loosening: str) -> None:
        assert re.search(rf"^# {loosening}=\S* is left out: \S+", shipped(UNITS[0]), re.MULTILINE)

    def test_names_each_capability_with_its_reason(self) -> None:
        text = shipped(UNITS[0])
        (held,) = re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE)
        for capability in held.split():
            assert re.search(rf"^#   {capability} +\S+", text, re.MULTILINE)

    def test_has_little_exposure(self) -> None:
        if not shutil.which("systemd-analyze"):
            pytest.skip("needs systemd: apt-get install -y systemd")
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=35"]
        ended = subprocess.run(
            [*command, str(CHECKOUT / UNITS[0])], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout[-200:]

    def test_is_no_simple_service_on_any_systemd(self) -> None:
        """`Type=notify-reload` silently means `simple` up to systemd 252."""
        drop_in = shipped("systemd/jada-configd.service.d/10-notify-reload.conf")
        assert "Type=notify-reload" in drop_in.splitlines()
        assert all(
            "notify-reload" not in line
            for line in shipped(UNITS[0]).splitlines()
            if line[:1] != "#"
        )


class TestTheUnitOfAnInstallation:
    def test_runs_this_installation_and_is_the_shipped_one_else(self) -> None:
        before = shipped(UNITS[0]).splitlines()
        after = unit_text(shipped(UNITS[0]), ["/opt/x/bin/jada-configd"], user=False).splitlines()
        assert [(one, two) for one, two in zip(before, after, strict=True) if one != two] == [
            ("ExecStart=/usr/local/bin/jada-configd run", "ExecStart=/opt/x/bin/jada-configd run")
        ]

    def test_of_a_user_runs_for_the_user(self) -> None:
        text = unit_text(shipped(UNITS[1]), ["/opt/x/bin/python", "-m", "jada_configd"], user=True)
        assert exec_start(text) == ["/opt/x/bin/python -m jada_configd run --user"]

    @pytest.mark.parametrize(
        ("command", "written"),
        [
            ("/opt/a b/jada", '"/opt/a b/jada"'),
            ("/opt/100%/jada", '"/opt/100%%/jada"'),
            ('/opt/"q"\\/jada', '"/opt/\\"q\\"\\\\/jada"'),
            ("/opt/é\n/jada", '"/opt/é\\x0a/jada"'),
            ("/opt/$HOME/jada", '"/opt/$HOME/jada"'),
        ],
    )
    def test_quotes_a_path_as_systemd_reads_it(self, command: str, written: str) -> None:
        assert exec_start(unit_text(shipped(UNITS[0]), [command], user=False)) == [f"{written} run"]

    @given(st.text(min_size=1))
    def test_never_gets_a_second_line_from_a_path(self, name: str) -> None:
        written = word(f"/opt/{name}")
        assert len(written.splitlines()) == 1
        assert not written.endswith("\\")


class TestWhatDependsOnThePolicy:
    def test_starts_before_every_service_that_is_held_or_takes_up(self) -> None:
        found = needs(
            policy(settings("/a/b", "one.service"), service("two.service")), (), user=False
        )
        assert found.before == ("one.service", "two.service")

    def test_leaves_out_itself_and_what_starts_before_it_anyway(self) -> None:
        held = policy(
            service("dbus.service"), service("jada-configd.service"), service("a.service")
        )
        assert needs(held, {"dbus.service"}, user=False).before == ("a.service",)

    @pytest.mark.parametrize(
        ("path", "opened"),
        [
            ("/home/ubuntu/.claude/settings.json", ()),
            ("/opt/agent/settings.json", ()),
            ("/usr/local/share/agent/settings.json", ("/usr/local/share/agent",)),
            ("/usr/local/*/x/settings.json", ("/usr/local",)),
            ("/lib/agent/settings.json", ("/lib/agent",)),
            ("/usrlocal/settings.json", ()),
            ("/boot/settings.json", ("/boot",)),
        ],
    )
    def test_may_write_where_the_policy_has_files(self, path: str, opened: tuple[str, ...]) -> None:
        assert needs(policy(settings(path)), (), user=False).writable == opened

    def test_may_write_where_the_policy_has_metrics(self) -> None:
        held = replace(policy(), textfile="/usr/local/metrics/a.prom")
        assert needs(held, (), user=False).writable == ("/usr/local/metrics",)
        assert needs(held, (), user=True).writable == ()

    def test_of_a_user_opens_nothing(self) -> None:
        held = policy(settings("/usr/local/share/settings.json"))
        assert needs(held, (), user=True).writable == ()

    def test_is_a_drop_in_that_says_who_wrote_it(self) -> None:
        text = policy_text("/etc/p.toml", Needs(("a.service", "b@x.service"), ("/usr/local/a b",)))
        assert text.splitlines()[0].startswith(
            "# Written by `jada-configd install` for /etc/p.toml"
        )
        assert [line for line in text.splitlines() if line and line[0] != "#"] == [
            "[Unit]",
            "Before=a.service",
            "Before=b@x.service",
            "[Service]",
            'ReadWritePaths="-/usr/local/a b"',
        ]

    def test_leaves_the_escapes_in_names_of_units_as_they_are(self) -> None:
        text = policy_text("/etc/p.toml", Needs((r"run@a\x2db.service",), ()))
        assert "\nBefore=run@a\\x2db.service\n" in text

    def test_is_valid_where_a_policy_holds_nothing(self) -> None:
        parsed = configparser.ConfigParser()
        parsed.read_string(policy_text("/etc/p.toml", Needs((), ())))
        assert parsed.sections() == ["Unit"]


def test_the_shipped_policies_are_there() -> None:
    names = [Path(path).name for path in policies()]
    assert names == ["jada-agent.toml", "observe.toml", "workstation.toml"]
