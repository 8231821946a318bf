"""Whatever happens to a tree of files: what looks different afterwards has been hinted."""

# ruff: noqa: PTH101, PTH102, PTH103, PTH104, PTH108, PTH116, PTH120, PTH123, PTH207, PTH211
# It is about names and links as the system has them
import glob
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jada_configd.host.watching.hints import Everything, Hints
from jada_configd.host.watching.watch import Watcher

NAMES = ["a", "b", ".c", "s.json", "t.json"]
components = st.sampled_from(NAMES)
places = st.lists(components, min_size=1, max_size=3).map("/".join)
targets = st.one_of(places, places.map("../{}".format), st.sampled_from([".", "..", "/", "gone"]))

WATCHED = [
    "s.json",
    "a/s.json",
    "a/b/s.json",
    "b/a",
    "a/*.json",
    "*/b/t.json",
    "b/*/*.json",
    ".c/[st].json",
    "?/.c/a/s.json",
]


def seen(path: str) -> object:
    """What a reader would find, links followed."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return stat.S_IFMT(status.st_mode)
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


class Tree(RuleBasedStateMachine):
    """Random changes to a small tree, each of which must be hinted if a reader can see it."""

    def __init__(self) -> None:
        super().__init__()
        self.root = tempfile.mkdtemp(prefix="watch-")
        self.watcher = Watcher()
        self.patterns = [f"{self.root}/{each}" for each in WATCHED]
        self.watcher.watch(self.patterns)
        self.known = self.look()

    def look(self) -> dict[str, object]:
        paths = {path for pattern in self.patterns for path in glob.glob(pattern)}
        paths |= {pattern for pattern in self.patterns if "*" not in pattern and "?" not in pattern}
        return {path: seen(path) for path in paths}

    def at(self, place: str, *, through: bool = False) -> str:
        """The path, unless links lead out of the tree: what is there is the machine's own.

        `through`: what will be done with it follows a link at its end too.
        """
        path = f"{self.root}/{place}"
        end = os.path.realpath(path if through else os.path.dirname(path))
        if not f"{end}/".startswith(f"{os.path.realpath(self.root)}/"):
            raise PermissionError(path)
        return path

    def attempt(self, change: Callable[[], object]) -> None:
        with suppress(OSError):
            change()

    def write(self, path: str, content: bytes, how: int = os.O_TRUNC) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | how, 0o644)
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)

    @rule(place=places, content=st.binary(max_size=3))
    def write_in_place(self, place: str, content: bytes) -> None:
        self.attempt(lambda: self.write(self.at(place, through=True), content))

    @rule(place=places, content=st.binary(min_size=1, max_size=3))
    def append(self, place: str, content: bytes) -> None:
        self.attempt(lambda: self.write(self.at(place, through=True), content, os.O_APPEND))

    @rule(place=places)
    def make_directory(self, place: str) -> None:
        self.attempt(lambda: os.mkdir(self.at(place)))

    @rule(place=places)
    def make_whole_tree(self, place: str) -> None:
        def make() -> None:
            os.makedirs(self.at(place, through=True))
            self.write(self.at(f"{place}/s.json", through=True), b"new")

        self.attempt(make)

    @rule(here=places, there=places)
    def rename(self, here: str, there: str) -> None:
        self.attempt(lambda: os.rename(self.at(here), self.at(there)))

    @rule(here=places, there=places)
    def link(self, here: str, there: str) -> None:
        self.attempt(lambda: os.link(self.at(here), self.at(there), follow_symlinks=False))

    @rule(place=places, to=targets)
    def link_symbolically(self, place: str, to: str) -> None:
        self.attempt(lambda: os.symlink(to, self.at(place)))

    @rule(place=places, to=places)
    def link_absolutely(self, place: str, to: str) -> None:
        self.attempt(lambda: os.symlink(self.at(to), self.at(place)))

    @rule(place=places)
    def remove(self, place: str) -> None:
        self.attempt(lambda: os.unlink(self.at(place)))

    @rule(place=places)
    def remove_tree(self, place: str) -> None:
        self.attempt(lambda: shutil.rmtree(self.at(place, through=True)))

    @rule(place=places, mode=st.sampled_from([0o600, 0o644, 0o755]))
    def change_mode(self, place: str, mode: int) -> None:
        self.attempt(lambda: os.chmod(self.at(place, through=True), mode))

    @rule()
    def walk_anew(self) -> None:
        self.watcher.refresh()
        self.known = self.look()  # as the loop does: all is looked at after a sweep

    @invariant()
    def what_changed_is_hinted(self) -> None:
        hints = self.watcher.hints()
        assert not isinstance(hints, Everything)
        now = self.look()
        changed = {
            path for path in now.keys() | self.known.keys() if now.get(path) != self.known.get(path)
        }
        assert changed <= hints
        self.known = now

    def teardown(self) -> None:
        self.watcher.close()
        shutil.rmtree(self.root)


class Batches(Tree):
    """The same, but several changes come between two looks."""

    def __init__(self) -> None:
        self.held_back = 0
        super().__init__()

    @invariant()
    def what_changed_is_hinted(self) -> None:
        self.held_back += 1
        if self.held_back % 4 == 0:
            super().what_changed_is_hinted()


class Glances(Tree):
    """The same, but the loop takes a glance first, and looks at what that tells at once."""

    def __init__(self) -> None:
        self.turns = 0
        super().__init__()

    @rule(content=st.binary(max_size=3))
    def replace(self, content: bytes) -> None:
        def act() -> None:
            os.makedirs(self.at("a", through=True), exist_ok=True)
            self.write(self.at("a/.new"), content)  # a name that no pattern asks for
            os.rename(self.at("a/.new"), self.at("a/s.json"))

        self.attempt(act)

    @rule(content=st.binary(max_size=3))
    def write_to_it(self, content: bytes) -> None:
        self.attempt(lambda: self.write(self.at("a/s.json", through=True), content))

    @invariant()
    def what_changed_is_hinted(self) -> None:
        self.turns += 1
        if self.turns % 3 == 0:
            self.hear(self.watcher.hints())
            assert not self.watcher.is_behind()
        else:
            self.hear(self.watcher.glance())

    def hear(self, hints: Hints) -> None:
        assert not isinstance(hints, Everything)
        now = self.look()
        for path in now.keys() | self.known.keys():
            if now.get(path) != self.known.get(path):
                # What is not watched at the moment is told in the end.
                assert path in hints or self.watcher.is_behind()
            if path in hints:
                self.known.pop(path, None)
                self.known |= {path: now[path]} if path in now else {}


some = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestEachChange = Tree.TestCase
TestEachChange.settings = some
TestGlances = Glances.TestCase
TestGlances.settings = some
TestManyChangesAtOnce = Batches.TestCase
TestManyChangesAtOnce.settings = some


def test_a_link_that_leads_into_itself_ends(tmp_path: os.PathLike[str]) -> None:
    os.symlink("loop", f"{tmp_path}/loop")
    watcher = Watcher()
    watcher.watch([f"{tmp_path}/loop", f"{tmp_path}/loop/x/s.json"])
    assert watcher.hints() == frozenset[str]()
    os.unlink(f"{tmp_path}/loop")
    assert watcher.hints() == frozenset({f"{tmp_path}/loop", f"{tmp_path}/loop/x/s.json"})
    watcher.close()
