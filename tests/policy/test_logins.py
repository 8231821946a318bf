# ruff: noqa: E501 - the tables are read across
"""`[login.DOMAIN]`: what it declares, and what is refused because nobody could log in with it."""

import pytest

from jada_configd.core.specs import LoginSpec
from jada_configd.policy import login_warnings, schema
from tests.policy.declared import messages, policy

LOGIN = "version = 1\n[login.ubuntu]\n"


def faults(text: str) -> list[str]:
    return [each.removeprefix("policy.toml:") for each in messages(text, home=None)]


def test_limits_are_those_of_services_and_of_pam_alone() -> None:
    made = policy(
        f"{LOGIN}limits = {{ nofile = {{ soft = 1024, hard = 'max' }}, as = 67108864, "
        "maxlogins = 4, nonewprivs = true, priority = 0 }\n[login.'@dev']\nlimits.core = 'infinity'\n"
        "[daemon]\nmode = 'observe'",
        home=None,
    )
    assert made.logins == (
        LoginSpec(
            "ubuntu",
            {
                "as": (67108864, 67108864),
                "maxlogins": (4, 4),
                "nofile": (1024, "max"),
                "nonewprivs": (1, 1),
                "priority": (0, 0),
            },
            "observe",
            "policy.toml:2",
        ),
        LoginSpec("@dev", {"core": ("infinity", "infinity")}, "observe", "policy.toml:4"),
    )
    assert made.warnings == ()


def test_a_fragment_overrides_key_by_key() -> None:
    made = policy(
        f"{LOGIN}limits.nofile = 64\nlimits.nproc = 64",
        "login.ubuntu.limits.nofile = 65",
        home=None,
    )
    assert made.logins[0].limits == {"nofile": (65, 65), "nproc": (64, 64)}


@pytest.mark.parametrize(
    "domain",
    [
        "ubuntu",
        "_apt",
        "John.Doe",
        "DOMAIN\\\\user",
        "*",
        "@dev",
        ":1000",
        "1000:",
        "1000:1999",
        "@:5",
        "@5:",
    ],
)
def test_domains_of_limits_conf(domain: str) -> None:
    assert faults(f'version = 1\n[login."{domain}"]\nlimits.nproc = 64') == []


@pytest.mark.parametrize("domain", ["%", "%dev", "%:5"])
def test_domains_with_a_percent_sign_limit_the_number_of_logins(domain: str) -> None:
    assert faults(f'version = 1\n[login."{domain}"]\nlimits.maxlogins = 4') == []
    (fault,) = faults(f'version = 1\n[login."{domain}"]\nlimits.nproc = 64')
    assert fault.endswith('.limits: a domain with "%" limits maxlogins alone')


