"""A policy without a fault in the form that `Policy.from_plain` takes: JSON, defaults filled in."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jada_configd.core.resources import is_pattern
from jada_configd.policy import models, values
from jada_configd.policy.documents import Documents
from jada_configd.policy.fallbacks import fallback_rules
from jada_configd.policy.health_models import Health
from jada_configd.policy.limit_models import Limits, LoginLimits, Pair, Usage
from jada_configd.policy.ownership import Entry
from jada_configd.policy.service_models import RELOAD_OR_RESTART, Service
from jada_configd.policy.sysctls import plain_sysctls
from jada_configd.policy.windows import plain_windows

_DEFAULT_SERVICE: Final = Service.model_validate({})


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
        "contested_after": policy.daemon.contested_after,
        "contested_within": values.seconds(policy.daemon.contested_within),
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
        services.append(
            {
                "unit": unit,
                "when": model.when,
                "limits": _limits(model.limits),
                "live": model.live,
                "usage": _usage(model.usage),
                **_pace(model),
                "on_unhealthy": model.on_unhealthy,
                "health": _health(model.health),
                "fallback": _fallback(unit, model),
                "mode": policy.daemon.mode,
                "origin": origin,
            }
        )
    return services


def _pace(model: Service) -> dict[str, Any]:
    return {
        "apply": model.apply.get(values.DEFAULT, RELOAD_OR_RESTART),
        "applies": [
            [list(values.applied_field(key)), word]
            for key, word in model.apply.items()
            if key != values.DEFAULT
        ],
        "gather": values.seconds(model.gather),
        "min_interval": values.seconds(model.min_interval),
        "busy": model.busy,
        "drain": values.seconds(model.drain),
        "drain_policy": model.drain_policy,
    }


def _health(model: Health) -> dict[str, Any]:
    given = model.model_fields_set
    journal = model.journal.model_dump() if "journal" in given else {}
    return {
        "stable": values.seconds(model.stable),
        "within": values.seconds(model.within),
        "every": values.seconds(model.every),
        "timeout": values.seconds(model.timeout),
        "command": model.command if "command" in given else [],
        "url": model.url,
        "journal_must": journal.get("must"),
        "journal_must_not": journal.get("must_not"),
    }


def _fallback(unit: str, model: Service) -> dict[str, Any] | None:
    if "fallback" not in model.model_fields_set:
        return None
    return {
        "settings": model.fallback.settings,
        "rules": fallback_rules(("service", unit, "fallback"), model.fallback.set),
        "after": model.fallback.after,
        "retry": values.seconds(model.fallback.retry),
    }


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
