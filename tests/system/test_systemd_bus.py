"""What a real systemd answers, tells and refuses, by each of the three ways to it."""

import json
from typing import Any

import pytest

from jada_configd.sinks.journal import MESSAGE_IDS
from tests.system import layers
from tests.system.host import CHECKOUT, Host

PYTHON = f"{layers.ENVIRONMENT}/bin/python"
PRELUDE = (CHECKOUT / "tests/system/asking.py").read_text()
UNITS = {
    "plain": "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nAlias=other.service\n",
    "reloads": "[Service]\nExecStart=/bin/sleep 1000\nExecReload=/bin/true\n",
    "sulks": "[Service]\nExecStart=/bin/sleep 1000\nExecReload=/bin/false\n",
    "idle": "[Service]\nExecStart=/bin/sleep 1000\n",
    "idle-reloads": "[Service]\nExecStart=/bin/sleep 1000\nExecReload=/bin/true\n",
    "slow": "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1\n",
    "fails": "[Service]\nExecStart=/bin/false\n",
    "broken": "[Service]\nExecStart=\n",
    "limited": (
        "[Service]\nExecStart=/bin/sh -c 'sleep 1000; exit' \"two words\"\nLimitNOFILE=100:200\n"
        "LimitCORE=infinity\nLimitRTTIME=5000000\nLimitNICE=30\n"
    ),
    "asked": (
        "[Service]\nExecStart=/bin/sleep 1000\nUser=ubuntu\nSupplementaryGroups=adm\n"
        'WorkingDirectory=-/var/lib\nEnvironment="A=1 \\"2\\" $x %%i" B=3\n'
    ),
    "dynamic": "[Service]\nExecStart=/bin/sleep 1000\nDynamicUser=yes\n",
    "hangs": "[Service]\nType=notify\nExecStart=/bin/sleep 1000\nTimeoutStartSec=infinity\n",
    "crashes": (
        "[Unit]\nStartLimitIntervalSec=90\nStartLimitBurst=3\n[Service]\n"
        "ExecStart=/bin/sh -c 'test -e /run/well && exec sleep 1000; exit 3'\n"
        "Restart=on-failure\nRestartSec=1ms\n"
    ),
}
WAYS = ("message bus", "private socket", "systemctl")


@pytest.fixture(scope="module")
def units(shared_host: Host) -> Host:
    for name, text in UNITS.items():
        shared_host.write(f"/etc/systemd/system/{name}.service", text)
    # A test that restarts a unit as often as it likes is not what the start limit is for.
    shared_host.write(
        "/etc/systemd/system.conf.d/host.conf", "[Manager]\nDefaultStartLimitIntervalSec=0\n"
    )
    shared_host.sh(
        "ln -s /dev/null /etc/systemd/system/masked.service;"
        "systemctl daemon-reexec; systemctl enable plain;"
        "systemctl start plain reloads sulks slow limited asked; systemctl start fails; sleep 0.2"
    )
    return shared_host


def ask(host: Host, script: str, *, user: str | None = None) -> Any:  # noqa: ANN401
    """What a script inside leaves in `answer`."""
    text = f"{PRELUDE}\n{script}\nprint(json.dumps(answer))\n"
    said = host.run([PYTHON, "-W", "error", "-"], stdin=text, user=user, timeout=60)
    return json.loads(said.stdout)


@pytest.mark.parametrize("way", WAYS)
def test_a_unit_is_told_alike_by_every_way(units: Host, way: str) -> None:
    fact = ask(
        units,
        f"""
only({way!r})
answer = asdict(Systemd(user=False).unit("limited.service"))
""",
    )
    shown = units.show("limited.service", "MainPID", "ExecMainStartTimestampMonotonic")
    assert fact["main_pid"] == int(shown["MainPID"]) > 0
    assert fact["main_started_ns"] == int(shown["ExecMainStartTimestampMonotonic"]) * 1000 > 0
    assert fact["activating_since_ns"] > 0
    assert fact["state_changed_ns"] >= fact["activating_since_ns"]
    assert (fact["load_state"], fact["active_state"], fact["sub_state"]) == (
        "loaded",
        "active",
        "running",
    )
    assert fact["fragment"] == "/etc/systemd/system/limited.service"
    assert fact["control_group"] == "/system.slice/limited.service"
    assert fact["limits"]["nofile"] == [100, 200]
    assert fact["limits"]["core"] == [None, None]
    assert fact["limits"]["rttime"] == [5000000, 5000000]
    assert fact["limits"]["nice"] == [30, 30]
    assert len(fact["limits"]) == 16
    words = ["/bin/sh", "-c", "sleep 1000; exit", "two words"]
    assert fact["command"] == (words if way != "systemctl" else " ".join(words).split())


