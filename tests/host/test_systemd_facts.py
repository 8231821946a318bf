"""What systemd says of a unit, from both of its tongues; texts and values are a real 252's."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.facts import UnitFact
from jada_configd.core.limits import LIMITS
from jada_configd.host.manager.unit_facts import (
    MANAGER_SHOWN,
    SHOWN,
    ManagerFact,
    UnitLook,
    is_unit_name,
    job_path,
    job_result,
    look_from_properties,
    look_from_show,
    manager_from_properties,
    manager_from_show,
    unit_path,
)

INFINITY = (1 << 64) - 1
SHOW = """\
MainPID=31
Result=success
ReloadResult=success
ExecMainStartTimestampMonotonic=3687525611
ExecStart={ path=/bin/sleep ; argv[]=/bin/sleep 1000 ; ignore_errors=no ; pid=31 ; status=0/0 }
ExecStart={ path=/bin/true ; argv[]=/bin/true ; ignore_errors=no ; pid=0 ; status=0/0 }
ControlGroup=/system.slice/plain.service
LimitCORE=infinity
LimitCORESoft=0
LimitNOFILE=200
LimitNOFILESoft=100
Id=plain.service
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/etc/systemd/system/plain.service
DropInPaths="/etc/systemd/system/plain.service.d/a b.conf" /run/systemd/system/service.d/c.conf
UnitFileState=indirect
InactiveExitTimestampMonotonic=3687525959
StateChangeTimestampMonotonic=3687525960
CanReload=no
Job=105
NeedDaemonReload=yes
NRestarts=2
ExecMainCode=3
ExecMainStatus=11
StartLimitBurst=5
StartLimitIntervalUSec=1min 30s
"""
PROPERTIES: dict[str, tuple[str, Any]] = {
    "MainPID": ("u", 31),
    "Result": ("s", "success"),
    "ReloadResult": ("s", "success"),
    "ExecMainStartTimestampMonotonic": ("t", 3687525611),
    "ExecStart": (
        "a(sasbttttuii)",
        [
            ("/bin/sleep", ["/bin/sleep", "1000"], False, 0, 0, 0, 0, 31, 0, 0),
            ("/bin/true", ["/bin/true"], False, 0, 0, 0, 0, 0, 0, 0),
        ],
    ),
    "ControlGroup": ("s", "/system.slice/plain.service"),
    "LimitCORE": ("t", INFINITY),
    "LimitCORESoft": ("t", 0),
    "LimitNOFILE": ("t", 200),
    "LimitNOFILESoft": ("t", 100),
    "Id": ("s", "plain.service"),
    "LoadState": ("s", "loaded"),
    "ActiveState": ("s", "active"),
    "SubState": ("s", "running"),
    "FragmentPath": ("s", "/etc/systemd/system/plain.service"),
    "DropInPaths": (
        "as",
        [
            "/etc/systemd/system/plain.service.d/a b.conf",
            "/run/systemd/system/service.d/c.conf",
        ],
    ),
    "UnitFileState": ("s", "indirect"),
    "InactiveExitTimestampMonotonic": ("t", 3687525959),
    "StateChangeTimestampMonotonic": ("t", 3687525960),
    "CanReload": ("b", False),
    "Job": ("(uo)", (105, "/org/freedesktop/systemd1/job/105")),
    "NeedDaemonReload": ("b", True),
    "NRestarts": ("u", 2),
    "ExecMainCode": ("i", 3),
    "ExecMainStatus": ("i", 11),
    "StartLimitBurst": ("u", 5),
    "StartLimitIntervalUSec": ("t", 90_000_000),
    "Environment": ("as", ["A=1"]),
}
LOOK = UnitLook(
    UnitFact(
        name="other.service",
        load_state="loaded",
        active_state="active",
        sub_state="running",
        result="success",
        unit_file_state="indirect",
        main_pid=31,
        main_started_ns=3687525611000,
        activating_since_ns=3687525959000,
        state_changed_ns=3687525960000,
        can_reload=False,
        need_daemon_reload=True,
        job=True,
        fragment="/etc/systemd/system/plain.service",
        drop_ins=(
            "/etc/systemd/system/plain.service.d/a b.conf",
            "/run/systemd/system/service.d/c.conf",
        ),
        command=("/bin/sleep", "1000"),
        control_group="/system.slice/plain.service",
        limits={"core": (0, None), "nofile": (100, 200)},
        restarts=2,
        ended="signal SEGV",
        start_burst=5,
        start_interval_ns=90_000_000_000,
    ),
    id="plain.service",
    job=105,
    reload_result="success",
)
WORDS = st.text(st.sampled_from("abcXYZ019/-_.@\\'\"$"), min_size=1)


def test_both_tongues_say_the_same() -> None:
    assert look_from_properties("other.service", PROPERTIES) == LOOK
    assert look_from_show("other.service", SHOW) == LOOK


def test_both_tongues_say_the_same_of_the_manager() -> None:
    properties: dict[str, tuple[str, Any]] = {
        "UnitPath": ("as", ["/etc/systemd/system", "/run/a b"]),
        "DefaultLimitNOFILE": ("t", 524288),
        "DefaultLimitNOFILESoft": ("t", 1024),
        "DefaultLimitCORE": ("t", INFINITY),
        "DefaultLimitCORESoft": ("t", 0),
        "DefaultLimitNPROC": ("s", "nonsense"),
        "DefaultTasksMax": ("t", 5),
        "Environment": ("as", ["A=1"]),
    }
    text = """\
