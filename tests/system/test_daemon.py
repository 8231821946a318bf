"""The main job on a real systemd: drift by any writer is corrected, and services take it up."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.system.agents import Agent
from tests.system.daemons import POLICY, UNIT, Daemon, holds
from tests.system.host import Host
from tests.system.layers import Installed

SETTINGS = "/home/ubuntu/.claude/settings.json"
CLAUDE = "/home/ubuntu/.claude"
ID = f"settings:{SETTINGS}"
WANTED = "claude-sonnet-4-6"
RULES = f"""
version = 1
[settings.agent]
path = "{SETTINGS}"
services = ["jada-agent.service"]
absent = ["/env/ANTHROPIC_MODEL"]
[settings.agent.set]
model = "{WANTED}"
"""
# Pace and health are not what this is about; by default they hold where RULES alone are in force.
LIMITED = f"""{RULES}
[service."jada-agent.service"]
gather = "0ms"
min_interval = "0s"
health.stable = "0s"
[service."jada-agent.service".limits]
nofile = {{ soft = 2048, hard = 8192 }}
"""
# All of them spoil one file, and more often than anybody would; they are no rivals in a contest.
SPOILT = f"""{RULES}
[daemon]
contested_after = 1000
"""
GOOD = '{\n    "theme": "dark",\n    "model": "claude-sonnet-4-6",\n    "n": 1e2\n}'
BAD = GOOD.replace(WANTED, "claude-haiku-4-5")


@pytest.fixture
def agent(host: Host) -> Agent:
    """The sample agent, running on a right file."""
    host.write(SETTINGS, GOOD, owner="ubuntu", mode=0o640)
    agent = Agent.install(host)
    agent.start()
    return agent


@pytest.fixture
def daemon(host: Host, agent: Agent) -> Daemon:
    """The daemon, in sync."""
    daemon = Daemon.install(host, LIMITED)
    daemon.settles()
    return daemon


def right(host: Host) -> bool:
    """Whether the file is there and its model as declared."""
    try:
        return bool(json.loads(host.read(SETTINGS))["model"] == WANTED)
    except (OSError, ValueError, KeyError):
        return False


@pytest.fixture(scope="module")
def held(installed: Installed) -> Iterator[Host]:
    """One host for all writers: each begins in sync."""
    with Host.boot(overlays=installed.overlays, links=installed.links) as host:
        host.write(SETTINGS, GOOD, owner="ubuntu", mode=0o640)
        Daemon.install(host, SPOILT).settles("drifted")  # the unit it names is not there
        yield host


class TestWriters:
    """Each way in which programs and people write; the daemon runs all along."""

    @pytest.mark.parametrize(
        "script",
        [
            pytest.param("printf %s '{bad}' > {file}", id="truncate and write"),
            pytest.param(
                "printf %s '{bad}' | dd of={file} conv=notrunc status=none", id="in place"
            ),
            pytest.param("printf %s '{bad}' > {file}.t && mv {file}.t {file}", id="rename over"),
            pytest.param(
                "printf %s '{bad}' > ~/t && mv ~/t {file}", id="rename from another directory"
            ),
            pytest.param("rm {file}", id="delete"),
            pytest.param("mv {dir} {dir}.away && mkdir {dir}", id="directory made again"),
            pytest.param(
                "mv {dir} {dir}.away && printf %s '{bad}' > {dir}.away/settings.json && "
                "sleep 0.1 && mv {dir}.away {dir}",
                id="directory renamed away and back",
            ),
            pytest.param("sed -i s/sonnet/haiku/ {file}", id="sed -i"),
            pytest.param(
                "sed s/sonnet/haiku/ {file} > {file}.tmp && mv {file}.tmp {file}", id="jq and mv"
            ),
            pytest.param(
                "mv {file} {file}~ && printf %s '{bad}' > {file} && rm {file}~", id="as vim does"
            ),
            pytest.param(
                "mkdir -p ~/dot && printf %s '{bad}' > ~/dot/s.json && ln -sf ~/dot/s.json {file}",
                id="a link into the user's own tree",
            ),
            pytest.param("printf '' > {file}", id="emptied"),
            pytest.param('printf \'{{"model": "cl\' > {file}', id="cut off in mid-write"),
        ],
    )
    def test_drift_by_any_writer_is_corrected(self, held: Host, script: str) -> None:
        """After each of them the model is right within a second, and stays so."""
        held.sh(
            f"rm -rf {CLAUDE} {CLAUDE}.away ~/dot && mkdir {CLAUDE}", user="ubuntu", check=False
        )
        held.write(SETTINGS, GOOD, owner="ubuntu", mode=0o640)
        holds(lambda: right(held))
        held.sh(script.format(bad=BAD, file=SETTINGS, dir=CLAUDE), user="ubuntu", check=False)
        holds(lambda: right(held))
        time.sleep(0.3)
        assert right(held)

    def test_a_link_stays_a_link(self, held: Host) -> None:
        """The file behind it is what is corrected."""
        held.sh(
            f"mkdir -p ~/tree && printf %s '{BAD}' > ~/tree/s.json && "
            f"ln -sf ~/tree/s.json {SETTINGS}",
            user="ubuntu",
        )
        holds(lambda: right(held))
        assert held.sh(f"readlink {SETTINGS}") == "/home/ubuntu/tree/s.json"
        assert held.read("/home/ubuntu/tree/s.json") == GOOD
        held.sh(f"rm {SETTINGS}", user="ubuntu")

    def test_what_nobody_owns_keeps_every_byte_and_the_file_its_mode_and_owner(
        self, held: Host
    ) -> None:
        """Order, indentation, number spelling, no final newline, 0640, ubuntu."""
        held.sh(f"chmod 640 {SETTINGS}; printf %s '{BAD}' > {SETTINGS}", user="ubuntu")
        holds(lambda: held.read(SETTINGS) == GOOD)
        assert held.sh(f"stat -c '%a %U %G' {SETTINGS}") == "640 ubuntu ubuntu"

    def test_twenty_thousand_files_beside_it_lose_nothing(self, held: Host) -> None:
        """The queue overflows; the drift that happened meanwhile is corrected within a second."""
        flood = "import pathlib\nfor n in range(20000): pathlib.Path(f'f{n}').touch()"
        held.write("/home/ubuntu/flood.py", flood, owner="ubuntu")
        held.run(["python3", "/home/ubuntu/flood.py"], user="ubuntu", cwd=CLAUDE, timeout=60)
        held.sh(f"printf %s '{BAD}' > {SETTINGS}", user="ubuntu")
        holds(lambda: right(held), within=1.0)

    @pytest.mark.parametrize("make", ["mkfifo {0}", "mkdir {0}", "ln -s /etc/shadow {0}"])
    def test_what_is_no_file_of_the_users_is_refused_without_blocking(
        self, held: Host, make: str
    ) -> None:
        """One sentence says why; when it is gone the file comes back."""
        held.sh(f"rm -rf {SETTINGS}; {make.format(SETTINGS)}", user="ubuntu", check=False)
        daemon = Daemon(held)
        holds(lambda: daemon.result(ID) in ("failed", "in-sync"))
        held.sh(f"rm -rf {SETTINGS}", user="ubuntu")
        holds(lambda: right(held))

    @pytest.mark.parametrize(
        ("content", "kept"),
        [
            pytest.param('{"model": "x", "MARK": [' + "1,\n" * 700_000 + "2]}", True, id="2 MiB"),
            pytest.param('{"MARK": ' + "[" * 100 + "]" * 100 + "}", True, id="100 levels"),
            pytest.param('{"model": "x", "MARK": "\\ud800"}', True, id="a lone surrogate"),
            pytest.param('{"model": "x", "MARK": NaN}', False, id="NaN"),
            pytest.param('{"model": "x", "MARK\tb": 1}', False, id="a control character in a key"),
            pytest.param('{"MARK": ' + "[" * 100_000, False, id="a bomb of brackets"),
            pytest.param('["MARK"]', False, id="an array"),
        ],
    )
    def test_odd_content_is_handled(
        self,
        held: Host,
        content: str,
        kept: bool,  # noqa: FBT001 - a column of the table
        request: pytest.FixtureRequest,
    ) -> None:
        """What Claude Code reads is edited; what it does not read becomes the last good content."""
        mark = f"mark of {request.node.callspec.id}"
        held.write("/home/ubuntu/odd.json", content.replace("MARK", mark), owner="ubuntu")
        held.sh(f"mv ~/odd.json {SETTINGS}", user="ubuntu")
        holds(lambda: f'"model": "{WANTED}"' in held.read(SETTINGS), within=3)
        assert (mark in held.read(SETTINGS)) == kept


class TestService:
    """What a correction asks of the service, and how it gets it."""

    def test_a_drift_corrected_at_once_restarts_nothing(self, daemon: Daemon, agent: Agent) -> None:
        """The process read the right value and still has it."""
        starts = agent.starts
        daemon.host.write(SETTINGS, BAD)
        holds(lambda: daemon.host.read(SETTINGS) == GOOD)
        time.sleep(0.5)
        assert agent.starts == starts
        assert daemon.status()["state"] == "in-sync"

    def test_a_drift_while_the_daemon_was_down_restarts_who_read_it(
        self, daemon: Daemon, agent: Agent
    ) -> None:
        """The agent started on the wrong model; it is restarted on the right one."""
        host = daemon.host
        host.run(["systemctl", "stop", UNIT])
        host.write(SETTINGS, BAD)
        host.run(["systemctl", "restart", agent.unit])
        assert agent.model == "claude-haiku-4-5"
        host.run(["systemctl", "start", UNIT])
        holds(lambda: agent.model == WANTED, within=5)
        daemon.settles()
        assert daemon.status()["services"][0]["loaded"] is True

    def test_one_pass_by_hand_has_the_service_take_up_what_it_corrects(
        self, host: Host, agent: Agent
    ) -> None:
        """Without a daemon: `apply` ends when the service runs on what was corrected."""
        host.write(SETTINGS, BAD)
        host.run(["systemctl", "restart", agent.unit])
        host.write(POLICY, RULES)
        done = host.run(["jada-configd", "apply", "--json"], timeout=60)
        results = {each["id"]: each["result"] for each in json.loads(done.stdout)["resources"]}
        assert results == {ID: "corrected", "service:jada-agent.service": "corrected"}
        assert agent.model == WANTED
        assert len(agent.starts) == 3

    def test_another_policy_is_taken_up(self, daemon: Daemon, agent: Agent) -> None:
        """SIGHUP loads it, the file follows, and the process that runs is a new one."""
        daemon.reload(LIMITED.replace(WANTED, "claude-opus-4-8"))
        holds(lambda: agent.model == "claude-opus-4-8", within=5)

    def test_limits_are_read_back_from_the_process(self, daemon: Daemon, agent: Agent) -> None:
        """The drop-in, what systemd says, and what the process has: all three."""
        assert agent.limit("open files") == ("2048", "8192")
        shown = daemon.host.show(agent.unit, "LimitNOFILE", "LimitNOFILESoft")
        assert shown == {"LimitNOFILE": "8192", "LimitNOFILESoft": "2048"}
        said = daemon.host.run(["jada-configd", "check", "--json"])
        ids = [each["id"] for each in json.loads(said.stdout)["resources"]]
        assert ids == [
            ID,
            f"unit-dropin:{agent.unit}",
            f"process-limits:{agent.unit}",
            f"service:{agent.unit}",
        ]

    def test_a_removed_drop_in_comes_back_and_is_loaded(self, daemon: Daemon, agent: Agent) -> None:
        """And nothing is restarted for it: the process has its limits."""
        starts = agent.starts
        host = daemon.host
        host.sh(f"rm -r /etc/systemd/system/{agent.unit}.d; systemctl daemon-reload")
        drop_in = f"/etc/systemd/system/{agent.unit}.d/zz-jada-configd.conf"
        holds(lambda: host.exists(drop_in))
        holds(lambda: host.show(agent.unit, "LimitNOFILE")["LimitNOFILE"] == "8192")
        daemon.settles()
        assert agent.starts == starts

    def test_lowered_limits_of_the_running_process_come_back(
        self, daemon: Daemon, agent: Agent
    ) -> None:
        """By prlimit where the kernel lets us, by one restart where it does not."""
        daemon.host.run(["prlimit", f"--pid={agent.pid}", "--nofile=1000:8192"], user="ubuntu")
        daemon.host.run(["systemctl", "reload", UNIT])
        holds(lambda: agent.limit("open files") == ("2048", "8192"), within=5)
        assert len(agent.starts) <= 3

    def test_a_unit_that_starts_slowly_delays_no_correction(
        self, daemon: Daemon, agent: Agent
    ) -> None:
        """The job takes seconds; a drift in between is corrected at once, and the beat goes on."""
        agent.switch({"AGENT_START_SECONDS": "4"})
        daemon.reload(LIMITED.replace(WANTED, "claude-opus-4-8"))
        holds(lambda: daemon.status()["services"][0]["active"] in ("deactivating", "activating"))
        daemon.host.write(SETTINGS, '{"model": "x"}')
        holds(lambda: "claude-opus-4-8" in daemon.host.read(SETTINGS), within=0.5)
        daemon.settles(within=15)
        assert agent.model == "claude-opus-4-8"

    def test_an_inactive_unit_is_not_started(self, daemon: Daemon, agent: Agent) -> None:
        """It will read right values when somebody starts it."""
        daemon.host.run(["systemctl", "stop", agent.unit])
        daemon.host.write(SETTINGS, BAD)
        holds(lambda: daemon.host.read(SETTINGS) == GOOD)
        time.sleep(0.5)
        assert daemon.host.show(agent.unit, "ActiveState")["ActiveState"] == "inactive"
        said = daemon.host.run(["jada-configd", "check", "--json"]).stdout
        assert "is inactive" in said

    @pytest.mark.parametrize(
        ("make", "word"),
        [
            ("rm /etc/systemd/system/jada-agent.service", "does not exist"),
            ("systemctl mask --now jada-agent --force", "is masked"),
            ("echo AGENT_EXIT=3 > /etc/default/jada-agent; systemctl restart jada-agent", "failed"),
        ],
    )
    def test_a_unit_that_cannot_run_is_said_to_be_so(
        self, daemon: Daemon, agent: Agent, make: str, word: str
    ) -> None:
        """Not found, masked, failed: in one sentence, with what to do."""
        host = daemon.host
        host.run(["systemctl", "stop", agent.unit])
        if "mask" in make:
            make = "rm /etc/systemd/system/jada-agent.service; " + make
        host.sh(f"({make}); systemctl daemon-reload", check=False)
        said = host.run(["jada-configd", "check", "--json"], check=False)
        service = json.loads(said.stdout)["resources"][-1]
        assert word in service["problem"]
        assert said.returncode == 2

    def test_a_reloadable_unit_is_reloaded(self, host: Host) -> None:
        """`auto`: a reload after every correction, and no restart where nothing is stale."""
        host.write(SETTINGS, GOOD, owner="ubuntu")
        agent = Agent.install(host, reloads=True, switches={"AGENT_ON_HANGUP": "reload"})
        agent.start()
        daemon = Daemon.install(host, RULES)
        daemon.settles()
        pid = agent.pid
        host.write(SETTINGS, BAD)
        holds(lambda: daemon.status()["counters"]["service_applies"] == 1)
        assert agent.pid == pid


class TestLife:
    """Start, stop, signals, crashes, and what stands in the way."""

    def test_systemd_has_it_back_within_a_second_after_a_kill(
        self, daemon: Daemon, agent: Agent
    ) -> None:
        """And what drifted meanwhile is corrected."""
        old = daemon.pid
        daemon.host.sh(f"kill -9 {old}; printf %s '{BAD}' > {SETTINGS}")
        holds(lambda: daemon.pid not in (0, old), within=1.0)
        holds(lambda: daemon.host.read(SETTINGS) == GOOD)

    def test_a_kill_does_not_make_it_forget_who_read_right_values(
        self, daemon: Daemon, agent: Agent
    ) -> None:
        """The agent started after the daemon did; what drifts after the kill it has not read."""
        host = daemon.host
        host.run(["systemctl", "restart", agent.unit])
        time.sleep(0.5)
        starts = agent.starts
        host.sh(f"kill -9 {daemon.pid}; printf %s '{BAD}' > {SETTINGS}")
        holds(lambda: host.read(SETTINGS) == GOOD)
        time.sleep(0.5)
        daemon.settles()
        assert agent.starts == starts

    def test_a_stopped_loop_is_ended_by_the_watchdog(self, daemon: Daemon) -> None:
        """The beat comes from the loop that does the work, so a daemon that hangs is replaced."""
        host = daemon.host
        host.write(f"/run/systemd/system/{UNIT}.d/fast.conf", "[Service]\nWatchdogSec=1s\n")
        host.sh(f"systemctl daemon-reload; systemctl restart {UNIT}")
        old = daemon.pid
        time.sleep(2.5)
        assert daemon.pid == old, "the beat did not come in time"
        host.sh(f"kill -STOP {old}")
        holds(lambda: daemon.pid not in (0, old), within=5)

    def test_a_policy_that_does_not_load_changes_nothing(self, daemon: Daemon) -> None:
        """The last good one stays in force, across restarts too; it recovers when it is mended."""
        host = daemon.host
        daemon.reload("version = 1\n[settings.x]\npth = 3\n")
        daemon.settles("degraded")
        assert "did you mean" in daemon.status()["policy"]["error"]
        host.write(SETTINGS, BAD)
        holds(lambda: host.read(SETTINGS) == GOOD)
        host.run(["systemctl", "restart", UNIT])
        host.write(SETTINGS, BAD)
        holds(lambda: host.read(SETTINGS) == GOOD)
        assert daemon.status()["state"] == "degraded"
        host.write(POLICY, LIMITED)
        daemon.settles(within=15)

    def test_a_missing_policy_is_waited_for(self, daemon: Daemon) -> None:
        """Degraded, and it says which file; back by itself."""
        host = daemon.host
        host.sh(f"rm {POLICY} /var/lib/jada-configd/policy.json; systemctl restart {UNIT}")
        daemon.settles("degraded")
        assert POLICY in daemon.status()["reason"]
        host.write(POLICY, LIMITED)
        daemon.settles(within=15)

    def test_an_entry_that_leaves_the_policy_takes_its_drop_in_along(
        self, daemon: Daemon, agent: Agent
    ) -> None:
        """systemd forgets the limit; the live process keeps it."""
        daemon.reload(RULES)
        drop_in = f"/etc/systemd/system/{agent.unit}.d/zz-jada-configd.conf"
        holds(lambda: not daemon.host.exists(drop_in))
        holds(lambda: daemon.host.show(agent.unit, "LimitNOFILE")["LimitNOFILE"] != "8192")
        assert agent.limit("open files") == ("2048", "8192")

    @pytest.fixture
    def small(self, daemon: Daemon) -> Daemon:
        """The settings directory on a small file system of its own, in sync."""
        host = daemon.host
        host.sh(f"mount -t tmpfs -o size=64k,uid=1000,mode=755 none {CLAUDE}")
        host.write(SETTINGS, GOOD, owner="ubuntu")
        holds(lambda: daemon.result(ID) == "in-sync")
        return daemon

    def test_a_full_disk_is_said_and_survived(self, small: Daemon) -> None:
        """Degraded as long as it lasts, with the reason; corrected afterwards, by itself."""
        host = small.host
        host.sh(
            f"dd if=/dev/zero of={CLAUDE}/fill bs=1k status=none; "
            f"printf %s '{BAD}' | "
            f"dd of={SETTINGS} conv=notrunc status=none",
            check=False,
        )
        small.settles("degraded")
        assert "No space left" in small.status()["reason"]
        host.sh(f"rm {CLAUDE}/fill")
        holds(lambda: host.read(SETTINGS) == GOOD, within=10)
        small.settles()

    def test_a_read_only_file_system_is_said_and_survived(self, small: Daemon) -> None:
        """The daemon lives and keeps trying, and corrects when it can."""
        host = small.host
        host.sh(f"printf %s '{BAD}' > {CLAUDE}/x; mount -o remount,ro {CLAUDE}")
        host.sh(
            f"mount -o remount,rw {CLAUDE}; mv {CLAUDE}/x {SETTINGS}; mount -o remount,ro {CLAUDE}"
        )
        if not right(host):  # it was faster than our remount
            small.settles("degraded")
            assert "ead-only file system" in small.status()["reason"]
        host.sh(f"mount -o remount,rw {CLAUDE}")
        holds(lambda: right(host), within=10)
        small.settles()

    def test_an_immutable_directory_is_said_and_survived(self, daemon: Daemon) -> None:
        """What root itself is not allowed: degraded, with the reason."""
        host = daemon.host
        if host.run(["chattr", "+i", CLAUDE], check=False).returncode:
            host.sh(f"mount -t tmpfs -o size=1M,nr_inodes=3,uid=1000 none {CLAUDE}")
            host.sh(f"touch {CLAUDE}/a; printf %s '{BAD}' > {SETTINGS}", check=False)
        else:
            host.sh(f"printf %s '{BAD}' > {SETTINGS}", check=False)
        small = daemon
        small.settles("degraded")
        host.sh(f"chattr -i {CLAUDE}; rm -f {CLAUDE}/a", check=False)
        holds(lambda: right(host), within=10)
        small.settles()

    def test_a_vanished_user_is_survived(self, daemon: Daemon) -> None:
        """The home is gone and its owner a number: watched for, and held again when it is back."""
        host = daemon.host
        host.sh("mv /home/ubuntu /home/gone; sed -i /^ubuntu:/d /etc/passwd")
        holds(lambda: daemon.result(ID) == "waiting")
        host.sh(f"mv /home/gone /home/ubuntu; printf %s '{BAD}' > {SETTINGS}")
        holds(lambda: host.read(SETTINGS) == GOOD)

    def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(self, daemon: Daemon) -> None:
        """Thirty times in the middle of corrections; no litter after the next start."""
        host = daemon.host
        host.write(
            "/root/hammer.py",
            f"""
