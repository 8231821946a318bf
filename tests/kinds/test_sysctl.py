"""`sysctl:KEY`: what the kernel has, our file's line, and what wins at the next boot."""

from dataclasses import replace

import pytest

from jada_configd.core.actions import RemoveFile, ReplaceFile, SetSysctl, digest
from jada_configd.core.diff import diff
from jada_configd.core.model import ABSENT, Change, Observed, Resource, ResourceId
from jada_configd.core.our_files import header
from jada_configd.core.plan import Plan
from jada_configd.core.resources import Scope, resolve
from jada_configd.core.resources.sysctls import SYSCTL_FILE
from jada_configd.core.specs import Policy, Sysctl
from jada_configd.kinds.sysctl import BOOT, FILE, LIVE, SysctlKind
from tests.fake_host import SCOPE, UNITS, FakeHost
from tests.fake_loop import FakeLoop
from tests.kinds.worlds import LATER_SYSCTLS, policy, sysctl_spec

KIND = SysctlKind()
NR_OPEN = sysctl_spec("fs.nr_open", "1048576")
SOMAXCONN = sysctl_spec("net.core.somaxconn", "4096")
RMEM = sysctl_spec("net.ipv4.tcp_rmem", "4096  87380\t6291456")
HEADER = f"# {header(policy())}\n\n"
WHOLE = f"{HEADER}fs.nr_open = 1048576\nnet.core.somaxconn = 4096\n"


def held(*specs: object) -> Policy:
    return policy(sysctls=specs)  # type: ignore[arg-type]


def found(host: FakeHost, made: Policy, scope: Scope = SCOPE) -> dict[str, Resource]:
    return {each.id.name: each for each in resolve(made, host, scope) if each.id.kind == "sysctl"}


def look(host: FakeHost, resource: Resource) -> tuple[Observed, tuple[Change, ...], Plan]:
    spec = resource.spec
    assert isinstance(spec, Sysctl)
    observed = KIND.observe(spec, host)
    drift = diff(KIND.desired(spec), observed)
    return observed, drift.changes, KIND.plan(spec, drift, observed) if drift else Plan()


def put(host: FakeHost, path: str, text: str) -> None:
    host.write(path, text.encode(), mode=0o644, uid=0)


@pytest.fixture
def host() -> FakeHost:
    """As declared, by `BOTH`."""
    host = FakeHost()
    host.sysctls |= {"fs.nr_open": "1048576\n", "net.core.somaxconn": "4096\n"}
    put(host, SYSCTL_FILE, WHOLE)
    return host


BOTH = held(NR_OPEN, SOMAXCONN)


def test_what_is_as_declared_is_no_drift(host: FakeHost) -> None:
    for resource in found(host, BOTH).values():
        observed, changes, plan = look(host, resource)
        assert (changes, observed.problem, plan.actions) == ((), None, ())


def test_a_number_is_a_number_and_blanks_are_one(host: FakeHost) -> None:
    host.sysctls["net.ipv4.tcp_rmem"] = "4096\t87380\t6291456\n"
    resources = found(host, held(NR_OPEN, RMEM))
    observed, _, _ = look(host, resources["fs.nr_open"])
    assert observed.fields[LIVE] == 1048576
    observed, changes, plan = look(host, resources["net.ipv4.tcp_rmem"])
    assert observed.fields[LIVE] == "4096 87380 6291456"
    assert [each.field for each in changes] == [FILE, BOOT]
    (action,) = plan.actions
    assert isinstance(action, ReplaceFile)
    assert action.content.decode().splitlines()[-1] == "net.ipv4.tcp_rmem = 4096  87380\t6291456"


def test_a_live_value_is_set_in_place_of_what_was_seen(host: FakeHost) -> None:
    host.sysctls["net.core.somaxconn"] = "128\n"
    _, changes, plan = look(host, found(host, BOTH)["net.core.somaxconn"])
    assert changes == (Change(LIVE, 128, 4096),)
    assert plan.actions == (SetSysctl("net.core.somaxconn", "4096", "128\n"),)


def test_every_key_plans_the_same_whole_file(host: FakeHost) -> None:
    host.unlink(SYSCTL_FILE)
    plans = [look(host, each)[2].actions for each in found(host, BOTH).values()]
    wanted = ReplaceFile(SYSCTL_FILE, WHOLE.encode(), 0o644, -1, -1, None, make_directories=True)
    assert plans == [(wanted,), (wanted,)]