@pytest.mark.parametrize(
    "domain", ["", "a b", "a#b", "@", "@@a", "*x", "a\\nb", "a\\u007f", "#a", "\\u00a0"]
)
def test_what_limits_conf_would_read_as_something_else_is_no_domain(domain: str) -> None:
    (fault,) = faults(f'version = 1\n[login."{domain}"]')
    assert "must be a domain of limits.conf(5): a user" in fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "limits.nofile = 31",
            "3:8: login.ubuntu.limits.nofile: must be at least 32; with less, nobody could log in",
        ),
        (
            "limits.nofile = { soft = 3, hard = 99 }",
            "3:8: login.ubuntu.limits.nofile: must be at least 32; with less, nobody could log in",
        ),
        (
            "limits.nofile = 2147483646",
            '3:8: login.ubuntu.limits.nofile: no Linux accepts more than 2147483584 files, the highest fs.nr_open there is; the most that a host gives is "max"',
        ),
        (
            "limits.nofile = 'infinity'",
            '3:8: login.ubuntu.limits.nofile: no Linux accepts more than 2147483584 files, the highest fs.nr_open there is; the most that a host gives is "max"',
        ),
        (
            "limits.nofile = { soft = 99, hard = 64 }",
            "3:8: login.ubuntu.limits.nofile: soft (99) is above hard (64)",
        ),
        (
            "limits.nproc = 0",
            "3:8: login.ubuntu.limits.nproc: must be at least 16; with less, nobody could log in",
        ),
        (
            "limits.as = 1024",
            "3:8: login.ubuntu.limits.as: must be at least 67108864; with less, nobody could log in",
        ),
        (
            "limits.fsize = { soft = 1048576, hard = 'infinity' }",
            "3:8: login.ubuntu.limits.fsize: must be at least 67108864; with less, nobody could log in",
        ),
        (
            "limits.stack = 262144",
            "3:8: login.ubuntu.limits.stack: must be at least 1048576; with less, nobody could log in",
        ),
        (
            "limits.memlock = 1000",
            "3:8: login.ubuntu.limits.memlock: must be a multiple of 1024 for a login: pam_limits counts KiB",
        ),
        (
            "limits.cpu = 61",
            "3:8: login.ubuntu.limits.cpu: must be a multiple of 60 for a login: pam_limits counts minutes",
        ),
        (
            "limits.cpu = 0",
            "3:8: login.ubuntu.limits.cpu: must be at least 60; with less, nobody could log in",
        ),
        (
            "limits.nice = 0",
            "3:8: login.ubuntu.limits.nice: must be 1 to 40 for a login: 20 less the lowest nice value allowed",
        ),
        (
            "limits.nice = 41",
            "3:8: login.ubuntu.limits.nice: must be 1 to 40 for a login: 20 less the lowest nice value allowed",
        ),
        (
            "limits.nice = 'infinity'",
            "3:8: login.ubuntu.limits.nice: must be 1 to 40 for a login: 20 less the lowest nice value allowed",
        ),
        (
            "limits.maxlogins = 0",
            "3:8: login.ubuntu.limits.maxlogins: must be at least 1; with less, nobody could log in",
        ),
        (
            "limits.maxlogins = 2147483648",
            "3:8: login.ubuntu.limits.maxlogins: must fit into 32 bits",
        ),
        (
            "limits.maxsyslogins = 'max'",
            "3:8: login.ubuntu.limits.maxsyslogins: must be an integer, not a string",
        ),
        (
            "limits.priority = -1",
            "3:8: login.ubuntu.limits.priority: must be 0 to 19; below 0, a login without CAP_SYS_NICE would be refused",
        ),
        (
            "limits.nonewprivs = 1",
            "3:8: login.ubuntu.limits.nonewprivs: must be a boolean, not an integer",
        ),
        (
            "limits.rttime = 1",
            "3:8: login.ubuntu.limits.rttime: unknown key; pam_limits does not know it, it is a limit of services alone",
        ),
        (
            "limits.nofiles = 1",
            '3:8: login.ubuntu.limits.nofiles: unknown key; did you mean "nofile"?',
        ),
        (
            "limits.LimitNOFILE = 64",
            '3:8: login.ubuntu.limits.LimitNOFILE: unknown key; did you mean "nofile"?',
        ),
        ("limit.nofile = 64", '3:1: login.ubuntu.limit: unknown key; did you mean "limits"?'),
        ("mode = 'observe'", "3:1: login.ubuntu.mode: unknown key"),
        (
            "limits.maxlogins = 1\nlimits.maxsyslogins = 1",
            "3:1: login.ubuntu.limits: maxlogins and maxsyslogins are one limit to pam_limits; keep one of them",
        ),
        (
            "[login.'5:1']",
            '3:8: login."5:1": has an empty range of ids: the first is above the last',
        ),
        (
            "[login.'5:x']",
            '3:8: login."5:x": has a colon and is no range of ids, such as "1000:1999" or "1000:"',
        ),
        (
            "[login.':4294967295']",
            '3:8: login.":4294967295": has an id above 4294967294, the highest there is',
        ),
        (
            "[login.'%1:2']",
            '3:8: login."%1:2": must name one group behind "%", by its name or as "%:1000"',
        ),
    ],
)
def test_what_is_refused_and_why(text: str, message: str) -> None:
    assert faults(LOGIN + text) == [message]


@pytest.mark.parametrize("text", ["login = 1", "[[login]]", "[login]\nnofile = 5"])
def test_a_login_has_a_domain(text: str) -> None:
    (fault,) = faults(f"version = 1\n{text}")
    assert fault.endswith("; a login has a domain: [login.USER]")


def test_the_floor_is_no_matter_of_services_nor_the_units_of_limits_conf() -> None:
    text = "version = 1\n[service.'a.service']\nlimits = { nofile = 3, memlock = 1000, nproc = 0, cpu = 61 }"
    assert faults(text) == []


def test_a_users_own_policy_cannot_hold_logins() -> None:
    assert messages(f"{LOGIN}limits.nofile = 64", home="/home/me") == [
        "policy.toml:2:2: login: is root's alone: no user can write /etc/security/limits.d"
    ]


def test_an_entry_without_a_limit_is_suspected() -> None:
    assert policy(LOGIN, home=None).warnings == (
        "policy.toml:2:8: login.ubuntu: warning: holds no limit",
    )


def test_a_limit_that_a_service_of_the_same_user_lacks_is_suspected() -> None:
    made = policy(
        f"{LOGIN}limits = {{ nofile = 64, nproc = 64, maxlogins = 3 }}\n[service.'a.service']\nlimits.nproc = 64\n"
        "[service.'b.service']\n[service.'c.service']\nlimits = { nofile = 1, nproc = 1 }\n[service.'d.service']",
        home=None,
    )
    users = {"a.service": "ubuntu", "b.service": "eve", "c.service": "ubuntu", "d.service": None}
    warning = (
        "policy.toml:2: login.ubuntu: warning: a.service runs as ubuntu, and login limits never reach a service; "
        'service."a.service".limits has no nofile'
    )
    assert login_warnings(made, users.__getitem__) == [warning]


def test_without_limits_of_logins_nobody_is_asked_who_runs_what() -> None:
    def never(unit: str) -> str:
        raise AssertionError(unit)

    text = f"{LOGIN}limits.maxlogins = 3\n[service.'a.service']"
    assert login_warnings(policy(text, home=None), never) == []


def test_the_schema_knows_logins() -> None:
    made = schema()
    assert made["$defs"]["LoginLimits"]["properties"]["nofile"]["anyOf"][0]["maximum"] == 2147483584
    assert made["$defs"]["LoginLimits"]["additionalProperties"] is False
    assert "login" in made["properties"]
