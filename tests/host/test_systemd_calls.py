"""One connection to a bus: whose answer is whose, what is kept for later, and how it ends."""

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jeepney import DBusAddress, Message, new_error, new_method_return, new_signal

from jada_configd.host.manager.bus import MESSAGE_BUS, Bus, Reply, Signal, Target, private_address
from jada_configd.host.manager.bus_stream import BusStream
from jada_configd.host.manager.routes import Declined, Gone, Silent
from tests.host.fake_bus import MANAGER, SYSTEMD, FakeBus

TARGET = Target(SYSTEMD, MANAGER.object_path, "org.freedesktop.systemd1.Manager")


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeBus]:
    with FakeBus(tmp_path / "bus") as listening:
        yield listening


@pytest.fixture
def bus(fake: FakeBus) -> Iterator[Bus]:
    connected = Bus.connect(fake.address, 5)
    connected.hello(5)
    connected.hear_only((SYSTEMD, MESSAGE_BUS.name))
    yield connected
    connected.close()


def heard(bus: Bus, count: int) -> list[Signal | Reply]:
    """So many messages, as they come."""
    messages: list[Signal | Reply] = []
    deadline = time.monotonic() + 5
    while len(messages) < count and time.monotonic() < deadline:
        messages += bus.incoming()
    return messages


def after(call: Message, *, signals: int, fake: FakeBus) -> Message:
    for number in range(signals):
        fake.job_removed(f"/job/{number}", "x.service", "done")
    return new_method_return(call, "s", ("answer",))


def test_signals_that_come_before_an_answer_are_kept(bus: Bus, fake: FakeBus) -> None:
    fake.answers["Ask"] = lambda call: after(call, signals=3, fake=fake)
    assert bus.call(TARGET, "Ask", seconds=5) == ("answer",)
    assert bus.pending(), "no descriptor becomes readable for what was read already"
    kept = bus.incoming()
    assert [message.body[1] for message in kept] == ["/job/0", "/job/1", "/job/2"]
    assert not bus.pending()
    assert bus.incoming() == []


def test_answers_may_come_in_any_order(bus: Bus, fake: FakeBus) -> None:
    first: list[Message] = []

    def late(call: Message) -> None:
        first.append(call)

    def now(call: Message) -> Message:
        fake.send(new_method_return(first[0], "s", ("late",)), SYSTEMD)
        return new_method_return(call, "s", ("now",))

    fake.answers |= {"Late": late, "Now": now}
    serial = bus.begin(TARGET, "Late", seconds=5)
    assert bus.call(TARGET, "Now", seconds=5) == ("now",)
    assert bus.incoming() == [Reply(serial, ("late",), None)]


def test_a_refusal_has_its_name_and_sentence(bus: Bus, fake: FakeBus) -> None:
    fake.answers["Ask"] = lambda call: new_error(call, "a.b.C", "s", ("Not today.",))
    with pytest.raises(Declined, match=r"^Not today\.$") as refusal:
        bus.call(TARGET, "Ask", seconds=5)
    assert refusal.value.name == "a.b.C"
    fake.answers["Ask"] = lambda call: new_error(call, "a.b.C")
    serial = bus.begin(TARGET, "Ask", seconds=5)
    assert heard(bus, 1) == [Reply(serial, (), "a.b.C")]


def test_silence_is_waited_for_no_longer_than_asked_and_a_late_answer_is_nobodys(
    bus: Bus, fake: FakeBus
) -> None:
    calls: list[Message] = []
    fake.answers["Ask"] = calls.append
    began = time.monotonic()
    with pytest.raises(Silent):
        bus.call(TARGET, "Ask", seconds=0.1)
    assert 0.1 <= time.monotonic() - began < 1
    fake.send(new_method_return(calls[0], "s", ("too late",)), SYSTEMD)
    fake.answers["Next"] = lambda call: new_method_return(call, "s", ("next",))
    assert bus.call(TARGET, "Next", seconds=5) == ("next",)
    assert bus.incoming() == []


def test_what_strangers_send_is_not_heard(bus: Bus, fake: FakeBus) -> None:
    forged = new_signal(MANAGER, "JobRemoved", "uoss", (1, "/job/1", "x.service", "done"))
    fake.send(forged, ":1.666")
    fake.job_removed("/job/2", "x.service", "done")
    (signal,) = heard(bus, 1)
    assert signal.body[1] == "/job/2"


def test_the_end_comes_after_what_came_before_it(bus: Bus, fake: FakeBus) -> None:
    fake.job_removed("/job/1", "x.service", "done")
    fake.hang_up()
    assert len(heard(bus, 1)) == 1
    with pytest.raises(Gone, match="closed by the other side"):
        heard(bus, 1)
    with pytest.raises(Gone):
        bus.call(TARGET, "Ask", seconds=5)


def test_a_message_that_cannot_be_read_is_skipped_and_the_next_is_read(
    bus: Bus, fake: FakeBus
) -> None:
    for offset, value in ((1, 77), (12, 0xFF), (20, 0xFF)):  # its type, its header, a signature
        message = new_signal(MANAGER, "JobRemoved", "uoss", (1, "/job/0", "x.service", "done"))
        data = bytearray(message.serialise(1))
        if offset == 12:
            data[16] = 200  # a header field that nobody knows
        else:
            data[offset] = value
        fake.send_bytes(bytes(data))
    fake.job_removed("/job/1", "x.service", "done")
    assert [message.body[1] for message in heard(bus, 1)] == ["/job/1"]


