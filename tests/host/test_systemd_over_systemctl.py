"""systemd through `systemctl`, which a test plays by a script of its own."""

import os
import time
from pathlib import Path

import pytest

from jada_configd.core.facts import Probe
from jada_configd.host.manager.routes import (
    Declined,
    Event,
    Gone,
    Silent,
    UnitChanged,
    UnitsReloaded,
)
from jada_configd.host.manager.systemctl import Systemctl

A = "a.service"
SCRIPT = r"""#!/bin/sh
case "$0" in
*systemd-run)
  for word; do printf '%s\n' "$word" >>"$0.words"; done
  [ -e "$0.exists" ] && { echo "Unit x was already loaded or has a fragment file." >&2; exit 1; }
  exit 0 ;;
esac
echo "$*" >>"$0.calls"
[ -e "$0.hangs" ] && exec sleep 60
case "$*" in
*--property=Version*)
  [ -e "$0.gone" ] && { echo "Failed to connect to bus: Host is down" >&2; exit 1; }
  echo Version=252 ;;
*daemon-reload*) [ -e "$0.slow" ] && sleep 0.3
  [ -e "$0.full" ] && { printf 'Failed to reload daemon: No space.\nmore\n' >&2; exit 1; } ;;
*show*) cat "$0.shown" ;;
*reset-failed*)
  [ -e "$0.well" ] && { echo "Failed to reset failed state of unit: not loaded." >&2; exit 1; } ;;
*masked*)
  printf 'Failed to restart masked.service: Unit masked.service is masked.\nSee\n' >&2
  exit 1 ;;
esac
exit 0
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "systemctl"
    path.write_text(SCRIPT)
    path.chmod(0o755)
    (tmp_path / "systemctl.shown").write_text("Id=a.service\nLoadState=loaded\nJob=12\n")
    (tmp_path / "systemd-run").symlink_to(path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return path


def beside(script: Path, name: str) -> Path:
    return Path(f"{script}.{name}")


def calls(script: Path) -> list[str]:
    return beside(script, "calls").read_text().splitlines()


def ended(route: Systemctl) -> list[Event]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        due_ns = route.poll_due()
        assert due_ns is not None
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        if events := route.events():
            return events
    raise AssertionError("no end")


def test_a_unit_is_asked_for_by_name_alone(script: Path) -> None:
    look = Systemctl(user=False, seconds=5).look("--now.service", 5)
    assert (look.fact.name, look.job) == ("--now.service", 12)
    assert calls(script)[-1].startswith("--system show --property=Id,LoadState,")
    assert calls(script)[-1].endswith(" -- --now.service")


def test_a_users_manager_is_asked_as_such(script: Path) -> None:
    Systemctl(user=True, seconds=5)
    assert calls(script) == ["--user show --property=Version"]


@pytest.mark.parametrize(
    ("how", "verb"),
    [
        ("restart", "try-restart"),
        ("reload", "reload"),
        ("reload-or-restart", "try-reload-or-restart"),
    ],
)
def test_a_job_is_started_and_not_waited_for(script: Path, how: str, verb: str) -> None:
    route = Systemctl(user=False, seconds=5)
    job = route.start_job(A, how, 5)  # type: ignore[arg-type]
    assert job == "/org/freedesktop/systemd1/job/12"
    assert calls(script)[1] == f"--system --no-block {verb} -- {A}"
    beside(script, "shown").write_text("Id=a.service\nJob=\n")
    assert not route.start_job(A, how, 5).endswith("/0")  # type: ignore[arg-type]


def test_a_start_resets_what_has_failed_and_restarts(script: Path) -> None:
    route = Systemctl(user=False, seconds=5)
    beside(script, "well").touch()
    for _ in range(2):
        assert route.start_job(A, "start", 5) == "/org/freedesktop/systemd1/job/12"
        assert calls(script)[-3:-1] == [
            f"--system reset-failed -- {A}",
            f"--system --no-block restart -- {A}",
        ]
        beside(script, "well").unlink(missing_ok=True)


def test_a_refusal_is_told_from_a_manager_that_has_gone(script: Path) -> None:
    route = Systemctl(user=False, seconds=5)
    words = r"^Failed to restart masked\.service: Unit masked\.service is masked\.$"
    with pytest.raises(Declined, match=words):
        route.start_job("masked.service", "restart", 5)
    beside(script, "gone").touch()
    with pytest.raises(Gone, match="Host is down"):
        route.start_job("masked.service", "restart", 5)
    with pytest.raises(Gone, match="Host is down"):
        Systemctl(user=False, seconds=5)


def test_a_probe_is_started_by_systemd_run_and_not_waited_for(script: Path) -> None:
    beside(script, "shown").write_text(
        'LoadState=loaded\nUser=ubuntu\nDynamicUser=no\nSupplementaryGroups=adm "audio"\n'
        'Environment=A=1 "B=2 3"\nWorkingDirectory=!/var/lib\nJob=12\n'
    )
    route = Systemctl(user=False, seconds=5)
    probe = Probe("asks.service", A, ("/bin/check", "$x", "--now"), 2.5)
    assert route.start_probe(probe, 5) == "/org/freedesktop/systemd1/job/12"
    words = (script.parent / "systemd-run.words").read_text().splitlines()
    assert words[:5] == [
        "--system",
        "--no-block",
        "--quiet",
        "--no-ask-password",
        "--unit=asks.service",
    ]
    assert {
        "--property=User=ubuntu",
        "--property=SupplementaryGroups=adm",
        "--property=SupplementaryGroups=audio",
        "--setenv=A=1",
        "--setenv=B=2 3",
        "--property=WorkingDirectory=-/var/lib",
        "--property=TimeoutStartSec=2500000us",
        "--property=RemainAfterExit=yes",
        "--property=SyslogLevel=notice",
    } <= set(words)
    assert not any("DynamicUser" in word for word in words)
    assert words[-6:] == ["--", "/usr/bin/env", "--", "/bin/check", "$$x", "--now"]


def test_a_name_that_is_in_use_is_told_from_another_refusal(script: Path) -> None:
    beside(script, "shown").write_text("LoadState=loaded\n")
    route = Systemctl(user=True, seconds=5)
    (script.parent / "systemd-run.exists").touch()
    with pytest.raises(Declined, match="was already loaded") as refusal:
        route.start_probe(Probe("asks.service", A, ("/bin/check",), 1), 5)
    assert refusal.value.name == "UnitExists"
    with pytest.raises(Declined) as refusal:
        route.start_job("masked.service", "restart", 5)
    assert refusal.value.name == ""
    assert route.inhibitors(5) == ()


def test_what_is_stopped_may_be_gone(script: Path) -> None:
    route = Systemctl(user=False, seconds=5)
    route.stop(A, 5)
    assert calls(script)[-1] == f"--system --no-block stop -- {A}"
    route.stop("masked.service", 5)


def test_the_end_of_a_reload_is_found_by_polling(script: Path) -> None:
    beside(script, "slow").touch()
    route = Systemctl(user=False, seconds=5)
    assert route.poll_due() is None
    began = time.monotonic()
    route.begin_reload(5)
    route.begin_reload(5)
    assert time.monotonic() - began < 0.2
    assert route.reloading()
    assert route.events() == []
    assert ended(route) == [UnitsReloaded()]
    assert not route.reloading()
    assert route.poll_due() is None
    assert calls(script).count("--system daemon-reload") == 1


def test_a_reload_that_is_refused_says_why(script: Path) -> None:
    beside(script, "full").touch()
    route = Systemctl(user=False, seconds=5)
    route.begin_reload(5)
    assert ended(route) == [UnitsReloaded("Failed to reload daemon: No space.")]
    route.close()


def test_a_reload_that_does_not_end_is_given_up(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = Systemctl(user=False, seconds=5)
    beside(script, "hangs").touch()
    route.begin_reload(5)
    later = time.monotonic_ns() + 91_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: later)
    assert route.events() == [UnitsReloaded("systemctl daemon-reload does not come to an end")]


def test_a_followed_unit_that_is_not_as_it_was_is_found_by_polling(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = Systemctl(user=True, seconds=5)
    beside(script, "shown").write_text("MainPID=7\n\nMainPID=8\n\nMainPID=0\n")
    route.follow({A: A, "b.service": "b.service", "c.service": "c.service"}, (), 5)
    due_ns = route.poll_due()
    assert due_ns is not None
    assert due_ns <= time.monotonic_ns()
    assert route.events() == [], "how they are now is no change"
    assert calls(script)[-1].startswith("--user show --property=MainPID,")
    assert calls(script)[-1].endswith(f" -- {A} b.service c.service")
    beside(script, "shown").write_text("MainPID=9\n\nMainPID=8\n\nMainPID=1\n")
    assert route.events() == [], "not yet"
    for later_ns, events in ((6, [UnitChanged(A), UnitChanged("c.service")]), (12, [])):
        now_ns = due_ns + later_ns * 1_000_000_000
        monkeypatch.setattr(time, "monotonic_ns", lambda now_ns=now_ns: now_ns)
        assert route.events() == events
        assert (route.poll_due() or 0) > now_ns


def test_units_are_not_looked_at_while_systemd_reads_them_nor_where_nobody_answers(
    script: Path,
) -> None:
    route = Systemctl(user=False, seconds=5)
    route.follow({A: A}, (), 5)
    beside(script, "slow").touch()
    route.begin_reload(5)
    assert route.events() == []
    assert (route.poll_due() or 0) > time.monotonic_ns()
    assert ended(route) == [UnitsReloaded()]
    assert not any("MainPID" in call for call in calls(script)[:-1])
    beside(script, "shown").write_text("one\n\ntwo\n")  # which is which cannot be told
    route.follow({A: A}, (), 5)
    assert route.events() == []
    script.write_text("#!/bin/sh\nexit 1\n")
    route.follow({A: A}, (), 5)
    with pytest.raises(Gone):
        route.events()


def test_what_the_manager_says_of_itself_is_asked_for(script: Path) -> None:
    beside(script, "shown").write_text(
        "UnitPath=/etc/systemd/system /run/systemd/system\n"
        "DefaultLimitNOFILE=524288\nDefaultLimitNOFILESoft=1024\n"
        "DefaultLimitCORE=infinity\nDefaultLimitCORESoft=0\n"
    )
    fact = Systemctl(user=False, seconds=5).manager(5)
    assert fact.limits == {"nofile": (1024, 524288), "core": (0, None)}
    assert fact.unit_path == ("/etc/systemd/system", "/run/systemd/system")


def test_to_close_leaves_nothing_behind(script: Path) -> None:
    route = Systemctl(user=False, seconds=5)
    beside(script, "hangs").touch()
    route.begin_reload(5)
    reload = route._reload
    assert reload is not None
    route.close()
    assert reload.returncode is not None
    assert (route.poll_due(), route.events()) == (None, [])


def test_a_command_that_hangs_costs_its_time(script: Path) -> None:
    route = Systemctl(user=False, seconds=5)
    beside(script, "hangs").touch()
    began = time.monotonic()
    with pytest.raises(Silent):
        route.look(A, 0.2)
    assert time.monotonic() - began < 3


def test_without_the_command_there_is_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Gone, match="systemctl: No such file or directory"):
        Systemctl(user=False, seconds=5)
