"""What holds of every settings file: it reads as a reference reads it and is edited as a model is.

Documents come from a printer of this file's own, which knows more ways to write JSON than any
program does; the model edits trees, in which a key may stand twice.
"""

import json
import re
from collections.abc import Iterator
from random import Random
from typing import NamedTuple, TypeAlias

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jada_configd.core.model import ABSENT, Field, Json, Members, Value, same
from jada_configd.formats.json_text import NotJson, fresh, parse

# ------------------------------------------------------------------------------ documents as trees


class Object(tuple["tuple[str, Tree]", ...]):
    """Members in order; keys may stand twice."""

    __slots__ = ()


Tree: TypeAlias = "bool | int | float | str | list[Tree] | Object | None"

KEYS = st.sampled_from(["a", "b", "model", "é", "0", "1", "", '"\\', "\ud800"])
NUMBERS = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1, -0.0, 1.0, 100.0, 10**30]),
)
TEXTS = st.text(alphabet=st.sampled_from('ab[{}],:\\"\n\t\x01é€😀\ud800\u2028'), max_size=6)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)


def object_of(values: st.SearchStrategy[Tree]) -> st.SearchStrategy[Object]:
    return st.lists(st.tuples(KEYS, values), max_size=5).map(Object)


TREES = st.recursive(
    SCALARS, lambda below: st.one_of(st.lists(below, max_size=4), object_of(below)), max_leaves=12
)
ROOTS = object_of(TREES)


def plain(tree: Tree) -> Json:
    """The tree as JSON.parse gives it."""
    if isinstance(tree, Object):
        return {key: plain(value) for key, value in tree}
    return [plain(member) for member in tree] if isinstance(tree, list) else tree


def tree_of(text: str) -> Tree:
    """The tree of a text, by the reference parser."""
    return json.loads(text, object_pairs_hook=Object)  # type: ignore[no-any-return]


def agree(one: Tree, other: Tree) -> bool:
    """Whether two trees are one: keys in order, and every value `same`."""
    if isinstance(one, Object) and isinstance(other, Object):
        return len(one) == len(other) and all(
            left[0] == right[0] and agree(left[1], right[1])
            for left, right in zip(one, other, strict=True)
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(agree, one, other))
    if isinstance(one, list | Object) or isinstance(other, list | Object):
        return False
    return same(one, other)


# -------------------------------------------------------------------------------------- the printer


