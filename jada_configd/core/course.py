"""How a service does on what was changed, as far as its kind has to know to look and plan."""

from dataclasses import dataclass

from jada_configd.core.model import Field, Value


@dataclass(frozen=True, slots=True)
class Before:
    """A file as it stood before a change that no service has been seen to run well on yet.

    `existed` False: there was none; `content` are its bytes where they are few, else they are kept
    elsewhere (`Reader.stood_before`), `bytes_digest` is theirs: older ones may be there where these
    could not be kept. `wrote` is the digest of what we have put there since ("": we have removed
    it), and `values` what the corrected fields were: they alone go back where somebody else has
    changed the file meanwhile. `whole`: the file as it was is more than these, for it could not be
    read field by field.
    """

    resource: str
    path: str
    existed: bool
    mode: int
    uid: int
    gid: int
    wrote: str
    values: tuple[tuple[Field, Value], ...] = ()
    whole: bool = False
    bytes_digest: str = ""
    content: bytes | None = None

    @property
    def is_drop_in(self) -> bool:
        """Whether systemd reads it too: it has to be told when it comes back."""
        return self.resource.startswith("unit-dropin:")


@dataclass(frozen=True, slots=True)
class Course:
    """Of one unit, beside what systemd says of it.

    `awaits` is what has to be seen before a change counts as taken up well; `asks`: how it did
    before has to be known first. `hung`: a start, on what has been corrected since, takes
    longer than anybody waits for. `goes_back`: what stood before has to come back now, `back_to`.
    `ailment` is why it is not healthy, `taken_back` that this policy was taken back from it, and
    `in_place` that other values than the policy's are held for it. `busy`: what its busy command
    says (None: it is idle, or has none).
    """

    awaits: str | None = None
    asks: bool = False
    hung: bool = False
    goes_back: bool = False
    back_to: tuple[Before, ...] = ()
    ailment: str | None = None
    taken_back: str | None = None
    in_place: str | None = None
    busy: str | None = None


NOTHING = Course()
