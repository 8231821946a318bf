"""Asks an address on this host once whether it answers with HTTP status 200.

    fetch.py URL SECONDS

This file is run as a text of its own (`python -I -S -c`), as the service's user, who may be unable
to read where it stands: it imports the standard library and nothing else. Exit status 0 is yes, 10
is no, 69 that this could not be asked; one line on standard output says what came, with its level
for the journal.
"""

import http.client
import ipaddress
import signal
import socket
import sys
from urllib.parse import SplitResult, urlsplit

YES, NO, UNASKED = 0, 10, 69  # core/probes.py knows them too
LEVELS = {YES: 6, NO: 5, UNASKED: 4}  # info, notice, warning (sd-daemon(3))
OK = 200
SHOWN = 200  # characters of what a server says


class CannotAsk(Exception):
    """The address is none that is asked here; the text says why."""


def main() -> None:
    """Ask, and end with the answer."""
    url, seconds = sys.argv[1], float(sys.argv[2])
    signal.signal(signal.SIGALRM, too_late)  # each byte in time is not all of them in time
    signal.setitimer(signal.ITIMER_REAL, seconds)
    status = NO
    try:
        code, reason = fetch(url)
        status = YES if code == OK else NO
        said = f"{code} {reason}"
    except TimeoutError:
        said = f"no answer within {seconds:g} s"
    except CannotAsk as error:
        status, said = UNASKED, str(error)
    except http.client.HTTPException as error:
        said = f"no answer in HTTP: {error}"
    except OSError as error:
        said = error.strerror or str(error)
    except Exception as error:  # noqa: BLE001 - a fault of ours is not the service's
        status, said = UNASKED, repr(error)
    sys.stdout.write(f"<{LEVELS[status]}>{printable(said)}\n")
    sys.stdout.flush()
    sys.exit(status)


def too_late(*_: object) -> None:
    """SIGALRM has come."""
    raise TimeoutError


def fetch(url: str) -> tuple[int, str]:
    """The status with which the address answers. No redirect is followed, no proxy asked.

    What it says beyond that is left unread, however much there is.
    """
    parts = urlsplit(url)
    if not (url.isascii() and url.isprintable()) or parts.scheme != "http" or not parts.hostname:
        raise CannotAsk("this is no address that begins with http://")
    try:
        port = parts.port or http.client.HTTP_PORT
    except ValueError as error:
        raise CannotAsk(str(error)) from None
    connection = http.client.HTTPConnection(parts.hostname, port)
    connection.sock = connected(parts.hostname, port)
    connection.request("GET", target(parts), headers={"Connection": "close"})
    response = connection.getresponse()
    return response.status, response.reason


def target(parts: SplitResult) -> str:
    """What is asked of the server."""
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def connected(host: str, port: int) -> socket.socket:
    """A connection to the first of a name's addresses that takes one; all must be on this host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CannotAsk(f"{host} has no address: {error}") from None
    for *_, address in found:
        if not ipaddress.ip_address(address[0]).is_loopback:
            raise CannotAsk(f"{host} is not on this host: {address[0]}")
    last: OSError | None = None
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.connect(address)
        except TimeoutError:
            raise
        except OSError as error:
            connection.close()
            last = error
        else:
            return connection
    raise last or CannotAsk(f"{host} has no address")


def printable(text: str) -> str:
    """ASCII that no terminal acts on, in one line of a bounded length."""
    shown = "".join(each if each.isascii() and each.isprintable() else "?" for each in text)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]} ..."


if __name__ == "__main__":
    main()
