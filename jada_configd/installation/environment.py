"""This very installation: the command that a service runs, and where all of its code comes from."""

import json
import os
import pwd
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jada_configd
from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, Refused
from jada_configd.installation.trusted import Trusted

_SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECONDS: Final = 60.0

_PROBE: Final = """
import importlib.util, json, sys
names = ("jeepney", "sdnotify", "watchdog")
import jada_configd
print(json.dumps({
    "file": jada_configd.__file__,
    "missing": [name for name in names if importlib.util.find_spec(name) is None],
    "path": [place for place in sys.path if place],
    "prefixes": [sys.prefix, sys.base_prefix],
}))
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """`command` runs the program; `code` are the directories that its code is imported from."""

    command: tuple[str, ...]
    code: tuple[str, ...]
    other: tuple[str, ...]  # files that it runs or reads beside those

    @property
    def short_lived(self) -> str | None:
        """The place that a boot or a cleaner empties, where the program stands in one."""
        places = ("/tmp/", "/var/tmp/", "/run/", "/dev/shm/")  # noqa: S108 - looked for, not used
        return next((place for place in places if self.command[0].startswith(place)), None)


def this_environment(*, user: bool) -> Environment:
    """What runs now, as a service manager would run it. Raises `HostError` where that cannot be."""
    command = own_command()
    probed = _probed(user=user)
    if not Path(probed["file"]).samefile(jada_configd.__file__):
        there = escaped(probed["file"])
        raise HostError(f"a service of {sys.executable} would take jada_configd from {there}")
    if probed["missing"]:
        what = ", ".join(probed["missing"])
        raise HostError(f"{sys.executable} does not find {what} when it is started by systemd")
    _check_validator()
    package = Path(jada_configd.__file__).parent
    code = dict.fromkeys([str(package), *filter(os.path.isdir, probed["path"])])
    configurations = [f"{prefix}/pyvenv.cfg" for prefix in probed["prefixes"]]
    other = dict.fromkeys([command[0], sys.executable, *filter(os.path.exists, configurations)])
    return Environment(command, tuple(code), tuple(other))


def check_trust(environment: Environment, trusted: Trusted) -> None:
    """Raises `Refused`, naming the hop, where somebody else could change what is run."""
    try:
        trusted.check(environment.other)
        trusted.check_below(environment.code)
    except Refused as refusal:
        whom = "root" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        raise Refused(
            f"{refusal}: whoever can change that could have {whom} run anything; install the "
            "program where nobody else can write, such as a virtual environment in /opt"
        ) from None


def own_command() -> tuple[str, ...]:
    """The console script of this environment, or the interpreter where it has none of its own."""
    script = Path(sysconfig.get_path("scripts"), "jada-configd")
    try:
        first = script.read_bytes().partition(b"\n")[0]
    except OSError:
        first = b""
    interpreter = Path(os.fsdecode(first.removeprefix(b"#!")).strip())
    if interpreter.parent == Path(sys.executable).parent and os.access(script, os.X_OK):
        return (str(script),)
    return (sys.executable, "-P", "-m", "jada_configd")


def _probed(*, user: bool) -> Mapping[str, Any]:
    """What the interpreter says of itself in the bare surroundings of a service."""
    environ = {"HOME": pwd.getpwuid(os.getuid()).pw_dir} if user else {}
    ended = _python(["-P", "-c", _PROBE], environ)
    try:
        plain: Mapping[str, Any] = json.loads(ended.stdout)
    except ValueError:
        said = escaped(ended.stderr.strip().rpartition("\n")[2])
        raise HostError(
            f"{sys.executable} cannot run jada_configd as a service would ({said}); "
            f"is it installed there? {sys.executable} -m pip install jada-configd"
        ) from None
    return plain


def _check_validator() -> None:
    """The child that validates policies is isolated (`python -I`) and sees no user site."""
    if _python(["-I", "-c", "import pydantic"], {}).returncode != 0:
        raise HostError(
            f"{sys.executable} -I does not find pydantic, which validates policies; install the "
            "program in a virtual environment: python3 -m venv DIRECTORY"
        )


def _python(
    arguments: Sequence[str], environ: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            env={"PATH": _SEARCH_PATH, **environ},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"{sys.executable} does not run: {error}") from None
