"""Which model stands behind the table at some keys, and in which other table a key would stand."""

from typing import Final

from pydantic import BaseModel

from jada_configd.policy import health_models, limit_models, models
from jada_configd.policy.phrasing import dotted
from jada_configd.policy.places import Keys
from jada_configd.policy.service_models import Service
from jada_configd.policy.window_models import Windows

_TABLES: Final[dict[str, type[BaseModel]]] = {
    "daemon": models.Daemon,
    "metrics": models.Metrics,
    "windows": Windows,
}
_OF_A_SERVICE: Final[dict[Keys, type[BaseModel]]] = {
    (): Service,
    ("health",): health_models.Health,
    ("health", "journal"): health_models.Journal,
    ("fallback",): health_models.Fallback,
    ("usage",): limit_models.Usage,
    ("limits",): limit_models.Limits,
}
_SOUGHT: Final[tuple[Keys, ...]] = ((), ("health",), ("health", "journal"), ("fallback",))
_SOUGHT_FROM_AFAR: Final[tuple[Keys, ...]] = ((), ("health",))
_ANY_SERVICE: Final[Keys] = ("service", "NAME.service")
_OF_MANY_TABLES: Final = {"mode"}


def model_at(level: Keys) -> type[BaseModel] | None:
    """The model of the table at these keys."""
    match level:
        case ():
            return models.Policy
        case ("daemon" | "metrics" | "windows" as table,):
            return _TABLES[table]
        case ("settings", _):
            return models.Settings
        case ("login", _):
            return models.Login
        case ("login", _, "limits"):
            return limit_models.LoginLimits
        case ("service" | "login", _, "limits", _):
            return limit_models.Pair
        case ("service", _, *inside):
            return _OF_A_SERVICE.get(tuple(inside))
        case _:
            return None


def known_at(level: Keys) -> list[str]:
    """The keys that the table has."""
    model = model_at(level)
    fields = model.model_fields.items() if model else ()
    return [field.alias or name for name, field in fields]


def elsewhere(level: Keys, key: str, value: object) -> str:
    """`; it stands in [daemon]`, where another table has the very key; else nothing."""
    is_service = level[:1] == ("service",) and len(level) > 1
    service = level[:2] if is_service else _ANY_SERVICE
    sought = _SOUGHT if is_service else _SOUGHT_FROM_AFAR
    tables: list[Keys] = [(*service, *inside) for inside in sought]
    if level[:1] != ("settings",):
        tables.append(("daemon",))
    for table in tables:
        if table != level and key in known_at(table) and key not in _OF_MANY_TABLES:
            return f"; it stands in {header((*table, key) if isinstance(value, dict) else table)}"
    return ""


def header(keys: Keys) -> str:
    """The header of a table, in its brackets."""
    return f"[{dotted(keys)}]"
