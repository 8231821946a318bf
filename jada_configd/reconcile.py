"""One batch of resources, in five words: observe, diff, plan, apply, verify.

Read this first; the first three are in `looks.py`. What comes out is a `Report` for each resource;
nothing is a success by assumption, only the second look decides. Without a writer nothing can be
changed: that is `check`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from jada_configd.apply import Writer, carry_out
from jada_configd.contests import Contests
from jada_configd.core.actions import Action, ReloadUnits, SetProcessLimit, StartJob
from jada_configd.core.ledger import Ledger
from jada_configd.core.model import Cause, Drift, Resource, ResourceId, Result, pointer
from jada_configd.core.pacing import Wait
from jada_configd.core.plan import Plan, shown
from jada_configd.core.report import Report
from jada_configd.core.resources import service_of
from jada_configd.core.seams import Reader
from jada_configd.core.specs import ServiceSpec
from jada_configd.core.windows import Shut
from jada_configd.errors import Refused, Stale
from jada_configd.looks import Look, Looker, Sparing
from jada_configd.obstacles import EVENT_LOST_NS, Obstacles
from jada_configd.strains import Strains
from jada_configd.takeup import TakeUp

Batch: TypeAlias = Sequence[tuple[Resource, Cause]]

# A rival may put its value back between our writing and our looking; so often in a row, and it is
# no race any more.
UNTAKEN_MOST = 8


class Reconciler:
    """Carries a batch from looking to knowing. One thread, one batch at a time."""

    def __init__(
        self,
        reader: Reader,
        ledger: Ledger,
        takeup: TakeUp,
        clock_ns: Callable[[], int],
        keep: Callable[[ResourceId, bytes], None],
        sparing: Sparing = lambda _: None,
    ) -> None:
        """`keep` is told content that was seen to be right: a broken file can go back to it.

        `sparing` tells what of a resource is left as it is, because a service did not bear it.
        """
        self._looker = Looker(reader, ledger, clock_ns, sparing)
        self._ledger = ledger
        self._takeup = takeup
        self._clock_ns = clock_ns
        self._keep = keep
        self.obstacles = Obstacles(ledger.pacing)
        self.contests = Contests()
        self._reloads = False  # this pass has systemd read its unit files
        self._strains = Strains()
        self._begun: dict[ResourceId, Report] = {}  # to be told once it has ended
        # By which rules, and when it had last been right by them.
        self._seen_wrong: dict[ResourceId, tuple[str, int | None]] = {}
        self._untaken: dict[ResourceId, int] = {}
        self._known: set[ResourceId] = set()  # that this process has seen to be right

    def hold(self, resources: frozenset[ResourceId]) -> None:
        """These are the resources from now on; what is remembered of others is forgotten."""
        for remembered in (self._begun, self._seen_wrong, self._untaken):
            for each in remembered.keys() - resources:
                remembered.pop(each, None)
        self._known &= resources
        self._looker.hold(resources)
        self.obstacles.hold(resources)
        self.contests.hold(resources, self._clock_ns())
        self._strains.hold(resources)

    def check(self, batch: Batch) -> list[Report]:
        """What has drifted and what would be done; nothing is changed, and nothing can be."""
        looks = [self._looker.look(resource, cause) for resource, cause in batch]
        return [self._strains.beside(each, self._checked(each), "drifted") for each in looks]

    def reconcile(self, batch: Batch, writer: Writer) -> list[Report]:
        """Correct what has drifted, in the order of `core/plan.py`, and look again."""
        looks = [self._looker.look(resource, cause) for resource, cause in batch]
        waits = {
            each.resource.id: self.obstacles.unsettled(each)
            for each in looks
            if isinstance(each, Look)
        }
        looks = [
            each
            if isinstance(each, Report) or waits[each.resource.id] is not None
            else self.contests.parted(each)
            for each in looks
        ]
        ready = {
            each.resource.id: each
            for each in looks
            if isinstance(each, Look) and waits[each.resource.id] is None and self._is_ready(each)
        }
        held_up = {
            name: wait for name, look in ready.items() if (wait := self.obstacles.wait(look))
        }
        acting = {name: look for name, look in ready.items() if name not in held_up}
        self._takeup.begin((each, self._looker.rules(each.resource)) for each in acting.values())
        self._reloads = any(ReloadUnits() in each.plan.actions for each in acting.values())
        errors = carry_out({name: look.plan for name, look in acting.items()}, writer)
        done_ns = self._clock_ns()
        reports = []
        for each in looks:
            if isinstance(each, Report):
                reports.append(each)
            elif each.resource.id in acting:
                reports.append(self._acted(each, errors.get(each.resource.id), done_ns))
            elif each.resource.id in held_up:
                self._note_wrong(each)
                reports.append(self._held_up(each, held_up[each.resource.id]))
            else:
                reports.append(self._left(each, waits[each.resource.id]))
        return [
            self._strains.beside(look, self.contests.beside(look, report), _if_left(look.resource))
            for look, report in zip(looks, reports, strict=True)
        ]

    def _is_ready(self, look: Look) -> bool:
        if not look.may_act or self._reloads_already(look):
            return False
        if look.plan.way_back:
            return True
        # What rests is looked at and told, and left alone.
        return self.obstacles.rests_until(look) is None and not self.obstacles.is_at_work(look)

    def _checked(self, look: Look | Report) -> Report:
        if isinstance(look, Report):
            return look
        if not look.drift:
            if look.spared:
                return _spared(look)
            return look.report("in-sync", look.observed.note)
        shut = self.obstacles.shut(look)
        if shut is not None:
            return self._waits_for_window(look, shut)
        return look.report(look.beyond_us, look.drift.problem, self._would_do(look))

    def _would_do(self, look: Look) -> tuple[str, ...]:
        fields = tuple(pointer(change.field) for change in look.drift.changes)
        then = self._takeup.would_ask(look.resource, fields) if look.plan.actions else ()
        return shown(look.plan.actions, then)

    # ---- apply and verify

    def _acted(self, look: Look, error: Exception | None, done_ns: int) -> Report:
        match error:
            case None:
                return self._verified(look, done_ns)
            case Refused() if look.plan.or_restart is not None:
                return self._restarted_instead(look, look.plan.or_restart, str(error))
            case Refused() if self._reloads and _sets_limits(look.plan):
                return self._waits_for_end(look, None)  # what a restart brings is known only then
            case Stale():
                self._takeup.befores.unchanged(look.resource)
                again_ns = self._clock_ns()
                return replace(look.report("waiting", str(error)), again_ns=again_ns)
            case _:
                return look.failed(error)

    def _verified(self, look: Look, done_ns: int) -> Report:
        """Look again: only that decides. What ends as an event is waited for."""
        self.contests.corrected(look, done_ns)
        again = self._looker.look(look.resource, look.cause)
        corrected = replace(
            look.report("corrected", actions=shown(look.plan.actions)), corrected_ns=done_ns
        )
        if isinstance(again, Report):
            self._begun.setdefault(look.resource.id, corrected)
            return again
        if again.drift and _ends_later(look.plan.actions):
            self._begun.setdefault(look.resource.id, corrected)
            return self._waits_for_end(look, None)
        self._takeup.corrected(
            look.resource, look.drift, look.right_ns, done_ns, found_ns=look.at_ns
        )
        if again.drift:
            left = self.contests.parted(again)
            if isinstance(left, Report):
                return left
            return self._partly(corrected, left) or self._untook(left)
        self._begun.pop(look.resource.id, None)  # told with this
        if again.spared:
            return replace(corrected, look_by_ns=again.at_ns)
        self._knows_right(again)
        return corrected

    def _partly(self, corrected: Report, again: Look) -> Report | None:
        """Told as corrected where some of it is, and the rest is beyond us or contested.

        What is to be said of that comes next.
        """
        left = {change.field for change in again.drift.changes}
        mended = tuple(each for each in corrected.drift.changes if each.field not in left)
        stays = again.drift.problem is not None or again.left_until_ns is not None
        if not mended or again.plan.actions or not stays:
            return None
        self._note_wrong(again)
        self._begun.pop(again.resource.id, None)  # told with this
        return replace(
            corrected,
            drift=Drift(mended),
            problem=again.drift.problem,
            look_by_ns=again.at_ns,
        )

    def _untook(self, again: Look) -> Report:
        if not again.plan.actions:  # what is left is beyond us
            return self._left(again, None)
        times = self._untaken.get(again.resource.id, 0) + 1
        self._untaken[again.resource.id] = times
        self._note_wrong(again)
        problem = again.drift.problem or "it was changed again at once"
        if times < UNTAKEN_MOST:
            return replace(again.report("waiting", problem), again_ns=self._clock_ns())
        return replace(again.report("failed", problem), backs_off=True)

    def _restarted_instead(self, look: Look, unit: str, why: str) -> Report:
        """The kernel refused; a restart gives the same, once."""
        none = self._takeup.restart(unit, look.drift, self._clock_ns())
        if none is not None and self._reloads:
            return self._waits_for_end(look, None)  # systemd is only now told what to give
        if none is not None:
            self._begun.pop(look.resource.id, None)
            return look.report("failed", f"{why}; {none}")
        corrected = look.report("corrected", actions=(f"restart {unit}",))
        self._begun.setdefault(look.resource.id, corrected)
        shut = self.obstacles.shut_to_restarts()
        if shut is not None and service_of(unit) not in self.obstacles.at_work:
            return _until_it_opens(look, shut, f"{why}; {unit} has to restart")
        return self._waits_for_end(look, f"{why}; {unit} has to restart")

    def _waits_for_end(self, look: Look, problem: str | None) -> Report:
        again_ns = self._clock_ns() + EVENT_LOST_NS
        waiting = look.report("waiting", problem, shown(look.plan.actions))
        return replace(waiting, again_ns=again_ns)

    # ---- nothing was done

    def _held_up(self, look: Look, wait: Shut | Wait) -> Report:
        if isinstance(wait, Shut):
            return self._waits_for_window(look, wait)
        told = "; ".join(filter(None, (look.drift.problem, wait.sentence)))
        if wait.gives_up:
            self._ledger.skip(look.resource.id.name)
            self._takeup.save()
            return look.report("drifted", told, self._would_do(look))
        waiting = look.report("waiting", told, self._would_do(look))
        return replace(waiting, again_ns=wait.until_ns)

    def _waits_for_window(self, look: Look, shut: Shut) -> Report:
        return _until_it_opens(look, shut, look.drift.problem, self._would_do(look))

    def _left(self, look: Look, unsettled_ns: int | None) -> Report:
        if not look.drift:
            return self._left_so(look) if look.spared else self._in_sync(look)
        problem = look.drift.problem
        self._note_wrong(look)
        if unsettled_ns is not None:
            return replace(look.report("waiting", problem), again_ns=unsettled_ns)
        if look.resource.mode == "observe":
            seen: Result = "reported" if look.observed.evidence is not None else "failed"
            return look.report(seen, problem, self._would_do(look))
        rests_until_ns = self.obstacles.rests_until(look)
        if look.plan.actions and rests_until_ns is not None:
            rests = "is left alone for a while, because its last job failed"
            return replace(look.report("drifted", problem or rests), again_ns=rests_until_ns)
        if self._reloads_already(look) or look.resource.id in self.obstacles.at_work:
            return self._waits_for_end(look, problem)
        if look.left_until_ns is not None:
            told = "; ".join(filter(None, (problem, look.plan.waits)))
            return replace(look.report("contested", told), again_ns=look.left_until_ns)
        waits = f"waits for {look.plan.waits}"
        if look.plan.under_way:
            return self._waits_for_end(look, problem or waits)
        can_wait = problem is None or look.observed.pending
        if not can_wait and isinstance(look.resource.spec, ServiceSpec):
            # It does not do well on what was begun: that it does one day is no correction of ours.
            self._begun.pop(look.resource.id, None)
        return look.report("waiting" if can_wait else look.beyond_us, problem or waits)

    def _note_wrong(self, look: Look) -> None:
        rules = self._looker.rules(look.resource)
        self._seen_wrong.setdefault(look.resource.id, (rules, look.right_ns))

    def _left_so(self, look: Look) -> Report:
        """A service did not bear what would mend it."""
        self._begun.pop(look.resource.id, None)
        self._ledger.end(str(look.resource.id))
        return _spared(look)

    def _reloads_already(self, look: Look) -> bool:
        """Whether the daemon-reload that is missing was started after the file came to stand so."""
        begun = self._begun.get(look.resource.id)
        return (
            begun is not None
            and look.plan.actions == (ReloadUnits(),)
            and look.at_ns < begun.detected_ns + EVENT_LOST_NS
        )

    def _in_sync(self, look: Look) -> Report:
        resource = look.resource
        if look.observed.interim:
            return look.report("in-sync")
        if resource.id in self.obstacles.at_work:  # a new process is there, and may not get ready
            return self._waits_for_end(look, "its job is under way")
        begun = self._begun.pop(resource.id, None)
        if self._ledger.has_begun(str(resource.id)):  # ended only now, or cut short by a crash
            drift = begun.drift if begun is not None else Drift()
            found_ns = begun.detected_ns if begun is not None else look.at_ns
            self._takeup.corrected(resource, drift, look.right_ns, look.at_ns, found_ns=found_ns)
        elif resource.id in self._seen_wrong and resource.mode == "enforce":
            rules, right_ns = self._seen_wrong[resource.id]
            if rules != self._looker.rules(resource):  # what was right then is not what is now
                right_ns = None
            self._takeup.corrected(resource, Drift(), right_ns, look.at_ns, by_us=False)
        elif resource.id not in self._known and resource.mode == "enforce":
            self._takeup.found_right(resource, look.right_ns, look.at_ns, look.observed.file)
        look_by_ns = self._knows_right(look)
        if begun is not None:
            report = replace(begun, corrected_ns=look.at_ns, cause=look.cause)
        else:
            report = look.report("in-sync", look.observed.note)
        return replace(report, look_by_ns=look_by_ns)

    def _knows_right(self, look: Look) -> int | None:
        """What a look that found nothing wrong proves, and when to look again (None: whenever)."""
        resource = look.resource
        self._untaken.pop(resource.id, None)
        self._seen_wrong.pop(resource.id, None)
        self._known.add(resource.id)
        self._ledger.right(str(resource.id), self._looker.rules(resource), look.at_ns)
        if look.observed.good is not None and self._takeup.is_borne(resource):
            self._keep(resource.id, look.observed.good)
        return self._takeup.is_right(resource, look.at_ns)


def _spared(look: Look) -> Report:
    """What a service did not bear is drift, and is left so."""
    return replace(look.report("drifted", look.spared_why), drift=look.spared)


def _if_left(resource: Resource) -> Result:
    """What a drift is called that nothing can be done about."""
    return "drifted" if resource.mode == "enforce" else "reported"


def _sets_limits(plan: Plan) -> bool:
    return any(isinstance(action, SetProcessLimit) for action in plan.actions)


def _ends_later(actions: Iterable[Action]) -> bool:
    return any(isinstance(action, ReloadUnits | StartJob) for action in actions)


def _until_it_opens(
    look: Look, shut: Shut, problem: str | None, actions: tuple[str, ...] = ()
) -> Report:
    """Drift that lasts until the window opens; hours of it are no correction under way."""
    told = "; ".join(filter(None, (problem, shut.sentence)))
    return replace(look.report("waiting", told, actions), opens_at=shut.opens_at)
