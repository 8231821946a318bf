"""`status.json`: written when it has changed, or is gone."""

import json
from pathlib import Path

from jada_configd.core.report import Standing
from jada_configd.sinks.status_file import StatusFile

STANDING = Standing("in-sync", "in sync", {"state": "in-sync"})


def test_it_is_written_when_it_has_changed_and_when_somebody_removed_it(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    sink = StatusFile(str(path))
    assert not sink.stands()
    sink.handle(STANDING)
    first = path.stat()
    sink.handle(STANDING)
    assert path.stat().st_ino == first.st_ino
    assert path.stat().st_mode & 0o777 == 0o644
    path.unlink()
    assert not sink.stands()
    sink.handle(STANDING)
    assert json.loads(path.read_text()) == {"state": "in-sync"}
    sink.close()
    assert not sink.stands()
    sink.close()
