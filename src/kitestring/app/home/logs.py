"""The log of a running service, on standard error: lines for people or one JSON object per line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

from kitestring.app.home.config import Config
from kitestring.base.text import escape_unsafe

#: The logger of what happens: payments, refusals, connections, commands of the owner.
ACTIVITY: Final = "kitestring.activity"
_LINE: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One object per line: ``time`` (ISO 8601 in UTC), ``level``, ``logger``, ``message``, and the ``fields`` of the
    record beside them. ``exception`` is the traceback of an error."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        row: dict[str, object] = {
            "time": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(),
        }  # fmt: skip
        fields: dict[str, object] = getattr(record, "fields", {})
        row |= {name: value for name, value in fields.items() if name not in row}
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        return escape_unsafe(json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str))


class TextLines(logging.Formatter):
    """Lines for people. On a terminal what happens is told without the name of its logger."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__(_LINE)
        self._of_activity = logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S") if is_terminal else None

    def format(self, record: logging.LogRecord) -> str:
        if self._of_activity is not None and record.name == ACTIVITY and record.levelno == logging.INFO:
            return self._of_activity.format(record)
        return super().format(record)


def set_up(config: Config, out: TextIO | None = None) -> None:
    """Have everything logged on standard error (``out``), as the settings say."""
    out = sys.stderr if out is None else out
    is_terminal = out is not None and out.isatty()  # None where the shell has closed it
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonLines() if config.log_format == "json" else TextLines(is_terminal=is_terminal))
    level = logging.getLevelNamesMapping()[config.log_level.upper()]
    logging.basicConfig(level=level, handlers=[handler])
    is_told = {"on": True, "off": False}.get(config.log_activity, is_terminal or level <= logging.INFO)
    logging.getLogger(ACTIVITY).setLevel(logging.INFO if is_told else logging.WARNING)
