"""Limits put in by hand at each of systemd's doors, and what `check` says of them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.daemons import UNIT, Daemon, holds
from tests.system.host import Host

IMPOSSIBLE = 2147483646  # which no Linux takes
POLICY_PATH = "/root/policy.toml"
SYSTEM = "/etc/systemd/system"
WIDTH = 80

pytestmark = pytest.mark.usefixtures("machine")


class Door:
    """A service of its own, held by a policy, at which somebody sets limits by hand."""

    def __init__(self, host: Host, name: str, limits: str) -> None:
        self.host = host
        self.unit = name
        # All of them are one unit to its start limit, which would leave no room for a restart.
        unit = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep 1000\n"
        host.write(f"{SYSTEM}/{name}", unit)
        host.write(
            POLICY_PATH,
            f'version = 1\n[service."{name}"]\napply = "restart"\nmin_interval = "0s"\n'
            f'health.stable = "0s"\nlimits = {{ {limits} }}\n',
        )
        host.sh(f"systemctl daemon-reload; systemctl start {name}")
        assert self.run("apply").returncode == 0

    def run(self, verb: str, *more: str) -> Any:  # noqa: ANN401 - a completed process
        """A command of ours about this policy."""
        return self.host.run(
            ["jada-configd", verb, "--policy", POLICY_PATH, *more], check=False, timeout=60
        )

    def put(self, path: str, value: object = IMPOSSIBLE) -> None:
        """By hand, a file with the limit; the unit starts with it."""
        self.host.write(path, f"[Service]\n\nLimitNOFILE={value}\n")
        self.restart()

    def restart(self) -> None:
        self.host.sh(f"systemctl daemon-reload; systemctl restart {self.unit}")

    @property
    def pid(self) -> int:
        return int(self.host.show(self.unit, "MainPID")["MainPID"])

    def told(self) -> tuple[int, dict[str, dict[str, Any]]]:
        """What `check --json` says: its exit status, and each resource by its kind."""
        said = self.run("check", "--json")
        plain = json.loads(said.stdout)
        return said.returncode, {each["id"].partition(":")[0]: each for each in plain["resources"]}

    def read(self) -> list[str]:
        """What `check` says to a person, a line for each part, wrapped ones joined again."""
        said = self.run("check").stdout
        lines: list[str] = []
        for line in said.splitlines():
            assert len(line) <= WIDTH, line
            if line.startswith("      "):
                lines[-1] += " " + line.strip()
            else:
                lines.append(line.strip())
        return lines


@pytest.fixture
def clean(shared_host: Host) -> Iterator[Host]:
    """The module's host, without what the last test has left."""
    yield shared_host
    shared_host.sh(
        "systemctl stop 'a-door*' --all;"
        "find /etc/systemd /run/systemd /usr/local/lib/systemd -newer /root/policy.toml"
        " -name '*.conf' -delete 2>/dev/null; rm -rf /etc/systemd/system/a-door* ;"
        "systemctl daemon-reload",
        check=False,
    )


def test_where_the_policy_asks_for_more_than_there_is_the_process_is_told_of(
    clean: Host,
) -> None:
    door = Door(clean, "a-door.service", "core = 0")
    place = f"{SYSTEM}/a-door.service.d/zzz.conf"
    door.put(place)
    clean.write(
        POLICY_PATH, 'version = 1\n[service."a-door.service"]\nlimits = { nofile = 65536 }\n'
    )
    assert door.run("apply").returncode == 2
    status, told = door.told()
    assert status == 2
    wanted = three_lines(door, f"LimitNOFILE={IMPOSSIBLE} in {place}:3", REACH)
    assert told["process-limits"]["problem"] == "; ".join(wanted)
    assert told["service"]["problem"] is None
    lines = door.read()
    at = lines.index(wanted[0])
    assert lines[at : at + 3] == wanted
    pid = door.pid
    assert door.run("apply").returncode == 2
    assert door.pid == pid
    assert door.told() == (status, told)


def three_lines(door: Door, asked: str, why: str) -> list[str]:
    return [f"process {door.pid} (sleep) has nofile 20000:20000", f"asked: {asked}", f"why: {why}"]


REACH = (
    "PID 1 lacks CAP_SYS_RESOURCE, and its own hard limit of nofile is 20000, which whoever "
    "starts it can raise, and systemd takes what it cannot reach without a word"
)


