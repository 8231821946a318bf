"""The shape of health and of what is held in its absence, as pydantic models.

What may be asked is `health.py`'s; what can fall back, `fallbacks.py`'s.
"""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from jada_configd.policy import health, values
from jada_configd.policy.bounds import Counting, Lasting
from jada_configd.policy.tables import Table, left_out

_COMMAND: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "prefixItems": [
        {"type": "string", "pattern": health.PROGRAM, "maxLength": values.LONGEST_PATH}
    ],
    "items": {"type": "string", "pattern": health.ARGUMENT},
}
_BUSY_FILE: dict[str, Any] = {
    "type": "string",
    "pattern": r"^(/|~/)(?!.*//)[^*?\[\u0000]*[^*?\[/\u0000]$",
}


def _busy(value: object, info: ValidationInfo) -> str | list[str]:
    if isinstance(value, str):
        return values.busy_path(value, (info.context or {}).get("home"))
    if isinstance(value, list):
        return _COMMANDS.validate_python(value, strict=True)
    # pydantic takes a ValueError for a fault and a TypeError for a bug
    raise ValueError(
        f'must be a path, such as "{values.BUSY}", or a command as an array of strings'
    )


Command = Annotated[
    list[Annotated[str, AfterValidator(health.argument)]],
    AfterValidator(health.command),
    WithJsonSchema(_COMMAND),
]
Busy = Annotated[
    str | list[str],
    PlainValidator(_busy),
    WithJsonSchema({"anyOf": [_BUSY_FILE, _COMMAND]}),
]
_COMMANDS: TypeAdapter[list[str]] = TypeAdapter(Command)
Url = Annotated[
    str,
    AfterValidator(health.url),
    WithJsonSchema({"type": "string", "pattern": health.URL, "maxLength": health.LONGEST_URL}),
]
JournalPattern = Annotated[
    str,
    AfterValidator(health.journal_pattern),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": health.JOURNAL_PATTERN,
            "maxLength": health.LONGEST_PATTERN,
        }
    ),
]


class Journal(Table):
    """What the unit's journal says of its health; at least one of the two is given."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    must: JournalPattern = left_out(
        "A pattern (PCRE2, as that of journalctl --grep) that must show up."
    )
    must_not: JournalPattern = left_out("A pattern that must not show up.")

    @model_validator(mode="after")
    def _says_something(self) -> "Journal":
        if not self.model_fields_set:
            raise ValueError("says nothing; name a pattern under `must` or `must_not`")
        return self


class Health(Table):
    """When a service counts as healthy: its unit is stable, and all that is asked says so."""

    stable: Annotated[str, Lasting("0s", "1h")] = Field(
        health.STABLE,
        description='Active with one main process, and not restarted, for this long: "0s" to "1h".',
    )
    within: Annotated[str, Lasting("1s", "24h")] = Field(
        health.WITHIN,
        description="A change on which the service is not healthy after this long has failed: "
        '"1s" to "24h", and longer than `stable`.',
    )
    every: Annotated[str, Lasting("1s", "24h")] = Field(
        "10s",
        description='How often `command`, `url` and `journal` are asked anew: "1s" to "24h".',
    )
    timeout: Annotated[str, Lasting("100ms", "1h")] = Field(
        "10s", description='How long one such question may take: "100ms" to "1h".'
    )
    command: Command = left_out(
        "A program and its arguments, run as the service's user: exit status 0 is healthy."
    )
    url: Url = left_out(
        f'An address on this host, such as "{health.EXAMPLE_URL}": HTTP status 200 is healthy.'
    )
    journal: Journal = left_out("What must, or must not, show up in the unit's journal.")


class Fallback(Table):
    """What is held in place of the policy's values while a service is unhealthy on those."""

    settings: str = Field(
        description="The name of the [settings.NAME] entry whose values fall back; the unit is "
        "among its `services`.",
    )
    set: dict[str, Any] = Field(
        description="Keys and the values that they fall back to; the entry owns each by `set` or "
        "`one_of`.",
        json_schema_extra={"minProperties": 1},
    )
    after: Annotated[int, Counting(1, 1000)] = Field(
        3, description="So many unhealthy results in a row: 1 to 1000."
    )
    retry: Annotated[str, Lasting("1s", "168h")] = Field(
        "30m",
        description='After this long the policy\'s own values are tried once: "1s" to "168h".',
    )
