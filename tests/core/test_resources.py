"""A policy and what a host has, resolved into the resources that are held."""

import pytest

from jada_configd.core.facts import Ceiling
from jada_configd.core.model import Exactly, Gone, Resource, ResourceId
from jada_configd.core.our_files import header
from jada_configd.core.resources import (
    DROP_IN,
    Scope,
    is_pattern,
    resolve,
    services_of,
)
from jada_configd.core.specs import DropIn, Policy, ProcessLimits, SettingsSpec
from jada_configd.errors import TooMany
from tests.fake_host import SCOPE, UNITS, FakeHost
from tests.kinds.worlds import (
    AGENT,
    EVE,
    HOME,
    OTHER,
    PATTERN,
    drop_in,
    policy,
    service_spec,
    settings_spec,
)

SCRATCH = Scope(UNITS, managed=False)


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    host.write(HOME, b"{}")
    host.write(EVE, b"{}")
    return host


def names(host: FakeHost, held: Policy, scope: Scope = SCOPE) -> list[str]:
    return [str(each.id) for each in resolve(held, host, scope)]


def only(host: FakeHost, held: Policy, kind: str) -> Resource:
    (found,) = (each for each in resolve(held, host, SCOPE) if each.id.kind == kind)
    return found


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/a/b.json", False),
        ("/home/*/a", True),
        ("/a?", True),
        ("/[ab]", True),
        ("/a{b,c}", False),
    ],
)
def test_a_wildcard_makes_a_pattern(path: str, *, pattern: bool) -> None:
    assert is_pattern(path) == pattern


# ------------------------------------------------------------------------------ settings


def test_an_exact_path_is_held_whether_or_not_it_exists(host: FakeHost) -> None:
    held = policy((settings_spec("/nowhere/settings.json"),))
    assert names(host, held) == ["settings:/nowhere/settings.json"]


def test_a_pattern_stands_for_the_files_that_match_now(host: FakeHost) -> None:
    held = policy((settings_spec(PATTERN, create=False),))
    assert names(host, held) == [f"settings:{EVE}", f"settings:{HOME}"]
    host.write("/home/zoe/.claude/settings.json", b"{}")
    host.unlink(EVE)
    assert names(host, held) == [f"settings:{HOME}", "settings:/home/zoe/.claude/settings.json"]


