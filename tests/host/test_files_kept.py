"""A replacement goes on from the look that was kept, as safely as one that walks anew."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jada_configd.core.actions import RemoveFile, ReplaceFile, digest
from jada_configd.core.facts import Content, Unreadable
from jada_configd.errors import Busy, HostError, Refused, Stale
from jada_configd.host.filesystem import kept, temporary
from jada_configd.host.filesystem.files import Files
from jada_configd.host.filesystem.walk import End, Walk
from jada_configd.host.passes import Passes
from jada_configd.host.storage.locks import Standing
from tests.host.stage import BOB, EVE, Stage, replacement

pytestmark = pytest.mark.needs_root

CLAUDE = "/home/eve/.claude"
SETTINGS = f"{CLAUDE}/settings.json"
OLD, NEW = b'{"model": "old"}\n', b'{"model": "new"}\n'


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    made.home()
    made.file(SETTINGS, OLD, EVE)
    made.home("bob", BOB)
    made.file("/home/bob/.claude/settings.json", OLD, BOB)
    made.directory("/etc")
    made.file("/etc/settings.json", OLD)
    made.files.begin_pass()
    yield made
    made.files.close()


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are walked to."""
    walked: list[str] = []
    real = Walk.to

    def to(self: Walk, path: str) -> End:
        walked.append(path)
        return real(self, path)

    monkeypatch.setattr(Walk, "to", to)
    return walked


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def looked(stage: Stage, path: str = SETTINGS) -> ReplaceFile:
    """The replacement of what is there now."""
    fact = stage.files.read_file(path)
    assert isinstance(fact, Content), fact
    return replacement(fact, NEW)


def content(stage: Stage, path: str = SETTINGS) -> bytes:
    return stage.real(path).read_bytes()


# ---- what is kept, and for how long


def test_a_look_and_the_replacement_walk_the_way_once(stage: Stage, walks: list[str]) -> None:
    stage.files.replace_file(looked(stage))
    assert walks == [SETTINGS]
    assert content(stage) == NEW
    assert stage.listing(CLAUDE) == ["settings.json"]


def test_one_look_alone_is_kept(stage: Stage) -> None:
    looked(stage)
    one = descriptors()
    for _ in range(10):
        for path in (SETTINGS, "/home/bob/.claude/settings.json"):
            looked(stage, path)
    assert descriptors() == one


def test_of_a_batch_each_file_is_replaced_whichever_was_looked_at_last(stage: Stage) -> None:
    paths = [SETTINGS, "/home/bob/.claude/settings.json", "/etc/settings.json"]
    for action in [looked(stage, path) for path in paths]:
        stage.files.replace_file(action)
    assert [content(stage, path) for path in paths] == [NEW] * 3


@pytest.mark.parametrize(
    "act",
    [
        lambda stage: stage.files.end_pass(),
        lambda stage: stage.files.close(),
        lambda stage: stage.files.glob("/home/*"),
        lambda stage: stage.files.read_file("/home/eve/missing"),
        lambda stage: stage.files.read_file("/nowhere/missing"),
        lambda stage: stage.files.read_file(CLAUDE),
        lambda stage: stage.files.replace_file(
            ReplaceFile(SETTINGS, NEW, 0o644, EVE, EVE, digest(OLD))
        ),
        lambda stage: stage.files.replace_file(
            ReplaceFile("/etc/settings.json", NEW, 0o644, 0, 0, digest(OLD))
        ),
        lambda stage: stage.files.remove_file(RemoveFile(SETTINGS, digest(OLD))),
    ],
)
def test_whatever_comes_next_gives_it_back(stage: Stage, act: Callable[[Stage], object]) -> None:
    before = descriptors()
    looked(stage)
    assert descriptors() > before
    act(stage)
    assert descriptors() == before


def test_a_replacement_that_fails_gives_it_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = descriptors()
    action = looked(stage)

    def fail(*_: object) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(HostError, match="No space left"):
        stage.files.replace_file(action)
    monkeypatch.undo()
    assert descriptors() == before
    assert stage.listing(CLAUDE) == ["settings.json"]


def test_outside_a_pass_nothing_is_kept(stage: Stage, walks: list[str]) -> None:
    stage.files.end_pass()
    before = descriptors()
    action = looked(stage)
    assert descriptors() == before
    stage.files.replace_file(action)
    assert walks == [SETTINGS, SETTINGS]


# ---- what happens between the look and the replacement


def test_a_second_replacement_needs_a_second_look(stage: Stage) -> None:
    action = looked(stage)
    stage.files.replace_file(action)
    with pytest.raises(Stale, match="other content"):
        stage.files.replace_file(action)
    fact = stage.files.read_file(SETTINGS)
    assert isinstance(fact, Content)
    stage.files.replace_file(replacement(fact, b"third"))
    assert content(stage) == b"third"


def test_what_was_planned_from_another_look_is_not_carried_out(stage: Stage) -> None:
    action = looked(stage)
    stage.file(SETTINGS, b"hers", EVE)
    looked(stage)
    with pytest.raises(Stale, match="other content"):
        stage.files.replace_file(action)
    assert content(stage) == b"hers"


