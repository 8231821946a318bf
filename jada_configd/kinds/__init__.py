"""What each kind of resource knows: how to look at it, and which actions would mend it.

To add one: a file beside this one, its name in `KINDS`, and its row in the tests. Difference,
application and verification are written once, in `core/diff.py`, `apply.py` and `reconcile.py`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from jada_configd.core.model import Drift, Field, Observed, Rule
from jada_configd.core.plan import Plan
from jada_configd.core.seams import Reader
from jada_configd.kinds.login_limits import LoginLimitsKind
from jada_configd.kinds.process_limits import ProcessLimitsKind
from jada_configd.kinds.service import ServiceKind
from jada_configd.kinds.settings_json import SettingsKind
from jada_configd.kinds.sysctl import SysctlKind
from jada_configd.kinds.unit_dropin import DropInKind

Spec_contra = TypeVar("Spec_contra", contravariant=True)


class Kind(Protocol[Spec_contra]):
    """One kind of resource, without state; all that it knows of the world comes by the reader."""

    name: ClassVar[str]
    noun: ClassVar[str]  # what one is called where things are counted; "": it is part of another
    early: ClassVar[bool]  # put right before the services that we hold start
    asks_manager: ClassVar[bool]  # what it finds is, in part, what the service manager says
    starts_jobs: ClassVar[bool]  # so it is looked at only when we are ready ourselves
    moves_ceilings: ClassVar[bool]  # a correction may change what limits can be had at all

    def watches(self, spec: Spec_contra) -> tuple[str, ...]:
        """The paths whose change is a reason to look again."""

    def units(self, spec: Spec_contra) -> tuple[str, ...]:
        """The units whose change is a reason to look again."""

    def desired(self, spec: Spec_contra) -> Mapping[Field, Rule]:
        """What each owned field must be."""

    def observe(self, spec: Spec_contra, reader: Reader) -> Observed:
        """What there is. Bad content is a problem in what was observed, never an exception."""

    def plan(self, spec: Spec_contra, drift: Drift, observed: Observed) -> Plan:
        """What would mend the drift, from what was observed and nothing else."""


# In the order in which an operator reads them.
KINDS: Mapping[str, Kind[Any]] = {
    kind.name: kind
    for kind in (
        SettingsKind(),
        SysctlKind(),
        DropInKind(),
        ProcessLimitsKind(),
        ServiceKind(),
        LoginLimitsKind(),
    )
}
