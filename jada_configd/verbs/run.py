"""`run`: the daemon, in the foreground."""

import argparse
import os

from jada_configd.assembly import DAEMON_LOCK, assemble
from jada_configd.daemon import Daemon
from jada_configd.errors import Busy, HostError
from jada_configd.host.directories import directories
from jada_configd.host.storage.state import lock
from jada_configd.policy import child
from jada_configd.sinks import FanOut
from jada_configd.sinks.journal import Journal
from jada_configd.sinks.records import Records
from jada_configd.sinks.sd_notify import Notifier
from jada_configd.sinks.standing import StatusLine
from jada_configd.sinks.status_file import StatusFile
from jada_configd.verbs.output import complain
from jada_configd.verbs.sources import DiskPolicy

FAILURE = 1
# Imported now, and used when a policy is loaded anew: its file may be another by then, or none.
RESIDENT = (child,)


def run(options: argparse.Namespace) -> int:
    """Hold the policy until SIGTERM."""
    where = directories(user=options.user, root=options.root, environ=os.environ)
    try:
        # The lock's file stands in the run-time directory, which is made and checked with it.
        with lock(f"{where.runtime}/{DAEMON_LOCK}"):
            notifier = Notifier()
            told = FanOut((StatusFile(where.status), StatusLine(notifier), Records(Journal().send)))
            assembly = assemble(where, told.handle, daemon=True)
            source = DiskPolicy(options, where, assembly.memory)
            try:
                return Daemon(assembly, source, notifier, told.handle, told.troubles).run()
            finally:
                source.close()
                told.close()
    except Busy as error:
        complain(f"jada-configd: another instance runs on this host: {error}")
        return FAILURE
    except HostError as error:
        complain(f"jada-configd: {error}")
        return FAILURE
