"""The policy in force: loaded in a child, kept where a later one does not load, tried again.

It answers for when a policy is loaded and what becomes of one that does not; what it then holds is
the loop's.
"""

import selectors
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from jada_configd.core.model import Cause
from jada_configd.core.report import Event, PolicyLoaded, PolicyRejected
from jada_configd.core.specs import Policy
from jada_configd.errors import PolicyError, ValidatorFailed
from jada_configd.loop import clock

RETRY_NS: Final = 1_000_000_000
RETRY_MOST_NS: Final = 30_000_000_000
LOADED_WITHIN_NS: Final = 30_000_000_000  # a validator that takes longer is ended
# At the start too, and much sooner: this and the first pass have to fit into the unit's
# TimeoutStartSec=, or a slow host would never get ready. What was stopped is tried again then.
STARTED_WITHIN_NS: Final = 8_000_000_000
NEVER_NS: Final = 1 << 62


class PolicySource(Protocol):
    """Where the policy comes from. Loading takes a while, so it is started and taken later."""

    path: str

    def start(self) -> None:
        """Begin to load; what was begun before is given up."""

    def fileno(self) -> int | None:
        """Readable when it is loaded; None where nothing was begun."""

    def take(self, seconds: float) -> Policy:
        """The loaded policy; waits for it no longer than that. Raises `PolicyError`."""

    def last_good(self) -> Policy | None:
        """The last one that loaded, on this host and by this version."""

    def revision(self) -> str | None:
        """The revision of what stands on disk now, None where it cannot be read."""


class PolicyInForce:
    """Loads the policy, and has it enforced once it is there."""

    def __init__(
        self,
        source: PolicySource,
        selector: selectors.BaseSelector,
        enforce: Callable[[Policy, Cause], Policy],
        tell: Callable[[Event], None],
    ) -> None:
        """`enforce` takes a policy and gives it back with the warnings that the host has for it."""
        self._source = source
        self._selector = selector
        self._enforce = enforce
        self._tell = tell
        self.policy: Policy | None = None
        self.path = source.path
        self.error: str | None = None  # of what stands on disk now
        self.loaded = ""  # when the one in force was
        self._rejected: str | None = None  # the revision on disk that did not load
        self._seen: str | None = None
        self._retries = 0
        self._retry_ns = NEVER_NS
        self._loaded_by_ns = NEVER_NS

    def start(self) -> None:
        """Load it for the first time, and wait for that; the last good one where it fails."""
        self._source.start()
        self._take("startup", STARTED_WITHIN_NS / 1e9)

    def begin(self) -> bool:
        """Begin to load it anew; whether it has come at once."""
        self._unregister()
        self._source.start()
        descriptor = self._source.fileno()
        if descriptor is None:
            self.arrive()
            return True
        self._selector.register(descriptor, selectors.EVENT_READ)
        self._loaded_by_ns = time.monotonic_ns() + LOADED_WITHIN_NS
        return False

    def has_come(self, readable: list[int], now_ns: int) -> bool:
        """Whether it has been loaded, or has taken too long."""
        return self._source.fileno() in readable or now_ns >= self._loaded_by_ns

    def arrive(self) -> None:
        """Take what was loaded."""
        self._unregister()
        self._loaded_by_ns = NEVER_NS
        self._take("policy", 0)

    def due_ns(self) -> int:
        """The next moment at which there is something to do."""
        return min(self._retry_ns, self._loaded_by_ns)

    def retry(self, now_ns: int) -> bool:
        """Try one that did not load again, if that is due; whether it has come at once.

        It may have been mended; a half-written one does not stand still.
        """
        if now_ns < self._retry_ns:
            return False
        revision = self._source.revision()
        if revision is not None and revision != self._rejected and revision == self._seen:
            self._retry_ns = NEVER_NS
            self._retries += 1
            return self.begin()
        changed = revision != self._seen
        self._seen = revision
        self._retries = 0 if changed else self._retries + 1
        self._retry_ns = now_ns + self._wait_ns()
        return False

    def _take(self, cause: Cause, seconds: float) -> None:
        try:
            policy = self._source.take(seconds)
        except PolicyError as error:
            self._reject(error)
            if self.policy is None:
                good = self._source.last_good()
                if good is not None:
                    self.policy = self._enforce(good, cause)
            return
        self.error = None
        self._retry_ns = NEVER_NS
        self._retries = 0
        self.loaded = clock()
        self.policy = policy = self._enforce(policy, cause)
        self._tell(PolicyLoaded(policy.path, policy.revision, policy.warnings))

    def _reject(self, error: PolicyError) -> None:
        text = "\n".join(error.messages)
        if text != self.error:
            self._tell(PolicyRejected(self.path, error.messages))
            self._retries = 0
        self.error = text
        self._seen = self._source.revision()
        # What was not even validated may load as it stands; what was rejected must have changed.
        self._rejected = None if isinstance(error, ValidatorFailed) else self._seen
        self._retry_ns = time.monotonic_ns() + self._wait_ns()

    def _wait_ns(self) -> int:
        return min(RETRY_NS << min(self._retries, 10), RETRY_MOST_NS)

    def _unregister(self) -> None:
        descriptor = self._source.fileno()
        if descriptor is not None:
            with suppress(KeyError):
                self._selector.unregister(descriptor)
