"""`retry` on a scratch tree: what it asks for, of whom, and what it says where there is nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jada_configd.cli import main
from jada_configd.core.marks import Mark
from jada_configd.core.model import Exactly
from jada_configd.core.specs import FallbackSpec
from jada_configd.host.directories import Directories
from jada_configd.memory import Memory
from jada_configd.verbs import retry
from jada_configd.verdicts import Verdicts

AGENT = "jada-agent.service"
POLICY = f"""version = 1
[service."{AGENT}"]
[service."a.b.service"]
"""
AGAIN = "what the policy says is tried on it again"

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a policy of two services."""
    root = tmp_path / "tree"
    for directory in ("etc/jada-configd", "run", "var/lib"):
        (root / directory).mkdir(parents=True)
    (root / "etc/jada-configd/policy.toml").write_text(POLICY)
    return root


@pytest.fixture
def state(tree: Path) -> Path:
    """Where its state directory is, or would be."""
    return tree / "var/lib/jada-configd"


@pytest.fixture
def said(tree: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Exit status, standard output and error of a command line on the tree, in one line each."""

    def run(*words: str) -> tuple[int, str, str]:
        status = main(["retry", *words, "--root", str(tree)])
        captured = capsys.readouterr()
        out, err = captured.out, captured.err
        lines = (out + err).splitlines()
        assert all(len(line) <= 80 or " " not in line.strip() for line in lines)  # a path is whole
        return status, " ".join(out.split()), " ".join(err.split())

    return run


def took_back(state: Path, unit: str = AGENT) -> Memory:
    """A state directory in which the policy was taken back from a unit."""
    memory = Memory(str(state), create=True)
    verdicts = Verdicts(memory)
    verdicts.marks.put(Mark(unit, "sha256:0", "exit status 3", 0.0, {}))
    verdicts.changed = True
    verdicts.save()
    return memory


@pytest.mark.parametrize("name", [AGENT, "jada-agent"])
def test_what_was_taken_back_is_asked_for_once(state: Path, said: Said, name: str) -> None:
    memory = took_back(state)
    for _ in range(2):
        status, out, err = said(name)
        assert (status, err) == (0, "")
        assert out.startswith(f"{AGENT}: {AGAIN} by the next `jada-configd apply`")
    assert memory.take_retries() == (AGENT,)
    assert memory.take_retries() == ()


def test_a_dot_in_a_name_makes_no_suffix(state: Path, said: Said) -> None:
    memory = took_back(state, "a.b.service")
    assert said("a.b")[0] == 0
    assert memory.take_retries() == ("a.b.service",)


def test_several_are_asked_for_beside_each_other(state: Path, said: Said) -> None:
    memory = took_back(state)
    took_back(state, "a.b.service")
    assert (said(AGENT)[0], said("a.b")[0]) == (0, 0)
    assert memory.take_retries() == (AGENT, "a.b.service")


def test_a_fallback_that_is_held_is_left_too(state: Path, said: Said) -> None:
    memory = Memory(str(state), create=True)
    verdicts = Verdicts(memory)
    spec = FallbackSpec("a", {("model",): Exactly("haiku")}, 1, 1800.0)
    verdicts.breakers.hold({AGENT: spec}, "sha256:0", 0, 0.0)
    verdicts.save()
    assert "nothing is tried again" in said(AGENT)[1]
    verdicts.breakers.result(AGENT, "exit status 3", 0, 0.0)
    verdicts.save()
    assert AGAIN in said(AGENT)[1]
    assert memory.take_retries() == (AGENT,)


def test_where_a_daemon_runs_it_says_where_that_is_seen(
    state: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    took_back(state)
    monkeypatch.setattr(retry, "snapshot", lambda _: {"state": "degraded"})
    assert said(AGENT)[1] == f"{AGENT}: {AGAIN}; `jada-configd status` shows how it goes"


@pytest.mark.parametrize(
    ("name", "unit"),
    [("other", "other.service"), ("a.b.timer", "a.b.timer"), ("x\x1b[2J", "x\\x1b[2J.service")],
)
def test_a_unit_that_is_none_of_the_policy_is_a_failure(said: Said, name: str, unit: str) -> None:
    there = f"(there: {AGENT}, a.b.service)"
    assert said(name) == (1, "", f"jada-configd: {unit} is no service of the policy {there}")


def test_a_policy_of_no_service_names_none(tree: Path, said: Said) -> None:
    (tree / "etc/jada-configd/policy.toml").write_text("version = 1\n")
    assert said(AGENT)[2].endswith("is no service of the policy (there: none)")


def test_nothing_to_try_is_no_failure_and_makes_no_directory(state: Path, said: Said) -> None:
    nothing = f"{AGENT}: nothing was taken back from it, so nothing is tried again"
    assert said(AGENT) == (0, nothing, "")
    assert not state.exists()
    took_back(state, "a.b.service")
    assert said(AGENT) == (0, nothing, "")
    assert not (state / "retries.json").exists()


def test_a_policy_that_does_not_load_is_told_as_ever(tree: Path, said: Said) -> None:
    (tree / "etc/jada-configd/policy.toml").write_text("version = 1\nx = 1\n")
    status, out, err = said(AGENT)
    assert (status, out) == (1, "")
    assert err.startswith("policy.toml:2:1: x: unknown key")


def test_a_state_directory_that_is_not_to_be_trusted_is_told(state: Path, said: Said) -> None:
    took_back(state)
    state.chmod(0o777)
    status, out, err = said(AGENT)
    assert (status, out) == (1, "")
    assert err.startswith(f"jada-configd: others can write to {state}")


def test_who_is_not_root_is_told_what_it_needs(
    tree: Path, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    took_back(state)
    places = Directories(
        "/",
        user=False,
        configuration=str(tree / "etc/jada-configd"),
        state=str(state),
        runtime="/run/jada-configd",
        units="/etc/systemd/system",
        home=None,
    )
    monkeypatch.setattr(retry, "directories", lambda **_: places)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert main(["retry", AGENT]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == (
        "It needs root on a host: sudo. For files of one's own: --user."
    )


def test_a_unit_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["retry"])
    assert caught.value.code == 64
    assert "UNIT" in capsys.readouterr().err
