"""The story without root: `jada-configd run --user` in the foreground, on a scratch home."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from demo.screen import Screen
from demo.witness import Witness
from tests.system.host import CHECKOUT, eventually

COMMAND = Path(sys.executable).with_name("jada-configd")
POLICY = CHECKOUT / "policies/workstation.toml"
WANTED = "claude-sonnet-4-6"
BEFORE = '{\n  "model": "claude-haiku-4-5",\n  "theme": "dark"\n}\n'
LEFT_OUT = (
    "left out, because it needs root and a host of its own: install, the service taking a model up,"
    " limits and drop-ins, and what systemd says (sudo make demo)"
)


def tell(screen: Screen) -> None:
    """Go through what can be shown on a scratch home."""
    with tempfile.TemporaryDirectory(prefix="jada-demo-") as scratch:
        home = Path(scratch, "home")
        settings = home / ".claude/settings.json"
        policy = home / ".config/jada-configd/policy.toml"
        for path, text in ((settings, BEFORE), (policy, POLICY.read_text())):
            path.parent.mkdir(parents=True)
            path.write_text(text)
        (Path(scratch) / "run").mkdir(mode=0o700)
        environment = {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PATH": os.environ.get("PATH", os.defpath),
            "XDG_RUNTIME_DIR": f"{scratch}/run",
            "COLUMNS": "80",
        }
        Story(screen, settings, environment).tell()
    screen.title("Away with it")
    screen.line("the scratch home is gone")
    screen.line(LEFT_OUT)


class Story:
    """What happens on the scratch home."""

    def __init__(self, screen: Screen, settings: Path, environment: Mapping[str, str]) -> None:
        self.screen = screen
        self.settings = settings
        self.environment = environment

    def tell(self) -> None:
        """Look, hold, and spoil the file in three ways."""
        self.screen.title("A home with the wrong model, and a policy")
        self.type("cat ~/.claude/settings.json")
        self.type(f"{COMMAND.name} check --user", ok=(2,))
        self.screen.title("The daemon, in the foreground")
        with self.daemon() as holds:
            if holds:
                self.spoil()

    def spoil(self) -> None:
        """What people and programs do to such a file."""
        self.screen.title("Somebody edits the model")
        self.drift("sed -i s/sonnet-4-6/haiku-4-5/ ~/.claude/settings.json")
        self.screen.title("Somebody deletes the file")
        self.drift("rm ~/.claude/settings.json")
        self.screen.title("A writer truncates the file and dies in mid-write")
        self.drift('printf \'{"model": "claude-hai\' > ~/.claude/settings.json')
        self.screen.title("How things stand")
        self.type("cat ~/.claude/settings.json")
        self.settle()
        self.type(f"{COMMAND.name} status --user")

    @contextmanager
    def daemon(self) -> Iterator[bool]:
        """Have the daemon run, and say whether it has put the file right."""
        self.screen.typed("you", f"{COMMAND.name} run --user &")
        began = time.monotonic()
        process = subprocess.Popen(
            [COMMAND, "run", "--user"],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield self.put_right(began)
        finally:
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=20)
            self.screen.title("What the daemon said meanwhile")
            self.screen.output(said)
            if process.returncode:
                self.screen.failed(f"the daemon ended with {process.returncode}")

    def put_right(self, began: float) -> bool:
        """Wait for the daemon's first correction."""
        try:
            eventually(lambda: is_right(self.settings.read_bytes()), within=10)
        except AssertionError:
            self.screen.failed(f"the daemon sets the model to {WANTED}")
            return False
        took = time.monotonic() - began
        self.screen.after(took, f"started, and the file says {WANTED}")
        return True

    def settle(self) -> None:
        """Give the daemon its moment: it tells of a correction once that is made, not before."""

        def settled() -> bool:
            asked = [str(COMMAND), "status", "--user", "--json"]
            done = subprocess.run(asked, env=self.environment, capture_output=True, check=False)
            return done.returncode == 0

        try:
            eventually(settled, within=10)
        except AssertionError:
            self.screen.failed("the daemon says that all is in sync")

    def type(self, command: str, *, ok: tuple[int, ...] = (0,)) -> None:
        """Run a command as a person would, and show it with what it says."""
        self.screen.typed("you", command)
        path = f"{COMMAND.parent}:{self.environment['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command],
            env={**self.environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.screen.output(done.stdout)
        if done.returncode not in ok:
            self.screen.failed(f"`{command}` ended with {done.returncode}")

    def drift(self, command: str) -> None:
        """Have a command spoil the settings, and tell how long they were wrong."""
        with Witness(self.settings.read_bytes) as witness:
            self.type(command)
            wrong = witness.wrong_for(is_right, within=10)
        if wrong is None:
            self.screen.failed(f"the file says {WANTED} again")
        else:
            self.screen.after(wrong.seconds, f"the file says {WANTED} again", exact=wrong.exact)


def is_right(content: bytes) -> bool:
    """Whether settings say the model that the policy wants."""
    try:
        return bool(json.loads(content)["model"] == WANTED)
    except (ValueError, KeyError, TypeError):
        return False
