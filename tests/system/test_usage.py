"""Use against limits on a real systemd: measured, told once past a threshold, once below it."""

import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jada_configd.core.usage import LOOK_EVERY_NS
from tests.system.daemons import UNIT, Daemon, holds
from tests.system.host import Host

HOARDER = "hoarder.service"
PROGRAM = "/usr/local/lib/hoarder/hoarder.py"
PLACE = "/run/hoarder"
LIMIT = 10_000
OVER = 8_200
STREAMS = 3
ID = f"service:{HOARDER}"
POLICY = f"""
version = 1
[daemon]
sweep = "{{sweep}}"
[service."{HOARDER}"]
apply = "restart"
{{usage}}
"""


class Hoarder:
    """The service, told what to use."""

    def __init__(self, host: Host, *, user: str = "ubuntu", more: str = "") -> None:
        self.host = host
        host.write(PROGRAM, Path(__file__).with_name("hoarder.py").read_text())
        host.write(
            f"/etc/systemd/system/{HOARDER}",
            f"[Service]\nUser={user}\nExecStart=/usr/bin/python3 -I -S {PROGRAM}\n"
            f"RuntimeDirectory=hoarder\nWorkingDirectory={PLACE}\n"
            f"LimitNOFILE={LIMIT}\n{more}",
        )
        host.sh(f"systemctl daemon-reload; systemctl start {HOARDER}")
        self.user = user

    @property
    def pid(self) -> int:
        return int(self.host.show(HOARDER, "MainPID")["MainPID"])

    def use(self, **want: object) -> None:
        """Have it use so much, and wait until it does."""
        text = json.dumps(want)
        holds(lambda: self.host.exists(f"{PLACE}/has"))
        self.host.write(f"{PLACE}/want", text, owner=self.user)
        self.host.run(["kill", "-USR1", str(self.pid)])
        holds(lambda: self.host.read(f"{PLACE}/has") == text, within=20)


def policy(sweep: str = "1s", **usage: str) -> str:
    """A policy with these thresholds."""
    lines = "".join(f'usage.{limit} = "{share}"\n' for limit, share in usage.items())
    return POLICY.format(sweep=sweep, usage=lines)


def service(daemon: Daemon) -> Mapping[str, Any]:
    """What `status` says of the service."""
    (found,) = daemon.status()["services"]
    return dict(found)


def sees(daemon: Daemon, files: int) -> bool:
    """Whether it has looked since so many were opened."""
    return bool(service(daemon)["usage"]["nofile"]["used"] == files + STREAMS)


def events(host: Host) -> list[str]:
    """What the journal was told of it."""
    records = host.journal(f"--unit={UNIT}", f"JADA_RESOURCE={ID}")
    return [record["JADA_EVENT"] for record in records]


def check(host: Host) -> tuple[int, dict[str, Any]]:
    """The exit status of `check`, and what it says of the service."""
    said = host.run(["jada-configd", "check", "--json"], check=False)
    plain = json.loads(said.stdout)
    (found,) = (each for each in plain["resources"] if each["id"] == ID)
    return said.returncode, found


def test_a_service_that_opens_too_many_files_is_told_once_and_once_when_it_has_closed_them(
    host: Host,
) -> None:
    hoarder = Hoarder(host)
    daemon = Daemon.install(host, policy(nofile="80%"))
    daemon.settles()
    holds(lambda: service(daemon)["usage"]["nofile"]["used"] < 10)
    assert check(host)[0] == 0

    hoarder.use(files=OVER)
    daemon.settles("drifted")
    problem = f"process {hoarder.pid} (python3) has reached 80 % of the nofile limit of {LIMIT}"
    (told,) = daemon.status()["resources"]
    assert (told["id"], told["result"], told["problem"]) == (ID, "drifted", problem)
    holds(lambda: service(daemon)["usage"]["nofile"]["used"] >= OVER)
    nofile = service(daemon)["usage"]["nofile"]
    assert (nofile["limit"], nofile["pid"]) == (LIMIT, hoarder.pid)
    assert nofile["name"] == "python3"
    assert nofile["share"] == pytest.approx(0.82, abs=0.001)
    code, found = check(host)
    assert (code, found["result"], found["problem"]) == (2, "drifted", problem)
    assert found["actions"] == []

    for files in (OVER + 300, OVER - 100, 7500, OVER):  # 7500 is below, but not well below
        hoarder.use(files=files)
        holds(partial(sees, daemon, files), within=5)
    assert events(host) == ["drift"]

    hoarder.use(files=3000)
    daemon.settles()
    assert events(host) == ["drift", "eased"]
    assert check(host)[0] == 0
    assert daemon.status()["counters"]["service_applies"] == 0


