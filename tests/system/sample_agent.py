"""A service that behaves as an agent does where it matters here: it reads its model once, at start.

It stands for `claude` in tests and in the demo, with nothing but the standard library: what the
file's own `env` says beats the environment, that beats `model`, and a file that is missing or does
not parse means the built-in default, in silence. What happens on the way is set by its environment
(`/etc/default/jada-agent` in the sample unit):

    CLAUDE_CONFIG_DIR     the directory of its settings.json, in place of ~/.claude
    AGENT_START_SECONDS   how long it takes from start to READY=1
    AGENT_ON_HANGUP       `die` (the default, as `claude` does), `ignore` or `reload`
    AGENT_EXIT            end with this status instead of becoming ready
    AGENT_EXIT_AFTER      end with status 1 so many seconds after READY=1
    AGENT_NEEDS_FILES     end with status 1 at start where its soft `nofile` is lower
    AGENT_PORT            answer http://127.0.0.1:PORT/healthz, with 200 or 503
    AGENT_WORK            a command that runs while it works
    AGENT_ON_MODEL        `MODEL=WAY;MODEL=WAY`: how it behaves on a model, `*` for all others:
                            ok             as without this
                            exit           end with status 3 instead of becoming ready
                            exit-after:3   end with status 1 so many seconds after READY=1
                            hang           get nowhere at start, and be deaf to SIGTERM
                            never-ready    run, and never say READY=1
                            slow:3         so many seconds from start to READY=1
                            unhealthy      run, and be unhealthy
                            panic          run, and tell of a panic
                            silent         run, and not tell that it is ready

In its RUNTIME_DIRECTORY it keeps `starts` and `reloads` (a line each), `model` (what it last became
ready with), `health` (`ok` or another word, written at start and read whenever somebody asks, so
that others may change it), and `busy` as long as it works: from SIGUSR1 to SIGUSR2.
"""

import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType

BUILT_IN = "claude-opus-4-8"
RUNTIME = Path(os.environ.get("RUNTIME_DIRECTORY", "/tmp"))


def main() -> int:
    """Be the service until SIGTERM; the exit status."""
    home = os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude"
    model = choose_model(Path(home, "settings.json"))
    note("starts", f"{os.getpid()} {model} {time.monotonic()}")
    way, _, seconds = way_on(model).partition(":")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    on_hangup(os.environ.get("AGENT_ON_HANGUP", "die"), model)
    on_work(os.environ.get("AGENT_WORK", "").split())
    if way == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1e9)
    time.sleep(float(seconds if way == "slow" else os.environ.get("AGENT_START_SECONDS", "0")))
    if status := 3 if way == "exit" else int(os.environ.get("AGENT_EXIT", "0")):
        print(f"giving up at start with {status}", flush=True)
        return status
    if too_few := files_lacking(int(os.environ.get("AGENT_NEEDS_FILES", "0"))):
        print(too_few, flush=True)
        return 1
    (RUNTIME / "model").write_text(f"{model}\n")
    (RUNTIME / "health").write_text("unhealthy\n" if way == "unhealthy" else "ok\n")
    if port := int(os.environ.get("AGENT_PORT", "0")):
        answer_on(port)
    if way == "panic":
        print(f"panic: cannot think with {model}", flush=True)
    if way != "silent":
        print(f"ready, running on {model}", flush=True)
    if way != "never-ready":
        notify(f"READY=1\nSTATUS=running on {model}")
    lasts = seconds if way == "exit-after" else os.environ.get("AGENT_EXIT_AFTER", "1e9")
    time.sleep(float(lasts))
    return 1


def choose_model(settings: Path) -> str:
    """The model that the settings and the environment come to."""
    try:
        content = json.loads(settings.read_text("utf-8-sig"))
        wanted = [content.get("env", {}).get("ANTHROPIC_MODEL")]
    except (OSError, ValueError, AttributeError):
        content, wanted = {}, []
    wanted += [os.environ.get("ANTHROPIC_MODEL"), content.get("model")]
    return next((model for model in wanted if isinstance(model, str)), BUILT_IN)


def way_on(model: str) -> str:
    """How it behaves on a model."""
    entries = filter(None, os.environ.get("AGENT_ON_MODEL", "").split(";"))
    ways = dict(entry.split("=", 1) for entry in entries)
    return ways.get(model) or ways.get("*") or "ok"


def files_lacking(needed: int) -> str:
    """What it says where it may not open so many files; "" where it may."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"giving up at start: {soft} files are too few, I need {needed}" if soft < needed else ""


def on_hangup(way: str, model: str) -> None:
    """Take SIGHUP in one of the ways that services do."""

    def reload(_number: int, _frame: FrameType | None) -> None:
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        note("reloads", f"{os.getpid()} {model}")
        print(f"reloaded, still running on {model}", flush=True)
        notify("READY=1")

    if way == "ignore":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    elif way == "reload":
        signal.signal(signal.SIGHUP, reload)


def on_work(command: list[str]) -> None:
    """Begin to work at SIGUSR1 and end at SIGUSR2; what a killed one left undone is no work."""
    busy = RUNTIME / "busy"
    busy.unlink(missing_ok=True)
    at_work: list[int] = []

    def begin(_number: int, _frame: FrameType | None) -> None:
        busy.touch()
        if command:
            at_work.append(os.spawnvp(os.P_NOWAIT, command[0], command))

    def end(_number: int, _frame: FrameType | None) -> None:
        while at_work:
            os.kill(at_work[-1], signal.SIGTERM)
            os.waitpid(at_work.pop(), 0)
        busy.unlink(missing_ok=True)

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)


def answer_on(port: int) -> None:
    """Tell of its health by HTTP."""
    # It takes as long to import as all the rest, and most agents need none.
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            healthy = (RUNTIME / "health").read_text() == "ok\n"
            known = self.path == "/healthz"
            self.send_response((200 if healthy else 503) if known else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: its lines would drown those that tests look for."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def note(name: str, line: str) -> None:
    """Keep a line about something that has happened: tests count them."""
    with (RUNTIME / name).open("a") as lines:
        lines.write(f"{line}\n")


def notify(message: str) -> None:
    """Tell the service manager (sd_notify(3)), where there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(message.encode(), address.replace("@", "\0", 1))


if __name__ == "__main__":
    sys.exit(main())
