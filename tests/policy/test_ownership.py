import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.model import Exactly, Field, Gone, Json, Members, OneOf, Rule
from tests.policy.declared import messages, policy

ENTRY = 'version = 1\n[settings.a]\npath = "/a.json"\n'
OTHER = '[settings.b]\npath = "{}"\n'


def test_every_sort_of_rule_is_owned_in_the_order_of_the_text() -> None:
    (entry,) = policy(
        f"""{ENTRY}
        absent = ["/env/ANTHROPIC_MODEL", "/a~1b/~0"]
        set.z = 1
        set.permissions = {{ defaultMode = "plan", hooks = [{{ a = [] }}, {{}}] }}
        set.a."" = ""
        one_of.effortLevel = ["medium", 1, 2.5]
        include.permissions.deny = ["Read(./.env)"]
        include.permissions.allow = ["x"]
        exclude.permissions.allow = ["Bash(*)"]
        exclude.hooks = [false]
        """
    ).settings
    expected: dict[Field, Rule] = {
        ("z",): Exactly(1),
        ("permissions", "defaultMode"): Exactly("plan"),
        ("permissions", "hooks"): Exactly([{"a": []}, {}]),
        ("a", ""): Exactly(""),
        ("effortLevel",): OneOf(("medium", 1, 2.5)),
        ("permissions", "deny"): Members(include=("Read(./.env)",)),
        ("permissions", "allow"): Members(include=("x",), exclude=("Bash(*)",)),
        ("hooks",): Members(exclude=(False,)),
        ("env", "ANTHROPIC_MODEL"): Gone(),
        ("a/b", "~"): Gone(),
    }
    assert entry.rules == expected
    assert list(entry.rules) == list(expected)


@pytest.mark.parametrize(
    ("one", "other", "field"),
    [
        ("set.m = 1", "one_of.m = [1]", "/m"),
        ("set.m = 1", "absent = ['/m']", "/m"),
        ("set.m = [1]", "include.m = [1]", "/m"),
        ("set.m = [1]", "exclude.m = [2]", "/m"),
        ("one_of.m = [1]", "include.m = [1]", "/m"),
        ("set.m.n = 1", "absent = ['/m']", "/m"),
        ("set.m = [1]", "absent = ['/m/0']", "/m"),
        ("include.m = [1]", "one_of.m.n.o = [1]", "/m"),
        ('set."x/y~" = 1', "absent = ['/x~1y~0']", "/x~1y~0"),
    ],
)
def test_a_field_owned_twice_is_refused_with_both_places(one: str, other: str, field: str) -> None:
    line, *_ = messages(f"{ENTRY}{one}\n{other}")
    assert f": {field} of this file is owned twice; settings.a." in line
    place = line.split("(policy.toml:")[1].split(")")[0]
    own_line = line.split(":")[1]
    assert {place, own_line} & {"4"}
    assert place != own_line


@pytest.mark.parametrize("path", ["/a.json", "/home/*/a.json"])
def test_two_entries_may_own_other_fields_of_one_file_but_not_the_same(path: str) -> None:
    head = f'version = 1\n[settings.a]\npath = "{path}"\nset.m = 1\n' + OTHER.format(path)
    assert messages(f"{head}set.n = 1") == []
    assert messages(f"{head}set.m = 1") == [
        (
            "policy.toml:7:5: settings.b.set.m: /m of this file is owned twice; "
            "settings.a.set.m (policy.toml:4) owns it too"
        )
    ]
    assert messages(f"{head}absent = ['/m/x']") == [
        (
            "policy.toml:7:11: settings.b.absent[0]: /m of this file is owned twice; "
            "settings.a.set.m (policy.toml:4) owns it too"
        )
    ]


@pytest.mark.parametrize(
    ("one", "other", "met"),
    [
        ("/home/*/a.json", "/home/bob/*.json", "/home/bob/a.json"),
        ("/srv/*.json", "/srv/a*", "/srv/a.json"),
        ("/srv/[a-m]*", "/srv/?", "/srv/a"),
    ],
)
@pytest.mark.parametrize(
    ("rule", "field"), [("set.m = 2", "/m"), ("absent = ['/m/x']", "/m"), ("set.n = 2", None)]
)
def test_two_patterns_that_meet_may_not_own_one_field_either(
    one: str, other: str, met: str, rule: str, field: str | None
) -> None:
    head = f'version = 1\n[settings.a]\npath = "{one}"\nset.m = 1\n'
    found = messages(f"{head}{OTHER.format(other)}{rule}")
    if field is None:
        assert found == []
        return
    (line,) = found
    assert line.startswith("policy.toml:7:")
    assert line.endswith(
        f": {field} of {met}, which two patterns match, is owned twice; "
        "settings.a.set.m (policy.toml:4) owns it too"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/home/*/a.json", "/home/*/b.json"),
        ("/home/*/a.json", "/srv/*/a.json"),
        ("/home/*/a.json", "/home/.*/a.json"),
        ("/srv/[a-m]*.json", "/srv/[n-z]*.json"),
        ("/srv/*.json", "/srv/*/a.json"),
    ],
)
def test_two_patterns_that_no_file_can_match_both_may(one: str, other: str) -> None:
    head = f'version = 1\n[settings.a]\npath = "{one}"\nset.m = 1\n'
    assert messages(f"{head}{OTHER.format(other)}set.m = 2") == []


