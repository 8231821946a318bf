"""The table of services: what each uses beside its limits, in 80 columns, whatever it is called."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.facts import UnitFact, Usage, Use
from jada_configd.core.snapshot import service_plain
from jada_configd.render import WIDTH, Painter, status

AT = "2026-11-20T20:00:03.123Z"
HEAD: dict[str, Any] = {
    "state": "in-sync",
    "mode": "enforce",
    "pid": 412,
    "version": "0.1.0",
    "policy": {"path": "/etc/jada-configd/policy.toml", "revision": "sha256:0", "error": None},
    "resources": [],
    "counters": {"passes": 1},
    "latency_ms": {"corrected": {"p50": None, "p99": None}},
}
UNIT = UnitFact("jada-agent.service", "loaded", "active", main_pid=77)


def plain(usage: Usage | None, unit: UnitFact = UNIT) -> dict[str, Any]:
    standing = {"healthy": unit.active_state == "active"}
    return service_plain(unit, loaded=True, standing=standing, usage=usage, measured=AT)


def shown(*services: dict[str, Any]) -> list[str]:
    """The lines of the table below its head."""
    lines = status({**HEAD, "services": services}, Painter(colour=False), ()).splitlines()
    return lines[next(n for n, line in enumerate(lines) if line.startswith("SERVICE")) + 1 : -2]


def usage(**uses: Use) -> Usage:
    return Usage(12, 40, {limit: (use,) for limit, use in uses.items()})


def test_a_service_is_told_with_what_it_uses() -> None:
    said = shown(
        plain(
            usage(
                nofile=Use(812, 65536, 77, 5, "jada-agent"),
                nproc=Use(40, 8192, 77, 5, "jada-agent", uid=1000),
                tasks=Use(41, None),
            )
        )
    )
    assert said == [
        "jada-agent.service                  active              77  yes     yes",
        "    nofile 812 of 65536 (1 %), nproc 40 of 8192 (0 %), tasks 41 (no limit),",
        "      12 processes, 40 threads at 20:00:03",
    ]


def test_who_uses_much_is_named() -> None:
    said = " ".join(" ".join(shown(plain(usage(nofile=Use(60, 100, 78, 5, "a\x1bb"))))).split())
    assert "nofile 60 of 100 (60 %, process 78 a\\x1bb), 12 processes" in said


def test_one_is_one() -> None:
    assert shown(plain(Usage(1, 1, {})))[1] == "    1 process, 1 thread at 20:00:03"


def test_what_does_not_run_uses_nothing() -> None:
    unit = UnitFact("a.service", "loaded", "inactive")
    assert shown(plain(None, unit)) == [
        "a.service                           inactive             -  yes     no"
    ]


def test_a_status_of_an_older_daemon_is_shown_all_the_same() -> None:
    older = plain(None)
    del older["usage"]
    assert len(shown(older)) == 1


@given(
    st.text(st.characters(categories=["L", "N"], max_codepoint=127), min_size=1, max_size=70),
    st.text(max_size=15),
    st.integers(0, 1 << 62),
    st.none() | st.integers(0, 1 << 62),
)
def test_no_line_is_longer_than_a_terminal_is_wide(
    unit: str, name: str, used: int, limit: int | None
) -> None:
    fact = UnitFact(f"{unit}.service", "loaded", "deactivating", main_pid=4194304)
    use = Use(used, limit, 4194304, 5, name, 4294967294)
    lines = shown(plain(usage(nofile=use, nproc=use, memlock=use), fact))
    assert all(len(line) <= WIDTH and line.isprintable() for line in lines)


def test_in_json_a_share_is_a_number_and_who_uses_it_is_named() -> None:
    said = plain(
        Usage(
            12,
            40,
            {
                "nofile": (Use(812, 65536, 77, 5, "jada-agent"), Use(9, 65536, 78, 5, "x")),
                "nproc": (Use(40, None, 77, 5, "jada-agent", uid=0),),
                "tasks": (Use(41, 64),),
            },
        )
    )
    assert said == {
        "unit": "jada-agent.service",
        "active": "active",
        "main_pid": 77,
        "loaded": True,
        "healthy": True,
        "usage": {
            "nofile": {
                "used": 812,
                "limit": 65536,
                "share": 0.012,
                "pid": 77,
                "name": "jada-agent",
            },
            "nproc": {
                "used": 40,
                "limit": "infinity",
                "share": None,
                "pid": 77,
                "name": "jada-agent",
                "uid": 0,
            },
            "tasks": {"used": 41, "limit": 64, "share": 0.641},
            "processes": 12,
            "threads": 40,
            "measured": AT,
        },
    }
    assert plain(None)["usage"] is None
