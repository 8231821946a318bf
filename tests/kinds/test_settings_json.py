"""Settings files: what is read in them, what is planned, and what a broken or lost one becomes."""

import json

import pytest

from jada_configd.core.actions import KeepEvidence, ReplaceFile, digest
from jada_configd.core.diff import diff
from jada_configd.core.facts import Missing
from jada_configd.core.model import ABSENT, Change, Drift, Exactly, Gone, Members, Observed, OneOf
from jada_configd.core.plan import Plan
from jada_configd.core.specs import SettingsSpec
from jada_configd.kinds.settings_json import SettingsKind
from tests.fake_host import FakeHost
from tests.kinds.worlds import HOME, settings_spec

KIND = SettingsKind()
RESOURCE = f"settings:{HOME}"


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    host.make_directory("/home/ubuntu/.claude", 1000, 1001)
    return host


def look(spec: SettingsSpec, host: FakeHost) -> tuple[Observed, Drift, Plan]:
    observed = KIND.observe(spec, host)
    drift = diff(KIND.desired(spec), observed)
    return observed, drift, KIND.plan(spec, drift, observed) if drift else Plan()


def content(plan: Plan) -> bytes:
    (replacement,) = (each for each in plan.actions if isinstance(each, ReplaceFile))
    return replacement.content


def test_the_file_is_what_is_watched() -> None:
    assert KIND.watches(settings_spec(HOME)) == (HOME,)


# ------------------------------------------------------------------------------ a file that parses


def test_a_file_as_declared_asks_for_nothing(host: FakeHost) -> None:
    host.write(HOME, b'{"model": "sonnet", "theme": "dark"}')
    observed, drift, plan = look(settings_spec(), host)
    assert not drift
    assert observed.problem is None
    assert plan.actions == ()


def test_only_the_bytes_of_what_drifted_change(host: FakeHost) -> None:
    host.write(HOME, b'\xef\xbb\xbf{ "n": 1e2, "model" :"haiku",\t"theme": "dark" }', mode=0o640)
    _, drift, plan = look(settings_spec(), host)
    assert drift == Drift((Change(("model",), "haiku", "sonnet"),))
    assert plan.actions == (
        ReplaceFile(
            HOME,
            b'\xef\xbb\xbf{ "n": 1e2, "model" :"sonnet",\t"theme": "dark" }',
            0o640,
            1000,
            1000,
            digest(host.files[HOME].data),
        ),
    )


def test_several_fields_make_one_replacement(host: FakeHost) -> None:
    host.write(HOME, b'{"model": "haiku", "env": {"A": "x", "B": "y"}, "l": ["no"]}\n')
    spec = settings_spec(
        rules={
            ("model",): Exactly("sonnet"),
            ("env", "A"): Gone(),
            ("l",): Members(("yes",), ("no",)),
            ("effortLevel",): OneOf(("medium", "high")),
        }
    )
    _, drift, plan = look(spec, host)
    assert len(drift.changes) == 4
    assert json.loads(content(plan)) == {
        "model": "sonnet",
        "env": {"B": "y"},
        "l": ["yes"],
        "effortLevel": "medium",
    }


def test_null_is_a_value_and_not_a_missing_key(host: FakeHost) -> None:
    host.write(HOME, b'{"model": null}')
    spec = settings_spec(rules={("model",): Gone(), ("theme",): Exactly(None)})
    _, drift, plan = look(spec, host)
    assert drift.changes == (
        Change(("model",), None, ABSENT),
        Change(("theme",), ABSENT, None),
    )
    assert json.loads(content(plan)) == {"theme": None}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (b'{"model": "haiku", "model": "sonnet"}', "haiku"),
        (b'{"model": "sonnet", "model": "haiku"}', "haiku"),
        (b'{"model": "sonnet", "model": null, "model": "sonnet"}', None),
    ],
)
def test_a_key_that_stands_twice_is_right_only_if_each_of_them_is(
    host: FakeHost, text: bytes, seen: str | None
) -> None:
    host.write(HOME, text)
    _, drift, plan = look(settings_spec(), host)
    assert drift.changes == (Change(("model",), seen, "sonnet"),)
    assert content(plan).count(b'"sonnet"') == text.count(b'"model"')


