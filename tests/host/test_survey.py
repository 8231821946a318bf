"""What `doctor` rests on: looks at the real machine that change nothing and never hang."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.survey import Mount, ProgramLook, Unknown
from jada_configd.host.survey import place_looks, process_looks, surroundings
from jada_configd.host.survey.daemon_look import daemon_look
from jada_configd.host.survey.manager_looks import journal_listens
from jada_configd.host.survey.patience import Note, Question
from jada_configd.host.watching.inotify import DIRECTORY, Inotify
from jada_configd.host.watching.tally import watches_needed
from jada_configd.host.watching.watch import Watcher

ROOT = Mount("/", "ext4", read_only=False)


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


class TestAQuestion:
    def test_is_answered_whatever_the_size_of_the_answer(self) -> None:
        answer = {"x": list(range(200_000))}
        assert Question("it", lambda _: answer).take(soon()) == answer

    def test_that_hangs_is_left_and_says_where_it_was(self) -> None:
        def hang(at: Note) -> None:
            at("/mnt/dead\x1b")
            time.sleep(60)

        began = time.monotonic()
        answer = Question("it", hang).take(soon(0.2))
        assert isinstance(answer, Unknown)
        assert answer.why.startswith("/mnt/dead\\x1b does not answer (0.2 s)")
        assert answer.stuck == place_looks.mount_of("/mnt/dead", place_looks.mounts()).point
        assert time.monotonic() - began < 5

    def test_that_goes_wrong_is_no_exception_here(self) -> None:
        answer = Question("it", lambda _: 1 // 0).take(soon())
        assert isinstance(answer, Unknown)
        assert "it cannot be looked at: ZeroDivisionError" in answer.why

    def test_whose_child_dies_is_no_exception_here(self) -> None:
        answer = Question("it", lambda _: os.kill(os.getpid(), signal.SIGKILL)).take(soon())
        assert answer == Unknown("it cannot be looked at: who did has ended without an answer")

    def test_leaves_no_process_and_no_descriptor_behind(self) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(3):
            Question("it", lambda _: 1).take(soon())
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def test_holds_nothing_open_that_others_read_to_its_end(self) -> None:
        """`jada-configd doctor | less` ends, though a child hangs for ever."""
        code = (
            "import os, time; from jada_configd.host.survey.patience import Question\n"
            "Question('it', lambda _: time.sleep(4)); os._exit(0)\n"
        )
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert time.monotonic() - began < 3

    def test_of_others_goes_on_meanwhile(self) -> None:
        began = time.monotonic()
        asked = [Question("it", lambda _: time.sleep(0.3)) for _ in range(5)]
        assert [each.take(soon()) for each in asked] == [None] * 5
        assert time.monotonic() - began < 1.4


class TestTheMountTable:
    def test_is_read_with_its_escapes_and_options(self) -> None:
        table = (
            "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
            "36 22 0:40 / /home/u/my\\040drive rw,nosuid - fuse.sshfs h:/ rw,user_id=1000,x=1\n"
            "37 22 0:41 / /mnt ro,relatime master:2 shared:9 - nfs4 srv:/x rw,vers=4.2\n"
            "38 22 0:42 / /img rw - squashfs /dev/loop0 ro\n"
        )
        assert place_looks.parse_mounts(table) == (
            ROOT,
            Mount("/home/u/my drive", "fuse.sshfs", read_only=False, user=1000),
            Mount("/mnt", "nfs4", read_only=True),
            Mount("/img", "squashfs", read_only=True),
        )

    @given(st.text())
    def test_of_any_text_raises_nothing(self, text: str) -> None:
        place_looks.parse_mounts(text)

    @pytest.mark.parametrize(
        ("path", "point"),
        [("/", "/"), ("/mnt", "/mnt"), ("/mnt/x", "/mnt"), ("/mntx", "/"), ("/mnt/a/b", "/mnt/a")],
    )
    def test_tells_on_which_a_path_is(self, path: str, point: str) -> None:
        table = [
            ROOT,
            Mount("/mnt/a", "nfs", read_only=False),
            Mount("/mnt", "xfs", read_only=False),
        ]
        assert place_looks.mount_of(path, table).point == point

    def test_of_two_at_one_point_the_later_covers_the_other(self) -> None:
        table = [
            ROOT,
            Mount("/mnt", "xfs", read_only=False),
            Mount("/mnt", "tmpfs", read_only=False),
        ]
        assert place_looks.mount_of("/mnt/x", table).kind == "tmpfs"


class TestAPlace:
    def test_that_is_not_there_yet_is_looked_at_where_it_would_be_made(
        self, tmp_path: Path
    ) -> None:
        look = place_looks.place_look(f"{tmp_path}/a/b", [], place_looks.mounts(), 0)
        assert look.there == os.path.realpath(tmp_path)
        assert (look.writable, look.read_only) == (True, False)
        assert look.free_bytes is not None
        assert not (tmp_path / "a").exists()

    def test_is_seen_as_the_daemon_sees_it(self, tmp_path: Path) -> None:
        table = place_looks.mounts()
        look = place_looks.place_look(str(tmp_path), [], table, os.getpid())
        assert look.daemon_read_only is False
        assert place_looks.place_look(str(tmp_path), [], table, 0).daemon_read_only is None

    def test_on_a_user_s_mount_is_not_looked_at_at_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A look at it might never be answered."""
        fuse = Mount(str(tmp_path), "fuse.x", read_only=False, user=1000)
        for name in ("statvfs", "stat", "lstat", "access"):
            monkeypatch.setattr(os, name, lambda *_, **__: pytest.fail("it was looked at"))
        look = place_looks.place_look(f"{tmp_path}/x", [], [ROOT, fuse], 0)
        assert look.mount == fuse

    def test_of_ours_in_other_hands_is_refused(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o777)
        (tmp_path / "state").mkdir(mode=0o700)
        look = place_looks.own_place_look(f"{tmp_path}/state", 0o700, [ROOT], 0)
        assert look.problem is not None
        assert "in a directory that others can write to" in look.problem

    def test_of_ours_is_not_closed_by_looking(self, tmp_path: Path) -> None:
        (tmp_path / "state").mkdir()
        (tmp_path / "state").chmod(0o755)
        place_looks.own_place_look(f"{tmp_path}/state", 0o700, [ROOT], 0)
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o755

    @pytest.mark.needs_root
    @pytest.mark.parametrize(("flag", "name"), [("i", "immutable"), ("a", "append_only")])
    def test_that_chattr_has_fixed_is_known(self, tmp_path: Path, flag: str, name: str) -> None:
        file = tmp_path / "settings.json"
        file.write_text("{}")
        done = subprocess.run(["chattr", f"+{flag}", file], capture_output=True, check=False)
        try:
            look = place_looks.place_look(str(tmp_path), [str(file)], [ROOT], 0)
            expected = (str(file),) if done.returncode == 0 else ()
            assert getattr(look, name) == expected
        finally:
            subprocess.run(["chattr", f"-{flag}", file], capture_output=True, check=False)


