"""Lines of sysctl.d files: keys, values, and what systemd-sysctl makes of a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.formats.sysctl_lines import (
    Line,
    dotted,
    is_glob,
    normal,
    parse_sysctls,
    plain,
    render_sysctls,
)

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
INNER_NAMES = st.from_regex(r"[a-z0-9_]{1,4}(\.[a-z0-9_]{1,4}){0,2}", fullmatch=True)
PATHS = st.tuples(NAMES, st.lists(INNER_NAMES, min_size=1, max_size=4)).map(
    lambda parts: "/".join((parts[0], *parts[1]))
)
VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12).map(str.strip)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("fs.nr_open", "fs/nr_open"),
        ("fs/nr_open", "fs/nr_open"),
        ("/fs/nr_open", "fs/nr_open"),
        ("net.ipv4.conf.enp3s0/200.forwarding", "net/ipv4/conf/enp3s0.200/forwarding"),
        ("net/ipv4/conf/enp3s0.200/forwarding", "net/ipv4/conf/enp3s0.200/forwarding"),
        ("key/middle.part.with.dots/foo", "key/middle.part.with.dots/foo"),
        ("key.middle/part/with/dots.foo", "key/middle.part.with.dots/foo"),
        ("net//ipv4/./ip_forward", "net/ipv4/ip_forward"),
        ("net..ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/../fs/nr_open", "net/../fs/nr_open"),
        ("net.ipv4.conf.*.forwarding", "net/ipv4/conf/*/forwarding"),
        ("hostname", "hostname"),
        ("", ""),
    ],
)
def test_both_forms_of_a_key_are_one(key: str, path: str) -> None:
    assert normal(key) == path


@given(PATHS)
def test_a_key_is_the_same_from_its_path_and_with_dots(path: str) -> None:
    assert normal(path) == path
    assert normal(dotted(path)) == path
    assert dotted(dotted(path)) == dotted(path)


@pytest.mark.parametrize("key", ["net.ipv4.conf.*.x", "a.?", "a.[bc]"])
def test_a_pattern_is_known_as_one(key: str) -> None:
    assert is_glob(key)
    assert not is_glob("fs.nr_open")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1048576\n", 1048576),
        (" -1 ", -1),
        ("0", 0),
        ("18446744073709551615\n", 18446744073709551615),
        ("4096\t87380\t6291456\n", "4096 87380 6291456"),
        ("4096  87380   6291456", "4096 87380 6291456"),
        ("core\n", "core"),
        ("|/bin/x %p", "|/bin/x %p"),
        ("", ""),
        ("\n", ""),
        ("007", "007"),
        ("0x10", "0x10"),
        ("-0", "-0"),
        ("1.0", "1.0"),
        ("9" * 5000, "9" * 5000),
        ("\u0663", "\u0663"),
    ],
)
def test_a_value_has_one_form(text: str, value: int | str) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


@given(VALUES)
def test_one_form_stays_as_it_is(text: str) -> None:
    assert plain(str(plain(text))) == plain(text)
    assert plain(f"\t{text} \n") == plain(text)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("\n  \n# a = 1\n ; b = 2\n", []),
        ("fs.nr_open=5", [Line("fs/nr_open", "5", 1)]),
        ("\n\tfs.nr_open \t=  5 \n", [Line("fs/nr_open", "5", 2)]),
        ("a.b = 1 # 2 ; 3", [Line("a/b", "1 # 2 ; 3", 1)]),
        ("a.b = c = d", [Line("a/b", "c = d", 1)]),
        ("a.b =", [Line("a/b", "", 1)]),
        ("-a.b = 1", [Line("a/b", "1", 1, lenient=True)]),
        ("- a.b = 1", [Line("a/b", "1", 1, lenient=True)]),
        ("-a.b", [Line("a/b", None, 1)]),
        ("-net.ipv4.conf.hub0.rp_filter", [Line("net/ipv4/conf/hub0/rp_filter", None, 1)]),
        ("a.*.b = 1", [Line("a/*/b", "1", 1)]),
        ("a.b\n", [Line("", None, 1, problem='it has no "="')]),
        ("= 1\n-\n", [Line("", None, n, problem="it has no key") for n in (1, 2)]),
        ("a.b = 1 \\\nc.d = 2", [Line("a/b", "1 \\", 1), Line("c/d", "2", 2)]),
        ("a.b = 1\r\nc.d = 2\rc.e = 3\0c.f=4", [
            Line("a/b", "1", 1), Line("c/d", "2", 2), Line("c/e", "3", 3), Line("c/f", "4", 4),
        ]),
    ],
)  # fmt: skip
def test_a_text_is_read_as_systemd_reads_it(text: str, lines: list[Line]) -> None:
    assert parse_sysctls(text) == lines


PID_MAX = """\
#  This file is part of systemd.
#
#  systemd is free software; you can redistribute it and/or modify it
#  under the terms of the GNU Lesser General Public License as published by
#  the Free Software Foundation; either version 2.1 of the License, or
#  (at your option) any later version.

