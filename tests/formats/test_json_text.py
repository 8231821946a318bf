"""Settings files as they are met: what is read, what is refused, and what an edit leaves alone."""

import json
import math
from textwrap import dedent

import pytest

from jada_configd.core.model import ABSENT, Field, Json, Value
from jada_configd.formats.json_text import MOST_LEVELS, NotJson, fresh, parse

Changes = list[tuple[Field, Value]]

BOM = b"\xef\xbb\xbf"


def text(block: str) -> bytes:
    """A document written over lines of a test, without the margin."""
    return dedent(block).lstrip("\n").encode()


# ---------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("data", "field", "values"),
    [
        (b'{"a": 1}', (), [{"a": 1}]),
        (b'{"a": 1}', ("a",), [1]),
        (b'{"a": 1}', ("b",), []),
        (b'{"a": 1}', ("a", "b"), []),
        (b'{"a": 1, "a": 2}', ("a",), [1, 2]),
        (b'{"a": {"b": 1}, "c": 0, "a": {"b": 2, "b": 3}}', ("a", "b"), [1, 2, 3]),
        (b'{"a": {"b": 1}, "a": {}}', ("a", "b"), [1]),
        (b'{"a": {"b": 1, "b": 2}}', ("a",), [{"b": 2}]),
        (b'{"a": [5, [6]]}', ("a", "1", "0"), [6]),
        (b'{"a": [5]}', ("a", "1"), []),
        (b'{"a": [5, 6]}', ("a", "01"), []),
        (b'{"a": [5]}', ("a", "-"), []),
        (b'{"a": [5]}', ("a", "-1"), []),
        (b'{"a": [5]}', ("a", "\u0660"), []),
        (b'{"a": [5]}', ("a", "9" * 5000), []),
        (b'{"a": {"0": 5}}', ("a", "0"), [5]),
        (b'{"": {"": null}}', ("", ""), [None]),
        (b'{"a/b~c": 1}', ("a/b~c",), [1]),
        (b'{"\\u0061": 1, "a": 2}', ("a",), [1, 2]),
        (b'{"\\ud800": 1}', ("\ud800",), [1]),
        (b'{"a": "\\ud800"}', ("a",), ["\ud800"]),
        (b'{"a": "\\ud83d\\ude00"}', ("a",), ["\U0001f600"]),
        (b'{"\xff": 1}', ("\ufffd",), [1]),
        (b'{"a": "x\xf0\x9f\x98y"}', ("a",), ["x\ufffdy"]),
        (b'{"a\\u0001\\n": 1}', ("a\x01\n",), [1]),
        (b'{"a": "\x7f\xe2\x80\xa8"}', ("a",), ["\x7f\u2028"]),
        (b'{"a": true}', ("a",), [True]),
        (b'{"a": null}', ("a",), [None]),
    ],
)
def test_every_value_at_a_field_is_found(data: bytes, field: Field, values: list[Json]) -> None:
    found = parse(data).values(field)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("data", "field", "value"),
    [
        (b'{"a": 1, "a": 2}', ("a",), 2),
        (b'{"a": {"b": 1}, "a": {}}', ("a", "b"), ABSENT),
        (b'{"a": {"b": 1}, "a": 5}', ("a", "b"), ABSENT),
        (b'{"a": {"b": 1}, "a": {"b": 2}}', ("a", "b"), 2),
        (b'{"a": [1]}', ("a", "0"), 1),
        (b"", ("a",), ABSENT),
        (b'{"a": null}', ("a",), None),
    ],
)
def test_a_reader_gets_the_last_of_keys_that_stand_twice(
    data: bytes, field: Field, value: Value
) -> None:
    assert parse(data).effective(field) == value


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("1", 1),
        ("-0", 0),
        ("1.0", 1.0),
        ("1e2", 100.0),
        ("1E+2", 100.0),
        ("-0.0", -0.0),
        ("18446744073709551617", 18446744073709551617),
        ("1e999", math.inf),
        ("-1e999", -math.inf),
        ("7" * 100_001, math.inf),
        ("-" + "7" * 2_000_000, -math.inf),
    ],
)
def test_numbers_keep_their_kind_and_a_huge_one_is_infinite(spelling: str, value: float) -> None:
    (found,) = parse(b'{"a": %s}' % spelling.encode()).values(("a",))
    assert (found, type(found)) == (value, type(value))
    assert math.copysign(1, found) == math.copysign(1, value)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [4299, 4300, 4301, 5003, 40_000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_integers_longer_than_python_reads_are_exact_and_written_back(
    count: int, sign: str
) -> None:
    digits = sign + ("9081726354" * (count // 10 + 1))[:count]
    data = b'{"a": %s, "b": [%s]}' % (digits.encode(), digits.encode())
    document = parse(data)
    (value,) = document.values(("a",))
    assert isinstance(value, int)
    whole, last = divmod(abs(value), 10**9)
    assert last == int(digits[-9:])
    assert whole % 10**9 == int(digits[-18:-9])
    assert abs(value) // 10 ** (count - 9) == int(digits.removeprefix("-")[:9])
    assert document.edit([(("c",), value)]) == data[:-1] + b', "c": %s}' % digits.encode()


@pytest.mark.parametrize("data", [b"", b" ", b"\n", b"\r\n\t ", BOM, BOM + b"\n"])
def test_nothing_but_white_space_counts_as_an_empty_object(data: bytes) -> None:
    document = parse(data)
    assert document.values(()) == [{}]
    assert document.values(("a",)) == []
    assert document.edit([]) == data
    assert document.edit([(("a",), ABSENT), (("b", "c"), ABSENT)]) == data
    made = document.edit([(("a",), 1), (("b", "c"), [2])])
    mark = BOM if data.startswith(BOM) else b""
    assert made == mark + b'{\n  "a": 1,\n  "b": {\n    "c": [\n      2\n    ]\n  }\n}\n'


def test_one_byte_order_mark_is_stripped_and_kept() -> None:
    document = parse(BOM + b'{"a":1}')
    assert document.values(("a",)) == [1]
    assert document.edit([(("a",), 2)]) == BOM + b'{"a":2}'
    assert document.edit([(("a",), {"b": [1]})]) == BOM + b'{"a":{"b":[1]}}'


# --------------------------------------------------------------------------------------- refusing


@pytest.mark.parametrize(
    ("data", "line", "column", "message"),
    [
        (b'{"a": 1} // why', 1, 10, "JSON has no comments"),
        (b'{\n  // why\n  "a": 1\n}', 2, 3, "JSON has no comments"),
        (b'{"a": /* why */ 1}', 1, 7, "JSON has no comments"),
        (b'{"a": 1 # why\n}', 1, 9, "JSON has no comments"),
        (b'{"a": 1,}', 1, 8, "a comma stands before the closing bracket"),
        (b'{"a": [1, 2,\n]}', 1, 12, "a comma stands before the closing bracket"),
        (b'{"a": NaN}', 1, 7, "JSON has no NaN"),
        (b'{"NaN": "NaN",\n "a": [1, Infinity]}', 2, 11, "JSON has no Infinity"),
        (b'{"a\\"NaN": -Infinity}', 1, 12, "JSON has no -Infinity"),
        (b'{"a": "x\ny"}', 1, 9, "a raw control character (U+000A) is in a string"),
        (b'{"a\x00": 1}', 1, 4, "a raw control character (U+0000) is in a string"),
        (b'{"abc\x00": 1}', 1, 6, "a raw control character (U+0000) is in a string"),
        (b'{"a": "\t"}', 1, 8, "a raw control character (U+0009) is in a string"),
        (b'{"a": "\\x41"}', 1, 8, "this backslash begins no escape that JSON has"),
        (b'{"a": "\\u12g4"}', 1, 8, "this backslash begins no escape that JSON has"),
        (b'{"a": "x', 1, 7, "this string has no end"),
        (b'{"a": "x}\n', 1, 10, "a raw control character (U+000A) is in a string"),
        (b'{"a": 1', 1, 8, "the text ends before the document does"),
        (b'{\n"a": ', 2, 6, "the text ends before the document does"),
        (b"{", 1, 2, "the text ends before the document does"),
        (b'{"a": 1} {"b": 2}', 1, 10, "text follows the end of the document: '{'"),
        (b'{"a": 1}\n\xc3\xa9', 2, 1, "text follows the end of the document: '\\xe9'"),
        (b"{} \x00", 1, 4, "text follows the end of the document: '\\x00'"),
        (b"{'a': 1}", 1, 2, 'a key in double quotes should stand here, not "\'"'),
        (b"{a: 1}", 1, 2, "a key in double quotes should stand here, not 'a'"),
        (b'{"a" 1}', 1, 6, "a colon should stand here, not '1'"),
        (b'{"a": 01}', 1, 8, "a comma or a closing bracket should stand here, not '1'"),
        (b'{"a": .5}', 1, 7, "a value should stand here, not '.'"),
        (b'{"a": +1}', 1, 7, "a value should stand here, not '+'"),
        (b'{"a": 1.}', 1, 8, "a comma or a closing bracket should stand here, not '.'"),
        (b'{"a": True}', 1, 7, "a value should stand here, not 'T'"),
        (b'{"a": undefined}', 1, 7, "a value should stand here, not 'u'"),
        (b'{"a": [1,,2]}', 1, 10, "a value should stand here, not ','"),
        (b'{"\xc3\xa9": "\xf0\x9f\x98\x80", x}', 1, 12, "a key in double quotes should"),
        (b'{"a": 1\xc2\xa0}', 1, 8, "a comma or a closing bracket should stand here"),
        (BOM + b"{x", 1, 2, "a key in double quotes should stand here, not 'x'"),
        (BOM + BOM + b"{}", 1, 1, "a value should stand here, not '\\ufeff'"),
        (b"\xff{}", 1, 1, "a value should stand here, not '\\ufffd'"),
        (b"\n [1]", 2, 2, "the whole is an array, where settings are an object"),
        (b'"x"', 1, 1, "the whole is a string, where settings are an object"),
        (b"null", 1, 1, "the whole is null, where settings are an object"),
        (b"-1", 1, 1, "the whole is a number, where settings are an object"),
        ('{"a": 1}'.encode("utf-16"), 1, 1, "this is UTF-16 or UTF-32 text, or binary"),
        ('{"a": 1}'.encode("utf-16-le"), 1, 1, "this is UTF-16 or UTF-32 text, or binary"),
        ('{"a": 1}'.encode("utf-32-be"), 1, 1, "this is UTF-16 or UTF-32 text, or binary"),
        (b"\0" * 64, 1, 1, "there is nothing in it but NUL bytes"),
        (b"\x7fELF\x02\x01\x01\x00", 1, 1, "a value should stand here, not '\\x7f'"),
    ],
)
def test_what_node_would_not_read_is_refused_with_its_place(
    data: bytes, line: int, column: int, message: str
) -> None:
    with pytest.raises(NotJson) as caught:
        parse(data)
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert error.message.startswith(message)
    assert "\n" not in str(error)
    assert str(error) == f"line {line}, column {column}: {error.message}"


def nested(levels: int) -> bytes:
    """An object that is this many levels deep, arrays and objects in turn."""
    opening = b'{"[\\"{":' + b'[{"a":' * ((levels - 1) // 2) + b"[" * ((levels - 1) % 2)
    closing = b"]" * ((levels - 1) % 2) + b"}]" * ((levels - 1) // 2) + b"}"
    return opening + (b"" if (levels - 1) % 2 else b"1") + closing


@pytest.mark.parametrize("levels", [1, 2, 100, MOST_LEVELS])
def test_a_deep_document_is_read_and_edited(levels: int) -> None:
    data = nested(levels)
    document = parse(data)
    assert document.values(()) == [json.loads(data)]
    assert document.edit([(("model",), "x")]) == data[:-1] + b',"model":"x"}'


def test_brackets_in_strings_and_side_by_side_are_no_depth() -> None:
    side_by_side = b'{"a":[' + b",".join([b"[{}]"] * 500) + b"]}"
    assert parse(side_by_side).values(("a", "499")) == [[{}]]
    quoted = b'{"a\\\\":"' + b'[\\"{' * 500 + b'"}'
    assert parse(quoted).values(("a\\",)) == ['["{' * 500]


@pytest.mark.parametrize(
    ("data", "column"),
    [
        (nested(MOST_LEVELS + 1), 604),
        (b"[" * 100_000, 201),
        (b"[" * 100_000 + b"]" * 100_000, 201),
        (b'{"a":' * 100_000, 1001),
        (b'{"a\\\\":' * 300, 1401),
        (b'{"a":"\\"[",' + b'"b":{' * 100_000, 1011),
    ],
)
def test_a_document_that_is_too_deep_is_refused_in_one_sentence(data: bytes, column: int) -> None:
    with pytest.raises(NotJson, match=r"it is nested deeper than 200 levels$") as caught:
        parse(data)
    assert (caught.value.line, caught.value.column) == (1, column)


# ---------------------------------------------------------------------------------------- editing

TWO_SPACES = text("""
    {
      "model": "claude-haiku-4-5",
      "effortLevel" : 1e2,
      "env": {
        "A": "\\u0041"
      },
      "permissions": {
        "allow": ["Bash(ls)", "Bash(*)"],
        "deny": []
      }
    }
    """)


def test_one_scalar_changes_and_no_other_byte() -> None:
    edited = parse(TWO_SPACES).edit([(("model",), "claude-sonnet-4-6")])
    assert edited == TWO_SPACES.replace(b"claude-haiku-4-5", b"claude-sonnet-4-6")


def test_several_fields_change_in_one_edit() -> None:
    changes: Changes = [
        (("permissions", "disableBypassPermissionsMode"), "disable"),
        (("permissions", "deny"), ["Read(./.env)"]),
        (("permissions", "allow"), ["Bash(ls)", "Read"]),
        (("env", "A"), ABSENT),
        (("hooks",), {"Stop": [], "Start": {}}),
        (("effortLevel",), 100),
        (("model",), ABSENT),
    ]
    assert parse(TWO_SPACES).edit(changes) == text("""
        {
          "effortLevel" : 1e2,
          "env": {},
          "permissions": {
            "allow": ["Bash(ls)", "Read"],
            "deny": [
              "Read(./.env)"
            ],
            "disableBypassPermissionsMode": "disable"
          },
          "hooks": {
            "Stop": [],
            "Start": {}
          }
        }
        """)


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        # one line
        (b'{"a":1}', [(("b",), 2)], b'{"a":1,"b":2}'),
        (b'{"a": 1}', [(("b",), 2)], b'{"a": 1, "b": 2}'),
        (b'{"a" : 1}', [(("b",), 2)], b'{"a" : 1, "b" : 2}'),
        (b'{ "a": 1 }', [(("b",), 2)], b'{ "a": 1, "b": 2 }'),
        (b'{"a":1, "b":2}', [(("c",), 3)], b'{"a":1, "b":2, "c":3}'),
        (b'{"a":1}', [(("b", "c"), [1, {"d": 2}])], b'{"a":1,"b":{"c":[1,{"d":2}]}}'),
        (b'{"a": 1}', [(("b", "c"), [1, {"d": 2}])], b'{"a": 1, "b": {"c": [1, {"d": 2}]}}'),
        (b'{"a":{}}\n', [(("a", "b"), 1)], b'{"a":{"b":1}}\n'),
        (b'{"a":[]}', [(("a",), [1, 2])], b'{"a":[1,2]}'),
        (b'{"a": ["x"]}', [(("a",), ["x", "y"])], b'{"a": ["x", "y"]}'),
        (b'{"a":["x"]}', [(("a",), ["x", "y"])], b'{"a":["x","y"]}'),
        (b'{"a":1}', [(("a",), {"b": []})], b'{"a":{"b":[]}}'),
        (b'{"a":1 , "b":2}', [(("c",), 3)], b'{"a":1 , "b":2 , "c":3}'),
        # an empty object says nothing of its style
        (b"{}", [(("a", "b"), 1)], b'{\n  "a": {\n    "b": 1\n  }\n}'),
        (b"{ }\n", [(("a",), 1)], b'{\n  "a": 1\n}\n'),
        (b"{\r\n}\r\n", [(("a",), [1])], b'{\r\n  "a": [\r\n    1\r\n  ]\r\n}\r\n'),
        # over lines
        (
            b'{\n    "a": 1\n}',
            [(("b",), {"c": [1]})],
            b'{\n    "a": 1,\n    "b": {\n        "c": [\n            1\n        ]\n    }\n}',
        ),
        (
            b'{\n\t"a": {}\n}\n',
            [(("a", "b", "c"), 1)],
            b'{\n\t"a": {\n\t\t"b": {\n\t\t\t"c": 1\n\t\t}\n\t}\n}\n',
        ),
        (
            b'{\r\n  "a": []\r\n}\r\n',
            [(("a",), [1, 2]), (("b",), 1)],
            b'{\r\n  "a": [\r\n    1,\r\n    2\r\n  ],\r\n  "b": 1\r\n}\r\n',
        ),
        (b'{\n"a":1,\n"b":[]\n}', [(("b",), [1])], b'{\n"a":1,\n"b":[\n1\n]\n}'),
        (b'{\n  "a": 1}', [(("b",), 2)], b'{\n  "a": 1,\n  "b": 2}'),
        (b'{"a": 1,\n "b": 2}', [(("c",), 3)], b'{"a": 1,\n "b": 2,\n "c": 3}'),
        (
            b'{\n  "a": 1,\n\n\n  "b": 2\n}',
            [(("c",), 3)],
            b'{\n  "a": 1,\n\n\n  "b": 2,\n  "c": 3\n}',
        ),
        (b'{\n\n  "a": 1\n\n}', [(("c",), 3)], b'{\n\n  "a": 1,\n  "c": 3\n\n}'),
        (
            b'{ "a": 1\n, "b": 2\n}',
            [(("c",), 3), (("a",), ABSENT)],
            b'{ "b": 2\n, "c": 3\n}',
        ),
        (b'{\n  "a":\n    1\n}', [(("b",), 2)], b'{\n  "a":\n    1,\n  "b": 2\n}'),
        # one line within many, and many within one
        (
            b'{\n  "a": {"b": 1},\n  "c": { "d": 1 }\n}',
            [(("a", "x"), [1]), (("c", "x"), {"y": 1})],
            b'{\n  "a": {"b": 1, "x": [1]},\n  "c": { "d": 1, "x": {"y": 1} }\n}',
        ),
        (b'{\n  "a": {"b": {}}\n}', [(("a", "b", "c"), 1)], b'{\n  "a": {"b": {"c": 1}}\n}'),
        (b'{\n  "a": ["x"]\n}', [(("a",), ["y", "z"])], b'{\n  "a": ["y", "z"]\n}'),
        (b'{\n  "a": {"b": 1}\n}', [(("a",), ["y", "z"])], b'{\n  "a": ["y", "z"]\n}'),
        (
            b'{"a": [\n    1\n  ]}',
            [(("a",), {"b": 1})],
            b'{"a": {\n    "b": 1\n}}',
        ),
        (
            b'{\n  "a": [\n    {"k": 1}\n  ]\n}',
            [(("a", "0", "l"), 2), (("a",), [{"k": 1, "l": 2}, {"m": 3}])],
            b'{\n  "a": [\n    {"k": 1, "l": 2},\n    {\n      "m": 3\n    }\n  ]\n}',
        ),
        (
            b'{"c": {\n  "d": 1\n}, "a": {\n}}',
            [(("a", "b"), 1)],
            b'{"c": {\n  "d": 1\n}, "a": {\n  "b": 1\n}}',
        ),
        # several styles in one file: the nearest
        (b'{"a" : 1, "b": {"c":2}}', [(("b", "d"), 3)], b'{"a" : 1, "b": {"c":2, "d":3}}'),
        (b'{"a":[ "x" ]}', [(("a",), ["x", "y"])], b'{"a":[ "x", "y" ]}'),
        # dropped
        (b'{"a": 1}', [(("a",), ABSENT)], b"{}"),
        (b'{\n  "a": 1\n}\n', [(("a",), ABSENT)], b"{}\n"),
        (b'{"a": 1, "b": 2,"c":3}', [(("a",), ABSENT)], b'{"b": 2,"c":3}'),
        (b'{"a": 1, "b": 2,"c":3}', [(("b",), ABSENT)], b'{"a": 1,"c":3}'),
        (b'{"a": 1, "b": 2,"c":3}', [(("c",), ABSENT)], b'{"a": 1, "b": 2}'),
        (b'{"a": 1, "b": 2,"c":3}', [(("a",), ABSENT), (("c",), ABSENT)], b'{"b": 2}'),
        (b'{"a": 1, "b": 2,"a":3}', [(("a",), ABSENT)], b'{"b": 2}'),
        (b'{"a": {"b": {"c": 1}}}', [(("a", "b", "c"), ABSENT)], b'{"a": {"b": {}}}'),
        (b'{"a": 1}', [(("a", "b"), ABSENT), (("c", "d"), ABSENT)], b'{"a": 1}'),
        (b'{"a": 1}', [(("a",), ABSENT), (("b",), 2)], b'{"b": 2}'),
        (b'{\n  "a": 1\n}', [(("a",), ABSENT), (("b",), [2])], b'{\n  "b": [\n    2\n  ]\n}'),
        # keys that stand twice
        (b'{"a":1,"b":0,"a":2}', [(("a",), 3)], b'{"a":3,"b":0,"a":3}'),
        (b'{"a":3,"a":2}', [(("a",), 3.0)], b'{"a":3,"a":3.0}'),
        (b'{"a":{"b":1},"a":{}}', [(("a", "b"), 2)], b'{"a":{"b":2},"a":{"b":2}}'),
        (b'{"a":{"b":1},"a":{}}', [(("a", "b"), 1)], b'{"a":{"b":1},"a":{"b":1}}'),
        (b'{"a":{},"a":{}}', [(("a", "b"), 2)], b'{"a":{},"a":{"b":2}}'),
        (b'{"a":5,"a":{"b":1}}', [(("a", "b"), 2)], b'{"a":5,"a":{"b":2}}'),
        (b'{"a":{"b":1},"a":5}', [(("a", "b"), 2)], b'{"a":{"b":2},"a":{"b":2}}'),
        (b'{"a":{"b":1},"a":5}', [(("a", "b"), ABSENT)], b'{"a":{},"a":5}'),
        (b'{"\\u0061":1,"a":2}', [(("a",), 3)], b'{"\\u0061":3,"a":3}'),
        (b'{"a":[1],"a":{}}', [(("a", "0"), 5), (("a", "x"), 6)], b'{"a":[5],"a":{"0":5,"x":6}}'),
        # what is no object on the way
        (b'{"a":"x"}', [(("a", "b", "c"), 1)], b'{"a":{"b":{"c":1}}}'),
        (b'{"a":[1]}', [(("a", "b"), 1)], b'{"a":{"b":1}}'),
        (b'{\n  "a": null\n}', [(("a", "b"), 1)], b'{\n  "a": {\n    "b": 1\n  }\n}'),
        # arrays on the way
        (b'{"a":[1,{"b":2}]}', [(("a", "0"), 5), (("a", "1", "b"), 6)], b'{"a":[5,{"b":6}]}'),
        (b'{"a":[1,2,3]}', [(("a", "1"), ABSENT)], b'{"a":[1]}'),
        (b'{"a":[1,2,3]}', [(("a", "0"), ABSENT)], b'{"a":[]}'),
        (b'{"a":[1]}', [(("a", "1"), ABSENT)], b'{"a":[1]}'),
        (b'{"a":[1]}', [(("a", "1"), 5)], b'{"a":{"1":5}}'),
        (b'{"a":[1,2]}', [(("a", "1"), 5), (("a", "0"), ABSENT)], b'{"a":{"1":5}}'),
        (b'{"a":[1,2]}', [(("a", "5", "b"), ABSENT)], b'{"a":[1,2]}'),
        (b'{"a":[{"b":1}],"a":0}', [(("a", "3"), ABSENT)], b'{"a":[{"b":1}],"a":0}'),
        # fields within each other are taken in turn
        (
            b"{}",
            [(("a",), {"b": 1}), (("a", "c"), 2)],
            b'{\n  "a": {\n    "b": 1,\n    "c": 2\n  }\n}',
        ),
        (b'{"a":{"b":1}}', [(("a", "b"), 2), (("a",), ABSENT)], b"{}"),
        (b'{"a":1}', [(("a",), 2), (("a",), 3)], b'{"a":3}'),
    ],
)
def test_an_edit_is_written_as_the_file_is(before: bytes, changes: Changes, after: bytes) -> None:
    assert parse(before).edit(changes) == after


@pytest.mark.parametrize(
    ("before", "want", "after"),
    [
        ('["a", "b"]', ["b"], '["b"]'),
        ('["a", "b"]', ["a"], '["a"]'),
        ('["a" , "b",  "c"]', ["a", "c"], '["a",  "c"]'),
        ('["\\u0061",1e2]', ["a", 100, "x"], '["\\u0061",1e2,"x"]'),
        ('["a",  "b"]', ["x", "a", "b"], '["x",  "a",  "b"]'),
        ('["a", "b", "c"]', ["a", "x", "c"], '["a", "x", "c"]'),
        ('["a", "a", "b"]', ["a", "b"], '["a", "b"]'),
        ('["a", "b"]', ["a", "b", "a"], '["a", "b", "a"]'),
        ('["a", "b"]', ["b", "a"], '["b", "a"]'),
        ('[ "a" ]', ["a", "b"], '[ "a", "b" ]'),
        ('[ "a" ]', ["b"], '[ "b" ]'),
        ('["a"]', [], "[]"),
        ("[\n    1,\n    2\n  ]", [2, 3], "[\n    2,\n    3\n  ]"),
        ("[\n    1,\n    2\n  ]", [1], "[\n    1\n  ]"),
        ("[\n    1\n  ]", [1, {"a": 2}], '[\n    1,\n    {\n      "a": 2\n    }\n  ]'),
        ("[\n    1, 2,\n    3, 4\n  ]", [1, 3, 4, 5], "[\n    1,\n    3, 4, 5\n  ]"),
        ('[{"a" : 1}, [1 ,2]]', [[1, 2], {"a": 1.0}], '[[1 ,2], {"a": 1.0}]'),
        ("[true, 1]", [1, True], "[1, true]"),
        ("[]", [1], "[\n    1\n  ]"),
    ],
)
def test_of_a_list_only_the_members_that_differ_are_written(
    before: str, want: list[Json], after: str
) -> None:
    template = '{{\n  "list": {},\n  "z": 0\n}}\n'
    edited = parse(template.format(before).encode()).edit([(("list",), want)])
    assert edited == template.format(after).encode()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([(("a",), 100)], "1e2 is 100"),
        ([(("a",), 100.0), (("b",), 1)], "1.0 is 1"),
        ([(("c",), "A")], "an escape is the character"),
        ([(("d",), [1, {"x": 2.0}])], "a list with the same members"),
        ([(("e",), {"y": 2, "x": 1})], "the order of keys is no difference"),
        ([(("f",), ABSENT)], "what is not there need not go"),
        ([(("d", "1", "x"), 2), (("e", "z"), ABSENT)], "nor below"),
        ([], "no change at all"),
    ],
)
def test_an_edit_with_nothing_to_change_gives_the_same_bytes(changes: Changes, reason: str) -> None:
    data = b'\n{"a":1e2,"b":1.0,"c":"\\u0041","d":[1,{"x":2}],"e":{"x":1,"x":1.0,"y":2}} '
    assert parse(data).edit(changes) is data, reason


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("é€😀", "é€😀".encode()),
        ("a\ud800b", b"a\\ud800b"),
        ('"\\\n\x01\x7f/', b'\\"\\\\\\n\\u0001\x7f/'),
        ("\u2028", "\u2028".encode()),
    ],
)
def test_text_is_written_as_utf8_and_a_lone_surrogate_as_its_escape(
    value: str, written: bytes
) -> None:
    edited = parse(b'{"a":1}').edit([(("a",), value), (("k" + value,), None)])
    assert edited == b'{"a":"' + written + b'","k' + written + b'":null}'
    assert parse(edited).values(("a",)) == [value]
    assert parse(edited).values(("k" + value,)) == [None]


