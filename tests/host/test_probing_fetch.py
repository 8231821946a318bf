"""What asking an address makes of answers, and of what answers with something else."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from jada_configd.core.probes import NO, UNASKED
from jada_configd.core.specs import HealthSpec
from jada_configd.host.probing import fetch
from jada_configd.host.probing.commands import health_probe

YES = 0


@contextmanager
def server(*pieces: bytes, pause: float = 0.0, family: int = socket.AF_INET) -> Iterator[str]:
    """A server that says the same to everybody, whatever they ask, and then hangs up."""
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    listening = socket.socket(family)
    listening.bind((host, 0))
    listening.listen()

    def serve() -> None:
        while True:
            try:
                taken, _ = listening.accept()
            except OSError:
                return
            with taken:
                try:
                    taken.recv(65536)
                    for piece in pieces:
                        taken.sendall(piece)
                        time.sleep(pause)
                except OSError:  # the other end has had enough
                    continue

    threading.Thread(target=serve, daemon=True).start()
    shown = f"[{host}]" if family == socket.AF_INET6 else host
    try:
        yield f"http://{shown}:{listening.getsockname()[1]}/healthz?a=b"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def asked(url: str, seconds: float = 5.0, env: dict[str, str] | None = None) -> tuple[int, str]:
    """The exit status and the words of the very command that systemd would run."""
    health = HealthSpec(url=url, timeout=seconds)
    probe = health_probe("url", "a.service", health, 0.0)
    done = subprocess.run(
        probe.command, capture_output=True, text=True, check=False, env=env or {}, timeout=30
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    level = {YES: "<6>", NO: "<5>", UNASKED: "<4>"}[done.returncode]
    assert done.stdout.startswith(level)
    return done.returncode, done.stdout.removeprefix(level).rstrip("\n")


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", YES, "200 OK"),
        (b"HTTP/1.0 200\r\n\r\n", YES, "200 "),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000, YES, "200 OK"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", NO, "204 No Content"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", NO, "503 Service Unavailable"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", NO, "302 Found"),
        (b"HTTP/1.1 500 \x1b[31m\xe9\r\n\r\n", NO, "500 ?[31m?"),
        (b"hello\r\n\r\n", NO, "no answer in HTTP: hello"),
        (b"", NO, "no answer in HTTP: Remote end closed connection without response"),
        (b"HTTP/1.1 2", NO, "no answer in HTTP: HTTP/1.1 2"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500, NO, "no answer in HTTP: got more than 100"),
        (b"\xff" * 100_000, NO, "no answer in HTTP: got more than 65536 bytes"),
    ],
)
def test_only_a_plain_200_is_good(answer: bytes, status: int, said: str) -> None:
    with server(answer) as url:
        code, words = asked(url)
    assert code == status
    assert words.startswith(said)
    assert len(words) < 250


def test_the_other_loopback_is_asked_too() -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\n", family=socket.AF_INET6) as url:
        assert asked(url) == (YES, "200 OK")


def test_a_name_is_tried_at_each_of_its_addresses() -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\n") as url:
        assert asked(url.replace("127.0.0.1", "localhost")) == (YES, "200 OK")


def test_where_nobody_listens_the_connection_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert asked(url) == (NO, "Connection refused")


@pytest.mark.parametrize(
    "pieces", [[b"", b""], [bytes((each,)) for each in b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100]]
)
def test_what_hangs_or_drips_is_given_up_in_time(pieces: Sequence[bytes]) -> None:
    with server(*pieces, pause=3.0 if len(pieces) == 2 else 0.1) as url:
        began = time.monotonic()
        assert asked(url, 0.5) == (NO, "no answer within 0.5 s")
        assert 0.5 <= time.monotonic() - began < 3.0


def test_no_proxy_is_asked() -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\n") as url:
        proxy = {"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
        assert asked(url, env=proxy) == (YES, "200 OK")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://192.0.2.1/", "192.0.2.1 is not on this host: 192.0.2.1"),
        ("http://0.0.0.0/", "0.0.0.0 is not on this host: 0.0.0.0"),
        ("http://[::ffff:192.0.2.1]/", "::ffff:192.0.2.1 is not on this host"),
        ("http://2130706434:99999/", "Port out of range 0-65535"),
        ("https://127.0.0.1/", "this is no address that begins with http://"),
        ("http:///healthz", "this is no address that begins with http://"),
        ("http://127.0.0.1/\u00e9", "this is no address that begins with http://"),
        ("file:///etc/passwd", "this is no address that begins with http://"),
        ("", "this is no address that begins with http://"),
    ],
)
def test_an_address_elsewhere_is_not_asked(url: str, said: str) -> None:
    code, words = asked(url)
    assert code == UNASKED
    assert words.startswith(said)


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        (["192.0.2.7"], "localhost is not on this host: 192.0.2.7"),
        (["127.0.0.1", "192.0.2.7"], "localhost is not on this host: 192.0.2.7"),
        (["2001:db8::1"], "localhost is not on this host: 2001:db8::1"),
    ],
)
def test_a_name_with_any_address_elsewhere_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], said: str
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 80)) for each in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(fetch.CannotAsk, match=said):
        fetch.connected("localhost", 80)


def test_a_fault_of_ours_is_no_answer() -> None:
    probe = health_probe("url", "a.service", HealthSpec(url="http://127.0.0.1/"), 0.0)
    without = [*probe.command[:4], probe.command[4].replace("urlsplit(url)", "nothing(url)")]
    done = subprocess.run(
        [*without, "http://127.0.0.1/", "5"], capture_output=True, text=True, check=False
    )
    assert done.returncode == UNASKED
    assert "NameError" in done.stdout


def test_the_programs_know_the_exit_statuses_by_which_they_are_judged() -> None:
    assert (fetch.YES, fetch.NO, fetch.UNASKED) == (0, NO, UNASKED)
    assert sys.executable  # what their interpreter is found by
