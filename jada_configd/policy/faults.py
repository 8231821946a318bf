"""What pydantic finds, said in the policy's own words, with a suggestion where one is near."""

from collections.abc import Iterable
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from jada_configd import __version__
from jada_configd.core.specs import Apply
from jada_configd.policy import limit_models, values
from jada_configd.policy.bounds import Lasting
from jada_configd.policy.documents import Documents
from jada_configd.policy.levels import elsewhere, header, known_at, model_at
from jada_configd.policy.phrasing import Fault, dotted, near, quoted, sort_of, suggestion
from jada_configd.policy.places import Keys
from jada_configd.policy.service_models import Service

# What the language will have, and this version does not: an error, but not a spelling mistake.
_LATER: Final[dict[Keys, set[str]]] = {
    (): {"aws"},
    ("daemon",): {"canary"},
}
# Keys of Claude Code's own file, some of which are spelt almost like an entry's.
_FILE_KEYS: Final = {"default_model", "effortLevel", "env", "hooks", "model", "permissions"}
MOST_MESSAGES: Final = 1000
_PAM_ONLY: Final = {"chroot", "maxlogins", "maxsyslogins", "nonewprivs", "priority"}
_LIMIT_PREFIXES: Final = ("limit", "rlimit_")
_NAMED: Final = {
    "settings": "; an entry has a name: [settings.NAME]",
    "service": '; a service has a name: [service."NAME.service"]',
    "login": "; a login has a domain: [login.USER]",
    "windows": '; such as restart = ["Mon-Fri 02:00-05:00 UTC"]',
}
_SUCH_AS: Final[dict[Keys, str]] = {
    ("health", "command"): '; such as command = ["/usr/local/bin/jada-agent-check"]',
    ("health", "journal"): '; such as journal = { must = "ready" }',
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
    misnamed = _misnamed_units(documents.tree)
    yield from (Fault(("service", name), what) for name, what in misnamed.items())
    located = [(_located(each, documents), each) for each in found]
    located.sort(key=lambda pair: documents.place(pair[0]))
    for rank, (keys, each) in enumerate(located):
        if keys[:1] == ("service",) and len(keys) > 1 and keys[1] in misnamed:
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
    above_keys = len(keys) <= 2  # noqa: PLR2004 - the entry itself, or all of its sort
    hint = _NAMED.get(str(keys[0]), "") if above_keys else ""
    if keys[:1] == ("service",):
        hint = hint or _SUCH_AS.get(keys[2:], "")
    return f"must be {_expected(keys, kind)}, not {sort_of(value)}{hint}"


def _expected(keys: Keys, kind: str) -> str:
    if keys[:1] == ("service",) and keys[2:-1] == ("usage",):
        return 'a percentage in quotes, such as "80%"'
    model = model_at(keys[:-1])
    field = model.model_fields.get(str(keys[-1])) if model else None
    if field is not None and any(isinstance(each, Lasting) for each in field.metadata):
        return f"a duration in quotes, such as {quoted(field.default)}"
    return _SORTS.get(kind, "of another sort")


def _one_of(keys: Keys, value: object) -> str:
    words = _words(keys)
    *most, last = [quoted(word) for word in words]
    near_by = suggestion(value, words) if isinstance(value, str) else ""
    return f"must be {', '.join(most)} or {last}{near_by}"


def _words(keys: Keys) -> tuple[str, ...]:
    if keys[:1] == ("service",) and keys[2:3] == ("apply",):
        return get_args(Apply)
    model = model_at(keys[:-1])
    annotation = model.model_fields[str(keys[-1])].annotation if model else None
    return tuple(getattr(annotation, "__args__", ("",)))


def _completed(keys: Keys, value: object, sentence: str) -> str:
    """The unit name with its suffix, or the pointer with its slash, where only that is missing."""
    if sentence == values.POINTER_MISSING:
        key = str(keys[-1])
        return suggestion(key, [values.DEFAULT]) or f"; did you mean {near(keys, '/' + key)}?"
    name = keys[-1] if keys[0] == "service" else value
    if sentence != values.SUFFIX_MISSING or not isinstance(name, str):
        return ""
    return f"; did you mean {near(keys, name + '.service')}?"


def _instead(keys: Keys, value: object) -> str:
    *above, key = keys
    level = tuple(above)
    if key in _LATER.get(level, ()):
        name = header(keys) if isinstance(value, dict) else dotted(keys)
        return f"; jada-configd {__version__} does not support {name} yet"
    known = known_at(level)
    word = str(key)
    if other := elsewhere(level, word, value):
        return other
    if level[-1:] in (("limits",), ("usage",)) and (other := _instead_of_limit(level, word)):
        return other
    near_by = suggestion(word, known)
    if near_by and word not in _FILE_KEYS:
        return near_by
    if level[:1] == ("settings",):
        return f"; a key of the settings file itself stands under [{dotted((*level, 'set'))}]"
    return ""


def _instead_of_limit(level: Keys, word: str) -> str:
    if word in _PAM_ONLY and level[:1] == ("service",):
        return "; pam_limits alone knows it, it is no limit of a service"
    if word == "rttime" and level[:1] == ("login",):
        return "; pam_limits does not know it, it is a limit of services alone"
    for prefix in _LIMIT_PREFIXES:
        word = word.lower().removeprefix(prefix)
    if word in known_at(level):
        return f"; did you mean {quoted(word)}?"
    if level[-1:] == ("usage",) and word in limit_models.Limits.model_fields:
        return "; how much of this limit is used cannot be told"
    return suggestion(word, known_at(level))


def _misnamed_units(tree: dict[str, Any]) -> dict[str, str]:
    """What stands in place of a unit's name, with one sentence for all that is wrong behind it."""
    services = tree.get("service")
    found: dict[str, str] = {}
    for name, table in services.items() if isinstance(services, dict) else ():
        if name in Service.model_fields:
            keys: Keys = ("service", "NAME.service")
            place = header((*keys, name) if isinstance(table, dict) else keys)
            found[name] = f"is no unit; it stands in {place}"
        elif rest := _rest_of_unquoted(table):
            unit = ".".join([name, *rest])
            found[name] = f"a unit name stands in quotes: [service.{quoted(unit)}]"
    return found


def _rest_of_unquoted(inside: object) -> list[str]:
    """What follows the first part of `[service.NAME.service]`: TOML takes it for nested tables."""
    rest: list[str] = []
    while isinstance(inside, dict) and len(inside) == 1:
        ((key, inside),) = inside.items()
        rest.append(key)
        if key == "service":
            return rest
    return []
