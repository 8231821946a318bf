"""Claude Code settings: some keys of a JSON file, held leaf by leaf; the rest is somebody's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from jada_configd.core.actions import Action, KeepEvidence, ReplaceFile, digest
from jada_configd.core.diff import diff
from jada_configd.core.facts import Content, Missing, Unreadable
from jada_configd.core.model import Drift, Field, Observed, Rule, Value, same
from jada_configd.core.plan import Plan
from jada_configd.core.seams import Reader
from jada_configd.core.specs import SettingsSpec
from jada_configd.formats.json_text import Document, NotJson, fresh, parse

NEW_FILE_MODE = 0o600  # settings hold secrets (`env`, `apiKeyHelper`)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The file as it was read; `good` is the content that a broken or lost one goes back to."""

    fact: Content | Missing
    document: Document | None = None
    good: bytes | None = None


class SettingsKind:
    """`settings:PATH`."""

    name: ClassVar[str] = "settings"
    noun: ClassVar[str] = "file"
    early: ClassVar[bool] = True
    asks_manager: ClassVar[bool] = False
    starts_jobs: ClassVar[bool] = False
    moves_ceilings: ClassVar[bool] = False

    def watches(self, spec: SettingsSpec) -> tuple[str, ...]:
        """The file; the watcher sees to the directories and links on the way."""
        return (spec.path,)

    def units(self, spec: SettingsSpec) -> tuple[str, ...]:
        """Those that read it: a look after their start tells that it was right (core/ledger.py)."""
        return spec.services

    def desired(self, spec: SettingsSpec) -> Mapping[Field, Rule]:
        """The rules, leaf by leaf, as the policy has them."""
        return spec.rules

    def observe(self, spec: SettingsSpec, reader: Reader) -> Observed:
        """The owned fields of the file; content that does not parse is a problem and unsettled."""
        fact = reader.read_file(spec.path)
        match fact:
            case Unreadable():
                return Observed({}, None, fact.problem)
            case Missing():
                return replace(_missing(spec, fact, reader), file=fact)
            case Content():
                return replace(_read(spec, fact, reader), file=fact)

    def plan(self, spec: SettingsSpec, drift: Drift, observed: Observed) -> Plan:
        """One replacement of the file, with nothing in it changed but what drifted."""
        evidence = observed.evidence
        if not isinstance(evidence, Evidence):
            return Plan(waits="somebody who puts a readable file in its place")
        match evidence.fact:
            case Missing(directory=False):
                return Plan(waits="its directory")
            case Missing() as missing:
                content = _restored(spec, evidence.good)
                return Plan(
                    (
                        ReplaceFile(
                            spec.path, content, NEW_FILE_MODE, missing.uid, missing.gid, None
                        ),
                    )
                )
            case Content() as fact:
                kept: tuple[Action, ...] = ()
                if evidence.document is None:
                    content = _restored(spec, evidence.good)
                    kept = (KeepEvidence(f"{self.name}:{spec.path}", fact.data),)
                else:
                    content = _corrected(spec, evidence.document, drift)
                replacement = ReplaceFile(
                    spec.path, content, fact.mode, fact.uid, fact.gid, digest(fact.data)
                )
                return Plan((*kept, replacement))


def _missing(spec: SettingsSpec, fact: Missing, reader: Reader) -> Observed:
    if not spec.create:
        return Observed({}, Evidence(fact), vacant=True)
    if not fact.directory and diff(spec.rules, Observed({})):
        directory = fact.lacks or spec.path.rpartition("/")[0]
        problem = f"{directory} does not exist; it is watched for"
        return Observed({}, Evidence(fact), problem, pending=True)
    good = reader.last_good(f"settings:{spec.path}") if spec.on_missing == "last-good" else None
    return Observed({}, Evidence(fact, good=good))


def _read(spec: SettingsSpec, fact: Content, reader: Reader) -> Observed:
    signature = f"{fact.inode}:{fact.mtime_ns}:{len(fact.data)}"
    try:
        document = parse(fact.data)
    except NotJson as error:
        good = reader.last_good(f"settings:{spec.path}")
        problem = f"is not JSON that Claude Code reads: line {error.line}, column {error.column}: "
        return Observed({}, Evidence(fact, good=good), problem + error.message, unsettled=signature)
    fields = {field: _have(document, field, rule) for field, rule in spec.rules.items()}
    # An empty file counts as `{}`, but is also what a writer leaves that truncates and writes.
    empty = not fact.data.strip(b" \t\r\n\xef\xbb\xbf")
    unsettled = signature if empty else None
    return Observed(fields, Evidence(fact, document), unsettled=unsettled, good=fact.data)


def _have(document: Document, field: Field, rule: Rule) -> Value:
    """The value of a field; of a key that stands several times, the first that breaks the rule."""
    for value in document.values(field):
        if not same(value, rule.wanted(value)):
            return value
    return document.effective(field)


def _corrected(spec: SettingsSpec, document: Document, drift: Drift) -> bytes:
    """The file with what drifted as declared.

    Of a key that stands several times all become what the last, which counts, has to be.
    """
    fields = [change.field for change in drift.changes]
    return document.edit(
        [(field, spec.rules[field].wanted(document.effective(field))) for field in fields]
    )


def _restored(spec: SettingsSpec, good: bytes | None) -> bytes:
    """The last good content with the owned keys right, or a fresh file with these alone."""
    if good is not None:
        try:
            document = parse(good)
        except NotJson:
            pass
        else:
            have = {field: _have(document, field, rule) for field, rule in spec.rules.items()}
            return _corrected(spec, document, diff(spec.rules, Observed(have)))
    changes = diff(spec.rules, Observed({})).changes
    return fresh([(change.field, change.want) for change in changes])
