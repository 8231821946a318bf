"""`run`: the daemon, in the foreground."""

import argparse
import os

from jada_configd.assembly import DAEMON_LOCK, assemble
from jada_configd.daemon import Daemon
from jada_configd.errors import Busy, HostError
from jada_configd.host.directories import NEEDS_ROOT, Directories, directories
from jada_configd.host.filesystem.mount_view import MountView
from jada_configd.host.storage.instance import Instance
from jada_configd.host.storage.published import Publisher
from jada_configd.policy import child
from jada_configd.sinks import FanOut
from jada_configd.sinks.journal import Journal
from jada_configd.sinks.metrics import Metrics
from jada_configd.sinks.records import Records
from jada_configd.sinks.sd_notify import Notifier
from jada_configd.sinks.standing import StatusLine
from jada_configd.sinks.status_file import StatusFile
from jada_configd.upkeep import Upkeep
from jada_configd.verbs.output import complain
from jada_configd.verbs.sources import DiskPolicy, kept_textfile

FAILURE = 1
# Imported now, and used when a policy is loaded anew: its file may be another by then, or none.
RESIDENT = (child,)


def run(options: argparse.Namespace) -> int:
    """Hold the policy until SIGTERM."""
    where = directories(user=options.user, root=options.root, environ=os.environ)
    try:
        where.check_root()
        # The lock's file stands in the run-time directory, which is made and checked with it.
        with _instance(where) as instance:
            notifier, status = Notifier(), StatusFile(where.status)
            metrics = Metrics(Publisher(where.root), kept_textfile(where))
            told = FanOut((status, StatusLine(notifier), Records(Journal().send), metrics))
            assembly = assemble(where, told.handle, daemon=True)
            source = DiskPolicy(options, where, assembly.memory)
            try:
                # Our unit is started anew whenever it ends; a daemon in the foreground is not.
                view = MountView() if os.environ.get("NOTIFY_SOCKET") else None
                upkeep = Upkeep(instance, assembly.memory, (status, metrics), view)
                daemon = Daemon(assembly, source, notifier, told, upkeep)
                code = daemon.run()
                if daemon.ends_because is not None:
                    complain(f"jada-configd: starts anew: {daemon.ends_because}")
                return code
            finally:
                source.close()
                told.close()
    except Busy as error:
        complain(f"jada-configd: another instance runs on this host: {error}")
        return FAILURE
    except HostError as error:
        complain(f"jada-configd: {error}", *([NEEDS_ROOT] if where.needs_root else []))
        return FAILURE


def _instance(where: Directories) -> Instance:
    """A user's state may stand in a home that several hosts share; the host's own does not."""
    more = [] if where.user else [(f"{where.state}/{DAEMON_LOCK}", 0o700)]
    return Instance(f"{where.runtime}/{DAEMON_LOCK}", more)
