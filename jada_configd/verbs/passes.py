"""`check` and `apply`: one pass, looked at or carried out."""

import argparse
import dataclasses
import os
import shlex
import time
from collections.abc import Sequence, Sized
from contextlib import closing
from typing import Final

from jada_configd.assembly import assemble
from jada_configd.core.model import ResourceId
from jada_configd.core.report import (
    BreakerMoved,
    Event,
    Reconciled,
    Report,
    ServiceApplied,
    Tried,
)
from jada_configd.core.snapshot import resource_plain
from jada_configd.core.specs import Policy
from jada_configd.core.status import overall
from jada_configd.core.wording import escaped
from jada_configd.errors import Busy, HostError, PolicyError
from jada_configd.host.directories import NEEDS_ROOT, Directories, directories
from jada_configd.loop import Loop
from jada_configd.render import passed
from jada_configd.sinks.journal import Journal
from jada_configd.sinks.records import Records
from jada_configd.verbs.output import complain, painter, print_json
from jada_configd.verbs.sources import load

APPLY_MOST_NS: Final = 600_000_000_000  # longer than any start that systemd allows by default
# A daemon sees what we have corrected before a service starts on it: after that it could not know
# that right values were read, and would restart the service once more.
DAEMON_LOOKS: Final = 0.1  # seconds
IN_SYNC, FAILURE, DRIFT = 0, 1, 2
_IN_THE_WAY: Final = "Not all is as the policy says; each sentence above tells what is in the way."


def check(options: argparse.Namespace) -> int:
    """Look, say what has drifted and what would be done; nothing is changed, and nothing can be."""
    where = directories(user=options.user, root=options.root, environ=os.environ)
    try:
        where.check_root()
        policy = load(options, where)
        assembly = assemble(where, lambda _event: None, daemon=False, writes=False)
        policy, reports, troubles = assembly.look(policy)
    except (PolicyError, HostError) as error:
        return _failed(options, where, error)
    status = _status(reports, troubles)
    if status == FAILURE and not troubles and not any(each.result == "failed" for each in reports):
        status = DRIFT  # what was taken back is none of what keeps us from looking
    _tell(options, policy, reports, troubles, _after_check(options, reports))
    return status


def apply(options: argparse.Namespace) -> int:
    """Correct, have services take it up, look again; ends when nothing is under way any more."""
    with closing(Journal()) as journal:
        return _apply(options, _Heard(Records(journal.send)))


class _Heard:
    """What has happened in a pass."""

    def __init__(self, records: Records) -> None:
        self.corrected: dict[ResourceId, Report] = {}
        self.jobs: list[ServiceApplied] = []
        self._records = records

    def hear(self, event: Event) -> None:
        """Take note of it; what lasts beyond the pass is recorded as a daemon would."""
        match event:
            case Reconciled(report) if report.result == "corrected":
                self.corrected.setdefault(report.resource.id, report)
            case ServiceApplied():
                self.jobs.append(event)
            case Tried() | BreakerMoved():
                self._records.handle(event)


def _apply(options: argparse.Namespace, heard: _Heard) -> int:
    where = directories(user=options.user, root=options.root, environ=os.environ)
    try:
        where.check_root()
        policy = load(options, where)
        if options.enforce:
            policy = _enforced(policy)
        if options.now:
            policy = dataclasses.replace(policy, windows={})
        assembly = assemble(where, heard.hear, daemon=False)
        policy = assembly.advise(policy)
        loop = assembly.loop
        loop.enforce(policy, "operator")
        _turn_until_done(loop, heard.corrected)
    except (PolicyError, HostError, Busy) as error:
        return _failed(options, where, error)
    # Who is known to have read right values is not restarted by the next correction.
    assembly.memory.save_known(assembly.ledger)
    reports = [
        heard.corrected.get(report.resource.id, report) if report.settled else report
        for report in loop.reports()
    ]
    troubles = loop.troubles()
    status = _status(reports, troubles)
    if any(job.job_result != "done" for job in heard.jobs):
        status = FAILURE
    step = _after_apply(options, reports) if status else None
    _tell(options, policy, reports, troubles, step)
    return status