@pytest.mark.parametrize(
    "text",
    [
        "fs.nr_open = 1048576\nnet.core.somaxconn = 4096\n",
        f"# Written by somebody else\n{WHOLE}",
        f"{WHOLE}vm.swappiness = 10\n-vm.x\n",
        f"{WHOLE}fs/nr_open = 1048576\n",
        f"{WHOLE}-fs.nr_open\n",
        f"{WHOLE}nonsense\n",
        f"{HEADER}-fs.nr_open = 1048576\nnet.core.somaxconn = 4096\n",
        f"{WHOLE}fs.* = 5\n",
    ],
)
def test_what_else_is_wrong_with_the_file_is_told_once_and_put_right(
    host: FakeHost, text: str
) -> None:
    resources = found(host, BOTH)  # resolved before the file was changed
    put(host, SYSCTL_FILE, text)
    looks = [look(host, each) for each in resources.values()]
    assert [bool(each.problem or changes) for each, changes, _ in looks] == [True, False]
    (action,) = looks[0][2].actions
    assert isinstance(action, ReplaceFile)
    assert action.content == WHOLE.encode()
    assert action.replaces == digest(text.encode())


def test_a_comment_of_somebody_is_left_alone(host: FakeHost) -> None:
    put(host, SYSCTL_FILE, WHOLE + "# why: see the wiki\n")
    assert look(host, found(host, BOTH)["fs.nr_open"])[1] == ()


@pytest.mark.parametrize(
    ("text", "have", "problem"),
    [
        ("\nfs/nr_open=77\n", 77, f"{LATER_SYSCTLS}:2 sets it otherwise at the next boot"),
        ("-fs.nr_open", ABSENT, f"{LATER_SYSCTLS}:1 keeps the next boot from setting it"),
        ("-fs.nr_open = 5", 5, f"{LATER_SYSCTLS}:1 sets it otherwise at the next boot"),
    ],
)
def test_a_file_that_wins_over_ours_is_named_with_its_line(
    host: FakeHost, text: str, have: object, problem: str
) -> None:
    put(host, LATER_SYSCTLS, text)
    observed, changes, plan = look(host, found(host, BOTH)["fs.nr_open"])
    assert changes == (Change(BOOT, have, 1048576),)  # type: ignore[arg-type]
    assert observed.problem == problem
    assert plan == Plan(waits="the kernel, or whoever sets it")
    assert look(host, found(host, BOTH)["net.core.somaxconn"])[1] == ()


@pytest.mark.parametrize("text", ["fs.nr_open = 1048576", "fs.* = 5", "-fs.*", "# fs.nr_open = 5"])
def test_a_later_file_that_says_the_same_or_nothing_is_no_drift(host: FakeHost, text: str) -> None:
    put(host, LATER_SYSCTLS, text)
    observed, changes, _ = look(host, found(host, BOTH)["fs.nr_open"])
    assert (changes, observed.problem) == ((), None)


@pytest.mark.parametrize(
    "path",
    ["/etc/sysctl.d/99-sysctl.conf", "/run/sysctl.d/zz-jada-configd.conf", "/etc/sysctl.conf",
     "/usr/lib/sysctl.d/zz-a.conf", "/etc/sysctl.d/zzz.conf.bak"],
)  # fmt: skip
def test_a_file_that_ours_wins_over_does_not_matter(host: FakeHost, path: str) -> None:
    put(host, path, "fs.nr_open = 5\n")
    assert look(host, found(host, BOTH)["fs.nr_open"])[1] == ()


def test_a_file_that_is_masked_does_not_matter(host: FakeHost) -> None:
    put(host, "/usr/lib/sysctl.d/zzz.conf", "fs.nr_open = 5\n")
    assert look(host, found(host, BOTH)["fs.nr_open"])[1] != ()
    host.blocked["/etc/sysctl.d/zzz.conf"] = "/dev/null is a device"
    observed, changes, _ = look(host, found(host, BOTH)["fs.nr_open"])
    assert (changes, observed.problem) == ((), None)


