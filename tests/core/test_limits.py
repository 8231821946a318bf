"""Which line gives a limit, and the sentence about a process that has another."""

import pytest

from jada_configd.core.drop_in_order import drop_in_directories, in_force
from jada_configd.core.facts import Ceiling, LimitLine, LimitPair, LimitValue, UnitFact
from jada_configd.core.limits import (
    above,
    limit_text,
    line_text,
    line_that_gives,
    resolved,
    why_not_as_asked,
)
from jada_configd.core.overriding import overridden
from jada_configd.core.specs import LimitWord

OURS = "/etc/systemd/system/a.service.d/zz-jada-configd.conf"
UNIT = UnitFact("a.service", "loaded", "active", drop_ins=(OURS,))
DEFAULT = LimitLine("nofile", 1024, 524288, "kernel default", "the service manager")
MANAGER = LimitLine("nofile", 5, 6, "manager default", "/etc/systemd/system.conf:7", "5:6")
OWN = LimitLine("nofile", 1 << 10, 1 << 20, "unit file", "/x/a.service:4", "1024:1048576")
BAD = LimitLine("nofile", 0, 0, "drop-in", "/x/a.service.d/b.conf:2", "x", "because")
LATER = LimitLine("nofile", 20001, 20001, "drop-in", "/x/a.service.d/zzz.conf:2", "20001")
OTHER = LimitLine("core", 0, 0, "drop-in", "/x/a.service.d/zzz.conf:3", "0")
LINES = (DEFAULT, MANAGER, OWN, BAD, LATER, OTHER)
CEILING = Ceiling(20000, "fs.nr_open is 20000")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (None, LATER),
        ((20001, 20001), LATER),
        ((5, 6), MANAGER),
        ((1024, 524288), DEFAULT),
        ((7, 7), None),
        ((0, 0), None),  # a line that systemd has passed over gives nothing
    ],
)
def test_the_line_that_gives_a_limit_is_the_last_that_says_so(
    given: LimitPair | None, line: LimitLine | None
) -> None:
    assert line_that_gives(LINES, "nofile", given) == line


def test_a_limit_that_nothing_sets_comes_from_no_line() -> None:
    assert line_that_gives(LINES, "nproc") is None
    assert line_that_gives((BAD,), "nofile") is None


def test_a_line_is_told_as_it_is_written_and_where() -> None:
    assert line_text(MANAGER) == "DefaultLimitNOFILE=5:6 in /etc/systemd/system.conf:7"
    assert line_text(DEFAULT) == "LimitNOFILE=1024:524288 in the service manager"
    long = LimitLine("nofile", 5, 5, "drop-in", "/x.conf:2", "0" * 99 + "5")
    assert line_text(long) == f"LimitNOFILE={'0' * 60}... in /x.conf:2"
    hostile = LimitLine("nofile", 0, 0, "drop-in", "/x\x1b/y.conf:2", "\x1b[2J", "because")
    assert line_text(hostile) == "LimitNOFILE=\\x1b[2J in /x\\x1b/y.conf:2"


@pytest.mark.parametrize(
    ("limit", "word", "ceiling", "value"),
    [
        ("nofile", 7, CEILING, 7),
        ("nofile", 1 << 30, CEILING, 1 << 30),  # beyond reach, and told so: never cut down
        ("nofile", "max", CEILING, 20000),
        ("nproc", "infinity", Ceiling(9, "x"), None),
        ("nproc", "max", None, None),
        ("nice", "max", None, 40),  # systemd passes over LimitNICE=infinity
        ("nice", "max", Ceiling(None, "x"), 40),
        ("nice", "max", Ceiling(60, "x"), 40),
        ("nice", "max", Ceiling(20, "x"), 20),
    ],
)
def test_a_word_of_a_policy_comes_to_a_number(
    limit: str, word: LimitWord, ceiling: Ceiling | None, value: LimitValue
) -> None:
    assert resolved(limit, word, ceiling) == value


@pytest.mark.parametrize(
    ("value", "ceiling", "beyond"),
    [(5, None, False), (None, None, False), (5, 5, False), (6, 5, True), (None, 5, True)],
)
def test_infinity_is_above_every_number(
    value: LimitValue, ceiling: LimitValue, *, beyond: bool
) -> None:
    assert above(value, ceiling) == beyond


def test_what_a_process_has_was_asked_and_why_they_differ_are_three_parts() -> None:
    told = why_not_as_asked("process 77", "nofile", (20000, 20000), LINES, (20001, 20001), CEILING)
    assert told.split("; ") == [
        "process 77 has nofile 20000:20000",
        "asked: LimitNOFILE=20001 in /x/a.service.d/zzz.conf:2",
        "why: fs.nr_open is 20000, and systemd takes what it cannot reach without a word",
    ]


@pytest.mark.parametrize(
    ("have", "given", "why"),
    [
        ((5, 6), (5, 6), "systemd gives what it is asked for"),
        (
            (5, 5),
            (5, 6),
            "it was started before systemd was asked for that, or its limit was changed since",
        ),
        ((5, None), (1024, 1 << 20), "fs.nr_open is 20000, and systemd takes what it cannot"),
    ],
)
def test_the_reason_is_worked_out_from_what_systemd_gives(
    have: LimitPair, given: LimitPair, why: str
) -> None:
    told = why_not_as_asked("process 1", "nofile", have, LINES, given, CEILING)
    assert told.split("; ")[2].startswith(f"why: {why}")


