"""What every table of the policy language has in common, as a pydantic model."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Table(BaseModel):
    """A table of which every key is known and every value is of the very type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def without_default(schema: dict[str, Any]) -> None:
    """Leave out of the JSON Schema what is not there by default, or depends on something else."""
    schema.pop("default", None)


def left_out(description: str) -> Any:  # noqa: ANN401 - as Field is
    """A key that may be left out and then is nothing, or must be whole where it is given."""
    return Field(None, description=description, json_schema_extra=without_default)
