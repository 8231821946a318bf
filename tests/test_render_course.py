"""How services do on what is held, as a person reads it: each thing once, below their own row."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.breaker import held_in_place
from jada_configd.core.facts import UnitFact
from jada_configd.core.marks import Mark
from jada_configd.core.snapshot import service_plain, standing_plain
from jada_configd.render import WIDTH, Painter, status

AGENT = "jada-agent.service"
RETRY = f"`jada-configd retry {AGENT}`"
SINCE, RETRY_AT = "2026-11-20T20:00:03.123Z", "2026-11-20T20:30:03.123Z"
ENDED = "its main process ended 2 times, the last time with exit status 3"
OPEN: dict[str, Any] = {
    "state": "open",
    "failures": 3,
    "since": 0.0,
    "why": ENDED,
    "retry_at": 1800.0,
}


def clock(at: float) -> str:
    return RETRY_AT if at else SINCE


def mark(*, well: bool | None = True, why: str = ENDED, unit: str = AGENT) -> Mark:
    return Mark(unit, "sha256:0", why, 0.0, {}, well)


def service(
    ailment: str | None = None,
    back: Mark | None = None,
    breaker: dict[str, Any] | None = None,
    *latencies: float,
    unit: str = AGENT,
    healthy: bool | None = True,
) -> dict[str, Any]:
    standing = standing_plain(healthy, ailment, back, breaker, latencies, clock)
    fact = UnitFact(unit, "loaded", "active", main_pid=77)
    return service_plain(fact, loaded=True, standing=standing)


def row(resource: str, problem: str | None) -> dict[str, Any]:
    return {
        "id": resource,
        "result": "drifted" if problem else "in-sync",
        "since": SINCE,
        "corrections": 0,
        "problem": problem,
    }


def shown(*services: dict[str, Any], resources: tuple[dict[str, Any], ...] = ()) -> list[str]:
    """All lines between the policy and the counters."""
    plain: dict[str, Any] = {
        "state": "degraded",
        "mode": "enforce",
        "pid": 412,
        "version": "0.1.0",
        "policy": {"path": "/etc/jada-configd/policy.toml", "revision": "sha256:0", "error": None},
        "resources": list(resources),
        "services": list(services),
        "counters": {"passes": 1},
        "latency_ms": {"corrected": {"p50": None, "p99": None}},
    }
    return status(plain, Painter(colour=False), ()).splitlines()[3:-2]


def below(*services: dict[str, Any]) -> list[str]:
    """What stands below the row of a service."""
    return shown(*services)[4:]


def test_nothing_is_said_of_a_service_that_does_well() -> None:
    assert below(service(None, None, {**OPEN, "state": "closed"})) == []


@pytest.mark.parametrize(("healthy", "word"), [(True, "yes"), (False, "no"), (None, "-")])
def test_what_nobody_knows_yet_is_neither_yes_nor_no(*, healthy: bool | None, word: str) -> None:
    assert shown(service(healthy=healthy))[3].split() == [AGENT, "active", "77", "yes", word]


def test_why_it_is_not_healthy_stands_below_its_row() -> None:
    said = below(service(f"{AGENT} is not healthy: exit status 1; no answer", healthy=False))
    assert said == ["    is not healthy: exit status 1", "    no answer"]


def test_what_was_taken_back_is_told_with_what_tries_it_again() -> None:
    assert below(service(None, mark())) == [
        "    this policy was taken back at 2026-11-20 20:00:03 UTC: its main process",
        "      ended 2 times, the last time with exit status 3",
        "    it is healthy on what stood before",
        f"    {RETRY} tries it again",
    ]


def test_how_it_does_on_what_came_back_is_told_once() -> None:
    assert "    how it does on what stood before is not known" in below(
        service(None, mark(well=None))
    )
    either = "    it is not healthy on what stood before either"
    assert either in below(service(None, mark(well=False)))
    ailment = f"{AGENT} is not healthy on what came back either: exit status 3"
    said = below(service(ailment, mark(well=False), healthy=False))
    assert said[0] == "    is not healthy on what came back either: exit status 3"
    assert either not in said


def test_a_fallback_that_is_held_says_until_when() -> None:
    assert below(service(None, None, OPEN)) == [
        "    its fallback is held since 2026-11-20 20:00:03 UTC: its main process ended 2",
        "      times, the last time with exit status 3",
        "    the policy's values are tried again at 2026-11-20 20:30:03 UTC, or by",
        f"      {RETRY}",
    ]


def test_the_policy_tried_once_says_what_was_held() -> None:
    half_open = {**OPEN, "state": "half-open", "retry_at": None, "why": "no answer"}
    assert below(service(None, None, half_open, healthy=None)) == [
        "    the policy's values are tried once, since 2026-11-20 20:00:03 UTC",
        "    its fallback was held: no answer",
    ]


def test_what_fails_on_the_fallback_too_is_told_once() -> None:
    both = {**OPEN, "why": "exit status 3; with the fallback's values: exit status 1"}
    assert "    with the fallback's values: exit status 1" in below(service(None, None, both))
    said = " ".join(below(service(f"{AGENT} is not healthy: exit status 1", None, both)))
    assert said.count("exit status 1") == 1


def test_how_long_it_takes_from_drift_to_healthy_is_told() -> None:
    said = below(service(None, None, None, 5.2, 5.25, 61))
    assert said == ["    from drift to healthy: 5.2 s (p50), 61.0 s (p99)"]


def test_what_stands_below_is_not_told_above_too() -> None:
    ailment = f"{AGENT} is not healthy: no answer"
    sentence, held = mark().sentence(), held_in_place(AGENT, ENDED)
    lines = shown(
        service(ailment, mark(), OPEN, healthy=False),
        resources=(
            row("settings:/a", sentence),
            row(f"service:{AGENT}", f"{sentence}; {held}; {ailment}"),
            row("settings:/b", f"/b is a FIFO; {sentence}"),
        ),
    )
    assert lines[1:8] == [
        "drifted   2026-11-20 20:00:03          0  settings:/a",
        f"    see {AGENT} below",
        f"drifted   2026-11-20 20:00:03          0  service:{AGENT}",
        f"    see {AGENT} below",
        "drifted   2026-11-20 20:00:03          0  settings:/b",
        "    /b is a FIFO",
        f"    see {AGENT} below",
    ]
    text = " ".join(" ".join(lines).split())
    assert (text.count(ENDED), text.count("no answer")) == (2, 1)  # each of two has its why


def test_what_is_told_nowhere_else_stays_where_it_is() -> None:
    gone = (
        "jada-agent.service has failed (exit-code); systemctl status jada-agent.service tells why"
    )
    lines = shown(service(healthy=False), resources=(row(f"service:{AGENT}", gone),))
    assert lines[2:4] == [
        "    jada-agent.service has failed (exit-code)",
        "    systemctl status jada-agent.service tells why",
    ]


def test_a_sentence_about_another_service_is_no_reason_to_look_at_this_one() -> None:
    other = mark(unit="other.service")
    lines = shown(
        service(),
        service(None, other, unit="other.service"),
        resources=(row("settings:/a", other.sentence()),),
    )
    assert lines[2] == "    see other.service below"


@given(
    name=st.text(st.characters(categories=["L", "N"], max_codepoint=127), min_size=1, max_size=70),
    why=st.lists(st.text(max_size=120), min_size=1, max_size=3).map("; ".join),
    state=st.sampled_from(["open", "half-open"]),
    well=st.booleans() | st.none(),
)
def test_no_line_is_wider_than_a_terminal_or_acts_on_it(
    *, name: str, why: str, state: str, well: bool | None
) -> None:
    unit = f"{name}.service"
    back = mark(unit=unit, why=why, well=well)
    breaker = {**OPEN, "state": state, "why": f"{why}; with the fallback's values: {why}"}
    about = service(f"{unit} is not healthy: {why}", back, breaker, 0.5, unit=unit)
    problem = "; ".join([back.sentence(), held_in_place(unit, breaker["why"])])
    for line in shown(about, resources=(row(f"service:{unit}", problem),)):
        assert len(line) <= WIDTH
        assert line.isprintable()
