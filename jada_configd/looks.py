"""The first three of the five words: observe, diff and plan, for one resource at a time.

What is done about a look is `reconcile.py`'s. Looking changes nothing, and whatever goes wrong with
it becomes a report.
"""

import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TypeAlias

from jada_configd.core.diff import diff
from jada_configd.core.ledger import Ledger
from jada_configd.core.model import Cause, Drift, Field, Observed, Resource, ResourceId, Result
from jada_configd.core.overlay import only, unruled, without
from jada_configd.core.plan import Plan
from jada_configd.core.report import Report
from jada_configd.core.seams import Reader
from jada_configd.errors import HostError, ManagerGone, Unable
from jada_configd.kinds import KINDS

# Of a resource: the fields that are left as they are (None: all of it), and why; None: no field.
Sparing: TypeAlias = Callable[[str], tuple[frozenset[Field] | None, str] | None]


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at one resource, and what would mend it.

    `right_ns` is the last moment before this look at which the resource was known to be right.
    `drift` is what may be acted on. `spared` is what is left as it is, because a service did not
    bear it, and `spared_why` says so. `left_until_ns`: of what has drifted, some is left until
    then, because it is contested.
    """

    resource: Resource
    cause: Cause
    at_ns: int
    right_ns: int | None
    observed: Observed
    drift: Drift
    plan: Plan
    spared: Drift
    spared_why: str
    left_until_ns: int | None = None

    @property
    def may_act(self) -> bool:
        """Whether there is anything that could be done, and the policy wants it done."""
        wanted = self.resource.mode == "enforce"
        return bool(self.drift) and wanted and bool(self.plan.actions)

    @property
    def beyond_us(self) -> Result:
        """The result of a drift that is left: `failed` where the thing could not be looked at."""
        return "failed" if self.observed.evidence is None else "drifted"

    def report(
        self, result: Result, problem: str | None = None, actions: tuple[str, ...] = ()
    ) -> Report:
        """What came of it."""
        made = Report(self.resource, result, self.drift, problem, actions, self.cause, self.at_ns)
        return replace(made, degrades=True) if self.observed.degrades else made

    def failed(self, error: Exception) -> Report:
        """What went wrong when it was to be mended."""
        return failed(self.resource, self.cause, self.at_ns, error, self.drift)


class Looker:
    """Looks at resources, and remembers of each what its rules come to."""

    def __init__(
        self,
        reader: Reader,
        ledger: Ledger,
        clock_ns: Callable[[], int],
        sparing: Sparing = lambda _: None,
    ) -> None:
        """`sparing` tells what of a resource is to be left as it is, and why."""
        self._reader = reader
        self._ledger = ledger
        self._sparing = sparing
        self._clock_ns = clock_ns
        self._digests: dict[ResourceId, tuple[object, str]] = {}

    def hold(self, resources: Collection[ResourceId]) -> None:
        """These are the resources from now on; what is remembered of others is forgotten."""
        self._digests = {each: known for each, known in self._digests.items() if each in resources}

    def look(self, resource: Resource, cause: Cause) -> Look | Report:
        """Look at it now; a report where that fails."""
        at_ns = self._clock_ns()
        kind = KINDS[resource.id.kind]
        try:
            right_ns = self._ledger.right_since(str(resource.id), self.rules(resource))
            observed = kind.observe(resource.spec, self._reader)
            found = diff(kind.desired(resource.spec), observed)
            spared, why = self._sparing(str(resource.id)) or (frozenset(), "")
            drift = without(found, spared)
            spec = unruled(resource.spec, spared)
            plan = kind.plan(spec, drift, observed) if drift else Plan()
        except Exception as error:  # noqa: BLE001 - a bug: this resource backs off, the daemon lives
            return failed(resource, cause, at_ns, error, Drift())
        left = found if spared is None else only(found, spared)
        return Look(resource, cause, at_ns, right_ns, observed, drift, plan, left, why)

    def rules(self, resource: Resource) -> str:
        """What is wanted, in few bytes: what was right by other rules is not known to be right."""
        known = self._digests.get(resource.id)
        if known is None or known[0] is not resource.spec:
            rules = KINDS[resource.id.kind].desired(resource.spec)
            text = "\n".join(sorted(map(repr, rules.items())))
            known = (resource.spec, sha256(text.encode(errors="replace")).hexdigest()[:16])
            self._digests[resource.id] = known
        return known[1]


def narrowed(look: Look, drift: Drift) -> Look | Report:
    """The look, and what would mend no more than this part of what has drifted."""
    resource = look.resource
    try:
        spec = unruled(resource.spec, frozenset(each.field for each in look.spared.changes))
        plan = KINDS[resource.id.kind].plan(spec, drift, look.observed)
    except Exception as error:  # noqa: BLE001 - a bug: this resource backs off, the daemon lives
        return look.failed(error)
    return replace(look, drift=drift, plan=plan)


def failed(resource: Resource, cause: Cause, at_ns: int, error: Exception, drift: Drift) -> Report:
    """What went wrong. All that is no `HostError` is a fault of ours, and told with its traceback.

    It backs off, for the machine is asked in vain.
    """
    problem, trace, degrades = str(error), None, isinstance(error, Unable | ManagerGone)
    if not isinstance(error, HostError):
        problem = f"a fault of jada-configd: {type(error).__name__}: {error}"
        trace, degrades = "".join(traceback.format_exception(error)), True
    return Report(
        resource,
        "failed",
        drift,
        problem,
        cause=cause,
        detected_ns=at_ns,
        backs_off=True,
        degrades=degrades,
        traceback=trace,
    )
