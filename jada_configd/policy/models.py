"""The shape of the policy language as pydantic models: which keys there are and what sort they are.

A service is `service_models.py`'s, limits are `limit_models.py`'s; what holds between keys,
`ownership.py`'s.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema

from jada_configd.core.specs import OnMissing
from jada_configd.policy import logins, sysctls, values
from jada_configd.policy.bounds import Counting, Lasting
from jada_configd.policy.limit_models import LoginLimits
from jada_configd.policy.service_models import Service
from jada_configd.policy.tables import Table, left_out, without_default
from jada_configd.policy.window_models import Windows

ModeWord = Literal["enforce", "observe"]


def _path(text: str, info: ValidationInfo) -> str:
    return values.settings_path(text, (info.context or {}).get("home"))


def _textfile(text: str, info: ValidationInfo) -> str:
    return values.textfile_path(text, (info.context or {}).get("home"))


def _version(number: int) -> int:
    if number != 1:
        raise ValueError("must be 1")
    return number


Version = Annotated[int, AfterValidator(_version), WithJsonSchema({"type": "integer", "const": 1})]
UnitName = Annotated[
    str,
    AfterValidator(values.unit_name),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\@-]+)?\.service$",
            "maxLength": values.LONGEST_NAME,
        }
    ),
]
DomainName = Annotated[
    str,
    AfterValidator(logins.domain),
    WithJsonSchema({"type": "string", "pattern": r"^[^\s#]+$", "maxLength": logins.LONGEST_DOMAIN}),
]
SettingsPath = Annotated[
    str,
    AfterValidator(_path),
    WithJsonSchema({"type": "string", "pattern": "^(/|~/)(?!.*\\*\\*)(?!.*//).*[^/]$"}),
]
TextfilePath = Annotated[
    str,
    AfterValidator(_textfile),
    WithJsonSchema({"type": "string", "pattern": r"^(/|~/)(?!.*//)[^*?\[]*[^*?\[/]\.prom$"}),
]


class Daemon(Table):
    """What the daemon does with drift, and how often it looks."""

    mode: ModeWord = Field(
        "enforce", description='"enforce" corrects drift; "observe" reports it and changes nothing.'
    )
    sweep: Annotated[str, Lasting("1s", "24h")] = Field(
        "5m",
        description="Look at everything this often, whatever the watcher said: "
        '"1s" to "24h", in ms, s, m or h.',
    )
    contested_after: Annotated[int, Counting(1, 1000)] = Field(
        10,
        description="A field that is corrected more often than this within `contested_within` is "
        "contested: 1 to 1000.",
    )
    contested_within: Annotated[str, Lasting("1s", "1h")] = Field(
        "1m", description='The time in which those corrections are counted: "1s" to "1h".'
    )


class Settings(Table):
    """Some keys of a JSON settings file; all other keys in it stay as they are."""

    path: SettingsPath = Field(
        description="The file: absolute and without `..`. A component may hold the wildcards "
        "`*`, `?` and `[...]` (not `**`). A leading `~/` is the user's home under --user.",
    )
    services: list[UnitName] = Field(
        default=[],
        description="Units that take a correction up by their `apply`.",
        json_schema_extra={"uniqueItems": True},
    )
    create: bool = Field(
        default=True,
        description="Write the file if it does not exist. Default: true; false for a wildcard.",
        json_schema_extra=without_default,
    )
    mode: ModeWord = Field(
        "enforce", description="Default: the daemon's mode.", json_schema_extra=without_default
    )
    on_missing: OnMissing = Field(
        "owned",
        description='A removed file comes back with the owned keys only ("owned"), or as it last '
        'was with them right ("last-good").',
    )
    absent: list[str] = Field(
        default=[],
        description="JSON Pointers (RFC 6901) of keys that must not exist.",
        json_schema_extra={
            "items": {"type": "string", "pattern": "^(/([^~]|~[01])*)+$"},
            "uniqueItems": True,
        },
    )
    set: dict[str, Any] = Field(
        default={},
        description="Keys that must have exactly this value. Tables are descended; scalars and "
        "arrays are leaves.",
    )
    one_of: dict[str, Any] = Field(
        default={},
        description="Keys that must have one of these values; a missing or other value becomes "
        "the first.",
    )
    include: dict[str, Any] = Field(default={}, description="Lists that must have these members.")
    exclude: dict[str, Any] = Field(default={}, description="Lists that must not have these.")


class Login(Table):
    """What pam_limits gives a domain at its logins; it never reaches a service."""

    limits: LoginLimits = Field(
        default=LoginLimits(),
        description="Resource limits, soft and hard.",
        json_schema_extra=without_default,
    )


class Metrics(Table):
    """Where the daemon's metrics are written for Prometheus."""

    textfile: TextfilePath = Field(
        description="A file for the textfile collector of node_exporter, such as "
        f'"{values.TEXTFILE}". Its directory must exist, and nobody else may be able to write in '
        "it. A leading `~/` is the user's home under --user.",
    )


class Policy(Table):
    """What must hold on a host, and who takes it up: the policy language of jada-configd."""

    version: Version = Field(description="The version of the policy language.")
    daemon: Daemon = Field(
        default=Daemon.model_validate({}),
        description="What the daemon does, and how often.",
        json_schema_extra=without_default,
    )
    settings: dict[str, Settings] = Field(
        default={}, description="Settings files, each under a name of your own."
    )
    service: dict[UnitName, Service] = Field(
        default={}, description='Units, each under its name in quotes: [service."X.service"].'
    )
    login: dict[DomainName, Login] = Field(
        default={},
        description='Limits of logins, each under its domain of limits.conf(5): a user, "@group", '
        '"*", "%", "%group" or a range of ids.',
    )
    sysctl: dict[str, Any] = Field(
        default={},
        description='Kernel parameters by their key in quotes: "fs.nr_open" or "fs/nr_open".',
        json_schema_extra=sysctls.SCHEMA,
    )
    metrics: Metrics = left_out("Metrics of the daemon, for Prometheus. Default: none.")
    windows: Windows = Field(
        default=Windows(),
        description="When services may be restarted, and when anything may be corrected.",
        json_schema_extra=without_default,
    )


_HELD = {
    "description": "A table that is descended, or a leaf that must be exactly this.",
    "anyOf": [
        {"type": ["array", "boolean", "number", "string"]},
        {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/Held"}},
    ],
}
_LISTS = {
    "description": "A table that is descended, or a list of values.",
    "anyOf": [
        {"type": "array", "minItems": 1, "uniqueItems": True},
        {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/Lists"}},
    ],
}


def schema() -> dict[str, Any]:
    """The policy language as a JSON Schema (draft 2020-12)."""
    made = Policy.model_json_schema()
    made["$defs"] |= {"Held": _HELD, "Lists": _LISTS}
    made["properties"]["service"]["additionalProperties"] = False
    made["properties"]["login"]["additionalProperties"] = False
    for limits in ("Limits", "LoginLimits"):
        made["$defs"][limits]["properties"]["nofile"]["anyOf"] = [
            {"type": "integer", "minimum": 0, "maximum": values.NOFILE_MOST},
            {"const": "max"},
            {"$ref": "#/$defs/Pair"},
        ]
    entry = made["$defs"]["Settings"]["properties"]
    for held in (entry["set"], made["$defs"]["Fallback"]["properties"]["set"]):
        held["additionalProperties"] = {"$ref": "#/$defs/Held"}
    for name in ("one_of", "include", "exclude"):
        entry[name]["additionalProperties"] = {"$ref": "#/$defs/Lists"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:jada-configd:policy:1",
        **made,
        "title": "jada-configd policy, version 1",
    }
