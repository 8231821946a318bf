"""Whatever happens, and in whatever order: a service ends well on some values, if any were borne.

A machine of rules changes the policy, edits the file, stops and starts the unit, lets time pass,
kills the daemon and has things tried again, over days of simulated time. What a service makes of a
model is known here: each way of failing is one.
"""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from jada_configd.core.actions import Action, RemoveFile, ReplaceFile, StartJob
from jada_configd.core.contest import QUIET_NS
from jada_configd.core.model import Exactly, Field, ResourceId
from jada_configd.core.specs import FallbackSpec, HealthSpec, Policy
from jada_configd.core.status import overall
from jada_configd.core.windows import Purpose
from jada_configd.policy.windows import window
from tests.fake_host import SECOND_NS, Died, FakeHost, Fate, Phase, Process, Unit
from tests.fake_loop import FakeLoop
from tests.kinds.worlds import AGENT, HOME, policy, service_spec, settings_spec

SETTINGS = ResourceId("settings", HOME)
SERVICE = ResourceId("service", AGENT)
MODEL: Field = ("model",)
FATES: dict[object, Fate] = {"exits": "exits", "ends": "ends", "hangs": "hangs"}
ILL = "ill"  # runs, and its probe says no
BORNE = ("sonnet", "opus")
NOT_BORNE = (*FATES, ILL)
INSTEAD = "haiku"  # of the fallback
HEALTH = HealthSpec(stable=4.0, within=15.0, every=600.0, timeout=5.0, command=("/check",))
FALLBACK = FallbackSpec("orchestrator", {MODEL: Exactly(INSTEAD)}, after=2, retry=30000.0)
NIGHT = "Mon-Sun 02:00-05:00 UTC"
DAY = timedelta(days=1) // timedelta(seconds=1)
SEEN = 0.01
SPANS = (0.003, 0.5, 2.0, 5.0, 20.0, 300.0, 20000.0)
MODELS = st.sampled_from((*BORNE, *NOT_BORNE))


def model_of(data: bytes | None) -> object:
    return None if data is None else json.loads(data).get("model")


def read_by(process: Process | None) -> object:
    return None if process is None else model_of(process.saw.get(HOME))


