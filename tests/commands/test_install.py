"""`install --root` and `uninstall --root`: whole output, and every file of the tree.

What needs a running systemd is in `tests/system/test_install.py`.
"""

import argparse
import os
from pathlib import Path

import pytest

from jada_configd.cli import main
from jada_configd.errors import HostError
from jada_configd.host.directories import directories
from jada_configd.host.filesystem.files import Files
from jada_configd.installation import placements, site
from jada_configd.installation.environment import this_environment
from jada_configd.installation.manager import Manager

UNITS = "/etc/systemd/system"
CATALOGUE = "/usr/local/lib/systemd/catalog/jada-configd.catalog"
PUT = (
    f"{UNITS}/jada-configd.service",
    f"{UNITS}/jada-configd.service.d/50-policy.conf",
    "/usr/local/share/man/man1/jada-configd.1",
    "/usr/local/share/man/man5/jada-configd-policy.5",
    CATALOGUE,
)
WANTS = f"{UNITS}/multi-user.target.wants/jada-configd.service"
POLICY = """version = 1
[settings.agent]
path = "/home/ubuntu/.claude/settings.json"
absent = ["/env/ANTHROPIC_MODEL"]
[settings.agent.set]
model = "claude-sonnet-4-6"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with a home and nothing else in it."""
    root = tmp_path / "tree"
    (root / "home/ubuntu/.claude").mkdir(parents=True)
    (root / "etc").mkdir()
    return root


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "new.toml"
    path.write_text(POLICY)
    path.chmod(0o644)
    return path


def files(root: Path) -> set[str]:
    """The files and links of a tree, but for what `journalctl` makes of catalogues."""
    found = (path for path in root.rglob("*") if path.is_symlink() or path.is_file())
    return {f"/{path.relative_to(root)}" for path in found} - {"/var/lib/systemd/catalog/database"}


def one_line(text: str) -> str:
    """What was wrapped, in one line again; no line had more than 80 columns but for its paths."""
    for line in text.splitlines():
        assert len(line) <= 80 or "/" in line
    return " ".join(text.split())


def lines(verb: str, paths: tuple[str, ...]) -> str:
    return "".join(f"{verb} {path}\n" for path in paths)


def test_what_will_be_done_is_shown_and_then_said_step_by_step(
    root: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "--root", str(root), "--policy", str(policy)]) == 0
    said = capsys.readouterr()
    assert said.out == (
        f"jada-configd 0.1.0 for the tree at {root}\n"
        f"policy {policy}\n"
        "\n"
        "The first pass will find and do this:\n"
        "\n"
        "drifted   settings:/home/ubuntu/.claude/settings.json\n"
        '    /model  (absent) -> "claude-sonnet-4-6"\n'
        "    to do: create /home/ubuntu/.claude/settings.json\n"
        "1 resource: 1 drifted\n"
        "\n"
        "This will\n"
        f"{lines('  write', ('/etc/jada-configd/policy.toml', *PUT))}"
        "  enable jada-configd.service\n"
        f"{lines('wrote', ('/etc/jada-configd/policy.toml', *PUT))}"
        "enabled jada-configd.service\n"
    )
    environment = this_environment(user=False)
    (command, *_) = environment.command
    place = environment.short_lived  # of this checkout
    gone = f"{command} stands in {place}, which a boot or a cleaner empties; the service would be "
    assert one_line(said.err) == (
        (f"{gone}gone with it " if place else "")
        + f"There is no {command} in {root} yet; jada-configd.service runs that."
    )
    assert files(root) == {"/etc/jada-configd/policy.toml", *PUT, WANTS}
    assert not (root / "home/ubuntu/.claude/settings.json").exists()


