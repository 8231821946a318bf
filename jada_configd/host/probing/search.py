"""Searches the journal once, and tells "there is none" from "nobody could look".

    search.py shows|lacks SECONDS JOURNALCTL ARGUMENT...

The arguments make journalctl show one record of those that match, as JSON. Its own exit status is 1
for no match, for a pattern that is none, and where it may not read (systemd 252): only what it
says tells these apart. Run as `fetch.py` is, with the same exit statuses.
"""

import json
import subprocess
import sys

YES, NO, UNASKED = 0, 10, 69  # core/probes.py knows them too
LEVELS = {YES: 6, NO: 5, UNASKED: 4}  # info, notice, warning (sd-daemon(3))
NO_MATCH = 1  # exit status of journalctl
SHOWN = 200  # characters of a line of the journal


def main() -> None:
    """Search, and end with the answer."""
    wanted, seconds, *command = sys.argv[1:]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=float(seconds),
            check=False,
        )
        status, said = judged(wanted, done.returncode, done.stdout, done.stderr)
    except subprocess.TimeoutExpired:
        status, said = UNASKED, f"journalctl was not through within {seconds} s"
    except Exception as error:  # noqa: BLE001 - a fault of ours is not the service's
        status, said = UNASKED, str(error)
    sys.stdout.write(f"<{LEVELS[status]}>{printable(said)}\n")
    sys.stdout.flush()
    sys.exit(status)


def judged(wanted: str, code: int, out: bytes, complaint: bytes) -> tuple[int, str]:
    """The exit status and the line for what journalctl did."""
    if code == 0 and out.strip():
        return (YES if wanted == "shows" else NO), f"found: {message(out)}"
    if code in (0, NO_MATCH) and not complaint.strip():
        return (NO if wanted == "shows" else YES), "found nothing"
    said = complaint.decode(errors="replace").strip().rpartition("\n")[2]
    return UNASKED, said or f"journalctl ended with exit status {code}"


def message(out: bytes) -> str:
    """The text of a record: a list of bytes where it is no text, null where it is long."""
    found = json.loads(out.splitlines()[0]).get("MESSAGE")
    if isinstance(found, list) and all(isinstance(each, int) for each in found):
        return bytes(found).decode(errors="replace")
    return found if isinstance(found, str) else "a long record"


def printable(text: str) -> str:
    """ASCII that no terminal acts on, in one line of a bounded length."""
    shown = "".join(each if each.isascii() and each.isprintable() else "?" for each in text)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]} ..."


if __name__ == "__main__":
    main()
