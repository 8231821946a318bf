"""Directories, file systems and settings files: what is wrong with one, and what mends that."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from jada_configd.core.survey import FileLook, Mount, PlaceLook, Unknown
from jada_configd.diagnosis.places import Place, directories, file_systems, settings
from tests.diagnosis.tables import one, place

STATE = "/var/lib/jada-configd"
SETTINGS = "/home/u/.claude/settings.json"
WELL = FileLook(SETTINGS, "policy.toml:3", create=True)


def test_what_can_be_written_is_listed_in_one_line() -> None:
    found = one(directories([Place("state", place()), Place("drop-ins", place("/etc/x.d"))]))
    assert (found.status, found.says) == (
        "ok",
        f"can be written, with room: state {STATE}, drop-ins /etc/x.d",
    )


@pytest.mark.parametrize(
    ("change", "status", "says", "remedy"),
    [
        ({"read_only": True}, "problem", "read-only file system", "mount -o remount,rw /"),
        ({"daemon_read_only": True}, "problem", "to the daemon", "systemctl restart jada-configd"),
        ({"daemon_read_only": False}, "ok", "", ""),
        ({"immutable": (f"{STATE}/x",)}, "problem", "x is immutable", f"chattr -i {STATE}/x"),
        ({"append_only": (STATE,)}, "problem", "is append-only", f"chattr -a {STATE}"),
        ({"writable": False}, "problem", "no permission", f'chown "$USER" {STATE}'),
        ({"free_bytes": 0}, "problem", "has 0 KiB left", "du -xh / | sort -h | tail"),
        ({"free_bytes": 5 << 20}, "warning", "has 5120 KiB left", "du -xh /"),
        ({"free_bytes": None}, "ok", "", ""),
        ({"free_inodes": 1}, "problem", "has room for 1 more file", "du -x --inodes /"),
        ({"free_inodes": 500}, "warning", "for 500 more files", "du -x --inodes /"),
        ({"free_inodes": None}, "ok", "", ""),
        ({"problem": f"{STATE} is a link"}, "problem", "is a link", f"ls -ld {STATE}"),
    ],
)
def test_what_keeps_a_directory_from_being_written(
    change: Mapping[str, Any], status: str, says: str, remedy: str
) -> None:
    found = one(directories([Place("state", replace(place(), **change))]))
    assert found.status == status
    assert says in found.says
    assert remedy in str(found.remedy or "")


def test_what_a_container_has_read_only_of_its_kernel_is_set_on_its_host() -> None:
    look = replace(place("/proc/sys/fs", "proc", "/proc/sys"), read_only=True)
    found = one(directories([Place("sysctl", look)]))
    assert found.remedy == "mount -o remount,rw /proc/sys  # in a container: set it on its host"


def test_what_the_unit_closes_below_usr_is_opened_by_installing_anew() -> None:
    look = replace(place("/usr/local/share/x"), daemon_read_only=True)
    found = one(directories([Place("state", look)]))
    assert str(found.remedy).startswith("jada-configd install")


def test_no_run_time_directory_comes_with_a_login() -> None:
    look = replace(place("/run/user/1000/jada-configd"), writable=False)
    found = one(directories([Place("run-time", look)]))
    assert str(found.remedy).startswith("loginctl enable-linger")


def test_what_does_not_answer_is_said_and_keeps_nothing_else_back() -> None:
    hung = Place("", Unknown("/mnt/dead does not answer (2.5 s)"))
    found = list(directories([hung, Place("state", place())]))
    assert [each.status for each in found] == ["warning", "ok"]
    assert found[0].says == "/mnt/dead does not answer (2.5 s)"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("ext4", "ok"),
        ("tmpfs", "ok"),
        ("overlay", "ok"),
        ("nfs4", "warning"),
        ("9p", "warning"),
        ("cifs", "warning"),
        ("fuse.sshfs", "warning"),
        ("fuseblk", "warning"),
    ],
)
def test_file_systems_without_an_exchange_in_one_step(kind: str, status: str) -> None:
    places = [Place("state", place(kind=kind)), Place("drop-ins", place(kind=kind))]
    assert one(file_systems(places)).status == status


class TestSettings:
    def test_that_are_well(self) -> None:
        found = one(settings([WELL], [Place("the directory", place("/home/u/.claude"))]))
        assert (found.status, found.says) == ("ok", "1 file can be read and replaced")

    def test_that_are_refused(self) -> None:
        file = replace(WELL, problem=f"{SETTINGS} is a FIFO")
        found = one(settings([file], []))
        assert (found.status, found.says) == ("problem", f"{SETTINGS} is a FIFO")
        assert "policy.toml:3" in str(found.remedy)

    @pytest.mark.parametrize(("create", "status"), [(True, "warning"), (False, "ok")])
    def test_whose_directory_is_not_there_yet(self, status: str, *, create: bool) -> None:
        file = replace(WELL, create=create, lacks="/home/u/a b")
        found = one(settings([file], []))
        assert found.status == status
        assert "install --directory '/home/u/a b'" in str(found.remedy) or status == "ok"

    def test_on_a_mount_that_a_user_has_made(self) -> None:
        mount = Mount("/home/u/.claude", "fuse.sshfs", read_only=False, user=1000)
        look = PlaceLook("/home/u/.claude", "/home/u/.claude", mount)
        file = replace(WELL, problem="/home/u/.claude is on a mount of u's (fuse.sshfs)")
        found = one(settings([file], [Place("the directory", look)]))
        assert found.remedy == "umount --lazy /home/u/.claude"

    def test_that_could_not_be_looked_at(self) -> None:
        assert one(settings(Unknown("something went wrong"), [])).status == "warning"

    def test_that_do_not_answer_would_keep_the_daemon_waiting_too(self) -> None:
        found = one(settings(Unknown("/mnt/a b/x does not answer", "/mnt/a b"), []))
        assert found.status == "problem"
        assert str(found.remedy).startswith("umount --lazy '/mnt/a b'")

    def test_hostile_names_are_quoted_and_escaped(self) -> None:
        look = replace(place("/home/u/$(reboot)\n"), read_only=True)
        mounted = replace(look, mount=Mount("/home/u/$(reboot)\n", "ext4", read_only=True))
        found = one(settings([WELL], [Place("the directory", mounted)]))
        assert found.remedy == "mount -o remount,rw '/home/u/$(reboot)\\n'"
        assert "\n" not in found.says
