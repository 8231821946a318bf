"""What keeps a drift from being acted on for now, though the policy wants it and a plan is there.

Content that may be half-written, a rest after a job that failed, a job in hand, a window that is
shut, the pace that a service bears: each ends by itself, and the drift is looked at again then.
"""

from collections.abc import Collection

from jada_configd.core.actions import StartJob
from jada_configd.core.model import ResourceId
from jada_configd.core.pacing import Pacing, Wait
from jada_configd.core.settling import Settling
from jada_configd.core.specs import ServiceSpec
from jada_configd.core.windows import Shut, Windows
from jada_configd.kinds.service import Evidence
from jada_configd.looks import Look

# The end of a job or a daemon-reload is an event; should that be lost, a look finds the end too.
EVENT_LOST_NS = 5_000_000_000


class Obstacles:
    """Asked of each look before anything is begun."""

    def __init__(self, pacing: Pacing) -> None:
        self._pacing = pacing
        self.resting: dict[ResourceId, int] = {}  # nothing is done about these before that moment
        self.at_work: set[ResourceId] = set()  # nor about these, whose job has not ended
        self.windows: Windows | None = None  # outside which nothing is done; None: at any time
        self._settling = Settling()
        self._awaited: dict[ResourceId, int] = {}  # since when the end of a job has been missed

    def hold(self, resources: Collection[ResourceId]) -> None:
        """These are the resources from now on; what is remembered of others is forgotten."""
        self._settling.hold(frozenset(map(str, resources)))

    def unsettled(self, look: Look) -> int | None:
        """When to look again at content that may be in the middle of being written, or None."""
        signature = look.observed.unsettled if look.drift else None
        return self._settling.wait(str(look.resource.id), signature, look.at_ns)

    def rests_until(self, look: Look) -> int | None:
        """Until when it is left alone, because its last job failed; None where it is not."""
        until_ns = self.resting.get(look.resource.id, 0)
        return until_ns if until_ns > look.at_ns else None

    def is_at_work(self, look: Look) -> bool:
        """Whether a job of ours has not ended; systemd shows none, and may be about to tell."""
        resource = look.resource.id
        if resource not in self.at_work or not look.plan.actions:
            self._awaited.pop(resource, None)
            return False
        if look.at_ns < self._awaited.setdefault(resource, look.at_ns) + EVENT_LOST_NS:
            return True
        self.at_work.discard(resource)
        del self._awaited[resource]
        return False

    def wait(self, look: Look) -> Shut | Wait | None:
        """What has to come first, of windows and of the pace that a service bears."""
        return self.shut(look) or self._paced(look)

    def _paced(self, look: Look) -> Wait | None:
        evidence, spec = look.observed.evidence, look.resource.spec
        if not isinstance(evidence, Evidence) or not isinstance(spec, ServiceSpec):
            return None
        for action in look.plan.actions:
            if isinstance(action, StartJob) and evidence.owed is not None:
                unit, owed = evidence.unit, evidence.owed
                return self._pacing.wait(
                    spec, unit, owed, action.how, look.at_ns
                ) or self._pacing.drain(spec, unit, owed, action.how, evidence.busy, look.at_ns)
        return None

    def shut(self, look: Look) -> Shut | None:
        """The window that has to open before what mends this may be done."""
        if self.windows is None or not look.may_act or look.plan.way_back:
            return None
        return self.windows.shut_to(look.plan.actions)

    def shut_to_restarts(self) -> Shut | None:
        """The window that has to open before a service may be restarted."""
        return None if self.windows is None else self.windows.shut("restart")
