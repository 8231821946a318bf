"""The table of decisions, hop by hop, on facts alone."""

import os
import stat

import pytest

from jada_configd.errors import Refused
from jada_configd.host.filesystem.ground import SHARED, STICKY, TRUSTED, Ground, Link
from jada_configd.host.filesystem.trust import Trust

ROOT, EVE, BOB, TEAM = 0, 1000, 1001, 50
NAMES = {ROOT: "root", EVE: "eve", BOB: "bob"}
TRUST = Trust(frozenset({ROOT}), name=NAMES.__getitem__)
AS_EVE = Trust(frozenset({ROOT, EVE}), private_group=EVE, name=NAMES.__getitem__)


def facts(uid: int, mode: int, *, gid: int = 0, links: int = 1) -> os.stat_result:
    return os.stat_result((mode, 1, 1, links, uid, gid, 0, 0, 0, 0))


def directory(uid: int, mode: int = 0o755, gid: int = 0) -> os.stat_result:
    return facts(uid, stat.S_IFDIR | mode, gid=gid)


def file(uid: int, mode: int = 0o644, gid: int = 0, links: int = 1) -> os.stat_result:
    return facts(uid, stat.S_IFREG | mode, gid=gid, links=links)


TRUSTED_GROUND = Ground(TRUST)
STICKY_GROUND = Ground(TRUST, STICKY)
SHARED_GROUND = Ground(TRUST, SHARED)
OF_EVE = Ground(TRUST, EVE)
ABROAD_SAID = "/home/eve/.claude -> /etc: the link is eve's"
ABROAD = Ground(TRUST, EVE, abroad=True, link=Link("/home/eve/.claude", "/etc", EVE))


@pytest.mark.parametrize(
    ("ground", "entered", "expected"),
    [
        (TRUSTED_GROUND, directory(ROOT), TRUSTED_GROUND),
        (TRUSTED_GROUND, directory(ROOT, 0o700), TRUSTED_GROUND),
        (TRUSTED_GROUND, directory(EVE), OF_EVE),
        (TRUSTED_GROUND, directory(ROOT, 0o1777), STICKY_GROUND),
        (TRUSTED_GROUND, directory(ROOT, 0o777), SHARED_GROUND),
        (TRUSTED_GROUND, directory(ROOT, 0o2775, TEAM), SHARED_GROUND),
        (TRUSTED_GROUND, directory(ROOT, 0o775, 0), SHARED_GROUND),  # an ACL may hide behind it
        (STICKY_GROUND, directory(ROOT), TRUSTED_GROUND),  # nobody can have moved it there
        (STICKY_GROUND, directory(ROOT, 0o1777), STICKY_GROUND),
        (STICKY_GROUND, directory(EVE), OF_EVE),
        (SHARED_GROUND, directory(ROOT), SHARED_GROUND),  # somebody may have renamed it
        (SHARED_GROUND, directory(EVE), OF_EVE),
        (OF_EVE, directory(EVE), OF_EVE),
        (OF_EVE, directory(EVE, 0o777), OF_EVE),
        (OF_EVE, directory(ROOT), OF_EVE),
        (ABROAD, directory(ROOT), ABROAD),
        (ABROAD, directory(ROOT, 0o1777), ABROAD),
    ],
)
def test_a_directory_that_may_be_entered(
    ground: Ground, entered: os.stat_result, expected: Ground
) -> None:
    assert ground.into("/x", entered) == expected


def test_a_link_of_eves_that_comes_home_is_abroad_no_more() -> None:
    assert ABROAD.into("/home/eve/x", directory(EVE)).abroad is False


def test_the_way_up_out_of_eves_directory_leads_abroad() -> None:
    assert OF_EVE.into("/home", directory(ROOT), up=True).abroad


def test_the_group_of_one_user_alone_is_trusted_with_the_user() -> None:
    ground = Ground(AS_EVE)
    assert ground.into("/home/eve", directory(EVE, 0o775, gid=EVE)) == ground
    assert ground.into("/home/eve", directory(EVE, 0o775, gid=TEAM)).holder == SHARED
    assert ground.into("/home/eve", directory(EVE, 0o777, gid=EVE)).holder == SHARED


