"""What stands in files before they are changed: a service may turn out not to bear the change.

It is kept until every service that reads a file has been seen to run well on what stands there now.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from jada_configd.core.actions import RemoveFile, ReplaceFile, digest
from jada_configd.core.course import Before
from jada_configd.core.facts import Content
from jada_configd.core.ledger import Ledger
from jada_configd.core.model import Resource, ResourceId
from jada_configd.core.resources import services_of
from jada_configd.core.seams import Reader
from jada_configd.core.specs import SettingsSpec
from jada_configd.core.trials import values_before
from jada_configd.formats.put_back import put_back
from jada_configd.looks import Look


class Befores:
    """By resource; the ledger has them, and few bytes too, the state directory the rest."""

    def __init__(
        self, reader: Reader, ledger: Ledger, keep: Callable[[ResourceId, bytes], None]
    ) -> None:
        """`keep` keeps the bytes of a file that is about to be changed."""
        self._reader = reader
        self._ledger = ledger
        self._keep = keep
        self._noted: dict[str, Before | None] = {}  # in this pass, and what was noted before

    def begin(self) -> None:
        """A pass begins to change things."""
        self._noted.clear()

    def note(self, look: Look) -> None:
        """What stands in its file, before the actions of its plan are carried out."""
        for action in look.plan.actions:
            if isinstance(action, ReplaceFile | RemoveFile):
                wrote = digest(action.content) if isinstance(action, ReplaceFile) else ""
                before = _before(look, action.path, wrote)
                self._noted[before.resource] = self._ledger.trials.before(before.resource)
                content = self._content_kept(look)
                self._ledger.trials.keep(replace(before, content=content))

    def _content_kept(self, look: Look) -> bytes | None:
        """Its bytes; of several changes those before the first, with what others wrote since.

        Returns them where they stand in the ledger.
        """
        file, trials = look.observed.file, self._ledger.trials
        if not isinstance(file, Content):
            return None
        known = trials.before(str(look.resource.id))
        if known is None:
            return self._kept(look.resource.id, file.data)
        if digest(file.data) != known.wrote and not known.whole:
            stood = known.content
            if stood is None:
                stood = self._reader.stood_before(known.resource)
            content = put_back(file.data, stood, known.values, as_left=False)
            if content is not None:
                trials.put_before(
                    replace(
                        known,
                        existed=True,
                        mode=file.mode,
                        uid=file.uid,
                        gid=file.gid,
                        bytes_digest=digest(content),
                        content=self._kept(look.resource.id, content),
                    )
                )
        return None

    def _kept(self, resource: ResourceId, content: bytes) -> bytes | None:
        """A file of its own takes a third of the time of a correction: few bytes have none."""
        if len(content) <= self._ledger.trials.room():
            return content
        self._keep(resource, content)
        return None

    def unchanged(self, resource: Resource) -> None:
        """What was begun was not done: somebody has been a moment earlier."""
        name = str(resource.id)
        if name in self._noted:
            before = self._noted.pop(name)
            if before is None:
                self._ledger.trials.forget_before(name)
            else:
                self._ledger.trials.put_before(before)

    def forget(self, resource: Resource) -> None:
        """Nobody will go back to what stood there, unless a service has yet to be seen on it."""
        if not self.is_awaited(services_of(resource)):
            self._ledger.trials.forget_before(str(resource.id))

    def is_awaited(self, units: Iterable[str]) -> bool:
        """Whether one of these units has yet to run well on a change."""
        return any(self._ledger.owed(unit) or self._ledger.trials.of(unit) for unit in units)


def _before(look: Look, path: str, wrote: str) -> Before:
    """What stands there, as far as the ledger has to know it; the bytes are kept beside."""
    file, values = look.observed.file, values_before(look.drift.changes)
    name = str(look.resource.id)
    if not isinstance(file, Content):
        return Before(name, path, existed=False, mode=0, uid=-1, gid=-1, wrote=wrote, whole=True)
    whole = look.drift.problem is not None or not isinstance(look.resource.spec, SettingsSpec)
    return Before(
        name,
        path,
        existed=True,
        mode=file.mode,
        uid=file.uid,
        gid=file.gid,
        wrote=wrote,
        values=values,
        whole=whole,
        bytes_digest=digest(file.data),
    )
