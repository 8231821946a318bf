"""What a whole policy comes out as."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.model import Exactly, Field, Gone, Members, OneOf
from jada_configd.core.specs import Policy, ServiceSpec, SettingsSpec
from jada_configd.policy.limit_models import Limits
from tests.policy.declared import FRAME, plain, policy

EXAMPLE = """\
version = 1

[daemon]
mode  = "enforce"            # or "observe": report drift, change nothing
sweep = "5m"                 # look at everything this often, whatever the watcher said

[settings.orchestrator]                                  # Claude Code settings, held key by key
path     = "/home/ubuntu/.claude/settings.json"
services = ["jada-agent.service"]
create   = true
mode     = "enforce"
on_missing = "owned"
absent   = ["/env/ANTHROPIC_MODEL"]

[settings.orchestrator.set]
model = "claude-sonnet-4-6"
permissions = { disableBypassPermissionsMode = "disable" }

[settings.orchestrator.one_of]
effortLevel = ["medium", "high"]

[settings.orchestrator.include]
permissions = { deny = ["Read(./.env)"] }

[settings.orchestrator.exclude]
permissions = { allow = ["Bash(*)"] }

[service."jada-agent.service"]
apply  = "reload-or-restart"
when   = "auto"
limits = { nofile = { soft = 65536, hard = 1048576 }, nproc = 8192 }
"""


def test_the_example_of_the_language_loads_as_it_reads() -> None:
    made = policy(EXAMPLE)
    bypass: Field = ("permissions", "disableBypassPermissionsMode")
    assert made == Policy(
        path="/p/policy.toml",
        sources=(),
        revision="sha256:0",
        mode="enforce",
        sweep=300.0,
        settings=(
            SettingsSpec(
                name="orchestrator",
                path="/home/ubuntu/.claude/settings.json",
                services=("jada-agent.service",),
                create=True,
                on_missing="owned",
                rules={
                    ("model",): Exactly("claude-sonnet-4-6"),
                    bypass: Exactly("disable"),
                    ("effortLevel",): OneOf(("medium", "high")),
                    ("permissions", "deny"): Members(include=("Read(./.env)",)),
                    ("permissions", "allow"): Members(exclude=("Bash(*)",)),
                    ("env", "ANTHROPIC_MODEL"): Gone(),
                },
                mode="enforce",
                origin="policy.toml:7",
            ),
        ),
        services=(
            ServiceSpec(
                unit="jada-agent.service",
                apply="reload-or-restart",
                when="auto",
                limits={"nofile": (65536, 1048576), "nproc": (8192, 8192)},
                mode="enforce",
                origin="policy.toml:28",
            ),
        ),
        warnings=(),
        bypasses=(
            (
                "jada-agent.service",
                (
                    "policy.toml:17:17: settings.orchestrator.set.permissions."
                    "disableBypassPermissionsMode"
                ),
            ),
        ),
    )


def test_what_is_left_out_has_its_default() -> None:
    made = policy(
        "version = 1\n[settings.a]\npath = '/a'\nset.b = 1\nservices = ['x.service']\n"
        "[settings.b]\npath = '/*/b'\nset.b = 1\n"
    )
    assert (made.mode, made.sweep) == ("enforce", 300.0)
    assert [(entry.create, entry.on_missing, entry.mode) for entry in made.settings] == [
        (True, "owned", "enforce"),
        (False, "owned", "enforce"),  # a wildcard creates nothing
    ]
    assert made.services == (
        ServiceSpec("x.service", "reload-or-restart", "auto", {}, "enforce", "policy.toml:2"),
    )


@pytest.mark.parametrize("live", ["main", "all", "none"])
def test_which_processes_are_changed_while_they_run_is_the_services_matter(live: str) -> None:
    made = policy(f"version = 1\n[service.'x.service']\nlive = '{live}'\n[service.'y.service']\n")
    assert [each.live for each in made.services] == [live, "main"]


def test_an_entry_has_the_daemons_mode_unless_it_says_its_own() -> None:
    made = policy(
        "version = 1\ndaemon.mode = 'observe'\n[settings.a]\npath = '/a'\nset.b = 1\n"
        "[settings.b]\npath = '/b'\nmode = 'enforce'\nset.b = 1\n[service.'x.service']\n"
    )
    assert [entry.mode for entry in made.settings] == ["observe", "enforce"]
    assert made.services[0].mode == "observe"


def test_an_origin_is_the_table_itself_and_in_the_file_that_has_it_first() -> None:
    made = policy(
        "version = 1\n[settings.a.set]\nm = 1\n[settings.a]\npath = '/a'\n",
        "[settings.a]\nset.m = 2\n[settings.b]\npath = '/b'\nset.m = 1\n"
        "[service.'x.service'.limits]\ncore = 0\n",
    )
    assert [entry.origin for entry in made.settings] == ["policy.toml:4", "policy.d/10.toml:3"]
    assert made.services[0].origin == "policy.d/10.toml:6"


def test_entries_without_tables_of_their_own_have_an_origin_too() -> None:
    made = policy("version = 1\nsettings = {a = {path = '/a', set = {b = 1}}}\n")
    assert made.settings[0].origin == "policy.toml:2"


def test_a_leading_tilde_is_the_home() -> None:
    text = "version = 1\n[settings.a]\npath = '~/.claude/settings.json'\nset.b = 1"
    assert policy(text, home="/home/x/").settings[0].path == "/home/x/.claude/settings.json"


def test_every_kernel_limit_can_be_held() -> None:
    names = [field.alias or name for name, field in Limits.model_fields.items()]
    assert sorted(names) == [
        *("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile"),
        *("nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
    ]
    lines = "".join(f"{name} = {{soft = 1, hard = 'max'}}\n" for name in names)
    made = policy(f"version = 1\n[service.'x.service'.limits]\n{lines}")
    assert made.services[0].limits == dict.fromkeys(sorted(names), (1, "max"))


WORDS = st.just("max") | st.integers(0, 2147483584)


@given(st.dictionaries(st.sampled_from(["nofile", "as", "core"]), WORDS, max_size=3), WORDS, WORDS)
def test_limits_come_through_as_written(
    singles: dict[str, int | str], soft: int | str, hard: int | str
) -> None:
    fits = hard in (soft, "max") or (
        isinstance(soft, int) and isinstance(hard, int) and soft <= hard
    )
    pair = {"nproc": (soft, hard)} if fits else {}
    written = {name: json.dumps(word) for name, word in singles.items()}
    written |= {
        name: f"{{soft = {json.dumps(low)}, hard = {json.dumps(high)}}}"
        for name, (low, high) in pair.items()
    }
    lines = "".join(f"{name} = {text}\n" for name, text in written.items())
    made = policy(f"version = 1\n[service.'x.service'.limits]\n{lines}")
    assert made.services[0].limits == {name: (word, word) for name, word in singles.items()} | pair


def test_the_plain_form_is_json_and_says_the_same_after_it() -> None:
    made = plain(EXAMPLE, "settings.orchestrator.set.limit = 1e22\n")
    again = json.loads(json.dumps(made, allow_nan=False))
    assert again == made
    assert Policy.from_plain({**FRAME, **again}) == Policy.from_plain({**FRAME, **made})
