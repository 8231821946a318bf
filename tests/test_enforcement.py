"""The policy in force: how long a start waits for it; a validator of another version."""

import argparse
import re
import selectors
from collections.abc import Iterator
from pathlib import Path

import pytest

from jada_configd.core.specs import Policy
from jada_configd.daemon import FIRST_PASS_NS
from jada_configd.enforcement import STARTED_WITHIN_NS, PolicyInForce
from jada_configd.errors import ValidatorFailed
from jada_configd.host.directories import directories
from jada_configd.memory import Memory
from jada_configd.policy.child import Child
from jada_configd.verbs.sources import DiskPolicy

UNIT = Path(__file__).resolve().parents[1] / "systemd/jada-configd.service"
POLICY = 'version = 1\n[settings.a]\npath = "/srv/a.json"\n[settings.a.set]\ntheme = "dark"\n'


@pytest.fixture
def source(tmp_path: Path) -> Iterator[DiskPolicy]:
    root = tmp_path / "tree"
    for directory in ("etc/jada-configd", "var/lib"):
        (root / directory).mkdir(parents=True)
    (root / "etc/jada-configd/policy.toml").write_text(POLICY)
    where = directories(user=False, root=str(root), environ={})
    memory = Memory(where.state, create=True)
    found = DiskPolicy(argparse.Namespace(policy=None), where, memory)
    yield found
    found.close()


def in_force(source: DiskPolicy, enforced: list[Policy]) -> PolicyInForce:
    def enforce(policy: Policy, _cause: object) -> Policy:
        enforced.append(policy)
        return policy

    return PolicyInForce(source, selectors.DefaultSelector(), enforce, lambda _event: None)


def test_a_start_that_waits_for_all_it_may_wait_for_is_in_time_for_systemd() -> None:
    found = re.search(r"^TimeoutStartSec=(\d+)s$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    importing = 5
    assert STARTED_WITHIN_NS / 1e9 + FIRST_PASS_NS / 1e9 + importing <= int(found[1])


def test_a_slow_validator_does_not_keep_the_last_good_policy_from_its_work(
    source: DiskPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is at is given up, and tried again once the daemon is ready."""
    enforced: list[Policy] = []
    in_force(source, enforced).start()
    path = Path(source.path)
    path.write_text(POLICY.replace("dark", "light"))
    asked: list[float] = []

    def take(_self: Child, seconds: float) -> dict[str, object]:
        asked.append(seconds)
        raise ValidatorFailed(["policy.toml: its validation took more than 8 s and was stopped"])

    monkeypatch.setattr(Child, "take", take)
    policy = in_force(source, enforced)
    policy.start()
    assert asked == [STARTED_WITHIN_NS / 1e9]
    assert [each.revision for each in enforced] == [enforced[0].revision] * 2
    assert policy.error is not None
    assert policy.due_ns() < 1 << 62


@pytest.mark.parametrize(
    "answer",
    [{}, {"mode": "enforce", "sweep": 1}, {"settings": 5, "services": [{"unit": 1}]}],
)
def test_what_a_validator_of_another_version_says_is_no_policy_and_is_not_kept(
    source: DiskPolicy, monkeypatch: pytest.MonkeyPatch, answer: dict[str, object]
) -> None:
    """The program was replaced on disk while the daemon runs: so that is said, and it lives on."""
    monkeypatch.setattr(Child, "take", lambda _self, _seconds: answer)
    enforced: list[Policy] = []
    policy = in_force(source, enforced)
    policy.start()
    assert enforced == []
    assert policy.error is not None
    assert "systemctl restart jada-configd" in policy.error
    assert source.last_good() is None