def test_a_file_that_cannot_be_read_may_win(host: FakeHost) -> None:
    host.blocked["/etc/sysctl.d/zzz.conf"] = "/etc/sysctl.d/zzz.conf is a FIFO"
    observed, _, _ = look(host, found(host, BOTH)["fs.nr_open"])
    assert observed.problem == (
        "/etc/sysctl.d/zzz.conf may set it at the next boot: /etc/sysctl.d/zzz.conf is a FIFO"
    )


def test_where_our_own_file_is_masked_the_kernel_is_held_all_the_same(host: FakeHost) -> None:
    host.unlink(SYSCTL_FILE)
    host.blocked[SYSCTL_FILE] = "/dev/null is a device"
    host.sysctls["fs.nr_open"] = "5\n"
    observed, _, plan = look(host, found(host, BOTH)["fs.nr_open"])
    assert observed.problem == f"{SYSCTL_FILE} is a link to /dev/null, which masks it"
    assert plan.actions == (SetSysctl("fs.nr_open", "1048576", "5\n"),)


def test_a_key_that_there_is_not_is_held_for_the_next_boot(host: FakeHost) -> None:
    del host.sysctls["fs.nr_open"]
    host.unlink(SYSCTL_FILE)
    observed, changes, plan = look(host, found(host, BOTH)["fs.nr_open"])
    assert Change(LIVE, ABSENT, 1048576) in changes
    assert observed.problem == "this kernel has no fs.nr_open: a module may not be loaded"
    assert [type(each) for each in plan.actions] == [ReplaceFile]


def test_what_cannot_be_set_is_not_tried(host: FakeHost) -> None:
    host.sysctls["fs.nr_open"] = "5\n"
    host.read_only.add("fs.nr_open")
    observed, _, plan = look(host, found(host, BOTH)["fs.nr_open"])
    assert observed.problem == "fs.nr_open is read-only here"
    assert plan.actions == ()


def test_what_cannot_be_set_and_is_right_is_no_problem(host: FakeHost) -> None:
    host.read_only.add("fs.nr_open")
    observed, changes, _ = look(host, found(host, BOTH)["fs.nr_open"])
    assert (changes, observed.problem) == ((), None)


@pytest.mark.parametrize("more", ["clamps", "refuses"])
def test_what_the_kernel_does_not_take_is_asked_for_once(host: FakeHost, more: str) -> None:
    host.sysctls["fs.nr_open"] = "5\n"
    host.bounds["fs.nr_open"] = (1000, more)
    resource = found(host, BOTH)["fs.nr_open"]
    _, _, plan = look(host, resource)
    (action,) = plan.actions
    assert isinstance(action, SetSysctl)
    host.set_sysctl(action)
    observed, changes, plan = look(host, resource)
    assert changes == (Change(LIVE, 1000 if more == "clamps" else 5, 1048576),)
    assert observed.problem
    assert plan.actions == ()
    host.sysctls["fs.nr_open"] = "7\n"  # somebody sets it: the kernel may take it now
    assert look(host, resource)[2].actions


def test_what_can_be_corrected_is_told_so_beside_what_cannot(host: FakeHost) -> None:
    host.sysctls["fs.nr_open"] = "5\n"
    put(host, LATER_SYSCTLS, "fs.nr_open = 77\n")
    loop = FakeLoop(host, held(NR_OPEN))
    loop.settle()
    told = [(each.result, each.drift.changes) for each in loop.history if each.drift.changes]
    assert told[0] == ("corrected", (Change(LIVE, 5, 1048576),))
    assert set(map(repr, told[1:])) == {repr(("drifted", (Change(BOOT, 77, 1048576),)))}
    done = len(host.done)
    loop.sweep()
    loop.settle()
    assert host.done[done:] == []


def test_what_is_refused_leaves_the_file_held(host: FakeHost) -> None:
    host.unlink(SYSCTL_FILE)
    host.sysctls["fs.nr_open"] = "5\n"
    host.bounds["fs.nr_open"] = (1000, "refuses")
    loop = FakeLoop(host, BOTH)
    loop.settle()
    assert host.files[SYSCTL_FILE].data == WHOLE.encode()
    report = loop.reports[ResourceId("sysctl", "fs.nr_open")]
    assert report.result == "drifted"
    assert report.drift.changes == (Change(LIVE, 5, 1048576),)
    assert report.problem == "the kernel takes no 1048576 for fs.nr_open: Invalid argument"
    assert [type(each) for each in host.done].count(SetSysctl) == 1


