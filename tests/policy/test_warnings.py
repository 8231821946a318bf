import pytest

from jada_configd.policy import bypass_warnings
from tests.policy.declared import policy

CLAUDE = "/home/*/.claude/settings.json"
FREE = (
    "warning: env.ANTHROPIC_MODEL of the same file would win over this and is left free; "
    'hold it too: absent = ["/env/ANTHROPIC_MODEL"]'
)
HELD = "absent = ['/env/ANTHROPIC_MODEL']\n"
UNREAD = (
    'warning: Claude Code does not read this key, and starts its own default; did you mean "model"?'
)


def dotted(suggested: str) -> str:
    return (
        f'warning: a dot in a model id; Anthropic\'s ids have hyphens; did you mean "{suggested}"?'
    )


def warnings(lines: str, path: str = CLAUDE) -> list[str]:
    made = policy(f"version = 1\n[settings.a]\npath = '{path}'\n{lines}")
    return [line.removeprefix("policy.toml:") for line in made.warnings]


@pytest.mark.parametrize("path", [CLAUDE, "/opt/agent/config.json"])
@pytest.mark.parametrize(
    ("value", "suggested"),
    [
        ("claude-sonnet-4.6", "claude-sonnet-4-6"),
        ("us.anthropic.claude-sonnet-4.5-v1:0", "us.anthropic.claude-sonnet-4-5-v1:0"),
        ("Sonnet-4.6", "Sonnet-4-6"),
    ],
)
def test_a_model_id_with_a_dot_is_suspected(path: str, value: str, suggested: str) -> None:
    found = warnings(f"{HELD}set.model = '{value}'", path)
    assert found == [f"5:5: settings.a.set.model: {dotted(suggested)}"]


def test_a_dot_is_suspected_wherever_a_model_may_come_from() -> None:
    found = warnings(
        "one_of.model = ['claude-sonnet-4-6', 'claude-haiku-4.5']\n"
        "set.env.ANTHROPIC_MODEL = 'claude-opus-4.1'"
    )
    assert found == [
        f"4:38: settings.a.one_of.model[1]: {dotted('claude-haiku-4-5')}",
        f"5:9: settings.a.set.env.ANTHROPIC_MODEL: {dotted('claude-opus-4-1')}",
    ]


@pytest.mark.parametrize(
    "value",
    ["claude-sonnet-4-6", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "sonnet", "gpt-4.1"],
)
def test_other_model_ids_are_taken_as_they_are(value: str) -> None:
    assert warnings(f"{HELD}set.model = '{value}'") == []


@pytest.mark.parametrize(
    "path",
    [
        CLAUDE,
        "/home/u/.claude/settings.local.json",
        "/srv/project/.claude/settings.json",
        "/etc/claude-code/managed-settings.json",
        "/etc/claude-code/managed-settings.d/10-model.json",
        "~/.claude/settings.json",
    ],
)
def test_default_model_is_no_key_of_claude_codes_own_files(path: str) -> None:
    assert warnings("set.default_model = 'x'", path) == [
        f"4:5: settings.a.set.default_model: {UNREAD}"
    ]
    assert warnings("one_of.default_model = ['x']", path) == [
        f"4:8: settings.a.one_of.default_model: {UNREAD}"
    ]
    assert warnings("absent = ['/default_model']", path) == []
    assert warnings("set.nested.default_model = 'x'", path) == []


def test_another_programs_file_may_have_a_default_model() -> None:
    assert warnings("set.default_model = 'x'", "/opt/agent/settings.json") == []


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ("set.model = 'claude-sonnet-4-6'", "4:5: settings.a.set.model"),
        ("one_of.model = ['sonnet']", "4:8: settings.a.one_of.model"),
        ("set.model = 'x'\nset.env.OTHER = '1'", "4:5: settings.a.set.model"),
    ],
)
def test_a_model_is_not_held_while_the_files_own_variable_is_free(lines: str, place: str) -> None:
    assert warnings(lines) == [f"{place}: {FREE}"]


@pytest.mark.parametrize(
    "lines",
    [
        f"{HELD}set.model = 'claude-sonnet-4-6'",
        "absent = ['/env']\nset.model = 'claude-sonnet-4-6'",
        "set.env.ANTHROPIC_MODEL = 'claude-sonnet-4-6'\nset.model = 'claude-sonnet-4-6'",
        "absent = ['/model']",
        "set.effortLevel = 'high'",
    ],
)
def test_nothing_is_said_where_the_variable_is_held_or_no_model_is(lines: str) -> None:
    assert warnings(lines) == []


def test_the_variable_may_be_held_by_another_entry_of_the_same_file() -> None:
    other = f"set.model = 'claude-sonnet-4-6'\n[settings.b]\npath = '{CLAUDE}'\n{HELD}"
    assert warnings(other) == []


def test_a_model_of_another_program_has_no_such_variable() -> None:
    assert warnings("set.model = 'gpt-4.1'", "/opt/agent/config.json") == []
    assert warnings("set.model = 'claude-sonnet-4-6'", "/opt/agent/config.json") != []


def test_an_entry_that_holds_nothing_is_pointed_at() -> None:
    assert warnings("") == ["2:11: settings.a: warning: holds no key of the file"]


def test_a_warning_never_says_a_value_under_a_secret_key() -> None:
    made = policy("version = 1\n[settings.token]\npath = '/a'\nset.model = 'claude-hunter-4.6'\n")
    assert made.warnings
    assert not any("hunter" in line for line in made.warnings)


BYPASS = "services = ['a.service', 'b.service']\nset.permissions.disableBypassPermissionsMode = "


@pytest.mark.parametrize(
    "command",
    [
        ("/usr/bin/claude", "-p", "--dangerously-skip-permissions"),
        ("/bin/sh", "-c", "exec claude --dangerously-skip-permissions -p"),
        ("/bin/sh", "-c", "claude '--dangerously-skip-permissions'; true"),
    ],
)
def test_the_bypass_key_is_suspected_where_the_service_is_started_with_the_flag(
    command: tuple[str, ...],
) -> None:
    made = policy(f"version = 1\n[settings.a]\npath = '/a'\n{BYPASS}'disable'")
    commands: dict[str, list[tuple[str, ...]]] = {
        "a.service": [("/bin/true",), command],
        "b.service": [("/bin/claude",)],
    }
    assert bypass_warnings(made, commands.__getitem__) == [
        (
            "policy.toml:5:17: settings.a.set.permissions.disableBypassPermissionsMode: warning: "
            "a.service is started with --dangerously-skip-permissions, which Claude Code refuses "
            "while this is held: the service may not start again"
        )
    ]


@pytest.mark.parametrize("lines", [f"{BYPASS}'allow'", "services = ['a.service']\nset.a = 1"])
def test_no_command_line_is_asked_for_where_the_bypass_key_is_not_held(lines: str) -> None:
    made = policy(f"version = 1\n[settings.a]\npath = '/a'\n{lines}")

    def never(unit: str) -> list[list[str]]:
        raise AssertionError(unit)

    assert bypass_warnings(made, never) == []


def test_a_flag_that_only_allows_asking_is_not_the_flag() -> None:
    made = policy(f"version = 1\n[settings.a]\npath = '/a'\n{BYPASS}'disable'")
    command = ["/bin/claude", "--allow-dangerously-skip-permissions"]
    assert bypass_warnings(made, lambda _: [command]) == []
