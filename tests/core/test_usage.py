"""How near a unit is to its limits: told once when a threshold is passed, once when it is over."""

from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.facts import Usage, Use
from jada_configd.core.model import Strain
from jada_configd.core.usage import (
    KEPT,
    Alarms,
    Told,
    near,
    percent,
    strains,
    unmeasured,
)
from tests.policy.declared import MEASURED

NAME = "service:jada-agent.service"


def use(used: int, pid: int = 77, *, limit: int | None = 100, name: str = "agent") -> Use:
    return Use(used, limit, pid, started=pid * 10, name=name)


def of(*uses: Use, threshold: float = 0.8, limit: str = "nofile") -> list[Strain]:
    return [Strain(limit, threshold, tuple(sorted(uses, key=lambda each: -each.share)))]


def test_a_use_below_its_threshold_is_nothing_to_tell() -> None:
    assert Alarms().take(NAME, of(use(79))) == Told()


def test_a_use_at_its_threshold_names_the_process_and_its_share() -> None:
    told = Alarms().take(NAME, of(use(80)))
    assert told == Told("process 77 (agent) has reached 80 % of the nofile limit of 100")


def test_a_share_is_told_in_whole_steps() -> None:
    assert "reached 90 % of" in str(Alarms().take(NAME, of(use(99))).problem)
    assert "reached 100 % of" in str(Alarms().take(NAME, of(use(250))).problem)
    assert "reached 85 % of" in str(Alarms().take(NAME, of(use(87), threshold=0.85)).problem)


def test_a_limit_of_none_is_used_up_by_one() -> None:
    assert "reached 100 % of the nofile limit of 0" in str(
        Alarms().take(NAME, of(use(1, limit=0))).problem
    )
    assert Alarms().take(NAME, of(use(0, limit=0))) == Told()


def test_what_is_unbounded_is_never_near() -> None:
    assert Alarms().take(NAME, of(use(10**9, limit=None), threshold=0.01)) == Told()


def test_a_use_that_falls_a_little_is_over_its_threshold_still() -> None:
    alarms = Alarms()
    first = alarms.take(NAME, of(use(81)))
    assert alarms.take(NAME, of(use(73))) == first
    assert alarms.take(NAME, of(use(71))) == Told(
        eased="the use of nofile is within what the policy allows again"
    )
    assert alarms.take(NAME, of(use(73))) == Told()


def test_a_share_that_grows_by_a_step_is_told_and_one_that_falls_back_is_not() -> None:
    alarms = Alarms()
    alarms.take(NAME, of(use(81)))
    higher = alarms.take(NAME, of(use(93)))
    assert higher == Told("process 77 (agent) has reached 90 % of the nofile limit of 100")
    assert alarms.take(NAME, of(use(82))) == higher


def test_of_many_that_are_near_the_one_that_was_named_stays_named() -> None:
    alarms = Alarms()
    first = alarms.take(NAME, of(use(81), use(80, 78)))
    assert "process 77" in str(first.problem)
    assert alarms.take(NAME, of(use(75), use(89, 78))) == first
    other = alarms.take(NAME, of(use(60), use(84, 78)))
    assert other == Told("process 78 (agent) has reached 80 % of the nofile limit of 100")


def test_a_process_that_calls_itself_otherwise_at_each_look_is_no_news() -> None:
    alarms = Alarms()
    first = alarms.take(NAME, of(use(81, name="worker: 1")))
    assert alarms.take(NAME, of(use(81, name="worker: 2"))) == first


def test_a_name_that_would_act_on_a_terminal_is_escaped() -> None:
    assert "(\\x1b[2J)" in str(Alarms().take(NAME, of(use(81, name="\x1b[2J"))).problem)
    assert "(a;\\x20why: b)" in str(Alarms().take(NAME, of(use(81, name="a; why: b"))).problem)


def test_a_pid_that_has_passed_to_another_process_is_another_one() -> None:
    alarms = Alarms()
    alarms.take(NAME, of(use(81)))
    other = Use(85, 100, 77, started=5, name="other")
    assert "process 77 (other)" in str(alarms.take(NAME, of(other)).problem)