class TestProcesses:
    def test_this_one_is_told_as_it_is(self) -> None:
        look = process_looks.process_look(os.getpid())
        assert look is not None
        assert (look.pid, look.uid) == (os.getpid(), os.getuid())
        assert "nofile" in look.limits
        if os.geteuid() == 0:
            assert "CAP_CHOWN" in look.capabilities
        assert look.capabilities <= set(process_looks.CAPABILITIES.values())

    def test_one_that_has_gone_is_none(self) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        assert process_looks.process_look(ended.pid) is None

    def test_watches_in_use_are_counted_but_for_the_daemon_s_own(self, tmp_path: Path) -> None:
        inotify = Inotify()
        try:
            for number in range(20):
                (tmp_path / str(number)).mkdir()
                inotify.add(f"{tmp_path}/{number}", DIRECTORY)
            # Those of others on the machine come and go meanwhile.
            assert any(self.difference(os.getpid()) == (20, 1) for _ in range(200))
        finally:
            inotify.close()

    def difference(self, daemon: int) -> tuple[int, int]:
        all_of_us = process_looks.inotify_look(os.getuid(), 0)
        others = process_looks.inotify_look(os.getuid(), daemon)
        watches = all_of_us.used_watches - others.used_watches
        return watches, all_of_us.used_instances - others.used_instances


