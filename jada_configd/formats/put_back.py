"""Takes a change of a settings file back: whole, or the values alone that were changed."""

from collections.abc import Sequence

from jada_configd.core.model import Field, Value
from jada_configd.formats.json_text import NotJson, parse


def put_back(
    now: bytes, before: bytes | None, values: Sequence[tuple[Field, Value]], *, as_left: bool
) -> bytes | None:
    """What the file has to be; None: there has to be none.

    Where it is as we have left it (`as_left`) it becomes byte for byte what it was. Where somebody
    else has changed it since, that stays, and the corrected values alone become what they were; but
    for content that does not parse, which nobody can have meant.
    """
    if as_left or not values:
        return before
    try:
        return parse(now).edit(list(values))
    except NotJson:
        return before
