"""A problem as a person reads it: each of its parts in a line of its own, in 80 columns."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jada_configd.render import WIDTH, Painter, passed, status

ASKED = "asked: LimitNOFILE=2147483646 in /etc/systemd/system/jada-agent.service.d/zzz.conf:2"
WHY = "why: fs.nr_open is 20000, and systemd takes what it cannot reach without a word"
PROBLEM = f"process 77 has nofile 20000:20000; {ASKED}; {WHY}"


def resource(problem: str | None, result: str = "drifted") -> dict[str, Any]:
    return {
        "id": "process-limits:jada-agent.service",
        "result": result,
        "changes": [],
        "problem": problem,
        "actions": [],
    }


def checked(problem: str, result: str = "drifted") -> list[str]:
    told = passed([resource(problem, result)], Painter(colour=False), next_step=None, verbose=False)
    return told.splitlines()


def test_what_is_was_asked_and_why_stand_in_lines_of_their_own() -> None:
    assert checked(PROBLEM) == [
        "drifted   process-limits:jada-agent.service",
        "    process 77 has nofile 20000:20000",
        "    asked: LimitNOFILE=2147483646 in",
        "      /etc/systemd/system/jada-agent.service.d/zzz.conf:2",
        "    why: fs.nr_open is 20000, and systemd takes what it cannot reach without a",
        "      word",
        "1 resource: 1 drifted",
    ]


def test_a_note_on_what_is_in_sync_is_shown_as_a_problem_is() -> None:
    assert checked(PROBLEM, "in-sync")[:2] == [
        "in-sync   process-limits:jada-agent.service",
        "    process 77 has nofile 20000:20000",
    ]


def test_the_status_breaks_it_alike() -> None:
    snapshot: dict[str, Any] = {
        "state": "drifted",
        "mode": "enforce",
        "pid": 412,
        "version": "0.1.0",
        "policy": {"path": "/p", "revision": "sha256:0", "error": None},
        "resources": [{**resource(PROBLEM), "since": "2026-11-20T20:00:03", "corrections": 0}],
        "services": [],
        "counters": {"passes": 1},
        "latency_ms": {"corrected": {"p50": None, "p99": None}},
    }
    lines = status(snapshot, Painter(colour=False), ()).splitlines()
    at = lines.index("    process 77 has nofile 20000:20000")
    assert lines[at + 1 : at + 3] == [
        "    asked: LimitNOFILE=2147483646 in",
        "      /etc/systemd/system/jada-agent.service.d/zzz.conf:2",
    ]


@given(st.lists(st.text(max_size=120), min_size=1, max_size=4).map("; ".join))
def test_no_problem_is_wider_than_the_table_or_acts_on_a_terminal(problem: str) -> None:
    for line in checked(problem):
        assert line.isprintable() or not line
        assert len(line) <= WIDTH


def test_a_sentence_of_one_part_stays_in_one_piece() -> None:
    assert checked("x.service is masked")[1] == "    x.service is masked"