def test_of_a_users_processes_it_does_not_matter_which_one_is_named() -> None:
    def of_user(used: int, pid: int) -> list[Strain]:
        return of(Use(used, 400, pid, pid, "agent", uid=1001), limit="nproc")

    alarms = Alarms()
    first = alarms.take(NAME, of_user(330, 77))
    assert first == Told(
        "user 1001, as whom process 77 (agent) runs, has reached 80 % of the nproc limit of 400"
    )
    assert alarms.take(NAME, of_user(340, 78)) == first


def test_tasks_are_those_of_the_unit() -> None:
    told = Alarms().take(NAME, of(Use(64, 64), limit="tasks"))
    assert told == Told("the unit has reached 100 % of its TasksMax= of 64")


def test_each_limit_is_told_for_itself() -> None:
    alarms = Alarms()
    both = [*of(use(90)), *of(use(95), limit="memlock")]
    assert str(alarms.take(NAME, both).problem).count(" has reached 90 % of ") == len(both)
    left = alarms.take(NAME, [*of(use(1)), *of(use(95), limit="memlock")])
    assert left == Told(
        "process 77 (agent) has reached 90 % of the memlock limit of 100",
        "the use of nofile is within what the policy allows again",
    )


def test_a_unit_that_has_stopped_is_near_nothing() -> None:
    alarms = Alarms()
    alarms.take(NAME, of(use(90)))
    assert alarms.take(NAME, ()).eased == "the use of nofile is within what the policy allows again"
    assert alarms.take(NAME, ()) == Told()


def test_another_threshold_is_another_question() -> None:
    alarms = Alarms()
    alarms.take(NAME, of(use(86)))
    told = alarms.take(NAME, of(use(86), threshold=0.9))
    assert told == Told(eased="the use of nofile is within what the policy allows again")


def test_what_is_held_no_more_is_forgotten() -> None:
    alarms = Alarms()
    alarms.take(NAME, of(use(90)))
    alarms.hold(frozenset({"service:other.service"}))
    assert alarms.take(NAME, of(use(75))) == Told()


@given(st.lists(st.integers(80, 89), min_size=1), st.lists(st.integers(73, 89), min_size=1))
def test_however_a_use_moves_about_its_threshold_one_sentence_is_told(
    rising: list[int], moving: list[int]
) -> None:
    alarms = Alarms()
    told = [alarms.take(NAME, of(use(used))) for used in rising + moving]
    assert set(told) == {told[0]}


@given(
    st.lists(st.lists(st.integers(0, 130), max_size=4), min_size=1, max_size=30),
    st.integers(1, 100),
)
def test_what_is_told_is_true_and_its_end_is_told_too(
    looks: list[list[int]], threshold: int
) -> None:
    alarms, share, was = Alarms(), threshold / 100, False
    for look in looks:
        found = of(*(use(used, pid) for pid, used in enumerate(look, 1)), threshold=share)
        told = alarms.take(NAME, found)
        nearest = max(look, default=0) / 100
        assert told.problem is not None or nearest < share
        assert told.problem is None or nearest >= share * KEPT
        assert (told.eased is not None) == (was and told.problem is None)
        was = told.problem is not None


@given(st.dictionaries(st.sampled_from(MEASURED), st.integers(1, 100).map(lambda n: n / 100)))
def test_the_reader_is_asked_for_all_that_may_matter(thresholds: dict[str, float]) -> None:
    asked = near(thresholds)
    assert asked.keys() == thresholds.keys()
    assert all(asked[limit] <= thresholds[limit] for limit in thresholds)


def test_a_threshold_is_held_against_what_was_measured() -> None:
    usage = Usage(1, 1, {"nofile": (use(5),), "nproc": (use(6),)})
    thresholds = {"nofile": 0.5, "tasks": 0.5}
    assert strains(thresholds, usage) == (Strain("nofile", 0.5, (use(5),)),)
    assert strains(thresholds, None) == ()
    assert unmeasured(thresholds, usage) == "nobody can tell how much is used of tasks here"
    assert unmeasured({"nofile": 0.5}, usage) is None


@given(st.integers(1, 100))
def test_a_percentage_comes_back_as_it_was_written(number: int) -> None:
    assert percent(number / 100) == number
