"""The truth table of `when` and `apply`: who has to take a correction up, and how."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.facts import Owed, UnitFact
from jada_configd.core.ledger import Ledger
from jada_configd.core.specs import Apply, ServiceSpec, When
from jada_configd.core.staleness import debt_of, is_stale
from jada_configd.kinds.service import how_to_apply

UNIT = "jada-agent.service"
SECOND = 1_000_000_000
MILLISECOND = 1_000_000
RIGHT = 100 * SECOND  # when the values were last known to be right
CORRECTED = 110 * SECOND
RULES = "0123456789abcdef"
FILE = "settings:/home/ubuntu/.claude/settings.json"


def unit(started: int = 50 * SECOND, **other: Any) -> UnitFact:  # noqa: ANN401 - of the fact
    """A unit whose main process started then, and has been active since."""
    fact = UnitFact(
        UNIT,
        "loaded",
        "active",
        main_pid=77,
        main_started_ns=started,
        activating_since_ns=started,
        state_changed_ns=started,
    )
    return replace(fact, **other)


def activating(since: int, main: int = 0, **other: Any) -> UnitFact:  # noqa: ANN401 - the same
    return unit(
        main,
        active_state="activating",
        main_pid=77 if main else 0,
        activating_since_ns=since,
        state_changed_ns=main or since,
        **other,
    )


# What could have read a wrong value, by when its processes began to read.
STALE: dict[str, tuple[UnitFact, bool]] = {
    "started long before the values were known to be right": (unit(50 * SECOND), False),
    "started two milliseconds before": (unit(RIGHT - 2 * MILLISECOND), False),
    "started in the millisecond before": (unit(RIGHT - MILLISECOND // 2), True),
    "started when they were known to be right": (unit(RIGHT), True),
    "started in between": (unit(105 * SECOND), True),
    "started at the correction": (unit(CORRECTED), True),
    "started in the millisecond after the correction": (unit(CORRECTED + MILLISECOND // 2), True),
    "started two milliseconds after the correction": (unit(CORRECTED + 2 * MILLISECOND), False),
    "started long after the correction": (unit(120 * SECOND), False),
    "was reloaded before": (unit(state_changed_ns=60 * SECOND), False),
    "was reloaded in between": (unit(state_changed_ns=105 * SECOND), True),
    "is just being reloaded": (unit(active_state="reloading"), True),
    "became ready in between": (unit(99 * SECOND, state_changed_ns=105 * SECOND), True),
    "is stopping, and started before": (
        unit(active_state="deactivating", state_changed_ns=105 * SECOND),
        False,
    ),
    "is stopping, and started in between": (unit(105 * SECOND, active_state="deactivating"), True),
    "began to start before, with no main process yet": (activating(50 * SECOND), True),
    "began to start in between": (activating(105 * SECOND), True),
    "began to start after the correction": (activating(120 * SECOND), False),
    "is starting, its main process since before": (activating(50 * SECOND, 60 * SECOND), False),
    "is starting, its main process since in between": (activating(50 * SECOND, 105 * SECOND), True),
    "is starting, its main process since afterwards": (activating(50 * SECOND, 120 * SECOND), True),
    "starts now, and ran before": (
        activating(105 * SECOND, main_started_ns=50 * SECOND),
        True,
    ),
    "has no main process, and was activated before": (
        unit(0, main_pid=0, activating_since_ns=50 * SECOND),
        False,
    ),
    "has no main process, and was activated in between": (
        unit(0, main_pid=0, activating_since_ns=105 * SECOND),
        True,
    ),
    "ran its commands in between": (
        unit(105 * SECOND, main_pid=0, activating_since_ns=50 * SECOND),
        True,
    ),
    "tells no moment at all": (unit(0, main_pid=0), True),
    "is inactive": (unit(active_state="inactive"), False),
    "has failed in between": (unit(105 * SECOND, active_state="failed"), False),
    "is in a state that is not known here": (unit(105 * SECOND, active_state="refreshing"), True),
}


@pytest.mark.parametrize("case", STALE)
def test_a_process_is_stale_if_it_may_have_read_between_right_and_corrected(case: str) -> None:
    fact, stale = STALE[case]
    assert is_stale(fact, RIGHT, CORRECTED) == stale


@pytest.mark.parametrize("case", STALE)
def test_where_nothing_is_known_all_that_ran_before_the_correction_is_stale(case: str) -> None:
    fact, _ = STALE[case]
    runs = fact.active_state not in ("inactive", "failed")
    after = fact.activating_since_ns > CORRECTED + MILLISECOND
    assert is_stale(fact, None, CORRECTED) == (runs and not after)


# when, apply, whether the unit can reload -> for a process that read right values, for a stale one.
# "hand" is a debt that somebody else has to settle.
TABLE: dict[tuple[When, Apply, bool], tuple[str, str]] = {
    ("always", "none", True): ("hand", "hand"),
    ("always", "none", False): ("hand", "hand"),
    ("always", "reload", True): ("reload", "reload, hand"),
    ("always", "reload", False): ("hand", "hand"),
    ("always", "restart", True): ("restart", "restart"),
    ("always", "restart", False): ("restart", "restart"),
    ("always", "reload-or-restart", True): ("reload", "restart"),
    ("always", "reload-or-restart", False): ("restart", "restart"),
    ("stale", "none", True): ("nothing", "hand"),
    ("stale", "none", False): ("nothing", "hand"),
    ("stale", "reload", True): ("nothing", "reload, hand"),
    ("stale", "reload", False): ("nothing", "hand"),
    ("stale", "restart", True): ("nothing", "restart"),
    ("stale", "restart", False): ("nothing", "restart"),
    ("stale", "reload-or-restart", True): ("nothing", "restart"),
    ("stale", "reload-or-restart", False): ("nothing", "restart"),
    ("auto", "none", True): ("nothing", "hand"),
    ("auto", "none", False): ("nothing", "hand"),
    ("auto", "reload", True): ("reload", "reload, hand"),
    ("auto", "reload", False): ("nothing", "hand"),
    ("auto", "restart", True): ("nothing", "restart"),
    ("auto", "restart", False): ("nothing", "restart"),
    ("auto", "reload-or-restart", True): ("reload", "restart"),
    ("auto", "reload-or-restart", False): ("nothing", "restart"),
}


@pytest.mark.parametrize(("when", "apply", "can_reload"), TABLE)
def test_what_a_correction_asks_of_a_unit(when: When, apply: Apply, *, can_reload: bool) -> None:
    spec = ServiceSpec(UNIT, apply, when, {}, "enforce", "policy.toml:1")
    for started, wanted in zip(
        (50 * SECOND, 105 * SECOND), TABLE[when, apply, can_reload], strict=True
    ):
        assert _done(spec, unit(started, can_reload=can_reload)) == wanted


def _done(spec: ServiceSpec, fact: UnitFact) -> str:
    """Everything that is done, one thing after the other, until the debt is settled or stays."""
    debt = debt_of(spec, fact, RIGHT, CORRECTED, ("/model",))
    if debt is None:
        return "nothing"
    ledger = Ledger()
    ledger.owe(UNIT, debt)
    done: list[str] = []
    while (owed := ledger.owed(UNIT)) is not None and len(done) < 4:
        how = how_to_apply(spec, fact, owed)
        done.append(how or "hand")
        if how is None:
            break
        if how == "reload":
            ledger.reloaded(UNIT, CORRECTED + SECOND)
        else:
            ledger.pay_off(unit(CORRECTED + SECOND))
    return ", ".join(done)


@pytest.mark.parametrize("state", ["inactive", "failed"])
@pytest.mark.parametrize("when", ["always", "stale", "auto"])
def test_a_unit_that_does_not_run_owes_nothing(when: When, state: str) -> None:
    spec = ServiceSpec(UNIT, "restart", when, {}, "enforce", "policy.toml:1")
    assert debt_of(spec, unit(105 * SECOND, active_state=state), RIGHT, CORRECTED, ()) is None


# ------------------------------------------------------------------------------ debts


def owing(debt: Owed) -> Ledger:
    ledger = Ledger()
    ledger.owe(UNIT, debt)
    return ledger


STALE_DEBT = Owed(stale=True, since_ns=CORRECTED, fields=("/model",))
FRESH_DEBT = Owed(stale=False, since_ns=CORRECTED, fields=("/model",))


@pytest.mark.parametrize("debt", [STALE_DEBT, FRESH_DEBT])
@pytest.mark.parametrize(
    ("fact", "paid"),
    [
        (unit(50 * SECOND), False),
        (unit(CORRECTED), False),
        (unit(CORRECTED + MILLISECOND // 2), False),
        (unit(CORRECTED + 2 * MILLISECOND), True),
        (unit(50 * SECOND, state_changed_ns=120 * SECOND), False),  # a reload loads no model
        (activating(105 * SECOND, 120 * SECOND), False),  # its ExecStartPre= may have read
        (activating(120 * SECOND), True),
        (unit(active_state="inactive"), True),
        (unit(active_state="failed"), True),
    ],
)
def test_a_debt_is_paid_off_by_a_process_that_started_after_the_correction(
    debt: Owed, fact: UnitFact, *, paid: bool
) -> None:
    ledger = owing(debt)
    ledger.pay_off(fact)
    assert (ledger.owed(UNIT) is None) == paid


def test_somebody_elses_process_pays_no_debt() -> None:
    ledger = owing(STALE_DEBT)
    ledger.pay_off(replace(unit(120 * SECOND), name="other.service"))
    assert ledger.owed(UNIT) == STALE_DEBT


def test_debts_add_up_to_the_latest_with_all_fields() -> None:
    ledger = owing(STALE_DEBT)
    ledger.owe(UNIT, Owed(stale=False, since_ns=CORRECTED + 5, fields=("/env", "/model")))
    both = Owed(
        stale=True,
        since_ns=CORRECTED + 5,
        fields=("/model", "/env"),
        first_ns=STALE_DEBT.since_ns,
    )
    assert ledger.owed(UNIT) == both
    ledger.owe(UNIT, Owed(stale=False, since_ns=CORRECTED + 9, fields=()))
    assert ledger.owed(UNIT) == replace(both, since_ns=CORRECTED + 9)


def test_what_was_given_up_is_asked_for_again_by_the_next_correction() -> None:
    ledger = owing(STALE_DEBT)
    ledger.skip(UNIT)
    assert ledger.owed(UNIT) == replace(STALE_DEBT, skipped=True)
    again = Ledger.of(ledger.debts("boot"), None, "boot")
    assert again.owed(UNIT) == replace(STALE_DEBT, skipped=True)
    ledger.owe(UNIT, STALE_DEBT)
    assert ledger.owed(UNIT) == replace(STALE_DEBT, first_ns=STALE_DEBT.since_ns)


def test_a_new_correction_asks_for_another_reload() -> None:
    ledger = owing(replace(STALE_DEBT, reloaded=True))
    ledger.owe(UNIT, FRESH_DEBT)
    owed = ledger.owed(UNIT)
    assert owed is not None
    assert not owed.reloaded


def test_a_reload_settles_a_debt_that_is_not_stale() -> None:
    ledger = owing(FRESH_DEBT)
    ledger.reloaded(UNIT, CORRECTED)
    assert ledger.owed(UNIT) is None


def test_a_reload_settles_no_staleness() -> None:
    ledger = owing(STALE_DEBT)
    ledger.reloaded(UNIT, CORRECTED)
    assert ledger.owed(UNIT) == replace(STALE_DEBT, reloaded=True)


@pytest.mark.parametrize("debt", [STALE_DEBT, FRESH_DEBT])
def test_a_reload_that_began_before_the_correction_settles_nothing(debt: Owed) -> None:
    ledger = owing(debt)
    ledger.reloaded(UNIT, CORRECTED - 1)
    assert ledger.owed(UNIT) == debt


@pytest.mark.parametrize("debt", [STALE_DEBT, FRESH_DEBT])
@pytest.mark.parametrize(("begun", "settled"), [(-1, False), (0, True), (SECOND, True)])
def test_a_restart_settles_what_was_owed_when_it_began(
    debt: Owed, begun: int, *, settled: bool
) -> None:
    ledger = owing(debt)
    ledger.restarted(UNIT, CORRECTED + begun)
    assert (ledger.owed(UNIT) is None) == settled


def test_a_reload_of_a_unit_that_owes_nothing_changes_nothing() -> None:
    ledger = Ledger()
    ledger.reloaded(UNIT, CORRECTED)
    assert not ledger.changed


# ------------------------------------------------------------------------------ knowledge


def test_what_was_right_by_other_rules_is_not_known_to_be_right() -> None:
    ledger = Ledger()
    ledger.right(FILE, RULES, RIGHT)
    assert ledger.right_since(FILE, RULES) == RIGHT
    assert ledger.right_since(FILE, "other rules") is None
    assert ledger.right_since("settings:/elsewhere", RULES) is None


def test_a_correction_that_was_begun_keeps_what_was_known_before_it() -> None:
    ledger = Ledger()
    ledger.right(FILE, RULES, RIGHT)
    ledger.begin(FILE, RULES)
    again = Ledger.of(ledger.debts("boot"), None, "boot")  # knowledge is saved now and then only
    assert again.has_begun(FILE)
    assert again.right_since(FILE, RULES) == RIGHT
    assert again.right_since(FILE, "other rules") is None


def test_of_several_moments_the_latest_counts() -> None:
    ledger = Ledger()
    ledger.begin(FILE, RULES)
    assert ledger.right_since(FILE, RULES) is None
    ledger.right(FILE, RULES, RIGHT)
    assert ledger.right_since(FILE, RULES) == RIGHT


def test_a_correction_begun_twice_keeps_the_first_moment() -> None:
    ledger = Ledger()
    ledger.begin(FILE, "other rules")
    ledger.saved()
    ledger.begin(FILE, RULES)
    assert not ledger.changed
    ledger.end(FILE)
    assert ledger.changed
    assert not ledger.has_begun(FILE)


def test_only_what_has_to_last_counts_as_a_change() -> None:
    ledger = Ledger()
    ledger.right(FILE, RULES, RIGHT)
    ledger.end(FILE)
    ledger.settle(UNIT)
    ledger.wants_still(UNIT, frozenset())
    assert not ledger.changed
    ledger.begin(FILE, RULES)
    assert ledger.changed


def test_what_the_policy_no_longer_holds_is_forgotten() -> None:
    ledger = owing(STALE_DEBT)
    ledger.right(FILE, RULES, RIGHT)
    ledger.begin(FILE, RULES)
    ledger.trying(UNIT, frozenset({"nofile"}))
    ledger.forget_others(frozenset({FILE}), frozenset({UNIT}))
    assert ledger.right_since(FILE, RULES) == RIGHT
    assert ledger.owed(UNIT) == STALE_DEBT
    ledger.forget_others(frozenset(), frozenset())
    assert ledger.debts("boot") == Ledger().debts("boot")
    assert ledger.known("boot") == Ledger().known("boot")


# ------------------------------------------------------------------------------ restarts


def test_a_restart_is_not_made_twice_for_the_same_thing() -> None:
    ledger = Ledger()
    wanted = frozenset({"/nofile/hard 5", "/nproc/hard 6"})
    assert not ledger.tried(UNIT, wanted)
    ledger.trying(UNIT, wanted)
    assert ledger.tried(UNIT, wanted)
    assert ledger.tried(UNIT, frozenset({"/nproc/hard 6"}))
    assert not ledger.tried(UNIT, wanted | {"/core/hard 7"})


def test_what_has_come_right_in_between_may_be_tried_again() -> None:
    ledger = Ledger()
    ledger.trying(UNIT, frozenset({"/nofile/hard 5", "/nproc/hard 6"}))
    ledger.wants_still(UNIT, frozenset({"/nproc/hard 6"}))
    assert not ledger.tried(UNIT, frozenset({"/nofile/hard 5"}))
    assert ledger.has_tried(UNIT)
    ledger.wants_still(UNIT, frozenset())
    assert not ledger.has_tried(UNIT)


def test_what_a_process_had_and_lost_is_tried_once_more_and_again_where_it_is_anothers() -> None:
    ledger = Ledger()
    wanted = frozenset({"/nofile/soft 5"})
    ledger.held(UNIT, 50)
    assert not ledger.has_tried(UNIT)
    ledger.trying(UNIT, wanted, 10)
    assert ledger.tried(UNIT, wanted, 50)  # nobody has seen it have that
    ledger.held(UNIT, 50)
    assert not ledger.tried(UNIT, wanted, 50)
    assert ledger.tried(UNIT, wanted, None)
    ledger.trying(UNIT, wanted, 50)
    ledger.held(UNIT, 60)
    assert ledger.tried(UNIT, wanted, 60)
    assert not ledger.tried(UNIT, wanted, 70)  # somebody has started another
    ledger.trying(UNIT, wanted, 70)
    ledger.held(UNIT, 80)
    assert not ledger.tried(UNIT, wanted, 80)


# ------------------------------------------------------------------------------ kept as plain JSON

MOMENTS = st.integers(0, 2**62)
NAMES = st.sampled_from(["settings:/a", "settings:/b", "unit-dropin:x.service"])
UNITS = st.sampled_from(["a.service", "b.service"])


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    ledger = Ledger()
    for name, at_ns in draw(st.dictionaries(NAMES, MOMENTS)).items():
        ledger.right(name, draw(st.sampled_from(["r1", "r2"])), at_ns)
    for name in draw(st.sets(NAMES)):
        ledger.begin(name, draw(st.sampled_from(["r1", "r2"])))
    for name in draw(st.sets(UNITS)):
        ledger.owe(
            name,
            Owed(
                draw(st.booleans()),
                draw(MOMENTS),
                tuple(draw(st.lists(st.text(max_size=3), max_size=2))),
                draw(st.booleans()),
            ),
        )
    for name in draw(st.sets(UNITS)):
        ledger.trying(name, draw(st.frozensets(st.text(max_size=3), max_size=2)))
        if draw(st.booleans()):
            ledger.held(name, draw(MOMENTS))
    return ledger


@given(ledger=ledgers())
def test_a_ledger_comes_back_from_its_plain_form(ledger: Ledger) -> None:
    debts, known = ledger.debts("boot"), ledger.known("boot")
    again = Ledger.of(json.loads(json.dumps(debts)), json.loads(json.dumps(known)), "boot")
    assert again.debts("boot") == debts
    assert again.known("boot") == known
    assert not again.changed


@given(ledger=ledgers())
def test_moments_of_another_boot_mean_nothing(ledger: Ledger) -> None:
    again = Ledger.of(ledger.debts("boot"), ledger.known("boot"), "another boot")
    assert again.debts("boot") == Ledger().debts("boot")
    assert again.known("boot") == Ledger().known("boot")


GARBLED: list[dict[str, Any] | None] = [
    None,
    {},
    {"boot": "boot"},
    {"boot": "boot", "known": 5, "owed": {}, "begun": {}, "tried": {}},
    {"boot": "boot", "known": {FILE: [RULES]}},
    {"boot": "boot", "known": {FILE: [RULES, "soon"]}},
    {"boot": "boot", "known": {FILE: RULES}},
    {"boot": "boot", "begun": {FILE: [RULES, {}]}, "owed": {}, "tried": {}},
    {"boot": "boot", "begun": [], "owed": {}, "tried": {}},
    {"boot": "boot", "begun": {}, "owed": {UNIT: {"stale": True}}, "tried": {}},
    {"boot": "boot", "begun": {}, "owed": {UNIT: "much"}, "tried": {}},
    {"boot": "boot", "begun": {}, "owed": {UNIT: {}}, "tried": {}},
    {"boot": "boot", "begun": {}, "owed": {}, "tried": {UNIT: 5}},
    {"boot": "boot", "begun": {}, "owed": {}, "tried": {UNIT: ["/nofile/soft 5", None]}},
    {"boot": "boot", "begun": {}, "owed": {}, "tried": {UNIT: [["/nofile/soft 5"], "soon", False]}},
    {
        "boot": "boot",
        "begun": {},
        "owed": {UNIT: {"stale": True, "since_ns": None, "fields": [], "reloaded": False}},
        "tried": {},
    },
]


@pytest.mark.parametrize("plain", GARBLED)
def test_what_is_garbled_counts_as_nothing(plain: dict[str, Any] | None) -> None:
    ledger = Ledger.of(plain, plain, "boot")
    assert ledger.debts("boot") == Ledger().debts("boot")
    assert ledger.known("boot") == Ledger().known("boot")


class TestWorthSaving:
    """What is known to be right after a start, lost in a crash, would cost a restart."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        ledger = Ledger()
        ledger.right(FILE, RULES, RIGHT)
        ledger.pay_off(unit(50 * SECOND))
        ledger.take_news()
        return ledger

    def test_a_look_after_a_start_is_news_once(self, ledger: Ledger) -> None:
        ledger.pay_off(unit(CORRECTED))
        assert not ledger.take_news()
        ledger.right(FILE, RULES, CORRECTED + 2 * MILLISECOND)
        assert ledger.take_news()
        ledger.right(FILE, RULES, CORRECTED + SECOND)
        ledger.pay_off(unit(CORRECTED))
        assert not ledger.take_news()

    def test_a_look_at_the_start_is_none_yet_and_a_later_one_is(self, ledger: Ledger) -> None:
        ledger.pay_off(unit(CORRECTED))
        ledger.right(FILE, RULES, CORRECTED + MILLISECOND // 2)
        assert not ledger.take_news()
        ledger.right(FILE, RULES, CORRECTED + 2 * MILLISECOND)
        assert ledger.take_news()

    def test_the_start_may_be_heard_of_after_the_look(self, ledger: Ledger) -> None:
        ledger.right(FILE, RULES, CORRECTED + 2 * MILLISECOND)
        assert not ledger.take_news()
        ledger.pay_off(unit(CORRECTED))
        assert ledger.take_news()

    def test_a_unit_that_may_yet_begin_to_read_is_waited_for(self, ledger: Ledger) -> None:
        ledger.pay_off(activating(CORRECTED))
        ledger.right(FILE, RULES, CORRECTED + SECOND)
        assert not ledger.take_news()
        ledger.pay_off(unit(CORRECTED + 2 * SECOND))
        ledger.right(FILE, RULES, CORRECTED + 3 * SECOND)
        assert ledger.take_news()

    def test_what_was_saved_then_keeps_the_unit_from_a_restart(self, ledger: Ledger) -> None:
        ledger.pay_off(unit(CORRECTED))
        ledger.right(FILE, RULES, CORRECTED + 2 * MILLISECOND)
        assert ledger.take_news()
        again = Ledger.of(None, ledger.known("boot"), "boot")
        right_ns = again.right_since(FILE, RULES)
        assert not is_stale(unit(CORRECTED), right_ns, CORRECTED + SECOND)
        assert is_stale(unit(CORRECTED + MILLISECOND * 3), right_ns, CORRECTED + SECOND)
