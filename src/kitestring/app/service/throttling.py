"""The request limits of this service: which bucket each kind of caller drinks from, and how often one is told so."""

from __future__ import annotations

from typing import Final, Protocol

from kitestring.app.home.config import RequestLimits
from kitestring.base.commands import Bundle, Debit, PayInvoice
from kitestring.base.enrolments import TOGETHER
from kitestring.base.errors import Reason
from kitestring.base.outcomes import Refused
from kitestring.base.ports import Clock
from kitestring.policy.rate_limits import Limiter, RateLimit, take_all
from kitestring.wire.grammar import Asked

#: A reply to a message nobody can read helps once; more of them would be an echo for strangers.
UNDECRYPTABLE: Final = RateLimit(1, 1)
#: One stranger; the other payers of an offer are not held up by it.
PER_AUTHOR: Final = RateLimit(30, 30)
#: "Too many requests", per caller: one in five seconds is enough to be understood, the rest is silence.
RATE_REFUSALS: Final = RateLimit(12, 1)
#: "Too old" to one connection: what a relay has kept over an outage must not use up what new requests need.
STALE_REFUSALS: Final = RateLimit(60, 60)
#: Refusals of strangers' requests that reach no target, all together.
STRANGER_REFUSALS: Final = RateLimit(600, 600)
#: The same answer said again, per request: a client that asks again has waited longer, and copies are no echo.
SAID_AGAIN: Final = RateLimit(6, 1)
#: Answers said again to one connection, and to all strangers together: what relays show after an outage.
SAID_AGAIN_ALL: Final = RateLimit(600, 600)
#: Words of sessions at one pointer, each of which may be kept for good: of all who are known, and of all strangers.
SESSION_WORDS: Final = RateLimit(60, 60)
#: The one key of a bucket that all share.
EVERYBODY: Final = ""
#: Proof of work (NIP-13) that opens a way of its own while others have taken all there is: a million hashes, a second
#: or two for whoever pays once, and a core for each one or two a second for a flood.
WORK_BITS: Final = 20
#: Requests with that work, all together, beside what all others have.
WORKED: Final = RateLimit(600, 60)

_Takes = tuple[tuple[Limiter | None, str], ...]

#: Payments of all enrolled keys together in a minute, beside those that they have at once: from one of their accounts
#: to another they cost nothing, and their rows stay forever, some 5 kB each.
ENROLLED_PAYMENTS_PER_MIN: Final = 30


class CallerThrottle(Protocol):
    """The buckets of one kind of callers; ``caller`` is the name of one of them."""

    def admit(self, caller: str) -> Refused | None:
        """Take what any request costs before it is read; the refusal if there is no room."""
        ...

    def charge(self, caller: str, asked: Asked, work_bits: int = 0) -> Refused | None:
        """Take what this request costs; the refusal if there is no room. ``work_bits`` is its proof of work."""
        ...

    def may_tell(self, caller: str, reason: Reason, *, read: bool) -> bool:
        """Whether a refusal is answered now; otherwise silence. ``read`` is False for what nobody can decrypt."""
        ...

    def may_repeat(self, caller: str, request_id: str) -> bool:
        """Whether the answer to a request is said once more; otherwise silence."""
        ...


class ConnectionThrottle:
    """Of a connection each request costs, well-formed or not, and a payment costs more. So do those of a caller of
    debits that has a grant."""

    def __init__(self, limits: RequestLimits, clock: Clock) -> None:
        self._buckets = _Buckets(clock)
        self._words = Limiter(SESSION_WORDS)
        self._requests = _limiter(limits.requests_per_min)
        self._payments = _limiter(limits.payments_per_min)
        self._unread = Limiter(UNDECRYPTABLE)
        self._again, self._again_all = Limiter(SAID_AGAIN), Limiter(SAID_AGAIN_ALL)
        self._told = {Reason.RATE_LIMITED: Limiter(RATE_REFUSALS), Reason.STALE_REQUEST: Limiter(STALE_REFUSALS)}

    def _of(self, limiter: Limiter | None, caller: str) -> _Takes:
        """The buckets out of which is taken what ``caller`` alone is bounded by."""
        return ((limiter, caller),)

    def admit(self, caller: str) -> Refused | None:
        return self._buckets.take(*self._of(self._requests, caller))

    def charge(self, caller: str, asked: Asked, work_bits: int = 0) -> Refused | None:
        payments = _payments(asked)
        if payments > 1:
            taken = (self._buckets.take(*self._of(self._payments, caller)) for _ in range(payments))
            return next(filter(None, taken), None)
        return self._buckets.take(*self._of(self._payments, caller), *_word(self._words, asked)) if payments else None

    def may_tell(self, caller: str, reason: Reason, *, read: bool) -> bool:
        """A request that was read has paid for its answer: only some refusals have limits of their own."""
        return self._buckets.take(*self._of(self._told.get(reason) if read else self._unread, caller)) is None

    def may_repeat(self, caller: str, request_id: str) -> bool:
        return self._buckets.take((self._again, request_id), *self._of(self._again_all, caller)) is None


