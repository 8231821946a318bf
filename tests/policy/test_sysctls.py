"""`[sysctl]` in a policy: keys in one form, values that a file can hold, each key once."""
# ruff: noqa: E501 - the tables are read across

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator as Validator

from jada_configd.core.specs import SysctlSpec
from jada_configd.formats.sysctl_lines import parse_sysctls, render_sysctls
from jada_configd.policy import schema
from tests.policy.declared import messages, plain, policy

HEAD = "version = 1\n[sysctl]\n"
KEY_FAULT = 'must be a key of sysctl(8), such as "fs.nr_open" or "net/core/somaxconn"'


def test_each_entry_has_its_key_with_dots_and_its_value_as_text() -> None:
    made = policy(
        'version = 1\ndaemon.mode = "observe"\n[sysctl]\n"net/core/somaxconn" = 4096\n'
        "'fs.nr_open' = \"1048576\"\n'net.ipv4.tcp_rmem' = ' 4096 87380\\t6291456 '\n"
        "'net.ipv4.conf.enp3s0/200.forwarding' = 0\n'kernel.modprobe' = ''\n'kernel.x' = -1\n"
    )
    assert made.sysctls == (
        SysctlSpec("net.core.somaxconn", "4096", "observe", "policy.toml:4"),
        SysctlSpec("fs.nr_open", "1048576", "observe", "policy.toml:5"),
        SysctlSpec("net.ipv4.tcp_rmem", "4096 87380\\t6291456", "observe", "policy.toml:6"),
        SysctlSpec("net.ipv4.conf.enp3s0/200.forwarding", "0", "observe", "policy.toml:7"),
        SysctlSpec("kernel.modprobe", "", "observe", "policy.toml:8"),
        SysctlSpec("kernel.x", "-1", "observe", "policy.toml:9"),
    )


def test_without_a_table_there_are_none() -> None:
    assert policy("version = 1").sysctls == ()
    assert policy(HEAD).sysctls == ()


def test_a_fragment_overrides_key_by_key() -> None:
    made = policy(f"{HEAD}'fs.nr_open' = 1\n'vm.swappiness' = 1", "[sysctl]\n'fs.nr_open' = 2")
    assert [(each.key, each.value, each.origin) for each in made.sysctls] == [
        ("fs.nr_open", "2", "policy.d/10.toml:2"),
        ("vm.swappiness", "1", "policy.toml:4"),
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("'nr_open' = 1", f"3:1: sysctl.nr_open: {KEY_FAULT}"),
        ("'' = 1", f'3:1: sysctl."": {KEY_FAULT}'),
        ("'fs.' = 1", f'3:1: sysctl."fs.": {KEY_FAULT}'),
        ("'fs..nr_open' = 1", f'3:1: sysctl."fs..nr_open": {KEY_FAULT}'),
        ("'/fs/nr_open' = 1", f'3:1: sysctl."/fs/nr_open": {KEY_FAULT}'),
        ("'-fs.nr_open' = 1", f'3:1: sysctl."-fs.nr_open": {KEY_FAULT}'),
        ("'fs/../nr_open' = 1", f'3:1: sysctl."fs/../nr_open": {KEY_FAULT}'),
        ("'../x/nr_open' = 1", f'3:1: sysctl."../x/nr_open": {KEY_FAULT}'),
        ("'net/./x' = 1", f'3:1: sysctl."net/./x": {KEY_FAULT}'),
        ("'fs.nr open' = 1", f'3:1: sysctl."fs.nr open": {KEY_FAULT}'),
        ("'fs.é' = 1", f'3:1: sysctl."fs.é": {KEY_FAULT}'),
        ('"fs.x\\n" = 1', f'3:1: sysctl."fs.x\\n": {KEY_FAULT}'),
        ("'net.ipv4.conf.*.forwarding' = 1", '3:1: sysctl."net.ipv4.conf.*.forwarding": a pattern stands for many keys; name each'),
        ("'net.ipv4.tcp_fastopen_key' = 'x'", '3:1: sysctl."net.ipv4.tcp_fastopen_key": is a secret, and everybody can read sysctl.d; leave it to whoever makes it'),
        ("fs.nr_open = 1", '3:1: sysctl.fs: a key stands in quotes: "fs.nr_open"'),
        ("net.ipv4.ip_forward = 1", '3:1: sysctl.net: a key stands in quotes: "net.ipv4.ip_forward"'),
        ("'fs.nr_open' = {}", '3:1: sysctl."fs.nr_open": a key stands in quotes: "fs.nr_open"'),
        ("'fs.nr_open' = true", '3:1: sysctl."fs.nr_open": must be an integer or a string; a switch of the kernel is 1 or 0'),
        ("'fs.nr_open' = 1.0", '3:1: sysctl."fs.nr_open": must be an integer or a string'),
        ("'fs.nr_open' = [1]", '3:1: sysctl."fs.nr_open": must be an integer or a string'),
        ("'fs.nr_open' = 2147483585", '3:1: sysctl."fs.nr_open": no Linux accepts more than 2147483584'),
        ("'fs/nr_open' = '2147483646'", '3:1: sysctl."fs/nr_open": no Linux accepts more than 2147483584'),
        ("'kernel.x' = 18446744073709551616", '3:1: sysctl."kernel.x": an integer must fit into 64 bits'),
        ('\'kernel.x\' = "a\\nb"', '3:1: sysctl."kernel.x": must be one line without control characters'),
        (f"'kernel.x' = '{'x' * 4095}'", '3:1: sysctl."kernel.x": is longer than the kernel reads (4094 bytes)'),
        ("'fs.nr_open' = 1\n'fs/nr_open' = 2", '4:1: sysctl."fs/nr_open": stands twice: "fs.nr_open" (policy.toml:3) is this key'),
        ("'vm.dirty_ratio' = 10\n'vm.dirty_bytes' = 5", '4:1: sysctl."vm.dirty_bytes": the kernel has one of the two: to set vm.dirty_bytes puts vm.dirty_ratio at 0'),
        ("'vm.overcommit_ratio' = 10\n'vm.overcommit_kbytes' = 5", '4:1: sysctl."vm.overcommit_kbytes": the kernel has one of the two: to set vm.overcommit_kbytes puts vm.overcommit_ratio at 0'),
        ("'net.ipv4.ip_forward' = 0\n'net/ipv4/conf/all/forwarding' = '1'", '4:1: sysctl."net/ipv4/conf/all/forwarding": is net.ipv4.ip_forward by another name; give both one value'),
    ],
)  # fmt: skip
def test_what_cannot_be_held_is_refused_with_its_place(entry: str, message: str) -> None:
    assert messages(HEAD + entry) == [f"policy.toml:{message}"]