class Courses(RuleBasedStateMachine):
    """One file, one unit, one daemon; all that others do is done at once."""

    @initialize(
        comes_back=st.booleans(),
        min_interval=st.sampled_from([0.0, 30.0]),
        gather=st.sampled_from([0.0, 0.2]),
        windows=st.sets(st.sampled_from(["restart", "correct"])),
        falls_back=st.booleans(),
    )
    def begin(
        self,
        min_interval: float,
        gather: float,
        windows: set[Purpose],
        *,
        comes_back: bool,
        falls_back: bool,
    ) -> None:
        self.sick: set[object] = {ILL}  # the models on which its probe says no
        self.windows = windows
        self.spec = service_spec(
            on_unhealthy="roll-back",
            health=HEALTH,
            min_interval=min_interval,
            gather=gather,
            fallback=FALLBACK if falls_back else None,
        )
        self.host = FakeHost()
        self.added = 0  # what others have written beside the model
        self.host.write(HOME, self.content("sonnet"))
        self.host.add_unit(
            Unit(
                AGENT,
                comes_back=comes_back,
                fate=lambda process: FATES.get(read_by(process), "runs"),
                answers=self.answer,
                start_interval_ns=600 * SECOND_NS,  # so that each crash loop comes to an end
            )
        )
        self.host.start(AGENT, ago_ns=100 * SECOND_NS)
        self.host.before.append(self.judge)
        self.interferes = False
        self.jobs: list[tuple[int, str]] = []
        self.marked: str | None = None  # a revision that was taken back, and is not to be tried
        self.wrong: list[str] = []
        self.edited_ns = 0  # when others last wrote a model
        self.tried_ns = 0  # when the policy's value was last written
        self.undisturbed = True  # since it was last well
        self.loop = FakeLoop(self.host, self.policy("sonnet"))
        self.loop.live(60 * SECOND_NS)

    # ---- what is true

    def content(self, model: object) -> bytes:
        return json.dumps({"added": self.added, "model": model}).encode()

    def answer(self, process: Process | None) -> str:
        return "exit status 10" if read_by(process) in self.sick else ""

    def policy(self, model: str, added: int = 0) -> Policy:
        """A policy of that model; `added` is a comment in its text, which makes it another."""
        entry = settings_spec(services=(AGENT,), rules={MODEL: Exactly(model)})
        return replace(
            policy((entry,), (self.spec,)),
            revision=f"{model} {added}",
            windows={purpose: (window(NIGHT),) for purpose in self.windows},
        )

    @property
    def unit(self) -> Unit:
        return self.host.units[AGENT]

    @property
    def file(self) -> bytes | None:
        entry = self.host.files.get(HOME)
        return None if entry is None else entry.data

    @property
    def wanted(self) -> object:
        rule = self.loop.policy.settings[0].rules[MODEL]
        assert isinstance(rule, Exactly)
        return rule.value

    def is_borne(self, model: object) -> bool:
        return model not in FATES and model not in self.sick

    def is_well(self) -> bool:
        model = read_by(self.unit.process)
        return self.unit.active_state == "active" and self.is_borne(model)

    def is_contested(self) -> bool:
        """By the last look, and not quiet for long enough since to be over at the next."""
        report = self.loop.reports.get(SETTINGS)
        quiet = self.host.now_ns >= self.edited_ns + QUIET_NS
        return report is not None and report.is_contested and not quiet

    @property
    def breaker(self) -> Any:  # noqa: ANN401 - of JSON
        status = self.loop.verdicts.breakers.status(AGENT)
        return "closed" if status is None else status["state"]

    # ---- what the daemon may do

    def judge(self, action: Action) -> None:
        """Each action as it is about to be carried out; somebody may be a moment earlier."""
        if isinstance(action, ReplaceFile) and self.interferes:
            self.interferes = False
            self.somebody_adds_a_key()
            return  # nothing comes of this one
        if isinstance(action, ReplaceFile):
            model = model_of(action.content)
            tries = model == self.wanted and model != model_of(self.file)
            if tries and self.marked == self.loop.policy.revision:
                self.wrong.append(f"{model} was taken back and is written again")
            if tries and self.is_contested() and self.host.now_ns < self.tried_ns + SECOND_NS:
                self.wrong.append("a contested field is corrected without a gap")
            if tries:
                self.tried_ns = self.host.now_ns
        if isinstance(action, RemoveFile):
            self.wrong.append("a file that was there at first is removed")
        if isinstance(action, StartJob):
            self.judge_job(action)

    def judge_job(self, action: StartJob) -> None:
        now_ns = self.host.now_ns
        if action.how != "start":
            if self.is_contested():
                self.wrong.append("a service is not left alone in a contest")
            soonest_ns = now_ns - round(self.spec.min_interval * SECOND_NS)
            if any(at_ns > soonest_ns for at_ns, _ in self.jobs):
                self.wrong.append("two applies are too near to each other")
            since_ns = now_ns - self.unit.start_interval_ns
            if sum(at_ns > since_ns for at_ns in self.unit.starts) >= self.unit.start_burst:
                self.wrong.append("a start of ours hits the start limit")
        self.jobs.append((now_ns, action.how))

    def note(self) -> None:
        """What has been taken back by now, and is not to be tried once that is done."""
        mark = self.loop.verdicts.marks.of(AGENT)
        if mark is not None and AGENT not in self.loop.probation._retried:
            self.marked = mark.revision

    def live(self, seconds: float) -> None:
        self.loop.live(round(seconds * SECOND_NS))
        self.note()

    # ---- rules

    @rule(model=MODELS, added=st.integers(0, 1))
    def the_policy_changes(self, model: str, added: int) -> None:
        self.live(SEEN)  # what stood there, and was never looked at, nobody can know
        wanted = self.policy(model, added)
        if wanted.revision != self.loop.policy.revision:
            self.marked = None
        self.loop.enforce(wanted)
        self.live(SEEN)

    @rule(seconds=st.sampled_from(SPANS))
    def time_passes(self, seconds: float) -> None:
        self.live(seconds)

    @rule(model=MODELS)
    def somebody_edits_the_model(self, model: str) -> None:
        self.undisturbed = False
        self.added += 1
        self.edited_ns = self.host.now_ns
        self.host.write(HOME, self.content(model))

    @rule(model=MODELS)
    def a_rival_writes_his_model_again_and_again(self, model: str) -> None:
        for _ in range(13):
            self.somebody_edits_the_model(model)
            self.live(0.3)

    @rule()
    def somebody_adds_a_key(self) -> None:
        self.added += 1
        self.host.write(HOME, self.content(model_of(self.file)))

    @rule()
    def somebody_will_be_a_moment_earlier(self) -> None:
        """Between the look and the correction, or the way back."""
        self.interferes = True

    @rule()
    def somebody_restarts_the_unit(self) -> None:
        self.undisturbed = False
        self.live(SEEN)  # of two starts between two looks one is all that anybody can see
        self.host.start(AGENT)
        self.live(SEEN)

    @rule()
    def somebody_stops_the_unit(self) -> None:
        self.undisturbed = False
        self.host.stop(AGENT)

    @rule(model=st.sampled_from(BORNE))
    def a_model_falls_ill(self, model: str) -> None:
        self.undisturbed = False
        self.sick.add(model)

    @rule()
    def all_models_recover(self) -> None:
        self.undisturbed = False
        self.sick = {ILL}

    @rule()
    def an_operator_retries(self) -> None:
        if self.loop.retry(AGENT):
            self.marked = None

    @rule(
        effects=st.integers(0, 20),
        seconds=st.sampled_from([0.5, 20.0, 300.0]),
        dead=st.sampled_from(SPANS),
        jobs_end=st.booleans(),
    )
    def the_daemon_dies(self, effects: int, seconds: float, dead: float, *, jobs_end: bool) -> None:
        self.host.dies_after, self.host.effects = effects, 0
        try:
            self.live(seconds)
        except Died:
            self.note()
        self.host.dies_after = None
        if jobs_end:
            self.end_jobs()
        self.host.advance(round(dead * SECOND_NS))
        self.loop.boot()
        self.note()

    def end_jobs(self) -> None:
        while jobs := [job for job in self.host.jobs if job.phase is not Phase.HANGING]:
            self.host.step_job(jobs[0])

    # ---- in the end

    @rule()
    def all_is_quiet(self) -> None:
        """Each window has opened, and each wait is over."""
        self.live(2 * DAY)
        told = [(str(each.resource.id), each.result, each.problem) for each in self.reports()]
        marked = self.loop.verdicts.marks.of(AGENT) is not None
        if self.breaker != "half-open":  # which may wait for a window once more
            assert self.loop.ledger.trials.units() == (), told
            assert self.loop.ledger.trials.befores() == (), told
        if self.undisturbed:
            assert self.is_well(), told
            assert read_by(self.unit.process) == model_of(self.file), told
            assert marked != self.is_borne(self.wanted), told
            assert (self.state() == "degraded") == marked, told
        if self.unit.active_state == "active" and not marked and self.breaker == "closed":
            assert model_of(self.file) == self.wanted, told
            assert read_by(self.unit.process) == self.wanted, told
        if not self.is_well():
            self.mend()

    def mend(self) -> None:
        """An operator has it run as it did at first."""
        self.sick = {ILL}
        self.the_policy_changes("sonnet", 2)
        self.the_policy_changes("opus", 2)
        self.live(2 * DAY)
        self.host.start(AGENT)
        self.live(2 * DAY)
        told = [(str(each.resource.id), each.result, each.problem) for each in self.reports()]
        assert self.is_well(), told
        assert (self.state(), read_by(self.unit.process)) == ("in-sync", "opus"), told
        self.undisturbed = True

    def reports(self) -> Any:  # noqa: ANN401 - short
        return self.loop.reports.values()

    def state(self) -> str:
        return overall(self.reports(), [])[0]

    @invariant()
    def nothing_wrong_was_done(self) -> None:
        if hasattr(self, "loop"):
            assert self.wrong == []
            assert [each.traceback for each in self.loop.history if each.traceback] == []
            self.loop.history.clear()
            assert self.file is not None
            assert json.loads(self.file)["added"] == self.added, "what somebody wrote is lost"


TestCourses = Courses.TestCase
TestCourses.settings = settings(
    max_examples=settings().max_examples,
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