@pytest.mark.parametrize(
    ("ground", "entered", "problem"),
    [
        (
            OF_EVE,
            directory(BOB),
            "/x belongs to bob, on the way through a directory of eve's",
        ),
        (
            OF_EVE,
            directory(ROOT, 0o750),
            "/x belongs to root, on the way through a directory of eve's, and is closed to eve",
        ),
        (
            ABROAD,
            directory(BOB),
            "/home/eve/.claude -> /etc: the link is eve's but /x belongs to bob",
        ),
        (
            ABROAD,
            directory(ROOT, 0o700),
            f"{ABROAD_SAID} but /x belongs to root, and is closed to eve",
        ),
        (
            SHARED_GROUND,
            directory(ROOT, 0o700),
            "/x is in a directory that others can write to, and is closed to them",
        ),
    ],
)
def test_a_directory_that_may_not_be_entered(
    ground: Ground, entered: os.stat_result, problem: str
) -> None:
    with pytest.raises(Refused) as refused:
        ground.into("/x", entered)
    assert str(refused.value) == problem


@pytest.mark.parametrize(
    ("ground", "above", "uid", "holder", "abroad"),
    [
        (TRUSTED_GROUND, directory(ROOT), ROOT, TRUSTED, False),
        (TRUSTED_GROUND, directory(ROOT), EVE, EVE, True),
        (STICKY_GROUND, directory(ROOT, 0o1777), EVE, EVE, True),
        (OF_EVE, directory(EVE), EVE, EVE, False),
        (OF_EVE, directory(EVE), ROOT, EVE, False),
        (ABROAD, directory(ROOT), ROOT, EVE, True),
        (ABROAD, directory(ROOT, 0o1777), EVE, EVE, True),
    ],
)
def test_a_link_that_is_followed(
    ground: Ground, above: os.stat_result, uid: int, holder: int, *, abroad: bool
) -> None:
    followed = ground.through(above, Link("/x", "/y", uid))
    assert (followed.holder, followed.abroad) == (holder, abroad)


@pytest.mark.parametrize(
    ("ground", "above", "uid", "problem"),
    [
        (STICKY_GROUND, directory(ROOT, 0o1777), ROOT, "is a link and is in a directory that"),
        (SHARED_GROUND, directory(ROOT, 0o777), ROOT, "is a link and is in a directory that"),
        (SHARED_GROUND, directory(ROOT, 0o777), EVE, "is a link and is in a directory that"),
        (ABROAD, directory(ROOT, 0o1777), ROOT, "is a link and is in a directory that"),
        (OF_EVE, directory(EVE), BOB, "/x belongs to bob, on the way through a directory of eve's"),
        (ABROAD, directory(ROOT), BOB, "the link is eve's but /x belongs to bob"),
    ],
)
def test_a_link_that_is_not_followed(
    ground: Ground, above: os.stat_result, uid: int, problem: str
) -> None:
    with pytest.raises(Refused, match=problem):
        ground.through(above, Link("/x", "/y", uid))


def test_a_users_link_has_to_end_at_what_is_the_users() -> None:
    link = Link("/home/eve/.claude", "/etc", EVE)
    ground = OF_EVE.through(directory(EVE), link)
    assert ground.link is link
    with pytest.raises(Refused) as refused:
        ground.landed(link, "/etc", ROOT)
    assert str(refused.value) == (
        "/home/eve/.claude -> /etc: the link is eve's but /etc belongs to root"
    )
    assert ground.landed(link, "/home/eve/x", EVE) == OF_EVE


def test_roots_link_in_a_users_directory_is_as_good_as_the_users() -> None:
    link = Link("/home/eve/.claude", "/etc", ROOT)
    with pytest.raises(Refused) as refused:
        OF_EVE.through(directory(EVE), link).landed(link, "/etc", ROOT)
    assert str(refused.value) == (
        "/home/eve/.claude -> /etc: the link is root's, in a directory of eve's, "
        "but /etc belongs to root"
    )


