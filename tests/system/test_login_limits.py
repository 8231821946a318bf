"""What a real pam_limits makes of our file, and of others beside it: `su -` is a login."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from jada_configd.formats.limits_conf import parse
from jada_configd.formats.limits_precedence import Accounts, given
from jada_configd.policy.logins import LEAST
from tests.system import layers
from tests.system.daemons import POLICY, UNIT, Daemon, holds
from tests.system.host import Host

MAIN = "/etc/security/limits.conf"
DIRECTORY = "/etc/security/limits.d"
OURS = f"{DIRECTORY}/zz-jada-configd.conf"
FOREIGN = f"{DIRECTORY}/zzz-local.conf"
BOUNDLESS = "version = 1\n[login.ubuntu]\nlimits = { nofile = 2147483584, nproc = 4000 }\n"


@pytest.fixture(scope="module")
def shared(installed: layers.Installed) -> Iterator[Host]:
    with Host.boot(overlays=installed.overlays, links=installed.links) as booted:
        booted.sh("groupadd -g 2000 dev; usermod -aG dev ubuntu; usermod -aG dev eve")
        yield booted


@pytest.fixture
def pam(shared: Host) -> Iterator[Host]:
    """The shared host, on which nobody has said anything of limits."""
    yield shared
    shared.sh(f"rm -rf {DIRECTORY}/*.conf {DIRECTORY}/.*.conf /srv/image; : > {MAIN}")


def nofile(host: Host, user: str = "ubuntu") -> list[str]:
    """Soft and hard limit of a login."""
    return host.run(["su", "-", user, "-c", "ulimit -Sn; ulimit -Hn"]).stdout.split()


def apply(host: Host, policy: str) -> tuple[int, dict[str, Any]]:
    return _pass(host, "apply", policy)


def check(host: Host, policy: str) -> tuple[int, dict[str, Any]]:
    return _pass(host, "check", policy)


def _pass(host: Host, verb: str, policy: str) -> tuple[int, dict[str, Any]]:
    host.write(POLICY, policy)
    said = host.run(["jada-configd", verb, "--json"], check=False)
    assert said.stdout, said.stderr
    plain = json.loads(said.stdout)
    return said.returncode, {each["id"]: each for each in plain["resources"]}


# ------------------------------------------------------------------------------ its effect


@pytest.mark.parametrize("domain", ["ubuntu", "@dev", "*", ":1000", "1000:", "@2000:2000"])
def test_a_login_has_what_the_policy_says_of_its_domain(pam: Host, domain: str) -> None:
    before = nofile(pam)
    limits = "limits = { nofile = { soft = 3000, hard = 4000 } }"
    status, found = apply(pam, f"version = 1\n[login.'{domain}']\n{limits}\n")
    assert (status, found[f"login-limits:{domain}"]["result"]) == (0, "corrected")
    # Of a range of group ids, the primary group alone is looked at (limits.conf(5)).
    assert nofile(pam) == (["3000", "4000"] if domain != "@2000:2000" else before)


def test_a_user_has_what_is_said_of_it_and_others_what_is_said_of_all(pam: Host) -> None:
    policy = """version = 1
        [login.ubuntu]
        limits = { nofile = 5000, priority = 3 }
        [login."*"]
        limits = { nofile = 4000, priority = 7, core = 2097152, stack = "infinity", cpu = 120 }
    """
    assert apply(pam, policy)[0] == 0
    assert nofile(pam) == ["5000", "5000"]
    assert nofile(pam, "eve") == ["4000", "4000"]
    script = "nice; cat /proc/self/limits"
    for user, nice in (("ubuntu", "3"), ("eve", "7")):
        said = pam.run(["su", "-", user, "-c", script]).stdout.split("\n", 1)
        limits = {line[:25].strip(): line[25:].split()[:2] for line in said[1].splitlines()}
        assert said[0] == nice
        assert limits["Max core file size"] == ["2097152", "2097152"]
        assert limits["Max stack size"] == ["unlimited", "unlimited"]
        assert limits["Max cpu time"] == ["120", "120"]
    assert check(pam, policy)[0] == 0


def test_a_login_beyond_the_number_of_them_is_not_let_in(pam: Host) -> None:
    policy = "version = 1\n[login.eve]\nlimits.maxlogins = 1\nlimits.nonewprivs = true\n"
    assert apply(pam, policy)[0] == 0
    said = pam.run(["su", "-", "eve", "-c", "grep NoNewPrivs /proc/self/status"]).stdout
    assert said.split() == ["NoNewPrivs:", "1"]
    assert "eve - maxlogins 1\n" in pam.read(OURS)


# ------------------------------------------------------------------------------ nobody locked out


def test_what_no_login_can_get_is_never_written_and_everybody_gets_in(pam: Host) -> None:
    before = nofile(pam)
    status, found = apply(pam, BOUNDLESS)
    resource = found["login-limits:ubuntu"]
    assert (status, resource["result"]) == (2, "corrected")  # what can be had
    assert "no login can get nofile 2147483584:2147483584 here" in resource["problem"]
    assert "CAP_SYS_RESOURCE" in resource["problem"] or "fs.nr_open" in resource["problem"]
    assert "nofile" not in pam.read(OURS)
    assert "ubuntu hard nproc 4000" in pam.read(OURS)
    assert nofile(pam) == before
    said = pam.run(["su", "-", "ubuntu", "-c", "ulimit -u"]).stdout
    assert said == "4000\n"


def test_with_the_least_that_a_policy_may_say_one_logs_in(pam: Host) -> None:
    pam.sh("truncate --size=60M /var/log/wtmp")
    limits = ", ".join(f"{limit} = {least}" for limit, least in LEAST.items())
    assert apply(pam, f"version = 1\n[login.ubuntu]\nlimits = {{ {limits} }}\n")[0] == 0
    assert pam.run(["su", "-", "ubuntu", "-c", "ls / | wc -l; id -un"]).stdout.endswith("ubuntu\n")
    said = pam.sh(
        "echo 'id -un; exit' | script --quiet --return --command 'login -f ubuntu' /dev/null"
    )
    assert "\nubuntu" in said.replace("\r", "")


def test_what_cannot_be_had_is_written_once_and_told_the_same_again(pam: Host) -> None:
    first = apply(pam, BOUNDLESS)
    written = pam.sh(f"stat -c '%i %y' {OURS}")
    second = apply(pam, BOUNDLESS)
    assert pam.sh(f"stat -c '%i %y' {OURS}") == written
    assert (first[0], second[0]) == (2, 2)
    assert second[1]["login-limits:ubuntu"]["result"] == "drifted"
    assert first[1]["login-limits:ubuntu"]["problem"] == second[1]["login-limits:ubuntu"]["problem"]


def test_a_limit_that_came_to_be_beyond_reach_is_taken_out_again(pam: Host) -> None:
    text = 'version = 1\n[login.ubuntu]\nlimits = { nofile = "max" }\n'
    assert apply(pam, text)[0] == 0
    most = pam.sh("awk '/open files/ {print $5}' /proc/1/limits")
    assert nofile(pam)[1] == most
    pam.write(OURS, pam.read(OURS).replace(most, "1000000"))
    assert apply(pam, text)[0] == 0
    assert nofile(pam) == [most, most]
    higher = text.replace('"max"', "1000000")
    pam.write(OURS, pam.read(OURS).replace(most, "1000000"))
    assert apply(pam, higher)[0] == 2
    assert not pam.exists(OURS)
    assert pam.exists(DIRECTORY)


# ------------------------------------------------------------------------------ others' lines


def test_a_later_file_that_overrides_ours_is_named_with_its_line(pam: Host) -> None:
    policy = "version = 1\n[login.ubuntu]\nlimits = { nofile = 4000 }\n"
    pam.write(FOREIGN, "# local\n\nubuntu - nofile 700\n")
    status, found = apply(pam, policy)
    resource = found["login-limits:ubuntu"]
    assert (status, resource["result"]) == (2, "corrected")
    assert resource["problem"] == f"{FOREIGN}:3 sets nofile for ubuntu after us"
    assert nofile(pam) == ["700", "700"]
    written = pam.sh(f"stat -c '%i %y' {OURS}")
    status, found = apply(pam, policy)
    again = found["login-limits:ubuntu"]
    assert (status, again["result"], again["actions"]) == (2, "drifted", [])
    assert again["problem"] == resource["problem"]
    assert pam.sh(f"stat -c '%i %y' {OURS}") == written
    pam.remove(FOREIGN)
    assert check(pam, policy)[0] == 0
    assert nofile(pam) == ["4000", "4000"]


def test_a_line_that_says_more_of_somebody_is_told_and_is_no_drift(pam: Host) -> None:
    pam.write(MAIN, "ubuntu soft nofile 900\n")
    status, found = apply(pam, "version = 1\n[login.'*']\nlimits = { nofile = 4000 }\n")
    assert status == 0
    status, found = check(pam, "version = 1\n[login.'*']\nlimits = { nofile = 4000 }\n")
    note = found["login-limits:*"]["problem"]
    assert (status, found["login-limits:*"]["result"]) == (0, "in-sync")
    assert note.startswith(f"{MAIN}:1 sets nofile for ubuntu, which counts there in place of this")
    assert nofile(pam) == ["900", "4000"]
    assert nofile(pam, "eve") == ["4000", "4000"]


CASES: dict[str, Mapping[str, str]] = {
    "user beats later default": {"a": "ubuntu - nofile 400", "b": "* - nofile 500"},
    "user beats later group": {"a": "ubuntu - nofile 400", "b": "@dev - nofile 500"},
    "group beats later default": {"a": "@dev - nofile 400", "b": "* - nofile 500"},
    "later user beats user": {"a": "ubuntu - nofile 400", "b": "ubuntu - nofile 500"},
    "later group beats group": {"a": "@dev - nofile 400", "b": "@ubuntu - nofile 500"},
    "later range is as a user": {"a": "ubuntu - nofile 400", "b": ":1000 - nofile 500"},
    "later user is as a range": {"a": "999:1001 - nofile 400", "b": "ubuntu - nofile 500"},
    "range of another": {"a": "ubuntu - nofile 400", "b": "1001: - nofile 500"},
    "group by id": {"a": "@:2000 - nofile 400", "b": "* - nofile 500"},
    "primary groups alone": {"a": "@2000: - nofile 400", "b": "* - nofile 500"},
    "range of primary groups": {"a": "@1000:1999 - nofile 400", "b": "* - nofile 500"},
    "sides apart": {"a": "ubuntu soft nofile 400", "b": "@dev hard nofile 500"},
    "a beaten soft side": {"a": "ubuntu soft nofile 400", "b": "@dev - nofile 500"},
    "a beaten hard side": {"a": "ubuntu hard nofile 400", "b": "@dev - nofile 300"},
    "by name of the file": {"Z": "ubuntu - nofile 400", "a": "ubuntu - nofile 500"},
    "no hidden file": {"a": "ubuntu - nofile 400", ".z": "ubuntu - nofile 500"},
    "limits taken off a user": {"a": "ubuntu -", "b": "ubuntu - nofile 400"},
    "limits taken off a group": {"a": "ubuntu - nofile 400", "b": "@dev -"},
    "limits taken off a range": {"a": "ubuntu - nofile 400", "b": "1000: -"},
    "limits not taken off all": {"a": "ubuntu - nofile 400", "b": "* -"},
    "in capitals": {"a": "ubuntu SOFT NoFile 400"},
    "a line of few words": {"a": "ubuntu - nofile 400\nubuntu hard\nubuntu - nofile\nubuntu"},
    "a line of many words": {"a": "ubuntu - nofile 400 500 # 600"},
    "a comment without a blank": {"a": "ubuntu - nofile 400#0"},
    "a number and more": {"a": "ubuntu - nofile 400x"},
    "a number with noughts": {"a": "ubuntu - nofile +0400"},
    "no number": {"a": "ubuntu - nofile 400\nubuntu - nofile x400"},
    "no such item": {"a": "ubuntu - nofile 400\nubuntu - nofiles 500"},
    "no such type": {"a": "ubuntu - nofile 400\nubuntu both nofile 500"},
    "no range": {"a": "ubuntu - nofile 400\n1000:x - nofile 500\nx: - nofile 500\n: - nofile 5"},
    "percent": {"a": "ubuntu - nofile 400\n% - nofile 500\n%dev - nofile 600"},
    "other ends of lines": {"a": "ubuntu - nofile 400\r\n\tubuntu\tsoft\vnofile\f300\r\n"},
    "a byte order mark": {"a": "\ufeffubuntu - nofile 400\nubuntu soft nofile 300"},
    "no text behind a nought": {
        "a": "ubuntu - nofile 400\0ubuntu - nofile 9\nubuntu soft nofile 300"
    },
    "a last line without an end": {"a": "* - nofile 400\nubuntu soft nofile 200"},
    "a minus": {"a": "ubuntu - nofile 400\nubuntu soft nofile -18446744073709551416"},
}


@pytest.mark.parametrize("case", CASES)
def test_the_line_that_counts_is_the_one_that_pam_limits_takes(pam: Host, case: str) -> None:
    before = nofile(pam)
    lines = []
    for name, text in CASES[case].items():
        pam.write(f"{DIRECTORY}/{name}.conf", text)
        if not name.startswith("."):
            lines += parse(text)
    accounts = Accounts.parse(pam.read("/etc/passwd"), pam.read("/etc/group"))
    counting = given(lines, "ubuntu", accounts)
    expected = [
        str(counting["nofile", side].value) if ("nofile", side) in counting else had
        for side, had in zip(("soft", "hard"), before, strict=True)
    ]
    soft, hard = map(int, expected)
    assert nofile(pam) == [str(min(soft, hard)), str(hard)]


# ------------------------------------------------------------------------------ coming and going


def test_a_line_goes_with_its_entry_and_the_file_with_the_last_of_them(pam: Host) -> None:
    both = "version = 1\n[login.ubuntu]\nlimits.nofile = 400\n[login.eve]\nlimits.nofile = 500\n"
    assert apply(pam, both)[0] == 0
    assert nofile(pam, "eve") == ["500", "500"]
    status, found = apply(pam, both.split("[login.eve]", maxsplit=1)[0])
    assert (status, found["login-limits:eve"]["result"]) == (0, "corrected")
    assert found["login-limits:ubuntu"]["result"] == "in-sync"
    assert "eve" not in pam.read(OURS)
    assert nofile(pam) == ["400", "400"]
    assert apply(pam, "version = 1\n")[0] == 0
    assert not pam.exists(OURS)
    assert pam.exists(DIRECTORY)


def test_looking_and_observing_change_nothing(pam: Host) -> None:
    policy = "version = 1\n[login.ubuntu]\nlimits.nofile = 400\n"
    assert check(pam, policy)[0] == 2
    status, found = apply(pam, f"{policy}[daemon]\nmode = 'observe'\n")
    assert (status, found["login-limits:ubuntu"]["result"]) == (2, "reported")
    assert not pam.exists(OURS)


def test_on_an_image_the_file_is_written_as_declared_and_nothing_outside(pam: Host) -> None:
    pam.write("/srv/image/etc/jada-configd/policy.toml", BOUNDLESS)
    said = pam.run(["jada-configd", "apply", "--root", "/srv/image", "--json"])
    assert '"corrected"' in said.stdout
    assert "ubuntu hard nofile 2147483584\n" in pam.read(f"/srv/image{OURS}")
    assert not pam.exists(OURS)


def test_who_forgets_the_service_of_the_same_user_is_warned_until_it_has_the_limit(
    pam: Host,
) -> None:
    pam.run(["systemd-run", "--unit=agent.service", "--uid=ubuntu", "sleep", "1000"])
    policy = "version = 1\n[login.ubuntu]\nlimits.nofile = 400\n[service.'agent.service']\n"
    pam.write(POLICY, policy)
    said = pam.run(["jada-configd", "check"], check=False)
    warning = "policy.toml:2: login.ubuntu: warning: agent.service runs as ubuntu"
    assert warning in said.stderr
    pam.write(POLICY, f"{policy}limits.nofile = 400\n")
    assert "warning" not in pam.run(["jada-configd", "check"], check=False).stderr
    pam.run(["systemctl", "stop", "agent.service"])


def test_a_users_own_policy_is_told_that_it_cannot(pam: Host) -> None:
    pam.write("/home/ubuntu/p.toml", BOUNDLESS, owner="ubuntu")
    command = ["jada-configd", "validate", "--user", "/home/ubuntu/p.toml"]
    said = pam.run(command, user="ubuntu", check=False)
    assert said.returncode == 1
    assert "login: is root's alone: no user can write /etc/security/limits.d" in said.stderr


def test_the_daemon_puts_back_what_somebody_changes_and_sees_what_others_add(host: Host) -> None:
    daemon = Daemon.install(host, "version = 1\n[login.ubuntu]\nlimits.nofile = 4000\n")
    daemon.settles()
    assert nofile(host) == ["4000", "4000"]
    host.write(OURS, "ubuntu - nofile 300\n")
    holds(lambda: nofile(host) == ["4000", "4000"])
    daemon.settles()
    host.write(FOREIGN, "ubuntu - nofile 300\n")
    daemon.settles("drifted", within=5)
    assert daemon.result("login-limits:ubuntu") == "drifted"
    host.remove(FOREIGN)
    daemon.settles("in-sync", within=5)
    records = [each["JADA_EVENT"] for each in host.journal(f"--unit={UNIT}", "JADA_EVENT=drift")]
    assert len(records) <= 3
    host.run(["jada-configd", "uninstall", "--yes"], timeout=60)
    assert not host.exists(OURS)
    assert host.exists(DIRECTORY)


def test_the_daemon_tells_once_of_what_cannot_be_had_and_writes_once(host: Host) -> None:
    daemon = Daemon.install(host, f"{BOUNDLESS}[daemon]\nsweep = '1s'\n")
    daemon.settles("drifted")
    written = host.sh(f"stat -c '%i %y' {OURS}")
    passes = daemon.status()["counters"]["passes"]
    holds(lambda: daemon.status()["counters"]["passes"] >= passes + 3, within=10)
    assert host.sh(f"stat -c '%i %y' {OURS}") == written
    match = ["JADA_EVENT=drift", "JADA_RESOURCE=login-limits:ubuntu"]
    assert len(host.journal(f"--unit={UNIT}", *match)) == 1
