"""Mounts that are read-only to one process alone, because it has a namespace of its own."""

from pathlib import Path

import pytest

from jada_configd.host.filesystem.mount_view import MountView

LINE = "{id} 1 8:{id} / {point} {mount},relatime shared:1 master:2 - ext4 /dev/x {whole},seclabel\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "mountinfo"


def write(table: Path, *mounts: tuple[str, str, str]) -> None:
    lines = (
        LINE.format(id=number, point=point, mount=mount, whole=whole)
        for number, (point, mount, whole) in enumerate(mounts, 36)
    )
    table.write_text("".join(lines))


def test_a_file_system_that_was_mounted_anew_for_writing_leaves_the_view_outdated(
    table: Path,
) -> None:
    write(table, ("/", "rw", "rw"), ("/home\\040x", "ro", "ro"))
    view = MountView(table)
    assert view.outdated() is None
    write(table, ("/", "rw", "rw"), ("/home\\040x", "ro", "rw"))
    assert view.outdated() == "/home x"


def test_one_that_came_later_counts_too(table: Path) -> None:
    write(table, ("/", "rw", "rw"))
    view = MountView(table)
    write(table, ("/", "rw", "rw"), ("/home", "ro", "ro"))
    assert view.outdated() is None
    write(table, ("/", "rw", "rw"), ("/home", "ro", "rw"))
    assert view.outdated() == "/home"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("ro", "rw"), ("ro", "rw")),  # the sandbox means /usr to be so
        (("rw", "ro"), ("rw", "rw")),  # it went read-only under a mount that is not
        (("ro", "ro"), ("rw", "rw")),  # no namespace of its own
        (("ro", "ro"), ("ro", "ro")),
        (("rw", "rw"), ("rw", "ro")),
    ],
)
def test_any_other_mount_is_as_it_is(
    table: Path, before: tuple[str, str], after: tuple[str, str]
) -> None:
    write(table, ("/usr", *before))
    view = MountView(table)
    write(table, ("/usr", *after))
    assert view.outdated() is None


def test_without_a_table_nothing_is_known(table: Path) -> None:
    assert MountView(table).outdated() is None
    table.write_text("nonsense\n\n1 2 3 - \n")
    assert MountView(table).outdated() is None
    assert MountView().outdated() is None
