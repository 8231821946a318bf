"""Limits in unit files and in system.conf, line by line; the texts are those of real packages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.facts import LimitLine
from jada_configd.core.limits import LIMITS, directive, line_that_gives
from jada_configd.formats.limit_lines import limit_lines

DOCKER = b"""\
[Unit]
Description=Docker Application Container Engine
After=network-online.target docker.socket firewalld.service containerd.service

[Service]
Type=notify
# the default is not to use systemd for cgroups because the delegate issues still
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock
ExecReload=/bin/kill -s HUP $MAINPID
TimeoutStartSec=0

# Having non-zero Limit*s causes performance problems due to accounting overhead
# in the kernel. We recommend using cgroups to do container-local accounting.
LimitNPROC=infinity
LimitCORE=infinity

# Comment TasksMax if your systemd version does not support it.
TasksMax=infinity
Delegate=yes

[Install]
WantedBy=multi-user.target
"""
ELASTICSEARCH = b"""\
[Service]
# Specifies the maximum file descriptor number that can be opened by this process
LimitNOFILE=65535

# Specifies the maximum number of processes
LimitNPROC=4096

# Specifies the maximum size of virtual memory
LimitAS=infinity

# Specifies the maximum file size
LimitFSIZE=infinity
"""
DEBIAN = b"""\
[Manager]
#LogLevel=info
#DefaultLimitCPU=
#DefaultLimitNOFILE=1024:524288
#DefaultLimitMEMLOCK=8M
DefaultLimitNOFILE=8192:\\
  524288
LimitNOFILE=7
DefaultLimitMEMLOCK=8M
"""
BY_HAND = b"""\
LimitNOFILE=1
[Service]
LimitNOFILE=2147483646
limitnofile=3
LimitNOFILE = 30000:15000
LimitNOFILE=
LimitFOO=5
[Install]
LimitNOFILE=4
[Service]
LimitCORE=1K:1M
[Service
LimitCORE=5
"""
PATH = "/etc/systemd/system/x.service"


def short(line: LimitLine) -> tuple[str, object, object, str]:
    return (line.limit, line.soft, line.hard, line.source.rpartition(":")[2])


def test_a_packaged_unit_is_read() -> None:
    lines = limit_lines(DOCKER, "Service", "unit file", PATH)
    assert lines == [
        LimitLine("nproc", None, None, "unit file", f"{PATH}:14", "infinity"),
        LimitLine("core", None, None, "unit file", f"{PATH}:15", "infinity"),
    ]
    read = limit_lines(ELASTICSEARCH, "Service", "unit file", PATH)
    assert [short(line) for line in read] == [
        ("nofile", 65535, 65535, "3"),
        ("nproc", 4096, 4096, "6"),
        ("as", None, None, "9"),
        ("fsize", None, None, "12"),
    ]


def test_the_managers_file_has_other_names() -> None:
    lines = limit_lines(DEBIAN, "Manager", "manager default", "/etc/systemd/system.conf")
    assert [short(line) for line in lines] == [
        ("nofile", 8192, 524288, "6"),
        ("memlock", 8 << 20, 8 << 20, "9"),
    ]


def test_what_systemd_passes_over_is_told_with_its_reason() -> None:
    lines = limit_lines(BY_HAND, "Service", "drop-in", PATH)
    assert [(line.source, line.ignored) for line in lines] == [
        (f"{PATH}:3", None),
        (f"{PATH}:5", "systemd passes over it, because its soft limit is above its hard limit"),
        (f"{PATH}:6", "systemd passes over it, because it is empty"),
        (f"{PATH}:11", None),
    ]
    assert line_that_gives(lines, "nofile") == lines[0]
    assert lines[0].text == "2147483646"


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"[Service]\n", b"\n" * 1000])
def test_what_sets_nothing_has_no_lines(data: bytes) -> None:
    assert limit_lines(data, "Service", "drop-in", PATH) == []


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    limit_lines(data, "Service", "drop-in", PATH)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([limit for limit in LIMITS if limit != "nice"]),  # not infinite
            st.sampled_from(["5", "1:9", "infinity", "nonsense", ""]),
        ),
        max_size=8,
    )
)
def test_the_last_line_that_systemd_takes_gives_the_limit(
    given_lines: list[tuple[str, str]],
) -> None:
    text = "".join(f"{directive(limit)}={value}\n" for limit, value in given_lines)
    lines = limit_lines(f"[Service]\n{text}".encode(), "Service", "drop-in", PATH)
    assert [line.text for line in lines] == [value for _, value in given_lines]
    for limit in LIMITS:
        taken = [
            number
            for number, (name, value) in enumerate(given_lines, 2)
            if name == limit and value not in ("nonsense", "")
        ]
        line = line_that_gives(lines, limit)
        assert (line and line.source) == (f"{PATH}:{taken[-1]}" if taken else None)