def test_an_infinite_number_is_written_so_that_it_is_read_back() -> None:
    edited = parse(b'{"a":[1e999,2]}').edit([(("b",), [math.inf, -math.inf])])
    assert edited == b'{"a":[1e999,2],"b":[1e999,-1e999]}'
    assert parse(edited).values(("b",)) == [[math.inf, -math.inf]]
    with pytest.raises(ValueError, match="JSON"):
        parse(b"{}").edit([(("a",), math.nan)])


def test_bytes_that_are_no_utf8_stay_as_they_are() -> None:
    data = b'{"\xff":"\xc3(","a":1,"b":["\xed\xa0\x80",2]}'
    edited = parse(data).edit([(("a",), 2), (("b",), ["\ufffd\ufffd\ufffd"])])
    assert edited == b'{"\xff":"\xc3(","a":2,"b":["\xed\xa0\x80"]}'
    assert parse(data).edit([(("\ufffd",), ABSENT)]) == b'{"a":1,"b":["\xed\xa0\x80",2]}'


def test_places_hold_behind_characters_of_several_bytes() -> None:
    data = '{"é": "😀", "a": {"€": [1, "ü"]}, "b": 1}'.encode()
    edited = parse(data).edit([(("a", "€"), [1]), (("b",), 2)])
    assert edited == '{"é": "😀", "a": {"€": [1]}, "b": 2}'.encode()


def test_numbers_of_others_may_be_longer_than_python_reads() -> None:
    long = b"1" * 5000
    data = b'{"x":%s,"a":{"x":%s,"b":1}}' % (long, long)
    assert parse(data).edit([(("a", "b"), 2)]) == data.replace(b'"b":1', b'"b":2')


def test_the_whole_document_is_no_field_that_can_be_set() -> None:
    with pytest.raises(ValueError, match="the whole document is no field"):
        parse(b"{}").edit([((), {"a": 1})])


def test_a_new_file_has_two_spaces_and_a_final_newline() -> None:
    changes: Changes = [
        (("model",), "claude-sonnet-4-6"),
        (("env", "X"), ABSENT),
        (("permissions", "deny"), ["é"]),
        (("permissions", "allow"), []),
    ]
    assert fresh(changes) == text("""
        {
          "model": "claude-sonnet-4-6",
          "permissions": {
            "deny": [
              "é"
            ],
            "allow": []
          }
        }
        """)
    assert fresh([]) == b"{}\n"