@pytest.mark.parametrize("way", WAYS)
def test_units_that_cannot_run_are_facts_and_no_errors(units: Host, way: str) -> None:
    names = ["absent", "masked", "broken", "fails", "idle", "other"]
    facts = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
answer = {{name: asdict(systemd.unit(name + ".service")) for name in {names}}}
answer["strange"] = [systemd.unit(name).load_state for name in
    ("", "no suffix", "noext", "foo@.service", "../x.service", 300 * "x" + ".service",
     "a\\n.service")]
""",
    )
    loads = {name: facts[name]["load_state"] for name in names}
    assert loads == {
        "absent": "not-found",
        "masked": "masked",
        "broken": "bad-setting",
        "fails": "loaded",
        "idle": "loaded",
        "other": "loaded",
    }
    assert [facts[name]["limits"] for name in ("absent", "masked", "broken")] == [None] * 3
    assert (facts["fails"]["active_state"], facts["fails"]["result"]) == ("failed", "exit-code")
    assert facts["idle"]["active_state"] == "inactive"
    assert facts["other"]["name"] == "other.service", "an alias is told under its own name"
    assert facts["other"]["fragment"] == "/etc/systemd/system/plain.service"
    assert facts["strange"] == ["error"] * 7


@pytest.mark.parametrize("way", WAYS)
def test_a_job_ends_as_an_event_and_is_not_waited_for(units: Host, way: str) -> None:
    told = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
answer = {{}}
for unit, how in (
    ("plain", "restart"),
    ("plain", "reload-or-restart"),
    ("other", "restart"),
    ("reloads", "reload"),
    ("reloads", "reload-or-restart"),
    ("sulks", "reload"),
    ("slow", "restart"),
):
    before = main_pid(unit)
    began = time.monotonic()
    job = systemd.start_job(unit + ".service", how)
    at_once = time.monotonic() - began < 1  # less than slow.service takes to stop
    answer[unit + " " + how] = [end_of(systemd, job), main_pid(unit) != before, at_once]
""",
    )
    assert told == {
        "plain restart": ["done", True, True],
        "plain reload-or-restart": ["done", True, True],
        "other restart": ["done", True, True],
        "reloads reload": ["done", False, True],
        "reloads reload-or-restart": ["done", False, True],
        "sulks reload": ["failed", False, True],
        "slow restart": ["done", True, True],
    }


@pytest.mark.parametrize("way", WAYS)
def test_what_does_not_run_is_never_started(units: Host, way: str) -> None:
    told = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
answer = {{}}
for unit in ("idle", "idle-reloads", "fails"):
    for how in ("restart", "reload-or-restart", "reload"):
        try:
            result = end_of(systemd, systemd.start_job(unit + ".service", how))
        except UnitRefused as error:
            result = str(error)
        answer[unit + " " + how] = [result, state(unit)]