# See sysctl.d(5) and core(5) for documentation.

# To override settings in this file, create a local file in /etc
# (e.g. /etc/sysctl.d/90-override.conf), and put any assignments
# there.

# Bump the numeric PID range to make PID collisions less likely.
# 2^22 and 2^15 is possible maximum of 64bit and 32bit kernels respectively.
kernel.pid_max = 4194304
"""
PROTECT_LINKS = """\
###################################################################
# Protected links
#
# Protects against creating or following links under certain conditions
# Debian kernels have both set to 1 (restricted)
# See https://www.kernel.org/doc/Documentation/sysctl/fs.txt
fs.protected_fifos = 1
fs.protected_hardlinks = 1
fs.protected_regular = 2
fs.protected_symlinks = 1
"""
DEFAULT = """\
# Source route verification
net.ipv4.conf.default.rp_filter = 2
net.ipv4.conf.*.rp_filter = 2
-net.ipv4.conf.all.rp_filter

# Do not accept source routing
net.ipv4.conf.default.accept_source_route = 0
net.ipv4.conf.*.accept_source_route = 0
-net.ipv4.conf.all.accept_source_route

# ping(8) without CAP_NET_ADMIN and CAP_NET_RAW
-net.ipv4.ping_group_range = 0 2147483647

# Fair Queue CoDel packet scheduler to fight bufferbloat
-net.core.default_qdisc = fq_codel
"""
CONF = """\
#kernel.domainname = example.com
#net.ipv4.conf.all.rp_filter=1
net.ipv4.ip_forward=1
kernel.printk = 3 4 1 3
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PID_MAX, {("kernel/pid_max", "4194304"): 16}),
        (
            PROTECT_LINKS,
            {
                ("fs/protected_fifos", "1"): 7,
                ("fs/protected_hardlinks", "1"): 8,
                ("fs/protected_regular", "2"): 9,
                ("fs/protected_symlinks", "1"): 10,
            },
        ),
        (
            DEFAULT,
            {
                ("net/ipv4/conf/default/rp_filter", "2"): 2,
                ("net/ipv4/conf/*/rp_filter", "2"): 3,
                ("net/ipv4/conf/all/rp_filter", None): 4,
                ("net/ipv4/conf/default/accept_source_route", "0"): 7,
                ("net/ipv4/conf/*/accept_source_route", "0"): 8,
                ("net/ipv4/conf/all/accept_source_route", None): 9,
                ("net/ipv4/ping_group_range", "0 2147483647"): 12,
                ("net/core/default_qdisc", "fq_codel"): 15,
            },
        ),
        (CONF, {("net/ipv4/ip_forward", "1"): 3, ("kernel/printk", "3 4 1 3"): 4}),
    ],
    ids=[
        "systemd's 50-pid-max",
        "Debian's 99-protect-links",
        "systemd's 50-default",
        "sysctl.conf",
    ],
)
def test_files_of_real_hosts_are_read(text: str, said: dict[tuple[str, str | None], int]) -> None:
    assert {(each.key, each.value): each.line for each in parse_sysctls(text)} == said


@given(st.text(st.sampled_from("-=#;./ \t\n\r\0ab*")))
def test_any_text_is_read_and_its_lines_are_those_of_the_text(text: str) -> None:
    lines = parse_sysctls(text)
    numbers = [line.line for line in lines]
    assert numbers == sorted(set(numbers))
    for line in lines:
        assert bool(line.key) == (line.problem is None)
        assert line.value is None or "\n" not in line.value


@given(st.dictionaries(PATHS, VALUES, max_size=4))
def test_what_is_written_is_read_back_as_it_was_given(entries: dict[str, str]) -> None:
    text = render_sysctls("ours", ((dotted(path), value) for path, value in entries.items()))
    assert text.startswith("# ours\n\n")
    assert [(line.key, line.value) for line in parse_sysctls(text)] == list(entries.items())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", "1"),
        ("#a.b", "1"),
        ("-a.b", "1"),
        ("a=b.c", "1"),
        ("a.b\n", "1"),
        ("a.b", "1\nc.d = 2"),
        ("a.b", "1\0"),
        ("a.b", " 1"),
    ],
)
def test_what_would_not_be_read_back_is_not_written(key: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"cannot|no sysctl"):
        render_sysctls("ours", [(key, value)])


@given(st.text(max_size=20), st.text(max_size=6), st.text(max_size=6))
def test_nothing_gets_out_of_its_line(header: str, key: str, value: str) -> None:
    try:
        text = render_sysctls(header, [(key, value)])
    except ValueError:
        return
    assert len(parse_sysctls(text)) == 1
