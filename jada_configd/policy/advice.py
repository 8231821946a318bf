"""What loads but surely is not meant: warnings.

They are about keys of Claude Code's settings files, and about fields that no service takes up.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from jada_configd.core.model import Field, Json, pointer
from jada_configd.policy import values
from jada_configd.policy.fallbacks import Fallback
from jada_configd.policy.ownership import Entry, Owned
from jada_configd.policy.phrasing import Fault, near, suggestion

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
    yield from model_ids(owned)
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


def apply_warnings(tree: Mapping[str, Any], entries: Sequence[Entry]) -> Iterator[Fault]:
    """Keys of `apply` that are no field of a file which the service takes up."""
    for unit, service in tree.get("service", {}).items():
        held = {owned.field for entry in entries if entry.serves(unit) for owned in entry.owned}
        for key in _applied_keys(service):
            field = values.applied_field(key)
            if not any(each[: len(field)] == field for each in held):
                near_by = suggestion(key, map(pointer, held))
                what = f"no settings entry with this service holds this, or a key in it{near_by}"
                yield Fault(("service", unit, "apply", key), what)


def fallback_warnings(tree: Mapping[str, Any], fallbacks: Sequence[Fallback]) -> Iterator[Fault]:
    """Fallbacks that change nothing, and ids of models in them."""
    for each in fallbacks:
        yield from model_ids(each.owned)
        service = tree["service"][each.keys[1]]
        for owned in each.owned:
            if each.holds_anyway(owned):
                yield Fault(owned.keys, "is what the policy holds anyway; nothing falls back")
            if _applied(service, owned.field) == "none":
                what = 'changes nothing in the service, whose `apply` is "none" for this'
                yield Fault(owned.keys, what)


def _applied_keys(service: Mapping[str, Any]) -> list[str]:
    words = service.get("apply")
    return [key for key in words if key != values.DEFAULT] if isinstance(words, dict) else []


def _applied(service: Mapping[str, Any], field: Field) -> object:
    """What `apply` says of the field: the longest pointer that covers it counts."""
    words = service.get("apply")
    if not isinstance(words, dict):
        return words
    covering = [
        key
        for key in _applied_keys(service)
        if values.applied_field(key) == field[: len(values.applied_field(key))]
    ]
    return words.get(max(covering, key=len, default=values.DEFAULT))


def bypass_is_held(owned: Owned) -> bool:
    """Whether this holds `disableBypassPermissionsMode` at the one value that does something."""
    return owned.field == BYPASS and any(value == "disable" for _, value in _texts(owned))


def model_ids(owned: Iterable[Owned]) -> Iterator[Fault]:
    """What is odd about the ids of models among these."""
    for each in owned:
        if each.field in (MODEL, MODEL_VARIABLE):
            yield from _dotted_ids(each)


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