""",
    )
    judged = "failed" if way == "systemctl" else "done"  # by the unit, where no signal tells
    not_applicable = "Job type reload is not applicable for unit"
    for asked, (result, state) in told.items():
        unit, how = asked.split()
        assert state == ("failed" if unit == "fails" else "inactive"), asked
        if how == "reload" and unit != "idle-reloads":
            assert f"{not_applicable} {unit}.service." in result
        elif how == "reload":
            assert result == ("done" if way == "systemctl" else "invalid")
        else:
            assert result == (judged if unit == "fails" else "done"), asked


@pytest.mark.parametrize("way", WAYS)
def test_a_start_gets_a_unit_out_of_its_start_limit_and_restarts_one_that_runs(
    units: Host, way: str
) -> None:
    told = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
unit = "crashes.service"
systemd.start_job(unit, "start")
hear(systemd, lambda heard: systemd.unit(unit).active_state == "failed")
crashed = systemd.unit(unit)
open("/run/well", "w").close()
answer = [[crashed.restarts, crashed.ended, crashed.start_burst, crashed.start_interval_ns]]
for how in ("restart", "start", "start"):
    before = main_pid(unit)
    result = end_of(systemd, systemd.start_job(unit, how))
    fact = systemd.unit(unit)
    answer.append([result, fact.active_state, fact.main_pid != before])
answer.append([fact.restarts, fact.ended])
os.unlink("/run/well")
sh("systemctl stop crashes")
answer.append(end_of(systemd, systemd.start_job("idle.service", "start")))
sh("systemctl stop idle")
""",
    )
    assert told[0] == [3, "exit status 3", 3, 90_000_000_000]
    judged = "failed" if way == "systemctl" else "done"  # by the unit, where no signal tells
    assert told[1] == [judged, "failed", False], "of a start limit no other job gets it out"
    assert told[2:4] == [["done", "active", True]] * 2
    assert told[4] == [0, ""], "it is a new beginning"
    assert told[5] == "done"


@pytest.mark.parametrize("way", WAYS)
def test_a_start_takes_the_place_of_one_that_hangs(units: Host, way: str) -> None:
    told = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
jobs = [systemd.start_job("hangs.service", "start")]
hear(systemd, lambda heard: systemd.unit("hangs.service").main_pid)
first = systemd.unit("hangs.service")
jobs.append(systemd.start_job("hangs.service", "start"))
heard = hear(systemd, lambda heard: main_pid("hangs") not in (0, first.main_pid))
second = systemd.unit("hangs.service")
answer = [[first.active_state, first.job], [second.active_state, second.job]]
answer += [jobs[0] == jobs[1], any(isinstance(each, JobEnded) for each in heard)]
sh("systemctl stop hangs")
answer.append(end_of(systemd, jobs[1]) != "done")
""",
    )
    assert told[:2] == [["activating", True]] * 2
    assert told[2:4] == [True, False], "systemd makes one job of both, which goes on"
    if way != "systemctl":  # which judges by a unit that was stopped well
        assert told[4]


@pytest.mark.parametrize("way", WAYS)
def test_a_probe_tells_how_it_ended_and_leaves_nothing_behind(units: Host, way: str) -> None:
    told = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
def left(what):
    return _said("systemctl", "list-units", "--all", "--plain", "--no-legend", what)
answer = [
    ask_unit(systemd, "probe", "/bin/true"),
    ask_unit(systemd, "probe", "/bin/true"),
    ask_unit(systemd, "probe", "/bin/sh", "-c", "exit 3"),
    ask_unit(systemd, "probe", "/bin/sh", "-c", "kill -SEGV $$"),
    ask_unit(systemd, "probe", "/no/such"),
    ask_unit(systemd, "probe", "/etc/passwd"),
]
began = time.monotonic()
answer += [
    ask_unit(systemd, "probe", "/bin/sh", "-c", "trap '' TERM; sleep 60; sleep 60", seconds=0.5),
    time.monotonic() - began < 5,
    left("probe.service"),
    "probe" in _said("systemctl", "--failed"),
    refused(systemd.start_probe, Probe("probe.service", "absent.service", ("/bin/true",), 1)),
    refused(systemd.start_probe, Probe("probe", "asked.service", ("/bin/true",), 1)),
]
""",
    )
    by_env = way == "systemctl"  # systemd-run starts nothing where there is no such command
    assert told[:6] == [
        [True, ""],
        [True, ""],
        [False, "exit status 3"],
        [False, "signal SEGV"],
        [False, "exit status 127" if by_env else "exit status 203 (EXEC)"],
        [False, "exit status 126" if by_env else "exit status 203 (EXEC)"],
    ]
    assert told[6:8] == [[False, "took longer than 0.5 s"], True]
    assert told[8:10] == ["", False]
    assert told[10] == "Unit absent.service is not loaded."
    assert "takes names of units" in told[11]


