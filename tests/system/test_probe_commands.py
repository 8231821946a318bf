"""The commands that ask about a service, run by a real systemd as it will run them."""

import json
import re
import time

import pytest

from jada_configd.core.facts import Probe
from jada_configd.core.probes import NO, UNASKED, probe_name
from tests.system import layers
from tests.system.host import Host, eventually

PYTHON = f"{layers.ENVIRONMENT}/bin/python"
SYSTEM = "/etc/systemd/system"
UNIT = "jada-agent.service"
YES = 0
MAKE = """
import json, sys
from dataclasses import asdict
from jada_configd.core.probes import questions
from jada_configd.core.specs import HealthSpec
from jada_configd.host.probing.commands import health_probe
asked = json.load(sys.stdin)
health = HealthSpec(**asked["health"])
about = asked["unit"], health, asked["since"]
probes = [health_probe(each, *about, user=asked["user"]) for each in questions(health)]
print(json.dumps([asdict(each) for each in probes]))
"""
SERVER = """
import http.server, socket, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/hang":
            time.sleep(60)
        code = {"/healthz?deep": 200, "/moved": 302}.get(self.path, 503)
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/healthz?deep")
        self.end_headers()
        self.wfile.write(b"x" * 100_000)
    def log_message(self, *_):
        pass
garbage = socket.create_server(("127.0.0.1", 8081))
def garble():
    while True:
        taken, _ = garbage.accept()
        taken.recv(1000)
        taken.sendall(bytes(range(256)) * 10 + b"\\r\\n")
        taken.close()
threading.Thread(target=garble, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def serving(shared_host: Host) -> Host:
    """The host, with something that listens in it."""
    shared_host.start(["/usr/bin/python3", "-c", SERVER])
    eventually(lambda: ":1F90 " in shared_host.sh("cat /proc/net/tcp"))  # 8080
    return shared_host


def probes(
    host: Host, *, unit: str = UNIT, since: float = 0.0, user: str | None = None, **health: object
) -> list[Probe]:
    """What the program installed in the host would have systemd run."""
    asked = {"unit": unit, "health": health, "since": since, "user": user is not None}
    said = host.run([PYTHON, "-c", MAKE], stdin=json.dumps(asked), user=user)
    made = [{**each, "command": tuple(each["command"])} for each in json.loads(said.stdout)]
    return [Probe(**each) for each in made]


def ended(host: Host, probe: Probe, *options: str, user: str = "ubuntu") -> tuple[int, str]:
    """Exit status and output of a probe as a transient unit of its name."""
    # Up to systemd 253 nothing but a second `$` keeps systemd-run's from being expanded.
    command = [word.replace("$", "$$") for word in probe.command]
    run = ["systemd-run", "--quiet", "--wait", "--pipe", f"--unit={probe.name}", *options]
    run += ["--collect"]  # or one that failed would keep its name taken
    run += [f"--property=RuntimeMaxSec={probe.seconds}", "--description=A question"]
    run += [] if probe.as_root else [f"--uid={user}"]
    done = host.run([*run, "--", *command], check=False)
    assert done.stderr == ""
    return done.returncode, re.sub(r"^<[0-9]>", "", done.stdout).rstrip("\n")


# ------------------------------------------------------------------------------ url


@pytest.mark.parametrize(
    ("url", "status", "said"),
    [
        ("http://127.0.0.1:8080/healthz?deep", YES, "200 OK"),
        ("http://localhost:8080/healthz?deep", YES, "200 OK"),
        ("http://127.0.0.1:8080/healthz", NO, "503 Service Unavailable"),
        ("http://127.0.0.1:8080/moved", NO, "302 Found"),
        ("http://127.0.0.1:8080/hang", NO, "no answer within 0.5 s"),
        ("http://127.0.0.1:8081/", NO, "no answer in HTTP: ?"),
        ("http://127.0.0.1:8082/", NO, "Connection refused"),
        ("http://[::1]:8080/", NO, "Connection refused"),
        ("http://elsewhere.test:8080/", UNASKED, "elsewhere.test is not on this host: 192.0.2.7"),
        ("http://nowhere.test:8080/", UNASKED, "nowhere.test has no address: "),
    ],
)
def test_an_address_is_asked_by_the_services_user(
    serving: Host, url: str, status: int, said: str
) -> None:
    serving.write(
        "/etc/hosts", "127.0.0.1 localhost\n127.0.0.1 elsewhere.test\n192.0.2.7 elsewhere.test\n"
    )
    (probe,) = probes(serving, url=url, timeout=0.5 if "hang" in url else 5.0)
    code, words = ended(serving, probe, "--setenv=http_proxy=http://127.0.0.1:8082")
    assert code == status, words
    assert words.startswith(said)


def test_it_is_asked_by_who_cannot_read_the_installation(serving: Host) -> None:
    (probe,) = probes(serving, url="http://127.0.0.1:8080/healthz?deep")
    closed = f"--property=InaccessiblePaths={layers.ENVIRONMENT}"
    assert ended(serving, probe, closed, user="eve") == (YES, "200 OK")


@pytest.mark.parametrize(("path", "lines"), [("healthz?deep", 0), ("down", 1)])
def test_only_what_is_amiss_need_be_kept_in_the_journal(
    serving: Host, path: str, lines: int
) -> None:
    (probe,) = probes(serving, url=f"http://127.0.0.1:8080/{path}")
    since = host_clock(serving)
    run = ["systemd-run", "--quiet", "--wait", "--collect", f"--unit={probe.name}"]
    run += ["--property=LogLevelMax=notice", "--property=SyslogLevel=notice"]
    serving.run([*run, *probe.command], check=False)
    kept = serving.journal(f"--unit={probe.name}", f"--since=@{since:.6f}")
    said = [each["MESSAGE"] for each in kept if each.get("_TRANSPORT") == "stdout"]
    assert said == ["503 Service Unavailable"] * lines
    assert (kept == []) == (lines == 0)


# ------------------------------------------------------------------------------ the journal


def agent(host: Host, script: str, *options: str, name: str = UNIT) -> float:
    """Have a unit say something and end; the moment before it."""
    since = host_clock(host)
    run = ["systemd-run", "--quiet", "--wait", f"--unit={name}", "--uid=ubuntu", *options]
    host.run([*run, "--description=An agent that is alive", "sh", "-c", script])
    host.run(["journalctl", "--sync"])
    return since


def host_clock(host: Host) -> float:
    time.sleep(0.01)  # between what was before and what is after
    return float(host.sh("date +%s.%N"))


def answers(host: Host, since: float, pattern: str, unit: str = UNIT) -> list[tuple[int, str]]:
    """What comes of `must` and of `must_not`."""
    asked = probes(host, since=since, journal_must=pattern, journal_must_not=pattern, unit=unit)
    return [ended(host, probe) for probe in asked]


@pytest.mark.parametrize(
    "pattern", ["ready", "^it is ready$", "READY|ready", "(?i)READY", r"\$\w+"]
)
def test_a_line_of_the_unit_is_found(shared_host: Host, pattern: str) -> None:
    since = agent(shared_host, "echo before; echo it is ready; echo it has \\$MONEY; echo after")
    (shows, said), (lacks, _) = answers(shared_host, since, pattern)
    assert (shows, lacks) == (YES, NO)
    assert re.match(r"found: it (is ready|has \$MONEY)$", said)


@pytest.mark.parametrize(
    "pattern", ["panic", "READY", "now", "^ready", "alive", "Deactivated", "Started"]
)
def test_what_the_unit_has_not_said_is_not_found(shared_host: Host, pattern: str) -> None:
    since = agent(shared_host, "echo it is ready, NOW")
    assert answers(shared_host, since, pattern) == [(NO, "found nothing"), (YES, "found nothing")]


def test_the_units_of_others_and_the_probes_say_nothing_of_it(shared_host: Host) -> None:
    since = agent(shared_host, "echo quiet")
    agent(shared_host, "echo panic", name="jada-agent-2.service")
    assert answers(shared_host, since, "panic")[1] == (YES, "found nothing")
    shared_host.run(["systemd-cat", "--identifier=jada-agent", "echo", "panic"])
    assert answers(shared_host, since, "panic|found")[1] == (YES, "found nothing")


def test_a_line_from_before_does_not_count(shared_host: Host) -> None:
    before = agent(shared_host, "echo panic")
    since = agent(shared_host, "echo all is well")
    assert answers(shared_host, since, "panic") == [(NO, "found nothing"), (YES, "found nothing")]
    assert [code for code, _ in answers(shared_host, before, "panic")] == [YES, NO]


def test_a_unit_with_a_strange_name_is_found_by_it(shared_host: Host) -> None:
    name = r"jada\x2dagent@a:b-[c].service".replace("[c]", "c")
    since = agent(shared_host, "echo panic", name=name)
    assert [code for code, _ in answers(shared_host, since, "panic", unit=name)] == [YES, NO]
    other = r"jada\x2dagent@*.service"
    assert [code for code, _ in answers(shared_host, since, "panic", unit=other)] == [NO, YES]


def test_a_unit_with_a_journal_of_its_own_is_searched_there(shared_host: Host) -> None:
    option = "--property=LogNamespace=apart"
    since = agent(shared_host, "echo panic", option, name="apart.service")

    def found() -> list[int]:
        return [code for code, _ in answers(shared_host, since, "panic", unit="apart.service")]

    eventually(lambda: found() == [YES, NO], within=10.0, every=0.2)


def test_a_pattern_that_is_none_is_no_answer(shared_host: Host) -> None:
    since = agent(shared_host, "echo panic")
    for code, said in answers(shared_host, since, "(panic"):
        assert code == UNASKED
        assert said == 'Bad pattern "(panic": missing closing parenthesis'


def test_who_may_not_read_the_journal_gets_no_answer(shared_host: Host) -> None:
    since = agent(shared_host, "echo panic")
    for probe in probes(shared_host, since=since, journal_must="panic", journal_must_not="panic"):
        code, said = ended(shared_host, probe, "--uid=eve")
        assert (code, said.partition(" were ")[0]) == (UNASKED, "No journal files")


def test_a_users_unit_is_asked_after_by_the_users_manager(host: Host) -> None:
    host.start_user_manager("ubuntu")
    host.sh("usermod --append --groups systemd-journal ubuntu && loginctl terminate-user ubuntu; :")
    host.start_user_manager("ubuntu")
    since = host_clock(host)
    say = ["systemd-run", "--user", "--quiet", "--wait", f"--unit={UNIT}", "echo", "panic"]
    host.run(say, user="ubuntu")
    host.run(["journalctl", "--sync"])
    made = probes(host, since=since, user="ubuntu", journal_must="panic", journal_must_not="panic")
    codes = [
        host.run(
            ["systemd-run", "--user", "--quiet", "--wait", "--pipe", f"--unit={each.name}"]
            + [word.replace("$", "$$") for word in each.command],
            user="ubuntu",
            check=False,
        ).returncode
        for each in made
    ]
    assert codes == [YES, NO]


# ------------------------------------------------------------------------------ commands


def test_a_command_is_run_as_it_stands_by_the_services_user(shared_host: Host) -> None:
    script = 'test "$1" = "%n \\${HOME}" && id -un && exit 7'
    (probe,) = probes(shared_host, command=["/bin/sh", "-c", script, "sh", "%n ${HOME}"])
    assert ended(shared_host, probe, user="eve") == (7, "eve")


def test_a_command_says_whether_its_service_is_busy(shared_host: Host) -> None:
    name = probe_name("busy", UNIT)
    shared_host.sh("touch /run/queue; chmod 600 /run/queue; chown ubuntu: /run/queue")
    for text, status in (("", 1), ("task\n", 0)):
        shared_host.write("/run/queue", text)
        probe = Probe(name, UNIT, ("/usr/bin/grep", "-qs", ".", "/run/queue"), 5.0)
        assert ended(shared_host, probe) == (status, "")
    assert ended(shared_host, probe, user="eve")[0] == 2


def test_a_name_with_everything_in_it_is_taken_by_systemd(shared_host: Host) -> None:
    for unit in (r"a\x2db@c:d.e_f.service", f"{'long-' * 49}x.service", "a.socket"):
        for purpose in ("command", "journal_must_not", "busy"):
            probe = Probe(probe_name(purpose, unit), unit, ("/bin/echo", "run"), 5.0)
            assert ended(shared_host, probe) == (0, "run")
