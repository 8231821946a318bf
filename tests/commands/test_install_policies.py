"""The policy that `install` puts in place: what it is with its fragments, and how it differs."""

from pathlib import Path

import pytest

from jada_configd.errors import PolicyError
from jada_configd.host.directories import Directories, directories
from jada_configd.installation.policies import candidate, difference, redacted

POLICY = """version = 1
[settings.a]
path = "/home/a/.claude/settings.json"
[settings.a.set]
model = "claude-sonnet-4-6"
[settings.a.set.env]
ANTHROPIC_MODEL = "claude-sonnet-4-6"
"""


@pytest.fixture
def where(tmp_path: Path) -> Directories:
    (tmp_path / "etc/jada-configd/policy.d").mkdir(parents=True)
    return directories(user=False, root=str(tmp_path), environ={})


def test_it_is_what_it_will_be_in_its_place(where: Directories, tmp_path: Path) -> None:
    new = tmp_path / "new.toml"
    new.write_text(POLICY)
    (tmp_path / "etc/jada-configd/policy.d/10.toml").write_text('daemon.mode = "observe"\n')
    found = candidate(str(new), where)
    assert found.policy.path == "/etc/jada-configd/policy.toml"
    assert found.policy.mode == "observe"
    assert found.source.data == POLICY.encode()


def test_errors_name_the_file_that_was_given_and_the_fragments(
    where: Directories, tmp_path: Path
) -> None:
    (tmp_path / "new.toml").write_text("version = 1\nsettings.a.pth = 1\n")
    (tmp_path / "etc/jada-configd/policy.d/10.toml").write_text("daemon.mod = 1\n")
    with pytest.raises(PolicyError) as caught:
        candidate(str(tmp_path / "new.toml"), where)
    said = "\n".join(caught.value.messages)
    assert "new.toml:2:12: settings.a.pth: unknown key" in said
    assert "policy.d/10.toml:1:8: daemon.mod: unknown key" in said


def test_a_difference_is_a_unified_diff() -> None:
    lines = difference(b"a = 1\nb = 2\n", b"a = 1\nb = 3\n", "/old", "new.toml")
    assert lines == ["--- /old", "+++ new.toml", "@@ -1,2 +1,2 @@", " a = 1", "-b = 2", "+b = 3"]


@pytest.mark.parametrize(
    "text",
    [
        'apiKey = "hunter2"',
        "apiKey = 'hunter2'",
        'x = { a = 1, AUTH_TOKEN = "hunter2", b = 2 }',
        '[set.credentials]\nuser = "hunter2"',
        '[[x.secrets]]\na = ["hunter2", "hunter2"]',
        'password = """\nhunter2\n"""',
        'password = "hunter\\u0032"',
        '# apiKey = "hunter2"\na = 1',
        "pin_secret = 90210",
        "a = 1 # the token = 90210",
    ],
)
def test_no_secret_stands_in_a_difference(text: str) -> None:
    shown = redacted(text)
    assert shown is not None
    for secret in ("hunter", "90210"):
        assert secret not in shown
    assert "<redacted>" in shown


def test_everything_else_stands_in_it() -> None:
    assert redacted(POLICY) == POLICY


def test_a_difference_in_secrets_alone_is_said() -> None:
    assert difference(b'token = "a"\n', b'token = "b"\n', "old", "new") == [
        "They differ only in what is not shown."
    ]


def test_what_is_not_toml_is_not_shown() -> None:
    assert difference(b'token = "hunter2\n', b"a = 1\n", "/old", "new") == [
        "/old is not TOML; what stands in it is not shown."
    ]


def test_a_difference_cannot_write_into_the_terminal() -> None:
    lines = difference(b"# \x1b[2J", b"a = 1\n", "old", "new")
    assert all(line.isprintable() for line in lines)
