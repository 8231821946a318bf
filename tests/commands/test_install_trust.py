"""Whether somebody else could change what a service runs: refused, with the hop named."""

import grp
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jada_configd.errors import HostError, Refused
from jada_configd.host.filesystem.trust import Trust
from jada_configd.installation.trusted import Trusted

OURS = os.geteuid()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a module in it; the way there belongs to us or to root."""
    code = tmp_path / "env" / "code"
    code.mkdir(parents=True)
    (code / "module.py").write_text("")
    for path in (tmp_path, code.parent, code):
        path.chmod(0o755)
    (code / "module.py").chmod(0o644)
    return code


def trusted(*uids: int, group: int = -1) -> Trusted:
    return Trusted(Trust(frozenset({0, OURS, *uids}), group))


def refusal(act: Callable[[], None]) -> str:
    with pytest.raises(Refused) as caught:
        act()
    return str(caught.value)


def test_nothing_is_refused_where_only_we_can_write(place: Path) -> None:
    trusted().check_below([str(place)])
    trusted().check([str(place / "module.py")])


def test_a_file_that_everybody_can_write_is_named(place: Path) -> None:
    (place / "module.py").chmod(0o666)
    said = refusal(lambda: trusted().check_below([str(place)]))
    assert said == f"{place}/module.py can be written by everybody"


def test_a_directory_on_the_way_is_named(place: Path) -> None:
    place.parent.chmod(0o777)
    said = refusal(lambda: trusted().check([str(place / "module.py")]))
    assert said == f"{place.parent} can be written by everybody"


def test_in_a_sticky_directory_on_the_way_ours_stay_ours(place: Path) -> None:
    place.parent.chmod(0o1777)
    trusted().check([str(place / "module.py")])


def test_into_a_sticky_directory_of_code_others_could_put_a_module(place: Path) -> None:
    place.chmod(0o1777)
    said = refusal(lambda: trusted().check_below([str(place)]))
    assert said == f"{place} can be written by everybody"


@pytest.mark.needs_root
@pytest.mark.parametrize(("gid", "name"), [(1, "the group daemon"), (4242, "gid 4242")])
def test_a_group_that_others_are_or_may_be_in_is_named(place: Path, gid: int, name: str) -> None:
    os.chown(place / "module.py", -1, gid)
    (place / "module.py").chmod(0o664)
    said = refusal(lambda: trusted().check_below([str(place)]))
    assert said == f"{place}/module.py can be written by {name}"


@pytest.mark.needs_root
def test_a_group_that_nobody_else_is_in_is_not(place: Path) -> None:
    """Debian's /usr/local was writable by `staff` for years, which nobody is in by default."""
    os.chown(place / "module.py", -1, grp.getgrnam("staff").gr_gid)
    (place / "module.py").chmod(0o664)
    trusted().check_below([str(place)])


def test_a_group_of_our_own_is_not(place: Path) -> None:
    (place / "module.py").chmod(0o664)
    trusted(group=place.stat().st_gid).check_below([str(place)])


def test_a_link_is_followed_and_what_is_on_its_way_is_judged(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "library.so").write_text("")
    other.chmod(0o777)
    (place / "library.so").symlink_to("../../other/library.so")
    assert (
        refusal(lambda: trusted().check_below([str(place)]))
        == f"{other} can be written by everybody"
    )


def test_links_that_lead_round_end(place: Path) -> None:
    (place / "one").symlink_to("two")
    (place / "two").symlink_to("one")
    assert "more than 40 links" in refusal(lambda: trusted().check([str(place / "one")]))


def test_a_link_to_nowhere_is_said(place: Path) -> None:
    (place / "gone").symlink_to("nothing")
    with pytest.raises(HostError, match="No such file"):
        trusted().check([str(place / "gone")])


def test_a_link_to_nowhere_among_the_code_matters_only_where_others_could_make_it_lead(
    place: Path, tmp_path: Path
) -> None:
    (place / "gone").symlink_to("nothing")
    trusted().check_below([str(place)])
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (place / "gone.py").symlink_to(shared / "gone.py")
    said = refusal(lambda: trusted().check_below([str(place)]))
    assert said == f"{shared} can be written by everybody"


def test_what_nothing_is_imported_from_is_passed_over(place: Path) -> None:
    (place / ".git").mkdir()
    (place / ".git" / "config").write_text("")
    (place / ".git" / "config").chmod(0o666)
    trusted().check_below([str(place)])


@pytest.mark.needs_root
def test_a_file_of_somebody_else_is_named_with_its_owner(place: Path) -> None:
    os.chown(place / "module.py", 4242, 4242)
    said = refusal(lambda: trusted().check_below([str(place)]))
    assert said == f"{place}/module.py belongs to uid 4242"


@pytest.mark.needs_root
def test_a_directory_of_a_user_on_the_way_is_named(place: Path) -> None:
    os.chown(place.parent, 4242, 4242)
    said = refusal(lambda: trusted().check([str(place / "module.py")]))
    assert said == f"{place.parent} belongs to uid 4242"


def test_a_name_cannot_write_into_the_terminal(place: Path) -> None:
    (place / "a\x1b[2J").write_text("")
    (place / "a\x1b[2J").chmod(0o666)
    said = refusal(lambda: trusted().check_below([str(place)]))
    assert "\x1b" not in said
