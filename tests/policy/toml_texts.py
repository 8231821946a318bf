"""Generated TOML: the text in every notation that the language has, and the keys that it names."""

import json
import string
from dataclasses import dataclass, field

from hypothesis import strategies as st

from jada_configd.policy.places import Keys

BARE_CHARACTERS = string.ascii_letters + string.digits + "_-"
BARE = st.text(BARE_CHARACTERS, min_size=1, max_size=5)
ANY_KEY = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
SPACE = st.sampled_from(["", " ", "\t", "  "])
LINES = st.sampled_from(
    ["", "\n", "\n\n", " # a comment, [with] = \"everything\" {in} 'it'\n", "\n\t"]
)


@dataclass(slots=True)
class Writer:
    """Writes TOML and remembers where each key and element begins."""

    draw: st.DrawFn
    text: str = ""
    at: dict[Keys, int] = field(default_factory=dict)

    def put(self, *pieces: str) -> None:
        self.text += "".join(pieces)

    def space(self) -> None:
        self.put(self.draw(SPACE))

    def mark(self, keys: Keys) -> None:
        self.at.setdefault(keys, len(self.text))

    def key_part(self, keys: Keys) -> None:
        name = str(keys[-1])
        self.mark(keys)
        if name and set(name) <= set(BARE_CHARACTERS) and self.draw(st.integers(0, 3)):
            self.put(name)
        elif "'" not in name and name.isprintable() and self.draw(st.booleans()):
            self.put("'", name, "'")
        else:
            self.put(basic(name))

    def entry(self, keys: Keys, name: str, depth: int) -> None:
        """`name = value`, or a dotted key with more of them."""
        more = self.draw(st.lists(BARE, max_size=2)) if depth else []
        for index, part in enumerate([name, *more]):
            if index:
                self.space()
                self.put(".")
                self.space()
            keys = (*keys, part)
            self.key_part(keys)
        self.space()
        self.put("=")
        self.space()
        self.value(keys, depth)

    def value(self, keys: Keys, depth: int) -> None:
        sort = self.draw(st.integers(0, 7 if depth else 5))
        if sort == 6:
            self.array(keys, depth - 1)
        elif sort == 7:
            self.inline_table(keys, depth - 1)
        else:
            self.put(self.draw(scalars()))

    def array(self, keys: Keys, depth: int) -> None:
        self.put("[")
        for index in range(self.draw(st.integers(0, 3))):
            if index:
                self.put(",")
            self.put(self.draw(LINES))
            self.mark((*keys, index))
            self.value((*keys, index), depth)
            self.put(self.draw(LINES))
        self.put("]")

    def inline_table(self, keys: Keys, depth: int) -> None:
        self.put("{")
        for index, name in enumerate(self.names()):
            if index:
                self.put(",")
            self.space()
            self.entry(keys, name, depth)
            self.space()
        self.put("}")

    def names(self) -> list[str]:
        return self.draw(st.lists(BARE | ANY_KEY, max_size=3, unique=True))

    def body(self, keys: Keys) -> None:
        for name in self.names():
            self.put(self.draw(SPACE))
            self.entry(keys, name, 2)
            self.put(self.draw(st.sampled_from(["\n", ' # "comment\n', "\t\n\n"])))

    def header(self, names: list[str], *, array: bool, last_index: dict[Keys, int]) -> Keys:
        self.put("[[" if array else "[")
        keys: Keys = ()
        start = 0
        for name in names:
            if keys:
                self.put(".")
            if keys in last_index:
                keys = (*keys, last_index[keys])
            keys = (*keys, name)
            start = len(self.text)
            self.key_part(keys)
        if array:
            last_index[keys] = last_index.get(keys, -1) + 1
            keys = (*keys, last_index[keys])
        self.at[keys] = start  # its own header, wherever it was implied before
        self.put("]]" if array else "]", "\n")
        return keys


def basic(text: str) -> str:
    """A TOML basic string."""
    if all(ord(each) <= 0xFFFF for each in text):
        return json.dumps(text).replace("\x7f", "\\u007f")  # JSON's escapes are among TOML's
    return '"' + "".join(f"\\U{ord(each):08x}" for each in text) + '"'


def scalars() -> st.SearchStrategy[str]:
    """Scalars whose text looks like structure, where it may."""
    return st.sampled_from(
        [
            "1",
            "0x1F",
            "1_000",
            "6.5e-3",
            "inf",
            "true",
            "1979-05-27 07:32:00Z",
            "07:32:00",
            '"a = [1, {b = 2}] # no comment"',
            r'"\"\\"',
            "'\\'",
            '""',
            "''",
            '"""\n[table]\nkey = 1\n"""',
            '"""a""b \\" c"""""',
            "'''\n[table]\n\"\"\"\n'''",
            "''''quoted'''''",
        ]
    )


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    """A document of top-level keys, tables and arrays of tables. Not all of them are valid."""
    writer = Writer(draw)
    writer.body(())
    last_index: dict[Keys, int] = {}
    for _ in range(draw(st.integers(0, 4))):
        names = draw(st.lists(BARE, min_size=1, max_size=3))
        keys = writer.header(names, array=draw(st.integers(0, 3)) == 0, last_index=last_index)
        writer.body(keys)
    return writer
