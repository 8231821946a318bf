# ruff: noqa: E501 - the tables are read across

import pytest

from jada_configd import __version__
from tests.policy.declared import messages

ENTRY = 'version = 1\n[settings.a]\npath = "/a.json"\n'
SERVICE = 'version = 1\n[service."a.service"]\n'


def shown(line: str) -> str:
    return line.removeprefix("policy.toml:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # the root
        ("", "1:1: version: is missing; it is 1"),
        ("version = 2", f"1:1: version: must be 1, the version of the language that jada-configd {__version__} reads"),
        ("version = '1'", f"1:1: version: must be 1, the version of the language that jada-configd {__version__} reads"),
        ("version = true", f"1:1: version: must be 1, the version of the language that jada-configd {__version__} reads"),
        ("version = 1.0", f"1:1: version: must be 1, the version of the language that jada-configd {__version__} reads"),
        ("version = 1\n[setting.a]", '2:2: setting: unknown key; did you mean "settings"?'),
        ("version = 1\n[services.a]", '2:2: services: unknown key; did you mean "service"?'),
        ("version = 1\nfrobnicate = 1", "2:1: frobnicate: unknown key"),
        ("version = 1\n[aws]", f"2:2: aws: unknown key; jada-configd {__version__} does not support [aws] yet"),
        ("version = 1\ndaemon = 1", "2:1: daemon: must be a table, not an integer"),
        ("version = 1\n[[settings]]", "2:3: settings: must be a table, not an array; an entry has a name: [settings.NAME]"),
        ("version = 1\n[settings]\npath = '/a'", "3:1: settings.path: must be a table, not a string; an entry has a name: [settings.NAME]"),
        ("version = 1\n[service]\n'a.service' = 1", '3:1: service."a.service": must be a table, not an integer; a service has a name: [service."NAME.service"]'),
        # the daemon
        ("version = 1\ndaemon.mode = 'enforced'", '2:8: daemon.mode: must be "enforce" or "observe"; did you mean "enforce"?'),
        ("version = 1\ndaemon.mode = 1", '2:8: daemon.mode: must be "enforce" or "observe"'),
        ("version = 1\ndaemon.sweep = 300", '2:8: daemon.sweep: must be a duration in quotes, such as "5m", not an integer'),
        ("version = 1\ndaemon.sweep = 07:32:00", '2:8: daemon.sweep: must be a duration in quotes, such as "5m", not a date or time'),
        ("version = 1\ndaemon.sweep = '5 m'", '2:8: daemon.sweep: must be a duration such as "250ms", "30s", "5m" or "2h"'),
        ("version = 1\ndaemon.sweep = '1.5s'", '2:8: daemon.sweep: must be a duration such as "250ms", "30s", "5m" or "2h"'),
        ("version = 1\ndaemon.sweep = '\u0661s'", '2:8: daemon.sweep: must be a duration such as "250ms", "30s", "5m" or "2h"'),
        ("version = 1\ndaemon.sweep = '999ms'", '2:8: daemon.sweep: must be from "1s" to "24h"'),
        ("version = 1\ndaemon.sweep = '25h'", '2:8: daemon.sweep: must be from "1s" to "24h"'),
        ("version = 1\ndaemon.swep = '5m'", '2:8: daemon.swep: unknown key; did you mean "sweep"?'),
        ("version = 1\ndaemon.canary = '5m'", f"2:8: daemon.canary: unknown key; jada-configd {__version__} does not support daemon.canary yet"),
        # a settings entry
        ("version = 1\n[settings.a]\nset.b = 1", "2:11: settings.a.path: is missing"),
        (f"{ENTRY}pth = 1", '4:1: settings.a.pth: unknown key; did you mean "path"?'),
        (f"{ENTRY}on-missing = 'owned'", '4:1: settings.a.on-missing: unknown key; did you mean "on_missing"?'),
        (f"{ENTRY}Mode = 'observe'", '4:1: settings.a.Mode: unknown key; did you mean "mode"?'),
        (f"{ENTRY}model = 'x'", "4:1: settings.a.model: unknown key; a key of the settings file itself stands under [settings.a.set]"),
        (f"{ENTRY}create = 1", "4:1: settings.a.create: must be a boolean, not an integer"),
        (f"{ENTRY}create = 'true'", "4:1: settings.a.create: must be a boolean, not a string"),
        (f"{ENTRY}on_missing = 'last_good'", '4:1: settings.a.on_missing: must be "owned" or "last-good"; did you mean "last-good"?'),
        (f"{ENTRY}services = 'a.service'", "4:1: settings.a.services: must be an array, not a string"),
        (f"{ENTRY}services = [1]", "4:13: settings.a.services[0]: must be a string, not an integer"),
        (f"{ENTRY}services = ['a']", '4:13: settings.a.services[0]: must end in .service; did you mean "a.service"?'),
        (f"{ENTRY}services = ['a.service', 'a.service']", "4:26: settings.a.services[1]: stands twice in this array"),
        (f"{ENTRY}set = []", "4:1: settings.a.set: must be a table, not an array"),
        (f"{ENTRY}absent = '/a'", "4:1: settings.a.absent: must be an array, not a string"),
        (f"{ENTRY}absent = [1]", "4:11: settings.a.absent[0]: must be a string, not an integer"),
        (f"{ENTRY}absent = ['a']", '4:11: settings.a.absent[0]: must be a JSON Pointer, such as "/env/ANTHROPIC_MODEL"'),
        (f"{ENTRY}absent = ['']", '4:11: settings.a.absent[0]: must be a JSON Pointer, such as "/env/ANTHROPIC_MODEL"'),
        (f"{ENTRY}absent = ['/a~2']", '4:11: settings.a.absent[0]: must be a JSON Pointer: "~" itself is written "~0", and "/" "~1"'),
        (f"{ENTRY}absent = ['/a~']", '4:11: settings.a.absent[0]: must be a JSON Pointer: "~" itself is written "~0", and "/" "~1"'),
        (f"{ENTRY}set.a = {{}}", "4:5: settings.a.set.a: is an empty table, which owns nothing; name a key in it"),
        (f"{ENTRY}set.a = 1979-05-27", "4:5: settings.a.set.a: JSON has no dates and times; write it as a string, in quotes"),
        (f"{ENTRY}set.a = [07:32:00]", "4:10: settings.a.set.a[0]: JSON has no dates and times; write it as a string, in quotes"),
        (f"{ENTRY}set.a = nan", "4:5: settings.a.set.a: JSON has no infinity and no nan; write a finite number"),
        (f"{ENTRY}set.a = 1e999", "4:5: settings.a.set.a: JSON has no infinity and no nan; write a finite number"),
        (f"{ENTRY}set.a = [{{b = -inf}}]", "4:11: settings.a.set.a[0].b: JSON has no infinity and no nan; write a finite number"),
        (f"{ENTRY}set.a = 9223372036854775808", "4:5: settings.a.set.a: an integer must fit into 64 bits"),
        (f"{ENTRY}one_of.a = 'b'", "4:8: settings.a.one_of.a: must be an array of values"),
        (f"{ENTRY}one_of.a = []", "4:8: settings.a.one_of.a: is an empty array, which says nothing; name a value"),
        (f"{ENTRY}include.a.b = {{}}", "4:11: settings.a.include.a.b: is an empty table, which owns nothing; name a key in it"),
        (f"{ENTRY}include.a = [1, 'x', 1.0]", "4:22: settings.a.include.a[2]: stands twice in this array"),
        (f"{ENTRY}exclude.a = 'b'", "4:9: settings.a.exclude.a: must be an array of values"),
        ("version = 1\n[settings.a]\npath = '/*/a.json'\ncreate = true", "4:1: settings.a.create: a wildcard names no one file that could be created; leave it out, or false"),
        # a service
        ("version = 1\n[service.jada-agent]", '2:10: service.jada-agent: must end in .service; did you mean "jada-agent.service"?'),
        ("version = 1\n[service.jada-agent.service]\napply = 'no'", '2:10: service.jada-agent: a unit name stands in quotes: [service."jada-agent.service"]'),
        ("version = 1\n[service.a.b.service]", '2:10: service.a: a unit name stands in quotes: [service."a.b.service"]'),
        (f"{SERVICE}apply = 'reloaded'", '3:1: service."a.service".apply: must be "reload", "restart", "reload-or-restart" or "none"; did you mean "reload"?'),
        (f"{SERVICE}when = 'never'", '3:1: service."a.service".when: must be "always", "stale" or "auto"'),
        (f"{SERVICE}live = 'every'", '3:1: service."a.service".live: must be "main", "all" or "none"'),
        (f"{SERVICE}limits = 1", '3:1: service."a.service".limits: must be a table, not an integer'),
        (f"{SERVICE}limits.nofiles = 1", '3:8: service."a.service".limits.nofiles: unknown key; did you mean "nofile"?'),
        (f"{SERVICE}limits.LimitNOFILE = 1", '3:8: service."a.service".limits.LimitNOFILE: unknown key; did you mean "nofile"?'),
        (f"{SERVICE}limits.RLIMIT_AS = 1", '3:8: service."a.service".limits.RLIMIT_AS: unknown key; did you mean "as"?'),
        (f"{SERVICE}limits.maxlogins = 1", '3:8: service."a.service".limits.maxlogins: unknown key; pam_limits alone knows it, it is no limit of a service'),
        (f"{SERVICE}limits.address_space = 1", '3:8: service."a.service".limits.address_space: unknown key'),
        (f"{SERVICE}limits.nproc = -1", '3:8: service."a.service".limits.nproc: must not be negative; no limit at all is "infinity"'),
        (f"{SERVICE}limits.nproc = '1024'", '3:8: service."a.service".limits.nproc: must be an integer without quotes'),
        (f"{SERVICE}limits.nproc = 'unlimited'", '3:8: service."a.service".limits.nproc: must be an integer, "infinity" or "max"'),
        (f"{SERVICE}limits.nproc = true", '3:8: service."a.service".limits.nproc: must be an integer, "infinity" or "max"'),
        (f"{SERVICE}limits.nproc = 1.5", '3:8: service."a.service".limits.nproc: must be an integer, "infinity" or "max"'),
        (f"{SERVICE}limits.nproc = [1, 2]", '3:8: service."a.service".limits.nproc: must be an integer, "infinity" or "max"'),
        (f"{SERVICE}limits.nproc = 9223372036854775808", '3:8: service."a.service".limits.nproc: must fit into 64 bits'),
        (f"{SERVICE}limits.nproc.soft = 1", '3:8: service."a.service".limits.nproc.hard: is missing'),
        (f"{SERVICE}limits.nproc = {{soft = 1, hard = 2, hrad = 3}}", '3:37: service."a.service".limits.nproc.hrad: unknown key; did you mean "hard"?'),
        (f"{SERVICE}limits.nproc = {{soft = 2, hard = 1}}", '3:8: service."a.service".limits.nproc: soft (2) is above hard (1)'),
        (f"{SERVICE}limits.nproc = {{soft = 'infinity', hard = 1}}", '3:8: service."a.service".limits.nproc: soft is infinity and above hard'),
        (f"{SERVICE}limits.nproc = {{soft = 'max', hard = 1}}", '3:8: service."a.service".limits.nproc: soft is the most that the host gives; hard must then be "max" too'),
        (f"{SERVICE}limits.nproc = {{soft = -1, hard = 1}}", '3:17: service."a.service".limits.nproc.soft: must not be negative; no limit at all is "infinity"'),
        (f"{SERVICE}limits.nice = 'infinity'", '3:8: service."a.service".limits.nice: systemd takes at most 40, which stands for nice -20'),
        (f"{SERVICE}limits.nice = 41", '3:8: service."a.service".limits.nice: systemd takes at most 40, which stands for nice -20'),
    ],
)  # fmt: skip
def test_one_fault_is_one_line_with_its_place(text: str, message: str) -> None:
    assert [shown(line) for line in messages(text)] == [message]


