"""Enrolment: a stranger's key gets an account of its own, once and forever the same.

The ids in its codes follow from the key and from a secret of the service, so that two requests at once, a copy, a crash
and a restored ledger all lead to the same ones. Nothing is stored of who is refused, nor of who asks again.
"""

from __future__ import annotations

import hmac
from typing import Final, assert_never

import msgspec

from kitestring.base.commands import DEBITS_WIRE, Enroll
from kitestring.base.enrolments import LABEL, LABEL_DIGITS, Enrolment, account_id_of
from kitestring.base.errors import Reason
from kitestring.base.grants import Account, Grant, Offer, OfferState
from kitestring.base.outcomes import Enrolled, Refused
from kitestring.base.transactions.answers import Claimed, Denied, Finished, Running, Stale
from kitestring.base.transactions.owner import EnrollKey
from kitestring.engine.answers import Answers, new_request, unclaimed_request
from kitestring.engine.context import MAX_STALE_ROUNDS, Context, Incoming
from kitestring.policy.enrolling import CLOSED, refuse_enrolment
from kitestring.policy.rate_limits import Limiter, RateLimit

#: 128 bits: only who was given a code can ask by it.
ID_DIGITS: Final = 32
#: What is done by the pointer of an account, and by the grant of its key.
METHODS: Final = frozenset({"pay_invoice"})
#: The one bucket of all new accounts.
_ALL: Final = ""

_BLOCKED: Final = Refused(Reason.NOT_PERMITTED)
_ENDED: Final = Refused(Reason.NOT_PERMITTED, "the account of this key was ended by the owner of this service")


class Enrolling:
    """Opens accounts, and tells who has one its codes again."""

    def __init__(self, context: Context, answers: Answers) -> None:
        terms = context.enrolling.terms
        self._context = context
        self._answers = answers
        self._terms = terms
        self._new: Final = Limiter(RateLimit(terms.accounts_per_min, terms.accounts_per_min))

    async def handle(self, incoming: Incoming, command: Enroll) -> Refused | None:
        """Enroll the author; returns when that is durable. A refusal is returned, and told by whoever asks."""
        for _ in range(MAX_STALE_ROUNDS):
            answer = await self._enroll(incoming, command)
            if not isinstance(answer, Stale):
                return answer
        return Refused(Reason.BUSY, "this account is being changed; try again")

    async def _enroll(self, incoming: Incoming, command: Enroll) -> Refused | Stale | None:
        if await self._context.store.is_blocked(incoming.author):
            return _BLOCKED
        known = await self._known(incoming.author)
        if isinstance(known, Refused):
            return known
        if known is not None:
            self._tell(incoming, known)
            return None
        return refuse_enrolment(self._terms, command.work_bits) or await self._open(incoming)

    # ------------------------------------------------------------ who has an account

    async def _known(self, key: str) -> Enrolled | Refused | None:
        """The codes of a key's account; a refusal where the owner has ended one of them, None where there is none. A
        code that forwards, or is off for now, is its own all the same."""
        store = self._context.store
        if await store.account(account_id_of(key)) is None:
            return None
        offer = await store.offer(self._id("offer", key))
        pointer = await store.grant(self._id("pointer", key))
        if offer is None or _has_ended(offer) or pointer is None or pointer.revoked_at is not None:
            return _ENDED
        return _codes(offer, pointer)

    def _tell(self, incoming: Incoming, codes: Enrolled) -> None:
        """Say it once and store nothing: who asks anew is answered anew, in the same words."""
        request = unclaimed_request(incoming, self._context.clock.now())
        self._context.deliver(self._answers.replies((request,), (codes,)))

    # ------------------------------------------------------------ who has none

    async def _open(self, incoming: Incoming) -> Refused | Stale | None:
        relays = self._context.enrolling.relays()
        if not relays:
            return Refused(Reason.UNAVAILABLE, "the service has no relay for a code now; try again")
        wait_ms = self._new.take(_ALL, int(self._context.clock.monotonic() * 1000))
        if wait_ms:
            return self._wait(-(-wait_ms // 1000))
        answer = await self._context.store.apply(self._transaction(incoming, relays))
        match answer:
            case Claimed() | Running():
                return None
            case Finished():
                self._context.deliver(answer.messages)
                return None
            case Stale():
                return answer
            case Denied():
                return CLOSED if answer.reason is Reason.OVER_BUDGET else Refused(answer.reason)
            case _:
                assert_never(answer)

    def _wait(self, wait_s: int) -> Refused:
        details = {"retry_after": self._context.clock.now() + wait_s}
        return Refused(Reason.RATE_LIMITED, f"too many new accounts: try again in {wait_s} s", details)

    def _transaction(self, incoming: Incoming, relays: tuple[str, ...]) -> EnrollKey:
        now, key = self._context.clock.now(), incoming.author
        made = self._enrolment(key, relays, now)
        request = msgspec.structs.replace(new_request(incoming, now), grant_id=made.grant.grant_id)
        (message,) = self._answers.replies((request,), (_codes(made.offer, made.pointer),))
        return EnrollKey(request, made, message, self._terms.max_accounts)

    def _enrolment(self, key: str, relays: tuple[str, ...], now: int) -> Enrolment:
        """The rows of a new account. Its balance is the only limit of its own key; to all others the pointer is
        closed, and the owner is not asked about money that is not his."""
        account_id = account_id_of(key)
        offer_id, pointer_id = self._id("offer", key), self._id("pointer", key)
        label = LABEL + offer_id[:LABEL_DIGITS]
        return Enrolment(
            Account(account_id=account_id, name=key, created_at=now),
            Offer(
                offer_id=offer_id, label=label, account_id=account_id, relays=relays, creator=key, created_at=now
            ),
            Grant(
                grant_id=pointer_id, name=account_id, wire=DEBITS_WIRE, account_id=account_id, methods=METHODS,
                service_pubkey=self._context.enrolling.service_pubkey, relays=relays, pointer_id=pointer_id,
                strangers="deny", created_at=now,
            ),
            Grant(
                grant_id=self._id("grant", key), name=account_id, wire=DEBITS_WIRE, account_id=account_id,
                methods=METHODS, caller=key, pointer_id=pointer_id, created_at=now,
            ),
        )  # fmt: skip

    def _id(self, what: str, key: str) -> str:
        return hmac.digest(self._context.enrolling.secret, f"{what} {key}".encode(), "sha256").hex()[:ID_DIGITS]


def _has_ended(offer: Offer) -> bool:
    return offer.state is OfferState.DELETED or (offer.state is OfferState.MOVED and not offer.latest)


def _codes(offer: Offer, pointer: Grant) -> Enrolled:
    return Enrolled(pointer.service_pubkey, offer.offer_id, offer.relays, pointer.grant_id, pointer.relays)
