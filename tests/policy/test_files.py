import os
import socket
import subprocess
from pathlib import Path

import pytest

from jada_configd.errors import PolicyError
from jada_configd.policy import load, revision, sources
from jada_configd.policy.files import LARGEST

TEXT = "version = 1\n"


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(TEXT)
    return path


def refusal(path: Path, *, fragments: bool = True) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load(str(path), fragments=fragments)
    return list(caught.value.messages)


def test_fragments_are_read_in_the_order_of_their_names_and_override(policy_file: Path) -> None:
    directory = policy_file.parent / "policy.d"
    directory.mkdir()
    for name, sweep in {"9.toml": 9, "10.toml": 10, "a.toml": 3, "B.toml": 4}.items():
        (directory / name).write_text(f"daemon.sweep = '{sweep}s'")
    for name in (".#a.toml", "z.toml.bak", "z.toml~", "README", "z.conf"):
        (directory / name).write_text("nothing that loads")
    expected = [
        policy_file,
        *(directory / name for name in ("10.toml", "9.toml", "B.toml", "a.toml")),
    ]
    made = load(str(policy_file))
    assert made.sweep == 3
    assert made.path == str(policy_file)
    assert list(made.sources) == sources(str(policy_file)) == list(map(str, expected))
    alone = load(str(policy_file), fragments=False)
    assert alone.sweep == 300
    assert alone.sources == (str(policy_file),)


def test_a_relative_path_is_made_absolute(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(policy_file.parent)
    assert load("policy.toml").path == str(policy_file)


def test_the_revision_is_what_sha256sum_says(policy_file: Path) -> None:
    def shell(command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=policy_file.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        return f"sha256:{done.stdout.split()[0]}"

    assert load(str(policy_file)).revision == shell("sha256sum policy.toml")
    directory = policy_file.parent / "policy.d"
    directory.mkdir()
    (directory / "1.toml").write_text("daemon.mode = 'observe'")
    (directory / "2.toml").write_text("")
    made = load(str(policy_file))
    assert made.revision == shell("sha256sum policy.toml policy.d/*.toml | sha256sum")
    assert revision(sources(str(policy_file))) == made.revision


def test_the_revision_tells_texts_order_and_names_apart(policy_file: Path) -> None:
    directory = policy_file.parent / "policy.d"
    directory.mkdir()
    seen = {load(str(policy_file)).revision}
    for names in (("1", "2"), ("2", "1"), ("1", "3")):
        for path in directory.iterdir():
            path.unlink()
        (directory / f"{names[0]}.toml").write_text("daemon.sweep = '1s'")
        (directory / f"{names[1]}.toml").write_text("daemon.sweep = '2s'")
        seen.add(load(str(policy_file)).revision)
    assert len(seen) == 4


def test_a_missing_policy_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    assert refusal(path) == [f"{path}: there is no such file"]
    assert refusal(tmp_path / "no" / "policy.toml") == [
        f"{tmp_path}/no/policy.toml: there is no such file"
    ]


def test_a_policy_that_may_not_be_read_is_said_so(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, *_: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    assert refusal(policy_file) == [f"{policy_file}: Permission denied"]


def test_what_is_no_regular_file_is_refused_without_a_wait(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    os.mkfifo(path)
    assert refusal(path) == [f"{path}: is a FIFO, not a regular file"]
    path.unlink()
    path.mkdir()
    assert refusal(path) == [f"{path}: is a directory, not a regular file"]
    path.rmdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert refusal(path) == [f"{path}: is a socket, not a regular file"]
    path.unlink()
    path.symlink_to("/dev/zero")
    assert refusal(path) == [f"{path}: is a device, not a regular file"]
    path.unlink()
    path.symlink_to(path.name)
    assert refusal(path) == [f"{path}: Too many levels of symbolic links"]


def test_a_link_to_a_policy_is_followed(policy_file: Path) -> None:
    link = policy_file.parent / "link.toml"
    link.symlink_to(policy_file)
    assert load(str(link)).path == str(link)


def test_a_policy_of_four_mebibytes_is_read_and_one_byte_more_is_not(policy_file: Path) -> None:
    policy_file.write_text(TEXT + "#" * (LARGEST - len(TEXT)))
    assert load(str(policy_file)).sweep == 300
    with policy_file.open("a") as file:
        file.write("#")
    assert refusal(policy_file) == [f"{policy_file}: the policy is larger than 4 MiB in all"]


def test_fragments_count_towards_the_four_mebibytes(policy_file: Path) -> None:
    directory = policy_file.parent / "policy.d"
    directory.mkdir()
    for name in ("1.toml", "2.toml", "3.toml"):
        with (directory / name).open("wb") as file:
            file.truncate(LARGEST // 2)
    last = directory / "2.toml"
    assert refusal(policy_file)[0] == f"{last}: the policy is larger than 4 MiB in all"


def test_every_file_that_cannot_be_read_is_named(policy_file: Path) -> None:
    directory = policy_file.parent / "policy.d"
    directory.mkdir()
    policy_file.unlink()
    (directory / "1.toml").mkdir()
    (directory / "2\n.toml").symlink_to("nowhere")
    assert refusal(policy_file) == [
        f"{policy_file}: there is no such file",
        f"{directory}/1.toml: is a directory, not a regular file",
        f"{directory}/2\\n.toml: there is no such file",
    ]


def test_a_policy_d_that_is_a_file_is_refused(policy_file: Path) -> None:
    directory = policy_file.parent / "policy.d"
    directory.write_text("")
    assert refusal(policy_file) == [f"{directory}: Not a directory"]
    assert load(str(policy_file), fragments=False).sweep == 300


def test_bytes_that_are_not_utf8_are_found_by_line_and_column(policy_file: Path) -> None:
    policy_file.write_bytes(
        "version = 1\n# é\n# naïve \xff".encode("latin-1").replace(b"\xe9", b"e")
    )
    assert refusal(policy_file) == ["policy.toml:3:5: not UTF-8: byte 0xef"]
    policy_file.write_bytes("# é ".encode() + b"\xff")
    assert refusal(policy_file) == ["policy.toml:1:5: not UTF-8: byte 0xff"]


def test_a_name_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b.toml")
    Path(path).write_text("version = 2\nx = 1")
    found = refusal(Path(path))
    assert [line.isprintable() for line in found] == [True, True]
    assert found[1] == "\\udcff\\x1b.toml:2:1: x: unknown key"
