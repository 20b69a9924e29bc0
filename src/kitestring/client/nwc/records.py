"""The wallet's record of a payment: looked up by its hash, and what it proves."""

from __future__ import annotations

from functools import partial
from typing import Final

from msgspec.structs import replace

from kitestring.base.commands import LookupInvoice, PayInvoice
from kitestring.base.destinations import Keysend
from kitestring.base.errors import KitestringError
from kitestring.base.outcomes import Refused
from kitestring.base.payments import Failed, LookupAnswer, Unknown
from kitestring.client.in_flight import as_words
from kitestring.client.nwc.session import NwcSession, said
from kitestring.wire.ask.nwc.records import decode_record


class PaymentRecords:
    """Of the payments that ``session`` is about."""

    def __init__(self, session: NwcSession) -> None:
        self._session: Final = session

    async def of(self, command: PayInvoice) -> LookupAnswer | Refused:
        """The record of this payment, or the refusal to show it. Never raises KitestringError: a look-up that fails is
        Unknown."""
        return await self.look(command.payment_hash, is_keysend=isinstance(command.destination, Keysend))

    async def look(self, payment_hash: str, *, is_keysend: bool = False) -> LookupAnswer | Refused:
        """As :meth:`of`, by the hash (64 hex digits). A failure is dated by our clock."""
        session = self._session
        read = partial(decode_record, payment_hash=payment_hash, now=session.net.clock.now(), is_keysend=is_keysend)
        try:
            answer = await session.ask(LookupInvoice(payment_hash=payment_hash), read)
        except KitestringError as error:
            return Unknown(error.message)
        if isinstance(answer, Failed) and answer.attempt_at is not None:
            return replace(answer, attempt_at=answer.attempt_at - max(session.ahead_s, 0))
        return answer


def words(record: LookupAnswer | Refused) -> str:
    """A record that does not prove the end, as part of a sentence."""
    return f"it does not let its record be read: {said(record)}" if isinstance(record, Refused) else as_words(record)


def is_of_this_attempt(record: LookupAnswer | Refused, sent_at: int | None) -> bool:
    """Whether the record shows a failure that is not older than the request, the first of its hash (``sent_at`` None:
    it is not). There is no tolerance for clocks: a wallet whose clock is behind leaves the payment in flight, which is
    a nuisance and no loss."""
    if sent_at is None or not isinstance(record, Failed) or record.attempt_at is None:
        return False
    return record.attempt_at >= sent_at
