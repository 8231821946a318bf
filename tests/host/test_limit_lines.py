"""What says what a unit's limits are to be, read from the files of a scratch root."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jada_configd.core.facts import LimitLine, LimitPair, UnitFact
from jada_configd.core.limits import line_that_gives
from jada_configd.host.filesystem.files import Files
from jada_configd.host.manager.limit_lines import configuration_directories, unit_limit_lines
from jada_configd.host.manager.unit_facts import ManagerFact

UNIT = "/etc/systemd/system/a.service"
RUNNING = "the running service manager (its files are others by now)"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def files(root: Path) -> Iterator[Files]:
    with Files(str(root)) as opened:
        yield opened


def put(root: Path, path: str, text: str) -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def lines_of(
    files: Files,
    *drop_ins: str,
    default: LimitPair = (1024, 524288),
    unread: bool = False,
    user: bool = False,
    name: str = "a.service",
) -> list[LimitLine]:
    unit = UnitFact(
        name, "loaded", "active", fragment=UNIT, drop_ins=drop_ins, need_daemon_reload=unread
    )
    manager = ManagerFact(
        {"nofile": default, "core": (0, None)}, ("/etc/systemd/system", "/usr/lib/systemd/system")
    )
    environ = {"HOME": "/home/eve"}
    where = configuration_directories(user=user, environ=environ)
    found = unit_limit_lines(files, unit, manager, where, user=user)
    return [line for line in found if line.limit == "nofile"]


def told(lines: list[LimitLine]) -> list[tuple[str, str]]:
    return [(line.layer, line.source) for line in lines]


def test_where_no_file_says_anything_the_manager_does(files: Files) -> None:
    assert lines_of(files) == [
        LimitLine(
            "nofile",
            1024,
            524288,
            "kernel default",
            "the service manager, which has it from the kernel",
        )
    ]


def test_each_layer_comes_after_those_below_it(root: Path, files: Files) -> None:
    put(root, "/etc/systemd/system.conf", "[Manager]\nDefaultLimitNOFILE=5\n")
    put(root, "/etc/systemd/system.conf.d/b.conf", "[Manager]\nDefaultLimitNOFILE=7\n")
    put(root, "/usr/lib/systemd/system.conf.d/a.conf", "[Manager]\nDefaultLimitNOFILE=6\n")
    put(root, UNIT, "[Service]\nLimitNOFILE=8\n[Socket]\nLimitNOFILE=1\n")
    drop_ins = [f"{UNIT}.d/{name}.conf" for name in ("z", "a")]  # in the order that systemd says
    for drop_in in drop_ins:
        put(root, drop_in, "[Service]\nLimitNOFILE=9\n")
    assert told(lines_of(files, *drop_ins, default=(7, 7))) == [
        ("manager default", "/etc/systemd/system.conf:2"),
        ("manager default", "/usr/lib/systemd/system.conf.d/a.conf:2"),
        ("manager default", "/etc/systemd/system.conf.d/b.conf:2"),
        ("unit file", f"{UNIT}:2"),
        ("drop-in", f"{drop_ins[0]}:2"),
        ("drop-in", f"{drop_ins[1]}:2"),
    ]


def test_the_first_main_file_counts_and_a_name_masks_those_behind_it(
    root: Path, files: Files
) -> None:
    put(root, "/usr/lib/systemd/system.conf", "[Manager]\nDefaultLimitNOFILE=1\n")
    put(root, "/run/systemd/system.conf", "[Manager]\nDefaultLimitNOFILE=2\n")
    put(root, "/usr/lib/systemd/system.conf.d/a.conf", "[Manager]\nDefaultLimitNOFILE=3\n")
    (root / "etc/systemd/system.conf.d").mkdir(parents=True)
    (root / "etc/systemd/system.conf.d/a.conf").symlink_to("/dev/null")
    lines = lines_of(files, default=(2, 2))
    assert told(lines) == [("manager default", "/run/systemd/system.conf:2")]


def test_what_the_manager_gives_counts_where_its_files_say_otherwise(
    root: Path, files: Files
) -> None:
    put(root, "/etc/systemd/system.conf", "[Manager]\nDefaultLimitNOFILE=5\n")
    lines = lines_of(files, default=(4, 4))
    assert told(lines)[-1] == ("manager default", RUNNING)
    last = line_that_gives(lines, "nofile")
    assert last is not None
    assert (last.soft, last.hard) == (4, 4)


def test_a_line_of_the_manager_that_is_passed_over_gives_nothing(root: Path, files: Files) -> None:
    put(root, "/etc/systemd/system.conf", "[Manager]\nDefaultLimitNOFILE=9:8\n")
    assert told(lines_of(files)) == [
        ("kernel default", "the service manager, which has it from the kernel"),
        ("manager default", "/etc/systemd/system.conf:2"),
    ]


def test_a_user_has_files_of_their_own_first(root: Path, files: Files) -> None:
    put(root, "/etc/systemd/user.conf", "[Manager]\nDefaultLimitNOFILE=1\n")
    put(root, "/etc/systemd/system.conf", "[Manager]\nDefaultLimitNOFILE=2\n")
    put(root, "/home/eve/.config/systemd/user.conf", "[Manager]\nDefaultLimitNOFILE=3\n")
    put(root, "/run/systemd/user.conf.d/x.conf", "[Manager]\nDefaultLimitNOFILE=4\n")
    assert told(lines_of(files, default=(4, 4), user=True)) == [
        ("manager default", "/home/eve/.config/systemd/user.conf:2"),
        ("manager default", "/run/systemd/user.conf.d/x.conf:2"),
    ]
    there = configuration_directories(user=True, environ={"XDG_CONFIG_HOME": "/x"})
    assert there[:2] == ("/x/systemd", "/etc/systemd")


def test_what_systemd_has_yet_to_read_is_found_in_its_order(root: Path, files: Files) -> None:
    known = f"{UNIT}.d/k.conf"
    for path in (
        known,
        f"{UNIT}.d/z.conf",
        "/etc/systemd/system/service.d/a.conf",
        "/usr/lib/systemd/system/a.service.d/z.conf",
        "/usr/lib/systemd/system/other.service.d/0.conf",
        f"{UNIT}.d/not-a-drop-in",
    ):
        put(root, path, "[Service]\nLimitNOFILE=9\n")
    assert [source for _, source in told(lines_of(files, known))[1:]] == [f"{known}:2"]
    assert [source for _, source in told(lines_of(files, known, unread=True))[1:]] == [
        "/etc/systemd/system/service.d/a.conf:2",
        f"{known}:2",
        f"{UNIT}.d/z.conf:2",
    ]


@pytest.mark.parametrize("suffix", ["socket", "mount", "swap"])
def test_other_types_of_units_have_sections_of_their_own(
    root: Path, files: Files, suffix: str
) -> None:
    put(root, UNIT, f"[Service]\nLimitNOFILE=8\n[{suffix.capitalize()}]\nLimitNOFILE=1\n")
    assert told(lines_of(files, name=f"a.{suffix}"))[1:] == [("unit file", f"{UNIT}:4")]


def test_what_cannot_be_read_says_nothing(root: Path, files: Files) -> None:
    (root / UNIT.lstrip("/")).mkdir(parents=True)
    (root / "etc/systemd/system.conf.d").mkdir()
    (root / "etc/systemd/system.conf.d/x.conf").mkdir()
    assert len(lines_of(files, "/nowhere/x.conf", unread=True)) == 1
