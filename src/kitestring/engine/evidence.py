"""Whether a failure that a node shows is the end of *this* attempt, or the record of an earlier one."""

from __future__ import annotations

from kitestring.base.payments import Failed, InFlight, LookupAnswer


class Evidence:
    """The look-ups of one payment since its claim.

    A node keeps the record of a failed attempt until it takes the next order of the same hash. A look-up before that
    (the order is still on its way and its answer was lost, or a crash came before it was sent) finds the old failure.
    Times do not tell the two apart: the node's clock may be ahead of ours by more than an app waits before it tries
    again. So only what the node itself shows after the claim counts, for since then nobody else sends this hash: it
    was seen trying, or its record became another one than at first sight. What the call of ``pay`` answers itself needs
    no such proof.
    """

    def __init__(self) -> None:
        self._was_trying = False
        self._first: Failed | None = None

    def proves(self, answer: LookupAnswer) -> bool:
        """Look at one answer; True when it is a failure, and of this attempt."""
        if not isinstance(answer, Failed):
            self._was_trying = self._was_trying or isinstance(answer, InFlight)
            return False
        if self._first is None:
            self._first = answer
            return self._was_trying
        times = (self._first.attempt_at, answer.attempt_at)
        return self._was_trying or (None not in times and times[0] != times[1])
