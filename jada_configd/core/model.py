"""The nouns: what is declared, what was seen, how they differ, what came of it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from jada_configd.core.facts import Content, Missing, Use


class Absent(enum.Enum):
    """The type of `ABSENT`, which is a value on either side of a change and is not null."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Value: TypeAlias = "Json | Absent"
Field: TypeAlias = tuple[str, ...]  # the reference tokens of a JSON Pointer (RFC 6901), unescaped
Mode: TypeAlias = Literal["enforce", "observe"]
Result: TypeAlias = Literal[
    "in-sync",
    "drifted",
    "corrected",
    "reported",
    "held",
    "contested",
    "waiting",
    "failed",
]
Cause: TypeAlias = Literal["startup", "hint", "sweep", "retry", "policy", "operator"]


def pointer(field: Field) -> str:
    """The field as a JSON Pointer (RFC 6901, section 3)."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in field)


def same(one: Value, other: Value) -> bool:
    """Whether two JSON values are one value: 1 is 1.0, true is not 1, null is not `ABSENT`.

    NaN, which no file can hold, is itself: what is compared with itself is the same.
    """
    if isinstance(one, str):
        return isinstance(other, str) and one == other
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or (one != one and other != other)  # noqa: PLR0124 - NaN
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


class ResourceId(NamedTuple):  # a tuple, because it is the key of most that a pass looks up
    """The name of one thing that is held; the only thing ever queued."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Exactly:
    """The field must have this value."""

    value: Json

    def wanted(self, have: Value) -> Value:
        """What the field should be, given what it is."""
        return have if same(have, self.value) else self.value


@dataclass(frozen=True, slots=True)
class Gone:
    """The field must not exist."""

    def wanted(self, have: Value) -> Value:
        """What the field should be, given what it is."""
        return ABSENT


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field must have one of these values; a missing or other one becomes the first."""

    values: tuple[Json, ...]

    def wanted(self, have: Value) -> Value:
        """What the field should be, given what it is."""
        return have if any(same(have, value) for value in self.values) else self.values[0]


@dataclass(frozen=True, slots=True)
class Members:
    """The field must be a list with these members and without those."""

    include: tuple[Json, ...] = ()
    exclude: tuple[Json, ...] = ()

    def wanted(self, have: Value) -> Value:
        """What the field should be: members keep their order, new ones come last."""
        if not isinstance(have, list):
            return list(self.include) if self.include else have
        kept = [member for member in have if not _among(member, self.exclude)]
        missing = [member for member in self.include if not _among(member, kept)]
        return have if len(kept) == len(have) and not missing else kept + missing


def _among(member: Json, members: "tuple[Json, ...] | list[Json]") -> bool:
    return any(same(member, other) for other in members)


Rule: TypeAlias = Exactly | Gone | OneOf | Members


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that is held, as the policy declares it.

    `spec` is the kind's own dataclass (`core/specs.py`); `origin` is `file:line` of the policy.
    """

    id: ResourceId
    spec: object
    mode: Mode
    origin: str


@dataclass(frozen=True, slots=True)
class Strain:
    """The uses of one limit that may be too near to it, the nearest first."""

    limit: str
    threshold: float
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen.

    `evidence` is material for the plan and never compared. `problem` is one sentence about what
    keeps the thing from being compared or mended; `note` one about a state that is nobody's fault.
    `unsettled` is a signature of content that may be in the middle of being written: it is not
    drift until it has stood still. `vacant`: nothing is there to be held, so nothing can drift;
    `interim`: what was there has ended, and what was begun with it goes on with what follows.
    `good` is content that is worth going back to. `pending`: the problem is that a place is not
    there yet, which is nobody's failure. `strains` tell how near it is to limits of which the
    policy wants to know: drift that no plan mends and that keeps nothing from being mended. `file`
    is what a plan would change. `degrades` says that the host went back on the policy.
    """

    fields: Mapping[Field, Value]
    evidence: object = None
    problem: str | None = None
    note: str | None = None
    unsettled: str | None = None
    vacant: bool = False
    interim: bool = False
    good: bytes | None = None
    pending: bool = False
    strains: tuple[Strain, ...] = ()
    file: Content | Missing | None = None
    degrades: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One field that is not as declared; either side may be `ABSENT`."""

    field: Field
    have: Value
    want: Value


@dataclass(frozen=True, slots=True)
class Drift:
    """Desired minus observed; false when empty."""

    changes: tuple[Change, ...] = ()
    problem: str | None = None

    def __bool__(self) -> bool:
        return bool(self.changes) or self.problem is not None
