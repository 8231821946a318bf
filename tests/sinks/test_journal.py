"""Records as the native protocol has them, read back by a parser of its own."""

import os
import re
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jada_configd.sinks.journal import MESSAGE_IDS, Journal
from tests.system.host import CHECKOUT


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "journal"))
        listening.settimeout(5)
        yield listening


@pytest.fixture
def journal(journald: socket.socket, tmp_path: Path) -> Iterator[Journal]:
    sending = Journal(str(tmp_path / "journal"))
    yield sending
    sending.close()


def received(journald: socket.socket) -> list[tuple[str, str]]:
    """The next record, as fields in order; a descriptor is read where there is one."""
    data, descriptors, _, _ = socket.recv_fds(journald, 1 << 20, 1)
    if descriptors:
        assert data == b""
        data = os.pread(descriptors[0], 1 << 24, 0)
        with pytest.raises(OSError, match="not permitted"):  # sealed (fcntl(2))
            os.pwrite(descriptors[0], b"x", 0)
        os.close(descriptors[0])
    fields = []
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if equals:
            data = rest
        else:
            (length,) = struct.unpack_from("<Q", rest)
            value, data = rest[8 : 8 + length], rest[8 + length :]
            assert data[:1] == b"\n"
            data = data[1:]
        fields.append((name.decode("ascii"), value.decode()))
    return fields


def values(fields: list[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in fields if key == name]


def test_a_record_has_all_its_fields(journal: Journal, journald: socket.socket) -> None:
    journal.send(
        "corrected",
        "corrected /model",
        5,
        {"JADA_RESOURCE": "settings:/home/u/x.json", "JADA_FIELD": ["/model", "/effortLevel"]},
    )
    assert sorted(received(journald)) == [
        ("JADA_EVENT", "corrected"),
        ("JADA_FIELD", "/effortLevel"),
        ("JADA_FIELD", "/model"),
        ("JADA_RESOURCE", "settings:/home/u/x.json"),
        ("MESSAGE", "corrected /model"),
        ("MESSAGE_ID", MESSAGE_IDS["corrected"]),
        ("PRIORITY", "5"),
        ("SYSLOG_FACILITY", "3"),
        ("SYSLOG_IDENTIFIER", "jada-configd"),
    ]


def test_no_caller_can_put_its_own_in_place_of_ours(
    journal: Journal, journald: socket.socket
) -> None:
    journal.send("drift", "true", 4, {"MESSAGE": "false", "JADA_EVENT": "corrected"})
    fields = received(journald)
    assert values(fields, "MESSAGE") == ["true"]
    assert values(fields, "JADA_EVENT") == ["drift"]


def test_a_hostile_message_is_escaped_and_a_hostile_value_stays_one_value(
    journal: Journal, journald: socket.socket
) -> None:
    name = "/a\nPRIORITY=0\nMESSAGE=all is well\x1b[2J\ud800"
    journal.send("drift", f"first\n{name}", 4, {"JADA_FIELD": name})
    fields = received(journald)
    assert values(fields, "PRIORITY") == ["4"]
    assert values(fields, "JADA_FIELD") == [name.replace("\ud800", "\\ud800")]
    (message,) = values(fields, "MESSAGE")
    assert message == "first\n/a\nPRIORITY=0\nMESSAGE=all is well\\x1b[2J\\ud800"


@settings(max_examples=60, deadline=None)
@given(message=st.text(), many=st.lists(st.text(), max_size=4))
def test_whatever_the_values_they_come_back_as_they_are(message: str, many: list[str]) -> None:
    address = f"\0jada-journal-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(address)
        journald.settimeout(5)
        journal = Journal(address)
        journal.send("drift", message, 4, {"JADA_FIELD": many})
        fields = received(journald)
        journal.close()
    assert values(fields, "JADA_FIELD") == many
    assert all(line.isprintable() for line in values(fields, "MESSAGE")[0].split("\n"))


def test_a_large_record_goes_in_a_sealed_file(journal: Journal, journald: socket.socket) -> None:
    journal.send("drift", "large", 4, {"JADA_FIELD": ["x" * 600_000, "y" * 600_000]})
    assert [len(value) for value in values(received(journald), "JADA_FIELD")] == [600_000] * 2
    assert journal.dropped == 0


def test_a_journal_that_is_slow_is_not_waited_for_and_hears_how_much_it_missed(
    journal: Journal, journald: socket.socket
) -> None:
    sent = 0
    while not journal.dropped:
        journal.send("drift", "x" * 1000, 4, {})
        sent += 1
    journal.send("drift", "dropped too", 4, {})
    for _ in range(sent - 1):
        received(journald)
    journal.send("drift", "the next", 4, {})
    fields = received(journald)
    assert values(fields, "MESSAGE") == ["the next"]
    assert values(fields, "JADA_DROPPED") == ["2"]
    assert journal.dropped == 0


def test_without_a_journal_each_record_is_a_line_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    journal = Journal(str(tmp_path / "none"))
    journal.send("policy-rejected", "does not load:\np:1:1: bad\x07", 3, {})
    journal.send("drift", "z" * 9000, 4, {})
    journal.close()
    first, second = capfd.readouterr().err.splitlines()
    assert first == "does not load:; p:1:1: bad\\x07"
    assert second == "z" * 4092 + "..."


def test_a_standard_error_that_nobody_reads_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    journal = Journal(str(tmp_path / "none"))
    with os.fdopen(writing, "w", encoding="ascii") as full:
        monkeypatch.setattr(sys, "stderr", full)
        while not journal.dropped:
            journal.send("drift", "y" * 4000, 4, {})
    monkeypatch.undo()
    os.close(reading)
    journal.close()


@pytest.mark.parametrize("gone", ["closed", "none"])
def test_without_journal_and_standard_error_records_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    closed = Path(os.devnull).open("w", encoding="ascii")  # noqa: SIM115 - closed is what it is for
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed if gone == "closed" else None)
    journal = Journal(str(tmp_path / "none"))
    journal.send("drift", "x", 4, {})
    assert journal.dropped == 1
    journal.close()


def test_every_kind_of_event_has_an_entry_in_the_catalogue() -> None:
    text = (CHECKOUT / "systemd/jada-configd.catalog").read_text()
    entries = re.findall(r"^-- (\w+)\nSubject: .+\nDefined-By: jada-configd\n", text, re.MULTILINE)
    assert sorted(entries) == sorted(MESSAGE_IDS.values())
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in entries)
    assert all(len(line) <= 88 or line.startswith("#") for line in text.splitlines())