class Printer:
    """Writes a tree with white space, escapes and number spellings as they fall."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.blanks = random.choice(["", " ", "\n  ", "\r\n\t", " \t\r\n"])

    def blank(self) -> str:
        length = self.random.choice([0, 0, 1, len(self.blanks)])
        return "".join(self.random.choices(self.blanks, k=length)) if self.blanks else ""

    def string(self, value: str) -> str:
        def one(character: str) -> str:
            if character in '"\\' or character < " ":
                return json.dumps(character)[1:-1]
            if "\ud800" <= character <= "\udfff" or self.random.random() < 0.2:
                return escape(character)
            return character

        return '"' + "".join(map(one, value)) + '"'

    def number(self, value: float) -> str:
        if repr(value) == "100.0":
            return self.random.choice(["1e2", "100.0", "1.0E+2", "10000e-2"])
        return repr(value)

    def write(self, tree: Tree) -> str:
        if isinstance(tree, Object):
            body = self.around(self.string(key) + self.colon() + self.write(v) for key, v in tree)
            return "{" + body + "}"
        if isinstance(tree, list):
            return "[" + self.around(self.write(member) for member in tree) + "]"
        if isinstance(tree, str):
            return self.string(tree)
        if tree is None or isinstance(tree, bool):
            return json.dumps(tree)
        return self.number(tree)

    def colon(self) -> str:
        return self.blank() + ":" + self.blank()

    def around(self, members: Iterator[str]) -> str:
        """The members with commas and blanks around each."""
        return ",".join(self.blank() + member + self.blank() for member in members) or self.blank()


def escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2))


class Written(NamedTuple):
    """A tree and one way to write it."""

    tree: Object
    data: bytes


@st.composite
def written(draw: st.DrawFn, roots: st.SearchStrategy[Object] = ROOTS) -> Written:
    printer = Printer(Random(draw(st.integers(0, 2**32))))
    text = printer.blank() + printer.write(draw(roots)) + printer.blank()
    mark = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"]))
    tree = tree_of(text)  # two escaped surrogates side by side have become one character
    assert isinstance(tree, Object)
    return Written(tree, mark + text.encode())


# ---------------------------------------------------------------------------------- the model edit


FIELDS = st.lists(KEYS, min_size=1, max_size=3).map(tuple)
WANTED = st.one_of(st.just(ABSENT), TREES.map(plain))
Changes: TypeAlias = list[tuple[Field, Value]]


@st.composite
def fields_of(draw: st.DrawFn, tree: Tree) -> Field:
    """A field that the tree has, or nearly."""
    field: list[str] = []
    while (not field or draw(st.integers(0, 3))) and isinstance(tree, list | Object) and tree:
        if isinstance(tree, Object):
            key, tree = draw(st.sampled_from(tree))
            field.append(key)
        else:
            index = draw(st.integers(0, len(tree) - 1))
            field.append(str(index))
            tree = tree[index]
    return tuple(field) or draw(FIELDS)


@st.composite
def changes_for(
    draw: st.DrawFn, tree: Object, wanted: st.SearchStrategy[Value] = WANTED
) -> Changes:
    """Changes of which no field lies within another; those that drop come last."""
    fields: list[Field] = []
    for field in draw(st.lists(st.one_of(fields_of(tree), FIELDS), max_size=4)):
        if not any(field[: len(other)] == other[: len(field)] for other in fields):
            fields.append(field)
    changes: Changes = [(field, draw(wanted)) for field in fields]
    return sorted(changes, key=lambda change: change[1] is ABSENT)


def index_in(tree: list[Tree], token: str) -> int | None:
    return (
        int(token) if re.fullmatch("0|[1-9][0-9]{0,6}", token) and int(token) < len(tree) else None
    )


def model_values(tree: Tree, field: Field) -> list[Tree]:
    if not field:
        return [tree]
    if isinstance(tree, Object):
        below = [value for key, value in tree if key == field[0]]
    elif isinstance(tree, list):
        index = index_in(tree, field[0])
        below = [] if index is None else [tree[index]]
    else:
        below = []
    return [found for value in below for found in model_values(value, field[1:])]


def model_effective(tree: Tree, field: Field) -> Value:
    value: Json = plain(tree)
    for token in field:
        if isinstance(value, dict):
            if token not in value:
                return ABSENT
            value = value[token]
        elif isinstance(value, list):
            index = index_in(value, token)  # type: ignore[arg-type]
            if index is None:
                return ABSENT
            value = value[index]
        else:
            return ABSENT
    return value


def model_drop(tree: Tree, field: Field) -> Tree:
    token, *rest = field
    if isinstance(tree, Object):
        return Object(
            (key, model_drop(value, tuple(rest)) if rest and key == token else value)
            for key, value in tree
            if rest or key != token
        )
    if isinstance(tree, list):
        index = index_in(tree, token)
        if index is None:
            return tree
        return (
            [*tree[:index], model_drop(tree[index], tuple(rest)), *tree[index + 1 :]]
            if rest
            else tree[:index]
        )
    return tree


def as_tree(value: Json) -> Tree:
    if isinstance(value, dict):
        return Object((key, as_tree(below)) for key, below in value.items())
    return [as_tree(member) for member in value] if isinstance(value, list) else value


def model_set(tree: Tree, field: Field, value: Json, *, counts: bool = True) -> Tree:
    """`counts` says that a reader of the whole gets this part of it."""
    if not field:
        return tree if same(plain(tree), value) else as_tree(value)
    token, rest = field[0], field[1:]
    if isinstance(tree, list):
        index = index_in(tree, token)
        if index is not None:
            below = model_set(tree[index], rest, value, counts=counts)
            return [*tree[:index], below, *tree[index + 1 :]]
    if not isinstance(tree, Object):
        return model_set(Object(), field, value) if counts else tree
    last = max((at for at, (key, _) in enumerate(tree) if key == token), default=-1)
    members = [
        (
            key,
            model_set(below, rest, value, counts=counts and at == last) if key == token else below,
        )
        for at, (key, below) in enumerate(tree)
    ]
    if last < 0 and counts:
        members.append((token, model_set(Object(), rest, value) if rest else as_tree(value)))
    return Object(members)


def model_clear(tree: Tree, field: Field) -> Tree:
    """Where a reader would meet an array without such an index, an empty object instead."""
    if not field:
        return tree
    token, rest = field[0], field[1:]
    if isinstance(tree, list):
        index = index_in(tree, token)
        if index is None:
            return Object()
        return [*tree[:index], model_clear(tree[index], rest), *tree[index + 1 :]]
    if not isinstance(tree, Object):
        return tree
    last = max((at for at, (key, _) in enumerate(tree) if key == token), default=-1)
    return Object(
        (key, model_clear(below, rest) if at == last else below)
        for at, (key, below) in enumerate(tree)
    )


def model_edit(tree: Tree, changes: Changes) -> Tree:
    """Drops come first: what is to be gone is gone, whatever is set."""
    for field, value in changes:
        if value is ABSENT:
            tree = model_drop(tree, field)
    for field, value in changes:
        if value is not ABSENT:
            tree = model_clear(tree, field)
    for field, value in changes:
        if value is not ABSENT:
            tree = model_set(tree, field, value)
    return tree


# ----------------------------------------------------------------------------------------- reading


def text_of(data: bytes) -> str:
    return data.decode("utf-8-sig")


@given(written(), st.data())
def test_a_document_reads_as_the_reference_reads_it(document: Written, data: st.DataObject) -> None:
    parsed = parse(document.data)
    assert parsed.values(()) == [json.loads(text_of(document.data))]
    field = data.draw(fields_of(document.tree))
    assert list(map(repr, parsed.values(field))) == [
        repr(plain(value)) for value in model_values(document.tree, field)
    ]
    assert repr(parsed.effective(field)) == repr(model_effective(document.tree, field))


def refused(name: str) -> Json:
    raise ValueError(name)


@given(written(), st.data())
def test_damaged_bytes_are_refused_or_read_as_the_reference_reads_them(
    document: Written, data: st.DataObject
) -> None:
    damaged = bytearray(document.data)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged)))
        length = data.draw(st.integers(0, 3))
        damaged[at : at + length] = data.draw(
            st.one_of(
                st.sampled_from([b"//", b",", b"NaN", b'"', b"\\", b"\n"]), st.binary(max_size=3)
            )
        )
    text = bytes(damaged).removeprefix(b"\xef\xbb\xbf").decode(errors="replace")
    try:
        expected = json.loads(text, parse_constant=refused) if text.strip(" \t\r\n") else {}
    except ValueError:
        expected = None
    if isinstance(expected, dict):
        assert parse(bytes(damaged)).values(()) == [expected]
        return
    with pytest.raises(NotJson) as caught:
        parse(bytes(damaged))
    assert 1 <= caught.value.line <= text.count("\n") + 1
    assert 1 <= caught.value.column <= len(text.split("\n")[caught.value.line - 1]) + 1


# ----------------------------------------------------------------------------------------- editing


@given(written(), st.data())
def test_an_edited_document_reads_as_the_edited_model(
    document: Written, data: st.DataObject
) -> None:
    changes = data.draw(changes_for(document.tree))
    edited = parse(document.data).edit(changes)
    expected = model_edit(document.tree, changes)
    assert agree(tree_of(text_of(edited)), expected)
    again = parse(edited)
    for field, value in changes:
        assert same(again.effective(field), value)
        assert all(same(found, value) for found in again.values(field))
    assert again.edit(changes) is again.data


@given(written(), st.data())
def test_fields_within_each_other_are_set_in_turn(document: Written, data: st.DataObject) -> None:
    outer = data.draw(FIELDS)
    inner = outer + data.draw(FIELDS)
    changes: Changes = [(outer, data.draw(WANTED)), (inner, data.draw(TREES.map(plain)))]
    for order in (changes, changes[::-1]):
        edited = parse(document.data).edit(order)
        expected: Tree = document.tree
        for change in order:
            expected = model_edit(expected, [change])
        assert agree(tree_of(text_of(edited)), expected)


@given(written(), st.data())
def test_setting_what_is_there_gives_the_same_bytes(document: Written, data: st.DataObject) -> None:
    field = data.draw(fields_of(document.tree))
    parsed = parse(document.data)
    values = parsed.values(field)
    value = parsed.effective(field)
    assume(all(same(found, value) for found in values))
    assert parsed.edit([(field, value)]) is document.data


# A value of a key of its own is told from everything else, so what surrounds it can be named.
MARK = "☃"


@given(written(st.lists(st.tuples(KEYS, TREES), max_size=4).map(Object)), TREES, TREES, st.data())
def test_a_replaced_value_leaves_every_byte_around_it(
    document: Written, old: Tree, new: Tree, data: st.DataObject
) -> None:
    assume(not isinstance(old, list) or not isinstance(new, list))
    assume(not same(plain(old), plain(new)))
    printer = Printer(Random(data.draw(st.integers(0, 2**32))))
    member = (printer.string(MARK) + printer.colon()).encode()
    was = printer.write(old).encode()
    start = document.data.index(b"{") + 1
    before = document.data[:start] + member
    after = b" ," * bool(document.tree) + document.data[start:]
    edited = parse(before + was + after).edit([((MARK,), plain(new))])
    assert edited.startswith(before)
    assert edited.endswith(after)
    assert same(json.loads(edited[len(before) : len(edited) - len(after)]), plain(new))


@given(written(), st.data())
def test_dropping_only_takes_bytes_away_and_adding_only_adds(
    document: Written, data: st.DataObject
) -> None:
    drops = data.draw(changes_for(document.tree, st.just(ABSENT)))
    dropped = parse(document.data).edit(drops)
    assert is_subsequence(dropped, document.data)
    added = parse(document.data).edit([((MARK, "a"), data.draw(TREES.map(plain)))])
    if document.tree:
        at = next(at for at, byte in enumerate(added) if document.data[at] != byte)
        behind = len(document.data) - at
        assert added == document.data[:at] + added[at : len(added) - behind] + document.data[at:]
    assert parse(added).edit([((MARK,), ABSENT)]) == (
        document.data if document.tree else re.sub(rb"\s*}", b"}", document.data)
    )


def is_subsequence(short: bytes, long: bytes) -> bool:
    rest = iter(long)
    return all(byte in rest for byte in short)


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[-+.\w]+|[\[\]{},:]', re.DOTALL)


def leaves(text: str) -> list[tuple[Field, str]]:
    """Each scalar, array and empty object as it is written, below its keys."""
    found: list[tuple[Field, str]] = []
    at = 0

    def step() -> str:
        nonlocal at
        match = TOKEN.match(text, at := len(text) - len(text[at:].lstrip(" \t\r\n")))
        assert match, text[at:]
        at = match.end()
        return match.group()

    def value(path: Field) -> None:
        nonlocal at
        start = at
        token = step()
        if token == "{":
            first = True
            while (token := step()) != "}":
                if token == ",":
                    token = step()
                first = False
                step()
                value((*path, json.loads(token)))
            if not first:
                return
        elif token == "[":
            depth = 1
            while depth:
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(step(), 0)
        found.append((path, text[start:at].strip(" \t\r\n")))

    value(())
    return found


@given(written(), st.data())
def test_what_is_not_owned_is_written_as_it_was(document: Written, data: st.DataObject) -> None:
    changes = data.draw(changes_for(document.tree))

    def others(text: str) -> list[tuple[Field, str]]:
        return [
            (path, token)
            for path, token in leaves(text)
            if not any(path[: len(field)] == field[: len(path)] for field, _ in changes)
        ]

    edited = parse(document.data).edit(changes)
    assert others(text_of(edited)) == others(text_of(document.data))


@given(st.lists(TREES, max_size=6), st.lists(TREES, max_size=3), st.data())
def test_members_of_a_list_that_stay_keep_their_bytes(
    have: list[Tree], include: list[Tree], data: st.DataObject
) -> None:
    printer = Printer(Random(data.draw(st.integers(0, 2**32))))
    texts = [printer.write(member) for member in have]
    document = (
        "{" + printer.string("l") + printer.colon() + "[" + printer.around(iter(texts)) + "]}"
    )
    excluded = data.draw(st.lists(st.sampled_from(have), max_size=3)) if have else []
    parsed = parse(document.encode())
    (value,) = parsed.values(("l",))
    rule = Members(tuple(map(plain, include)), tuple(map(plain, excluded)))
    wanted = rule.wanted(value)
    assert isinstance(value, list)
    assert isinstance(wanted, list)
    edited = parsed.edit([(("l",), wanted)]).decode("utf-8")
    assert same(parse(edited.encode()).effective(("l",)), wanted)
    stays = [
        text
        for text, member in zip(texts, value, strict=True)
        if not any(same(member, other) for other in rule.exclude)
    ]
    at = 0
    for text in stays:
        at = edited.index(text, at) + len(text)
    if value and same(wanted[: len(value)], value):
        head = document[: document.rindex(texts[-1]) + len(texts[-1])]
        assert edited.startswith(head)
        assert edited.endswith(document[len(head) :])


# ------------------------------------------------------------------------------------------- style

STYLES = st.one_of(
    st.builds(lambda unit: {"indent": unit}, st.sampled_from([1, 2, 3, 4, 8, "\t", " \t"])),
    st.sampled_from([{}, {"separators": (",", ":")}, {"separators": (", ", " : ")}]),
)


@given(
    st.dictionaries(KEYS, TREES.map(plain), min_size=1, max_size=4),
    STYLES,
    st.sampled_from(["\n", "\r\n"]),
    st.data(),
)
def test_a_file_of_one_style_stays_of_that_style(
    model: dict[str, Json], style: dict[str, object], newline: str, data: st.DataObject
) -> None:
    def dumps(value: Json) -> bytes:
        text = json.dumps(value, ensure_ascii=False, **style)  # type: ignore[arg-type]
        return text.replace("\n", newline).encode("utf-8", "backslashreplace")

    tree = as_tree(model)
    assert isinstance(tree, Object)
    changes = data.draw(changes_for(tree))
    expected = plain(model_edit(tree, changes))
    assert parse(dumps(model)).edit(changes) == dumps(expected)


@given(changes_for(Object()))
def test_a_new_file_is_what_node_would_print(changes: Changes) -> None:
    expected = plain(model_edit(Object(), changes))
    text = json.dumps(expected, ensure_ascii=False, indent=2) + "\n"
    assert fresh(changes) == text.encode("utf-8", "backslashreplace")
    for blank in (b"", b" \n", b"\xef\xbb\xbf"):
        made = parse(blank).edit(changes)
        assert made.removeprefix(b"\xef\xbb\xbf") in (fresh(changes), blank.strip(b"\xef\xbb\xbf"))
