"""What pydantic finds, said in the policy's own words, with a suggestion where one is near."""

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from jada_configd import __version__
from jada_configd.policy import limit_models, models, values
from jada_configd.policy.documents import Documents
from jada_configd.policy.phrasing import Fault, dotted, near, quoted, sort_of, suggestion
from jada_configd.policy.places import Keys
from jada_configd.policy.window_models import Windows

# What the language will have, and this version does not: an error, but not a spelling mistake.
_LATER: Final[dict[Keys, set[str]]] = {
    (): {"aws"},
    ("daemon",): {"canary"},
    ("service",): {"health"},
}
# Keys of Claude Code's own file, some of which are spelt almost like an entry's.
_FILE_KEYS: Final = {"default_model", "effortLevel", "env", "hooks", "model", "permissions"}
MOST_MESSAGES: Final = 1000
_PAM_ONLY: Final = {"chroot", "maxlogins", "maxsyslogins", "nonewprivs", "priority"}
_TABLES: Final[dict[str, type[BaseModel]]] = {
    "daemon": models.Daemon,
    "metrics": models.Metrics,
    "windows": Windows,
}
_LIMIT_PREFIXES: Final = ("limit", "rlimit_")
_NAMED: Final = {
    "settings": "; an entry has a name: [settings.NAME]",
    "service": '; a service has a name: [service."NAME.service"]',
    "login": "; a login has a domain: [login.USER]",
    "windows": '; such as restart = ["Mon-Fri 02:00-05:00 UTC"]',
}
_SORTS: Final = {
    "bool_type": "a boolean",
    "dict_type": "a table",
    "int_type": "an integer",
    "list_type": "an array",
    "model_type": "a table",
    "string_type": "a string",
}


def translated(error: ValidationError, documents: Documents) -> Iterable[Fault]:
    """Every fault; its keys lead to what is in the tree, or to what is missing.

    Those that are past the first `MOST_MESSAGES` of the text have no sentence: nobody will read it.
    """
    found = error.errors(include_url=False)
    unquoted = _unquoted_units(documents.tree)
    yield from (_unquoted_fault(name, rest) for name, rest in unquoted.items())
    located = [(_located(each, documents), each) for each in found]
    located.sort(key=lambda pair: documents.place(pair[0]))
    for rank, (keys, each) in enumerate(located):
        if keys[:1] == ("service",) and len(keys) > 1 and keys[1] in unquoted:
            continue
        yield Fault(keys, _sentence(keys, each, documents) if rank < MOST_MESSAGES else "")


def _located(error: ErrorDetails, documents: Documents) -> Keys:
    """The keys as far as the policy has them: `nofile = -1` has no `soft` of its own."""
    keys: Keys = error["loc"]
    if error["type"] == "missing":
        return keys
    while keys and documents.value(keys) is None:
        keys = keys[:-1]
    return keys


def _sentence(keys: Keys, error: ErrorDetails, documents: Documents) -> str:
    kind, value = error["type"], documents.value(keys)
    if kind == "missing":
        return "is missing" if keys != ("version",) else "is missing; it is 1"
    if keys == ("version",):
        return f"must be 1, the version of the language that jada-configd {__version__} reads"
    if kind == "extra_forbidden":
        return "unknown key" + _instead(keys, value)
    if kind == "literal_error":
        return _one_of(keys, value)
    if kind == "value_error":
        sentence = str(error["ctx"]["error"])
        return sentence + _completed(keys, value, sentence)
    expected = _SORTS.get(kind, "of another sort")
    above_keys = len(keys) <= 2  # noqa: PLR2004 - the entry itself, or all of its sort
    hint = _NAMED.get(str(keys[0]), "") if above_keys else ""
    if keys[:1] == ("service",) and keys[2:-1] == ("usage",):
        expected = 'a percentage in quotes, such as "80%"'
    elif keys == ("daemon", "sweep"):
        expected = 'a duration in quotes, such as "5m"'
    return f"must be {expected}, not {sort_of(value)}{hint}"


def _one_of(keys: Keys, value: object) -> str:
    words = _words(keys)
    *most, last = [quoted(word) for word in words]
    near_by = suggestion(value, words) if isinstance(value, str) else ""
    return f"must be {', '.join(most)} or {last}{near_by}"


def _words(keys: Keys) -> tuple[str, ...]:
    model = _model(keys[:-1])
    annotation = model.model_fields[str(keys[-1])].annotation if model else None
    return tuple(getattr(annotation, "__args__", ("",)))


def _completed(keys: Keys, value: object, sentence: str) -> str:
    """The unit name with its suffix, where only that is missing."""
    name = keys[-1] if keys[0] == "service" else value
    if sentence != values.SUFFIX_MISSING or not isinstance(name, str):
        return ""
    return f"; did you mean {near(keys, name + '.service')}?"


def _instead(keys: Keys, value: object) -> str:
    *above, key = keys
    level = tuple(above)
    if key in _LATER.get(level[:1] if level[:1] == ("service",) else level, ()):
        name = f"[{dotted(keys)}]" if isinstance(value, dict) else dotted(keys)
        return f"; jada-configd {__version__} does not support {name} yet"
    known = _known(level)
    word = str(key)
    if level[-1:] in (("limits",), ("usage",)):
        if word in _PAM_ONLY and level[:1] == ("service",):
            return "; pam_limits alone knows it, it is no limit of a service"
        if word == "rttime" and level[:1] == ("login",):
            return "; pam_limits does not know it, it is a limit of services alone"
        for prefix in _LIMIT_PREFIXES:
            word = word.lower().removeprefix(prefix)
        if word in known:
            return f"; did you mean {quoted(word)}?"
        if level[-1:] == ("usage",) and word in limit_models.Limits.model_fields:
            return "; how much of this limit is used cannot be told"
    near_by = suggestion(word, known)
    if near_by and word not in _FILE_KEYS:
        return near_by
    if level[:1] == ("settings",):
        return f"; a key of the settings file itself stands under [{dotted((*level, 'set'))}]"
    return ""


def _known(level: Keys) -> list[str]:
    model = _model(level)
    fields = model.model_fields.items() if model else ()
    return [field.alias or name for name, field in fields]


def _model(level: Keys) -> type[BaseModel] | None:
    """The model of the table at these keys."""
    match level:
        case ():
            return models.Policy
        case ("daemon" | "metrics" | "windows" as table,):
            return _TABLES[table]
        case ("settings", _):
            return models.Settings
        case ("service" | "login" as table, _):
            return models.Service if table == "service" else models.Login
        case ("service" | "login" as table, _, "limits"):
            return limit_models.Limits if table == "service" else limit_models.LoginLimits
        case ("service", _, "usage"):
            return limit_models.Usage
        case ("service" | "login", _, "limits", _):
            return limit_models.Pair
        case _:
            return None


def _unquoted_units(tree: dict[str, Any]) -> dict[str, Keys]:
    """Names behind `[service.NAME.service]`, which TOML takes for a table in a table."""
    services = tree.get("service")
    if not isinstance(services, dict):
        return {}
    found: dict[str, Keys] = {}
    for name, table in services.items():
        rest: Keys = ()
        inside = table
        while isinstance(inside, dict) and len(inside) == 1:
            ((key, inside),) = inside.items()
            rest = (*rest, key)
            if key == "service":
                found[name] = rest
                break
    return found


def _unquoted_fault(name: str, rest: Keys) -> Fault:
    unit = ".".join([name, *map(str, rest)])
    return Fault(("service", name), f"a unit name stands in quotes: [service.{quoted(unit)}]")
