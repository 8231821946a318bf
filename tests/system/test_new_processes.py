"""That a new main process of a held unit is told of, by every way to systemd and to a user's."""

import pytest

from tests.system.host import Host
from tests.system.test_systemd_bus import PRELUDE, PYTHON, WAYS

UNIT = "[Service]\nExecStart=/bin/sleep 1000\nRestart=always\nRestartSec=10ms\n"
SCRIPT = """
from jada_configd.host.manager import systemctl
systemctl._UNITS_NS = 200_000_000  # how often is not what this is about
only({way!r})
systemd = Systemd(user={user})
systemd.follow(["mine.service"])
# A new user manager takes a moment to join the bus; its route takes the units over then.
hear(systemd, lambda heard: systemd.route or not systemd.pending())
while not (before := systemd.unit("mine.service").main_pid):
    time.sleep(0.02)
hear(systemd, lambda heard: not systemd.pending())
time.sleep(0.3)
systemd.events()
os.kill(before, 9)
heard = hear(systemd, lambda heard: UnitChanged("mine.service") in heard)
end = time.monotonic() + 5
while systemd.unit("mine.service").main_pid in (0, before) and time.monotonic() < end:
    hear(systemd, lambda heard: heard)  # each step of it is told
answer = [systemd.route, systemd.unit("mine.service").main_pid not in (0, before)]
print(json.dumps(answer))
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("user", [None, "ubuntu"])
def test_a_new_main_process_is_told_of(host: Host, way: str, user: str | None) -> None:
    if user:
        host.start_user_manager(user)
        host.write("/home/ubuntu/.config/systemd/user/mine.service", UNIT, owner=user)
    else:
        host.write("/etc/systemd/system/mine.service", UNIT)
    systemctl = "systemctl --user" if user else "systemctl"
    host.sh(f"{systemctl} daemon-reload; {systemctl} start mine", user=user)
    script = PRELUDE + SCRIPT.format(way=way, user=bool(user))
    said = host.run([PYTHON, "-W", "error", "-"], stdin=script, user=user, timeout=60).stdout
    routes = {
        "message bus": "the message bus",
        "private socket": "systemd's private socket",
        "systemctl": "systemctl",
    }
    assert said.strip() == f'["{routes[way]}", true]'
