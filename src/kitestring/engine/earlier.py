"""The lives of the service before this one: whether what they may have begun is begun, or sent, once more.

A ledger that was restored has forgotten what was answered since. An app that was told *no* then has paid in another
way; so what may have been answered in a life that the ledger does not know of is only looked for at the node, and not
sent, until a witness outside says that the ledger is not behind what anybody was told.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from kitestring.base.ports import Clock


class EarlierLife:
    """All that came before this run of the service, which begins when this is made."""

    def __init__(self, clock: Clock, is_witnessed: Callable[[], bool]) -> None:
        self._clock = clock
        self._is_witnessed = is_witnessed
        self._begun_s = clock.monotonic()

    @property
    def may_be_sent(self) -> bool:
        """Whether an order of an earlier life may be given to the node."""
        return self._is_witnessed()

    def came_before(self, sent_at: int) -> bool:
        """Whether a request of this date (Unix seconds) is older than this run.

        The start of this run is told by the clock as it is now, wherever it has stepped since. Dates are whole seconds:
        one of the very second of the start counts as new, for no ledger is put back and served within it.
        """
        return sent_at < self._clock.now() - math.ceil(self._clock.monotonic() - self._begun_s)

    def may_have_answered(self, sent_at: int) -> bool:
        """Whether a request of this date (Unix seconds) may have been answered, with the ledger not knowing of it."""
        return not self._is_witnessed() and self.came_before(sent_at)
