"""`validate` of a named file, which may be a host's policy or a user's own."""

from pathlib import Path

import pytest

from jada_configd.cli import main

LOGIN = "version = 1\n[login.ubuntu]\nlimits.nofile = 4096\n"
AT_HOME = (
    'version = 1\n[settings.mine]\npath = "~/.claude/settings.json"\nset.cleanupPeriodDays = 5\n'
)


@pytest.mark.parametrize(
    ("text", "options", "status", "told"),
    [
        (LOGIN, [], 0, ""),
        (LOGIN, ["--user"], 1, "policy.toml:2:2: login: is root's alone: "),
        (AT_HOME, [], 0, ""),
        (AT_HOME, ["--user"], 0, ""),
        (
            f"{LOGIN}limits.nproc = 1\n",
            [],
            1,
            "policy.toml:4:8: login.ubuntu.limits.nproc: must be",
        ),
        (f"{AT_HOME}create = 5\n", [], 1, "policy.toml:5:1: settings.mine.create: must be"),
        (f"{AT_HOME}[login.a]\nlimits.core = 0\n", [], 1, "policy.toml:3:1: settings.mine.path: "),
    ],
)
def test_a_named_file_is_what_it_can_be(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: list[str],
    status: int,
    told: str,
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    assert main(["validate", *options, str(file)]) == status
    said = capsys.readouterr().err
    assert said.startswith(told)
    assert len(said.splitlines()) == status
