"""systemd's interface over a bus that a test plays: what is subscribed, heard and left aside."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jeepney import DBusAddress, Message, new_error, new_method_return, new_signal

from jada_configd.core.facts import Inhibitor, Probe
from jada_configd.errors import UnitRefused
from jada_configd.host.manager.routes import (
    Declined,
    Event,
    Gone,
    JobEnded,
    UnitChanged,
    UnitsReloaded,
)
from jada_configd.host.manager.systemd_bus import SystemdBus
from jada_configd.host.manager.unit_facts import ManagerFact, unit_path
from tests.host.fake_bus import CLIENT, LOGIND, MANAGER, FakeBus

A = "a.service"
MESSAGE_BUS = DBusAddress("/org/freedesktop/DBus", interface="org.freedesktop.DBus")
NOBODY = "org.freedesktop.DBus.Error.NameHasNoOwner"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBus]:
    with FakeBus(tmp_path / "bus") as listening:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", listening.address)
        yield listening


@pytest.fixture
def route(fake: FakeBus) -> Iterator[SystemdBus]:
    connected = SystemdBus.on_message_bus(user=False, seconds=5)
    yield connected
    connected.close()


def heard(route: SystemdBus, fake: FakeBus) -> list[Event]:
    """All that the bus has sent up to now: an answer comes after what was sent before it."""
    fake.answers.setdefault("GetConnectionUnixProcessID", new_method_return)
    route.manager_pid(5)
    return route.events()


def rules(fake: FakeBus, member: str = "AddMatch") -> list[str]:
    return [body[0] for name, body in fake.calls if name == member]


def test_the_manager_is_asked_for_what_it_gives(route: SystemdBus, fake: FakeBus) -> None:
    fake.units["systemd1"] = {
        "UnitPath": ("as", ["/etc/systemd/system"]),
        "DefaultLimitNOFILE": ("t", 5),
        "DefaultLimitNOFILESoft": ("t", 4),
    }
    assert route.manager(5) == ManagerFact({"nofile": (4, 5)}, ("/etc/systemd/system",))
    assert fake.calls[-1] == ("GetAll", ("org.freedesktop.systemd1.Manager",))


def test_it_subscribes_once_and_hears_of_reloads_and_of_the_end(
    route: SystemdBus, fake: FakeBus
) -> None:
    assert [name for name, _ in fake.calls if name != "AddMatch"] == [
        "Hello",
        "GetNameOwner",
        "Subscribe",
    ]
    assert sorted(rules(fake)) == [
        (
            "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
            "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
            "arg0='org.freedesktop.systemd1'"
        ),
        (
            "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',"
            "interface='org.freedesktop.systemd1.Manager',member='Reloading'"
        ),
    ]


def test_only_what_changes_is_asked_of_the_bus(route: SystemdBus, fake: FakeBus) -> None:
    route.follow({A: A}, (), 5)
    assert heard(route, fake) == []
    fake.calls.clear()
    route.follow({A: A, "b.service": "b.service"}, (), 5)
    route.follow({"b.service": "b.service"}, (), 5)
    assert heard(route, fake) == []
    assert sorted(rule.partition("member=")[2] for rule in rules(fake)) == [
        "'JobRemoved',arg2='b.service'",
        "'PropertiesChanged',path='/org/freedesktop/systemd1/unit/b_2eservice'",
    ]
    assert sorted(rule.partition("member=")[2] for rule in rules(fake, "RemoveMatch")) == [
        "'JobRemoved',arg2='a.service'",
        "'PropertiesChanged',path='/org/freedesktop/systemd1/unit/a_2eservice'",
    ]


def test_many_units_take_few_rules(route: SystemdBus, fake: FakeBus) -> None:
    units = [f"{number}.service" for number in range(300)]
    fake.calls.clear()
    route.follow({unit: unit for unit in units}, (), 5)
    fake.changed(unit_path("299.service"))
    fake.changed(unit_path("stranger.service"))
    assert heard(route, fake) == [UnitChanged("299.service")]
    assert len(rules(fake)) == 2


def test_a_unit_that_changes_many_times_is_told_once(route: SystemdBus, fake: FakeBus) -> None:
    route.follow({A: A}, (), 5)
    for _ in range(12):
        fake.changed(unit_path(A))
    fake.changed(unit_path("b.service"))
    assert heard(route, fake) == [UnitChanged(A)]
    assert route.events() == []


def test_the_end_of_a_job_is_told_under_each_name_that_is_followed(
    route: SystemdBus, fake: FakeBus
) -> None:
    route.follow({A: "behind.service", "behind.service": "behind.service"}, (), 5)
    fake.job_removed("/job/7", "behind.service", "timeout")
    fake.job_removed("/job/8", "b.service", "done")
    fake.changed(unit_path("behind.service"))
    assert heard(route, fake) == [
        JobEnded(A, "/job/7", "timeout"),
        JobEnded("behind.service", "/job/7", "timeout"),
        UnitChanged(A),
        UnitChanged("behind.service"),
    ]


def test_a_reload_of_somebody_else_is_told_when_it_has_ended(
    route: SystemdBus, fake: FakeBus
) -> None:
    fake.signal(MANAGER, "Reloading", "b", (True,))
    assert heard(route, fake) == []
    assert route.reloading()
    fake.signal(MANAGER, "Reloading", "b", (False,))
    assert heard(route, fake) == [UnitsReloaded()]
    assert not route.reloading()


def test_ours_is_told_once_and_by_its_answer(route: SystemdBus, fake: FakeBus) -> None:
    calls: list[Message] = []
    fake.answers["Reload"] = calls.append
    route.begin_reload(5)
    route.begin_reload(5)
    fake.signal(MANAGER, "Reloading", "b", (True,))
    fake.signal(MANAGER, "Reloading", "b", (False,))
    assert heard(route, fake) == []
    assert route.reloading()
    assert len(calls) == 1, "one is enough"
    fake.send(new_method_return(calls[0]), ":1.1")
    assert heard(route, fake) == [UnitsReloaded()]
    assert not route.reloading()


def test_one_that_is_refused_says_why(route: SystemdBus, fake: FakeBus) -> None:
    fake.answers["Reload"] = lambda call: new_error(call, "a.b", "s", ("No space in /run.",))
    route.begin_reload(5)
    assert heard(route, fake) == [UnitsReloaded("No space in /run.")]
    assert not route.reloading()


def test_one_whose_answer_is_lost_does_not_bar_the_next(
    route: SystemdBus, fake: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    route.begin_reload(5)
    later = time.monotonic() + 91
    monkeypatch.setattr(time, "monotonic", lambda: later)
    route.begin_reload(5)
    monkeypatch.undo()
    heard(route, fake)
    assert [name for name, _ in fake.calls].count("Reload") == 2


def test_when_systemd_leaves_the_bus_the_route_is_gone(route: SystemdBus, fake: FakeBus) -> None:
    body = ("org.freedesktop.systemd1", ":1.1", "")
    fake.send(new_signal(MESSAGE_BUS, "NameOwnerChanged", "sss", body), "org.freedesktop.DBus")
    with pytest.raises(Gone, match="has left the message bus"):
        heard(route, fake)


def test_what_another_says_of_units_is_not_believed(route: SystemdBus, fake: FakeBus) -> None:
    route.follow({A: A}, (), 5)
    body = (1, "/job/1", A, "done")
    fake.send(new_signal(MANAGER, "JobRemoved", "uoss", body), ":1.666")
    left = ("org.freedesktop.systemd1", ":1.1", "")
    fake.send(new_signal(MESSAGE_BUS, "NameOwnerChanged", "sss", left), ":1.666")
    assert heard(route, fake) == []


@pytest.mark.parametrize(
    ("member", "signature", "body"),
    [
        ("JobRemoved", "s", ("odd",)),
        ("Reloading", "s", ("odd",)),
        ("PropertiesChanged", "", ()),
        ("UnitNew", "so", (A, "/a")),
    ],
)
def test_a_signal_of_another_shape_harms_nobody(
    route: SystemdBus, fake: FakeBus, member: str, signature: str, body: tuple[str, ...]
) -> None:
    route.follow({A: A}, (), 5)
    fake.send(new_signal(MANAGER, member, signature or None, body), ":1.1")
    assert heard(route, fake) == []


@pytest.mark.parametrize("member", ["Hello", "GetNameOwner", "Subscribe"])
def test_a_bus_without_systemd_is_no_way(fake: FakeBus, member: str) -> None:
    fake.answers[member] = lambda call: new_error(call, NOBODY, "s", ("Nobody has that name.",))
    with pytest.raises(Gone, match=r"Nobody has that name\."):
        SystemdBus.on_message_bus(user=False, seconds=5)


def test_calls_to_one_that_has_just_left_tell_that_it_has(route: SystemdBus, fake: FakeBus) -> None:
    unknown = "org.freedesktop.DBus.Error.ServiceUnknown"
    fake.answers["GetAll"] = lambda call: new_error(call, unknown, "s", ("No such name.",))
    with pytest.raises(Gone, match=r"No such name\."):
        route.look(A, 5)


def test_a_unit_is_one_call(route: SystemdBus, fake: FakeBus) -> None:
    fake.units["a_2eservice"] = {"Id": ("s", A), "LoadState": ("s", "loaded")}
    fake.calls.clear()
    assert route.look(A, 5).fact.load_state == "loaded"
    assert fake.calls == [("GetAll", ("",))]
    with pytest.raises(Declined, match="no unit"):
        route.look("b.service", 5)


def test_a_start_resets_what_has_failed_and_restarts(route: SystemdBus, fake: FakeBus) -> None:
    fake.answers["ResetFailedUnit"] = lambda call: new_error(call, "a.b", "s", ("Not loaded.",))
    fake.answers["RestartUnit"] = lambda call: new_method_return(call, "o", ("/job/7",))
    assert route.start_job(A, "start", 5) == "/job/7"
    assert fake.calls[-2:] == [("ResetFailedUnit", (A,)), ("RestartUnit", (A, "replace"))]
    assert heard(route, fake) == []


@pytest.mark.parametrize(
    ("how", "method"),
    [
        ("restart", "TryRestartUnit"),
        ("reload", "ReloadUnit"),
        ("reload-or-restart", "ReloadOrTryRestartUnit"),
    ],
)
def test_no_job_starts_what_does_not_run(
    route: SystemdBus, fake: FakeBus, how: str, method: str
) -> None:
    fake.answers[method] = lambda call: new_method_return(call, "o", ("/job/7",))
    assert route.start_job(A, how, 5) == "/job/7"  # type: ignore[arg-type]
    assert fake.calls[-1] == (method, (A, "replace"))


# ---- probes

NAME = "asks.service"
PROBE = Probe(NAME, A, ("/bin/check", "$x"), 2.5)


def test_a_probe_is_a_transient_unit_that_runs_as_its_unit_does(
    route: SystemdBus, fake: FakeBus
) -> None:
    fake.units["a_2eservice"] = {"LoadState": ("s", "loaded"), "User": ("s", "ubuntu")}
    fake.answers["StartTransientUnit"] = lambda call: new_method_return(call, "o", ("/job/7",))
    assert route.start_probe(PROBE, 5) == "/job/7"
    member, (name, mode, properties, others) = fake.calls[-1]
    assert (member, name, mode, others) == ("StartTransientUnit", NAME, "fail", [])
    given = dict(properties)
    assert given["User"] == ("s", "ubuntu")
    assert given["TimeoutStartUSec"] == ("t", 2_500_000)
    assert given["ExecStart"] == ("a(sasb)", [("/bin/check", ["/bin/check", "$$x"], False)])


def test_a_probe_of_a_unit_that_is_not_loaded_is_refused_and_not_started(
    route: SystemdBus, fake: FakeBus
) -> None:
    fake.units["a_2eservice"] = {"LoadState": ("s", "not-found")}
    with pytest.raises(UnitRefused, match=r"^Unit a\.service is not loaded\.$"):
        route.start_probe(PROBE, 5)
    assert fake.calls[-1][0] == "GetAll"


def test_of_a_probe_the_end_of_its_job_is_told_and_nothing_else(
    route: SystemdBus, fake: FakeBus
) -> None:
    fake.calls.clear()
    route.follow({A: A}, {NAME}, 5)
    fake.changed(unit_path(NAME))
    fake.job_removed("/job/7", NAME, "failed")
    assert heard(route, fake) == [JobEnded(NAME, "/job/7", "failed")]
    assert sorted(rule.partition("member=")[2] for rule in rules(fake)) == [
        "'JobRemoved',arg2='a.service'",
        "'JobRemoved',arg2='asks.service'",
        "'PropertiesChanged',path='/org/freedesktop/systemd1/unit/a_2eservice'",
    ]


def test_many_probes_take_few_rules(route: SystemdBus, fake: FakeBus) -> None:
    fake.calls.clear()
    route.follow({}, [f"{number}.service" for number in range(401)], 5)
    fake.job_removed("/job/7", "400.service", "done")
    assert heard(route, fake) == [JobEnded("400.service", "/job/7", "done")]
    assert len(rules(fake)) == 2


def test_what_is_stopped_or_reset_is_not_waited_for_and_may_be_gone(
    route: SystemdBus, fake: FakeBus
) -> None:
    for member in ("StopUnit", "ResetFailedUnit"):
        fake.answers[member] = lambda call: new_error(call, "a.b", "s", ("Not loaded.",))
    route.stop(NAME, 5)
    route.reset(NAME, 5)
    assert heard(route, fake) == []
    assert fake.calls[-3:-1] == [("StopUnit", (NAME, "replace")), ("ResetFailedUnit", (NAME,))]


# ---- inhibitors

HELD = [
    ("shutdown:idle", "backup", "it copies", "block", 0, 71),
    ("sleep:shutdown", "apt", "it installs", "block", 1000, 72),
    ("shutdown", "NetworkManager", "it turns off", "delay", 0, 73),
    ("sleep", "player", "it plays", "block", 1000, 74),
]


def test_who_blocks_a_shutdown_is_asked_of_logind(route: SystemdBus, fake: FakeBus) -> None:
    fake.answers["ListInhibitors"] = lambda call: new_method_return(call, "a(ssssuu)", (HELD,))
    assert route.inhibitors(5) == (
        Inhibitor(71, "backup", "it copies"),
        Inhibitor(72, "apt", "it installs"),
    )
    assert fake.calls[-2] == ("GetNameOwner", ("org.freedesktop.login1",)), "which starts nobody"


def test_of_logind_only_the_answer_is_heard(route: SystemdBus, fake: FakeBus) -> None:
    def answer(call: Message) -> Message:
        fake.send(new_signal(MANAGER, "JobRemoved", "uoss", (1, "/job/1", A, "done")), ":1.666")
        fake.job_removed("/job/2", A, "done")
        return new_method_return(call, "a(ssssuu)", (HELD,))

    route.follow({A: A}, (), 5)
    fake.answers["ListInhibitors"] = answer
    assert len(route.inhibitors(5)) == 2
    fake.send(new_signal(MANAGER, "JobRemoved", "uoss", (1, "/job/3", A, "done")), LOGIND)
    assert heard(route, fake) == [JobEnded(A, "/job/2", "done")]


@pytest.mark.parametrize("member", ["GetNameOwner", "ListInhibitors"])
def test_without_logind_nobody_inhibits(route: SystemdBus, fake: FakeBus, member: str) -> None:
    fake.answers[member] = lambda call: new_error(call, NOBODY, "s", ("Nobody has that name.",))
    assert route.inhibitors(5) == ()
    fake.answers[member] = lambda call: new_method_return(call, "ss", ("another", "shape"))
    assert route.inhibitors(5) == ()


def test_a_logind_that_hangs_costs_its_time_and_no_route(route: SystemdBus, fake: FakeBus) -> None:
    calls: list[Message] = []
    fake.answers["ListInhibitors"] = calls.append
    began = time.monotonic()
    assert route.inhibitors(0.1) == ()
    assert time.monotonic() - began < 2
    fake.send(new_method_return(calls[0], "a(ssssuu)", (HELD,)), LOGIND)
    assert heard(route, fake) == []


def test_the_private_socket_needs_no_bus_and_no_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "systemd").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with FakeBus(tmp_path / "systemd" / "private") as fake:
        route = SystemdBus.on_private_socket(user=True, seconds=5)
        assert [name for name, _ in fake.calls] == ["Subscribe"]
        route.follow({A: A}, (), 5)
        fake.units["a_2eservice"] = {"Id": ("s", A)}
        fake.changed(unit_path(A))
        fake.job_removed("/job/1", "b.service", "done")
        route.look(A, 5)
        assert route.events() == [UnitChanged(A)]
        assert [name for name, _ in fake.calls] == ["Subscribe", "GetAll"]
        assert route.name == "systemd's private socket"
        assert route.inhibitors(5) == (), "logind is on the message bus alone"
        route.close()


def test_the_message_bus_is_known_by_our_name_on_it(route: SystemdBus) -> None:
    assert route.name == "the message bus"
    assert route._bus.name == CLIENT


def test_nothing_is_left_open_by_a_way_that_leads_nowhere(fake: FakeBus) -> None:
    fake.answers["Subscribe"] = lambda call: new_error(call, NOBODY, "s", ("no",))
    with pytest.raises(Gone):
        SystemdBus.on_message_bus(user=False, seconds=5)
    deadline = time.monotonic() + 5
    while fake.connected and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not fake.connected