@pytest.mark.parametrize("way", WAYS)
def test_a_probe_runs_as_its_unit_does_and_the_journal_has_what_it_says(
    units: Host, way: str
) -> None:
    name = f"asks-{WAYS.index(way)}"
    told = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
words = ("/bin/sh", "-c", 'id -un; id -Gn; pwd; echo "$A|$B|$HOME"; echo "$0" %i', "${{A}} $B")
answer = [ask_unit(systemd, {name!r}, *words)]
sh("systemctl start dynamic")
shown = _said("systemctl", "show", "--value", "-p", "User", "dynamic")
script = 'test "$(id -u)" = "$(stat -c %u /proc/$1)"'
words = ("/bin/sh", "-c", script, "sh", str(main_pid("dynamic")))
answer += [shown, ask_unit(systemd, {name!r}, *words, of="dynamic")]
""",
    )
    assert told == [[True, ""], "dynamic", [True, ""]]
    said = units.journal(f"--unit={name}.service")
    assert [(record["MESSAGE"], record["PRIORITY"]) for record in said] == [
        ("ubuntu", "5"),
        ("ubuntu adm", "5"),
        ("/var/lib", "5"),
        ('1 "2" $x %i|3|/home/ubuntu', "5"),
        ("${A} $B %i", "5"),
    ], "its own lines, and none of systemd's"
    assert {record["SYSLOG_IDENTIFIER"] for record in said} == {name}


@pytest.mark.parametrize("way", WAYS)
def test_a_probe_that_was_left_over_keeps_no_later_one_from_its_name(units: Host, way: str) -> None:
    told = ask(
        units,
        f"""
only({way!r})
def killed(*command):
    other = Systemd(user=False)
    other.start_probe(Probe("left.service", "asked.service", command, 10))
    other.close()
    time.sleep(0.3)
systemd = Systemd(user=False)
answer = []
for command in (["/bin/true"], ["/bin/false"]):
    killed(*command)
    answer.append(ask_unit(systemd, "left", "/bin/true"))
killed("/bin/sleep", "60")
answer.append(refused(ask_unit, systemd, "left", "/bin/true"))
time.sleep(0.3)
answer.append(ask_unit(systemd, "left", "/bin/true"))
""",
    )
    assert told[:2] == [[True, ""]] * 2
    assert "was already loaded" in told[2]
    assert told[3] == [True, ""]


@pytest.mark.parametrize("way", WAYS)
def test_the_end_of_a_probe_is_found_whoever_brought_it_about(units: Host, way: str) -> None:
    told = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
def begin(*command):
    systemd.start_probe(Probe("ends.service", "asked.service", command, 10))
answer = []
begin("/bin/sleep", "60")
answer.append(refused(begin, "/bin/true"))
sh("systemctl stop ends")
answer.append(probe_end(systemd, "ends"))
begin("/bin/sleep", "60")
sh("systemctl kill --signal=KILL ends")
answer.append(probe_end(systemd, "ends"))
for status in (0, 4):
    begin("/bin/sh", "-c", f"sleep 0.3; exit {{status}}")
    systemd._lost("as a test has it")
    answer.append(probe_end(systemd, "ends"))
begin("/bin/false")
systemd._lost("as a test has it")
sh("sleep 0.2; systemctl reset-failed ends")
answer.append(probe_end(systemd, "ends"))
begin("/bin/sleep", "60")
systemd.stop_probe("ends.service")
heard = hear(systemd, lambda heard: not systemd._probes, 5)
answer.append([repr(each) for each in heard if isinstance(each, ProbeEnded)])
systemd.stop_probe("ends.service")
sh("sleep 0.1; ! systemctl --failed | grep ends")
answer.append(ask_unit(systemd, "ends", "/bin/true"))
""",
    )
    assert told == [
        "ends.service has not ended yet",
        [False, "signal TERM"],
        [False, "signal KILL"],
        [True, ""],
        [False, "exit status 4"],
        [False, "nobody saw how it ended"],
        [],
        [True, ""],
    ]


