import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.policy.documents import Documents
from tests.policy.declared import messages

ENTRY = '[settings.a]\npath = "/a.json"\n'


def only_message(text: str) -> str:
    (message,) = messages(text)
    return message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "1:5: not TOML: invalid value"),
        ("version = 1\na = [1,\n", "3:1: not TOML: invalid value"),
        ("a = 'x", '1:7: not TOML: expected "\'"'),
        ('a = "\\q"', "1:8: not TOML: unescaped '\\' in a string"),
        ('a = "\x01"', "1:6: not TOML: illegal character '\\x01'"),
        ("version = 1 2", "1:13: not TOML: expected newline or end of document after a statement"),
        ("= 1", "1:1: not TOML: invalid statement"),
        ("[a\n", "1:3: not TOML: expected ']' at the end of a table declaration"),
        ("\ufeffversion = 1", "1:1: not TOML: begins with a byte order mark; save it without one"),
        ("a = 1\r\nb = \r\n", "2:5: not TOML: invalid value"),
        ("a = 1979-02-30", "1:5: not TOML: invalid date or datetime"),
        ("a.b = 1\n[a]\n", "2:3: not TOML: cannot declare this key twice"),
        ("a = {b = 1}\na.c = 1", "2:8: not TOML: cannot mutate immutable namespace this key"),
    ],
)
def test_what_is_not_toml_is_said_with_its_place(text: str, message: str) -> None:
    assert only_message(text) == f"policy.toml:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = 2\na = 3\n", "3:1: a: stands twice (first at 1:1)"),
        ("[s.x]\np = 1\np = 2\n", "3:1: s.x.p: stands twice (first at 2:1)"),
        ("[s.x]\n[b]\n[s.x]\n", "3:4: s.x: stands twice (first at 1:4)"),
        ("a = {b = 1, b = 2}", "1:13: a.b: stands twice (first at 1:6)"),
        ('[s."x y"]\n[s."x y"]', '2:4: s."x y": stands twice (first at 1:4)'),
    ],
)
def test_a_key_that_stands_twice_is_named_with_both_places(text: str, message: str) -> None:
    assert only_message(text) == f"policy.toml:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 5000, "1:105: not read: nested more than 100 levels deep"),
        ("x = 1\n" + "a." * 5000 + "a = 1", "2:201: not read: nested more than 100 levels deep"),
        ("x = 1\na = " + "9" * 5000, "2:5: not read: an integer must fit into 64 bits"),
    ],
)
def test_what_would_overrun_the_parser_is_refused_with_its_place(text: str, message: str) -> None:
    assert only_message(text) == f"policy.toml:{message}"


def test_every_file_that_is_not_toml_is_named() -> None:
    assert messages("a = ", "version = 1", "b = 1\n[") == [
        "policy.toml:1:5: not TOML: invalid value",
        "policy.d/20.toml:2:2: not TOML: invalid initial character for a key part",
    ]


def test_a_later_text_overrides_key_by_key() -> None:
    documents = Documents(
        [
            ("policy.toml", "[t]\na = 1\nlist = [1, 2]\n[t.u]\nb = 1\nc = 1\n[kept]\nk = 1\n"),
            ("policy.d/1.toml", "[t]\nlist = [3]\n[t.u]\nb = 2\n[new]\nn = 1\n"),
            ("policy.d/2.toml", "t.u.b = {x = 1}\nt.a = 5\n"),
        ]
    )
    assert documents.tree == {
        "t": {"a": 5, "list": [3], "u": {"b": {"x": 1}, "c": 1}},
        "kept": {"k": 1},
        "new": {"n": 1},
    }
    places = {
        ("t",): "policy.toml:1:2",  # a table stands where it was first
        ("t", "list", 0): "policy.d/1.toml:2:9",
        ("t", "u"): "policy.toml:4:4",
        ("t", "u", "c"): "policy.toml:6:1",
        ("t", "a"): "policy.d/2.toml:2:3",
        ("new",): "policy.d/1.toml:5:2",
        ("t", "missing"): "policy.toml:1:2",  # at its table
        ("missing",): "policy.toml:1:1",
    }
    assert {keys: str(documents.place(keys)) for keys in places} == places


def test_a_fragment_gets_the_blame_for_what_it_overrides() -> None:
    found = messages(f"version = 1\n{ENTRY}mode = 'observe'\n", "[settings.a]\n\nmode = 'obsrve'")
    assert found == [
        (
            'policy.d/10.toml:3:1: settings.a.mode: must be "enforce" or "observe"; '
            'did you mean "observe"?'
        )
    ]


VALUES = st.recursive(
    st.integers(0, 3) | st.booleans(),
    lambda inside: st.dictionaries(st.sampled_from("abc"), inside, min_size=1, max_size=3),
    max_leaves=8,
)
TREES = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def as_toml(tree: dict[str, object], prefix: str = "") -> str:
    lines = []
    for key, value in tree.items():
        if isinstance(value, dict):
            lines.append(as_toml(value, f"{prefix}{key}."))
        else:
            lines.append(f"{prefix}{key} = {str(value).lower()}\n")
    return "".join(lines)


def overlaid(below: dict[str, object], above: dict[str, object]) -> dict[str, object]:
    made = dict(below)
    for key, value in above.items():
        here = made.get(key)
        both = isinstance(here, dict) and isinstance(value, dict)
        made[key] = overlaid(here, value) if both else value  # type: ignore[arg-type]
    return made


@given(st.lists(TREES, min_size=1, max_size=3))
def test_texts_overlay_as_trees_do(trees: list[dict[str, object]]) -> None:
    texts = [(f"{index}.toml", as_toml(tree)) for index, tree in enumerate(trees)]
    expected: dict[str, object] = {}
    for tree in trees:
        expected = overlaid(expected, tree)
    assert Documents(texts).tree == expected


MESSAGE = re.compile(r"policy(?:\.d/10)?\.toml:[1-9][0-9]*:[1-9][0-9]*: \S.*: \S.*", re.DOTALL)
TEMPLATE = """\
version = 1
[daemon]
mode = "enforce"
sweep = "5m"
[settings."a b"]
path = "/home/*/.claude/settings.json"
services = ["a.service", 'b@1.service']
absent = ["/env/A~1B"]
set.model = "claude-sonnet-4-6"
[settings."a b".include]
permissions = { deny = ["Read(./.env)", 1, 2.5, {x = [true]}] }
[service."a.service"]
limits = { nofile = { soft = 1, hard = "max" }, as = 5 }
"""
PIECES = st.sampled_from(
    [
        *"[]{}\"'=.,\n\\#/~",
        *("\x00", "\x1b", "\ud7ff", "\u2028", "\u202e", "..", "**", '"""', '""', "[]", "{}"),
        *("1e999", "nan", "1979-05-27", "9" * 30, "-1", "true", "max", "set", "soft", "service"),
        *("[[settings]]\n", "settings = 1\n"),
    ]
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    text = TEMPLATE
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(PIECES | st.text(max_size=3)) + text[end:]
    return text


@given(damaged(), st.none() | damaged())
def test_damaged_text_loads_or_says_why_in_printable_lines(text: str, more: str | None) -> None:
    texts = [text] if more is None else [text, more]
    try:
        texts = [each.encode().decode() for each in texts]
    except UnicodeEncodeError:
        return  # no file holds it
    for message in messages(*texts):
        assert MESSAGE.fullmatch(message), message
        assert message.isprintable(), message


@given(st.text())
def test_any_text_loads_or_says_why(text: str) -> None:
    for message in messages(text.encode(errors="replace").decode()):
        assert MESSAGE.fullmatch(message), message