@pytest.mark.parametrize("value", ["2147483646", "2147483585", "'infinity'"])
def test_more_open_files_than_any_linux_accepts_are_refused(value: str) -> None:
    assert messages(f"{SERVICE}limits.nofile = {value}") == [
        (
            'policy.toml:3:8: service."a.service".limits.nofile: no Linux accepts more than 2147483584 '
            'files, the highest fs.nr_open there is; the most that a host gives is "max"'
        )
    ]


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("a.json", 'must be an absolute path, such as "/home/ubuntu/.claude/settings.json"'),
        ("", 'must be an absolute path, such as "/home/ubuntu/.claude/settings.json"'),
        ("/a/../b", 'must not hold a ".." component'),
        ("/a/./b", 'must not hold a "." component'),
        ("/..", 'must not hold a ".." component'),
        ("//a", "must not hold a double slash"),
        ("/a//b", "must not hold a double slash"),
        ("/a/", "must name a file; it ends with a slash"),
        ("/", "must name a file; it ends with a slash"),
        ("/a\\u0000b", "must not hold a NUL character"),
        ("/home/**/a", 'must not hold "**"; a wildcard is one component at most, as in /home/*/'),
        ("/home/[ab/c]/d", 'has a "[" without its "]"; a "[" itself is written "[[]"'),
        ("/home/[!]/d", 'has a "[" without its "]"; a "[" itself is written "[[]"'),
        ("/" + "a" * 256, "has a component longer than Linux allows (255 bytes)"),
        ("/" + "é" * 128, "has a component longer than Linux allows (255 bytes)"),
        ("/a" * 2048, "is longer than Linux allows (4095 bytes)"),
        ("~root/a", 'must be an absolute path; "~" is for the own home alone'),
        ("~", 'must be an absolute path; "~" is for the own home alone'),
        ("~/../b", 'must not hold a ".." component'),
        ("~/", "must name a file; it ends with a slash"),
    ],
)
def test_a_path_that_names_no_one_place_is_refused(path: str, what: str) -> None:
    text = f'version = 1\n[settings.a]\npath = "{path}"'
    assert messages(text) == [f"policy.toml:3:1: settings.a.path: {what}"]