def test_a_probe_is_asked_from_within_the_daemons_sandbox(units: Host) -> None:
    ours = (CHECKOUT / "systemd/jada-configd.service").read_text()
    kept = [
        line
        for line in ours.splitlines()
        if not line.startswith(("Type=", "Exec", "Restart", "WatchdogSec=", "Runtime"))
    ]
    script = (
        f"{PRELUDE}\nsystemd = Systemd(user=False)\n"
        """
print(json.dumps([ask_unit(systemd, "boxed", "/bin/sh", "-c", "id -un; exit 3"), systemd.route]))
"""
    )
    units.write("/usr/local/lib/boxed.py", script)
    run = "Type=oneshot\nStandardOutput=file:/run/boxed\n"
    unit = "\n".join(kept).replace(
        "[Service]", f"[Service]\n{run}ExecStart={PYTHON} /usr/local/lib/boxed.py", 1
    )
    units.write("/run/systemd/system/boxed-daemon.service", unit)
    units.sh("systemctl daemon-reload; systemctl start boxed-daemon")
    told = json.loads(units.read("/run/boxed"))
    assert told == [[False, "exit status 3"], "the message bus"]
    (said,) = units.journal("SYSLOG_IDENTIFIER=boxed")
    assert said["MESSAGE"] == "ubuntu"


@pytest.mark.parametrize("way", WAYS)
def test_who_keeps_the_host_from_being_shut_down_is_told_by_the_message_bus(
    units: Host, way: str
) -> None:
    told = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
systemd.unit("plain.service")
answer = [systemd.inhibitors()]
held = [
    subprocess.Popen(["systemd-inhibit", "--who=backup", "--why=it copies", *words, "sleep", "60"])
    for words in (["--mode=block", "--what=shutdown:idle"], ["--mode=delay", "--what=shutdown"],
                  ["--mode=block", "--what=sleep"])
]
sh("until [ $(systemd-inhibit --list --no-legend | grep -c backup) = 3 ]; do sleep 0.02; done")
answer.append([[each.pid == held[0].pid, each.who, each.why] for each in systemd.inhibitors()])
for each in held:
    each.kill()
    each.wait()
answer += [systemd.unit("plain.service").active_state, systemd.route]
""",
    )
    heard = [[True, "backup", "it copies"]] if way == "message bus" else []
    assert told[:3] == [[], heard, "active"]


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_is_told_in_systemds_own_words(units: Host, way: str) -> None:
    said = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
answer = [
    refused(systemd.start_job, "plain.service", "reload"),
    refused(systemd.start_job, "absent.service", "restart"),
    refused(systemd.start_job, "masked.service", "reload"),
    refused(systemd.start_job, "no unit", "restart"),
    systemd.route,
]
""",
    )
    assert "Job type reload is not applicable for unit plain.service." in said[0]
    assert "Unit absent.service not found." in said[1]
    assert "Unit masked.service is masked." in said[2]
    assert said[3] == "'no unit' is not the name of a unit"
    assert said[4] is not None, "a refusal loses no route"


@pytest.mark.parametrize("way", WAYS)
def test_the_end_of_a_daemon_reload_is_an_event_and_what_it_read_is_there(
    units: Host, way: str
) -> None:
    told = ask(
        units,
        f"""
only({way!r})
path = "/run/systemd/system/reads.service"
with open(path, "w") as file:
    file.write("[Service]\\nExecStart=/bin/sleep 1\\nLimitNOFILE=77\\n")
systemd = Systemd(user=False)
systemd.follow(["reads.service"])
began = time.monotonic()
systemd.reload_units()
waited = time.monotonic() - began
heard = hear(systemd, lambda heard: any(isinstance(e, UnitsReloaded) for e in heard))
answer = [
    waited,
    [e.error for e in heard if isinstance(e, UnitsReloaded)],
    systemd.unit("reads.service").limits["nofile"],
]
os.unlink(path)
sh("systemctl daemon-reload")
""",
    )
    assert told[0] < 0.1
    assert told[1] == [None], "it is told once"
    assert told[2] == [77, 77]


