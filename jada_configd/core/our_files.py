"""Files that are ours from the first line to the last: what marks one, and what puts one right.

What stands in them is for the kinds; settings files, which are somebody's, are none of these.
"""

from collections.abc import Mapping
from typing import Final, TypeGuard

from jada_configd.core.actions import Action, RemoveFile, ReplaceFile, digest
from jada_configd.core.facts import Content, FileFact, Missing
from jada_configd.core.model import Field, Value
from jada_configd.core.specs import Policy

HEADER: Final[Field] = ("header",)
FILE_MODE: Final = 0o644
_BEGINNING: Final = "Written by jada-configd from "


def header(policy: Policy) -> str:
    """The comment with which every file of ours begins."""
    return f"{_BEGINNING}{policy.path}; what is changed here is put right again."


def snapshot_header(policy_path: str) -> str:
    """The comment of a file that is written anew now and then, whatever stands in it."""
    return f"{_BEGINNING}{policy_path}; it is replaced whenever something has happened."


def header_field(text: str) -> Mapping[Field, Value]:
    """The comment in the first line, where there is one."""
    first = text.partition("\n")[0]
    return {HEADER: first.removeprefix("# ")} if first.startswith("# ") else {}


def is_ours(fact: FileFact | None, header: str) -> TypeGuard[Content]:
    """Whether a file has that very header; without it, it is somebody else's by now."""
    return isinstance(fact, Content) and fact.data.startswith(f"# {header}\n".encode())


def is_any_of_ours(fact: FileFact) -> TypeGuard[Content]:
    """Whether a file was written because of this policy or another one."""
    return isinstance(fact, Content) and begins_as_ours(fact.data)


def begins_as_ours(data: bytes) -> bool:
    """Whether content, or the beginning of it, was written because of some policy."""
    return data.startswith(f"# {_BEGINNING}".encode())


def put(path: str, content: bytes | None, fact: Content | Missing) -> tuple[Action, ...]:
    """What makes this the content of a file that was looked at; None: there is to be no file."""
    if isinstance(fact, Missing):
        if content is None:
            return ()
        return (ReplaceFile(path, content, FILE_MODE, -1, -1, None, make_directories=True),)
    replaces = digest(fact.data)
    if content is None:
        return (RemoveFile(path, replaces),)
    return (ReplaceFile(path, content, FILE_MODE, fact.uid, fact.gid, replaces),)
