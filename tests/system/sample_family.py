"""A service of several processes, which does with them what it is told through a FIFO.

Line by line on `$RUNTIME_DIRECTORY/orders`. `fork NAME [SOFT HARD]` starts a child, which may set
its `nofile`, and `many COUNT` so many; `zombie` leaves one that has ended; `churn COUNT` starts so
many, one after the other, that set their limits and end at once; `open COUNT` opens files, `close`
closes them; `limit SOFT HARD` sets its own. What came of each is appended to `answers`.
"""

import os
import resource
import signal
from pathlib import Path

PLACE = Path(os.environ["RUNTIME_DIRECTORY"])
ENDED = (64, 128)


def fork(name: str, *limits: str) -> int:
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        Path("/proc/self/comm").write_text(name)
        if limits:
            soft, hard = map(int, limits)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.write(told, b".")
        os.closerange(3, 1000)
        while True:
            signal.pause()
    os.read(ready, 1)
    os.close(ready)
    os.close(told)
    return pid


def sleeper() -> int:
    pid = os.fork()
    while pid == 0:
        signal.pause()
    return pid


def end_at_once() -> int:
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_NOFILE, ENDED)
        os._exit(0)
    return pid


def obey(word: str, *rest: str, held: list[int]) -> str:
    match word:
        case "fork":
            return str(fork(*rest))
        case "many":
            return " ".join(str(sleeper()) for _ in range(int(rest[0])))
        case "zombie":
            pid = end_at_once()
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            return str(pid)
        case "churn":
            for _ in range(int(rest[0])):
                os.waitpid(end_at_once(), 0)
            return "churned"
        case "open":
            held += [os.open("/dev/null", os.O_RDONLY) for _ in range(int(rest[0]))]
            return str(len(held))
        case "close":
            while held:
                os.close(held.pop())
            return "closed"
        case "limit":
            soft, hard = map(int, rest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            return "limited"
        case _:
            return f"what is {word}?"


def main() -> None:
    orders = PLACE / "orders"
    orders.unlink(missing_ok=True)
    os.mkfifo(orders)
    held: list[int] = []
    (PLACE / "answers").write_text("ready\n")
    with (PLACE / "answers").open("a", buffering=1) as answers:
        while True:
            with orders.open() as lines:
                for line in lines:
                    print(obey(*line.split(), held=held), file=answers)


if __name__ == "__main__":
    main()