@pytest.mark.parametrize("way", ["message bus", "private socket"])
def test_what_others_do_to_a_followed_unit_is_heard(units: Host, way: str) -> None:
    told = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
systemd.follow(["idle.service", "other.service"])
systemd.unit("other.service")  # an alias: what is told of the unit behind it counts
answer = {{}}
for what, command in {{
    "start": "systemctl start idle",
    "kill": "systemctl kill -s KILL idle",
    "alias": "systemctl restart plain",
    "reload": "systemctl daemon-reload",
    "stranger": "systemctl restart slow --no-block",
}}.items():
    hear(systemd, lambda heard: not systemd.pending())
    sh(command)
    time.sleep(0.15)
    answer[what] = sorted({{repr(e).partition(", job")[0] for e in systemd.events()}})
sh("systemctl reset-failed idle")
""",
    )
    assert told["start"] == ["JobEnded(unit='idle.service'", "UnitChanged(unit='idle.service')"]
    assert told["kill"] == ["UnitChanged(unit='idle.service')"]
    assert told["alias"] == ["JobEnded(unit='other.service'", "UnitChanged(unit='other.service')"]
    assert "UnitsReloaded(error=None)" in told["reload"]
    assert told["stranger"] == []


@pytest.mark.parametrize("way", ["message bus", "private socket"])
def test_a_unit_that_comes_into_being_is_heard_of(units: Host, way: str) -> None:
    told = ask(
        units,
        f"""
only({way!r})
path = "/run/systemd/system/late.service"
systemd = Systemd(user=False)
systemd.follow(["late.service"])
answer = [systemd.unit("late.service").load_state]
with open(path, "w") as file:
    file.write("[Service]\\nExecStart=/bin/sleep 1000\\n")
sh("systemctl start late")
heard = hear(systemd, lambda heard: UnitChanged("late.service") in heard)
answer.append(systemd.unit("late.service").active_state)
sh("systemctl stop late")
os.unlink(path)
sh("systemctl daemon-reload")
""",
    )
    assert told == ["not-found", "active"]


@pytest.mark.parametrize("way", ["message bus", "private socket"])
def test_to_look_at_a_unit_makes_no_event_of_it(units: Host, way: str) -> None:
    told = ask(
        units,
        f"""
only({way!r})
systemd = Systemd(user=False)
systemd.follow(["absent.service", "idle.service", "plain.service"])
answer = []
for _ in range(3):
    for unit in ("absent.service", "idle.service", "plain.service"):
        systemd.unit(unit)
    time.sleep(0.2)
    answer += map(repr, systemd.events())
""",
    )
    assert told == []


def test_without_a_bus_the_private_socket_serves_and_the_bus_is_taken_again(host: Host) -> None:
    for name in ("plain", "slow"):
        host.write(f"/etc/systemd/system/{name}.service", UNITS[name])
    host.sh("systemctl daemon-reload; systemctl start plain slow")
    told = ask(
        host,
        """
systemd = Systemd(user=False)
systemd.follow(["plain.service", "slow.service"])
answer = [systemd.route, systemd.connected]
job = systemd.start_job("slow.service", "restart")
sh("systemctl stop dbus.socket dbus.service")
heard = hear(systemd, lambda heard: ManagerLost() in heard)
answer += [heard.count(ManagerLost()), systemd.route, systemd.connected]
answer += [end_of(systemd, job), systemd.unit("slow.service").active_state]
answer += [end_of(systemd, systemd.start_job("plain.service", "restart"))]
sh("systemctl start dbus.socket dbus.service")
began = time.monotonic()
heard = hear(systemd, lambda heard: systemd.connected, 20)
answer += [systemd.route, UnitChanged("plain.service") in heard, ManagerLost() in heard]
answer += [end_of(systemd, systemd.start_job("plain.service", "restart"))]
""",
    )
    assert told[:2] == ["the message bus", True]
    assert told[2:5] == [1, "systemd's private socket", False]
    assert told[5:8] == ["done", "active", "done"]
    assert told[8:11] == ["the message bus", True, False]
    assert told[11] == "done"


def test_a_bus_that_hangs_costs_its_time_once(host: Host) -> None:
    host.write("/etc/systemd/system/plain.service", UNITS["plain"])
    host.sh("systemctl daemon-reload; systemctl start plain")
    told = ask(
        host,
        """
