"""That we read the limits of units as a real systemd does: values, places, order."""

import json
from typing import Any

import pytest

from jada_configd.core.limits import directive
from tests.formats.limit_table import VALUES
from tests.system import layers
from tests.system.host import Host

PYTHON = f"{layers.ENVIRONMENT}/bin/python"
SYSTEM = "/etc/systemd/system"
UNIT_TEXT = "[Service]\nExecStart=/bin/sleep 1000\n"
PRELUDE = """
import json, sys
from jada_configd.core.drop_in_order import drop_in_directories, in_force
from jada_configd.core.limits import line_that_gives
from jada_configd.host.filesystem.files import Files
from jada_configd.host.manager import systemd as module
from jada_configd.host.manager.limit_lines import configuration_directories, unit_limit_lines
ways = module._ways
module._ways = lambda *, user: [way for way in ways(user=user) if way.name in sys.argv[1:]]
systemd = module.Systemd(user=False)
files = Files("/")
def given(unit):
    where = configuration_directories(user=False, environ={})
    fact = systemd.unit(unit)
    lines = unit_limit_lines(files, fact, systemd.manager(), where, user=False)
    line = line_that_gives(lines, "nofile")
    return [line.soft, line.hard, line.layer, line.source]
"""
WAYS = ("message bus", "private socket", "systemctl")


def ask(host: Host, script: str, *ways: str) -> Any:  # noqa: ANN401
    """What a script inside leaves in `answer`."""
    text = f"{PRELUDE}\n{script}\nprint(json.dumps(answer))\n"
    said = host.run([PYTHON, "-W", "error", "-", *(ways or WAYS)], stdin=text, timeout=60)
    return json.loads(said.stdout)


def test_every_value_is_what_systemd_makes_of_it(shared_host: Host) -> None:
    rows = [(limit, text, pair) for limit, row in VALUES.items() for text, pair in row.items()]
    shared_host.write(f"{SYSTEM}/row-default.service", UNIT_TEXT)
    for number, (limit, text, _) in enumerate(rows):
        line = f"{directive(limit)}={text}\n"
        shared_host.write(f"{SYSTEM}/row{number}.service", UNIT_TEXT + line)
    shared_host.run(["systemctl", "daemon-reload"])
    units = ["row-default.service", *(f"row{number}.service" for number in range(len(rows)))]
    names = ["Id", *(f"{directive(each)}{side}" for each in VALUES for side in ("", "Soft"))]
    said = shared_host.run(["systemctl", "show", *units, f"--property={','.join(names)}"]).stdout
    shared_host.sh(f"rm {SYSTEM}/row*.service; systemctl daemon-reload")
    default, *shown = (
        dict(line.partition("=")[::2] for line in block.splitlines())
        for block in said.strip().split("\n\n")
    )
    assert len(shown) == len(rows)
    wrong = []
    for (limit, text, pair), properties in zip(rows, shown, strict=True):
        keys = (f"{directive(limit)}Soft", directive(limit))
        wanted = [("infinity" if each is None else str(each)) for each in pair] if pair else None
        have = [properties[key] for key in keys]
        if have != (wanted or [default[key] for key in keys]):
            wrong.append((limit, text, pair, have))
    assert wrong == []


PLACES = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
LEVELS = {
    "p-q-r.service": ("p-q-r.service", "p-q-.service", "p-.service"),
    "p-q@i-j.service": ("p-q@i-j.service", "p-q@.service", "p-q@i-.service", "p-.service"),
    "p.service": ("p.service",),
}


@pytest.mark.parametrize("unit", LEVELS)
def test_drop_ins_count_in_the_order_in_which_systemd_has_them(host: Host, unit: str) -> None:
    template = f"{unit.partition('@')[0]}@.service" if "@" in unit else unit
    host.write(f"{SYSTEM}/{template}", UNIT_TEXT)
    number = 0
    for place in PLACES:
        for level in (*LEVELS[unit], "service"):
            for name in ("50-same.conf", f"{number:03}.conf", f"x{level}.conf"):
                number += 1
                text = f"[Service]\nLimitNOFILE={number}\n"
                host.write(f"{place}/{level}.d/{name}", text)
    host.sh(f": > {SYSTEM}/{unit}.d/masked.conf; ln -s /dev/null {SYSTEM}/{unit}.d/000.conf")
    host.run(["systemctl", "daemon-reload"])
    told = ask(
        host,
        f"""
fact = systemd.unit({unit!r})
where = drop_in_directories({unit!r}, systemd.manager().unit_path)
paths = in_force(path for each in where for path in files.glob(each + "/*.conf"))
answer = [paths, fact.drop_ins, given({unit!r}), fact.limits["nofile"]]
""",
    )
    paths, drop_ins, line, loaded = told
    plain = [path for path in paths if path in drop_ins]
    assert plain == drop_ins
    assert set(paths) - set(drop_ins) <= {
        f"{SYSTEM}/{unit}.d/000.conf", f"{SYSTEM}/{unit}.d/masked.conf"
    }  # fmt: skip
    assert line[:2] == loaded


