"""What is asked for beyond reach on a held unit: a note with what its process has."""

import pytest

from jada_configd.core.facts import Ceiling, UnitFact
from jada_configd.core.specs import LimitWord
from jada_configd.core.unreachable import unreachable_note
from tests.fake_host import FakeHost, Looks, Unit
from tests.kinds.worlds import AGENT, LATER, drop_in

IMPOSSIBLE = 2147483646
REASON = "fs.nr_open is 20000"
WHY = f"why: {REASON}, and systemd takes what it cannot reach without a word"


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    host.ceilings["nofile"] = Ceiling(20000, REASON)
    return host


def note(host: FakeHost, **held: tuple[LimitWord, LimitWord]) -> str | None:
    return unreachable_note(Looks(host), host.unit(AGENT), held)


def runs(host: FakeHost) -> int:
    host.add_unit(Unit(AGENT))
    return host.start(AGENT).pid


def asks(host: FakeHost, name: str, value: object) -> str:
    path = drop_in(AGENT, name)
    host.write(path, f"[Service]\nLimitNOFILE={value}\n".encode(), mode=0o644, uid=0)
    return path


def test_what_a_process_has_what_was_asked_and_why_is_told(host: FakeHost) -> None:
    path = asks(host, LATER, IMPOSSIBLE)
    pid = runs(host)
    told = note(host)
    assert told is not None
    assert told.split("; ") == [
        f"process {pid} (agent) has nofile 20000:20000",
        f"asked: LimitNOFILE={IMPOSSIBLE} in {path}:2",
        WHY,
    ]


@pytest.mark.parametrize("value", ["infinity", "20000", "5:infinity", "nonsense", "30000:5"])
def test_what_is_in_reach_or_is_no_number_is_no_lie(host: FakeHost, value: str) -> None:
    asks(host, LATER, value)
    runs(host)
    assert note(host) is None


@pytest.mark.parametrize("value", ["20001", "5:20001", "0x10000000", "20001:infinity"])
def test_any_number_beyond_the_ceiling_is(host: FakeHost, value: str) -> None:
    asks(host, LATER, value)
    runs(host)
    told = note(host)
    assert told is not None
    assert f"asked: LimitNOFILE={value} in " in told


def test_without_a_ceiling_everything_is_in_reach(host: FakeHost) -> None:
    host.ceilings.clear()
    asks(host, LATER, IMPOSSIBLE)
    runs(host)
    assert note(host) is None


def test_where_nothing_runs_nothing_is_told(host: FakeHost) -> None:
    asks(host, LATER, IMPOSSIBLE)
    host.add_unit(Unit(AGENT))
    assert note(host) is None
    pid = host.start(AGENT).pid
    host.forked.add(pid)
    assert note(host) is None
    assert unreachable_note(Looks(host), UnitFact(AGENT, "not-found", "inactive"), {}) is None


def test_a_line_that_a_later_one_overrides_says_so(host: FakeHost) -> None:
    path = asks(host, "10-early.conf", IMPOSSIBLE)
    later = asks(host, LATER, 4096)
    pid = runs(host)
    assert note(host) == (
        f"process {pid} (agent) has nofile 4096:4096; asked: LimitNOFILE={IMPOSSIBLE} in {path}:2; "
        f"why: LimitNOFILE=4096 in {later}:2 is read later"
    )


def test_our_own_line_is_the_matter_of_its_resource(host: FakeHost) -> None:
    asks(host, "zz-jada-configd.conf", IMPOSSIBLE)
    runs(host)
    assert note(host) is None


def test_a_held_limit_is_told_where_its_resource_has_nothing_to_say(host: FakeHost) -> None:
    asks(host, LATER, IMPOSSIBLE)
    runs(host)
    assert note(host, nofile=(20000, 20000)) is not None
    assert note(host, nofile=("max", "max")) is not None
    assert note(host, nofile=(65536, 65536)) is None
    assert note(host, nofile=("infinity", "infinity")) is None
    assert note(host, core=(0, 0)) is not None


def test_each_line_is_told(host: FakeHost) -> None:
    asks(host, "10-early.conf", IMPOSSIBLE)
    asks(host, LATER, IMPOSSIBLE - 1)
    runs(host)
    told = note(host)
    assert told is not None
    assert told.count("asked: ") == 2
