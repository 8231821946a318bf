"""A probe as a transient unit: what it takes of the unit that it asks, and what it never does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.facts import Probe
from jada_configd.errors import UnitRefused
from jada_configd.host.manager.transient_units import (
    ASKED_SHOWN,
    as_arguments,
    as_properties,
    probe_settings,
)

PROBE = Probe("asks.service", "a.service", ("/bin/check",), 10.0)
PLAIN = {
    "Description": "Asks how a.service is, for jada-configd",
    "Type": "oneshot",
    "RemainAfterExit": True,
    "TimeoutStartSec": 10.0,
    "TimeoutStopSec": 1.0,
    "KillMode": "control-group",
    "SendSIGKILL": True,
    "NoNewPrivileges": True,
    "StandardOutput": "journal",
    "StandardError": "journal",
    "SyslogIdentifier": "asks",
    "SyslogLevel": "notice",
    "LogLevelMax": "notice",
}
UNIT: dict[str, Any] = {
    "LoadState": "loaded",
    "User": "ubuntu",
    "Group": "agents",
    "DynamicUser": True,
    "SupplementaryGroups": ["adm", "audio"],
    "WorkingDirectory": "/srv/agent",
    "Environment": ["A=1", "B=$x y"],
    "LimitNOFILE": 5,
    "ProtectSystem": "strict",
}


def test_who_it_is_and_where_is_the_units_own_and_nothing_else() -> None:
    assert probe_settings(PROBE, UNIT, user=False) == PLAIN | {
        "User": "ubuntu",
        "Group": "agents",
        "DynamicUser": True,
        "SupplementaryGroups": ("adm", "audio"),
        "WorkingDirectory": "/srv/agent",
        "Environment": ("A=1", "B=$x y"),
    }
    assert set(ASKED_SHOWN) == UNIT.keys() - {"LimitNOFILE", "ProtectSystem"}


def test_a_users_manager_is_told_nothing_of_users() -> None:
    assert probe_settings(PROBE, UNIT, user=True) == PLAIN | {
        "WorkingDirectory": "/srv/agent",
        "Environment": ("A=1", "B=$x y"),
    }


def test_only_what_is_set_is_taken() -> None:
    unset: dict[str, Any] = {
        "LoadState": "loaded", "User": "", "Group": "", "DynamicUser": False,
        "SupplementaryGroups": [], "WorkingDirectory": "", "Environment": [],
    }  # fmt: skip
    assert probe_settings(PROBE, unset, user=False) == PLAIN
    assert probe_settings(PROBE, {"LoadState": "loaded"}, user=False) == PLAIN


@pytest.mark.parametrize("state", ["not-found", "masked", "bad-setting", "error", ""])
def test_of_a_unit_that_is_not_loaded_nobody_knows_as_whom_to_ask(state: str) -> None:
    with pytest.raises(UnitRefused, match=r"^Unit a\.service is not loaded\.$"):
        probe_settings(PROBE, {"User": "ubuntu", "LoadState": state}, user=False)


@pytest.mark.parametrize(
    ("told", "set_so"), [("!/srv", "-/srv"), ("~", "~"), ("!~", "-~"), ("/a!b", "/a!b")]
)
def test_a_directory_that_may_be_missing_is_set_with_another_sign(told: str, set_so: str) -> None:
    unit = {"LoadState": "loaded", "WorkingDirectory": told}
    assert probe_settings(PROBE, unit, user=False)["WorkingDirectory"] == set_so


def test_each_setting_has_the_name_and_type_that_d_bus_wants() -> None:
    properties = dict(as_properties(("/bin/check", "a b"), probe_settings(PROBE, UNIT, user=False)))
    assert properties == {
        "Description": ("s", "Asks how a.service is, for jada-configd"),
        "Type": ("s", "oneshot"),
        "RemainAfterExit": ("b", True),
        "TimeoutStartUSec": ("t", 10_000_000),
        "TimeoutStopUSec": ("t", 1_000_000),
        "KillMode": ("s", "control-group"),
        "SendSIGKILL": ("b", True),
        "NoNewPrivileges": ("b", True),
        "StandardOutput": ("s", "journal"),
        "StandardError": ("s", "journal"),
        "SyslogIdentifier": ("s", "asks"),
        "SyslogLevel": ("i", 5),
        "LogLevelMax": ("i", 5),
        "User": ("s", "ubuntu"),
        "Group": ("s", "agents"),
        "DynamicUser": ("b", True),
        "SupplementaryGroups": ("as", ["adm", "audio"]),
        "WorkingDirectory": ("s", "/srv/agent"),
        "Environment": ("as", ["A=1", "B=$x y"]),
        "ExecStart": ("a(sasb)", [("/bin/check", ["/bin/check", "a b"], False)]),
    }


@given(words=st.lists(st.text(st.sampled_from("a $%{}\\'\"-")), min_size=1).map(tuple))
def test_no_word_of_a_command_is_replaced(words: tuple[str, ...]) -> None:
    """systemd makes `$` of `$$` and leaves the rest alone (systemd.service(5), command lines)."""
    (_, (_, [(path, argv, ignore)])) = as_properties(words, {})[-1]
    assert (path, ignore) == (words[0], False)
    arguments = as_arguments("asks.service", words, {})
    for given_words in (argv, arguments[-len(words) :]):
        assert all(word.replace("$$", "").count("$") == 0 for word in given_words)
        assert tuple(word.replace("$$", "$") for word in given_words) == words
    assert arguments[: -len(words)] == ["--unit=asks.service", "--", "/usr/bin/env", "--"]