@pytest.mark.parametrize(
    "path",
    ["/a", "/home/*/.claude/settings.json", "/a/[ab]?/[!x]", "/a/[]]", "/a/[!]]", "/a/..b/.c"],
)
def test_a_path_that_names_a_file_or_files_loads(path: str) -> None:
    assert messages(f'version = 1\n[settings.a]\npath = "{path}"') == []


@pytest.mark.parametrize(
    ("home", "what"),
    [
        (None, '"~/" is for policies loaded with --user'),
        ("/home/a*", 'the home behind "~/" holds a wildcard'),
    ],
)
def test_a_home_is_for_those_who_have_one(home: str | None, what: str) -> None:
    found = messages('version = 1\n[settings.a]\npath = "~/a"', home=home)
    assert found == [f"policy.toml:3:1: settings.a.path: must be an absolute path; {what}"]


UNIT_NAME = (
    "must be a unit name: ASCII letters, digits and any of : - _ . \\ @ before .service "
    "(systemd.unit(5))"
)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("", UNIT_NAME),
        (".service", UNIT_NAME),
        ("@1.service", UNIT_NAME),
        ("a b.service", UNIT_NAME),
        ("a/b.service", UNIT_NAME),
        ("é.service", UNIT_NAME),
        ("a\\u001b.service", UNIT_NAME),
        ("a@.service", "must be one unit; name an instance of this template"),
        ("a.timer", "must be a service; no other sort of unit has a process to hold"),
        ("a" * 248 + ".service", "must be a unit name of at most 255 characters"),
    ],
)
def test_what_is_not_one_service_unit_is_refused(name: str, what: str) -> None:
    (line,) = messages(f'{ENTRY}services = ["{name}"]')
    assert line == f"policy.toml:4:13: settings.a.services[0]: {what}"
    (line,) = messages(f'version = 1\n[service."{name}"]')
    assert line.endswith(f": {what}")
    assert line.isprintable()


