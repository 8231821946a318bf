"""A file for others: put where nobody else can put one, over nothing but what is ours."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jada_configd.errors import HostError, Refused
from jada_configd.host.storage.published import Publisher
from tests.host.stage import BOB, EVE, Stage

OURS = b"# Written by jada-configd from /etc/p.toml; and so on\n"
WAY = "/var/lib/prometheus/node-exporter"
FILE = f"{WAY}/jada_configd.prom"

pytestmark = pytest.mark.needs_root


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """As Debian has it: what leads to the directory belongs to the user prometheus, here eve."""
    made = Stage(tmp_path)
    for path in ("/var", "/var/lib"):
        made.directory(path)
    made.directory("/var/lib/prometheus", EVE)
    made.directory(WAY)
    return made


@pytest.fixture
def publisher(stage: Stage) -> Publisher:
    return Publisher(str(stage.root))


def names(stage: Stage) -> list[str]:
    """What is in the directory."""
    return [path.name for path in stage.real(WAY).iterdir()]


def test_it_can_be_read_by_all_whatever_the_umask(stage: Stage, publisher: Publisher) -> None:
    before = os.umask(0o077)
    try:
        publisher.put(FILE, OURS)
    finally:
        os.umask(before)
    facts = stage.real(FILE).stat()
    assert (facts.st_mode & 0o7777, facts.st_uid) == (0o644, 0)
    assert stage.real(FILE).read_bytes() == OURS


def test_it_is_replaced_in_one_step_and_leaves_nothing_beside_it(
    stage: Stage, publisher: Publisher
) -> None:
    publisher.put(FILE, OURS)
    with stage.real(FILE).open("rb") as reader:
        publisher.put(FILE, OURS * 2)
        assert reader.read() == OURS
    assert names(stage) == ["jada_configd.prom"]
    assert publisher.stands(FILE)
    assert publisher.trouble(FILE) is None
    publisher.remove(FILE)
    assert not publisher.stands(FILE)
    publisher.remove(FILE)


def test_what_a_killed_process_left_half_written_goes(stage: Stage, publisher: Publisher) -> None:
    litter = f"{WAY}/.jada_configd.prom.jada-configd-0123456789abcdef"
    others = f"{WAY}/.settings.json.jada-configd-0123456789abcdef"
    stage.file(litter)
    stage.file(others)
    publisher.put(FILE, OURS)
    assert not stage.real(litter).exists()
    assert stage.real(others).exists()


def _theirs(stage: Stage) -> None:
    stage.file(FILE, b"# HELP of somebody else\n")


def _link(stage: Stage) -> None:
    stage.file("/var/target", OURS)
    stage.link(FILE, "/var/target")


def _fifo(stage: Stage) -> None:
    os.mkfifo(stage.real(FILE))


def _directory(stage: Stage) -> None:
    stage.directory(FILE)


@pytest.mark.parametrize("furnish", [_theirs, _link, _fifo, _directory])
def test_what_is_not_ours_is_left_alone(
    furnish: Callable[[Stage], None], stage: Stage, publisher: Publisher
) -> None:
    furnish(stage)
    assert publisher.trouble(FILE) == f"{FILE} is not ours; it is left alone"
    before = stage.real(FILE).lstat()
    with pytest.raises(Refused, match="is not ours; it is left alone"):
        publisher.put(FILE, OURS)
    publisher.remove(FILE)
    after = stage.real(FILE).lstat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_empty_file_is_what_a_crash_leaves(stage: Stage, publisher: Publisher) -> None:
    stage.file(FILE, b"")
    publisher.put(FILE, OURS)
    assert stage.real(FILE).read_bytes() == OURS


@pytest.mark.parametrize(
    ("uid", "mode", "why"),
    [
        (EVE, 0o755, f"belongs to uid {EVE}, not to root"),
        (0, 0o777, "others can write to /var/lib/prometheus/node-exporter"),
        (0, 0o1777, "others can write to /var/lib/prometheus/node-exporter"),
        (0, 0o775, "others can write to /var/lib/prometheus/node-exporter"),
        (BOB, 0o755, f"belongs to uid {BOB}, on the way through a directory of uid {EVE}'s"),
    ],
)
def test_a_directory_that_others_can_write_to_is_refused(
    stage: Stage, publisher: Publisher, uid: int, mode: int, why: str
) -> None:
    stage.real(WAY).rmdir()
    stage.directory(WAY, uid, mode, 0)
    with pytest.raises(Refused, match=why):
        publisher.put(FILE, OURS)
    assert names(stage) == []
    publisher.remove(FILE)  # there is nothing of ours in it


@pytest.mark.parametrize("target", ["/etc/cron.d", "../../../etc/cron.d"])
def test_no_link_of_a_users_leads_elsewhere(
    stage: Stage, publisher: Publisher, target: str
) -> None:
    stage.directory("/etc")
    stage.directory("/etc/cron.d")
    stage.file("/etc/cron.d/jada_configd.prom", OURS)
    stage.real(WAY).rmdir()
    stage.link(WAY, target, EVE)
    with pytest.raises(Refused, match="the link is"):
        publisher.put(FILE, OURS)
    publisher.remove(FILE)
    assert stage.real("/etc/cron.d/jada_configd.prom").exists()


def test_a_link_of_roots_is_followed(stage: Stage, publisher: Publisher) -> None:
    stage.directory("/srv")
    stage.directory("/srv/metrics")
    stage.link("/var/metrics", "/srv/metrics")
    publisher.put("/var/metrics/a.prom", OURS)
    assert stage.real("/srv/metrics/a.prom").read_bytes() == OURS


def test_a_directory_that_is_not_there_is_not_made(stage: Stage, publisher: Publisher) -> None:
    with pytest.raises(HostError, match=r"^/var/lib/none does not exist$"):
        publisher.put("/var/lib/none/deep/a.prom", OURS)
    publisher.remove("/var/lib/none/deep/a.prom")
    assert not stage.real("/var/lib/none").exists()


def test_a_name_that_no_file_can_have_leaves_nothing_behind(
    stage: Stage, publisher: Publisher
) -> None:
    with pytest.raises(HostError, match="has a name that is too long"):
        publisher.put(f"{WAY}/{'n' * 300}.prom", OURS)
    assert names(stage) == []
