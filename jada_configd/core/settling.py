"""Whether content that does not parse is broken, or only in the middle of being written."""

from dataclasses import dataclass

# A writer that truncates and writes again leaves an empty or half file for as long as it takes;
# replacing the file under it would send the rest of its writing into a file that has no name.
STILL_NS = 250_000_000  # broken once it has stood still for this long
PATIENCE_NS = 3_000_000_000  # or has been unreadable for this long, however busy


@dataclass(frozen=True, slots=True)
class _Seen:
    first_ns: int
    changed_ns: int
    signature: str


class Settling:
    """Remembers since when content has been unsettled, by resource."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def hold(self, resources: frozenset[str]) -> None:
        """These are the resources from now on; what is known of others is forgotten."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in resources}

    def wait(self, resource: str, signature: str | None, now_ns: int) -> int | None:
        """When to look again; None where the content is settled, or broken for good."""
        if signature is None:
            self._seen.pop(resource, None)
            return None
        seen = self._seen.get(resource)
        if seen is None:
            seen = _Seen(now_ns, now_ns, signature)
        elif seen.signature != signature:
            seen = _Seen(seen.first_ns, now_ns, signature)
        self._seen[resource] = seen
        until = min(seen.changed_ns + STILL_NS, seen.first_ns + PATIENCE_NS)
        return until if until > now_ns else None
