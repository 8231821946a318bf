"""What every watcher owes the loop: each way to change a file is hinted, and nothing else is."""

import os
import resource
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jada_configd.host.watching.hints import EVERYTHING, Everything
from jada_configd.host.watching.watch import Watcher

WITHIN = 1.0  # seconds; it is some tenth of a millisecond where nothing is amiss


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    yield made
    made.close()


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    directory = tmp_path / "home/.claude"
    directory.mkdir(parents=True)
    path = directory / "settings.json"
    path.write_text('{"model": "right"}\n')
    return path


def hinted(watcher: Watcher, within: float = WITHIN) -> set[str]:
    """Everything that is hinted until nothing comes any more."""
    found: set[str] = set()
    end = time.monotonic() + within
    while select.select([watcher], [], [], 0.0 if found else max(0.0, end - time.monotonic()))[0]:
        hints = watcher.hints()
        assert not isinstance(hints, Everything)
        found |= hints
        if not hints and time.monotonic() > end:
            break
    return found


def is_quiet(watcher: Watcher) -> bool:
    """Whether nothing is hinted. Others on the machine may wake us: /tmp is on the way."""
    return not hinted(watcher, 0.02)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Watcher]:
    """A watcher for whom there is nothing above the test's own directory."""
    made = Watcher(str(tmp_path))
    yield made
    made.close()


def sleeps(watcher: Watcher) -> bool:
    """Whether the loop is not even woken."""
    return not select.select([watcher], [], [], 0.02)[0]


# ---- every way to change a file


def in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b'{"model": "wrong"}\n')


def by_truncating(path: Path) -> None:
    path.write_text("{}")


def by_appending(path: Path) -> None:
    with path.open("a") as file:
        file.write(" ")


def by_a_mapping(path: Path) -> None:
    import mmap

    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0:1] = b"["


def by_rename(path: Path) -> None:
    temporary = path.with_name(".settings.json.tmp")
    temporary.write_text("{}")
    temporary.rename(path)


def by_rename_from_elsewhere(path: Path) -> None:
    temporary = path.parents[1] / "new"
    temporary.write_text("{}")
    temporary.rename(path)


def by_rename_over_an_equal_file(path: Path) -> None:
    temporary = path.with_name("copy")
    shutil.copy2(path, temporary)
    temporary.rename(path)


def by_deleting(path: Path) -> None:
    path.unlink()


def by_moving_away(path: Path) -> None:
    path.rename(path.parents[1] / "old")


def by_changing_the_mode(path: Path) -> None:
    path.chmod(0o600)


def by_a_hard_link(path: Path) -> None:
    other = path.parents[1] / "other"
    other.hardlink_to(path)
    other.write_text("{}")


def by_sed(path: Path) -> None:
    subprocess.run(["sed", "-i", "s/right/wrong/", path], check=True)


def by_filter_and_mv(path: Path) -> None:
    command = 'tr r w < "$1" > "$1.tmp" && mv "$1.tmp" "$1"'
    subprocess.run(["sh", "-c", command, "-", path], check=True)


def by_a_shell(path: Path) -> None:
    subprocess.run(["sh", "-c", 'echo "{}" > "$1"', "-", path], check=True)


def by_cp(path: Path) -> None:
    other = path.parents[1] / "other"
    other.write_text("{}")
    subprocess.run(["cp", other, path], check=True)


def as_vim_does(path: Path) -> None:
    backup = path.with_name("settings.json~")
    path.rename(backup)
    path.write_text("{}")
    backup.unlink()


def by_removing_the_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