def test_a_path_that_takes_its_file_away_parts_two_patterns_that_meet_nowhere_else() -> None:
    patterns = (
        'version = 1\n[settings.a]\npath = "/home/*/a.json"\nset.m = 1\n'
        '[settings.b]\npath = "/home/bob/*.json"\nset.m = 2\n'
    )
    assert len(messages(patterns)) == 1
    exact = '[settings.c]\npath = "/home/bob/{}.json"\nset.m = 3\n'
    assert messages(patterns + exact.format("a")) == []
    assert len(messages(patterns + exact.format("b"))) == 1


def test_a_path_that_two_patterns_share_is_shown_without_what_a_terminal_acts_on() -> None:
    text = (
        'version = 1\n[settings.a]\npath = "/srv/\\u001b*"\nset.m = 1\n'
        '[settings.b]\npath = "/srv/*\\u001b"\nset.m = 2\n'
    )
    (line,) = messages(text)
    assert r"/m of /srv/\x1b, which" in line


def test_a_home_and_its_absolute_path_are_one_file() -> None:
    text = ENTRY.replace("/a.json", "~/a.json") + "set.m = 1\n" + OTHER.format("/home/me/a.json")
    assert len(messages(f"{text}set.m = 2", home="/home/me")) == 1
    assert messages(f"{text}set.m = 2", home="/home/you") == []


def test_other_files_may_have_the_same_fields() -> None:
    text = f"{ENTRY}set.m = 1\n" + OTHER.format("/b.json") + "set.m = 2\n"
    assert messages(text) == []


def test_a_fragment_that_owns_a_field_again_is_named() -> None:
    assert messages(f"{ENTRY}set.m = 1", "[settings.a]\none_of.m = [1]") == [
        (
            "policy.d/10.toml:2:8: settings.a.one_of.m: /m of this file is owned twice; "
            "settings.a.set.m (policy.toml:4) owns it too"
        )
    ]


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("mode", '"enforce"', '"observe"'),
        ("create", "true", "false"),
        ("on_missing", '"owned"', '"last-good"'),
    ],
)
def test_entries_of_one_file_must_not_disagree(key: str, one: str, other: str) -> None:
    head = f"{ENTRY}{key} = {one}\nset.m = 1\n" + OTHER.format("/a.json") + "set.n = 1\n"
    assert messages(f"{head}{key} = {one}") == messages(head) == []
    assert messages(f"{head}{key} = {other}") == [
        (
            f"policy.toml:9:1: settings.b.{key}: differs from settings.a.{key} (policy.toml:4), "
            "for the same file"
        )
    ]


def test_a_member_cannot_be_wanted_and_unwanted() -> None:
    text = f"{ENTRY}include.l = ['a', 1, true]\nexclude.l = [1.0, 'b']"
    assert messages(text) == [
        "policy.toml:4:19: settings.a.include.l[1]: is in `exclude` of this list too"
    ]


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
SCALARS = (
    st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False)
)
LEAVES: st.SearchStrategy[Json] = SCALARS | st.lists(
    SCALARS | st.dictionaries(KEYS, SCALARS, max_size=2), max_size=3
)
TREES: st.SearchStrategy[Json] = st.recursive(
    LEAVES, lambda inside: st.dictionaries(KEYS, inside, min_size=1, max_size=3), max_leaves=6
)


def toml(value: Json) -> str:
    """A value in TOML, inline; JSON's escapes are among TOML's but for two."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def leaves(tree: Json, field: Field = ()) -> dict[Field, Json]:
    if not isinstance(tree, dict):
        return {field: tree}
    found: dict[Field, Json] = {}
    for key, value in tree.items():
        found |= leaves(value, (*field, key))
    return found


@given(st.dictionaries(KEYS, TREES, max_size=3))
def test_any_tree_is_owned_leaf_by_leaf_and_value_by_value(tree: dict[str, Json]) -> None:
    (entry,) = policy(f"{ENTRY}set = {toml(tree)}\n").settings
    owned = {field: rule.value for field, rule in entry.rules.items() if isinstance(rule, Exactly)}
    assert repr(owned) == repr(leaves(tree))
