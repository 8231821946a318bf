"""What a policy text declares, or the messages that it earns; no files, no child."""

from typing import Any

from jada_configd.core.specs import Policy
from jada_configd.errors import PolicyError
from jada_configd.policy.limit_models import Usage
from jada_configd.policy.validation import validate

HOME = "/home/me"
# What may have a threshold, by limits.conf name; `tasks` is systemd's own (TasksMax=).
MEASURED = tuple(sorted(field.alias or name for name, field in Usage.model_fields.items()))
FRAME: dict[str, Any] = {"path": "/p/policy.toml", "sources": [], "revision": "sha256:0"}


def plain(*texts: str, home: str | None = HOME) -> dict[str, Any]:
    """The plain policy of a main text and its fragments."""
    names = ["policy.toml", *(f"policy.d/{number}0.toml" for number in range(1, len(texts)))]
    return validate(list(zip(names, texts, strict=True)), home)


def policy(*texts: str, home: str | None = HOME) -> Policy:
    return Policy.from_plain({**FRAME, **plain(*texts, home=home)})


def messages(*texts: str, home: str | None = HOME) -> list[str]:
    try:
        plain(*texts, home=home)
    except PolicyError as error:
        return list(error.messages)
    return []