@pytest.mark.parametrize(
    "place",
    [
        f"{SYSTEM}/a-door.service.d/10-early.conf",
        f"{SYSTEM}/a-door.service.d/zzz.conf",
        f"{SYSTEM}/a-.service.d/zzz.conf",
        f"{SYSTEM}/service.d/zzz.conf",
        "/run/systemd/system.control/a-door.service.d/50-x.conf",
        "/usr/local/lib/systemd/system/a-door.service.d/x.conf",
    ],
)
def test_the_impossible_where_the_policy_holds_another_limit_is_a_note(
    clean: Host, place: str
) -> None:
    door = Door(clean, "a-door.service", "core = 0")
    door.put(place)
    status, told = door.told()
    assert status == 0
    wanted = three_lines(door, f"LimitNOFILE={IMPOSSIBLE} in {place}:3", REACH)
    assert told["service"]["problem"] == "; ".join(wanted)
    assert told["service"]["result"] == "in-sync"
    lines = door.read()
    at = lines.index(wanted[0])
    assert lines[at : at + 3] == wanted


def test_the_impossible_in_the_units_own_file_is_a_note(clean: Host) -> None:
    door = Door(clean, "a-door.service", "core = 0")
    own = f"{SYSTEM}/a-door.service"
    clean.write(own, f"[Service]\nExecStart=/bin/sleep 1000\nLimitNOFILE={IMPOSSIBLE}\n")
    door.restart()
    status, told = door.told()
    assert status == 0
    wanted = three_lines(door, f"LimitNOFILE={IMPOSSIBLE} in {own}:3", REACH)
    assert told["service"]["problem"] == "; ".join(wanted)


def test_the_impossible_as_everybodys_default_is_a_note(clean: Host) -> None:
    door = Door(clean, "a-door.service", "core = 0")
    place = "/etc/systemd/system.conf.d/limits.conf"
    clean.write(place, f"[Manager]\nDefaultLimitNOFILE={IMPOSSIBLE}\n")
    door.restart()
    _, told = door.told()
    wanted = three_lines(door, f"DefaultLimitNOFILE={IMPOSSIBLE} in {place}:2", REACH)
    assert told["service"]["problem"] == "; ".join(wanted)


def test_the_impossible_by_systemctl_edit_is_a_note(clean: Host) -> None:
    door = Door(clean, "a-door.service", "core = 0")
    # The file is the last argument: from systemd 254 on a line to go to comes before it.
    clean.write(
        "/root/editor",
        "#!/bin/sh\nfor file do :; done\n"
        f'printf "[Service]\\nLimitNOFILE={IMPOSSIBLE}\\n" > "$file"\n',
    )
    clean.sh(
        "chmod +x /root/editor;"
        "SYSTEMD_EDITOR=/root/editor script -qec 'systemctl edit a-door.service' /dev/null"
    )
    door.restart()
    _, told = door.told()
    place = f"{SYSTEM}/a-door.service.d/override.conf"
    problem = told["service"]["problem"]
    assert f"asked: LimitNOFILE={IMPOSSIBLE} in {place}:" in problem


def test_a_line_that_ours_overrides_is_told_as_such(clean: Host) -> None:
    door = Door(clean, "a-door.service", "nofile = 4096")
    place = f"{SYSTEM}/a-door.service.d/10-early.conf"
    door.put(place)
    status, told = door.told()
    assert status == 0
    assert told["service"]["problem"] == (
        f"process {door.pid} (sleep) has nofile 4096:4096; "
        f"asked: LimitNOFILE={IMPOSSIBLE} in {place}:3; "
        f"why: LimitNOFILE=4096 in {SYSTEM}/a-door.service.d/zz-jada-configd.conf:4 is read later"
    )