@pytest.mark.parametrize(
    ("ground", "above", "at"),
    [
        (TRUSTED_GROUND, directory(ROOT), file(ROOT, 0o600)),
        (TRUSTED_GROUND, directory(ROOT), file(EVE, 0o600)),
        (TRUSTED_GROUND, directory(ROOT), file(ROOT, links=2)),
        (OF_EVE, directory(EVE), file(EVE, 0o600)),
        (OF_EVE, directory(EVE), file(EVE, links=2)),
        (OF_EVE, directory(EVE), file(ROOT)),  # made with sudo
        (OF_EVE, directory(ROOT), file(ROOT)),
        (OF_EVE, directory(ROOT), file(EVE)),
        (STICKY_GROUND, directory(ROOT, 0o1777), file(ROOT, 0o600)),
        (STICKY_GROUND, directory(ROOT, 0o1777), file(EVE, 0o600)),
        (SHARED_GROUND, directory(ROOT, 0o2775, TEAM), file(ROOT, 0o600)),
        (SHARED_GROUND, directory(ROOT, 0o2775, TEAM), file(EVE, 0o640, TEAM)),
        (SHARED_GROUND, directory(ROOT, 0o2775, TEAM), file(EVE, 0o604)),
    ],
)
def test_a_file_that_is_read_and_replaced(
    ground: Ground, above: os.stat_result, at: os.stat_result
) -> None:
    ground.at_file("/d/x", above, at)


@pytest.mark.parametrize(
    ("ground", "above", "at", "problem"),
    [
        (OF_EVE, directory(EVE), file(ROOT, 0o640), "/d/x belongs to root, on .* closed to eve"),
        (OF_EVE, directory(EVE), file(BOB), "/d/x belongs to bob, on the way through a directory"),
        (
            OF_EVE,
            directory(EVE),
            file(ROOT, links=2),
            r"/d/x has 2 names \(hard links\) and belong",
        ),
        (OF_EVE, directory(ROOT), file(ROOT, links=2), "/d/x has 2 names"),
        (OF_EVE, directory(ROOT), file(EVE, links=2), "/d/x has 2 names"),
        (TRUSTED_GROUND, directory(ROOT), file(EVE, links=2), "/d/x has 2 names"),
        (STICKY_GROUND, directory(ROOT, 0o1777), file(ROOT, links=2), "/d/x has 2 names"),
        (SHARED_GROUND, directory(ROOT, 0o777), file(ROOT, links=2), "/d/x has 2 names"),
        (
            SHARED_GROUND,
            directory(ROOT, 0o777, TEAM),
            file(EVE, 0o600),
            "/d/x belongs to eve, is in",
        ),
        (SHARED_GROUND, directory(ROOT, 0o777, TEAM), file(EVE, 0o640, 9), "and is closed to them"),
        (ABROAD, directory(ROOT), file(EVE), "the link is eve's but /d belongs to root"),
    ],
)
def test_a_file_that_is_left_alone(
    ground: Ground, above: os.stat_result, at: os.stat_result, problem: str
) -> None:
    with pytest.raises(Refused, match=problem):
        ground.at_file("/d/x", above, at)


def test_a_new_file_is_made_where_its_maker_could_make_it() -> None:
    for ground, above in (
        (TRUSTED_GROUND, directory(ROOT)),
        (STICKY_GROUND, directory(ROOT, 0o1777)),
        (SHARED_GROUND, directory(ROOT, 0o777)),
        (OF_EVE, directory(EVE)),
    ):
        ground.at_nothing("/d/x", above)
    with pytest.raises(Refused, match="the link is eve's but /d belongs to root"):
        ABROAD.at_nothing("/d/x", directory(ROOT))
    with pytest.raises(Refused, match="/d belongs to root inside a directory of eve's: no file"):
        OF_EVE.at_nothing("/d/x", directory(ROOT))


def test_hostile_names_are_shown_escaped() -> None:
    link = Link("/home/eve/a\nb", "\x1b[31m", EVE)
    with pytest.raises(Refused) as refused:
        OF_EVE.through(directory(EVE), link).landed(link, "/e\udcff", ROOT)
    assert str(refused.value) == (
        "/home/eve/a\\nb -> \\x1b[31m: the link is eve's but /e\\udcff belongs to root"
    )