class EnrolledThrottle(ConnectionThrottle):
    """Of a key that has enrolled it costs what it costs a connection, and all of them together have what a few
    connections have: keys are free, and so are payments from one of their accounts to another, whose rows stay."""

    def __init__(self, limits: RequestLimits, clock: Clock) -> None:
        super().__init__(limits, clock)
        limiters = (self._requests, self._payments, self._unread, self._again_all, *self._told.values())
        self._together: Final = {one: one.times(TOGETHER) for one in limiters if one is not None}
        if self._payments is not None:
            at_once = limits.payments_per_min * TOGETHER
            self._together[self._payments] = Limiter(RateLimit(min(at_once, ENROLLED_PAYMENTS_PER_MIN), at_once))

    def _of(self, limiter: Limiter | None, caller: str) -> _Takes:
        return () if limiter is None else ((limiter, caller), (self._together[limiter], EVERYBODY))


class StrangerThrottle:
    """A stranger's request costs per author, per target (a session's word there once more), and all together; one with
    proof of work has a way beside all but the first, so that a flood with fresh keys closes no offer and no pointer for
    whoever has done some. Refusals of those that reach
    no target are bounded all together too: each costs a signature and a publication, and keys of strangers are free."""

    def __init__(self, limits: RequestLimits, clock: Clock) -> None:
        self._buckets = _Buckets(clock)
        self._words = Limiter(SESSION_WORDS)
        self._author = Limiter(PER_AUTHOR)
        self._target = _limiter(limits.offer_requests_per_min)
        self._all = _limiter(limits.all_offers_requests_per_min)
        self._worked = Limiter(WORKED)
        self._limit_told = Limiter(RATE_REFUSALS)
        self._refusals = Limiter(STRANGER_REFUSALS)
        self._again, self._again_all = Limiter(SAID_AGAIN), Limiter(SAID_AGAIN_ALL)

    def admit(self, caller: str) -> Refused | None:
        """Nothing yet: the target is not known."""
        return None

    def charge(self, caller: str, asked: Asked, work_bits: int = 0) -> Refused | None:
        shared = (self._target, asked.target), (self._all, EVERYBODY), *_word(self._words, asked)
        limited = self._buckets.take((self._author, caller), *shared)
        if limited is None:
            return None
        if work_bits >= WORK_BITS:
            return self._buckets.take((self._author, caller), (self._worked, EVERYBODY))
        more = f"{limited.message}, or at once with {WORK_BITS} bits of proof of work (NIP-13)"
        return Refused(limited.reason, more, {**limited.details, "work_bits": WORK_BITS})

    def may_tell(self, caller: str, reason: Reason, *, read: bool) -> bool:
        own = self._limit_told if reason is Reason.RATE_LIMITED else self._author
        return self._buckets.take((own, caller), (self._refusals, EVERYBODY)) is None

    def may_repeat(self, caller: str, request_id: str) -> bool:
        return self._buckets.take((self._again, request_id), (self._again_all, EVERYBODY)) is None


class Throttles:
    """Token buckets in memory, bounded; what a restart forgets is at most one burst."""

    def __init__(self, limits: RequestLimits, clock: Clock) -> None:
        self._limits, self._clock = limits, clock
        self._strangers: dict[str, StrangerThrottle] = {}
        self.connections: Final = ConnectionThrottle(limits, clock)
        self.enrolled: Final = EnrolledThrottle(limits, clock)

    def strangers(self, wire: str) -> StrangerThrottle:
        """The buckets of one wire: a flood over one leaves the others open."""
        if wire not in self._strangers:
            self._strangers[wire] = StrangerThrottle(self._limits, self._clock)
        return self._strangers[wire]


class _Buckets:
    """Takes tokens at the time of the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def take(self, *buckets: tuple[Limiter | None, str]) -> Refused | None:
        if len(buckets) == 1:
            limiter, key = buckets[0]
            wait_ms = limiter.take(key, int(self._clock.monotonic() * 1000)) if limiter is not None else 0
            return self._wait(wait_ms) if wait_ms else None
        limits = [(limiter, key) for limiter, key in buckets if limiter is not None]
        wait_ms = take_all(limits, int(self._clock.monotonic() * 1000))
        return self._wait(wait_ms) if wait_ms else None

    def _wait(self, wait_ms: int) -> Refused:
        wait_s = -(-wait_ms // 1000)
        details = {"retry_after": self._clock.now() + wait_s}
        return Refused(Reason.RATE_LIMITED, f"too many requests: try again in {wait_s} s", details)


def _payments(asked: Asked) -> int:
    """The number of payments that are asked for."""
    command = asked.command
    if isinstance(command, Bundle):
        return len(command.parts)
    return int(isinstance(command, PayInvoice) or (isinstance(command, Debit) and command.payment is not None))


def _word(words: Limiter, asked: Asked) -> tuple[tuple[Limiter, str], ...]:
    """The bucket of the pointer, where a request shows a session's word."""
    command = asked.command
    return ((words, command.pointer_id),) if isinstance(command, Debit) and command.k1 else ()


def _limiter(per_minute: int) -> Limiter | None:
    """A burst of one minute's worth: fifty payments at once are normal for an agent. 0 = no limit."""
    return Limiter(RateLimit(per_minute, per_minute)) if per_minute else None
