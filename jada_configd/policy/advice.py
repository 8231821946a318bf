"""What loads but surely is not meant: warnings about keys of Claude Code's settings files."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

from jada_configd.core.model import Field, Json
from jada_configd.policy.ownership import Owned
from jada_configd.policy.phrasing import Fault, near

MODEL: Final[Field] = ("model",)
MODEL_VARIABLE: Final[Field] = ("env", "ANTHROPIC_MODEL")
BYPASS: Final[Field] = ("permissions", "disableBypassPermissionsMode")

# Where Claude Code reads settings: the user's and a project's, and the managed ones.
_CLAUDE_FILES: Final = (
    "*/.claude/settings.json",
    "*/.claude/settings.local.json",
    "/etc/claude-code/managed-settings.json",
    "/etc/claude-code/managed-settings.d/*.json",
)
_CLAUDE_MODEL = re.compile(r"claude|sonnet|opus|haiku", re.IGNORECASE)
_DOTTED = re.compile(r"(?<=[0-9])\.(?=[0-9])")


def warnings(path: str, owned: Sequence[Owned]) -> Iterator[Fault]:
    """What is odd about the fields that are held in one file, or in the files of one pattern."""
    claude_file = any(fnmatchcase(path, known) for known in _CLAUDE_FILES)
    by_field = {each.field: each for each in owned}
    for field in (MODEL, MODEL_VARIABLE):
        if field in by_field:
            yield from _dotted_ids(by_field[field])
    default_model = by_field.get(("default_model",))
    if claude_file and default_model is not None and default_model.rule["rule"] != "gone":
        yield Fault(
            default_model.keys,
            'Claude Code does not read this key, and starts its own default; did you mean "model"?',
        )
    model = by_field.get(MODEL)
    if model is None or model.rule["rule"] not in ("exactly", "one_of"):
        return
    claude_model = any(_CLAUDE_MODEL.search(value) for _, value in _texts(model))
    if (claude_file or claude_model) and not {MODEL_VARIABLE, MODEL_VARIABLE[:1]} & by_field.keys():
        yield Fault(
            model.keys,
            "env.ANTHROPIC_MODEL of the same file would win over this and is left free; "
            'hold it too: absent = ["/env/ANTHROPIC_MODEL"]',
        )


def bypass_is_held(owned: Owned) -> bool:
    """Whether this holds `disableBypassPermissionsMode` at the one value that does something."""
    return owned.field == BYPASS and any(value == "disable" for _, value in _texts(owned))


def _dotted_ids(owned: Owned) -> Iterator[Fault]:
    for inside, value in _texts(owned):
        if _CLAUDE_MODEL.search(value) and _DOTTED.search(value):
            hyphenated = near((*owned.keys, *inside), _DOTTED.sub("-", value))
            yield Fault(
                (*owned.keys, *inside),
                f"a dot in a model id; Anthropic's ids have hyphens; did you mean {hyphenated}?",
            )


def _texts(owned: Owned) -> Iterator[tuple[tuple[int, ...], str]]:
    """The strings that a rule may put into its field, and where they stand in the policy."""
    value: Json = owned.rule.get("value")
    if isinstance(value, str):
        yield (), value
    values = owned.rule.get("values")
    if isinstance(values, list):
        for index, each in enumerate(values):
            if isinstance(each, str):
                yield (index,), each