systemd = Systemd(user=False, seconds=1.0)
systemd.follow(["plain.service"])
bus = main_pid("dbus.service")
os.kill(bus, 19)
answer = []
for _ in range(3):
    began = time.monotonic()
    try:
        state = systemd.unit("plain.service").active_state
    except ManagerGone as error:
        state = str(error)
    answer.append([state, time.monotonic() - began < 1.3, systemd.route])
began = time.monotonic()
hear(systemd, lambda heard: ManagerLost() in heard)
os.kill(bus, 18)
answer.append(time.monotonic() - began < 1.0)
""",
    )
    assert told[0] == ["systemd has not answered for 1 s through the message bus", True, None]
    assert told[1] == told[2] == ["active", True, "systemd's private socket"]
    assert told[3]


def test_a_manager_that_hangs_is_gone_and_comes_back(host: Host) -> None:
    host.write("/etc/systemd/system/plain.service", UNITS["plain"])
    host.sh("systemctl daemon-reload; systemctl start plain")
    told = ask(
        host,
        """
only("message bus")
systemd = Systemd(user=False, seconds=0.5)
systemd.follow(["plain.service"])
before = systemd.unit("plain.service").active_state
sh("systemctl daemon-reexec")
heard = hear(systemd, lambda heard: UnitChanged("plain.service") in heard, 20)
answer = [before, ManagerLost() in heard, systemd.unit("plain.service").active_state]
""",
    )
    assert told == ["active", True, "active"]


def test_where_nobody_is_to_be_asked_it_says_so_at_once(units: Host) -> None:
    told = ask(
        units,
        """
