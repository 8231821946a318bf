"""What the tables of these tests are made of: facts of a healthy host, and findings in short."""

from collections.abc import Iterable

from jada_configd.core.facts import UnitFact
from jada_configd.core.survey import Mount, PlaceLook, ProcessLook, ProgramLook, ServiceLook
from jada_configd.diagnosis.findings import Finding

ALL = frozenset(
    {
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_LEASE",
        "CAP_SYS_ADMIN",
        "CAP_SYS_RESOURCE",
    }
)
COMMAND = ("/opt/jada-configd/bin/jada-configd",)
UNIT_FILE = "/etc/systemd/system/jada-configd.service"


def one(findings: Iterable[Finding]) -> Finding:
    """The only finding of a check; it has a remedy where, and only where, something is wrong."""
    (found,) = findings
    assert (found.remedy is None) == (found.status == "ok")
    return found


def process(
    *lacks: str, pid: int = 77, uid: int = 0, nofile: int | None = 1024, confinement: str = ""
) -> ProcessLook:
    return ProcessLook(pid, uid, ALL - set(lacks), {"nofile": (nofile, nofile)}, confinement)


def place(
    path: str = "/var/lib/jada-configd",
    kind: str = "ext4",
    point: str = "/",
    user: int | None = None,
) -> PlaceLook:
    mount = Mount(point, kind, read_only=False, user=user)
    return PlaceLook(path, path, mount, free_bytes=1 << 40, free_inodes=1 << 20)


def unit(
    load_state: str = "loaded",
    active_state: str = "active",
    unit_file_state: str = "enabled",
    *,
    need_daemon_reload: bool = False,
    command: tuple[str, ...] = (*COMMAND, "run"),
) -> UnitFact:
    return UnitFact(
        "jada-configd.service",
        load_state,
        active_state,
        unit_file_state=unit_file_state,
        need_daemon_reload=need_daemon_reload,
        fragment=UNIT_FILE,
        command=command,
    )


def service(fact: UnitFact, lacks: str | None = None, others: tuple[str, ...] = ()) -> ServiceLook:
    program = ProgramLook(fact.command[0], fact.command[0], lacks) if fact.command else None
    return ServiceLook(fact, program, COMMAND, others=others)
