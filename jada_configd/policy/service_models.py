"""The shape of a service in the policy language, as a pydantic model, and of its pace.

Limits are `limit_models.py`'s, health and fallback `health_models.py`'s.
"""

from typing import Annotated, Any, Final, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from jada_configd.core.specs import Apply, DrainPolicy, Live, OnUnhealthy, When
from jada_configd.policy import values
from jada_configd.policy.bounds import Lasting
from jada_configd.policy.health_models import Busy, Fallback, Health
from jada_configd.policy.limit_models import Limits, Usage
from jada_configd.policy.tables import Table, left_out, without_default

RELOAD_OR_RESTART: Final[Apply] = "reload-or-restart"

_WORD: Final = {"enum": list(get_args(Apply))}
_APPLY: dict[str, Any] = {
    "anyOf": [
        _WORD,
        {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": rf"^({values.DEFAULT}|(/([^~/]|~[01])*)+)$"},
            "additionalProperties": _WORD,
        },
    ]
}


def _by_field(value: object) -> object:
    """One word is the default of all fields; what is no table is as wrong as a wrong word."""
    return value if isinstance(value, dict) else {values.DEFAULT: value}


def _some(words: dict[str, Apply]) -> dict[str, Apply]:
    if not words:
        raise ValueError(
            f'is an empty table; such as {{ {values.DEFAULT} = "{RELOAD_OR_RESTART}" }}'
        )
    return words


def _pointer(key: str) -> str:
    if key != values.DEFAULT:
        values.applied_field(key)
    return key


AppliedWords = Annotated[
    dict[Annotated[str, AfterValidator(_pointer)], Apply],
    BeforeValidator(_by_field),
    AfterValidator(_some),
    WithJsonSchema(_APPLY),
]


class Service(Table):
    """How a unit takes corrections up, how it is judged, and its limits."""

    apply: AppliedWords = Field(
        default={values.DEFAULT: RELOAD_OR_RESTART},
        description="What is done after a correction; or a table of that by the JSON Pointer "
        "(RFC 6901) of what was corrected, and the `default` of all else.",
        json_schema_extra={"default": RELOAD_OR_RESTART},
    )
    when: When = Field(
        "auto",
        description='"always": after every correction; "stale": only if a process may have read a '
        'wrong value; "auto": reload always where the unit can, restart only when stale.',
    )
    gather: Annotated[str, Lasting("0ms", "1m")] = Field(
        "200ms", description='Corrections within this time share one apply: "0ms" to "1m".'
    )
    min_interval: Annotated[str, Lasting("0s", "24h")] = Field(
        "10s", description='The least time between two applies: "0s" to "24h".'
    )
    busy: Busy = left_out(
        "A file that exists, or a command that ends with 0, while work is in flight that a "
        "restart would lose."
    )
    drain: Annotated[str, Lasting("0s", "24h")] = Field(
        "5m", description='How long a restart waits for a busy service: "0s" to "24h".'
    )
    drain_policy: DrainPolicy = Field(
        "restart",
        description='What becomes of the restart after that: "restart", or "skip", which gives it '
        "up until the next correction.",
    )
    on_unhealthy: OnUnhealthy = Field(
        "roll-back",
        description='"roll-back": what stood before comes back where the service is not healthy '
        'on a correction; "keep": the correction stays.',
    )
    health: Health = Field(
        default=Health.model_validate({}),
        description="When the service counts as healthy.",
        json_schema_extra=without_default,
    )
    fallback: Fallback = left_out(
        "What is held while the service is unhealthy on what the policy says. Default: nothing."
    )
    limits: Limits = Field(
        default=Limits(),
        description="Resource limits, soft and hard.",
        json_schema_extra=without_default,
    )
    usage: Usage = Field(
        default=Usage(),
        description='Shares of limits, such as "80%", from which on their use is told as drift.',
        json_schema_extra=without_default,
    )
    live: Live = Field(
        "main",
        description="Of which processes limits are changed while they run; all are compared. "
        '"main": the main process; "all"; "none". A raised soft `nofile` breaks programs that use '
        "select(2) once they have a descriptor above 1023.",
    )