os.environ.update(DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nowhere", PATH="/nowhere")
only("message bus", "systemctl")
systemd = Systemd(user=False)
systemd.follow(["plain.service"])
answer = [systemd.connected, systemd.route]
began = time.monotonic()
for call in (lambda: systemd.unit("plain.service"), lambda: systemd.reload_units(),
             lambda: systemd.start_job("plain.service", "restart")):
    try:
        answer.append(repr(call()))
    except ManagerGone as error:
        answer.append(str(error))
answer += [map(repr, systemd.events()) and systemd.pending(), time.monotonic() - began < 0.2]
answer.append(systemd.poll_due() > time.monotonic_ns())
""",
    )
    words = (
        "nobody tells of units (message bus: cannot connect to unix:path=/nowhere: "
        "No such file or directory; systemctl: systemctl: No such file or directory)"
    )
    assert told == [False, None, words, words, words, False, True, True]


def test_a_user_asks_their_own_manager(host: Host) -> None:
    host.start_user_manager("ubuntu")
    place = "/home/ubuntu/.config/systemd/user/mine.service"
    host.write(place, UNITS["plain"], owner="ubuntu")
    for way in WAYS:
        told = ask(
            host,
            f"""
only({way!r})
sh("systemctl --user daemon-reload; systemctl --user start mine")
systemd = Systemd(user=True)
systemd.follow(["mine.service"])
hear(systemd, lambda heard: systemd.route)  # a new user manager takes a moment to join the bus
fact = systemd.unit("mine.service")
pid = systemd.manager_pid()
answer = [
    fact.fragment,
    end_of(systemd, systemd.start_job("mine.service", "restart")),
    systemd.unit("mine.service").main_pid != fact.main_pid,
    open(f"/proc/{{pid}}/comm").read() if pid else None,
    ask_unit(systemd, "probe", "/bin/sh", "-c", "id -un | grep ubuntu; exit 3", of="mine"),
]
""",
            user="ubuntu",
        )
        manager = None if way == "systemctl" else "systemd\n"
        assert told == [place, "done", True, manager, [False, "exit status 3"]], way


def test_a_process_that_systemd_has_only_forked_is_told_from_the_service(units: Host) -> None:
    told = ask(
        units,
        """
# Its standard input is opened before its limits are set, and that waits for a writer.
os.mkfifo("/run/gate")
with open("/run/systemd/system/gated.service", "w") as file:
    file.write("[Service]\\nExecStart=/bin/sleep 1000\\nLimitNOFILE=100:200\\n"
               "StandardInput=file:/run/gate\\n")
sh("systemctl daemon-reload; systemctl start --no-block gated")
systemd = Systemd(user=False)
systemd.follow(["gated.service"])
hear(systemd, lambda heard: systemd.unit("gated.service").main_pid)
pid = systemd.unit("gated.service").main_pid
forked = facts.process(pid)
tells, facts._program = facts._program, lambda pid: None  # as without CAP_SYS_PTRACE
untold = facts.process(pid)
facts._program = tells
with open("/run/gate", "w"):
    end = time.monotonic() + 10
    while facts.process(pid).starting and time.monotonic() < end:
        time.sleep(0.001)
    service = facts.process(pid)
answer = [
    [forked.starting, untold.starting],
    [forked.limits["nofile"] == (100, 200), forked.started == service.started],
    [service.starting, service.limits["nofile"], service.command],
]
sh("systemctl stop gated")
""",
    )
    assert told == [
        [True, True],
        [False, True],
        [False, [100, 200], ["/bin/sleep", "1000"]],
    ]


def test_a_limit_is_set_on_the_running_main_process_and_on_nothing_beyond_the_ceiling(
    units: Host,
) -> None:
    told = ask(
        units,
        """
systemd = Systemd(user=False)
before = facts.process(systemd.unit("limited.service").main_pid)
def give(soft, hard):
    action = SetProcessLimit(before.pid, before.started, "nofile", soft, hard)
    try:
        limits.set_limit(action)
    except HostError as error:
        return [type(error).__name__, str(error)]
    return facts.process(before.pid).limits["nofile"]
ceiling = ceilings.ceiling("nofile", systemd.manager_pid())
answer = [give(150, 200), give(100, 200), give(100, 1 << 40), ceiling.value, before.pid]
""",
    )
    *given, beyond, ceiling, pid = told
    assert given == [[150, 200], [100, 200]]
    refusal = f"the kernel does not let us give process {pid} nofile 100:{1 << 40}"
    assert beyond == ["Refused", f"{refusal} without CAP_SYS_RESOURCE"]
    assert ceiling <= int(units.read("/proc/sys/fs/nr_open"))


def test_what_the_journal_is_told_it_explains(host: Host) -> None:
    catalogue = (CHECKOUT / "systemd/jada-configd.catalog").read_text()
    host.write("/usr/local/lib/systemd/catalog/jada-configd.catalog", catalogue)
    host.run(["journalctl", "--update-catalog"])
    script = """
from jada_configd.sinks.journal import MESSAGE_IDS, Journal
journal = Journal()
for event in MESSAGE_IDS:
    fields = {"JADA_RESOURCE": "sysctl:fs.nr_open", "JADA_FIELD": ["/a", "/b\\nc", "x" * 300_000]}
    journal.send(event, f"{event}\\x1b[2J", 5, fields)
assert journal.dropped == 0
"""
    host.run([PYTHON, "-"], stdin=script)
    records = host.journal("SYSLOG_IDENTIFIER=jada-configd")
    assert [record["JADA_EVENT"] for record in records] == list(MESSAGE_IDS)
    assert {record["MESSAGE_ID"] for record in records} == set(MESSAGE_IDS.values())
    assert records[0]["MESSAGE"] == "drift\\x1b[2J"
    assert [len(value) for value in records[0]["JADA_FIELD"]] == [2, 4, 300_000]
    explained = host.run(["journalctl", "-x", "SYSLOG_IDENTIFIER=jada-configd"]).stdout
    assert explained.count("Defined-By: jada-configd") == len(MESSAGE_IDS)
    assert "Subject: sysctl:fs.nr_open has been put right" in explained