@pytest.mark.parametrize(
    ("place", "whose", "remedy"),
    [
        (f"{SYSTEM}/a-door.service.d/zzz.conf", "", "take that line out"),
        (f"{SYSTEM}/a-.service.d/zzz.conf", " and is for every a-*.service", "take that line out"),
        (f"{SYSTEM}/service.d/zzz.conf", " and is for every service", "take that line out"),
        (f"{SYSTEM}.control/a-door.service.d/zzz.conf", "", "take that line out"),
        ("/run/systemd/system.control/a-door.service.d/zzz.conf", "", "take that line out"),
        (
            "/usr/local/lib/systemd/system/a-door.service.d/zzz.conf",
            "",
            f"mask it by an empty {SYSTEM}/a-door.service.d/zzz.conf",
        ),
    ],
)
def test_a_later_drop_in_is_named_with_its_line_and_nothing_flaps(
    clean: Host, place: str, whose: str, remedy: str
) -> None:
    door = Door(clean, "a-door.service", "nofile = 4096")
    door.put(place)
    ours = f"{SYSTEM}/a-door.service.d/zz-jada-configd.conf"
    before = clean.sh(f"stat -c '%i %y' {ours}")
    status, told = door.told()
    assert status == 2
    assert told["unit-dropin"]["problem"] == (
        f"systemd gives LimitNOFILE={IMPOSSIBLE}; asked: LimitNOFILE={IMPOSSIBLE} in {place}:3, "
        f"which is read after our drop-in{whose}; remedy: {remedy}, then `systemctl daemon-reload`"
    )
    assert told["unit-dropin"]["actions"] == []
    assert door.run("apply").returncode == 2
    pid = door.pid
    _, first = door.told()
    assert door.run("apply").returncode == 2
    _, second = door.told()
    assert first == second
    assert door.pid == pid
    assert clean.sh(f"stat -c '%i %y' {ours}") == before


def test_a_drop_in_of_the_template_is_for_all_its_instances(clean: Host) -> None:
    door = Door(clean, "a-door@x.service", "nofile = 4096")
    place = f"{SYSTEM}/a-door@.service.d/zzz.conf"
    door.put(place, "64:4K\nLimitNOFILE=64:128")
    _, told = door.told()
    assert told["unit-dropin"]["problem"] == (
        f"systemd gives LimitNOFILE=64:128; asked: LimitNOFILE=64:128 in {place}:4, which is read "
        "after our drop-in and is for every instance of a-door@.service; remedy: take that line "
        "out, then `systemctl daemon-reload`"
    )


def test_one_of_the_same_name_that_counts_first_masks_ours(clean: Host) -> None:
    door = Door(clean, "a-door.service", "nofile = 4096")
    place = f"{SYSTEM}.control/a-door.service.d/zz-jada-configd.conf"
    door.put(place, 77)
    _, told = door.told()
    assert told["unit-dropin"]["problem"] == (
        f"systemd gives LimitNOFILE=77; our drop-in is masked by {place}, which has the same name "
        "and counts first; remedy: remove it, then `systemctl daemon-reload`"
    )
    assert told["unit-dropin"]["actions"] == []


# ------------------------------------------------------------------------------ NeedDaemonReload


def test_an_edit_that_brings_nothing_of_ours_stays_pending_and_is_told(clean: Host) -> None:
    door = Door(clean, "a-door.service", "nofile = 4096")
    clean.write(f"{SYSTEM}/a-door.service", "[Service]\nExecStart=/bin/sleep 2000\n")
    told = [door.told() for _ in range(2)]
    assert told[0] == told[1]
    status, resources = told[0]
    assert status == 0
    assert resources["unit-dropin"]["result"] == "in-sync"
    assert resources["unit-dropin"]["problem"] == (
        "the files of a-door.service have changed since systemd read them; "
        "`systemctl daemon-reload` has it read"
    )
    assert door.run("apply").returncode == 0
    assert clean.show(door.unit, "NeedDaemonReload") == {"NeedDaemonReload": "yes"}


def test_an_edit_that_would_override_ours_is_told_before_systemd_reads_it(clean: Host) -> None:
    door = Door(clean, "a-door.service", "nofile = 4096")
    place = f"{SYSTEM}/a-door.service.d/zzz.conf"
    clean.write(place, "[Service]\nLimitNOFILE=64:1K\nLimitNOFILE=64\n")
    status, told = door.told()
    assert status == 0
    assert told["unit-dropin"]["problem"] == (
        "the files of a-door.service have changed since systemd read them; "
        f"a `systemctl daemon-reload` would bring LimitNOFILE=64 in {place}:3"
    )