def test_keys_are_set_in_the_order_of_the_policy_and_before_any_file(host: FakeHost) -> None:
    host.unlink(SYSCTL_FILE)
    host.sysctls |= {"fs.nr_open": "5\n", "net.core.somaxconn": "5\n"}
    loop = FakeLoop(host, held(SOMAXCONN, NR_OPEN))
    loop.settle()
    assert [str(each) for each in host.done] == [
        "set net.core.somaxconn",
        "set fs.nr_open",
        f"create {SYSCTL_FILE}",
    ]


# ------------------------------------------------------------------------------ the policy changes


def test_an_entry_that_has_left_the_policy_leaves_the_file(host: FakeHost) -> None:
    resources = found(host, held(NR_OPEN))
    assert list(resources) == ["fs.nr_open", "net.core.somaxconn"]
    observed, changes, _ = look(host, resources["fs.nr_open"])
    assert (changes, observed.problem) == ((), None)  # told by the other one alone
    observed, changes, plan = look(host, resources["net.core.somaxconn"])
    assert changes == ()
    assert observed.problem == "its entry has left the policy; the running kernel keeps its value"
    content = f"{HEADER}fs.nr_open = 1048576\n".encode()
    (action,) = plan.actions
    assert action == ReplaceFile(SYSCTL_FILE, content, 0o644, 0, 0, digest(WHOLE.encode()))
    host.replace_file(action)
    assert look(host, resources["net.core.somaxconn"])[0].problem is None
    assert host.sysctls["net.core.somaxconn"] == "4096\n"
    assert list(found(host, held(NR_OPEN))) == ["fs.nr_open"]


def test_the_file_goes_with_the_last_entry(host: FakeHost) -> None:
    resources = found(host, held())
    assert list(resources) == ["fs.nr_open", "net.core.somaxconn"]
    actions = {look(host, each)[2].actions for each in resources.values()}
    assert actions == {(RemoveFile(SYSCTL_FILE, digest(WHOLE.encode())),)}


def test_a_file_of_another_policy_is_not_left_behind_by_this_one(host: FakeHost) -> None:
    assert found(host, replace(held(), path="/elsewhere/policy.toml")) == {}


def test_a_file_that_lost_our_header_meanwhile_is_left_alone(host: FakeHost) -> None:
    resource = found(host, held(NR_OPEN))["net.core.somaxconn"]
    put(host, SYSCTL_FILE, WHOLE.removeprefix(HEADER))
    assert look(host, resource)[2].actions == ()


# ------------------------------------------------------------------------------ other scopes


def test_on_a_scratch_root_no_kernel_is_asked(host: FakeHost) -> None:
    host.sysctls.clear()
    host.unlink(SYSCTL_FILE)
    resource = found(host, BOTH, Scope(UNITS, managed=False))["fs.nr_open"]
    observed, changes, plan = look(host, resource)
    assert [each.field for each in changes] == [FILE, BOOT, ("header",)]
    assert observed.problem is None
    assert [type(each) for each in plan.actions] == [ReplaceFile]


def test_a_user_has_the_kernel_looked_at_and_writes_no_file(host: FakeHost) -> None:
    host.unlink(SYSCTL_FILE)
    host.sysctls["fs.nr_open"] = "5\n"
    host.read_only.add("fs.nr_open")
    scope = Scope("/home/me/.config/systemd/user", managed=True, user=True)
    resources = found(host, BOTH, scope)
    observed, changes, plan = look(host, resources["fs.nr_open"])
    assert changes == (Change(LIVE, 5, 1048576),)
    assert observed.problem == "fs.nr_open is read-only here"
    assert plan.actions == ()
    assert look(host, resources["net.core.somaxconn"])[1] == ()


def test_only_our_file_is_watched(host: FakeHost) -> None:
    spec = found(host, BOTH)["fs.nr_open"].spec
    assert isinstance(spec, Sysctl)
    assert KIND.watches(spec) == (SYSCTL_FILE,)
    assert KIND.units(spec) == ()
