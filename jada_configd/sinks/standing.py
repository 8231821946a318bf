"""`STATUS=`: the one line that `systemctl status` shows (sd_notify(3))."""

from typing import Protocol

from jada_configd.core.report import Event, Standing


class Notifies(Protocol):
    """Whoever passes a status line on."""

    def status(self, line: str) -> None:
        """Show this line."""


class StatusLine:
    """Passes the line on when it has changed."""

    def __init__(self, notifier: Notifies) -> None:
        self._notifier = notifier
        self._line = ""

    def handle(self, event: Event) -> None:
        """Take note of how things stand."""
        if isinstance(event, Standing) and event.line != self._line:
            self._line = event.line
            self._notifier.status(event.line)

    def close(self) -> None:
        """Systemd forgets the line with the process."""
