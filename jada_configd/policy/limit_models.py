"""The shape of limits and their thresholds in the policy language, as pydantic models.

Which values a limit may have is `values.py`'s, and `logins.py`'s for logins.
"""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from jada_configd.core.specs import LimitWord
from jada_configd.policy import logins, values
from jada_configd.policy.tables import Table, without_default


def _share(text: str) -> str:
    values.share(text)
    return text


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


_WORD_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1},
        {"enum": ["infinity", "max"]},
    ]
}
Word = Annotated[LimitWord, PlainValidator(values.limit_word), WithJsonSchema(_WORD_SCHEMA)]


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
    return Field(None, description=description, alias=alias, json_schema_extra=without_default)


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