def _turn_until_done(loop: Loop, corrected: Sized) -> None:
    """Until nothing is under way any more: jobs and trials included."""
    end_ns = time.monotonic_ns() + APPLY_MOST_NS
    loop.turn(0)
    seen = 0
    while loop.under_way() and time.monotonic_ns() < end_ns:
        if len(corrected) > seen:
            seen = len(corrected)
            time.sleep(DAEMON_LOOKS)
        loop.turn(end_ns)


def _enforced(policy: Policy) -> Policy:
    return dataclasses.replace(
        policy,
        mode="enforce",
        settings=tuple(dataclasses.replace(each, mode="enforce") for each in policy.settings),
        services=tuple(dataclasses.replace(each, mode="enforce") for each in policy.services),
        logins=tuple(dataclasses.replace(each, mode="enforce") for each in policy.logins),
        sysctls=tuple(dataclasses.replace(each, mode="enforce") for each in policy.sysctls),
    )


def _status(reports: Sequence[Report], troubles: Sequence[str]) -> int:
    if troubles or any(report.result == "failed" or report.degrades for report in reports):
        return FAILURE
    return IN_SYNC if all(report.settled for report in reports) else DRIFT


def _failed(
    options: argparse.Namespace, where: Directories, error: PolicyError | HostError | Busy
) -> int:
    """Say what kept us from looking, in JSON too where that was asked for."""
    lines = error.messages if isinstance(error, PolicyError) else [f"jada-configd: {error}"]
    if isinstance(error, HostError) and where.needs_root:
        lines = [*lines, NEEDS_ROOT]
    complain(*lines)
    if options.json:
        path = options.policy or where.policy
        policy = {"path": path, "revision": None, "error": "\n".join(lines)}
        print_json({"state": "degraded", "policy": policy, "resources": []})
    return FAILURE


def _after_check(options: argparse.Namespace, reports: Sequence[Report]) -> str | None:
    if all(report.settled for report in reports):
        return None
    mended = [report for report in reports if report.actions and not _waits(report)]
    if not mended and any(map(_waits, reports)):
        return _later(options)
    if any(report.resource.mode == "enforce" for report in mended):
        return f"`{_command(options, 'apply')}` corrects it."
    return _observed(options) if mended else _IN_THE_WAY


def _after_apply(options: argparse.Namespace, reports: Sequence[Report]) -> str:
    left = [report for report in reports if not report.settled]
    if left and all(map(_waits, left)):
        return _later(options)
    observed = all(report.result == "reported" for report in left)
    return _observed(options) if left and observed else _IN_THE_WAY


def _waits(report: Report) -> bool:
    return report.opens_at is not None


def _later(options: argparse.Namespace) -> str:
    now = _command(options, "apply", "--now")
    return f"What waits for a window is done when that opens; `{now}` does it at once."


def _observed(options: argparse.Namespace) -> str:
    return f"The policy only observes; `{_command(options, 'apply', '--enforce')}` corrects it."


def _command(options: argparse.Namespace, *words: str) -> str:
    """The command line that does something else about what this one was about."""
    where = [
        *(["--user"] if options.user else []),
        *(["--root", options.root] if options.root != "/" else []),
        *(["--policy", options.policy] if options.policy else []),
    ]
    return escaped(shlex.join(["jada-configd", *words, *where]))


def _tell(
    options: argparse.Namespace,
    policy: Policy,
    reports: Sequence[Report],
    troubles: Sequence[str],
    step: str | None,
) -> None:
    resources = [resource_plain(report) for report in reports]
    complain(*(f"jada-configd: {escaped(trouble)}" for trouble in troubles))
    if options.json:
        state, _ = overall(reports, troubles)
        print_json(
            {
                "state": state,
                "policy": {"path": policy.path, "revision": policy.revision},
                "resources": resources,
            }
        )
        return
    complain(*policy.warnings)
    print(passed(resources, painter(), next_step=step, verbose=options.verbose), end="")