def test_what_stands_in_no_file_is_told_as_systemd_has_it() -> None:
    told = why_not_as_asked("process 1", "nofile", (5, 6), LINES, (8, 9), None)
    assert "; asked: LimitNOFILE=8:9, which stands in no file that can be read now; " in told


def test_without_any_line_only_what_it_has_is_told() -> None:
    told = why_not_as_asked("process 1", "nproc", (5, None), LINES, None, None)
    assert told == "process 1 has nproc 5:infinity"


# ------------------------------------------------------------------------------ who overrides ours


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/systemd/system/a.service.d/zzz.conf", "our drop-in; remedy: take that line out"),
        ("/etc/systemd/system/service.d/zzz.conf", "and is for every service; remedy: take"),
        ("/etc/systemd/system/b@.service.d/zzz.conf", "and is for every instance of b@.service;"),
        ("/etc/systemd/system/b-.service.d/zzz.conf", "and is for every b-*.service; remedy: take"),
        ("/etc/systemd/system/alias.service.d/zzz.conf", "and is for alias.service, too; remedy"),
        (
            "/usr/lib/systemd/system/a.service.d/zzz.conf",
            "remedy: mask it by an empty /etc/systemd/system/a.service.d/zzz.conf, then",
        ),
        (
            "/run/systemd/generator/a.service.d/zzz.conf",
            "remedy: mask it by an empty /etc/systemd/system/a.service.d/zzz.conf, then",
        ),
    ],
)
def test_who_overrides_ours_is_named_with_what_to_do(path: str, text: str) -> None:
    line = LimitLine("nofile", 7, 7, "drop-in", f"{path}:2", "7")
    told = overridden(UNIT, "nofile", (7, 7), (OWN, line), OURS, user=False)
    assert told.startswith(f"systemd gives LimitNOFILE=7; asked: LimitNOFILE=7 in {path}:2, which")
    assert text in told
    assert told.endswith("`systemctl daemon-reload`")
    by_user = overridden(UNIT, "nofile", (7, 7), (OWN, line), OURS, user=True)
    assert by_user.endswith("`systemctl --user daemon-reload`")


def test_one_that_masks_ours_is_named() -> None:
    masking = "/etc/systemd/system.control/a.service.d/zz-jada-configd.conf"
    unit = UnitFact("a.service", "loaded", "active", drop_ins=(masking,))
    told = overridden(unit, "nofile", (5, 6), (MANAGER,), OURS, user=False)
    assert f"our drop-in is masked by {masking}" in told


def test_what_comes_from_no_drop_in_and_what_nobody_says_are_told_as_such() -> None:
    told = overridden(UNIT, "nofile", (5, 6), (MANAGER,), OURS, user=False)
    assert told == (
        "systemd gives LimitNOFILE=5:6; asked: DefaultLimitNOFILE=5:6 in /etc/systemd/system.conf:7"
    )
    assert overridden(UNIT, "nofile", (9, 9), (), OURS, user=False) == (
        "systemd gives LimitNOFILE=9; no file that can be read says so"
    )
    ours = LimitLine("nofile", 4, 4, "drop-in", f"{OURS}:4", "4")
    assert overridden(UNIT, "nofile", (9, 9), (ours,), OURS, user=False) == (
        f"systemd gives LimitNOFILE=9; systemd has not taken LimitNOFILE=4 in {OURS}:4"
    )


# ------------------------------------------------------------------------------ the order


@pytest.mark.parametrize(
    ("unit", "levels"),
    [
        ("a.service", ["a.service"]),
        ("a-b-c.service", ["a-b-c.service", "a-b-.service", "a-.service"]),
        ("a-b@.service", ["a-b@.service", "a-.service"]),
        ("a-b@i-j.service", ["a-b@i-j.service", "a-b@.service", "a-.service"]),
        ("-a.service", ["-a.service"]),
        ("a--b.service", ["a--b.service", "a--.service", "a-.service"]),
        ("a-.service", ["a-.service"]),
        ("-.slice", ["-.slice"]),
    ],
)
def test_drop_ins_stand_at_each_level_of_a_name(unit: str, levels: list[str]) -> None:
    suffix = unit.rpartition(".")[2]
    assert drop_in_directories(unit, ("/etc", "/usr")) == (
        *(f"/etc/{level}.d" for level in levels),
        *(f"/usr/{level}.d" for level in levels),
        f"/etc/{suffix}.d",
        f"/usr/{suffix}.d",
    )


def test_what_stands_behind_a_link_to_usr_is_known_by_its_own_path() -> None:
    found = drop_in_directories("a.service", ("/etc/s", "/lib/s", "/usr/lib/s", "/run/s"))
    assert found[:4] == (
        "/etc/s/a.service.d",
        "/usr/lib/s/a.service.d",
        "/lib/s/a.service.d",
        "/run/s/a.service.d",
    )


def test_of_one_name_the_first_counts_and_names_are_read_in_order() -> None:
    paths = ["/etc/b.conf", "/etc/a.conf", "/usr/a.conf", "/usr/10.conf", "/usr/Z.conf"]
    assert in_force(paths) == ("/usr/10.conf", "/usr/Z.conf", "/etc/a.conf", "/etc/b.conf")


@pytest.mark.parametrize(("pair", "text"), [((5, 6), "5:6"), ((None, None), "infinity")])
def test_a_pair_is_written_as_systemd_writes_it(pair: LimitPair, text: str) -> None:
    assert limit_text(pair) == text
