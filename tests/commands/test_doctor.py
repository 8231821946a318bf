"""`doctor` on a scratch tree: exit status, whole output, JSON, and that nothing is changed.

What needs a running host is in `tests/system/test_doctor.py`.
"""

import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from jada_configd import __version__
from jada_configd.cli import main
from jada_configd.core.survey import Mount
from jada_configd.diagnosis import survey
from jada_configd.diagnosis.findings import Finding
from jada_configd.diagnosis.text import text
from jada_configd.host.survey import place_looks
from jada_configd.host.survey.patience import Note
from jada_configd.render import Painter

SETTINGS = "home/a/.claude/settings.json"
POLICY = f"""version = 1
[settings.a]
path = "/{SETTINGS}"
absent = ["/env/ANTHROPIC_MODEL"]
set.model = "claude-sonnet-4-6"
"""
PYTHON = f"ok       python           Python {platform.python_version()}, {sys.executable}"
Said = Callable[..., tuple[int, str]]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with a policy and a settings file; what it stands on is the same everywhere."""
    root = tmp_path / "t"
    for directory in ("etc/jada-configd", "home/a/.claude", "run", "var/lib"):
        (root / directory).mkdir(parents=True)
    (root / "etc/jada-configd/policy.toml").write_text(POLICY)
    (root / SETTINGS).write_text("{}")
    table = (Mount("/", "ext4", read_only=False),)
    monkeypatch.setattr(survey, "mounts", lambda: table)
    real = place_looks.place_look

    def roomy(*arguments: object) -> object:
        look = real(*arguments)  # type: ignore[arg-type]
        return type(look)(look.path, look.there, look.mount)

    monkeypatch.setattr(place_looks, "place_look", roomy)
    return root


@pytest.fixture
def said(tree: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Exit status and standard output of `doctor` on the tree."""

    def run(*words: str) -> tuple[int, str]:
        status = main(["doctor", *words, "--root", str(tree)])
        captured = capsys.readouterr()
        assert captured.err == ""
        return status, captured.out

    return run


def joined(output: str) -> str:
    return " ".join(output.split())


def test_a_healthy_image(said: Said, tree: Path) -> None:
    status, out = said()
    assert status == 0
    assert joined(out) == joined(
        f"""
ok       policy           {tree}/etc/jada-configd/policy.toml loads (1 table)
ok       directories      can be written, with room: state {tree}/var/lib/jada-configd,
                          run-time {tree}/run/jada-configd
ok       settings         1 file can be read and replaced
ok       file-systems     files can be exchanged in one step (ext4)
{PYTHON}

Nothing keeps jada-configd from working here.
"""
    )


def test_a_policy_that_does_not_load_and_a_file_that_is_none(said: Said, tree: Path) -> None:
    (tree / "etc/jada-configd/policy.toml").write_text(POLICY.replace("path", "pth", 1))
    status, out = said()
    assert status == 1
    assert 'policy.toml:3:1: settings.a.pth: unknown key; did you mean "path"?' in joined(out)
    place = f"{tree}/etc/jada-configd/policy.toml"
    assert f"\n         mend it: edit {place}, then: jada-configd validate --root {tree}\n" in out
    assert joined(out).endswith("what is marked `problem` keeps the policy from being held.")


def test_json_is_one_document_with_every_check(said: Said, tree: Path) -> None:
    (tree / SETTINGS).unlink()
    (tree / SETTINGS).mkdir()
    status, out = said("--json")
    plain = json.loads(out)
    found = {each["check"]: each for each in plain["findings"]}
    assert (status, plain["state"], plain["version"]) == (1, "findings", __version__)
    assert plain["policy"]["path"] == f"{tree}/etc/jada-configd/policy.toml"
    assert plain["policy"]["revision"].startswith("sha256:")
    assert set(found) == {"policy", "directories", "settings", "file-systems", "python"}
    assert found["settings"]["status"] == "problem"
    assert found["settings"]["says"] == f"/{SETTINGS} is a directory"
    assert found["settings"]["remedy"].startswith(f"ls -ld /{SETTINGS}")
    assert found["policy"] == {
        "check": "policy",
        "status": "ok",
        "says": f"{tree}/etc/jada-configd/policy.toml loads (1 table)",
        "remedy": None,
    }


def test_warnings_alone_are_no_failure(said: Said, tree: Path) -> None:
    (tree / SETTINGS).unlink()
    (tree / "home/a/.claude").rmdir()
    status, out = said()
    assert status == 0
    assert "warning  settings" in out
    assert joined(out).endswith("1 warning: it works here, with less.")


def test_nothing_is_changed(said: Said, tree: Path) -> None:
    def look() -> list[tuple[str, int, int]]:
        found = [tree, *sorted(tree.rglob("*"))]
        return [(str(each), each.stat().st_ctime_ns, each.stat().st_mode) for each in found]

    before = look()
    said()
    said("--json")
    assert look() == before


def test_what_hangs_keeps_no_other_answer_back(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*about: object) -> None:
        *_, at = about
        cast("Note", at)("/mnt/dead/settings.json")
        time.sleep(60)

    monkeypatch.setattr(survey, "files_of", hang)
    monkeypatch.setattr(survey, "SECONDS", 1.0)
    status, out = said()
    assert status == 1
    assert "mend it: umount --lazy " in out
    assert "/mnt/dead/settings.json does not answer (" in joined(out)
    assert "ok       directories" in out


def test_a_fault_of_a_look_is_said_in_one_sentence(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise ValueError("no number")

    monkeypatch.setattr(survey, "own_places", fail)
    status, out = said()
    assert status == 0
    assert "the directories cannot be looked at: ValueError: no number" in joined(out)


def test_colour_is_for_the_mark_alone() -> None:
    findings = [Finding("problem", "problem", "a problem", "rm problem")]
    shown = text(findings, Painter(colour=True))
    assert shown.startswith("\x1b[31mproblem\x1b[0m  problem")
    assert shown.count("\x1b") == 2


def test_a_remedy_is_never_broken_so_that_it_can_be_copied() -> None:
    remedy = "echo " + "very " * 40 + "long"
    assert f"mend it: {remedy}\n" in text(
        [Finding("x", "warning", "it is " * 40, remedy)], Painter(colour=False)
    )