def test_the_most_that_linux_takes_is_taken() -> None:
    assert messages(f"{HEAD}'fs.nr_open' = 2147483584") == []
    assert messages(f"{HEAD}'vm.dirty_ratio' = 0\n'vm.dirty_bytes' = 5") == []
    same = "'net.ipv4.ip_forward' = 1\n'net.ipv4.conf.all.forwarding' = ' 1 '"
    assert messages(f"{HEAD}{same}") == []


def test_both_forms_of_a_key_in_two_files_are_one_key_twice() -> None:
    assert messages(f"{HEAD}'fs.nr_open' = 1", "[sysctl]\n'fs/nr_open' = 2") == [
        'policy.d/10.toml:2:1: sysctl."fs/nr_open": stands twice: "fs.nr_open" (policy.toml:3) is this key'
    ]


def test_a_table_it_must_be() -> None:
    assert messages("version = 1\nsysctl = 5") == [
        "policy.toml:2:1: sysctl: must be a table, not an integer"
    ]


@given(
    st.from_regex(r"[a-z]{1,3}([./][a-z0-9_.]{1,5}){1,3}", fullmatch=True),
    st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.text(max_size=9)),
)
def test_what_loads_can_be_written_and_read_back(key: str, value: int | str) -> None:
    text = value if isinstance(value, int) else _basic(value)
    source = f"{HEAD}'{key}' = {text}"
    if messages(source):
        return
    assert Validator(schema()).is_valid(tomllib.loads(source))
    (entry,) = plain(source)["sysctls"]
    (line,) = parse_sysctls(render_sysctls("ours", [(entry["key"], entry["value"])]))
    assert line.value == entry["value"]


def _basic(text: str) -> str:
    return (
        '"'
        + "".join(f"\\U{ord(each):08x}" for each in text if not 0xD800 <= ord(each) < 0xE000)
        + '"'
    )


@pytest.mark.parametrize("entry", ["'fs.nr_open' = true", "'a.*.b' = 1", "'a b' = 1", "a.b = 1"])
def test_the_schema_refuses_it_too(entry: str) -> None:
    assert not Validator(schema()).is_valid(tomllib.loads(HEAD + entry))