UnitPath=/etc/systemd/system "/run/a b"
DefaultLimitNOFILE=524288
DefaultLimitNOFILESoft=1024
DefaultLimitCORE=infinity
DefaultLimitCORESoft=0
"""
    told = ManagerFact(
        {"nofile": (1024, 524288), "core": (0, None)}, ("/etc/systemd/system", "/run/a b")
    )
    assert manager_from_properties(properties) == told
    assert manager_from_show(text) == told
    assert {line.partition("=")[0] for line in text.splitlines()} <= set(MANAGER_SHOWN)
    assert manager_from_properties({"UnitPath": ("s", "x")}) == ManagerFact({}, ())
    assert manager_from_show("") == ManagerFact({}, ())


def test_a_start_limit_without_an_end_is_a_very_long_one_in_both_tongues() -> None:
    said = [
        look_from_properties("x.service", {"StartLimitIntervalUSec": ("t", INFINITY)}),
        look_from_show("x.service", "StartLimitIntervalUSec=infinity"),
    ]
    assert [look.fact.start_interval_ns for look in said] == [INFINITY * 1000] * 2
    assert INFINITY * 1000 > 10**9 * 3600 * 24 * 365 * 1000


def test_drop_ins_with_strange_names_are_read_as_systemctl_writes_them() -> None:
    text = r'DropInPaths=/d/#h.conf "/d/a\$b.conf" "/d/c\"d.conf" "/d/e f.conf" "/d/g\\h.conf" '
    text += r""""/d/i'j.conf" "/d/k\`l.conf" "/d/nl\nx.conf" /d/{x}.conf"""
    names = ("#h", "a$b", 'c"d', "e f", "g\\h", "i'j", "k`l", "nl\nx", "{x}")
    drop_ins = look_from_show("q.service", text).fact.drop_ins
    assert drop_ins == tuple(f"/d/{name}.conf" for name in names)


def quoted(word: str) -> str:
    """A word in a list, as systemctl prints it where it is not plain (escape.c, quote)."""
    return '"' + re.sub(r'(["\\$`])', r"\\\1", word) + '"'


@given(
    numbers=st.lists(st.integers(0, (1 << 64) - 1), min_size=8, max_size=8),
    flags=st.tuples(st.booleans(), st.booleans()),
    words=st.lists(WORDS, min_size=8, max_size=8),
    drop_ins=st.lists(WORDS),
    argv=st.lists(WORDS.filter(lambda word: word != ";"), max_size=4),
    limits=st.dictionaries(st.sampled_from(LIMITS), st.tuples(*[st.integers(0, INFINITY)] * 2)),
    loaded=st.booleans(),
)
def test_whatever_a_unit_is_both_tongues_say_the_same(
    numbers: list[int],
    flags: tuple[bool, bool],
    words: list[str],
    drop_ins: list[str],
    argv: list[str],
    limits: dict[str, tuple[int, int]],
    loaded: bool,  # noqa: FBT001
) -> None:
    starts = ("NRestarts", "StartLimitBurst", "ExecMainCode", "ExecMainStatus")
    keys = ("MainPID", *(key for key in SHOWN if key.endswith("Monotonic")), *starts)
    values: dict[str, tuple[str, Any]] = {
        key: ("t", number) for key, number in zip(keys, numbers, strict=False)
    }
    texts = ("Id", "ActiveState", "SubState", "Result", "ReloadResult", "UnitFileState",
             "FragmentPath", "ControlGroup")  # fmt: skip
    values |= {key: ("s", word) for key, word in zip(texts, words, strict=True)}
    values |= {"CanReload": ("b", flags[0]), "NeedDaemonReload": ("b", flags[1])}
    values["LoadState"] = ("s", "loaded" if loaded else "masked")
    values["Job"] = ("(uo)", (numbers[5] % (1 << 32), "/"))
    for name, (soft, hard) in limits.items():
        values[f"Limit{name.upper()}"] = ("t", hard)
        values[f"Limit{name.upper()}Soft"] = ("t", soft)
    lines = [f"{key}={_shown(value)}" for key, (_, value) in values.items()]
    values["DropInPaths"] = ("as", drop_ins)
    lines.append("DropInPaths=" + " ".join(map(quoted, drop_ins)))
    if argv:
        values["ExecStart"] = ("a(sasbttttuii)", [(argv[0], argv, False)])
        lines.append(f"ExecStart={{ path={argv[0]} ; argv[]={' '.join(argv)} ; ignore_errors=no }}")
    assert look_from_show("x.service", "\n".join(lines)) == look_from_properties(
        "x.service", values
    )


def _shown(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case (number, _):
            return str(number or "")
        case _:
            return "infinity" if value == INFINITY else str(value)


@given(text=st.text() | st.lists(st.sampled_from(SHOW.splitlines())).map("\n".join))
def test_no_text_upsets_the_reading_of_a_unit(text: str) -> None:
    look = look_from_show("x.service", text)
    assert look.fact.name == "x.service"
    assert look.fact.main_pid >= 0


@given(
    keys=st.lists(st.sampled_from(sorted(PROPERTIES))),
    value=st.none() | st.integers() | st.text() | st.booleans(),
)
def test_a_property_of_another_type_counts_as_missing(keys: list[str], value: object) -> None:
    look = look_from_properties("x.service", PROPERTIES | dict.fromkeys(keys, ("v", value)))
    assert isinstance(look.fact.main_pid, int)
    assert isinstance(look.fact.drop_ins, tuple)
    assert isinstance(look.fact.load_state, str)


def test_what_starts_no_process_has_no_limits() -> None:
    target = {"Id": ("s", "x.target"), "LoadState": ("s", "loaded"), "ActiveState": ("s", "active")}
    assert look_from_properties("x.target", target).fact.limits is None


@pytest.mark.parametrize("state", ["not-found", "masked", "bad-setting", "error"])
def test_what_is_not_loaded_has_no_limits_whatever_is_said(state: str) -> None:
    fact = look_from_properties("x.service", PROPERTIES | {"LoadState": ("s", state)}).fact
    assert (fact.load_state, fact.limits) == (state, None)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("jada-agent.service", "jada_2dagent_2eservice"),
        ("0x.service", "_30x_2eservice"),
        ("foo@a_b.service", "foo_40a_5fb_2eservice"),
        ("system-getty.slice", "system_2dgetty_2eslice"),
        ("dev-disk-by\\x2dlabel.device", "dev_2ddisk_2dby_5cx2dlabel_2edevice"),
    ],
)
def test_a_unit_is_at_the_path_that_systemd_gives_it(name: str, path: str) -> None:
    assert unit_path(name) == f"/org/freedesktop/systemd1/unit/{path}"


@pytest.mark.parametrize(
    "name", ["a.service", "a@b.service", "a@b@c.service", "-.mount", "a:b_c.d\\x2d.socket"]
)
def test_names_of_units(name: str) -> None:
    assert is_unit_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "a", ".service", "a@.service", "@a.service", "a b.service", "a/b.service", "a.services",
     "é.service", "a.service\n", "a'.service", "x" * 250 + ".service"],
)  # fmt: skip
def test_names_of_no_unit(name: str) -> None:
    assert not is_unit_name(name)


@pytest.mark.parametrize(
    ("active", "result", "reload_result", "reload", "ended"),
    [
        ("active", "success", "success", False, "done"),
        ("active", "success", "exit-code", False, "done"),
        ("active", "success", "exit-code", True, "failed"),
        ("active", "success", "success", True, "done"),
        ("failed", "exit-code", "success", False, "failed"),
        ("activating", "exit-code", "success", False, "failed"),
        ("inactive", "success", "success", False, "done"),
        ("active", "", "", True, "done"),
    ],
)
def test_a_job_that_was_not_heard_of_is_judged_by_its_unit(
    active: str,
    result: str,
    reload_result: str,
    reload: bool,  # noqa: FBT001 - a column of the table
    ended: str,
) -> None:
    fact = UnitFact("x.service", "loaded", active, result=result)
    assert job_result(UnitLook(fact, "x.service", 0, reload_result), reload=reload) == ended
    assert job_path(7) == "/org/freedesktop/systemd1/job/7"