def test_of_a_key_that_stands_twice_the_last_counts_and_keeps_what_is_its_own(
    host: FakeHost,
) -> None:
    host.write(HOME, b'{"l": ["x"], "l": ["a", "y"], "m": "low", "m": "high"}')
    spec = settings_spec(rules={("l",): Members(("a",)), ("m",): OneOf(("medium", "high"))})
    _, drift, plan = look(spec, host)
    assert [change.have for change in drift.changes] == [["x"], "low"]
    assert json.loads(content(plan)) == {"l": ["a", "y"], "m": "high"}
    host.write(HOME, content(plan))
    assert not look(spec, host)[1]


def test_an_object_that_stands_twice_hides_what_the_first_has(host: FakeHost) -> None:
    host.write(HOME, b'{"env": {"A": "x"}, "env": {}}')
    spec = settings_spec(rules={("env", "A"): Exactly("x")})
    _, drift, plan = look(spec, host)
    assert drift.changes == (Change(("env", "A"), ABSENT, "x"),)
    assert json.loads(content(plan)) == {"env": {"A": "x"}}


def test_what_is_in_the_way_of_a_field_gives_way(host: FakeHost) -> None:
    host.write(HOME, b'{"env": "none", "theme": "dark"}')
    spec = settings_spec(rules={("env", "A"): Exactly("x")})
    assert json.loads(content(look(spec, host)[2])) == {"env": {"A": "x"}, "theme": "dark"}


