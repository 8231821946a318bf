"""The shape of windows in the policy language, as a pydantic model.

How one is written is `windows.py`'s.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from jada_configd.policy import windows
from jada_configd.policy.tables import Table, without_default


def _window(text: str) -> str:
    windows.window(text)
    return text


def _some(texts: list[str]) -> list[str]:
    if not texts:
        raise ValueError("is an empty array, which would never open; name a window or leave it out")
    return texts


def _not_empty(schema: dict[str, Any]) -> None:
    without_default(schema)
    schema["minItems"] = 1


_Text = Annotated[
    str,
    AfterValidator(_window),
    WithJsonSchema({"type": "string", "pattern": windows.PATTERN, "maxLength": windows.LONGEST}),
]
_Texts = Annotated[list[_Text], AfterValidator(_some)]


class Windows(Table):
    """When something may be done: days, times and a time zone, as in "Mon-Fri 02:00-05:00 UTC".

    Without days it is every day; without a time zone it is the host's own. Of several, one open
    window is enough.
    """

    restart: _Texts = Field(
        default=[],
        description="When services may be restarted; a reload is free. Default: at any time.",
        json_schema_extra=_not_empty,
    )
    correct: _Texts = Field(
        default=[],
        description="When files, limits and kernel parameters may be corrected. "
        "Default: at any time.",
        json_schema_extra=_not_empty,
    )
