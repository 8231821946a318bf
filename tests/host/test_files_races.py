"""Somebody else acts all the time: nothing outside is touched, and nobody's write is lost."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jada_configd.core.actions import RemoveFile, ReplaceFile, digest
from jada_configd.core.facts import Content, Missing
from jada_configd.errors import HostError, Stale
from tests.host.stage import BOB, EVE, Attacker, Stage, reachable, replacement

pytestmark = pytest.mark.needs_root

SECONDS = 0.5  # and longer, up to AT_MOST, until enough has happened on a busy machine
AT_MOST = 10.0
LULL = 0.003  # s between two acts of eve's, so that some of ours come through
SETTINGS = "/home/eve/.claude/settings.json"
GOOD = b'{"model": "x"}\n'


@pytest.fixture(params=[False, True], ids=["anew", "kept"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """`kept`: a replacement may go on from the look, as within a pass."""
    with reachable() as place:
        yield from staged(place, keeps=request.param)


def staged(place: Path, *, keeps: bool) -> Iterator[Stage]:
    made = Stage(place)
    if keeps:
        made.files.begin_pass()
    made.home()
    made.directory("/etc")
    made.file("/etc/settings.json", b"canary")
    made.directory("/canary", mode=0o755)
    made.file("/canary/settings.json", GOOD, 0)
    made.file("/canary/closed.json", b"canary", 0, 0o600)
    made.home("bob", BOB)
    made.file("/home/bob/.claude/settings.json", GOOD, BOB)
    yield made
    made.files.close()


def turns(outcomes: Counter[str], wanted: dict[str, int]) -> Iterator[int]:
    """Go on for a while, and until there were so many outcomes of each sort."""
    start = time.monotonic()
    for number in range(1 << 40):
        took = time.monotonic() - start
        if took > AT_MOST or (
            took > SECONDS and all(outcomes[each] >= least for each, least in wanted.items())
        ):
            break
        time.sleep(0)  # or a busy machine leaves the attacking thread no turn of its own
        yield number
    assert all(outcomes[each] >= least for each, least in wanted.items()), outcomes


def work(stage: Stage) -> None:
    """What the daemon does, over and over: read, correct, make anew, remove, list, clean."""
    outcomes: Counter[str] = Counter()
    for number in turns(outcomes, {"changed": 10, "not": 10}):
        fact = stage.files.read_file(SETTINGS)
        outcomes[type(fact).__name__] += 1
        try:
            match fact:
                case Content() if number % 5:
                    stage.files.replace_file(replacement(fact, b"daemon %d" % number))
                case Content():
                    stage.files.remove_file(RemoveFile(SETTINGS, digest(fact.data)))
                case Missing(directory=True):
                    action = ReplaceFile(SETTINGS, b"daemon", 0o600, fact.uid, fact.gid, None)
                    stage.files.replace_file(action)
                case _:
                    outcomes["not"] += 1
                    continue
            outcomes["changed"] += 1
        except HostError:
            outcomes["not"] += 1
        if number % 20 == 0:
            stage.files.clean_litter([SETTINGS])
            stage.files.glob("/home/*/.claude/*.json")


class Eve:
    """What eve can do with the names in her home, with real paths."""

    def __init__(self, stage: Stage) -> None:
        self.home = stage.real("/home/eve")
        self.claude = self.home / ".claude"
        self.settings = self.claude / "settings.json"
        self.canary = stage.real("/canary")
        self.bob = stage.real("/home/bob/.claude")

    def swap_directory(self, target: str) -> Callable[[int], None]:
        def act(number: int) -> None:
            if number % 2:
                self.claude.rename(self.home / "away")
                self.claude.symlink_to(target)
            else:
                if number:
                    self.claude.unlink()
                    (self.home / "away").rename(self.claude)
                if not self.settings.exists():
                    self.settings.write_bytes(b"hers")

        return act

    def swap_file(self, number: int) -> None:
        """The file is in turn hers, a link, a hard link to what it was, a FIFO, a directory."""
        new = self.claude / "new"
        match number % 5:
            case 0:
                new.write_bytes(b"hers %d" % number)
            case 1:
                new.symlink_to("../../../canary/settings.json")
            case 2:
                os.mkfifo(new)
            case 3:
                new.symlink_to("/home/bob/.claude/settings.json")
            case _:
                self.settings.unlink()
                self.settings.mkdir()
                self.settings.rmdir()
                new.write_bytes(b"hers again")
        new.replace(self.settings)

    def swap_temporaries(self, number: int) -> None:
        """She watches for our temporary files and puts links in their place, or renames them."""
        if not self.settings.is_file() or self.settings.is_symlink():
            (self.claude / "new").write_bytes(b"hers %d" % number)
            (self.claude / "new").replace(self.settings)
        for path in self.claude.iterdir():
            if "jada-configd" in path.name:
                if number % 2:
                    path.rename(self.home / "stolen")
                else:
                    path.unlink()
                path.symlink_to("/canary/closed.json")

    def appear_and_go(self, number: int) -> None:
        if number % 2 == 0:
            self.claude.mkdir(exist_ok=True)
            self.settings.write_bytes(b"hers")
        else:
            for each in self.claude.iterdir():
                each.unlink()
            self.claude.rmdir()


ATTACKS: list[Callable[[Eve], Callable[[int], None]]] = [
    lambda eve: eve.swap_directory("/canary"),
    lambda eve: eve.swap_directory("../bob/.claude"),
    lambda eve: eve.swap_file,
    lambda eve: eve.swap_temporaries,
    lambda eve: eve.appear_and_go,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=["out", "bob", "file", "temporaries", "comes-goes"])
def test_whatever_eve_swaps_nothing_outside_her_home_changes(
    stage: Stage, attack: Callable[[Eve], Callable[[int], None]]
) -> None:
    outside = {path: stage.snapshot(path) for path in ("/etc", "/canary", "/home/bob")}
    act = attack(Eve(stage))

    def now_and_then(number: int) -> None:
        time.sleep(random.choice([0.0, LULL * random.random()]))
        act(number)

    with Attacker(now_and_then):
        work(stage)
    assert {path: stage.snapshot(path) for path in outside} == outside
    for mode, uid, _, content in stage.snapshot("/home/eve").values():
        assert uid == EVE or content == b""
        assert not mode & 0o6000
        assert content != b"canary"


# ---- no write is lost


def writer(
    path: Path, failures: Path, write: Callable[[Path, bytes], None]
) -> Callable[[int], None]:
    """Writes in bursts; after each the last write has to stand, or ours that was made of it."""

    def act(number: int) -> None:
        time.sleep(random.random() * LULL)
        for step in range(7):
            write(path, b"w%d.%d" % (number, step))
        expected = {b"w%d.%d" % (number, 6), b"ours of w%d.%d" % (number, 6)}
        until = time.monotonic() + 1
        got = b""
        while time.monotonic() < until:
            try:
                got = path.read_bytes()
            except FileNotFoundError:
                continue
            if got in expected:
                return
        failures.write_bytes(failures.read_bytes() + b"%r instead of w%d.6\n" % (got, number))

    return act


def by_rename(path: Path, content: bytes) -> None:
    new = path.with_name("new")
    new.write_bytes(content)
    new.replace(path)


def in_place(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def without_truncating(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, content)
        os.ftruncate(descriptor, len(content))
    finally:
        os.close(descriptor)


def anew(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("write", [by_rename, in_place, without_truncating, anew])
def test_a_write_that_races_ours_is_never_undone(
    stage: Stage, write: Callable[[Path, bytes], None]
) -> None:
    stage.file(SETTINGS, b"w0", EVE)
    failures = stage.real("/home/eve/failures")
    stage.file("/home/eve/failures", b"", EVE)
    outcomes: Counter[str] = Counter()
    with Attacker(writer(stage.real(SETTINGS), failures, write)):
        for _ in turns(outcomes, {"replaced": 10, "stale": 5}):
            fact = stage.files.read_file(SETTINGS)
            if not isinstance(fact, Content) or not fact.data.startswith(b"w"):
                continue
            try:
                stage.files.replace_file(replacement(fact, b"ours of " + fact.data))
                outcomes["replaced"] += 1
            except Stale:
                outcomes["stale"] += 1
    assert failures.read_bytes() == b""
