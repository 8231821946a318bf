"""Who is in a control group, on trees as the kernel shows them."""

from pathlib import Path

import pytest

from jada_configd.host.processes.control_groups import members, tasks

GROUP = "/system.slice/jada-agent.service"


def put(mount: Path, group: str, **files: str) -> None:
    place = mount / group.strip("/")
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / name.replace("_", ".")).write_text(text)


@pytest.mark.parametrize("tree", ["", "unified", "systemd"])
def test_the_processes_of_a_group_are_those_of_all_groups_below_it(
    tmp_path: Path, tree: str
) -> None:
    put(tmp_path / tree, GROUP, cgroup_procs="12\n7\n")
    put(tmp_path / tree, f"{GROUP}/workers/a", cgroup_procs="90\n")
    put(tmp_path / tree, f"{GROUP}/workers", cgroup_procs="")
    put(tmp_path / tree, "/system.slice/other.service", cgroup_procs="5\n")
    assert sorted(members(GROUP, str(tmp_path))) == [7, 12, 90]


def test_a_group_that_there_is_not_has_nobody(tmp_path: Path) -> None:
    assert members(GROUP, str(tmp_path)) == ()
    put(tmp_path, GROUP)
    assert members(GROUP, str(tmp_path)) == ()


@pytest.mark.parametrize("group", ["", "/", "/../jada.service", "/a/../../b"])
def test_the_root_group_and_what_leads_out_of_the_tree_is_nobodys(
    tmp_path: Path, group: str
) -> None:
    (tmp_path / "cgroup.procs").write_text("1\n2\n")
    (tmp_path / "pids.current").write_text("2\n")
    (tmp_path / "pids.max").write_text("9\n")
    assert members(group, str(tmp_path)) == ()
    assert tasks(group, str(tmp_path)) is None


def test_a_group_that_may_not_be_read_is_passed_over_and_those_below_it_are_not(
    tmp_path: Path,
) -> None:
    put(tmp_path, GROUP, cgroup_procs="7\n")
    put(tmp_path, f"{GROUP}/threaded/below", cgroup_procs="8\n")
    (tmp_path / GROUP.strip("/") / "threaded/cgroup.procs").mkdir()  # to read it is an error
    assert members(GROUP, str(tmp_path)) == (7, 8)


def test_a_link_inside_a_group_is_not_followed(tmp_path: Path) -> None:
    put(tmp_path, "/elsewhere", cgroup_procs="666\n")
    put(tmp_path, GROUP, cgroup_procs="7\n")
    (tmp_path / GROUP.strip("/") / "link").symlink_to(tmp_path / "elsewhere")
    assert members(GROUP, str(tmp_path)) == (7,)


@pytest.mark.parametrize("tree", ["", "pids"])
@pytest.mark.parametrize(("most", "bound"), [("4915\n", 4915), ("max\n", None), ("0\n", 0)])
def test_the_tasks_of_a_group_are_told_beside_their_bound(
    tmp_path: Path, tree: str, most: str, bound: int | None
) -> None:
    put(tmp_path / tree, GROUP, pids_current="40\n", pids_max=most)
    assert tasks(GROUP, str(tmp_path)) == (40, bound)


@pytest.mark.parametrize("files", [{}, {"pids_current": "3\n"}, {"pids_max": "3\n"}])
def test_without_the_controller_nobody_can_tell_of_tasks(
    tmp_path: Path, files: dict[str, str]
) -> None:
    put(tmp_path, GROUP, **files)
    assert tasks(GROUP, str(tmp_path)) is None