@pytest.mark.parametrize(
    "name", ["a.service", "a@b.service", "a@b@c.service", "a\\\\x2db.service", "a.timer.service"]
)
def test_a_service_unit_of_any_spelling_loads(name: str) -> None:
    assert messages(f'{ENTRY}services = ["{name}"]\n[service."{name}"]') == []


TEN_FAULTS = """\
version = 1
daemon.mode = "watch"

[settings.orchestrator]
pth      = "/home/ubuntu/.claude/settings.json"
services = ["jada-agent"]
absent   = ["/permissions"]
[settings.orchestrator.set]
model = "claude-sonnet-4-6"
permissions = { disableBypassPermissionsMode = "disable", since = 2026-11-20 }
[settings.orchestrator.one_of]
model = ["claude-sonnet-4-6"]

[service."jada-agent.service"]
apply  = "relaod"
limits = { nofile = 2147483646, nproc = { soft = 9, hard = 8 } }
"""
TEN_MESSAGES = """\
policy.toml:2:8: daemon.mode: must be "enforce" or "observe"
policy.toml:4:11: settings.orchestrator.path: is missing
policy.toml:5:1: settings.orchestrator.pth: unknown key; did you mean "path"?
policy.toml:6:13: settings.orchestrator.services[0]: must end in .service; did you mean "jada-agent.service"?
policy.toml:10:17: settings.orchestrator.set.permissions.disableBypassPermissionsMode: /permissions of this file is owned twice; settings.orchestrator.absent[0] (policy.toml:7) owns it too
policy.toml:10:59: settings.orchestrator.set.permissions.since: JSON has no dates and times; write it as a string, in quotes
policy.toml:12:1: settings.orchestrator.one_of.model: /model of this file is owned twice; settings.orchestrator.set.model (policy.toml:9) owns it too
policy.toml:15:1: service."jada-agent.service".apply: must be "reload", "restart", "reload-or-restart" or "none"; did you mean "reload"?
policy.toml:16:12: service."jada-agent.service".limits.nofile: no Linux accepts more than 2147483584 files, the highest fs.nr_open there is; the most that a host gives is "max"
policy.toml:16:33: service."jada-agent.service".limits.nproc: soft (9) is above hard (8)
"""


