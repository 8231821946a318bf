"""Who runs it and what it may do: a table for each check."""

import pytest

from jada_configd.core.survey import SecurityLook
from jada_configd.diagnosis.privileges import Doer, capabilities, confinement, identity
from tests.diagnosis.tables import ALL, one, process


@pytest.mark.parametrize(
    ("uid", "user", "status"),
    [(0, False, "ok"), (1000, False, "problem"), (1000, True, "ok"), (0, True, "ok")],
)
def test_root_s_work_needs_root(uid: int, status: str, *, user: bool) -> None:
    found = one(identity(uid, user=user))
    assert found.status == status
    assert (found.remedy or "").startswith("sudo jada-configd doctor") == (status == "problem")


def test_kernel_parameters_are_no_users_own() -> None:
    found = one(identity(1000, user=True, sysctls={"vm.x", "net.y"}))
    assert (found.status, found.says) == (
        "problem",
        "the policy of one user holds net.y, vm.x: root alone can set that",
    )


@pytest.mark.parametrize(
    ("lacks", "files", "limits", "status"),
    [
        ((), True, True, "ok"),
        (("CAP_CHOWN",), True, True, "problem"),
        (("CAP_DAC_OVERRIDE",), True, True, "problem"),
        (("CAP_FOWNER",), True, True, "problem"),
        (("CAP_FOWNER",), False, True, "ok"),
        (("CAP_LEASE",), True, True, "warning"),
        (("CAP_LEASE",), False, True, "ok"),
        (("CAP_SYS_RESOURCE",), True, True, "warning"),
        (("CAP_SYS_RESOURCE",), True, False, "ok"),
        (("CAP_SYS_ADMIN",), True, True, "ok"),
    ],
)
def test_a_capability_counts_where_the_policy_needs_it(
    lacks: tuple[str, ...], status: str, *, files: bool, limits: bool
) -> None:
    doer = Doer(process(*lacks), is_daemon=False)
    found = one(
        capabilities(doer, holds_files=files, holds_limits=limits, sysctls=frozenset({"vm.x"}))
    )
    assert found.status == status
    assert (lacks[0] in found.says if status != "ok" else "has those" in found.says) is True


def test_each_capability_that_is_not_there_is_told() -> None:
    doer = Doer(process(*ALL), is_daemon=True)
    found = list(
        capabilities(
            doer,
            holds_files=True,
            holds_limits=True,
            sysctls=frozenset({"kernel.kptr_restrict", "net.core.somaxconn"}),
        )
    )
    assert [each.status for each in found] == [
        *["problem"] * 3,
        *["warning"] * 2,
        "problem",
    ]
    assert "kernel.kptr_restrict cannot be set" in found[-1].says
    assert "somaxconn" not in found[-1].says


def test_nothing_is_asked_of_one_user_s_daemon() -> None:
    doer = Doer(process(*ALL, uid=1000), is_daemon=True)
    assert not list(capabilities(doer, holds_files=True, holds_limits=True, sysctls=frozenset()))


@pytest.mark.parametrize(
    ("is_daemon", "above", "container", "remedy"),
    [
        (True, ALL, "docker", "jada-configd install  # or systemctl edit jada-configd"),
        (True, ALL - {"CAP_LEASE"}, "docker", "docker run --cap-add LEASE ..."),
        (True, None, "podman", "podman run --cap-add LEASE ..."),
        (False, ALL, "systemd-nspawn", "systemd-nspawn --capability=CAP_LEASE ..."),
        (False, None, "lxc", "no lxc.cap.drop = lease"),
        (False, None, "", "start the first process with CAP_LEASE"),
        (False, None, "wsl\x1b", "start this container with CAP_LEASE  # wsl\\x1b"),
    ],
)
def test_a_capability_comes_from_the_unit_or_from_who_started_all_this(
    above: frozenset[str] | None, container: str, remedy: str, *, is_daemon: bool
) -> None:
    doer = Doer(process("CAP_LEASE"), is_daemon, above, container)
    found = one(capabilities(doer, holds_files=True, holds_limits=True, sysctls=frozenset()))
    assert remedy in str(found.remedy)


@pytest.mark.parametrize(
    ("module", "label", "status", "remedy"),
    [
        (SecurityLook("", enforcing=False), "", "ok", ""),
        (SecurityLook("SELinux", enforcing=False), "system_u:system_r:x_t:s0", "ok", ""),
        (SecurityLook("SELinux", enforcing=True), "s:s:unconfined_service_t:s0", "ok", ""),
        (SecurityLook("SELinux", enforcing=True), "s:s:jada_t:s0", "warning", "ausearch "),
        (SecurityLook("AppArmor", enforcing=True), "unconfined", "ok", ""),
        (SecurityLook("AppArmor", enforcing=True), "/x (enforce)", "warning", "journalctl "),
    ],
)
def test_a_security_module_counts_where_it_confines(
    module: SecurityLook, label: str, status: str, remedy: str
) -> None:
    found = one(confinement(module, Doer(process(confinement=label), is_daemon=True)))
    assert found.status == status
    assert str(found.remedy or "").startswith(remedy)
    assert (f" as {label}:" in found.says) == (status == "warning")
