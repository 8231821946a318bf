"""A policy without a fault in the form that `Policy.from_plain` takes: JSON, defaults filled in."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jada_configd.core.resources import is_pattern
from jada_configd.policy import models, values
from jada_configd.policy.documents import Documents
from jada_configd.policy.limit_models import Limits, LoginLimits, Pair, Usage
from jada_configd.policy.ownership import Entry
from jada_configd.policy.sysctls import plain_sysctls
from jada_configd.policy.windows import plain_windows

_DEFAULT_SERVICE: Final = models.Service.model_validate({})
_DEFAULT_PACE: Final[Mapping[str, Any]] = {
    "applies": [],
    "gather": 0.2,
    "min_interval": 10.0,
    "busy": None,
    "drain": 300.0,
    "drain_policy": "restart",
    "on_unhealthy": "roll-back",
    "health": {
        "stable": 5.0,
        "within": 60.0,
        "every": 10.0,
        "timeout": 10.0,
        "command": [],
        "url": None,
        "journal_must": None,
        "journal_must_not": None,
    },
    "fallback": None,
}


def plain(policy: models.Policy, entries: Sequence[Entry], documents: Documents) -> dict[str, Any]:
    """What is declared, each entry with its origin; `entries` are those for settings."""
    settings = [
        _settings(policy, entry, policy.settings[str(entry.keys[1])], documents)
        for entry in entries
    ]
    return {
        "mode": policy.daemon.mode,
        "sweep": values.seconds(policy.daemon.sweep),
        "settings": settings,
        "services": _services(policy, settings, documents),
        "sysctls": plain_sysctls(documents.tree, policy.daemon.mode, documents),
        "logins": _logins(policy, documents),
        "textfile": policy.metrics.textfile if "metrics" in policy.model_fields_set else None,
        "windows": plain_windows(policy.windows.model_dump(exclude_unset=True)),
        "contested_after": 10,
        "contested_within": 60.0,
    }


def _settings(
    policy: models.Policy, entry: Entry, model: models.Settings, documents: Documents
) -> dict[str, Any]:
    given = model.model_fields_set
    return {
        "name": entry.keys[1],
        "path": entry.path,
        "services": model.services,
        "create": model.create and not is_pattern(entry.path),
        "on_missing": model.on_missing,
        "rules": [owned.plain() for owned in entry.owned],
        "mode": model.mode if "mode" in given else policy.daemon.mode,
        "origin": documents.origin(entry.keys),
    }


def _services(
    policy: models.Policy, settings: Sequence[Mapping[str, Any]], documents: Documents
) -> list[dict[str, Any]]:
    """Every unit that has a table, then those that settings alone name, with what is default."""
    origins = {unit: documents.origin(("service", unit)) for unit in policy.service}
    for entry in settings:
        for unit in entry["services"]:
            origins.setdefault(unit, entry["origin"])
    services = []
    for unit, origin in origins.items():
        model = policy.service.get(unit) or _DEFAULT_SERVICE
        limits = _limits(model.limits)
        services.append(
            {
                "unit": unit,
                "apply": model.apply,
                "when": model.when,
                "limits": limits,
                "live": model.live,
                "usage": _usage(model.usage),
                **_DEFAULT_PACE,
                "mode": policy.daemon.mode,
                "origin": origin,
            }
        )
    return services


def _usage(usage: Usage) -> dict[str, float]:
    fields = Usage.model_fields
    return {
        fields[name].alias or name: values.share(getattr(usage, name))
        for name in sorted(usage.model_fields_set)
    }


def _logins(policy: models.Policy, documents: Documents) -> list[dict[str, Any]]:
    return [
        {
            "domain": domain,
            "limits": _limits(model.limits),
            "mode": policy.daemon.mode,
            "origin": documents.origin(("login", domain)),
        }
        for domain, model in policy.login.items()
    ]


def _limits(
    limits: Limits | LoginLimits,
) -> dict[str, list[int | str]]:
    """Soft and hard by the name of the limit; what is one number is that on both sides."""
    plain: dict[str, list[int | str]] = {}
    for name in sorted(limits.model_fields_set):
        value = getattr(limits, name)
        is_pair = isinstance(value, Pair)
        sides = (value.soft, value.hard) if is_pair else (int(value), int(value))
        plain[type(limits).model_fields[name].alias or name] = list(sides)
    return plain