def test_an_edit_that_brings_ours_is_read(clean: Host) -> None:
    door = Door(clean, "a-door.service", "nofile = 4096")
    place = f"{SYSTEM}/a-door.service.d/zzz.conf"
    door.put(place, 77)
    assert door.told()[0] == 2
    clean.sh(f"rm {place}")
    _, told = door.told()
    assert told["unit-dropin"]["actions"] == ["daemon-reload"]
    assert door.run("apply").returncode == 0
    assert clean.show(door.unit, "LimitNOFILE") == {"LimitNOFILE": "4096"}
    assert door.told()[0] == 0


# ------------------------------------------------------------------------------ the daemon


def test_the_daemon_tells_once_of_what_it_cannot_override(host: Host) -> None:
    host.write(f"{SYSTEM}/a-door.service", "[Service]\nExecStart=/bin/sleep 1000\n")
    host.sh("systemctl daemon-reload; systemctl start a-door")
    policy = 'version = 1\n[service."a-door.service"]\nlimits = { nofile = 4096 }\n'
    daemon = Daemon.install(host, policy)
    daemon.settles()
    place = f"{SYSTEM}/a-door.service.d/zzz.conf"
    host.write(place, f"[Service]\nLimitNOFILE={IMPOSSIBLE}\n")
    host.sh("systemctl daemon-reload")
    daemon.settles("drifted")
    pid = host.show("a-door", "MainPID")
    for _ in range(2):
        host.run(["systemctl", "reload", UNIT], timeout=60)
    assert daemon.result("unit-dropin:a-door.service") == "drifted"
    records = host.journal(f"--unit={UNIT}", "JADA_RESOURCE=unit-dropin:a-door.service")
    assert [each["JADA_EVENT"] for each in records if f"{place}:2" in each["MESSAGE"]] == ["drift"]
    assert host.show("a-door", "MainPID") == pid
    host.run(["systemctl", "restart", "a-door"])  # it has 20000 now, till we hear of it
    new = host.show("a-door", "MainPID")["MainPID"]
    holds(lambda: " 4096 " in host.sh(f"grep files /proc/{new}/limits"))
    host.sh(f"rm {place}; systemctl daemon-reload")
    daemon.settles()


def test_a_users_unit_has_the_doors_of_its_own_manager(host: Host) -> None:
    host.start_user_manager("ubuntu")
    home = "/home/ubuntu/.config"
    unit = f"{home}/systemd/user/mine.service"
    host.write(unit, "[Service]\nExecStart=/bin/sleep 1000\n", owner="ubuntu")
    policy = 'version = 1\n[service."mine.service"]\nlimits = { nofile = 4096 }\n'
    host.write(f"{home}/jada-configd/policy.toml", policy, owner="ubuntu")
    host.sh("systemctl --user daemon-reload; systemctl --user start mine", user="ubuntu")
    apply = host.run(["jada-configd", "apply", "--user"], user="ubuntu", check=False, timeout=60)
    assert apply.returncode == 0, apply.stdout + apply.stderr

    def told() -> dict[str, Any]:
        said = host.run(["jada-configd", "check", "--user", "--json"], user="ubuntu", check=False)
        return {each["id"]: each for each in json.loads(said.stdout)["resources"]}

    place = f"{home}/systemd/user/mine.service.d/zzz.conf"
    host.write(place, f"[Service]\nLimitNOFILE={IMPOSSIBLE}\n", owner="ubuntu")
    host.sh("systemctl --user daemon-reload; systemctl --user restart mine", user="ubuntu")
    assert told()["unit-dropin:mine.service"]["problem"] == (
        f"systemd gives LimitNOFILE={IMPOSSIBLE}; asked: LimitNOFILE={IMPOSSIBLE} in {place}:2, "
        "which is read after our drop-in; remedy: take that line out, then "
        "`systemctl --user daemon-reload`"
    )
    host.sh(f"rm {place}")
    default = f"{home}/systemd/user.conf"
    host.write(default, f"[Manager]\nDefaultLimitNOFILE={IMPOSSIBLE}\n", owner="ubuntu")
    host.sh("systemctl --user daemon-reload; systemctl --user restart mine", user="ubuntu")
    note = told()["service:mine.service"]["problem"]
    assert f"asked: DefaultLimitNOFILE={IMPOSSIBLE} in {default}:2" in note
    assert "has nofile 4096:4096" in note
    holds(lambda: all(each["result"] == "in-sync" for each in told().values()))
