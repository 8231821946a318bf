"""The script that one would write first, for comparison: watchdog's `Observer` and `json`.

It holds one key of one file, syncs what it writes, and does nothing else that the daemon does.
"""

import json
import os
import sys
import threading
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer


class Hold(FileSystemEventHandler):
    def __init__(self, path: Path, model: str) -> None:
        self.path = path
        self.model = model

    def on_any_event(self, event: FileSystemEvent) -> None:
        # Its own reading opens the file: who acts on that too never sleeps again.
        written = event.event_type in {"created", "modified", "moved", "closed"}
        if written and str(self.path) in {event.src_path, event.dest_path}:
            self.correct()

    def correct(self) -> None:
        try:
            settings = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return
        if settings.get("model") == self.model:
            return
        settings["model"] = self.model
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w") as file:
            json.dump(settings, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)


def main() -> None:
    path = Path(sys.argv[1])
    hold = Hold(path, sys.argv[2])
    observer = Observer()
    observer.schedule(hold, str(path.parent))
    observer.start()
    hold.correct()
    print("ready", file=sys.stderr, flush=True)
    threading.Event().wait()


main()
