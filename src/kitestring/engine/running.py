"""What this process knows of the payments it carries out now: whose they are, who waits, and what proves their end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kitestring.base.errors import Reason
from kitestring.base.outcomes import Refused
from kitestring.base.payments import Failed, InFlight, LookupAnswer
from kitestring.base.records import Payment, Request


class UnderWay:
    """The payments under way, each with the requests that its end answers."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Request, ...]] = {}
        self._grants: dict[str, str] = {}
        self._by_grant: Counter[str] = Counter()
        self._slots: Counter[str] = Counter()  # of requests that are being decided, by grant

    def __len__(self) -> int:
        return len(self._waiting)

    def refuse_slot(self, grant_id: str, most: int, most_of_grant: int) -> Refused | None:
        """Take a slot for a payment that may begin, or the refusal if ``most`` are taken, by what is under way or
        being decided; ``most_of_grant``: of one connection (0 = no bound)."""
        if len(self) + self._slots.total() >= most:
            return Refused(Reason.RATE_LIMITED, "too many payments are under way; try again later")
        if 0 < most_of_grant <= self._by_grant[grant_id] + self._slots[grant_id]:
            return Refused(Reason.RATE_LIMITED, "too many payments of this connection are under way; try again later")
        self._slots[grant_id] += 1
        return None

    def give_back(self, grant_id: str) -> None:
        """The slot of a request that is decided: its payment, if there is one, has begun."""
        self._slots[grant_id] -= 1
        if not self._slots[grant_id]:
            del self._slots[grant_id]

    def begin(self, payment: Payment, waiting: Sequence[Request]) -> None:
        if payment.payment_id not in self._grants:
            self._grants[payment.payment_id] = payment.grant_id
            self._by_grant[payment.grant_id] += 1
        self._waiting[payment.payment_id] = tuple(waiting)

    def end(self, payment_id: str) -> None:
        self._waiting.pop(payment_id, None)
        grant_id = self._grants.pop(payment_id, None)
        if grant_id is not None:
            self._by_grant[grant_id] -= 1
            if not self._by_grant[grant_id]:
                del self._by_grant[grant_id]

    def waiting(self, payment_id: str) -> tuple[Request, ...]:
        return self._waiting.get(payment_id, ())


class Sight:
    """What look-ups have shown of one payment since its claim, and whether a failure among them is *its* end.

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
