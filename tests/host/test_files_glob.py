"""Patterns: what matches, what is not entered; one user's noise hides nobody else's files."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jada_configd.errors import TooMany
from jada_configd.host.filesystem import litter, patterns
from jada_configd.host.filesystem.files import Files
from tests.host.stage import BOB, EVE, Stage


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Files]:
    for path in (
        "home/eve/.claude/settings.json",
        "home/bob/.claude/settings.json",
        "home/bob/.claude/agents/a.md",
        "home/bob/.claude/agents/deep/b.md",
        "home/bob/.claude/.hidden.json",
        "home/.skeleton/.claude/settings.json",
        "home/a\nb/.claude/settings.json",
        "home/[x]/.claude/settings.json",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"{}")
    (tmp_path / "home/file").write_bytes(b"")
    (tmp_path / "home/link").symlink_to("bob")
    files = Files(str(tmp_path))
    yield files
    files.close()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (
            "/home/*/.claude/settings.json",
            [
                "/home/[x]/.claude/settings.json",
                "/home/a\nb/.claude/settings.json",
                "/home/bob/.claude/settings.json",
                "/home/eve/.claude/settings.json",
                "/home/link/.claude/settings.json",
            ],
        ),
        (
            "/home/[be]??/.claude/*.json",
            ["/home/bob/.claude/settings.json", "/home/eve/.claude/settings.json"],
        ),
        ("/home/.*/.claude/s*", ["/home/.skeleton/.claude/settings.json"]),
        ("/home/bob/*/settings.json", []),
        ("/home/bob/.*/.h*", ["/home/bob/.claude/.hidden.json"]),
        ("/home/bob/.claude/agents/*.md", ["/home/bob/.claude/agents/a.md"]),
        ("/home/bob/.claude/**/b.md", []),
        ("/home/bob/.claude/*/*/b.md", ["/home/bob/.claude/agents/deep/b.md"]),
        ("/home/[[]x]/.claude/settings.json", ["/home/[x]/.claude/settings.json"]),
        (
            "/home/[!b]*/.claude/settings.json",
            [
                "/home/[x]/.claude/settings.json",
                "/home/a\nb/.claude/settings.json",
                "/home/eve/.claude/settings.json",
                "/home/link/.claude/settings.json",
            ],
        ),
        ("/home/bob/.claude/settings.json", ["/home/bob/.claude/settings.json"]),
        ("/home/nobody/.claude/settings.json", []),
        ("/h*/b*/.c*/s*", ["/home/bob/.claude/settings.json"]),
        ("/nowhere/*", []),
        ("/home/file/*", []),
        ("/", []),
    ],
)
def test_a_pattern_matches_as_a_shell_would_have_it(
    tree: Files, pattern: str, expected: list[str]
) -> None:
    assert list(tree.glob(pattern)) == expected


def test_too_many_matches_are_said_and_the_bound_is_named(
    tree: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "MATCHES_AT_MOST", 3)
    with pytest.raises(TooMany, match=r"/home/\*/.* matches too much: more than 3 paths") as raised:
        tree.glob("/home/*/.claude/settings.json")
    assert len(raised.value.found) == 3


def test_too_many_entries_are_said_and_the_place_is_named(
    tree: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "LOOKS_AT_MOST", 15)
    with pytest.raises(TooMany, match="more entries than are looked through, in /home"):
        tree.glob("/home/*/.claude/settings.json")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    made.home()
    made.home("bob", BOB)
    made.file("/home/bob/.claude/settings.json", b"{}", BOB)
    yield made
    made.files.close()


@pytest.mark.needs_root
def test_a_users_link_into_elsewhere_is_not_entered(stage: Stage) -> None:
    stage.directory("/etc")
    stage.file("/etc/settings.json")
    stage.real("/home/eve/.claude").rmdir()
    stage.link("/home/eve/.claude", "/etc", EVE)
    assert stage.files.glob("/home/*/.claude/*.json") == ("/home/bob/.claude/settings.json",)
    stage.real("/home/eve/.claude").unlink()
    stage.link("/home/eve/.claude", "../bob/.claude", EVE)
    assert stage.files.glob("/home/*/.claude/*.json") == ("/home/bob/.claude/settings.json",)
    assert stage.files.glob("/home/*/.claude/settings.json") == ("/home/bob/.claude/settings.json",)


@pytest.mark.needs_root
def test_one_users_many_files_hide_nobody_elses(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "MATCHES_OF_ONE_USER", 20)
    for number in range(30):
        stage.file(f"/home/eve/.claude/{number}.json", b"{}", EVE)
    stage.home("adam", EVE + 7)
    stage.file("/home/adam/.claude/x.json", b"{}", EVE + 7)
    with pytest.raises(TooMany, match=r"more than 20 paths, in /home/eve/\.claude") as raised:
        stage.files.glob("/home/*/.claude/*.json")
    assert {"/home/adam/.claude/x.json", "/home/bob/.claude/settings.json"} < set(
        raised.value.found
    )
    assert len(raised.value.found) == 22


@pytest.mark.needs_root
def test_one_users_many_directories_cost_no_more_than_the_bound(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns, "LOOKS_AT_ONE_USER", 100)
    for number in range(50):
        stage.directory(f"/home/eve/.claude/{number}", EVE)
    stage.directory("/home/bob/.claude/x", BOB)
    stage.file("/home/bob/.claude/x/y", b"{}", BOB)
    with pytest.raises(
        TooMany, match="more entries than are looked through, in /home/eve"
    ) as raised:
        stage.files.glob("/home/*/.claude/*/*")
    assert raised.value.found == ("/home/bob/.claude/x/y",)


def test_no_descriptor_stays_open_however_much_matches(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}/a").mkdir(parents=True)
        (tmp_path / f"{number}/a/b").write_bytes(b"")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the descriptors' names
    with Files(str(tmp_path)) as files:
        assert len(files.glob("/*/*/b")) == 300
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the descriptors' names


# ---- litter

LITTER = ".settings.json.jada-configd-0123456789abcdef"


def test_what_a_crash_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.mkdir()
    kept = [
        "settings.json",
        ".settings.json.jada-configd-0123456789abcde",
        ".settings.json.jada-configd-0123456789abcdeX",
        "settings.json.jada-configd-0123456789abcdef",
        ".settings.json.jada-configd-0123456789abcdef.bak",
        ".settings.json.tmp",
    ]
    for name in [*kept, LITTER, ".a\nb.jada-configd-0123456789abcdef"]:
        (place / name).write_bytes(b"x")
    (place / ".directory.jada-configd-0123456789abcdef").mkdir()
    (place / ".link.jada-configd-0123456789abcdef").symlink_to("settings.json")
    (place / ".hard.jada-configd-0123456789abcdef").hardlink_to(place / "settings.json")
    with Files(str(tmp_path)) as files:
        removed = files.clean_litter(
            ["/a/settings.json", "/a/other.json", "/nowhere/x", "/a/settings.json/x"]
        )
    assert sorted(removed) == ["/a/.a\nb.jada-configd-0123456789abcdef", f"/a/{LITTER}"]
    assert sorted(each.name for each in place.iterdir()) == sorted(
        [
            *kept,
            ".directory.jada-configd-0123456789abcdef",
            ".hard.jada-configd-0123456789abcdef",
            ".link.jada-configd-0123456789abcdef",
        ]
    )


@pytest.mark.needs_root
def test_litter_is_looked_for_where_a_link_leads_and_left_where_it_is_a_strangers(
    stage: Stage,
) -> None:
    stage.directory("/etc")
    stage.file(f"/etc/{LITTER}", b"x")
    stage.directory("/home/eve/dotfiles", EVE)
    stage.file(f"/home/eve/dotfiles/{LITTER}", b"x", EVE)
    stage.file(f"/home/eve/.claude/{LITTER}", b"x", BOB)
    stage.link("/home/eve/.claude/settings.json", "../dotfiles/s.json", EVE)
    stage.link("/home/eve/.claude/other.json", "/etc/s.json", EVE)
    paths = ["/home/eve/.claude/settings.json", "/home/eve/.claude/other.json"]
    assert stage.files.clean_litter(paths) == (f"/home/eve/dotfiles/{LITTER}",)
    paths.append("/home/eve/.claude/third.json")
    assert stage.files.clean_litter(paths) == ()
    assert stage.listing("/etc") == [LITTER]


def test_a_directory_full_of_names_is_looked_through_no_further_than_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litter, "ENTRIES_AT_MOST", 10)
    for number in range(30):
        (tmp_path / f".{number}.jada-configd-0123456789abcdef").write_bytes(b"")
    with Files(str(tmp_path)) as files:
        assert len(files.clean_litter(["/x"])) == 10