@pytest.mark.parametrize("text", [b"", b" \n\t\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_file_counts_as_an_empty_object_once_it_stands_still(
    host: FakeHost, text: bytes
) -> None:
    host.write(HOME, text)
    observed, drift, plan = look(settings_spec(), host)
    assert observed.unsettled is not None
    assert observed.problem is None
    assert drift.changes == (Change(("model",), ABSENT, "sonnet"),)
    assert json.loads(content(plan).decode("utf-8-sig")) == {"model": "sonnet"}
    assert not any(isinstance(each, KeepEvidence) for each in plan.actions)
    observed, drift, _ = look(settings_spec(rules={("model",): Gone()}), host)
    assert not drift


def test_an_empty_object_is_settled(host: FakeHost) -> None:
    host.write(HOME, b"{}")
    assert look(settings_spec(), host)[0].unsettled is None


# ------------------------------------------------------------------------------ one that does not

BROKEN = b'{"model": "sonnet",'


def test_a_broken_file_says_where_it_is_broken(host: FakeHost) -> None:
    host.write(HOME, BROKEN)
    observed, drift, _ = look(settings_spec(), host)
    assert observed.problem is not None
    assert observed.problem.startswith("is not JSON that Claude Code reads: line 1, column 20: ")
    assert drift.problem == observed.problem
    assert observed.fields == {}


def test_what_may_be_in_the_middle_of_being_written_is_told_apart(host: FakeHost) -> None:
    signatures = set()
    host.write(HOME, BROKEN)
    signatures.add(look(settings_spec(), host)[0].unsettled)
    assert look(settings_spec(), host)[0].unsettled in signatures
    host.write(HOME, BROKEN + b" ")  # at the same moment
    signatures.add(look(settings_spec(), host)[0].unsettled)
    host.advance(1)
    host.write(HOME, BROKEN)
    signatures.add(look(settings_spec(), host)[0].unsettled)
    host.move_over(HOME, BROKEN)
    signatures.add(look(settings_spec(), host)[0].unsettled)
    assert len(signatures) == 4
    assert None not in signatures


def test_the_bytes_of_a_broken_file_are_kept_before_it_is_replaced(host: FakeHost) -> None:
    host.write(HOME, BROKEN, mode=0o640)
    plan = look(settings_spec(), host)[2]
    assert plan.actions == (
        KeepEvidence(RESOURCE, BROKEN),
        ReplaceFile(HOME, b'{\n  "model": "sonnet"\n}\n', 0o640, 1000, 1000, digest(BROKEN)),
    )


@pytest.mark.parametrize(
    ("good", "restored"),
    [
        (None, b'{\n  "model": "sonnet"\n}\n'),
        (b'{"theme":"dark","model":"sonnet"}', b'{"theme":"dark","model":"sonnet"}'),
        # the policy has changed since
        (b'{"theme":"dark","model":"haiku"}', b'{"theme":"dark","model":"sonnet"}'),
        (b'{"theme":"dark"}', b'{"theme":"dark","model":"sonnet"}'),
        # what was kept is no better
        (b"{", b'{\n  "model": "sonnet"\n}\n'),
        (b"[]", b'{\n  "model": "sonnet"\n}\n'),
    ],
)
def test_a_broken_file_becomes_its_last_good_content_with_the_owned_keys_right(
    host: FakeHost, good: bytes | None, restored: bytes
) -> None:
    host.write(HOME, BROKEN)
    if good is not None:
        host.good[RESOURCE] = good
    for on_missing in ("owned", "last-good"):
        assert content(look(settings_spec(on_missing=on_missing), host)[2]) == restored


def test_last_good_content_with_a_key_twice_keeps_what_counts(host: FakeHost) -> None:
    host.write(HOME, BROKEN)
    host.good[RESOURCE] = b'{"l": ["x"], "l": ["y"]}'
    spec = settings_spec(rules={("l",): Members(("a",))})
    assert json.loads(content(look(spec, host)[2])) == {"l": ["y", "a"]}


def test_a_broken_file_is_mended_even_if_nothing_in_it_is_missed(host: FakeHost) -> None:
    host.write(HOME, BROKEN)
    plan = look(settings_spec(rules={("model",): Gone()}), host)[2]
    assert json.loads(content(plan)) == {}


# ------------------------------------------------------------------------------ none at all


def test_a_missing_file_is_made_for_the_owner_of_its_directory_and_nobody_else(
    host: FakeHost,
) -> None:
    _, drift, plan = look(settings_spec(), host)
    assert drift == Drift((Change(("model",), ABSENT, "sonnet"),))
    assert plan.actions == (
        ReplaceFile(HOME, b'{\n  "model": "sonnet"\n}\n', 0o600, 1000, 1001, None),
    )


@pytest.mark.parametrize(
    ("on_missing", "restored"),
    [("owned", {"model": "sonnet"}), ("last-good", {"theme": "dark", "model": "sonnet"})],
)
def test_a_removed_file_comes_back_as_the_policy_says(
    host: FakeHost, on_missing: str, restored: object
) -> None:
    host.good[RESOURCE] = b'{"theme": "dark", "model": "haiku"}'
    plan = look(settings_spec(on_missing=on_missing), host)[2]
    assert json.loads(content(plan)) == restored


def test_a_missing_file_is_right_where_nothing_has_to_be_in_it(host: FakeHost) -> None:
    spec = settings_spec(rules={("model",): Gone(), ("l",): Members((), ("x",))})
    assert not look(spec, host)[1]
    assert not look(settings_spec("/nowhere/s.json", rules=spec.rules), host)[1]


def test_a_file_that_is_not_to_be_made_may_be_missing(host: FakeHost) -> None:
    for path in (HOME, "/nowhere/settings.json"):
        observed, drift, _ = look(settings_spec(path, create=False), host)
        assert observed.vacant
        assert not drift


def test_a_missing_directory_is_watched_for_and_nobody_makes_it(host: FakeHost) -> None:
    observed, drift, plan = look(settings_spec("/nowhere/at/all/settings.json"), host)
    assert observed.pending
    assert drift.problem == "/nowhere/at/all does not exist; it is watched for"
    assert plan == Plan(waits="its directory")


def test_the_directory_that_lacks_behind_a_link_is_the_one_that_is_named(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Missing(HOME, directory=False, lacks="/home/ubuntu/dotfiles")
    monkeypatch.setattr(host, "read_file", lambda _path: missing)
    problem = look(settings_spec(HOME), host)[1].problem
    assert problem == "/home/ubuntu/dotfiles does not exist; it is watched for"


def test_what_cannot_be_read_is_left_to_somebody_else(host: FakeHost) -> None:
    host.blocked[HOME] = f"{HOME} is a FIFO"
    observed, drift, plan = look(settings_spec(), host)
    assert drift.problem == f"{HOME} is a FIFO"
    assert observed.evidence is None
    assert plan.actions == ()
    assert plan.waits is not None
