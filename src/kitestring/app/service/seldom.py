"""Lines of the log about what fails again and again: each is said once a minute at most."""

from __future__ import annotations

import logging
from typing import Final

from kitestring.base.ports import Clock

#: Seconds in which one line is said once.
LINE_PAUSE_S: Final = 60.0


class Seldom:
    """Writes into ``log``. Lines of the same ``words``, whatever ``values`` stand in them, are one line."""

    def __init__(self, log: logging.Logger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._due: dict[str, float] = {}

    def warning(self, words: str, *values: object) -> None:
        """Warn, unless that was said within the last :data:`LINE_PAUSE_S` seconds."""
        if self._may_say(words):
            self._log.warning(words, *values)

    def error(self, words: str, *values: object) -> None:
        """The same at the level of errors."""
        if self._may_say(words):
            self._log.error(words, *values)

    def exception(self, words: str, *values: object) -> None:
        """The same for an exception that is being handled, with its traceback."""
        if self._may_say(words):
            self._log.exception(words, *values)

    def _may_say(self, words: str) -> bool:
        now = self._clock.monotonic()
        if now < self._due.get(words, now):
            return False
        self._due[words] = now + LINE_PAUSE_S
        return True