import os, random, signal, subprocess, time
good, bad = {GOOD!r}, {BAD!r}
for turn in range(30):
    pid = 0
    while not pid:
        asked = ["systemctl", "show", "-P", "MainPID", "{UNIT}"]
        pid = int(subprocess.run(asked, capture_output=True).stdout)
    time.sleep(0.25)
    with open("{SETTINGS}.t", "w") as file:
        file.write(bad)
    os.rename("{SETTINGS}.t", "{SETTINGS}")
    time.sleep(random.uniform(0, 0.003))
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    found = open("{SETTINGS}").read()
    assert found in (good, bad), found
    time.sleep(0.05)
""",
        )
        host.run(["python3", "/root/hammer.py"], timeout=120)
        holds(lambda: host.read(SETTINGS) == GOOD, within=5)
        daemon.settles()
        holds(lambda: host.sh(f"ls -A {CLAUDE}") == "settings.json")

    def test_no_bus_is_said_and_survived(self, daemon: Daemon, agent: Agent) -> None:
        """Without D-Bus the private socket or systemctl serves; it comes back by itself."""
        host = daemon.host
        host.sh("systemctl stop dbus.socket dbus.service", check=False)
        host.write(SETTINGS, BAD)
        holds(lambda: host.read(SETTINGS) == GOOD)
        daemon.settles("degraded")
        host.sh("systemctl start dbus.socket dbus.service")
        daemon.settles(within=40)

    def test_there_is_one_daemon_a_host(self, daemon: Daemon) -> None:
        """A second one ends with a sentence."""
        said = daemon.host.run(["jada-configd", "run"], check=False)
        assert said.returncode == 1
        assert "another instance" in said.stderr

    def test_stop_is_clean(self, daemon: Daemon) -> None:
        """Exit status 0, no status file, and `status` says that nothing runs."""
        host = daemon.host
        host.run(["systemctl", "stop", UNIT])
        assert host.show(UNIT, "Result", "ExecMainStatus") == {
            "Result": "success",
            "ExecMainStatus": "0",
        }
        assert host.run(["jada-configd", "status"], check=False).returncode == 3
