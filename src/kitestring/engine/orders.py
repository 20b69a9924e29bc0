"""The orders of one payment: which may still be on their way to the node, and which word about them is the last.

A node's word is about *an* order of the hash; the question is whether any order of ours can still be carried out after
it. ``Settled`` always ends a payment, its preimage is the proof. ``InFlight`` and ``Unknown`` never do. That leaves the
words of failure, each under what this process knows of the orders:

==================================  ===============================  =================================================
orders that were sent               the node's word                  verdict
==================================  ===============================  =================================================
one, and this is what ``pay``       failed                           ends: it is of the only order there ever was
itself answered                                                      (the pursuit decides it, not this file)
one, its answer was lost            failed, seen trying before       ends: it is of this attempt
                                    failed, another record than at   ends: the record changed under our eyes
                                    first sight
                                    failed, dated after the claim,   ends: only this order can be meant
                                    hash never claimed before
                                    failed otherwise                 may be an earlier attempt's: look again, and send
                                                                     the same one again when it is time
                                    never seen                       may be on its way: send the same one again when
                                                                     it is time
any, after it was seen trying       never seen                       proves nothing: the node has lost its record
several, the last one refused       failed or never seen, and        ends, with the words of the refusal: nothing else
by ``pay``                          quiet for the answer limit       was seen on its way since
several, the last one lost          failed, as in the rows of one,   ends
                                    and quiet
                                    otherwise                        send again when it is time
those of a dead process             failed, as in the rows above     ends
                                    failed otherwise, before the     wait: an order of its may still arrive
                                    answer limit since it was found
                                    failed otherwise, after it,      ends: nobody sends any more
                                    from an authoritative node
                                    never seen                       send the same one again at once, if somebody
                                                                     still wants it
any, and nobody wants it any more   failed or never seen, after      ends: it was not sent again, because …
(expired, too late, revoked, …)     the answer limit
==================================  ===============================  =================================================

Every wait is of this process's monotonic clock. The wall clock may have been set: a wait that it shortens gives money
back that an order on its way still spends.

An order whose connection broke may still reach the node: a proxy or the kernel delivers what it had taken. None is
expected to after the answer limit of a call, :data:`~kitestring.engine.node.ANSWER_LIMIT_S`, has passed without one:
that is the one quiet time for all rows. Beyond it a residual risk stays: an order that some proxy delivers even later
is paid though its payment is recorded as failed; the audit against the node finds it.

"Seen" is judged by :class:`~kitestring.engine.evidence.Evidence`. "Never seen" counts only where the backend declares
authoritative look-ups, and the same order is sent again only where it is idempotent by hash; elsewhere a payment stays
unknown until the node or the operator says more.
"""

from __future__ import annotations

import itertools
from typing import Final

from kitestring.base.payments import Failed, InFlight, LookupAnswer, NeverSeen
from kitestring.engine.evidence import Evidence
from kitestring.engine.node import ANSWER_LIMIT_S

#: Waits before the same order is sent again, the last one forever: a refusal that no adapter recognises stays one.
SEND_AGAIN_S: Final = (60.0, 120.0, 300.0, 600.0)


class Orders:
    """One payment in one process. Times are monotonic seconds.

    No order is on its way any more at ``over_at_s``, the answer limit of a call after the last one. A dead process
    sends nothing more: from then on a failure that an authoritative node shows is final, whichever attempt
    it belongs to. When it died is known from the wall clock alone, which may have been set meanwhile. So its orders are
    waited for as if the last one had been sent when this process found them, however old the claim looks.

    ``first_at`` (Unix seconds, None where there was an earlier one) is when the first payment of its hash that this
    service ever knew was claimed. As long as only one order was sent for it, a failure that the node dates after that
    is of this very order. A clock of the node that is behind ours only takes the long way; one that is ahead could lend
    this date to an attempt that somebody made at the node itself, without us, just before.
    """

    def __init__(
        self, now_s: float, *, over_at_s: float, is_dead: bool = False, are_several: bool = False,
        first_at: int | None = None,
    ) -> None:  # fmt: skip
        self._first_at = first_at
        self._evidence = Evidence()
        self._was_seen = False
        self._told: Failed | None = None
        self._last_s = now_s
        self._over_at_s = over_at_s
        self._is_dead = is_dead
        self._are_several = are_several
        self._waits = itertools.chain(SEND_AGAIN_S, itertools.repeat(SEND_AGAIN_S[-1]))
        self._next_s = now_s if is_dead else now_s + next(self._waits)

    @classmethod
    def lost(cls, now_s: float, first_at: int | None) -> Orders:
        """One order was sent in this process, and its call ended just now without the last word."""
        return cls(now_s, over_at_s=now_s + ANSWER_LIMIT_S, first_at=first_at)

    @classmethod
    def of_the_dead(cls, now_s: float, *, may_be_several: bool, first_at: int | None) -> Orders:
        """Sent by a process that is gone: once, when the payment was claimed, or again at any time until its end."""
        over_at_s = now_s + ANSWER_LIMIT_S
        return cls(now_s, over_at_s=over_at_s, is_dead=True, are_several=may_be_several, first_at=first_at)

    @classmethod
    def of_others(cls, now_s: float) -> Orders:
        """Sent by a process of which nothing is known: any number of times, until now."""
        return cls.of_the_dead(now_s, may_be_several=True, first_at=None)

    def sent(self, answer: LookupAnswer, now_s: float) -> None:
        """The order was sent again, and its call ended just now with ``answer``."""
        self._told = answer if isinstance(answer, Failed) else None
        self._last_s, self._over_at_s = now_s, now_s + ANSWER_LIMIT_S
        self._is_dead, self._are_several = False, True
        self._next_s = now_s + next(self._waits)

    def may_send(self, seen: NeverSeen | Failed, now_s: float) -> bool:
        """Whether it is time for the same order again. A refusal of the last one is waited out, not repeated. After a
        restart a failure is no reason to send: first the time passes in which an order of the previous process may
        still arrive."""
        is_told = self._told is not None or (self._is_dead and isinstance(seen, Failed))
        return now_s >= self._next_s and not is_told and not self.has_lost(seen)

    def has_lost(self, seen: LookupAnswer) -> bool:
        """Whether the node denies what it has shown before: it has lost its record, and proves nothing."""
        return self._was_seen and isinstance(seen, NeverSeen)

    def is_over(self, now_s: float) -> bool:
        return now_s >= self._over_at_s

    def end(self, answer: LookupAnswer, now_s: float, *, is_authoritative: bool) -> Failed | None:
        """Look at one answer; the failure that is the end of this payment, if it proves one.

        One order: it was seen trying and failed, or its record changed. Several: the same, or the node refused the last
        of them, and a look-up after a quiet time still shows no other. A dead process: see the class."""
        is_proven = self._evidence.proves(answer)
        if isinstance(answer, InFlight):
            self._told, self._was_seen = None, True  # an earlier one has arrived
        if not isinstance(answer, Failed | NeverSeen) or self.has_lost(answer):
            return None
        is_quiet = not self._are_several or now_s - self._last_s >= ANSWER_LIMIT_S
        if self._told is not None:
            return self._told if is_quiet else None
        if isinstance(answer, NeverSeen):
            return None
        is_final = self._is_dead and is_authoritative and self.is_over(now_s)
        return answer if (is_proven and is_quiet) or is_final or self._is_of_the_only_order(answer) else None

    def _is_of_the_only_order(self, failure: Failed) -> bool:
        if self._are_several or self._first_at is None or failure.attempt_at is None:
            return False
        return failure.attempt_at >= self._first_at