def test_a_person_is_shown_the_use_beside_the_limits_in_80_columns(host: Host) -> None:
    hoarder = Hoarder(host)
    hoarder.use(files=OVER, threads=4)
    daemon = Daemon.install(host, policy())
    daemon.settles()
    shown = host.run(["jada-configd", "status"], check=False).stdout
    assert max(map(len, shown.splitlines())) <= 80
    words = " ".join(shown.split())
    assert f"nofile {OVER + STREAMS} of {LIMIT} (82 %, process {hoarder.pid} python3)" in words
    assert "1 process, 5 threads at " in words
    who = f"process {hoarder.pid} (python3)"
    assert (
        f"Of the descriptors of {who} are 0 connections and 2 other sockets." in words
    )  # to the journal
    usage = service(daemon)["usage"]
    assert (usage["processes"], usage["threads"]) == (1, 5)
    assert usage["nproc"]["uid"] == host.account("ubuntu").uid


def test_a_child_that_is_nearer_to_its_own_limit_is_the_one_that_is_named(host: Host) -> None:
    hoarder = Hoarder(host)
    daemon = Daemon.install(host, policy(nofile="50%"))
    hoarder.use(files=1000, child={"files": 90, "limit": 100})
    daemon.settles("drifted")
    (told,) = daemon.status()["resources"]
    assert "(hoarder-child) has reached 90 % of the nofile limit of 100" in told["problem"]
    assert service(daemon)["usage"]["processes"] == 2
    host.sh("pkill -x hoarder-child", check=False)
    daemon.settles()


def test_the_threads_of_a_services_user_are_held_against_its_nproc_limit(host: Host) -> None:
    host.sh("useradd --system hoarder")
    hoarder = Hoarder(host, user="hoarder", more="LimitNPROC=50\n")
    daemon = Daemon.install(host, policy(nproc="80%"))
    daemon.settles()
    assert service(daemon)["usage"]["nproc"]["limit"] == 50
    hoarder.use(threads=39)  # and its first is the 40th
    daemon.settles("drifted")
    (told,) = daemon.status()["resources"]
    who = f"as whom process {hoarder.pid} (python3) runs, has reached 80 % of the nproc limit of 50"
    assert who in told["problem"]
    # What runs elsewhere on the host counts as well.
    host.sh("setpriv --reuid=hoarder --clear-groups sleep 1000 >/dev/null 2>&1 </dev/null &")
    holds(lambda: service(daemon)["usage"]["nproc"]["used"] == 41, within=5)
    hoarder.use(threads=20)
    daemon.settles()
    assert events(host) == ["drift", "eased"]


def test_only_what_has_a_threshold_is_looked_at_between_sweeps(host: Host) -> None:
    hoarder = Hoarder(host)
    daemon = Daemon.install(host, policy("1h"))
    daemon.settles()
    time.sleep(1)  # what the first pass leaves to be told
    passes, slept = daemon.status()["counters"]["passes"], sleeps(host, daemon.pid)
    hoarder.use(files=OVER)
    time.sleep(LOOK_EVERY_NS / 1e9 + 1)
    assert daemon.status()["counters"]["passes"] == passes
    assert sleeps(host, daemon.pid) - slept <= 3  # the watchdog's beat comes each 15 s

    daemon.reload(policy("1h", nofile="90%"))
    daemon.settles()
    hoarder.use(files=9_500)
    daemon.settles("drifted", within=20)


def sleeps(host: Host, pid: int) -> int:
    """How often a process has gone to sleep (proc(5), voluntary_ctxt_switches)."""
    lines = host.sh(f"cat /proc/{pid}/status").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))


def test_the_daemon_may_see_what_services_of_others_use(host: Host) -> None:
    """In its sandbox it has few rights, and root's own services are bound by no nproc limit."""
    Hoarder(host, user="root")
    daemon = Daemon.install(host, policy(nofile="80%", memlock="90%", **{"as": "90%"}))
    daemon.settles()
    usage = service(daemon)["usage"]
    assert usage["nofile"]["used"] == STREAMS
    assert (usage["nproc"]["limit"], usage["nproc"]["share"]) == ("infinity", None)
    assert usage["as"]["used"] > 1 << 20
    assert usage["memlock"]["used"] == 0
