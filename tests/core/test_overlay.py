"""A fallback's values in place of the policy's, and drift without what was rolled back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.model import (
    ABSENT,
    Change,
    Drift,
    Exactly,
    Field,
    Gone,
    Members,
    OneOf,
    Resource,
    ResourceId,
    Rule,
)
from jada_configd.core.overlay import overlaid, without
from jada_configd.core.resources import resolve
from jada_configd.core.specs import FallbackSpec, ProcessLimits, SettingsSpec
from tests.fake_host import SCOPE, FakeHost
from tests.kinds.worlds import AGENT, EVE, HOME, OTHER, PATTERN, policy, settings_spec

MODEL: Field = ("model",)
EFFORT: Field = ("effortLevel",)
ENV: Field = ("env", "A")
WANTED: dict[Field, Rule] = {
    MODEL: OneOf(("sonnet", "opus")),
    EFFORT: Exactly("high"),
    ENV: Gone(),
}


def fallback(settings: str = "orchestrator", **values: Any) -> FallbackSpec:  # noqa: ANN401 - JSON
    rules: dict[Field, Rule] = {(name,): Exactly(value) for name, value in values.items()}
    return FallbackSpec(settings, rules)


def file(*services: str, **other: Any) -> Resource:  # noqa: ANN401 - of the spec
    spec = settings_spec(services=services or (AGENT,), rules=WANTED, **other)
    return Resource(ResourceId("settings", HOME), spec, "enforce", "policy.toml:7")


def rules(resource: Resource) -> Mapping[Field, Rule]:
    assert isinstance(resource.spec, SettingsSpec)
    return resource.spec.rules


def test_the_fallbacks_values_take_the_place_of_the_policys_and_nothing_else_does() -> None:
    before = file()
    after = overlaid(before, {AGENT: fallback(model="haiku")})
    assert rules(after) == {**WANTED, MODEL: Exactly("haiku")}
    assert list(rules(after)) == list(WANTED)
    assert isinstance(after.spec, SettingsSpec)
    assert replace(after.spec, rules=WANTED) == before.spec
    assert replace(after, spec=before.spec) == before
    assert rules(before) == WANTED


@pytest.mark.parametrize(
    ("resource", "fallbacks"),
    [
        (file(), {}),
        (file(), {OTHER: fallback(model="haiku")}),
        (file(OTHER), {AGENT: fallback(model="haiku")}),
        (file(), {AGENT: fallback("another", model="haiku")}),
        (file(name="another"), {AGENT: fallback(model="haiku")}),
        (file(), {AGENT: fallback()}),
        (file(), {AGENT: fallback(effortLevel="high")}),
        (
            Resource(
                ResourceId("process-limits", AGENT), ProcessLimits(AGENT, {}), "enforce", "p:1"
            ),
            {AGENT: fallback(model="haiku")},
        ),
    ],
    ids=[
        "nothing is open",
        "another unit's",
        "the unit does not read the file",
        "it is of another entry",
        "the file is of another entry",
        "it sets nothing",
        "it sets what is wanted anyway",
        "no settings file",
    ],
)
def test_what_is_not_concerned_is_the_very_same_object(
    resource: Resource, fallbacks: Mapping[str, FallbackSpec]
) -> None:
    assert overlaid(resource, fallbacks) is resource


@pytest.mark.parametrize(("wanted", "held"), [(1, True), (False, 0), ([1], [True])])
def test_true_is_not_1_here_either(wanted: Any, held: Any) -> None:  # noqa: ANN401 - JSON
    spec = settings_spec(services=(AGENT,), rules={MODEL: Exactly(wanted)})
    before = Resource(ResourceId("settings", HOME), spec, "enforce", "p:1")
    after = overlaid(before, {AGENT: fallback(model=held)})
    assert repr(rules(after)) == repr({MODEL: Exactly(held)})


def test_of_two_units_that_share_a_file_the_first_of_its_services_counts() -> None:
    one, other = fallback(model="haiku"), fallback(model="opus", effortLevel="low")
    for fallbacks in ({AGENT: one, OTHER: other}, {OTHER: other, AGENT: one}):
        first = rules(overlaid(file(AGENT, OTHER), fallbacks))
        assert (first[MODEL], first[EFFORT]) == (Exactly("haiku"), Exactly("low"))
        second = rules(overlaid(file(OTHER, AGENT), fallbacks))
        assert (second[MODEL], second[EFFORT]) == (Exactly("opus"), Exactly("low"))


# ------------------------------------------------------------------------------ as resolved


def resolved(*entries: SettingsSpec) -> dict[str, Resource]:
    host = FakeHost()
    host.write(HOME, b"{}")
    host.write(EVE, b"{}")
    return {each.id.name: each for each in resolve(policy(entries), host, SCOPE)}


ONE = settings_spec(HOME, name="one", rules={MODEL: Exactly("sonnet")}, services=(AGENT,))
TWO = settings_spec(HOME, name="two", rules={EFFORT: Exactly("high")}, services=(OTHER, AGENT))


def test_a_file_of_several_entries_stems_from_all_of_them() -> None:
    spec = resolved(ONE, TWO)[HOME].spec
    assert isinstance(spec, SettingsSpec)
    assert spec.names == ("one", "two")
    for name, field in (("one", MODEL), ("two", EFFORT)):
        held = FallbackSpec(name, {field: Exactly("other")})
        for unit in (AGENT, OTHER):
            after = overlaid(resolved(ONE, TWO)[HOME], {unit: held})
            assert rules(after)[field] == Exactly("other")
    unknown = resolved(ONE, TWO)[HOME]
    assert overlaid(unknown, {AGENT: fallback("three", model="haiku")}) is unknown


def test_a_fallback_of_a_pattern_holds_in_the_files_that_the_entry_still_has() -> None:
    everyone = replace(ONE, path=PATTERN, name="everyone")
    files = resolved(everyone, replace(ONE, path=EVE, name="eve"))
    held = {AGENT: fallback("everyone", model="haiku")}
    assert rules(overlaid(files[HOME], held)) == {MODEL: Exactly("haiku")}
    assert overlaid(files[EVE], held) is files[EVE]


# ------------------------------------------------------------------------------ in any case

FIELDS = st.sampled_from([MODEL, EFFORT, ENV, ("permissions", "deny")])
VALUES = st.sampled_from(["a", "b", 1, True, None, ["a"]])
RULES = st.one_of(
    st.builds(Exactly, VALUES),
    st.just(Gone()),
    st.builds(lambda one, other: OneOf((one, other)), VALUES, VALUES),
    st.builds(lambda value: Members(include=(value,)), VALUES),
)
UNITS = st.sampled_from([AGENT, OTHER, "third.service"])
NAMES = st.sampled_from(["one", "two", "three"])
FALLBACKS = st.dictionaries(
    UNITS, st.builds(FallbackSpec, NAMES, st.dictionaries(FIELDS, st.builds(Exactly, VALUES)))
)
FILES = st.builds(
    lambda names, services, wanted: Resource(
        ResourceId("settings", HOME),
        settings_spec(name=names[0], names=tuple(names), services=tuple(services), rules=wanted),
        "enforce",
        "policy.toml:7",
    ),
    st.lists(NAMES, min_size=1, unique=True),
    st.lists(UNITS, unique=True),
    st.dictionaries(FIELDS, RULES),
)


@given(before=FILES, fallbacks=FALLBACKS)
def test_each_field_is_held_as_the_first_unit_says_that_has_a_say_in_it(
    before: Resource, fallbacks: dict[str, FallbackSpec]
) -> None:
    spec = before.spec
    assert isinstance(spec, SettingsSpec)
    after = overlaid(before, fallbacks)
    concerned = [
        fallbacks[unit].rules
        for unit in spec.services
        if unit in fallbacks and fallbacks[unit].settings in spec.names
    ]
    for field in {*spec.rules, *(field for each in concerned for field in each)}:
        said = [each[field] for each in concerned if field in each]
        assert repr(rules(after)[field]) == repr(said[0] if said else spec.rules[field])
    assert (after is before) == (repr(after) == repr(before))
    assert overlaid(after, fallbacks) is after


# ------------------------------------------------------------------------------ rolled back

CHANGES = (Change(MODEL, "haiku", "sonnet"), Change(EFFORT, ABSENT, "high"))


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        (frozenset({MODEL}), CHANGES[1:]),
        (frozenset({EFFORT, ENV}), CHANGES[:1]),
        (frozenset({MODEL, EFFORT}), ()),
        (frozenset({("model", "below")}), CHANGES),
    ],
)
def test_the_changes_of_spared_fields_are_no_drift(
    fields: frozenset[Field], left: tuple[Change, ...]
) -> None:
    assert without(Drift(CHANGES), fields) == Drift(left)
    assert without(Drift(CHANGES, "is broken"), fields) == Drift(left, "is broken")


def test_of_a_resource_that_is_spared_as_a_whole_nothing_is_left() -> None:
    assert without(Drift(CHANGES, "is broken"), None) == Drift()
    assert not without(Drift(CHANGES, "is broken"), None)


def test_drift_of_which_nothing_is_spared_is_the_very_same_object() -> None:
    for drift in (Drift(CHANGES, "is broken"), Drift()):
        assert without(drift, frozenset()) is drift
        assert without(drift, frozenset({ENV})) is drift