@pytest.mark.parametrize("way", WAYS)
def test_each_layer_wins_over_those_below_it(host: Host, way: str) -> None:
    unit, drop_in = f"{SYSTEM}/x.service", f"{SYSTEM}/x.service.d/a.conf"
    host.write(unit, UNIT_TEXT)
    host.sh("systemctl daemon-reload; systemctl start x")
    shown = []

    def look(path: str = "", text: str = "") -> Any:  # noqa: ANN401
        if path:
            host.write(path, text)
            host.run(["systemctl", "daemon-reload"])
        properties = host.show("x", "LimitNOFILESoft", "LimitNOFILE")
        line = ask(host, 'answer = given("x.service")', way)
        assert [str(each) for each in line[:2]] == [
            properties["LimitNOFILESoft"],
            properties["LimitNOFILE"],
        ]
        shown.append(line[2:])
        return line

    look()
    look("/usr/lib/systemd/system.conf.d/b.conf", "[Manager]\nDefaultLimitNOFILE=11\n")
    look("/etc/systemd/system.conf", "[Manager]\n\nDefaultLimitNOFILE=12\n")  # drop-ins come after
    look("/run/systemd/system.conf.d/b.conf", "[Manager]\nDefaultLimitNOFILE=13\n")  # masks b.conf
    look("/etc/systemd/system.conf.d/a.conf", "[Manager]\nDefaultLimitNOFILE=14\n")  # before b.conf
    look("/etc/systemd/system.conf.d/c.conf", "[Manager]\nDefaultLimitNOFILE=9:8\n")  # passed over
    look("/usr/local/lib/systemd/system.conf.d/d.conf", "[Manager]\nDefaultLimitNOFILE=1K\n")
    look("/usr/local/lib/systemd/system.conf.d/d.conf", "[Manager]\nDefaultLimitNOFILE=15\n")
    look(unit, f"{UNIT_TEXT}LimitNOFILE=16\nLimitNOFILE=17\n")
    look(drop_in, "[Service]\nLimitNOFILE=18\nLimitNOFILE=\nLimitNOFILE=nonsense\n")
    last = look(f"{SYSTEM}/service.d/b.conf", "[Service]\nLimitNOFILE=19:20\n")
    assert last[:2] == [19, 20]
    assert shown == [
        ["kernel default", "the service manager, which has it from the kernel"],
        ["manager default", "/usr/lib/systemd/system.conf.d/b.conf:2"],
        ["manager default", "/usr/lib/systemd/system.conf.d/b.conf:2"],
        *[["manager default", "/run/systemd/system.conf.d/b.conf:2"]] * 4,
        ["manager default", "/usr/local/lib/systemd/system.conf.d/d.conf:2"],
        ["unit file", f"{unit}:4"],
        ["drop-in", f"{drop_in}:2"],
        ["drop-in", f"{SYSTEM}/service.d/b.conf:2"],
    ]


def test_what_the_running_manager_gives_counts_till_it_reads_its_files(host: Host) -> None:
    host.write(f"{SYSTEM}/x.service", UNIT_TEXT)
    place = "/etc/systemd/system.conf.d/a.conf"
    host.write(place, "[Manager]\nDefaultLimitNOFILE=11\n")
    host.run(["systemctl", "daemon-reload"])
    host.write(place, "[Manager]\nDefaultLimitNOFILE=12\n")
    before = ask(host, 'answer = given("x.service")')
    host.run(["systemctl", "daemon-reexec"])
    after = ask(host, 'answer = given("x.service")')
    running = "the running service manager (its files are others by now)"
    assert before == [11, 11, "manager default", running]
    assert after == [12, 12, "manager default", f"{place}:2"]