def test_ten_faults_are_said_at_once_in_the_order_of_the_text() -> None:
    assert messages(TEN_FAULTS) == TEN_MESSAGES.splitlines()


def test_very_many_faults_are_cut_short_and_counted() -> None:
    found = messages("version = 1\n" + "".join(f"k{number} = 1\n" for number in range(1500)))
    assert len(found) == 1001
    assert found[-1] == "policy.toml:1002:1: and so on: 500 more errors from here"


def test_a_very_long_key_is_shortened() -> None:
    (line,) = messages(f"version = 1\n{'k' * 100_000} = 1")
    assert len(line) < 300


SECRET = "hunter2hunter2"
SECRETS = f"""\
version = 1
[daemon]
mode = "{SECRET}"
sweep = "{SECRET}"
[settings.token]
path = "{SECRET}"
services = ["{SECRET}", "{SECRET} x", "{SECRET}.timer"]
create = "{SECRET}"
mode = "{SECRET}"
on_missing = "{SECRET}"
absent = ["{SECRET}", "{SECRET}/~2"]
set.apiKey = ["{SECRET}", 1979-05-27]
set.password = "{SECRET}"
one_of.apiKey = ["{SECRET}", "{SECRET}"]
include.list = ["{SECRET}"]
exclude.list = ["{SECRET}"]
secret = "{SECRET}"
[service."a.service"]
apply = "{SECRET}"
when = "{SECRET}"
limits = {{ nofile = "{SECRET}", nproc = {{ soft = "{SECRET}", hard = "{SECRET}" }} }}
credential = "{SECRET}"
gather = "{SECRET}"
busy = "{SECRET}"
drain_policy = "{SECRET}"
on_unhealthy = "{SECRET}"
[service."a.service".health]
within = "{SECRET}"
command = ["{SECRET}"]
url = "http://me:{SECRET}@localhost/"
journal = {{ must = "({SECRET}" }}
[service."a.service".fallback]
settings = "{SECRET}"
set = {{ apiKey = "{SECRET}" }}
[service."b.service"]
busy = ["/{SECRET}/", 1]
apply = {{ "/apiKey" = "{SECRET}" }}
health.url = "{SECRET}"
"""


def test_no_error_says_a_value_under_a_secret_key() -> None:
    found = messages(SECRETS)
    assert len(found) > 28
    assert SECRET not in "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        f"token = {SECRET}",
        f'token = "{SECRET}',
        f'token = "{SECRET}\x01"',
        f'token = "{SECRET}\\q"',
        f'token = "{SECRET}" "{SECRET}"',
        f'token = "{SECRET}"\ntoken = "{SECRET}"',
        f'token = {{a = "{SECRET}"',
        f"token = 123{SECRET}",
    ],
)
def test_no_syntax_error_says_a_value(text: str) -> None:
    (line,) = messages(text)
    assert SECRET not in line
