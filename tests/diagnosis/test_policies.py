"""The policy: there, loading, trusted, and the one that the daemon has read."""

from dataclasses import replace

import pytest

from jada_configd.core.specs import Policy
from jada_configd.core.survey import DaemonLook, Unknown
from jada_configd.diagnosis.policies import PolicyLook, policy
from tests.diagnosis.tables import one

PATH = "/etc/jada-configd/policy.toml"
POLICY = Policy(PATH, (PATH,), "sha256:1", "enforce", 300.0, (), ())
LOADS = PolicyLook(PATH, exists=True, policy=POLICY)
DAEMON = DaemonLook(77, "in-sync", "", "0.1.0", "sha256:1")
EDIT = f"edit {PATH}"


@pytest.mark.parametrize(
    ("look", "daemon", "status", "says", "remedy"),
    [
        (LOADS, None, "ok", f"{PATH} loads", ""),
        (LOADS, DAEMON, "ok", "loads", ""),
        (replace(LOADS, exists=False, policy=None), None, "problem", "no policy", "jada-configd i"),
        (
            replace(LOADS, policy=None, errors=("policy.toml:1:1: no",)),
            DAEMON,
            "problem",
            "policy.toml:1:1: no",
            f"{EDIT}, then: jada-configd validate && systemctl reload jada-configd",
        ),
        (
            replace(LOADS, policy=None, errors=("x",), named=True),
            DAEMON,
            "problem",
            "x",
            f"{EDIT}, then: jada-configd validate {PATH}",
        ),
        (
            replace(LOADS, untrusted=f"{PATH} belongs to eve"),
            None,
            "problem",
            "belongs to eve: whoever can change it",
            f"chown root: {PATH} && chmod go-w {PATH}",
        ),
        (Unknown("it hangs"), None, "warning", "it hangs", "jada-configd doctor"),
    ],
)
def test_the_policy(
    look: PolicyLook | Unknown, daemon: DaemonLook | None, status: str, says: str, remedy: str
) -> None:
    found = one(policy(look, daemon, shipped=["/opt/p.toml"]))
    assert found.status == status
    assert says in found.says
    assert str(found.remedy or "").startswith(remedy)
    assert bool(found.remedy) == bool(remedy)


def test_where_there_is_none_one_that_is_shipped_is_named() -> None:
    look = PolicyLook(PATH, exists=False)
    found = one(policy(look, None, place=["--user"], shipped=["/opt/my policies/p.toml"]))
    assert found.remedy == "jada-configd install --user --policy '/opt/my policies/p.toml'"


def test_one_that_was_not_read_yet_is_a_warning_with_the_command_that_reads_it() -> None:
    first, second = policy(LOADS, replace(DAEMON, revision="sha256:2"), shipped=[])
    assert (first.status, first.remedy) == ("warning", "systemctl reload jada-configd")
    assert second.status == "ok"


def test_its_own_warnings_are_told() -> None:
    warned = replace(LOADS, policy=replace(POLICY, warnings=("policy.toml:3:1: warning: x",)))
    first, second = policy(warned, None, shipped=[])
    assert (first.status, first.says) == ("warning", "policy.toml:3:1: warning: x")
    assert second.status == "ok"


def test_an_image_is_mended_in_its_place() -> None:
    place = ["--root", "/my image"]
    look = PolicyLook("/my image/policy.toml", exists=True, errors=("no",))
    found = one(policy(look, None, place=place, shipped=[]))
    assert str(found.remedy).endswith("then: jada-configd validate --root '/my image'")
    gone = one(policy(replace(look, exists=False), None, place=place, shipped=["/p.toml"]))
    assert gone.remedy == "jada-configd install --root '/my image' --policy /p.toml"
