"""Which line counts for a login. `tests/system/test_login_limits.py` asks the real pam_limits."""

import pytest
from hypothesis import given as each_of
from hypothesis import strategies as st

from jada_configd.formats.limits_conf import parse
from jada_configd.formats.limits_precedence import Accounts, beats, given, rank, same_limit

PASSWD = """root:x:0:0:root:/root:/bin/bash
ubuntu:x:1000:1000::/home/ubuntu:/bin/bash
eve:x:1001:2000::/home/eve:/bin/bash
+nis::::::
broken:x:nobody:1::
ubuntu:x:5:5:a second one:/:/bin/sh
"""
GROUP = "ubuntu:x:1000:\ndev:x:2000:ubuntu,\nbroken\nadm:x:4:syslog\nempty:x:9:\n"
ACCOUNTS = Accounts.parse(PASSWD, GROUP)


def counts(text: str, user: str = "ubuntu") -> dict[str, int | None]:
    found = given(parse(text), user, ACCOUNTS)
    return {f"{item} {side}".strip(): line.value for (item, side), line in found.items()}


def test_accounts_are_those_that_make_sense_the_first_of_a_name() -> None:
    assert ACCOUNTS.users == {"root": (0, 0), "ubuntu": (1000, 1000), "eve": (1001, 2000)}
    assert ACCOUNTS.groups["dev"] == (2000, frozenset({"ubuntu"}))
    assert ACCOUNTS.name_of(1001) == "eve"
    assert ACCOUNTS.name_of(5) is None


def test_more_of_somebody_counts_more() -> None:
    ranks = [rank(each) for each in ("ubuntu", "@dev", "%dev", "%", "*")]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 5
    assert rank("1000:") == rank("ubuntu")
    assert rank("@1000:") == rank("@dev")


@pytest.mark.parametrize(
    ("domain", "users"),
    [
        ("ubuntu", {"ubuntu"}),
        ("*", {"root", "ubuntu", "eve", "stranger"}),
        ("@dev", {"ubuntu", "eve"}),
        ("%dev", {"ubuntu", "eve"}),
        ("@empty", set()),
        ("@nowhere", set()),
        (":1000", {"ubuntu"}),
        ("1000:", {"ubuntu", "eve"}),
        ("1:1000", {"ubuntu"}),
        ("@:2000", {"ubuntu", "eve"}),
        ("@2000:", {"eve"}),
        ("@1000:1999", {"ubuntu"}),
    ],
)
def test_a_domain_is_about_those_whom_pam_limits_takes_it_for(domain: str, users: set[str]) -> None:
    everybody = ("root", "ubuntu", "eve", "stranger")
    assert {user for user in everybody if ACCOUNTS.applies(domain, user)} == users


@pytest.mark.parametrize(
    ("domain", "known"),
    [
        *((each, True) for each in ("ubuntu", "@dev", "%dev", "*", "%", "5:", "@5:")),
        *((each, False) for each in ("nobody", "@nowhere")),
    ],
)
def test_who_is_there_is_told(domain: str, known: bool) -> None:  # noqa: FBT001 - a table
    assert ACCOUNTS.knows(domain) is known


@pytest.mark.parametrize(
    ("domain", "ours", "covers", "touches"),
    [
        ("ubuntu", "ubuntu", True, True),
        ("eve", "ubuntu", False, False),
        ("*", "ubuntu", True, True),
        ("@dev", "ubuntu", True, True),
        ("@adm", "ubuntu", False, False),
        ("1000:1000", "ubuntu", True, True),
        ("1001:", "ubuntu", False, False),
        ("ubuntu", "@dev", False, True),
        ("root", "@dev", False, False),
        ("@adm", "@dev", False, True),
        ("ubuntu", "*", False, True),
        ("@dev", "*", False, True),
        ("1000:", "1001:2000", True, True),
        ("1500:", "1001:2000", False, True),
        ("2001:", "1001:2000", False, False),
        (":1001", "1001:2000", False, True),
        ("eve", "1001:2000", False, True),
        ("ubuntu", "1001:2000", False, False),
    ],
)
def test_whether_a_line_is_about_all_of_ours_or_some(
    domain: str,
    ours: str,
    covers: bool,  # noqa: FBT001 - a table
    touches: bool,  # noqa: FBT001
) -> None:
    assert ACCOUNTS.covers(domain, ours) is covers
    assert ACCOUNTS.touches(domain, ours) is touches


@pytest.mark.parametrize(
    ("text", "counting"),
    [
        ("ubuntu - nofile 4\n* - nofile 5", {"nofile soft": 4, "nofile hard": 4}),
        ("ubuntu - nofile 4\nubuntu soft nofile 3", {"nofile soft": 3, "nofile hard": 4}),
        ("ubuntu soft nofile 4\n@dev - nofile 5", {"nofile soft": 4}),
        ("ubuntu hard nofile 4\n@dev - nofile 3", {"nofile hard": 4, "nofile soft": 3}),
        ("ubuntu - priority 4\n* - priority 5", {"priority": 5}),
        ("ubuntu - nonewprivs 1\n* - nonewprivs 0", {"nonewprivs": 0}),
        ("ubuntu - maxlogins 4\n* - maxsyslogins 5", {"maxlogins": 4}),
        ("%dev - maxlogins 4\n* - maxlogins 5", {"maxlogins": 4}),
        ("% - maxlogins 4\n@dev - maxsyslogins 5", {"maxlogins": 5}),
        ("ubuntu - nofile 4\n@dev -", {}),
        ("eve -\n@adm -\nubuntu - nofile 4", {"nofile soft": 4, "nofile hard": 4}),
        ("ubuntu - nofile 4\nubuntu - nofile x", {"nofile soft": 4, "nofile hard": 4}),
    ],
)
def test_the_line_that_counts(text: str, counting: dict[str, int]) -> None:
    assert counts(text) == counting


LINES = st.lists(
    st.builds(
        "{} {} nofile {}".format,
        st.sampled_from(["ubuntu", "@dev", "*", ":1000", "@1000:", "eve"]),
        st.sampled_from(["soft", "hard"]),
        st.integers(1, 9),
    ),
    max_size=6,
)


@each_of(LINES)
def test_of_two_lines_the_one_that_counts_beats_the_other(texts: list[str]) -> None:
    lines = parse("\n".join(texts))
    for (_, side), winner in given(lines, "ubuntu", ACCOUNTS).items():
        for line in lines:
            if side in line.sides and ACCOUNTS.applies(line.domain, "ubuntu") and line != winner:
                assert not beats(line, winner.domain, later=line.line > winner.line)


def test_two_names_of_one_limit() -> None:
    assert same_limit("maxlogins", "maxsyslogins")
    assert same_limit("nofile", "nofile")
    assert not same_limit("nofile", "nproc")
