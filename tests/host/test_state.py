"""The state directory: nobody else can have had a hand in it; it is bounded, and never torn."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from jada_configd.errors import HostError, Refused
from jada_configd.host.storage import private, state
from jada_configd.host.storage.state import StateDirectory
from tests.host.stage import EVE, apart, mount, reachable


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state"


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def everything(path: Path) -> list[Path]:
    return sorted(path.rglob("*"))


# ---- trust


def test_it_is_made_closed_to_others_and_so_is_all_in_it(place: Path) -> None:
    before = os.umask(0)
    try:
        kept = StateDirectory(str(place / "deep"))
        kept.save("ledger.json", {"a": 1}, sync=True)
        kept.remember("settings:/x", b"good")
        kept.keep_evidence("settings:/x", b"bad")
    finally:
        os.umask(before)
    assert (mode(place), mode(place / "deep")) == (0o755, 0o700)
    for each in everything(place / "deep"):
        assert mode(each) == (0o700 if each.is_dir() else 0o600), each


def test_what_is_not_to_be_made_stays_away_and_knows_nothing(place: Path) -> None:
    kept = StateDirectory(str(place), create=False)
    assert kept.load("ledger.json") is None
    assert kept.last_good("settings:/x") is None
    assert kept.evidence("x") is None
    for write in (
        lambda: kept.save("ledger.json", {}),
        lambda: kept.remember("settings:/x", b""),
        lambda: kept.keep_evidence("settings:/x", b""),
    ):
        with pytest.raises(HostError, match="state does not exist"):
            write()
    assert not place.exists()


def test_one_that_others_can_read_is_closed_to_them_unless_nothing_is_to_change(
    place: Path,
) -> None:
    place.mkdir(mode=0o755)
    StateDirectory(str(place), create=False)
    assert mode(place) == 0o755
    StateDirectory(str(place))
    assert mode(place) == 0o700


@pytest.mark.parametrize("bits", [0o770, 0o777, 0o1777, 0o702])
def test_one_that_others_can_write_to_is_refused(place: Path, bits: int) -> None:
    place.mkdir()
    os.chown(place, -1, 61099 if os.geteuid() == 0 else -1)
    place.chmod(bits)
    if bits == 0o770 and os.geteuid() != 0:
        pytest.skip("the group of an ordinary user alone is trusted")
    with pytest.raises(Refused, match=f"others can write to {place}"):
        StateDirectory(str(place))


def test_a_link_in_its_place_is_refused(place: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    place.symlink_to("real")
    with pytest.raises(Refused, match=f"{place} is a link"):
        StateDirectory(str(place))


def test_a_link_on_the_way_is_roots_own_business(place: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "var").symlink_to("real")
    StateDirectory(str(tmp_path / "var/state")).save("x.json", {})
    assert (tmp_path / "real/state/x.json").exists()


def test_a_file_in_its_place_or_on_the_way_is_refused(place: Path) -> None:
    place.write_bytes(b"")
    with pytest.raises(Refused, match="is not a directory"):
        StateDirectory(str(place))
    with pytest.raises(Refused, match="is not a directory"):
        StateDirectory(str(place / "x"))
    with pytest.raises(Refused):
        StateDirectory("/")


@pytest.mark.needs_root
def test_a_strangers_directory_is_refused_at_any_depth(place: Path, tmp_path: Path) -> None:
    place.mkdir(mode=0o700)
    os.chown(place, EVE, EVE)
    with pytest.raises(Refused, match=f"{place} belongs to uid {EVE}, not to root"):
        StateDirectory(str(place))
    (place / "mine").mkdir(mode=0o700)
    (place / "mine").chmod(0o701)
    with pytest.raises(Refused, match=f"stands in a directory of uid {EVE}'s"):
        StateDirectory(str(place / "mine"))
    with pytest.raises(HostError, match="new does not exist"):
        StateDirectory(str(place / "new")).save("x.json", {})
    assert not (place / "new").exists()


@pytest.mark.needs_root
def test_a_directory_in_one_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "state").mkdir()
    with pytest.raises(Refused, match="stands in a directory that others can write to"):
        StateDirectory(str(shared / "state"))


def test_it_is_checked_again_at_each_use(place: Path) -> None:
    kept = StateDirectory(str(place))
    place.chmod(0o777)
    with pytest.raises(Refused):
        kept.save("x.json", {})
    with pytest.raises(Refused):
        kept.load("x.json")


# ---- documents


def test_a_document_comes_back_as_it_was_saved(place: Path) -> None:
    plain = {"a": [1, 2.5, None, True, "\ud800 \n é"], "b": {"c": {}}}
    StateDirectory(str(place)).save("ledger.json", plain)
    assert StateDirectory(str(place)).load("ledger.json") == plain
    assert StateDirectory(str(place)).load("other.json") is None


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"\xff", b"{}x", b'{"a":' * 5000, b"NaN"]
)
def test_a_spoiled_document_counts_as_none(place: Path, text: bytes) -> None:
    kept = StateDirectory(str(place))
    (place / "ledger.json").write_bytes(text)
    assert kept.load("ledger.json") is None


def test_a_link_in_the_place_of_a_document_is_replaced_not_followed(place: Path) -> None:
    kept = StateDirectory(str(place))
    (place / "x.json").symlink_to(place / "y.json")
    with pytest.raises(HostError):
        kept.load("x.json")
    kept.save("x.json", {})
    assert not (place / "x.json").is_symlink()
    assert not (place / "y.json").exists()


def test_of_what_was_appended_the_last_counts(place: Path) -> None:
    kept = StateDirectory(str(place))
    for number in range(20):
        kept.append("x.json", {"n": number, "text": "a \n b"})
        for each in (kept, StateDirectory(str(place))):
            assert each.load("x.json") == {"n": number, "text": "a \n b"}
    assert mode(place / "x.json") == 0o600
    assert everything(place) == [place / "x.json"]


@pytest.mark.parametrize("torn", [b"\n", b'\n{"n":3', b'\n{"n":3}{', b"\n\xff", b"\n\0\0\0"])
def test_a_line_that_is_not_whole_hides_none_before_or_behind_it(place: Path, torn: bytes) -> None:
    kept = StateDirectory(str(place))
    kept.append("x.json", {"n": 1})
    kept.append("x.json", {"n": 2})
    with (place / "x.json").open("ab") as file:
        file.write(torn)
    assert kept.load("x.json") == {"n": 2}
    kept.append("x.json", {"n": 4})
    assert kept.load("x.json") == {"n": 4}


def test_what_is_appended_takes_bounded_room(place: Path) -> None:
    kept = StateDirectory(str(place))
    for number in range(100):
        kept.append("x.json", {"n": number, "text": "x" * 2000})
        assert (place / "x.json").stat().st_size <= state.APPENDED_BYTES_AT_MOST
    big = {"text": "x" * state.APPENDED_BYTES_AT_MOST}
    for _ in range(2):
        kept.append("x.json", big)
        assert kept.load("x.json") == big
        assert (place / "x.json").stat().st_size < state.APPENDED_BYTES_AT_MOST + 100


def test_it_is_appended_to_what_another_process_saved(place: Path) -> None:
    kept, other = StateDirectory(str(place)), StateDirectory(str(place))
    kept.append("x.json", {"n": 1})
    other.append("x.json", {"n": 2})
    kept.append("x.json", {"n": 3})
    assert other.load("x.json") == {"n": 3}
    other.save("x.json", {"n": 4})
    assert kept.load("x.json") == {"n": 4}


def in_its_place(place: Path, sort: str) -> None:
    (place / "x.json").unlink()
    match sort:
        case "link":
            (place / "y.json").write_bytes(b"")
            (place / "x.json").symlink_to("y.json")
        case "fifo":
            os.mkfifo(place / "x.json", 0o600)


@pytest.mark.parametrize("sort", ["nothing", "link", "fifo"])
def test_what_cannot_be_appended_to_is_replaced(place: Path, sort: str) -> None:
    kept = StateDirectory(str(place))
    kept.append("x.json", {"n": 1})
    in_its_place(place, sort)
    kept.append("x.json", {"n": 2})
    assert kept.load("x.json") == {"n": 2}
    assert (place / "x.json").is_file()
    assert not (place / "x.json").is_symlink()
    assert sort != "link" or (place / "y.json").read_bytes() == b""


@pytest.mark.needs_root
def test_a_directory_that_took_its_place_is_judged_anew(place: Path) -> None:
    kept = StateDirectory(str(place))
    kept.append("x.json", {"n": 1})
    place.rename(place.with_name("away"))
    place.mkdir(mode=0o700)
    os.chown(place, EVE, EVE)
    with pytest.raises(Refused, match=f"belongs to uid {EVE}"):
        kept.append("x.json", {"n": 2})
    with pytest.raises(Refused, match=f"belongs to uid {EVE}"):
        kept.load("x.json")
    assert everything(place) == []
    place.rmdir()
    place.symlink_to("away")
    with pytest.raises(Refused, match="is a link"):
        kept.append("x.json", {"n": 2})


def killed_while_saving(place: Path) -> None:
    def rename(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    os.rename = rename
    StateDirectory(str(place)).save("x.json", {"new": 1})


def test_killed_in_mid_save_the_old_document_stands_and_the_rest_is_swept(place: Path) -> None:
    StateDirectory(str(place)).save("x.json", {"old": 1})
    with pytest.raises(AssertionError, match="status 9"):
        apart(lambda: killed_while_saving(place))
    assert len(everything(place)) == 2
    assert StateDirectory(str(place)).load("x.json") == {"old": 1}
    assert everything(place) == [place / "x.json"]


@pytest.mark.needs_root
def test_a_full_disk_is_said_and_what_stood_stands(place: Path) -> None:
    place.mkdir()

    def act() -> tuple[list[str], object, object, int]:
        mount("tmpfs", str(place), "tmpfs", "size=64k,mode=700")
        kept = StateDirectory(str(place))
        kept.save("x.json", {"old": 1})
        kept.remember("settings:/x", b"good")
        said = []
        big = "x" * 100_000
        for write in (
            lambda: kept.save("x.json", {"new": big}),
            lambda: kept.append("x.json", {"new": big}),
            lambda: kept.remember("settings:/x", big.encode()),
            lambda: kept.keep_evidence("settings:/x", big.encode()),
        ):
            with pytest.raises(HostError) as raised:
                write()
            said.append(str(raised.value))
        litter = [each for each in everything(place) if "jada" in each.name]
        return said, kept.load("x.json"), kept.last_good("settings:/x"), len(litter)

    said, document, good, litter = apart(act, mounts=True)
    assert said == [f"No space left on {place}"] * 4
    assert (document, good, litter) == ({"old": 1}, b"good", 0)


# ---- the last good content


def test_the_last_good_content_of_each_resource_is_remembered(place: Path) -> None:
    kept = StateDirectory(str(place))
    kept.remember("settings:/a", b"1")
    kept.remember("settings:/b", b"")
    kept.remember("settings:/a", b"2\n\x00")
    again = StateDirectory(str(place), create=False)
    assert again.last_good("settings:/a") == b"2\n\x00"
    assert again.last_good("settings:/b") == b""
    assert again.last_good("settings:/c") is None


def test_a_content_that_has_not_changed_is_not_written_again(place: Path) -> None:
    kept = StateDirectory(str(place))
    kept.remember("settings:/a", b"1")
    (path,) = (place / "last-good").iterdir()
    before = path.stat()
    kept.remember("settings:/a", b"1")
    StateDirectory(str(place)).remember("settings:/a", b"1")
    assert path.stat() == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: bytes(len(data)),
        lambda data: data.replace(b"good", b"evil"),
    ],
)
def test_a_spoiled_last_good_content_counts_as_none(
    place: Path, spoil: Callable[[bytes], bytes]
) -> None:
    kept = StateDirectory(str(place))
    kept.remember("settings:/a", b"good")
    (path,) = (place / "last-good").iterdir()
    path.write_bytes(spoil(path.read_bytes()))
    assert kept.last_good("settings:/a") is None


def test_a_hostile_resource_name_is_a_name_like_another(place: Path) -> None:
    kept = StateDirectory(str(place))
    for name in ("settings:/../../x", "settings:/" + "y" * 4000, "settings:/\udcff\n", ""):
        kept.remember(name, name.encode(errors="replace"))
        assert kept.last_good(name) == name.encode(errors="replace")
    assert len(everything(place)) == 5


def test_the_biggest_of_too_much_that_is_remembered_gives_way(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LAST_GOOD_BYTES_AT_MOST", 10_000)
    kept = StateDirectory(str(place))
    kept.remember("settings:/honest", b"x" * 500)
    for number in range(20):
        kept.remember(f"settings:/flood/{number}", b"x" * 3000)
    assert kept.last_good("settings:/honest") == b"x" * 500
    assert sum(each.stat().st_size for each in (place / "last-good").iterdir()) <= 10_000


# ---- evidence


def test_evidence_comes_back_by_its_name(place: Path) -> None:
    kept = StateDirectory(str(place))
    names = [kept.keep_evidence("settings:/a", b"bad %d" % number) for number in range(3)]
    assert len(set(names)) == 3
    again = StateDirectory(str(place), create=False)
    assert [again.evidence(name) for name in names] == [b"bad 0", b"bad 1", b"bad 2"]
    for name in ("nothing", "../x", ".", "..", ".x"):
        assert again.evidence(name) is None


def test_the_same_evidence_is_kept_once(place: Path) -> None:
    kept = StateDirectory(str(place))
    first = kept.keep_evidence("settings:/a", b"bad")
    assert kept.keep_evidence("settings:/a", b"bad") == first
    assert StateDirectory(str(place)).keep_evidence("settings:/a", b"bad") == first
    assert kept.keep_evidence("settings:/b", b"bad") != first
    assert len(list((place / "evidence").iterdir())) == 2


@pytest.mark.parametrize("bound", ["bytes", "files"])
def test_the_oldest_of_who_has_most_evidence_gives_way(
    place: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    if bound == "bytes":
        monkeypatch.setattr(state, "EVIDENCE_BYTES_AT_MOST", 10_000)
    else:
        monkeypatch.setattr(state, "EVIDENCE_FILES_AT_MOST", 10)
    kept = StateDirectory(str(place))
    honest = [kept.keep_evidence("settings:/honest", b"%d" % number) for number in range(2)]
    flood = [
        kept.keep_evidence("settings:/flood", b"%d" % number + b"x" * 1200) for number in range(30)
    ]
    assert [kept.evidence(name) for name in honest] == [b"0", b"1"]
    left = [name for name in flood if kept.evidence(name) is not None]
    assert left == flood[-len(left) :]
    assert 5 <= len(left) <= 8
    assert len(list((place / "evidence").iterdir())) == len(left) + 2


def test_one_piece_of_evidence_beyond_the_bound_is_kept_all_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "EVIDENCE_BYTES_AT_MOST", 100)
    kept = StateDirectory(str(place))
    kept.keep_evidence("settings:/a", b"x")
    name = kept.keep_evidence("settings:/b", b"x" * 1000)
    assert kept.evidence(name) == b"x" * 1000
    assert len(list((place / "evidence").iterdir())) == 1


def test_the_bounds_hold_for_what_an_earlier_run_left(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        StateDirectory(str(place)).keep_evidence("settings:/a", b"%d" % number)
    monkeypatch.setattr(state, "EVIDENCE_FILES_AT_MOST", 10)
    StateDirectory(str(place)).keep_evidence("settings:/a", b"last")
    assert len(list((place / "evidence").iterdir())) == 10


def test_evidence_that_somebody_removed_is_kept_again(place: Path) -> None:
    kept = StateDirectory(str(place))
    name = kept.keep_evidence("settings:/a", b"bad")
    (place / "evidence" / name).unlink()
    assert kept.evidence(name) is None
    again = kept.keep_evidence("settings:/a", b"bad")
    assert kept.evidence(again) == b"bad"


def test_a_directory_that_was_removed_is_made_again(place: Path) -> None:
    kept = StateDirectory(str(place))
    kept.save("x.json", {"a": 1})
    (place / "x.json").unlink()
    place.rmdir()
    kept.save("x.json", {"a": 2})
    assert json.loads((place / "x.json").read_bytes()) == {"a": 2}


def test_an_ordinary_user_has_one_too() -> None:
    def act() -> object:
        kept = StateDirectory(str(home / ".local/state/jada-configd"))
        kept.save("x.json", {"a": 1})
        return kept.load("x.json")

    with reachable() as home:
        if os.geteuid() == 0:
            os.chown(home, EVE, EVE)
        assert apart(act, uid=EVE if os.geteuid() == 0 else 0) == {"a": 1}


def test_nothing_is_opened_but_closed_again(place: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the descriptors' names
    kept = StateDirectory(str(place))
    kept.save("x.json", {}, sync=True)
    kept.load("x.json")
    kept.remember("settings:/a", b"")
    kept.last_good("settings:/a")
    kept.evidence(kept.keep_evidence("settings:/a", b""))
    with pytest.raises(HostError), private.opened("/proc/nothing", 0o755, create=True):
        pass
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the descriptors' names


# ---- what stood before a change


def test_what_stood_before_is_kept_by_resource_until_the_next_change(place: Path) -> None:
    kept = StateDirectory(str(place))
    kept.keep_before("settings:/a", b"1")
    kept.keep_before("settings:/b", b"")
    kept.keep_before("settings:/a", b"2\n\x00")
    again = StateDirectory(str(place), create=False)
    assert again.before("settings:/a") == b"2\n\x00"
    assert again.before("settings:/b") == b""
    assert again.before("settings:/c") is None


def test_it_is_another_thing_than_the_last_good_content(place: Path) -> None:
    kept = StateDirectory(str(place))
    kept.keep_before("settings:/a", b"before")
    kept.remember("settings:/a", b"good")
    assert (kept.before("settings:/a"), kept.last_good("settings:/a")) == (b"before", b"good")


def test_where_no_directory_is_nothing_stood_before(place: Path) -> None:
    kept = StateDirectory(str(place), create=False)
    assert kept.before("settings:/a") is None
    with pytest.raises(HostError, match="state does not exist"):
        kept.keep_before("settings:/a", b"")
    assert not place.exists()


def test_it_is_closed_to_others(place: Path) -> None:
    kept = StateDirectory(str(place))
    kept.keep_before("settings:/a", b"secret")
    for each in everything(place):
        assert mode(each) == (0o700 if each.is_dir() else 0o600), each


def test_a_document_that_is_removed_is_there_no_more(place: Path) -> None:
    kept = StateDirectory(str(place))
    kept.remove("retries.json")
    kept.save("retries.json", {"units": ["a"]})
    kept.remove("retries.json")
    assert kept.load("retries.json") is None
