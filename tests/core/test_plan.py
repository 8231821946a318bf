"""The order of a batch: files, daemon-reload, processes, jobs; what many ask for is done once."""

import itertools

import pytest

from jada_configd.core.actions import (
    Action,
    KeepEvidence,
    ReloadUnits,
    RemoveFile,
    ReplaceFile,
    SetProcessLimit,
    StartJob,
    digest,
)
from jada_configd.core.model import ResourceId
from jada_configd.core.plan import Plan, ordered, shown

UNIT = "jada-agent.service"
ACTIONS: tuple[Action, ...] = (
    KeepEvidence("settings:/a", b"{"),
    ReplaceFile("/a", b"{}", 0o600, 0, 0, None),
    RemoveFile("/b", digest(b"")),
    ReloadUnits(),
    SetProcessLimit(77, 1234, "nofile", 10, None),
    StartJob(UNIT, "reload-or-restart"),
)
A, B = ResourceId("settings", "/a"), ResourceId("unit-dropin", UNIT)


@pytest.mark.parametrize("order", list(itertools.permutations(ACTIONS))[::37])
def test_actions_come_in_one_order_whatever_the_plans_say(order: tuple[Action, ...]) -> None:
    plans = {ResourceId("settings", str(i)): Plan((each,)) for i, each in enumerate(order)}
    assert [type(each) for each, _ in ordered(plans)] == [type(each) for each in ACTIONS]


def test_actions_of_one_sort_keep_the_order_of_their_plans() -> None:
    files = [ReplaceFile(path, b"", 0o600, 0, 0, None) for path in "cab"]
    assert [each for each, _ in ordered({A: Plan(tuple(files))})] == files


def test_what_several_ask_for_is_done_once_for_all_of_them() -> None:
    replaces = [ReplaceFile(path, b"", 0o600, 0, 0, None) for path in "ab"]
    plans = {A: Plan((replaces[0], ReloadUnits())), B: Plan((replaces[1], ReloadUnits()))}
    assert ordered(plans) == [
        (replaces[0], (A,)),
        (replaces[1], (B,)),
        (ReloadUnits(), (A, B)),
    ]


def test_two_files_of_one_content_are_two_actions() -> None:
    plans = {A: Plan((ACTIONS[1],)), B: Plan((RemoveFile("/a", digest(b"")),))}
    assert len(ordered(plans)) == 2


def test_actions_are_shown_as_an_operator_reads_them() -> None:
    assert shown(ACTIONS, ["reload jada-agent.service"]) == (
        "create /a",
        "remove /b",
        "daemon-reload",
        "prlimit --nofile of process 77",
        "reload-or-restart jada-agent.service",
        "reload jada-agent.service",
    )
    assert str(ReplaceFile("/a", b"", 0, 0, 0, digest(b""))) == "replace /a"
    assert str(ACTIONS[0]) == "keep the replaced bytes of settings:/a"


@pytest.mark.parametrize(
    ("count", "last"),
    [(3, "prlimit --nofile of process 2"), (2003, "prlimit --nofile of 2,000 more processes")],
)
def test_of_many_processes_the_first_few_are_shown(count: int, last: str) -> None:
    actions = [SetProcessLimit(pid, 1, "nofile", 1, 1) for pid in range(count)]
    actions.append(SetProcessLimit(1, 1, "nproc", 1, 1))
    lines = shown(actions)
    assert lines[:3] == tuple(f"prlimit --nofile of process {pid}" for pid in range(3))
    assert last in lines
    assert len(lines) == min(count, 4) + 1
    assert "prlimit --nproc of process 1" in lines


def test_a_digest_tells_contents_apart() -> None:
    assert digest(b"{}") != digest(b"{}\n")
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
