"""Kernel parameters of a made-up /proc/sys; what the real kernel says is in tests/system."""

import errno
import os
from pathlib import Path

import pytest

from jada_configd.core.actions import SetSysctl
from jada_configd.core.facts import SysctlFact
from jada_configd.errors import HostError, Stale, Unable
from jada_configd.host.sysctls import REFUSAL_NS, Sysctls

KEY = "net.core.somaxconn"
CAPABILITY = "jada-configd may lack a capability for it"


class Kernel:
    """A directory of parameters, and a clock; `clamp` is what it makes of any value."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.now_ns = 0
        self.sysctls = Sysctls(str(place), lambda: self.now_ns)
        self.writes = 0

    def put(self, path: str, text: str) -> Path:
        real = self.place / path
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_text(text)
        return real


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    kernel = Kernel(tmp_path / "sys")
    kernel.put("net/core/somaxconn", "4096\n")
    kernel.put("net/ipv4/conf/eth0.5/forwarding", "0\n")
    return kernel


def say(monkeypatch: pytest.MonkeyPatch, kernel: Kernel, answer: int | str) -> None:
    """The kernel answers every write with an error, or makes this of every value."""
    write = os.write

    def written(descriptor: int, data: bytes) -> int:
        kernel.writes += 1
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        write(descriptor, answer.encode())
        return len(data)

    monkeypatch.setattr(os, "write", written)


def test_a_value_is_told_as_the_kernel_gives_it(kernel: Kernel) -> None:
    assert kernel.sysctls.look(KEY) == SysctlFact(KEY, "4096\n")
    dotted = "net.ipv4.conf.eth0/5.forwarding"
    assert kernel.sysctls.look(dotted) == SysctlFact(dotted, "0\n")
    assert kernel.sysctls.look("net/core/somaxconn").text == "4096\n"


@pytest.mark.parametrize("key", ["net.core.nothing", "no.such", "net.core.somaxconn.x"])
def test_what_is_not_there_is_said_to_be_missing(kernel: Kernel, key: str) -> None:
    problem = f"this kernel has no {key}: a module may not be loaded"
    assert kernel.sysctls.look(key) == SysctlFact(key, None, problem)


@pytest.mark.parametrize(
    "key",
    ["", "x", "..", "net/../secret", "../secret/x", "net/core/..", "net.*.somaxconn", "a.b\0c",
     "net.core.so\nmax", "/", "net/core/" + "x" * 300, "x" * 5000 + ".y", "net.\udc80.x"],
)  # fmt: skip
def test_no_key_leads_anywhere_else(kernel: Kernel, key: str) -> None:
    kernel.put("../secret/x", "secret")
    fact = kernel.sysctls.look(key)
    assert fact.text is None
    assert fact.problem
    with pytest.raises(HostError):
        kernel.sysctls.set(SetSysctl(key, "1", "secret"))
    assert (kernel.place / "../secret/x").read_text() == "secret"


def test_links_are_not_followed(kernel: Kernel) -> None:
    other = kernel.put("../elsewhere/core/x", "secret")
    (kernel.place / "net/link").symlink_to(other)
    (kernel.place / "way").symlink_to(other.parent)
    for key in ("net.link", "way.x"):
        assert kernel.sysctls.look(key).text is None
        with pytest.raises(HostError):
            kernel.sysctls.set(SetSysctl(key, "1", "secret"))
    assert other.read_text() == "secret"


def test_what_is_no_single_value_is_said_to_be_none(kernel: Kernel) -> None:
    assert kernel.sysctls.look("net.core").problem == "net.core is no single parameter"
    os.mkfifo(kernel.place / "net/fifo")
    assert kernel.sysctls.look("net.fifo").problem == "net.fifo is no single parameter"


def test_without_the_directory_nothing_is_there(tmp_path: Path) -> None:
    fact = Sysctls(str(tmp_path / "none")).look(KEY)
    assert fact.problem == f"{tmp_path}/none: No such file or directory"


def test_a_value_is_set_in_place_of_what_was_looked_at(kernel: Kernel) -> None:
    kernel.sysctls.set(SetSysctl(KEY, "8192", "4096"))
    assert (kernel.place / "net/core/somaxconn").read_text() == "8192\n"
    assert kernel.sysctls.look(KEY) == SysctlFact(KEY, "8192\n")


def test_another_value_than_was_looked_at_stays(kernel: Kernel) -> None:
    with pytest.raises(Stale):
        kernel.sysctls.set(SetSysctl(KEY, "8192", "1\n"))
    assert (kernel.place / "net/core/somaxconn").read_text() == "4096\n"


def test_tabs_and_blanks_make_no_other_value(kernel: Kernel) -> None:
    kernel.put("net/ipv4/tcp_rmem", "4096\t5\t6\n")
    kernel.sysctls.set(SetSysctl("net.ipv4.tcp_rmem", "1024 8 9", "4096 5 6"))
    assert kernel.sysctls.look("net.ipv4.tcp_rmem").text == "1024 8 9\n"


def test_what_has_gone_cannot_be_set(kernel: Kernel) -> None:
    with pytest.raises(Unable):
        kernel.sysctls.set(SetSysctl("net.core.gone", "1", "0"))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (errno.EINVAL, f"the kernel takes no 5 for {KEY}: Invalid argument"),
        (errno.ERANGE, f"the kernel takes no 5 for {KEY}: Numerical result out of range"),
        (
            errno.EPERM,
            f"the kernel takes no 5 for {KEY}: Operation not permitted; {CAPABILITY}",
        ),
        ("4096\n", f"the kernel did not keep 5 for {KEY}"),
    ],
)
def test_what_the_kernel_does_not_take_is_told_by_the_next_look(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel, answer: int | str, why: str
) -> None:
    say(monkeypatch, kernel, answer)
    kernel.sysctls.set(SetSysctl(KEY, "5", "4096"))
    assert kernel.sysctls.look(KEY) == SysctlFact(KEY, "4096\n", refused=("5", why))
    assert kernel.writes == 1


def test_an_empty_value_that_is_refused_can_be_seen(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel
) -> None:
    say(monkeypatch, kernel, errno.EINVAL)
    kernel.sysctls.set(SetSysctl(KEY, "", "4096"))
    why = f'the kernel takes no "" for {KEY}: Invalid argument'
    assert kernel.sysctls.look(KEY).refused == ("", why)


def test_a_refusal_stands_until_the_value_changes(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel
) -> None:
    say(monkeypatch, kernel, errno.EINVAL)
    kernel.sysctls.set(SetSysctl(KEY, "5", "4096"))
    kernel.put("net/core/somaxconn", "128\n")
    assert kernel.sysctls.look(KEY).refused is None
    kernel.put("net/core/somaxconn", "4096\n")
    assert kernel.sysctls.look(KEY).refused is None


def test_a_refusal_stands_for_some_minutes(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> None:
    say(monkeypatch, kernel, errno.EINVAL)
    kernel.sysctls.set(SetSysctl(KEY, "5", "4096"))
    kernel.now_ns = REFUSAL_NS - 1
    assert kernel.sysctls.look(KEY).refused
    kernel.now_ns += 1
    assert kernel.sysctls.look(KEY).refused is None


def test_a_refusal_stands_until_another_value_was_taken(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel
) -> None:
    """It may have been its bound."""
    with monkeypatch.context() as patch:
        say(patch, kernel, errno.EINVAL)
        kernel.sysctls.set(SetSysctl(KEY, "5", "4096"))
    kernel.sysctls.set(SetSysctl("net.ipv4.conf.eth0/5.forwarding", "1", "0"))
    assert kernel.sysctls.look(KEY).refused is None


def test_what_cannot_be_written_is_said_before_anybody_tries(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert (
        kernel.sysctls.look(KEY).obstacle == f"{KEY} is read-only: this kernel lets nobody set it"
    )
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    root_alone = f"{KEY} can be set by root alone, in the policy of the whole host"
    assert kernel.sysctls.look(KEY).obstacle == root_alone


def test_the_machines_own_parameters_are_read() -> None:
    fact = Sysctls().look("kernel.ostype")
    assert fact.text == "Linux\n"
    assert fact.obstacle  # nobody renames Linux
    assert int(Sysctls().look("fs.nr_open").text or "") > 0


def test_it_leaves_no_descriptor_open(kernel: Kernel) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for key in (KEY, "net.core", "no.such", "..", "net.core.nothing"):
        kernel.sysctls.look(key)
        with pytest.raises(HostError):
            kernel.sysctls.set(SetSysctl(key, "1", "wrong"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
