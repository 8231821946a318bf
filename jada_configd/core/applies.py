"""Which `apply` a debt asks for, by the fields that were corrected, and what a reload settles.

A service may have one word for all its fields, or a table that has words for some of them.
"""

from collections.abc import Iterable
from typing import Final

from jada_configd.core.model import Field
from jada_configd.core.specs import Apply, ServiceSpec

_WEAKEST_FIRST: Final[tuple[Apply, ...]] = ("none", "reload", "reload-or-restart", "restart")

# What chooses the model of Claude Code, which reads these at its start alone: the keys, the agent
# whose front matter may name one, and in `env` the variables with this in their names.
_MODEL_KEYS: Final = frozenset({"model", "default_model", "modelOverrides", "agent"})
_ENVIRONMENT: Final = "env"
_MODEL_VARIABLE: Final = "MODEL"


def apply_for(spec: ServiceSpec, fields: Iterable[str]) -> Apply:
    """The strongest word that the policy has for any of these fields (JSON Pointers)."""
    words = [_word(spec, _tokens(field)) for field in fields]
    return max(words, key=_WEAKEST_FIRST.index, default=spec.apply)


def reload_takes_up(spec: ServiceSpec, fields: Iterable[str]) -> bool:
    """Whether a reload settles even what a process may have read wrong.

    It does where the operator has a table, which is to know each field, and it sends all of these
    to a reload. A model is loaded by no reload, whatever the table says.
    """
    tokens = [_tokens(field) for field in fields]
    if not spec.applies or not tokens:
        return False
    return all(_word(spec, each) == "reload" and not _chooses_model(each) for each in tokens)


def _word(spec: ServiceSpec, field: Field) -> Apply:
    """That of the nearest entry that is the field or lies above it, or of any below, if stronger.

    A field that was corrected as a whole has changed with all that the table names inside it.
    """
    above = [key for key in spec.applies if field[: len(key)] == key]
    below = [word for key, word in spec.applies.items() if key[: len(field)] == field]
    word = spec.applies[max(above, key=len)] if above else spec.apply
    return max(word, *below, key=_WEAKEST_FIRST.index) if below else word


def _chooses_model(field: Field) -> bool:
    """Whether the field is, or holds, one that chooses a model."""
    match field:
        case ():
            return True
        case (first,):
            return first in _MODEL_KEYS or first == _ENVIRONMENT
        case (first, second, *_):
            return first in _MODEL_KEYS or (first == _ENVIRONMENT and _MODEL_VARIABLE in second)
    return False


def _tokens(pointer: str) -> Field:
    """The reference tokens of a JSON Pointer (RFC 6901, section 4)."""
    tokens = pointer.split("/")[1:]
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)