def by_making_the_directory_again(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    path.write_text("{}")


def by_moving_the_directory_away(path: Path) -> None:
    path.parent.rename(path.parents[1] / "elsewhere")


def by_moving_the_directory_above(path: Path) -> None:
    path.parents[1].rename(path.parents[2] / "elsewhere")


def by_another_directory_in_its_place(path: Path) -> None:
    other = path.parents[1] / "other"
    other.mkdir()
    (other / path.name).write_text("{}")
    path.parent.rename(path.parents[1] / "elsewhere")
    other.rename(path.parent)


def by_a_link_in_its_place(path: Path) -> None:
    target = path.parents[1] / "target"
    target.write_text("{}")
    path.unlink()
    path.symlink_to(target)


WRITERS = [
    in_place,
    by_truncating,
    by_appending,
    by_a_mapping,
    by_rename,
    by_rename_from_elsewhere,
    by_rename_over_an_equal_file,
    by_deleting,
    by_moving_away,
    by_changing_the_mode,
    by_a_hard_link,
    by_sed,
    by_filter_and_mv,
    by_a_shell,
    by_cp,
    as_vim_does,
    by_removing_the_directory,
    by_making_the_directory_again,
    by_moving_the_directory_away,
    by_moving_the_directory_above,
    by_another_directory_in_its_place,
    by_a_link_in_its_place,
]
every_writer = pytest.mark.parametrize("write", WRITERS, ids=lambda writer: writer.__name__)
Write = Callable[[Path], None]


@every_writer
def test_a_change_is_hinted(watcher: Watcher, settings: Path, write: Write) -> None:
    watcher.watch([str(settings)])
    write(settings)
    assert hinted(watcher) == {str(settings)}
    assert is_quiet(watcher)


@every_writer
def test_the_next_change_is_hinted_too(watcher: Watcher, settings: Path, write: Write) -> None:
    watcher.watch([str(settings)])
    write(settings)
    hinted(watcher)
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("{}")
    hinted(watcher, 0)
    in_place(settings)
    assert hinted(watcher) == {str(settings)}


@every_writer
def test_a_change_is_hinted_for_a_pattern(
    watcher: Watcher, settings: Path, write: Write, tmp_path: Path
) -> None:
    watcher.watch([f"{tmp_path}/*/.claude/settings.*"])
    write(settings)
    assert str(settings) in hinted(watcher)


@every_writer
def test_a_change_behind_a_link_to_the_file_is_hinted(
    watcher: Watcher, settings: Path, write: Write, tmp_path: Path
) -> None:
    link = tmp_path / "elsewhere.json"
    link.symlink_to("home/.claude/settings.json")
    watcher.watch([str(link)])
    write(settings)
    assert hinted(watcher) == {str(link)}


@every_writer
def test_a_change_behind_a_link_to_a_directory_is_hinted(
    watcher: Watcher, settings: Path, write: Write, tmp_path: Path
) -> None:
    (tmp_path / "user").symlink_to(tmp_path / "home")
    path = tmp_path / "user/.claude/settings.json"
    watcher.watch([str(path)])
    write(settings)
    assert hinted(watcher) == {str(path)}


def test_a_write_is_hinted_before_the_file_is_closed(watcher: Watcher, settings: Path) -> None:
    watcher.watch([str(settings)])
    with settings.open("r+b", buffering=0) as file:
        file.write(b"{}")
        assert hinted(watcher) == {str(settings)}


# ---- what comes and goes


def test_a_path_that_does_not_exist_yet_is_hinted_when_it_comes(
    watcher: Watcher, tmp_path: Path
) -> None:
    path = tmp_path / "not/yet/there/settings.json"
    watcher.watch([str(path)])
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert hinted(watcher) == {str(path)}
    in_place(path)
    assert hinted(watcher) == {str(path)}


def test_a_directory_renamed_away_and_back_is_watched_again(
    watcher: Watcher, settings: Path
) -> None:
    watcher.watch([str(settings)])
    away = settings.parents[1] / "away"
    settings.parent.rename(away)
    assert hinted(watcher) == {str(settings)}
    in_place(away / settings.name)
    assert is_quiet(watcher)
    away.rename(settings.parent)
    assert hinted(watcher) == {str(settings)}
    in_place(settings)
    assert hinted(watcher) == {str(settings)}


def test_a_link_that_leads_elsewhere_from_now_on_is_hinted(
    watcher: Watcher, settings: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    link = tmp_path / "link.json"
    link.symlink_to(settings)
    watcher.watch([str(link)])
    (tmp_path / "new").symlink_to(other)
    (tmp_path / "new").rename(link)
    assert hinted(watcher) == {str(link)}
    in_place(other)
    assert hinted(watcher) == {str(link)}
    in_place(settings)
    assert is_quiet(watcher)


def test_what_a_dangling_link_leads_to_is_hinted_when_it_comes(
    watcher: Watcher, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/bob").symlink_to(tmp_path / "data/bob")
    watcher.watch([f"{tmp_path}/home/*/settings.json"])
    (tmp_path / "data/bob").mkdir(parents=True)
    (tmp_path / "data/bob/settings.json").write_text("{}")
    assert hinted(watcher) == {f"{tmp_path}/home/bob/settings.json"}


def test_a_pattern_finds_new_directories_and_files(watcher: Watcher, tmp_path: Path) -> None:
    watcher.watch([f"{tmp_path}/*/agents/*.json"])
    assert is_quiet(watcher)
    (tmp_path / "a/agents").mkdir(parents=True)
    (tmp_path / "a/agents/one.json").write_text("{}")
    (tmp_path / "a/agents/.hidden.json").write_text("{}")
    (tmp_path / "a/agents/one.txt").write_text("{}")
    assert hinted(watcher) == {f"{tmp_path}/a/agents/one.json"}
    (tmp_path / "a/agents/one.json").unlink()
    assert hinted(watcher) == {f"{tmp_path}/a/agents/one.json"}


def test_a_path_beside_a_pattern_is_hinted_once_for_both(watcher: Watcher, settings: Path) -> None:
    watcher.watch([str(settings), f"{settings.parent}/*.json"])
    in_place(settings)
    assert hinted(watcher) == {str(settings)}


def test_paths_that_are_watched_no_more_are_silent(
    watcher: Watcher, settings: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    watcher.watch([str(settings), str(other)])
    watcher.watch([str(other)])
    by_rename(settings)
    in_place(settings)
    hinted(watcher, 0)
    in_place(other)
    assert hinted(watcher) == {str(other)}


def test_a_change_is_not_lost_while_other_paths_are_added(
    watcher: Watcher, settings: Path, tmp_path: Path
) -> None:
    watcher.watch([str(settings)])
    in_place(settings)
    watcher.watch([str(settings), f"{tmp_path}/other"])
    assert hinted(watcher) == {str(settings)}


def test_names_that_are_no_text_are_watched_too(watcher: Watcher, tmp_path: Path) -> None:
    path = f"{tmp_path}/line\nbreak/" + os.fsdecode(b"\xff.json")
    watcher.watch([path])
    Path(path).parent.mkdir()
    Path(path).write_text("{}")
    assert hinted(watcher) == {path}


# ---- what is nobody's business


def test_readers_cause_nothing(alone: Watcher, settings: Path) -> None:
    alone.watch(["/home/.claude/settings.json", "/home/*/*.json"])
    for _ in range(100):
        settings.read_bytes()
        list(settings.parent.iterdir())
    assert sleeps(alone)


def test_writes_to_a_neighbour_cause_nothing(alone: Watcher, settings: Path) -> None:
    neighbour = settings.with_name("history.jsonl")
    neighbour.write_text("")
    alone.watch(["/home/.claude/settings.json"])
    for _ in range(100):
        by_appending(neighbour)
    assert sleeps(alone)


def test_the_loop_sleeps_again_after_what_woke_it(alone: Watcher, settings: Path) -> None:
    alone.watch(["/home/.claude/settings.json"])
    by_rename(settings)
    assert hinted(alone) == {"/home/.claude/settings.json"}
    assert sleeps(alone)


def test_a_noisy_neighbour_wakes_the_loop_seldom_and_hides_nothing(
    watcher: Watcher, settings: Path
) -> None:
    watcher.watch([str(settings)])
    stop = threading.Event()

    def make_noise() -> None:
        neighbour = settings.with_name("state.json")
        while not stop.wait(0.0005):
            by_rename(neighbour)

    noise = threading.Thread(target=make_noise)
    noise.start()
    try:
        slept = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            if select.select([watcher], [], [], 0.1)[0]:
                assert watcher.hints() == frozenset[str]()
        wakeups = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - slept
        assert wakeups <= 64 + 250 * 0.7
        in_place(settings)
        written = time.monotonic()
        while not watcher.hints():
            select.select([watcher], [], [], 0.1)
        assert time.monotonic() - written < 0.1
    finally:
        stop.set()
        noise.join()
    hinted(watcher, 0.1)
    by_rename(settings)
    assert hinted(watcher) == {str(settings)}


# ---- at a glance


def test_a_glance_tells_what_took_a_files_place_and_hints_tell_it_again(
    watcher: Watcher, settings: Path
) -> None:
    watcher.watch([str(settings)])
    by_rename(settings)
    assert watcher.glance() == frozenset({str(settings)})
    assert watcher.is_behind()
    assert watcher.hints() == frozenset({str(settings)})
    assert not watcher.is_behind()
    assert is_quiet(watcher)


@pytest.mark.parametrize("change", [in_place, by_rename])
def test_after_a_glance_and_hints_each_change_is_hinted(
    watcher: Watcher, settings: Path, change: Callable[[Path], None]
) -> None:
    watcher.watch([str(settings)])
    by_rename(settings)
    watcher.glance()
    watcher.hints()
    assert is_quiet(watcher)
    change(settings)
    assert hinted(watcher) == {str(settings)}


def test_what_is_written_between_a_glance_and_hints_is_told(
    watcher: Watcher, settings: Path
) -> None:
    watcher.watch([str(settings)])
    by_rename(settings)
    watcher.glance()
    in_place(settings)  # to a file that is not watched yet
    assert watcher.hints() == frozenset({str(settings)})
    in_place(settings)
    assert watcher.glance() == frozenset({str(settings)})
    assert not watcher.is_behind()


def test_a_glance_follows_directories_that_were_moved(watcher: Watcher, settings: Path) -> None:
    watcher.watch([str(settings)])
    by_making_the_directory_again(settings)
    assert watcher.glance() == frozenset({str(settings)})
    assert not watcher.is_behind()
    in_place(settings)
    assert hinted(watcher) == {str(settings)}


def test_two_glances_leave_both_files_to_hints(watcher: Watcher, settings: Path) -> None:
    other = settings.with_name("settings.local.json")
    other.write_text("{}")
    watcher.watch([str(settings), str(other)])
    by_rename(settings)
    assert watcher.glance() == frozenset({str(settings)})
    by_rename(other)
    assert watcher.glance() == frozenset({str(other)})
    assert watcher.hints() == frozenset({str(settings), str(other)})
    in_place(settings)
    in_place(other)
    assert hinted(watcher) == {str(settings), str(other)}


def test_what_is_walked_anew_is_not_behind(watcher: Watcher, settings: Path) -> None:
    watcher.watch([str(settings)])
    by_rename(settings)
    watcher.glance()
    watcher.refresh()
    assert not watcher.is_behind()
    in_place(settings)
    assert hinted(watcher) == {str(settings)}


# ---- when too much happens


def test_an_overflow_is_everything_and_what_it_hid_is_watched(
    watcher: Watcher, settings: Path
) -> None:
    watcher.watch([str(settings)])
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    litter = settings.parent / "litter"
    for number in range(most // 2 + 100):  # two events each
        litter.write_text("")
        litter.rename(settings.parent / f"litter{number % 7}")
    by_making_the_directory_again(settings)
    assert watcher.hints() is EVERYTHING
    hinted(watcher, 0.1)
    in_place(settings)
    assert hinted(watcher) == {str(settings)}


def test_whatever_the_moment_the_last_change_is_hinted(watcher: Watcher, settings: Path) -> None:
    """A writer that never waits, and a reader who looks only where a hint says so."""
    watcher.watch([str(settings)])
    stop = 0.0

    def read() -> str | None:
        try:
            return settings.read_text()
        except OSError:
            return None

    def drift() -> None:
        writers = (
            by_rename,
            as_vim_does,
            by_making_the_directory_again,
            by_another_directory_in_its_place,
            by_a_link_in_its_place,
        )
        turn = 0
        while time.monotonic() < stop:
            writers[turn % len(writers)](settings)
            shutil.rmtree(settings.parents[1] / "elsewhere", ignore_errors=True)
            settings.write_text(str(turn := turn + 1))

    for _ in range(3):
        stop = time.monotonic() + 0.3
        thread = threading.Thread(target=drift)
        thread.start()
        known: str | None = "?"
        while thread.is_alive() or select.select([watcher], [], [], 0.2)[0]:
            if watcher.hints():
                known = read()
        assert known == read()
