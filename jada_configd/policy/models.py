"""The shape of the policy language as pydantic models: which keys there are and what sort they are.

What holds between keys (who owns what) is `ownership.py`'s; this is the only importer of pydantic.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from jada_configd.core.specs import Apply, LimitWord, Live, OnMissing, When
from jada_configd.policy import logins, sysctls, values

ModeWord = Literal["enforce", "observe"]


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _path(text: str, info: ValidationInfo) -> str:
    return values.settings_path(text, (info.context or {}).get("home"))


def _sweep(text: str) -> str:
    values.sweep(text)
    return text


def _share(text: str) -> str:
    values.share(text)
    return text


def _version(number: int) -> int:
    if number != 1:
        raise ValueError("must be 1")
    return number


def _pair(value: object) -> object:
    return value if isinstance(value, dict) else {"soft": value, "hard": value}


def _reachable(pair: "Pair", info: ValidationInfo) -> "Pair":
    values.check_reach(info.field_name or "", pair.soft)
    values.check_reach(info.field_name or "", pair.hard)
    return pair


def _loginable(pair: "Pair", info: ValidationInfo) -> "Pair":
    name = info.field_name or ""
    limit = LoginLimits.model_fields[name].alias or name
    for word in (pair.soft, pair.hard):
        logins.check_limit(limit, word)
        values.check_reach(limit, word)
    return pair


Duration = Annotated[
    str,
    AfterValidator(_sweep),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h)$"}),
]
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
_WORD_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1},
        {"enum": ["infinity", "max"]},
    ]
}
Word = Annotated[LimitWord, PlainValidator(values.limit_word), WithJsonSchema(_WORD_SCHEMA)]


class Table(BaseModel):
    """A table of which every key is known and every value is of the very type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Daemon(Table):
    """What the daemon does with drift, and how often it looks."""

    mode: ModeWord = Field(
        "enforce", description='"enforce" corrects drift; "observe" reports it and changes nothing.'
    )
    sweep: Duration = Field(
        "5m",
        description="Look at everything this often, whatever the watcher said: "
        '"1s" to "24h", in ms, s, m or h.',
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
        json_schema_extra=_without_default,
    )
    mode: ModeWord = Field(
        "enforce", description="Default: the daemon's mode.", json_schema_extra=_without_default
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


class Pair(Table):
    """A soft limit, which a process meets, and the hard limit up to which it may raise it."""

    soft: Word = Field(description="The limit in force (setrlimit(2)); not above `hard`.")
    hard: Word = Field(description="The most to which the process may raise `soft` itself.")

    @model_validator(mode="after")
    def _soft_within_hard(self) -> "Pair":
        values.check_pair(self.soft, self.hard)
        return self


Limit = Annotated[
    Pair,
    BeforeValidator(_pair, json_schema_input_type=Word | Pair),
    AfterValidator(_reachable),
]


def _limit(description: str, alias: str | None = None) -> Any:  # noqa: ANN401 - as Field is
    return Field(None, description=description, alias=alias, json_schema_extra=_without_default)


class Limits(Table):
    """Resource limits of a unit, by their names in limits.conf(5), in the units of setrlimit(2).

    An integer is both soft and hard. Sizes are bytes, unlike in limits.conf, which counts KiB.
    """

    address_space: Limit = _limit("LimitAS=: virtual memory, bytes.", "as")
    core: Limit = _limit("LimitCORE=: size of a core file, bytes.")
    cpu: Limit = _limit("LimitCPU=: processor time, seconds.")
    data: Limit = _limit("LimitDATA=: data segment, bytes.")
    fsize: Limit = _limit("LimitFSIZE=: size of a file that is written, bytes.")
    locks: Limit = _limit("LimitLOCKS=: file locks; Linux since 2.4.25 does not enforce it.")
    memlock: Limit = _limit("LimitMEMLOCK=: memory locked into RAM, bytes.")
    msgqueue: Limit = _limit("LimitMSGQUEUE=: POSIX message queues, bytes.")
    nice: Limit = _limit("LimitNICE=: 20 less the lowest nice value allowed, 0 to 40.")
    nofile: Limit = _limit(
        f"LimitNOFILE=: open file descriptors, at most {values.NOFILE_MOST}. Programs that use "
        "select(2) break on descriptors above 1023: leave `soft` at 1024 for those."
    )
    nproc: Limit = _limit("LimitNPROC=: processes and threads of the unit's user.")
    rss: Limit = _limit("LimitRSS=: resident memory, bytes; Linux does not enforce it.")
    rtprio: Limit = _limit("LimitRTPRIO=: highest real-time priority.")
    rttime: Limit = _limit("LimitRTTIME=: real-time processor time without a wait, microseconds.")
    sigpending: Limit = _limit("LimitSIGPENDING=: queued signals.")
    stack: Limit = _limit("LimitSTACK=: stack of the main thread, bytes.")


LoginLimit = Annotated[
    Pair,
    BeforeValidator(_pair, json_schema_input_type=Word | Pair),
    AfterValidator(_loginable),
]
Logins = Annotated[
    int,
    AfterValidator(logins.check_logins),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": (1 << 31) - 1}),
]
Priority = Annotated[
    int,
    AfterValidator(logins.check_priority),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": logins.PRIORITY_MOST}),
]


class LoginLimits(Table):
    """Limits of logins, by their names in limits.conf(5), in the units of setrlimit(2).

    They are the same numbers as a service's: sizes are bytes here too, and `cpu` is in seconds.
    """

    address_space: LoginLimit = _limit("Virtual memory, bytes.", "as")
    core: LoginLimit = _limit("Size of a core file, bytes.")
    cpu: LoginLimit = _limit("Processor time, seconds: whole minutes.")
    data: LoginLimit = _limit("Data segment, bytes.")
    fsize: LoginLimit = _limit("Size of a file that is written, bytes.")
    locks: LoginLimit = _limit("File locks; Linux since 2.4.25 does not enforce it.")
    maxlogins: Logins = _limit("Logins of one user at a time; root's are not counted.")
    maxsyslogins: Logins = _limit("Logins of all users at a time, from which on none is let in.")
    memlock: LoginLimit = _limit("Memory locked into RAM, bytes.")
    msgqueue: LoginLimit = _limit("POSIX message queues, bytes.")
    nice: LoginLimit = _limit("20 less the lowest nice value allowed, 1 to 40.")
    nofile: LoginLimit = _limit(f"Open file descriptors, at most {values.NOFILE_MOST}.")
    nonewprivs: bool = _limit("Nothing gains privileges, by setuid or otherwise: no sudo, no su.")
    nproc: LoginLimit = _limit("Processes and threads of the user, services included.")
    priority: Priority = _limit("The nice value with which a login starts, 0 to 19.")
    rss: LoginLimit = _limit("Resident memory, bytes; Linux does not enforce it.")
    rtprio: LoginLimit = _limit("Highest real-time priority.")
    sigpending: LoginLimit = _limit("Queued signals.")
    stack: LoginLimit = _limit("Stack of the main thread, bytes.")


class Login(Table):
    """What pam_limits gives a domain at its logins; it never reaches a service."""

    limits: LoginLimits = Field(
        default=LoginLimits(),
        description="Resource limits, soft and hard.",
        json_schema_extra=_without_default,
    )


Share = Annotated[
    str,
    AfterValidator(_share),
    WithJsonSchema({"type": "string", "pattern": "^([1-9][0-9]?|100)%$"}),
]


class Usage(Table):
    """The share of a limit from which on its use is told as drift, such as "80%".

    Each process is held against its own soft limit; over again is what falls a tenth below.
    """

    address_space: Share = _limit("Virtual memory.", "as")
    cpu: Share = _limit("Processor time.")
    data: Share = _limit("Data segment.")
    memlock: Share = _limit("Memory locked into RAM.")
    nofile: Share = _limit("Open file descriptors.")
    nproc: Share = _limit("Processes and threads of the unit's user, wherever they run.")
    stack: Share = _limit("Stack of the main thread.")
    tasks: Share = _limit("TasksMax=: processes and threads of the unit as a whole.")


class Service(Table):
    """How a unit takes corrections up, and its limits."""

    apply: Apply = Field("reload-or-restart", description="What is done after a correction.")
    when: When = Field(
        "auto",
        description='"always": after every correction; "stale": only if a process may have read a '
        'wrong value; "auto": reload always where the unit can, restart only when stale.',
    )
    limits: Limits = Field(
        default=Limits(),
        description="Resource limits, soft and hard.",
        json_schema_extra=_without_default,
    )
    usage: Usage = Field(
        default=Usage(),
        description='Shares of limits, such as "80%", from which on their use is told as drift.',
        json_schema_extra=_without_default,
    )
    live: Live = Field(
        "main",
        description="Of which processes limits are changed while they run; all are compared. "
        '"main": the main process; "all"; "none". A raised soft `nofile` breaks programs that use '
        "select(2) once they have a descriptor above 1023.",
    )


class Policy(Table):
    """What must hold on a host, and who takes it up: the policy language of jada-configd."""

    version: Version = Field(description="The version of the policy language.")
    daemon: Daemon = Field(
        default=Daemon(mode="enforce", sweep="5m"),
        description="What the daemon does, and how often.",
        json_schema_extra=_without_default,
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
    entry["set"]["additionalProperties"] = {"$ref": "#/$defs/Held"}
    for name in ("one_of", "include", "exclude"):
        entry[name]["additionalProperties"] = {"$ref": "#/$defs/Lists"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:jada-configd:policy:1",
        **made,
        "title": "jada-configd policy, version 1",
    }
