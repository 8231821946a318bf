"""Our own service: in place, this installation's, and running."""

from dataclasses import replace

import pytest

from jada_configd.core.survey import DaemonLook, ServiceLook
from jada_configd.diagnosis import service as checks
from tests.diagnosis.tables import UNIT_FILE, one, service, unit

RUNNING = DaemonLook(77, "in-sync", "", "0.1.0", "sha256:1")


@pytest.mark.parametrize(
    ("look", "status", "says", "remedy"),
    [
        (service(unit()), "ok", f"{UNIT_FILE} runs this very program", ""),
        (service(unit("not-found", command=())), "warning", "no service", "jada-configd install"),
        (service(unit("masked")), "problem", "is masked", "systemctl unmask"),
        (service(unit("bad-setting")), "problem", "does not load", "jada-configd install"),
        (
            service(unit(), "/opt/jada-configd/bin/jada-configd"),
            "problem",
            "the service runs /opt/jada-configd/bin/jada-configd, which is not there",
            "jada-configd install",
        ),
        (service(unit(), "/opt/python3"), "problem", "for which /opt/python3 is", "jada-configd"),
        (
            service(unit(command=("/usr/bin/jada-configd", "run"))),
            "warning",
            "runs /usr/bin/jada-configd, and this is /opt/jada-configd/bin/jada-configd",
            "/opt/jada-configd/bin/jada-configd install",
        ),
        (replace(service(unit()), stale=(UNIT_FILE,)), "warning", "not as this version", "jada"),
        (replace(service(unit()), closed=("/usr/x",)), "problem", "below /usr/x", "jada-configd i"),
        (replace(service(unit()), unordered=("a.service",)), "warning", "a.service may", "jada"),
        (service(unit(need_daemon_reload=True)), "warning", "others than", "systemctl daemon-re"),
        (service(unit(unit_file_state="disabled")), "warning", "by itself", "systemctl enable"),
        (service(unit(), others=("/opt/a", "/opt/b")), "warning", "/opt/a, /opt/b", "rm /opt/b"),
        (service(unit(), others=("/opt/a",)), "ok", "this very program", ""),
    ],
)
def test_the_installation(look: ServiceLook, status: str, says: str, remedy: str) -> None:
    found = one(checks.installation(look, user=False))
    assert found.status == status
    assert says in found.says
    assert str(found.remedy or "").startswith(remedy)


def test_a_user_s_installation_is_mended_by_the_user() -> None:
    look = service(unit("not-found", command=()))
    assert str(one(checks.installation(look, user=True)).remedy).startswith(
        "jada-configd install --user"
    )


@pytest.mark.parametrize(
    ("look", "unit_look", "status", "says", "remedy"),
    [
        (RUNNING, service(unit()), "ok", "process 77, and says in-sync", ""),
        (replace(RUNNING, state="drifted"), service(unit()), "ok", "says drifted", ""),
        (
            replace(RUNNING, state="degraded", reason="no bus\x1b"),
            service(unit()),
            "problem",
            "no bus\\x1b",
            "journalctl --unit jada-configd",
        ),
        (None, service(unit("not-found", command=())), "warning", "does not run", "jada-configd i"),
        (None, None, "warning", "does not run", "jada-configd install"),
        (None, service(unit(active_state="inactive")), "problem", "not run", "systemctl start"),
        (None, service(unit(active_state="failed")), "problem", "failed", "journalctl --unit"),
        (None, service(unit(active_state="activating")), "problem", "activating", "journalctl"),
        (None, service(unit()), "problem", "no daemon has told", "journalctl"),
    ],
)
def test_the_daemon(
    look: DaemonLook | None, unit_look: ServiceLook | None, status: str, says: str, remedy: str
) -> None:
    found = one(checks.daemon(look, unit_look, "0.1.0", user=False))
    assert found.status == status
    assert says in found.says
    assert str(found.remedy or "").startswith(remedy)


def test_a_daemon_of_another_version_goes_on_until_it_is_started_anew() -> None:
    old = replace(RUNNING, version="0.0.9")
    first, second = checks.daemon(old, service(unit()), "0.1.0", user=True)
    assert (first.status, first.remedy) == ("warning", "systemctl --user restart jada-configd")
    assert second.status == "ok"
