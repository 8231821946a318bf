"""Which file's line sets a kernel parameter at the next boot."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.formats.sysctl_lines import parse_sysctls
from jada_configd.formats.sysctl_precedence import Setting, files_in_order, setting_of

KEY = "net/ipv4/conf/hub0/rp_filter"


def winner(*texts: str, key: str = KEY) -> Setting | None:
    files = [(f"/etc/sysctl.d/{n}.conf", parse_sysctls(text)) for n, text in enumerate(texts)]
    return setting_of(key, files)


@pytest.mark.parametrize(
    ("paths", "order"),
    [
        ([], []),
        (
            ["/usr/lib/sysctl.d/50-a.conf", "/etc/sysctl.d/10-b.conf", "/run/sysctl.d/20-c.conf"],
            ["/etc/sysctl.d/10-b.conf", "/run/sysctl.d/20-c.conf", "/usr/lib/sysctl.d/50-a.conf"],
        ),
        (
            [
                "/lib/sysctl.d/50-a.conf",
                "/usr/lib/sysctl.d/50-a.conf",
                "/usr/local/lib/sysctl.d/50-a.conf",
                "/run/sysctl.d/50-a.conf",
            ],
            ["/run/sysctl.d/50-a.conf"],
        ),
        (
            ["/usr/lib/sysctl.d/50-a.conf", "/etc/sysctl.d/50-a.conf", "/lib/sysctl.d/51.conf"],
            ["/etc/sysctl.d/50-a.conf", "/lib/sysctl.d/51.conf"],
        ),
        (["/etc/sysctl.d/README", "/etc/sysctl.d/.a.conf", "/etc/sysctl.d/a.conf~"], []),
        (
            [f"/etc/sysctl.d/{name}.conf" for name in ("zz-ours", "Z", "99-sysctl", "é", "_")],
            [f"/etc/sysctl.d/{name}.conf" for name in ("99-sysctl", "Z", "_", "zz-ours", "é")],
        ),
    ],
)
def test_files_are_read_by_name_and_a_higher_directory_masks(
    paths: list[str], order: list[str]
) -> None:
    assert files_in_order(paths) == order
    assert files_in_order(reversed(paths)) == order


@pytest.mark.parametrize(
    ("texts", "value", "where"),
    [
        (["net.ipv4.conf.hub0.rp_filter=1"], "1", (0, 1)),
        (["net.ipv4.conf.hub0.rp_filter=1", "\nnet/ipv4/conf/hub0/rp_filter = 2"], "2", (1, 2)),
        (["net.ipv4.conf.hub0.rp_filter=1\nnet.ipv4.conf.hub0.rp_filter=3"], "3", (0, 2)),
        (["net.ipv4.conf.*.rp_filter = 2"], "2", (0, 1)),
        (["net.ipv4.conf.hub?.rp_filter = 2"], "2", (0, 1)),
        (["net.ipv4.conf.[^a]ub0.rp_filter = 2"], "2", (0, 1)),
        (["net.ipv4.conf.hub0.rp_filter=1", "net.ipv4.conf.*.rp_filter = 2"], "1", (0, 1)),
        (["net.ipv4.conf.*.rp_filter = 2", "net.ipv4.conf.h*.rp_filter = 1"], "1", (1, 1)),
        (["net.ipv4.conf.h*.rp_filter = 1", "net.ipv4.conf.*.rp_filter = 2"], "2", (1, 1)),
        (["net.ipv4.conf.*.rp_filter = 2", "-net.ipv4.conf.hub0.rp_filter"], None, (1, 1)),
        (["net.ipv4.conf.hub0.rp_filter = 2", "-net.ipv4.conf.hub0.rp_filter"], None, (1, 1)),
        (["-net.ipv4.conf.hub0.rp_filter", "net.ipv4.conf.hub0.rp_filter = 2"], "2", (1, 1)),
        (["-net.ipv4.conf.hub0.rp_filter", "-net.ipv4.conf.hub0.rp_filter = 2"], "2", (1, 1)),
        (["net.ipv4.conf.hub0.rp_filter = 2", "net.ipv4.conf.hub0.rp_filter = 2"], "2", (0, 1)),
        (
            ["net.ipv4.conf.*.rp_filter = 2\nnet.ipv4.conf.h*.rp_filter = 1",
             "net.ipv4.conf.*.rp_filter = 2"],
            "1",
            (0, 2),
        ),
        (["net.ipv4.conf.*.rp_filter = 2", "-net.ipv4.conf.*.rp_filter"], "none", (0, 0)),
        (["net.ipv4.*.rp_filter = 2\nnet.*=1\nrp_filter=1\nnonsense"], "none", (0, 0)),
    ],
)  # fmt: skip
def test_the_later_line_wins_and_a_line_for_the_key_beats_patterns(
    texts: list[str], value: str | None, where: tuple[int, int]
) -> None:
    found = winner(*texts)
    if value == "none":
        assert found is None
    else:
        assert found == Setting(value, f"/etc/sysctl.d/{where[0]}.conf", where[1])


LINES = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.sampled_from(["a/b", "a.b", "a/*", "a.?", "*.b", "a/c", "a/b/c", "a/[!c]"]),
    st.sampled_from(["", "=1", " = 2", "=3"]),
)


@given(st.lists(st.lists(LINES, max_size=4).map("\n".join), max_size=4))
def test_it_is_what_writing_line_after_line_leaves(texts: list[str]) -> None:
    """A kernel of one key, written as systemd-sysctl writes: patterns and keys in their order."""
    options: dict[str, str | None] = {}
    for line in (line for text in texts for line in parse_sysctls(text) if line.key):
        if line.key in options and options[line.key] == line.value:
            continue
        options.pop(line.key, None)
        options[line.key] = line.value
    kernel = None
    for key, value in options.items():
        is_pattern = key != key.replace("*", "").replace("?", "").replace("[", "")
        parts = key.split("/")
        fits = len(parts) == 2 and all(map(fnmatch.fnmatchcase, ("a", "b"), parts))
        if value is not None and (key == "a/b" or (is_pattern and fits and "a/b" not in options)):
            kernel = value
    found = winner(*texts, key="a/b")
    assert (found.value if found else None) == kernel
