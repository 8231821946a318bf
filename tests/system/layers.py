"""This checkout as an operator would have it: a virtual environment in /opt with the package in it.

Two directories under `build/layers`, laid over each other when a host boots: the dependencies, made
again when the interpreter or their list in pyproject.toml changes, and the package itself, made
again when any of its files does. Both are made inside a throwaway host, so that no path of this
checkout is in them and nothing outside `build` is written.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system.host import CHECKOUT, Host

ENVIRONMENT = "/opt/jada-configd"
COMMAND = "/usr/local/bin/jada-configd"
BUILD = CHECKOUT / "build"
LAYERS = BUILD / "layers"
WHEELS = BUILD / "wheels"  # the dependencies
DIST = BUILD / "dist"  # the package
PACKAGED = (
    *("jada_configd", "policies", "systemd"),
    *("docs/jada-configd.1", "docs/jada-configd-policy.5"),
    *("README.md", "LICENSE", "pyproject.toml"),
)
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Installed:
    """What `Host.boot` takes to have the package in place."""

    overlays: Mapping[str, Sequence[Path]]
    links: Mapping[str, str]


def prepare() -> Installed:
    """Make what is not there yet; a few milliseconds when everything is."""
    LAYERS.mkdir(parents=True, exist_ok=True)
    with _alone():
        dependencies = _dependencies()
        package = _package(dependencies)
        _forget_old(keep=package)
    return Installed(
        overlays={ENVIRONMENT: [package, dependencies]},
        links={COMMAND: f"{ENVIRONMENT}/bin/jada-configd"},
    )


def boot() -> Host:
    """A host with the package in it."""
    installed = prepare()
    return Host.boot(overlays=installed.overlays, links=installed.links)


def _dependencies() -> Path:
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]
    python = _python()
    layer = LAYERS / f"dependencies-{_digest([python, sys.version, *declared])}"
    if layer.exists():
        return layer
    # sdnotify comes as source: built in isolation, because this environment may lack `wheel`
    _pip("wheel", "--use-pep517", "--wheel-dir", str(WHEELS), *declared)
    with Host.boot(overlays={"/opt/wheels-of-the-checkout": [WHEELS]}) as host:
        host.run([python, "-m", "venv", ENVIRONMENT], timeout=120)
        install = [f"{ENVIRONMENT}/bin/pip", "install", "--no-index", "--no-cache-dir", "--quiet"]
        wheels = ["--find-links=/opt/wheels-of-the-checkout"]
        host.run([*install, *wheels, *declared], timeout=300)
        _copy_out(host, ENVIRONMENT, layer)
    return layer


def _package(dependencies: Path) -> Path:
    files = sorted(_files(CHECKOUT / name for name in PACKAGED))
    contents = [f"{path.relative_to(CHECKOUT)} {_digest([path.read_bytes()])}" for path in files]
    layer = LAYERS / f"package-{_digest([dependencies.name, *contents])}"
    if layer.exists():
        os.utime(layer)
        return layer
    shutil.rmtree(DIST, ignore_errors=True)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(DIST), str(CHECKOUT))
    (wheel,) = DIST.glob("*.whl")
    with Host.boot(overlays={ENVIRONMENT: [dependencies], "/opt/dist": [DIST]}) as host:
        install = [f"{ENVIRONMENT}/bin/pip", "install", "--no-index", "--no-deps", "--quiet"]
        host.run([*install, "--root=/opt/out", f"/opt/dist/{wheel.name}"], timeout=120)
        _copy_out(host, f"/opt/out{ENVIRONMENT}", layer)
    return layer


def _python() -> str:
    """The interpreter that this one was made from, unless it is a person's own."""
    python = f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    return "/usr/bin/python3" if python.startswith(("/home/", "/root/")) else python


def _pip(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", *arguments],
        check=True,
        stdin=subprocess.DEVNULL,
    )


def _copy_out(host: Host, directory: str, layer: Path) -> None:
    """Copy a directory of a host to a layer, which is there whole or not at all."""
    making = layer.with_name(f"making-{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    subprocess.run(["cp", "-a", f"/proc/{host.pid}/root{directory}", str(making)], check=True)
    making.rename(layer)


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        for path in place.rglob("*") if place.is_dir() else [place]:
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _digest(parts: Iterable[str | bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:16]


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time: two test runs on one checkout would make the same layer twice."""
    with (LAYERS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_old(keep: Path) -> None:
    """Remove what no run can be using any more."""
    for layer in LAYERS.glob("package-*"):
        if layer != keep and layer.stat().st_mtime < time.time() - DAY:
            shutil.rmtree(layer)
    for left in LAYERS.glob("making-*"):
        shutil.rmtree(left)
