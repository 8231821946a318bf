"""A service that behaves as an agent does where it matters here: it reads its model once, at start.

It stands for `claude` in tests and in the demo, with nothing but the standard library: what the
file's own `env` says beats the environment, that beats `model`, and a file that is missing or does
not parse means the built-in default, in silence. What happens on the way is set by its environment
(`/etc/default/jada-agent` in the sample unit):

    AGENT_START_SECONDS   how long it takes from start to READY=1
    AGENT_ON_HANGUP       `die` (the default, as `claude` does), `ignore` or `reload`
    AGENT_EXIT            end with this status instead of becoming ready
    AGENT_EXIT_AFTER      end with status 1 so many seconds after READY=1
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType

BUILT_IN = "claude-opus-4-8"


def main() -> int:
    """Be the service until SIGTERM; the exit status."""
    model = choose_model(Path.home() / ".claude/settings.json")
    runtime = Path(os.environ.get("RUNTIME_DIRECTORY", "/tmp"))
    with (runtime / "starts").open("a") as starts:  # one line a start: tests count them
        starts.write(f"{os.getpid()} {model}\n")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    on_hangup(os.environ.get("AGENT_ON_HANGUP", "die"), model)
    time.sleep(float(os.environ.get("AGENT_START_SECONDS", "0")))
    if status := int(os.environ.get("AGENT_EXIT", "0")):
        print(f"giving up at start with {status}", flush=True)
        return status
    (runtime / "model").write_text(f"{model}\n")
    print(f"running on {model}", flush=True)
    notify(f"READY=1\nSTATUS=running on {model}")
    time.sleep(float(os.environ.get("AGENT_EXIT_AFTER", "1e9")))
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


def on_hangup(way: str, model: str) -> None:
    """Take SIGHUP in one of the ways that services do."""

    def reload(_number: int, _frame: FrameType | None) -> None:
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        print(f"reloaded, still running on {model}", flush=True)
        notify("READY=1")

    if way == "ignore":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    elif way == "reload":
        signal.signal(signal.SIGHUP, reload)


def notify(message: str) -> None:
    """Tell the service manager (sd_notify(3)), where there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(message.encode(), address.replace("@", "\0", 1))


if __name__ == "__main__":
    sys.exit(main())
