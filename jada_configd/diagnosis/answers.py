"""What a survey was asked, and all that it has found out."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jada_configd.core.facts import Ceiling, UnitFact
from jada_configd.core.specs import Policy
from jada_configd.core.survey import (
    ClockLook,
    DaemonLook,
    FileLook,
    InotifyLook,
    ManagerLook,
    PamLook,
    ProcessLook,
    SecurityLook,
    ServiceLook,
    Unknown,
)
from jada_configd.diagnosis.places import Place
from jada_configd.diagnosis.policies import PolicyLook
from jada_configd.host.directories import Directories


@dataclass(frozen=True, slots=True)
class Asked:
    """What the survey is of."""

    where: Directories
    uid: int
    policy_path: str | None  # as named on the command line

    @property
    def image(self) -> bool:
        """Whether this is a tree that does not run."""
        return not self.where.managed

    @property
    def options(self) -> tuple[str, ...]:
        """What makes another command mean the same place."""
        if self.image:
            return ("--root", self.where.root)
        return ("--user",) if self.where.user else ()

    @property
    def sees_all(self) -> bool:
        """Whether permissions keep nothing back that the checks need."""
        return self.image or self.where.user or self.uid == 0


@dataclass(frozen=True, slots=True)
class Around:
    """What depends on no policy."""

    daemon: DaemonLook | None
    doer: ProcessLook | None
    inotify: InotifyLook
    clock: ClockLook
    security: SecurityLook
    journal: bool | Unknown
    version: int | None
    container: str = ""


@dataclass(frozen=True, slots=True)
class Managed:
    """What the service manager has, and can give."""

    manager: ManagerLook
    units: Mapping[str, UnitFact]
    process: ProcessLook | None
    ceilings: Mapping[str, Ceiling | None]
    service: ServiceLook | None


@dataclass(frozen=True, slots=True)
class Survey:
    """All that was found out."""

    asked: Asked
    policy: PolicyLook | Unknown
    around: Around | Unknown | None
    managed: Managed | Unknown | None
    places: tuple[Place, ...]
    files: tuple[FileLook, ...] | Unknown
    settings_places: tuple[Place, ...]
    watches: int | Unknown
    pam: PamLook | Unknown
    python: tuple[int, ...] = field(default_factory=lambda: tuple(sys.version_info[:3]))
    executable: str = field(default_factory=lambda: sys.executable)

    @property
    def declared(self) -> Policy | None:
        """The policy, where it loads."""
        return None if isinstance(self.policy, Unknown) else self.policy.policy


def units_of(policy: Policy | None) -> Sequence[tuple[str, str]]:
    """The units of a policy, each with where it is named."""
    if policy is None:
        return ()
    return (
        *((spec.unit, spec.origin) for spec in policy.services),
        *((unit, spec.origin) for spec in policy.settings for unit in spec.services),
    )