def test_a_second_time_nothing_is_left_to_do(
    root: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["install", "--root", str(root), "--policy", str(policy)]
    assert main(arguments) == 0
    before = {path: (root / path[1:]).lstat().st_mtime_ns for path in files(root)}
    capsys.readouterr()
    assert main(arguments) == 0
    assert capsys.readouterr().out.endswith("\nAll is in place.\n")
    assert {path: (root / path[1:]).lstat().st_mtime_ns for path in files(root)} == before


def test_the_policy_in_place_is_used_where_none_is_named(root: Path, policy: Path) -> None:
    (root / "etc/jada-configd").mkdir()
    (root / "etc/jada-configd/policy.toml").write_bytes(policy.read_bytes())
    assert main(["install", "--root", str(root)]) == 0
    assert (root / WANTS[1:]).is_symlink()


def test_without_any_policy_the_shipped_ones_are_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "--root", str(root)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "no policy yet; name one: install --policy FILE" in said.err
    assert "/policies/jada-agent.toml" in said.err
    assert files(root) == set()


def test_a_policy_that_does_not_load_changes_nothing(
    root: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy.write_text("version = 1\nsettings.agent.pth = 1\n")
    assert main(["install", "--root", str(root), "--policy", str(policy)]) == 1
    assert "new.toml:2:16: settings.agent.pth: unknown key" in capsys.readouterr().err
    assert files(root) == set()


class TestOverAnotherPolicy:
    @pytest.fixture(autouse=True)
    def another(self, root: Path) -> Path:
        another = root / "etc/jada-configd/policy.toml"
        another.parent.mkdir()
        another.write_text(POLICY.replace("sonnet", "opus"))
        return another

    def test_the_difference_is_shown_and_nothing_is_changed(
        self, root: Path, policy: Path, another: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = another.read_bytes()
        assert main(["install", "--root", str(root), "--policy", str(policy)]) == 1
        said = capsys.readouterr()
        assert said.out == (
            "--- /etc/jada-configd/policy.toml\n"
            f"+++ {policy}\n"
            "@@ -3,4 +3,4 @@\n"
            ' path = "/home/ubuntu/.claude/settings.json"\n'
            ' absent = ["/env/ANTHROPIC_MODEL"]\n'
            " [settings.agent.set]\n"
            '-model = "claude-opus-4-6"\n'
            '+model = "claude-sonnet-4-6"\n'
        )
        assert one_line(said.err) == (
            f"jada-configd: another policy stands at {another} and nothing was changed; "
            "--force puts this one in its place"
        )
        assert files(root) == {"/etc/jada-configd/policy.toml"}
        assert another.read_bytes() == before

    def test_force_puts_it_in_place_and_keeps_the_other(
        self, root: Path, policy: Path, another: Path
    ) -> None:
        before = another.read_bytes()
        arguments = ["install", "--root", str(root), "--policy", str(policy), "--force"]
        assert main(arguments) == 0
        assert another.read_bytes() == policy.read_bytes()
        assert another.with_suffix(".toml.old").read_bytes() == before


def test_a_policy_that_others_could_not_read_stays_so(root: Path, policy: Path) -> None:
    policy.chmod(0o600)
    assert main(["install", "--root", str(root), "--policy", str(policy)]) == 0
    assert (root / "etc/jada-configd/policy.toml").stat().st_mode & 0o777 == 0o600
    assert (root / PUT[0][1:]).stat().st_mode & 0o777 == 0o644


def test_a_masked_unit_is_said_to_be_so(
    root: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = root / PUT[0][1:]
    unit.parent.mkdir(parents=True)
    (root / "dev").mkdir()
    unit.symlink_to("/dev")
    assert main(["install", "--root", str(root), "--policy", str(policy)]) == 1
    assert "systemctl unmask" in capsys.readouterr().err


def test_uninstall_takes_away_all_that_install_put_there(
    root: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["install", "--root", str(root), "--policy", str(policy)])
    capsys.readouterr()
    assert main(["uninstall", "--root", str(root)]) == 0
    assert capsys.readouterr().out == (
        "This will\n"
        f"{lines('  remove', PUT)}"
        "disabled jada-configd.service\n"
        f"{lines('removed', PUT)}"
        "Settings files stay as they are.\n"
        f"Kept: {root}/etc/jada-configd.\n"
    )
    assert files(root) == {"/etc/jada-configd/policy.toml"}
    assert not (root / f"{UNITS[1:]}/jada-configd.service.d").exists()


def test_uninstall_of_nothing_is_no_error(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["uninstall", "--root", str(root), "--purge"]) == 0
    assert capsys.readouterr().out == "jada-configd is not installed here.\n"


@pytest.mark.parametrize("gone", PUT)
def test_uninstall_finishes_what_is_half_there(root: Path, policy: Path, gone: str) -> None:
    main(["install", "--root", str(root), "--policy", str(policy)])
    (root / gone[1:]).unlink()
    assert main(["uninstall", "--root", str(root)]) == 0
    assert files(root) == {"/etc/jada-configd/policy.toml"}


def test_uninstall_needs_no_unit_file_to_remove_the_links_to_it(
    root: Path, policy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`systemctl disable` of systemd 255 then complains and leaves them."""
    main(["install", "--root", str(root), "--policy", str(policy)])
    other = root / f"{UNITS[1:]}/agent.service.requires/jada-configd.service"
    other.parent.mkdir()
    other.symlink_to("../jada-configd.service")
    theirs = root / f"{UNITS[1:]}/theirs.target.wants/jada-configd.service"
    theirs.parent.mkdir()
    theirs.write_text("no link")
    for path in PUT:
        (root / path[1:]).unlink()
    monkeypatch.setattr(Manager, "do", lambda *_, **__: pytest.fail("systemctl was asked"))
    capsys.readouterr()
    assert main(["uninstall", "--root", str(root)]) == 0
    gone = (WANTS, f"{UNITS}/agent.service.requires/jada-configd.service")
    assert capsys.readouterr().out == (
        f"This will\n{lines('  remove', gone)}{lines('removed', gone)}"
        "Settings files stay as they are.\n"
        f"Kept: {root}/etc/jada-configd.\n"
    )
    assert files(root) == {
        "/etc/jada-configd/policy.toml",
        f"{UNITS}/theirs.target.wants/jada-configd.service",
    }


def test_uninstall_removes_the_drop_ins_that_we_wrote_and_no_others(root: Path) -> None:
    units = root / UNITS[1:]
    for unit, text in {
        "ours.service": "# Written by jada-configd from /etc/x.toml; ...\n[Service]\n",
        "theirs.service": "[Service]\n",
    }.items():
        (units / f"{unit}.d").mkdir(parents=True)
        (units / f"{unit}.d/zz-jada-configd.conf").write_text(text)
    (units / "ours.service.d/override.conf").write_text("[Service]\n")
    assert main(["uninstall", "--root", str(root)]) == 0
    assert files(root) == {
        f"{UNITS}/ours.service.d/override.conf",
        f"{UNITS}/theirs.service.d/zz-jada-configd.conf",
    }


def test_purge_removes_the_state_and_keeps_the_policy(root: Path, policy: Path) -> None:
    main(["install", "--root", str(root), "--policy", str(policy)])
    state = root / "var/lib/jada-configd"
    (state / "evidence").mkdir(parents=True)
    (state / "evidence/1").write_text("{")
    assert main(["uninstall", "--root", str(root)]) == 0
    assert (state / "evidence/1").exists()
    assert main(["uninstall", "--root", str(root), "--purge"]) == 0
    assert not state.exists()
    assert (root / "etc/jada-configd/policy.toml").exists()


def test_purge_never_follows_a_link_out_of_the_tree(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("")
    (root / "var/lib").mkdir(parents=True)
    (root / "var/lib/jada-configd").symlink_to(tmp_path / "precious")
    assert main(["uninstall", "--root", str(root), "--purge"]) == 1
    assert (tmp_path / "precious/file").exists()
    assert "left alone" in capsys.readouterr().err


class TestTheFilesForASystemd:
    """Which drop-in for which version; `systemctl --version` is not asked here."""

    @pytest.mark.parametrize(("version", "put"), [(None, False), (252, False), (253, True)])
    def test_notify_reload_only_where_it_is_understood(
        self, root: Path, version: int | None, *, put: bool
    ) -> None:
        where = directories(user=False, root=str(root), environ={})
        wanted = placements.placements(where, "[Unit]\n", "[Unit]\n", version)
        path = f"{UNITS}/jada-configd.service.d/10-notify-reload.conf"
        assert (path in [each.path for each in wanted]) == put

    def test_what_an_older_systemd_does_not_understand_goes_away(self, root: Path) -> None:
        where = directories(user=False, root=str(root), environ={})
        with Files(str(root)) as tree:
            for change in placements.pending(placements.placements(where, "", "", 253), tree):
                placements.put(change, tree)
            wanted = placements.placements(where, "", "", 252)
            assert list(placements.outdated(where, wanted, tree)) == [
                f"{UNITS}/jada-configd.service.d/10-notify-reload.conf"
            ]

    def test_an_image_tells_its_systemd_by_its_library(self, root: Path) -> None:
        assert Manager(user=False, root=str(root)).version() is None
        library = root / "usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-255.so"
        library.parent.mkdir(parents=True)
        library.write_text("")
        assert Manager(user=False, root=str(root)).version() == 255


class TestWhereItCannotBeInstalled:
    def test_a_user_s_service_is_not_put_into_an_image(
        self, root: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["install", "--user", "--root", str(root)]) == 1
        assert "--user with --root" in capsys.readouterr().err

    def test_an_ordinary_user_is_told_what_would_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(HostError, match="needs root: sudo; without root: --user"):
            site.site(argparse.Namespace(user=False, root="/"))

    @pytest.mark.parametrize(("user", "said"), [(False, "--root DIR"), (True, "enable-linger")])
    def test_without_a_service_manager_is_told_what_would_do(
        self, monkeypatch: pytest.MonkeyPatch, said: str, *, user: bool
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(Manager, "runs", False)
        with pytest.raises(HostError, match=said):
            site.site(argparse.Namespace(user=user, root="/"))


def test_who_interrupts_it_in_the_middle_is_told_how_things_were_left(
    root: Path,
    policy: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put = placements.put
    done: list[str] = []

    def put_two(change: placements.Pending, into: Files) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        put(change, into)
        done.append(change.placement.path)

    monkeypatch.setattr(placements, "put", put_two)
    arguments = ["install", "--root", str(root), "--policy", str(policy)]
    assert main(arguments) == 130
    said = capsys.readouterr()
    assert said.out.endswith(lines("wrote", ("/etc/jada-configd/policy.toml", PUT[0])))
    assert one_line(said.err).endswith("said above was done and stays; it can be run again")
    monkeypatch.undo()
    assert main(arguments) == 0
