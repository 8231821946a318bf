"""What is measured: the floor, the minimal script and the daemon, each on files of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
FLOOR = CHECKOUT / "build/floor"
SCRIPT = Path(sys.executable).with_name("jada-configd")
COMMAND = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "jada_configd"]
MODEL = "claude-sonnet-4-6"
NEEDLE = f'"model": "{MODEL}"'
MEMORY = Path("/dev/shm")  # the one tmpfs that every Linux has
READY_WITHIN = 60.0  # seconds

RIGHT = (
    '{\n  "$schema": "https://json.schemastore.org/claude-code-settings.json",\n'
    f"  {NEEDLE},\n"
    '  "permissions": {\n    "allow": [\n'
    + ",\n".join(f'      "Bash(make target-{number}:*)"' for number in range(20))
    + '\n    ],\n    "deny": ["Read(./.env)"]\n  },\n'
    '  "env": {"DISABLE_TELEMETRY": "1"},\n  "cleanupPeriodDays": 30\n}\n'
)
WRONG = RIGHT.replace(MODEL, "claude-haiku-4-5")


def build_floor() -> None:
    """Compile floor.c where it is newer than what was built from it."""
    source = Path(__file__).with_name("floor.c")
    if FLOOR.exists() and FLOOR.stat().st_mtime > source.stat().st_mtime:
        return
    FLOOR.parent.mkdir(exist_ok=True)
    compiler = os.environ.get("CC", "cc")
    flags = ["-O2", "-Wall", "-Wextra"]
    subprocess.run([compiler, *flags, "-o", FLOOR, source], check=True)


@dataclass(frozen=True, slots=True)
class Files:
    """Settings files, one in a directory, and what the drifter and the floor copy from."""

    directory: Path
    count: int

    @classmethod
    def lay_out(cls, directory: Path, count: int) -> "Files":
        for number in range(count):
            home = directory / "homes" / f"{number:04}"
            home.mkdir(parents=True)
            (home / "settings.json").write_text(RIGHT)
        (directory / "right").write_text(RIGHT)
        (directory / "wrong").write_text(WRONG)
        return cls(directory, count)

    @property
    def first(self) -> Path:
        return self.directory / "homes/0000/settings.json"

    @property
    def pattern(self) -> str:
        return f"{self.directory}/homes/*/settings.json"

    def policy(self, *, sweep: str = "5m", entries: bool = False) -> str:
        """A policy that holds them all, by one glob or by an entry each."""
        paths = [self.pattern]
        if entries:
            homes = (f"{number:04}" for number in range(self.count))
            paths = [f"{self.directory}/homes/{home}/settings.json" for home in homes]
        text = f'version = 1\n[daemon]\nsweep = "{sweep}"\n'
        for number, path in enumerate(paths):
            text += f'[settings.s{number}]\npath = "{path}"\nset = {{ model = "{MODEL}" }}\n'
        return text


def places(directory: Path, policy: str) -> dict[str, str]:
    """Directories of a daemon's own, and the environment in which systemd hands them over."""
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8"}
    for name, mode in ("CONFIGURATION", 0o755), ("STATE", 0o700), ("RUNTIME", 0o755):
        place = directory / name.lower()
        if name == "RUNTIME" and MEMORY.is_dir():
            place = MEMORY / directory.name / "run"  # /run is a tmpfs too
        place.mkdir(exist_ok=True, parents=True)
        place.chmod(mode)
        environ[f"{name}_DIRECTORY"] = str(place)
    (directory / "configuration/policy.toml").write_text(policy)
    return environ


def command(environ: dict[str, str], *verb: str) -> list[str]:
    return [*COMMAND, *verb, "--policy", f"{environ['CONFIGURATION_DIRECTORY']}/policy.toml"]


@dataclass(frozen=True, slots=True)
class Running:
    """A started process, and how long it took to say that it was ready (seconds)."""

    process: subprocess.Popen[bytes]
    ready: float

    @property
    def pid(self) -> int:
        return self.process.pid


@contextmanager
def daemon(files: Files, *, watchdog_us: int = 0, **policy: str) -> Iterator[Running]:
    """`jada-configd run` in the foreground, from exec to READY=1 and on."""
    environ = places(files.directory, files.policy(**policy))  # type: ignore[arg-type]
    address = files.directory / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(address))
        notify.settimeout(READY_WITHIN)
        environ["NOTIFY_SOCKET"] = str(address)
        if watchdog_us:
            environ["WATCHDOG_USEC"] = str(watchdog_us)
        log = (files.directory / "log").open("wb")
        began = time.perf_counter()
        with log, subprocess.Popen(command(environ, "run"), env=environ, stderr=log) as process:
            try:
                try:
                    while b"READY=1" not in notify.recv(65536):
                        pass
                except TimeoutError:
                    raise SystemExit(f"the daemon did not become ready\n{_log(files)}") from None
                ready = time.perf_counter() - began
                with drained(notify):
                    yield Running(process, ready)
            finally:
                end(process)


@contextmanager
def drained(notify: socket.socket) -> Iterator[None]:
    """Read what the daemon says while it is measured, in a child: a full socket is not the rule."""
    child = os.fork()
    if child == 0:
        notify.settimeout(None)
        while True:
            notify.recv(65536)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@contextmanager
def floor(files: Files) -> Iterator[Running]:
    """The C program that corrects and does nothing else."""
    with started([str(FLOOR), "hold", str(files.first), str(files.directory / "right")]) as it:
        yield it


@contextmanager
def minimal(files: Files) -> Iterator[Running]:
    """The minimal script on watchdog and json."""
    script = str(Path(__file__).with_name("minimal.py"))
    with started([sys.executable, script, str(files.first), MODEL]) as it:
        yield it


@contextmanager
def started(words: list[str]) -> Iterator[Running]:
    """A program that says "ready" on standard error."""
    began = time.perf_counter()
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            if process.stderr is None or process.stderr.readline() != b"ready\n":
                raise SystemExit(f"{words[0]} did not begin")
            yield Running(process, time.perf_counter() - began)
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Lost(Exception):
    """A drift that was not corrected."""


def _log(files: Files) -> str:
    log = files.directory / "log"
    return log.read_text() if log.exists() else ""


def drifts(files: Files, count: int, pause_us: int = 15_000) -> list[float]:
    """Let the first file drift; milliseconds until it was right again, each time."""
    words = [str(FLOOR), "drift", str(files.first), str(files.directory / "wrong"), NEEDLE]
    words += [str(count), str(pause_us)]
    out = subprocess.run(words, check=False, capture_output=True, text=True).stdout.split()
    took = [int(word) / 1e6 for word in out]
    if min(took) < 0:
        raise Lost(f"{files.first} was not corrected within 5 s\n{_log(files)}")
    return took
