"""Text of limits.conf(5): what pam_limits reads in it, over files as people have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.facts import LimitValue
from jada_configd.core.login_items import FACTORS, SINGLE
from jada_configd.formats.limits_conf import ITEMS, Line, ids, parse, render, value_of

DEBIAN = """\
# /etc/security/limits.conf
#
#Each line describes a limit for a user in the form:
#
#<domain>        <type>  <item>  <value>
#
#<domain>      <type>  <item>         <value>
#

#*               soft    core            0
#root            hard    core            100000
#@student        hard    nproc           20
#ftp             hard    nproc           0
#ftp             -       chroot          /ftp
#@student        -       maxlogins       4

# End of file
"""
ORACLE = """\
# oracle-database-preinstall-19c setting for nofile soft limit is 1024
oracle   soft   nofile    1024

# oracle-database-preinstall-19c setting for nofile hard limit is 65536
oracle   hard   nofile    65536
oracle   soft   nproc    16384
oracle   hard   nproc    16384
oracle   soft   stack    10240
oracle   hard   stack    32768
oracle   hard   memlock    134217728
oracle   soft   data    unlimited
"""
ELASTICSEARCH = """\
elasticsearch  -  nofile  65535
elasticsearch soft memlock unlimited
elasticsearch hard memlock unlimited
"""
AUDIO = """\
# Provided by the jackd package.
@audio   -  rtprio     95
@audio   -  memlock    unlimited
#@audio   -  nice      -19
@audio - nice -19
"""
RED_HAT = """\
# Default limit for number of user's processes to prevent
# accidental fork bombs.
*          soft    nproc     4096
root       soft    nproc     unlimited
"""


def said(text: str) -> list[tuple[str, tuple[str, ...], str, LimitValue]]:
    lines = parse(text)
    assert [line.problem for line in lines] == [None] * len(lines)
    return [(line.domain, line.sides, line.item, line.value) for line in lines]


def test_what_debian_ships_says_nothing() -> None:
    assert parse(DEBIAN) == []


def test_files_as_packages_bring_them_are_read_to_the_last_line() -> None:
    both = ("soft", "hard")
    assert said(ORACLE) == [
        ("oracle", ("soft",), "nofile", 1024),
        ("oracle", ("hard",), "nofile", 65536),
        ("oracle", ("soft",), "nproc", 16384),
        ("oracle", ("hard",), "nproc", 16384),
        ("oracle", ("soft",), "stack", 10 << 20),
        ("oracle", ("hard",), "stack", 32 << 20),
        ("oracle", ("hard",), "memlock", 128 << 30),
        ("oracle", ("soft",), "data", None),
    ]
    assert said(ELASTICSEARCH)[0] == ("elasticsearch", both, "nofile", 65535)
    assert said(AUDIO) == [
        ("@audio", both, "rtprio", 95),
        ("@audio", both, "memlock", None),
        ("@audio", both, "nice", 39),
    ]
    assert said(RED_HAT)[1] == ("root", ("soft",), "nproc", None)
    assert [line.line for line in parse(ORACLE)] == [2, 5, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(
    ("item", "word", "value"),
    [
        ("nofile", "0", 0),
        ("nofile", "+0400", 400),
        ("nofile", "400x", 400),
        ("nofile", "-5", (1 << 64) - 5),
        ("nofile", "-", None),
        ("nofile", "-1", None),
        ("nofile", "infinity", None),
        ("nofile", "18446744073709551615", None),
        ("nofile", "9" * 5000, None),
        ("core", "2", 2048),
        ("core", "18014398509481983", None),
        ("core", "18014398509481982", 18014398509481982 * 1024),
        ("cpu", "3", 180),
        ("nice", "-20", 40),
        ("nice", "-1", 21),
        ("nice", "-99", 40),
        ("nice", "19", 1),
        ("nice", "99", 1),
        ("priority", "-1", -1),
        ("maxlogins", "4", 4),
        ("maxlogins", "-1", None),
        ("nonewprivs", "1", 1),
    ],
)
def test_a_value_is_that_of_the_login_in_the_units_of_setrlimit(
    item: str, word: str, value: LimitValue
) -> None:
    assert value_of(item, word) == value


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ubuntu", "it lacks a type, an item or a value"),
        ("ubuntu hard", "it lacks a type, an item or a value"),
        ("ubuntu hard nofile", "it lacks a type, an item or a value"),
        ("ubuntu hard nofile x", "its value is no number"),
        ("ubuntu hard nice unlimited", "its value is no number"),
        ("ubuntu - nonewprivs 2", "its value is neither 0 nor 1"),
        ("ubuntu both nofile 5", "its type is none of soft, hard and -"),
        ("ubuntu both priority 5", "its type is none of soft, hard and -"),
        ("ubuntu hard rttime 5", "pam_limits has no such item"),
        ("% hard nofile 5", "a domain with a % limits maxlogins alone"),
        ("%1:2 hard maxlogins 5", "a range of ids cannot stand behind a %"),
        ("1:x hard nofile 5", "it has a colon in its domain, and is no range of ids"),
        (": hard nofile 5", "it has a colon in its domain, and is no range of ids"),
        ("* -", "all limits can be taken off users and groups alone"),
        ("%dev -", "all limits can be taken off users and groups alone"),
    ],
)
def test_a_line_that_pam_limits_passes_over_says_why(line: str, problem: str) -> None:
    (read,) = parse(line)
    assert line.startswith(f"{read.domain} " if " " in line else read.domain)
    assert (read.sides, read.item, read.problem) == ((), "", problem)


def test_a_line_of_two_words_takes_all_limits_off() -> None:
    assert parse("@dev -") == [Line("@dev", (), "", None, 1)]


@pytest.mark.parametrize(
    ("domain", "found"),
    [
        ("ubuntu", None),
        ("@dev", None),
        (":5", (5, 5)),
        ("5:", (5, None)),
        ("5:7", (5, 7)),
        ("@:5", (5, 5)),
        ("@5:7", (5, 7)),
        ("%:5", (5, 5)),
    ],
)
def test_domains_by_number(domain: str, found: tuple[int, int | None] | None) -> None:
    assert ids(domain) == found


DOMAINS = st.sampled_from(["ubuntu", "@dev", "*", ":5", "1000:", "@10:20", "DOMAIN\\user"])
NUMBERS = st.integers(0, 1 << 40)


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, str, tuple[LimitValue, LimitValue]]:
    item = draw(st.sampled_from(sorted(ITEMS)))
    if item in SINGLE:
        value = draw(st.sampled_from([0, 1]))
        return draw(DOMAINS), item, (value, value)
    if item == "nice":
        nice = draw(st.integers(1, 40))
        return draw(DOMAINS), item, (nice, nice)
    factor = FACTORS.get(item, 1)
    word = st.none() | NUMBERS.map(lambda number: number * factor)
    return draw(DOMAINS), item, (draw(word), draw(word))


@given(st.lists(entries(), max_size=6))
def test_what_is_written_is_read_as_it_was_meant(
    lines: list[tuple[str, str, tuple[LimitValue, LimitValue]]],
) -> None:
    text = render("Written by a test.\nIn two lines.", lines)
    assert text.startswith("# Written by a test.\n# In two lines.\n\n")
    read = iter(parse(text))
    for domain, item, pair in lines:
        sides = [("", pair[1])] if item in SINGLE else [("soft", pair[0]), ("hard", pair[1])]
        for side, value in sides:
            line = next(read)
            assert (line.domain, line.sides, line.item) == (domain, (side,), item)
            assert (line.value, line.problem) == (value, None)
    assert next(read, None) is None


@pytest.mark.parametrize(
    ("domain", "item", "value"),
    [
        ("a b", "nofile", 5),
        ("a#b", "nofile", 5),
        ("a\nb", "nofile", 5),
        ("", "nofile", 5),
        ("ubuntu", "core", 5),
        ("ubuntu", "nice", 0),
        ("ubuntu", "nice", None),
        ("%dev", "nofile", 5),
        ("ubuntu", "rttime", 5),
    ],
)
def test_what_would_be_read_as_something_else_is_not_written(
    domain: str, item: str, value: LimitValue
) -> None:
    with pytest.raises(ValueError, match="cannot say"):
        render("x", [(domain, item, (value, value))])


@given(st.text(alphabet=st.sampled_from("ab:*@%#-+ \t\r\n\0 01nofile softhard\ufeffé\x1f\x85")))
def test_any_text_is_read_and_each_line_once(text: str) -> None:
    numbers = [line.line for line in parse(text)]
    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= text.count("\n") + 1 for number in numbers)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_text_are_read_too(data: bytes) -> None:
    for line in parse(data.decode(errors="replace")):
        assert line.domain
