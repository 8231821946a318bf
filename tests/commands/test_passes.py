"""`check` and `apply` on a scratch tree: exit status, JSON whatever happens, what to do next."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jada_configd.cli import main
from jada_configd.core.marks import Mark
from jada_configd.memory import Memory
from jada_configd.verdicts import Verdicts

SETTINGS = "home/a/.claude/settings.json"
POLICY = f"""version = 1
[settings.a]
path = "/{SETTINGS}"
absent = ["/env/ANTHROPIC_MODEL"]
set.model = "claude-sonnet-4-6"
"""
OBSERVING = f'{POLICY}\n[daemon]\nmode = "observe"\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a policy, and a settings file that has drifted from it."""
    root = tmp_path / "tree"
    for directory in ("etc/jada-configd", "home/a/.claude", "run", "var/lib"):
        (root / directory).mkdir(parents=True)
    (root / "etc/jada-configd/policy.toml").write_text(POLICY)
    (root / SETTINGS).write_text('{"model": "x"}')
    return root


Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(tree: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Exit status, standard output and error of a command line on the tree."""

    def run(*words: str) -> tuple[int, str, str]:
        status = main([*words, "--root", str(tree)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.mark.parametrize("verb", ["check", "apply"])
@pytest.mark.parametrize("text", [None, "version = 1\nsettings.a.pth = 1\n"])
def test_json_is_one_document_even_where_the_policy_does_not_load(
    tree: Path, said: Said, verb: str, text: str | None
) -> None:
    place = tree / "etc/jada-configd/policy.toml"
    place.unlink() if text is None else place.write_text(text)
    status, out, err = said(verb, "--json")
    plain = json.loads(out)
    assert status == 1
    assert (plain["state"], plain["resources"]) == ("degraded", [])
    assert plain["policy"] == {"path": str(place), "revision": None, "error": err.strip()}
    assert err


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ('[service."a.service".limits]', 'service."a.service"'),
        ("[login.ubuntu.limits]", "login.ubuntu"),
    ],
)
def test_a_tree_that_does_not_run_gets_no_number_of_this_host(
    tree: Path, said: Said, table: str, name: str
) -> None:
    """How much "max" is depends on the host, and an image runs on others."""
    place = tree / "etc/jada-configd/policy.toml"
    place.write_text(f'{POLICY}{table}\nnofile = "max"\n')
    for verb in ("check", "apply"):
        status, out, err = said(verb)
        assert (status, out) == (1, "")
        assert err.startswith(f'policy.toml:6: {name}.limits.nofile: "max" is what a running host')
    assert not (tree / "etc/systemd").exists()
    assert not (tree / "etc/security").exists()
    place.write_text(f"{POLICY}{table}\nnofile = 1024\n")
    assert said("apply")[0] == 0


def test_what_to_do_next_names_the_places_that_were_named(tree: Path, said: Said) -> None:
    other = tree / "other policy.toml"
    other.write_text(POLICY)
    _, out, _ = said("check", "--policy", str(other))
    joined = " ".join(out.split())
    assert f"`jada-configd apply --root {tree} --policy '{other}'` corrects it." in joined


def test_what_is_only_observed_is_corrected_by_enforce_alone(tree: Path, said: Said) -> None:
    (tree / "etc/jada-configd/policy.toml").write_text(OBSERVING)
    for verb in ("check", "apply"):
        status, out, _ = said(verb)
        assert status == 2
        assert "The policy only observes; `jada-configd apply --enforce --root" in out
    assert said("apply", "--enforce")[0] == 0
    assert json.loads((tree / SETTINGS).read_text())["model"] == "claude-sonnet-4-6"


def test_enforce_holds_every_kind(tree: Path, said: Said) -> None:
    (tree / "etc/jada-configd/policy.toml").write_text(
        f"{OBSERVING}\n[login.ubuntu]\nlimits.nofile = 1024\n"
        '[sysctl]\n"net.core.somaxconn" = 4096\n'
        '[service."jada-agent.service".limits]\nnofile = 1024\n'
    )
    assert said("apply")[0] == 2
    assert not (tree / "etc/security").exists()
    assert said("apply", "--enforce")[0] == 0
    assert "nofile 1024" in (tree / "etc/security/limits.d/zz-jada-configd.conf").read_text()
    assert "4096" in (tree / "etc/sysctl.d/zz-jada-configd.conf").read_text()
    drop_in = tree / "etc/systemd/system/jada-agent.service.d/zz-jada-configd.conf"
    assert "LimitNOFILE=1024" in drop_in.read_text()


def test_no_command_is_named_where_none_would_help(tree: Path, said: Said) -> None:
    (tree / SETTINGS).unlink()
    (tree / SETTINGS).mkdir()
    status, out, _ = said("check")
    assert status == 1
    assert "tells what is in the way" in out
    assert "corrects it" not in out


def test_a_pass_keeps_what_it_knows_for_the_next_one(tree: Path, said: Said) -> None:
    """Else each `apply` would restart services that had read right values all along."""
    assert said("apply")[0] == 0
    kept = json.loads((tree / "var/lib/jada-configd/known.json").read_text())
    assert list(kept["known"]) == [f"settings:/{SETTINGS}"]


def test_a_look_by_another_policy_forgets_nothing_of_services(tree: Path, said: Said) -> None:
    """Else the next start would write values again that a service did not bear."""
    state = tree / "var/lib/jada-configd"
    verdicts = Verdicts(Memory(str(state), create=True))
    verdicts.marks.put(Mark("a.service", "sha256:0", "exit status 3", 0.0, {}))
    verdicts.changed = True
    verdicts.save()
    before = {each.name: each.read_bytes() for each in state.iterdir()}
    said("check")
    assert {each.name: each.read_bytes() for each in state.iterdir()} == before
    said("apply")
    assert Verdicts(Memory(str(state), create=False)).marks.of("a.service") is None


@pytest.mark.parametrize("words", [["--policy", ""], ["--root="]])
def test_an_empty_path_is_not_understood(words: list[str]) -> None:
    """A variable that was not set must not mean the host itself."""
    with pytest.raises(SystemExit) as caught:
        main(["check", *words])
    assert caught.value.code == 64


@pytest.mark.parametrize(
    ("shell", "status", "complaint"),
    [
        (">/dev/full", 1, "jada-configd: standard output: No space left on device\n"),
        (">&-", 2, ""),
        ("| head -n 0", 0, ""),
    ],
)
def test_output_that_arrives_nowhere_ends_with_a_sentence_at_most(
    tree: Path, shell: str, status: int, complaint: str
) -> None:
    command = f'"{sys.executable}" -m jada_configd check --json --root "{tree}" {shell}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, complaint)


def test_a_tree_that_is_not_there_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    root = str(tmp_path / "imgae")
    for words in (["check", "--json"], ["apply", "--json"], ["run"], ["install"]):
        assert main([*words, "--root", root, "--policy", str(policy)]) == 1
        said = capsys.readouterr()
        assert " ".join(said.err.split()) == (f"jada-configd: --root: there is no directory {root}")
        if "--json" in words:
            assert json.loads(said.out)["state"] == "degraded"
    assert list(tmp_path.iterdir()) == [policy]


def test_a_working_directory_that_is_gone_is_said_to_be_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["check", "--json", "--policy", "p.toml"]) == 1
    said = capsys.readouterr()
    assert said.err == "p.toml: the working directory is gone\n"
    assert json.loads(said.out)["state"] == "degraded"
    assert main(["check", "--json", "--root", "tree"]) == 1


def test_what_is_not_understood_is_told_in_lines_of_80_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in ([], ["bogus"], ["check", "--bogus"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 64
        said = capsys.readouterr()
        assert said.out == ""
        assert max(map(len, said.err.splitlines())) <= 80
        assert " ".join(said.err.split()).endswith("; see jada-configd --help")


@pytest.mark.parametrize("options", [(), ("--now",)])
def test_a_tree_that_does_not_run_waits_for_no_window(
    tree: Path, said: Said, options: tuple[str, ...]
) -> None:
    """Nothing runs there that a window could protect."""
    place = tree / "etc/jada-configd/policy.toml"
    day = f"{datetime.now(UTC) + timedelta(days=3):%a}"
    place.write_text(f'{POLICY}[windows]\ncorrect = ["{day} 02:00-05:00 UTC"]\n')
    assert said("check")[0] == 2
    assert said("apply", *options)[0] == 0
    assert '"claude-sonnet-4-6"' in (tree / SETTINGS).read_text()
