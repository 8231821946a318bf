"""A debt asks for the strongest word that the policy has for its fields."""

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.applies import apply_for, reload_takes_up
from jada_configd.core.model import Field, pointer
from jada_configd.core.specs import Apply, ServiceSpec

WORDS: tuple[Apply, ...] = ("none", "reload", "reload-or-restart", "restart")  # weakest first


def spec(apply: Apply = "reload", table: Mapping[Field, Apply] | None = None) -> ServiceSpec:
    unit = "jada-agent.service"
    return ServiceSpec(unit, apply, "auto", {}, "enforce", "policy.toml:1", applies=table or {})


@pytest.mark.parametrize(
    ("apply", "table", "fields", "expected"),
    [
        ("reload", {}, (), "reload"),
        ("restart", {}, ("/model",), "restart"),
        ("reload", {("model",): "restart"}, (), "reload"),
        ("reload", {("model",): "restart"}, ("/model",), "restart"),
        ("reload", {("model",): "restart"}, ("/effortLevel",), "reload"),
        ("reload", {("model",): "restart"}, ("/effortLevel", "/model"), "restart"),
        # all that is below an entry is its, and nothing that only begins like it
        ("reload", {("a",): "restart"}, ("/a/b/c",), "restart"),
        ("reload", {("a",): "restart"}, ("/ab",), "reload"),
        ("reload", {("a", "b"): "restart"}, ("/a/bc",), "reload"),
        # the nearest entry holds, were it weaker
        ("reload", {("a",): "restart", ("a", "b"): "none"}, ("/a/b",), "none"),
        ("reload", {("a",): "restart", ("a", "b"): "none"}, ("/a/c",), "restart"),
        ("reload", {("a", "b"): "none", ("a",): "restart"}, ("/a/b/c",), "none"),
        # what was corrected as a whole has changed with what the table names inside it
        ("reload", {("env", "ANTHROPIC_MODEL"): "restart"}, ("/env",), "restart"),
        ("restart", {("env", "EDITOR"): "none"}, ("/env",), "restart"),
        # the strongest holds
        ("none", {("a",): "reload", ("b",): "reload-or-restart"}, ("/c", "/a"), "reload"),
        (
            "none",
            {("a",): "reload", ("b",): "reload-or-restart"},
            ("/b", "/a"),
            "reload-or-restart",
        ),
        ("restart", {("a",): "none"}, ("/a",), "none"),
        # names with slashes and tildes
        ("reload", {("a/b",): "restart"}, ("/a~1b",), "restart"),
        ("reload", {("a/b",): "restart"}, ("/a/b",), "reload"),
        ("reload", {("~1",): "restart"}, ("/~01",), "restart"),
        ("reload", {("",): "restart"}, ("/",), "restart"),
        ("reload", {("",): "restart"}, ("/a",), "reload"),
    ],
)
def test_what_a_debt_asks_for(
    apply: Apply, table: Mapping[Field, Apply], fields: Iterable[str], expected: Apply
) -> None:
    assert apply_for(spec(apply, table), fields) == expected


TOKENS = st.sampled_from(["a", "b", "ab", "", "a/b", "~", "~1"])
FIELDS = st.lists(TOKENS, max_size=3).map(tuple)
TABLES = st.dictionaries(FIELDS, st.sampled_from(WORDS), max_size=5)


@given(st.sampled_from(WORDS), TABLES, st.lists(FIELDS), st.lists(FIELDS))
def test_more_fields_never_ask_for_less(
    apply: Apply, table: Mapping[Field, Apply], some: list[Field], more: list[Field]
) -> None:
    held = spec(apply, table)
    asked = [apply_for(held, [pointer(field)]) for field in some + more]
    together = apply_for(held, [pointer(field) for field in some + more])
    assert WORDS.index(together) == max(map(WORDS.index, asked), default=WORDS.index(apply))


@given(st.sampled_from(WORDS), TABLES, FIELDS)
def test_a_field_with_an_entry_of_its_own_never_asks_for_less_than_that(
    apply: Apply, table: Mapping[Field, Apply], field: Field
) -> None:
    word = apply_for(spec(apply, table), [pointer(field)])
    assert WORDS.index(word) >= WORDS.index(table.get(field, "none"))
    assert word in {apply, *table.values()}


@pytest.mark.parametrize(
    ("apply", "table", "fields", "settles"),
    [
        # without a table nobody has said so
        ("reload", {}, ("/theme",), False),
        ("reload", {("model",): "restart"}, ("/theme",), True),
        ("reload", {("model",): "restart"}, ("/theme", "/permissions/deny"), True),
        ("restart", {("permissions",): "reload"}, ("/permissions/deny",), True),
        ("restart", {("permissions",): "reload"}, ("/permissions/deny", "/theme"), False),
        ("reload-or-restart", {("model",): "restart"}, ("/theme",), False),
        ("none", {("permissions",): "reload"}, ("/theme", "/permissions"), False),
        # of what has changed nothing is known
        ("reload", {("model",): "restart"}, (), False),
        # a model is read at the start alone, whatever the table says
        ("reload", {("theme",): "reload"}, ("/model",), False),
        ("restart", {("model",): "reload"}, ("/model",), False),
        ("restart", {("model",): "reload", ("theme",): "reload"}, ("/theme", "/model"), False),
        ("reload", {("theme",): "reload"}, ("/env/ANTHROPIC_MODEL",), False),
        ("reload", {("theme",): "reload"}, ("/env/ANTHROPIC_DEFAULT_OPUS_MODEL",), False),
        ("reload", {("theme",): "reload"}, ("/env/CLAUDE_CODE_SUBAGENT_MODEL",), False),
        ("reload", {("theme",): "reload"}, ("/env",), False),
        ("reload", {("theme",): "reload"}, ("",), False),
        ("reload", {("theme",): "reload"}, ("/default_model",), False),
        ("reload", {("theme",): "reload"}, ("/agent",), False),
        ("reload", {("theme",): "reload"}, ("/env/EDITOR",), True),
        ("reload", {("theme",): "reload"}, ("/hooks/model",), True),
    ],
)
def test_what_a_reload_settles(
    apply: Apply, table: Mapping[Field, Apply], fields: Iterable[str], *, settles: bool
) -> None:
    assert reload_takes_up(spec(apply, table), fields) is settles