def test_what_is_not_d_bus_ends_the_connection(bus: Bus, fake: FakeBus) -> None:
    fake.send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(Gone, match="not D-Bus"):
        heard(bus, 1)


def test_a_message_beyond_all_measure_is_read_away(bus: Bus, fake: FakeBus) -> None:
    length = (1 << 24) + 8
    header = struct.pack("<cBBBIII", b"l", 4, 0, 1, length, 1, 0)
    sending = threading.Thread(target=fake.send_bytes, args=(header + bytes(length),))
    sending.start()
    largest = 0
    while sending.is_alive():
        assert bus.incoming() == []
        largest = max(largest, len(bus._stream._buffer))
    assert largest < 1 << 21
    fake.job_removed("/job/1", "x.service", "done")
    assert [message.body[1] for message in heard(bus, 1)] == ["/job/1"]
    sending.join()


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 400), max_size=30))
def test_messages_come_whole_however_the_bytes_arrive(cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    data = b"".join(
        new_signal(MANAGER, "JobRemoved", "uoss", (n, f"/job/{n}", "x.service", "done")).serialise(
            n
        )
        for n in range(1, 6)
    )
    stream = BusStream(ours)
    jobs: list[str] = []
    with ours, theirs:
        for cut in [*cuts, len(data)]:
            theirs.sendall(data[:cut])
            data = data[cut:]
            stream.read()
            complete = stream.complete()
            found = [message.body[1] for message in stream.messages()]
            assert bool(found) == complete
            assert not stream.complete()
            jobs += found
    assert jobs == [f"/job/{number}" for number in range(1, 6)]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"REJECTED EXTERNAL\r\n", "REJECTED"),
        (b"x" * 9000, "without line ending"),
        (b"OK 1\r\nOK 2\r\n", "Unexpected data"),
    ],
)
def test_who_is_not_let_in_is_told(fake: FakeBus, answer: bytes, problem: str) -> None:
    fake.authenticates = answer
    with pytest.raises(Gone, match=problem):
        Bus.connect(fake.address, 5)


@pytest.mark.parametrize("cut", [0, 1, 40, 1000])
def test_what_comes_in_one_piece_with_the_greeting_is_heard(fake: FakeBus, cut: int) -> None:
    """systemd's private socket tells of units as soon as somebody is let in."""
    message = new_signal(MANAGER, "JobRemoved", "uoss", (1, "/job/1", "x.service", "done"))
    data = message.serialise(1)
    fake.authenticates += data[:cut]
    bus = Bus.connect(fake.address, 5)
    fake.send_bytes(data[cut:])
    assert [signal.body[1] for signal in heard(bus, 1) if isinstance(signal, Signal)] == ["/job/1"]
    bus.close()


def test_a_bus_that_does_not_even_greet_costs_its_time(fake: FakeBus) -> None:
    fake.authenticates = b""
    began = time.monotonic()
    with pytest.raises(Silent):
        Bus.connect(fake.address, 0.1)
    assert time.monotonic() - began < 1


def test_a_bus_whose_door_is_crowded_costs_its_time(tmp_path: Path) -> None:
    path = str(tmp_path / "crowded")
    with contextlib.ExitStack() as crowd:
        listening = crowd.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(path)
        listening.listen(0)
        with pytest.raises(BlockingIOError):  # noqa: PT012 - till no more fit
            while True:
                waiting = crowd.enter_context(socket.socket(socket.AF_UNIX))
                waiting.settimeout(0)
                waiting.connect(path)
        with pytest.raises(Silent, match="takes no connection"):
            Bus.connect(f"unix:path={path}", 0.1)


@pytest.mark.parametrize(
    "address",
    [
        "unix:path=/nowhere/at/all",
        "tcp:host=localhost,port=1",
        "nonsense",
        "",
        "unix:path=" + "x" * 200,
    ],
)
def test_an_address_that_leads_nowhere_is_told(address: str) -> None:
    with pytest.raises(Gone, match="cannot connect to"):
        Bus.connect(address, 5)


def test_a_peer_that_takes_no_bytes_costs_its_time() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        bus = Bus(BusStream(ours))
        began = time.monotonic()
        with pytest.raises((Silent, Gone), match="takes no bytes"):  # noqa: PT012 - till it is full
            for _ in range(100_000):
                bus.begin(TARGET, "Ask", "s", ("x" * 4000,), seconds=0.05)
        assert time.monotonic() - began < 5


def test_half_a_message_sent_ends_the_connection() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        bus = Bus(BusStream(ours))
        with pytest.raises(Gone, match="takes no bytes"):
            bus.begin(TARGET, "Ask", "s", ("x" * 4_000_000,), seconds=0.05)


def test_the_process_at_the_other_end_is_known(bus: Bus) -> None:
    assert bus.peer_pid() == os.getpid()


def test_a_private_address_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/a,b;c%d")
    assert private_address(user=True) == "unix:path=/run/a%2cb%3bc%25d/systemd/private"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with pytest.raises(Gone, match="XDG_RUNTIME_DIR"):
        private_address(user=True)
    assert private_address(user=False) == "unix:path=/run/systemd/private"


def test_an_object_is_asked_where_it_is(bus: Bus, fake: FakeBus) -> None:
    fake.answers["Ask"] = lambda call: new_method_return(call, "o", (call.header.fields[1],))
    place = DBusAddress("/a/b", SYSTEMD, "c.d")
    assert bus.call(Target(SYSTEMD, place.object_path, "c.d"), "Ask", seconds=5) == ("/a/b",)