class TestWatchesNeeded:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        for user in ("a", "b", "c"):
            (tmp_path / f"home/{user}/.claude").mkdir(parents=True)
            (tmp_path / f"home/{user}/.claude/settings.json").write_text("{}")
        (tmp_path / "home/d").symlink_to("a")
        return tmp_path

    @pytest.mark.parametrize(
        "paths",
        [
            [],
            ["/home/a/.claude/settings.json"],
            ["/home/*/.claude/settings.json"],
            ["/home/*/.claude/settings.json", "/home/b/.claude/other.json", "/not/there"],
        ],
    )
    def test_are_as_many_as_the_watcher_takes(self, tree: Path, paths: list[str]) -> None:
        watcher = Watcher(str(tree))
        try:
            watcher.watch(paths)
            assert watches_needed(paths, str(tree)) == watcher.watches()
        finally:
            watcher.close()

    def test_are_counted_without_taking_any(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Inotify, "add", lambda *_: pytest.fail("the kernel was asked"))
        assert watches_needed(["/home/*/.claude/settings.json"], str(tree)) > 5


class TestLogins:
    def test_go_through_pam_limits_by_whatever_includes(self, tmp_path: Path) -> None:
        place = tmp_path / "etc/pam.d"
        place.mkdir(parents=True)
        (place / "login").write_text("session    required   pam_limits.so\n")
        (place / "su").write_text("auth sufficient pam_rootok.so\n@include common-session\n")
        (place / "sshd").write_text(
            "session include system-auth\n#session required pam_limits.so\n"
        )
        (place / "system-auth").write_text("-session [default=1] /lib/security/pam_limits.so set\n")
        (place / "common-session").write_text("session required pam_unix.so\n@include su\n")
        assert surroundings.pam_look(str(tmp_path)).limited == {
            "login": True,
            "sshd": True,
            "su": False,
            "common-session": False,
            "system-auth": True,
        }

    @pytest.mark.parametrize(
        ("text", "usepam"),
        [
            ("", None),
            ("#UsePAM no\n", None),
            ("usepam No\n", False),
            ("UsePAM yes\nUsePAM no\n", True),
        ],
    )
    def test_by_ssh_go_through_pam_where_sshd_says_so(
        self, tmp_path: Path, text: str, *, usepam: bool | None
    ) -> None:
        (tmp_path / "etc/ssh").mkdir(parents=True)
        (tmp_path / "etc/ssh/sshd_config").write_text(text)
        assert surroundings.pam_look(str(tmp_path)).usepam is usepam


class TestPrograms:
    def test_that_are_whole(self) -> None:
        assert surroundings.program_look([sys.executable]).lacks is None

    @pytest.mark.parametrize("mode", [0o644, 0o755])
    def test_that_lack_something(self, tmp_path: Path, mode: int) -> None:
        script = tmp_path / "x"
        script.write_text("#!/not/there -P\n")
        script.chmod(mode)
        lacks = "/not/there" if mode == 0o755 else str(script)
        real = os.path.realpath(script)
        assert surroundings.program_look([str(script)]) == ProgramLook(str(script), real, lacks)

    def test_that_are_gone(self, tmp_path: Path) -> None:
        assert surroundings.program_look([f"{tmp_path}/x", "run"]).lacks == f"{tmp_path}/x"


def test_the_clock_is_only_read() -> None:
    look = surroundings.clock_look()
    assert look.year == time.gmtime().tm_year
    assert look.synchronised in (True, False, None)


def test_whether_anybody_listens_to_the_journal(tmp_path: Path) -> None:
    assert journal_listens(f"{tmp_path}/socket") is False


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x"}', '{"pid": 1}', '{"pid": null}'])
def test_a_snapshot_that_is_nobody_s_is_no_daemon(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    assert daemon_look(f"{tmp_path}/status.json") is None
