"""Durations and counts within bounds, as what pydantic reads beside a type.

What a duration is written like is `values.py`'s.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from jada_configd.policy import values


@dataclass(frozen=True, slots=True)
class Lasting:
    """`Annotated[str, Lasting("1s", "24h")]`: a duration from the one to the other."""

    least: str
    most: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The text as it stands, once it is known to be a duration within bounds."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """What a pattern can say of it, which is its form."""
        return {"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h)$"}

    def _checked(self, text: str) -> str:
        values.duration(text, self.least, self.most)
        return text


@dataclass(frozen=True, slots=True)
class Counting:
    """`Annotated[int, Counting(1, 1000)]`: a number from the one to the other."""

    least: int
    most: int

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The number, once it is known to be within bounds."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The bounds."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def _checked(self, number: int) -> int:
        return values.number(number, self.least, self.most)