def test_what_a_cut_pattern_has_found_is_held_and_the_rest_is_told(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(pattern: str) -> tuple[str, ...]:
        if pattern != PATTERN:
            return ()
        raise TooMany("matches too much, in /home/eve", (HOME,))

    monkeypatch.setattr(host, "glob", cut)
    troubles: list[str] = []
    held = policy((settings_spec(PATTERN), settings_spec("/etc/own.json", name="own")))
    found = [str(each.id) for each in resolve(held, host, SCRATCH, troubles)]
    assert found == [f"settings:{HOME}", "settings:/etc/own.json"]
    assert troubles == ["matches too much, in /home/eve"]


def test_two_patterns_that_own_one_field_of_one_file_are_told(host: FakeHost) -> None:
    one = settings_spec(PATTERN, name="one")
    two = settings_spec("/home/u*/.claude/settings.json", name="two")
    troubles: list[str] = []
    resolve(policy((one, two)), host, SCRATCH, troubles)
    (trouble,) = troubles
    assert trouble.startswith(f"{HOME}: settings.one and settings.two both own ")


def test_each_file_of_a_pattern_has_its_own_spec(host: FakeHost) -> None:
    for each in resolve(policy((settings_spec(PATTERN),)), host, SCOPE):
        assert isinstance(each.spec, SettingsSpec)
        assert each.spec.path == each.id.name


def test_an_exact_path_takes_its_file_away_from_any_pattern(host: FakeHost) -> None:
    for entries in (
        (settings_spec(PATTERN, name="all"), settings_spec(HOME, name="one")),
        (settings_spec(HOME, name="one"), settings_spec(PATTERN, name="all")),
    ):
        specs = {each.id.name: each.spec for each in resolve(policy(entries), host, SCOPE)}
        assert set(specs) == {HOME, EVE}
        assert [getattr(specs[path], "name", "") for path in (HOME, EVE)] == ["one", "all"]


def test_two_entries_of_one_file_hold_it_together(host: FakeHost) -> None:
    one = settings_spec(
        PATTERN, rules={("model",): Exactly("sonnet")}, services=(AGENT,), origin="policy.toml:1"
    )
    two = settings_spec(
        "/home/u*/.claude/settings.json",
        rules={("env", "A"): Gone()},
        services=(OTHER, AGENT),
        mode="observe",
    )
    specs = {each.id.name: each for each in resolve(policy((one, two)), host, SCOPE)}
    both = specs[HOME]
    assert isinstance(both.spec, SettingsSpec)
    assert both.spec.rules == {("model",): Exactly("sonnet"), ("env", "A"): Gone()}
    assert both.spec.services == (AGENT, OTHER)
    assert both.mode == "observe"  # nothing is changed where one of them says so
    assert both.origin == "policy.toml:1"
    assert specs[EVE].mode == "enforce"


# ------------------------------------------------------------------------------ units


def test_a_unit_with_limits_has_a_drop_in_processes_and_itself(host: FakeHost) -> None:
    held = policy(services=(service_spec(limits={"nofile": (5, 6)}),))
    assert names(host, held) == [
        f"unit-dropin:{AGENT}",
        f"process-limits:{AGENT}",
        f"service:{AGENT}",
    ]


def test_a_unit_without_limits_is_only_itself(host: FakeHost) -> None:
    assert names(host, policy(services=(service_spec(),))) == [f"service:{AGENT}"]


def test_a_scratch_root_has_files_and_no_processes(host: FakeHost) -> None:
    held = policy((settings_spec(),), (service_spec(limits={"nofile": (5, 6)}),))
    assert names(host, held, SCRATCH) == [f"settings:{HOME}", f"unit-dropin:{AGENT}"]
    (drop,) = (each.spec for each in resolve(held, host, SCRATCH) if each.id.kind != "settings")
    assert isinstance(drop, DropIn)
    assert not drop.managed


def test_max_is_what_the_ceiling_is_now(host: FakeHost) -> None:
    held = policy(services=(service_spec(limits={"nofile": (1024, "max"), "core": (0, "max")}),))
    host.ceilings["nofile"] = Ceiling(1048576, "fs.nr_open is 1048576")
    drop = only(host, held, "unit-dropin").spec
    live = only(host, held, "process-limits").spec
    assert isinstance(drop, DropIn)
    assert isinstance(live, ProcessLimits)
    assert drop.limits == live.limits == {"nofile": (1024, 1048576), "core": (0, None)}
    host.ceilings["nofile"] = Ceiling(20000, "fs.nr_open is 20000")
    again = only(host, held, "process-limits").spec
    assert isinstance(again, ProcessLimits)
    assert again.limits["nofile"] == (1024, 20000)


def test_the_processes_to_be_changed_are_those_that_the_service_says(host: FakeHost) -> None:
    held = policy(services=(service_spec(limits={"nofile": (5, 6)}, live="all"),))
    live = only(host, held, "process-limits").spec
    assert isinstance(live, ProcessLimits)
    assert live.live == "all"


def test_infinity_is_no_number(host: FakeHost) -> None:
    held = policy(services=(service_spec(limits={"core": ("infinity", "infinity")}),))
    live = only(host, held, "process-limits").spec
    assert isinstance(live, ProcessLimits)
    assert live.limits == {"core": (None, None)}


def test_modes_and_origins_are_those_of_the_entries(host: FakeHost) -> None:
    held = policy(
        services=(service_spec(limits={"nofile": (5, 6)}, mode="observe", origin="a.toml:3"),)
    )
    assert {(each.mode, each.origin) for each in resolve(held, host, SCOPE)} == {
        ("observe", "a.toml:3")
    }


# ------------------------------------------------------------------------------ left behind

OURS = f"# {header(policy())}\n\n[Service]\nLimitNOFILE=5\n".encode()


def test_a_drop_in_whose_entry_has_left_the_policy_has_to_go(host: FakeHost) -> None:
    host.write(drop_in(OTHER), OURS)
    found = only(host, policy(services=(service_spec(),)), "unit-dropin")
    assert found.id == ResourceId("unit-dropin", OTHER)
    assert isinstance(found.spec, DropIn)
    assert found.spec.limits == {}
    assert found.spec.path == drop_in(OTHER)
    assert found.origin == policy().path


def test_a_unit_that_has_lost_its_limits_loses_its_drop_in(host: FakeHost) -> None:
    host.write(drop_in(AGENT), OURS)
    found = only(host, policy(services=(service_spec(),)), "unit-dropin")
    assert isinstance(found.spec, DropIn)
    assert found.spec.limits == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[Service]\nLimitNOFILE=5\n",
        b"\n" + OURS,
        OURS.replace(b"policy.toml", b"other.toml"),
        OURS.replace(b"put right again.", b"put right again. Not by me."),
    ],
)
def test_a_drop_in_that_this_policy_did_not_write_is_somebody_elses(
    host: FakeHost, content: bytes
) -> None:
    host.write(drop_in(OTHER), content)
    assert names(host, policy(services=(service_spec(),))) == [f"service:{AGENT}"]


def test_other_drop_ins_and_what_cannot_be_read_are_left_alone(host: FakeHost) -> None:
    host.write(drop_in(OTHER, "override.conf"), OURS)
    host.write(drop_in("third.service"), OURS)
    host.blocked[drop_in("third.service")] = "is a FIFO"
    host.write(f"/run/systemd/system/{OTHER}.d/{DROP_IN}", OURS)
    assert names(host, policy()) == []


def test_nothing_is_changed_in_a_policy_that_observes(host: FakeHost) -> None:
    host.write(drop_in(OTHER), OURS)
    assert only(host, policy(mode="observe"), "unit-dropin").mode == "observe"


# ------------------------------------------------------------------------------ services


def test_who_takes_a_correction_up(host: FakeHost) -> None:
    held = policy(
        (settings_spec(services=(AGENT, OTHER)),), (service_spec(limits={"nofile": (5, 6)}),)
    )
    takers = {each.id.kind: services_of(each) for each in resolve(held, host, SCOPE)}
    assert takers == {
        "settings": (AGENT, OTHER),
        "unit-dropin": (AGENT,),
        "process-limits": (AGENT,),
        "service": (),
    }