def swap_for(target: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.real(CLAUDE).rename(stage.real("/home/eve/away"))
        stage.link(CLAUDE, target, EVE)

    return act


def swap_for_her_own(stage: Stage) -> None:
    stage.real(CLAUDE).rename(stage.real("/home/eve/away"))
    stage.directory(CLAUDE, EVE)
    stage.file(SETTINGS, OLD, EVE)


@pytest.mark.parametrize(
    "swap", [swap_for("/etc"), swap_for("/home/bob/.claude"), swap_for_her_own]
)
def test_a_directory_that_was_swapped_is_acted_in_and_no_other(
    stage: Stage, swap: Callable[[Stage], None]
) -> None:
    action = looked(stage)
    swap(stage)
    outside = {path: stage.snapshot(path) for path in ("/etc", "/home/bob", CLAUDE)}
    stage.files.replace_file(action)
    assert {path: stage.snapshot(path) for path in outside} == outside
    assert content(stage, "/home/eve/away/settings.json") == NEW
    # That this is no success the next look tells: it walks anew.
    match stage.files.read_file(SETTINGS):
        case Content() as fact:
            assert fact.data == OLD
        case other:
            assert isinstance(other, Unreadable)


def test_a_link_that_was_turned_elsewhere_is_followed_no_further(stage: Stage) -> None:
    stage.file("/home/eve/one", OLD, EVE)
    stage.file("/home/eve/two", OLD, EVE)
    stage.real(SETTINGS).unlink()
    stage.link(SETTINGS, "../one", EVE)
    action = looked(stage)
    stage.real(SETTINGS).unlink()
    stage.link(SETTINGS, "../two", EVE)
    stage.files.replace_file(action)
    assert (content(stage, "/home/eve/one"), content(stage, "/home/eve/two")) == (NEW, OLD)
    fact = stage.files.read_file(SETTINGS)
    assert isinstance(fact, Content)
    assert fact.data == OLD


def a_link(stage: Stage) -> None:
    stage.real(SETTINGS).unlink()
    stage.link(SETTINGS, "/etc/settings.json", EVE)


def a_fifo(stage: Stage) -> None:
    stage.real(SETTINGS).unlink()
    os.mkfifo(stage.real(SETTINGS))


def a_hard_link_of_another(stage: Stage) -> None:
    stage.real(SETTINGS).unlink()
    stage.real(SETTINGS).hardlink_to(stage.real("/etc/settings.json"))


def a_directory(stage: Stage) -> None:
    stage.real(SETTINGS).unlink()
    stage.directory(SETTINGS, EVE)


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (a_link, Refused, "but /etc belongs to root"),
        (a_fifo, Refused, "is a FIFO"),
        (a_hard_link_of_another, Refused, "has 2 names"),
        (a_directory, Refused, "is a directory"),
        (lambda stage: stage.real(SETTINGS).unlink(), Stale, "gone by now"),
        (lambda stage: shutil.rmtree(stage.real(CLAUDE)), Stale, "gone by now"),
        (lambda stage: stage.real(SETTINGS).write_bytes(b"hers"), Stale, "other content"),
        (lambda stage: stage.real(SETTINGS).chmod(0o600), Stale, "another owner, group or mode"),
        (lambda stage: os.chown(stage.real(SETTINGS), BOB, BOB), Refused, "belongs to uid"),
    ],
)
def test_what_took_its_place_is_judged_anew(
    stage: Stage, act: Callable[[Stage], object], error: type[HostError], said: str
) -> None:
    action = looked(stage)
    act(stage)
    before = {path: stage.snapshot(path) for path in ("/home", "/etc")}
    with pytest.raises(error, match=said):
        stage.files.replace_file(action)
    assert {path: stage.snapshot(path) for path in before} == before


def test_a_second_name_given_to_it_meanwhile_keeps_the_old_content(stage: Stage) -> None:
    action = looked(stage)
    stage.real("/home/eve/second").hardlink_to(stage.real(SETTINGS))
    stage.files.replace_file(action)
    assert (content(stage), content(stage, "/home/eve/second")) == (NEW, OLD)


def test_a_write_that_no_clock_tells_is_found_by_its_bytes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = looked(stage)
    stage.real(SETTINGS).write_bytes(b"x" * len(OLD))
    monkeypatch.setattr(kept, "same_moment", lambda *_: True)
    with pytest.raises(Stale, match="other content"):
        stage.files.replace_file(action)
    assert content(stage) == b"x" * len(OLD)


def test_a_directory_removed_before_the_new_content_stands_in_it_is_said_to_be_gone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = looked(stage)
    real = temporary.temporary_name

    def name(of: str) -> str:
        shutil.rmtree(stage.real(CLAUDE), ignore_errors=True)
        return real(of)

    monkeypatch.setattr(temporary, "temporary_name", name)
    with pytest.raises(Stale, match=r"/home/eve/\.claude is gone by now"):
        stage.files.replace_file(action)


# ---- passes


def test_a_pass_leaves_no_descriptor_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)
    standing = Standing(str(tmp_path / "run/pass.lock"))
    with Files() as files:
        passes = Passes(standing, files)
        with passes:
            files.read_file(str(path))  # the mount table stays open where the way crosses a mount
        before = descriptors()

        def work() -> None:
            with passes:
                files.read_file(str(path))
                assert descriptors() > before
                assert not gc.isenabled()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            work()
        assert gc.isenabled()
        assert descriptors() == before
        with standing.taken():
            pass


def test_a_pass_that_cannot_begin_leaves_all_as_it_was(tmp_path: Path) -> None:
    standing = Standing(str(tmp_path / "run/pass.lock"))
    with Files() as files, standing.taken():
        before = descriptors()
        with pytest.raises(Busy), Passes(standing, files):
            pass
        files.read_file("/etc/passwd")
        assert descriptors() == before
        assert gc.isenabled()
