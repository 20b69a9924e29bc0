"""Payments through one NWC connection.

None is called failed because its reply is missing: then the wallet is asked about its hash, and if that does not tell
either, the error is PAYMENT_IN_FLIGHT.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple, TypeVar

from kitestring.base.commands import MAX_PARTS, Bundle, Part, PayInvoice
from kitestring.base.destinations import Keysend
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.outcomes import Outcome, Paid, Refused
from kitestring.base.payments import InFlight, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.client.in_flight import in_flight
from kitestring.client.nwc.attempts import Attempt, Attempts
from kitestring.client.nwc.records import PaymentRecords, is_of_this_attempt, words
from kitestring.client.nwc.session import NwcSession, said
from kitestring.client.session import Exchange, NothingSentError
from kitestring.wire.ask.nwc.announcement import announces_bundles
from kitestring.wire.ask.nwc.codes import is_final, own_word
from kitestring.wire.ask.nwc.methods import decode_response, encode_request

T = TypeVar("T")

_FAILED: Final = Refused(Reason.PAYMENT_FAILED, "its record says failed")
#: What a wallet says, too, while an order that another program has given holds what there is.
_OF_MONEY: Final = frozenset({Reason.OVER_BUDGET, Reason.INSUFFICIENT_FUNDS})
#: What is said of one payment. Without a name, in the answer to several, it may be that of any of them.
_OF_ONE: Final = frozenset({Reason.PAYMENT_FAILED, Reason.INSUFFICIENT_FUNDS, Reason.OVER_BUDGET, Reason.FEE_LIMIT})

#: Of the time that a caller gives, so much is left for looks at the wallet's record, and never more than these seconds:
#: the answer of a slow payment is worth more.
_LOOK_SHARE: Final = 0.25
_MAX_LOOK_S: Final = 5.0


class Paying:
    """Over ``session``, with the ``records`` of the same wallet."""

    def __init__(self, session: NwcSession, records: PaymentRecords) -> None:
        self._session: Final = session
        self._net: Final = session.net
        self._records: Final = records
        self._attempts: Final = Attempts(session.net.clock)

    async def pay(self, command: PayInvoice, *, timeout_s: float | None = None) -> Paid:
        """Returns only with a preimage that hashes to the payment. Raises KitestringError: NothingSentError, the
        wallet's refusal, or PAYMENT_IN_FLIGHT (detail ``payment_hash``) when nobody can say yet. ``timeout_s`` bounds
        it all, looks at the record too; without it these come on top."""
        read = partial(decode_response, command=command)
        attempt = self._attempts.begin(command.payment_hash)
        wait_s = self._net.waits.pay_s if timeout_s is None else timeout_s
        until = _end_of(timeout_s)
        try:
            async with self._session.exchange(encode_request(command), lasts_s=wait_s) as exchange:
                outcome = await exchange.next(read, _for_the_reply(wait_s, timeout_s))
                self._session.note(exchange)
                if outcome is None:
                    looks = self._find_out(exchange, read, command, attempt)
                    outcome = await self._before(until, looks, command, exchange.trouble)
        except NothingSentError:
            self._attempts.unsent(attempt)
            raise
        return await self._before(until, self._ended(outcome, command, attempt), command)

    async def _before(
        self, until: float | None, end: Awaitable[T], command: PayInvoice, trouble: Callable[[], str] = str
    ) -> T:
        """The end of an order that was sent, if it is known ``until`` then. Raises KitestringError(PAYMENT_IN_FLIGHT)
        when it is not: time that has passed is no proof."""
        try:
            async with asyncio.timeout_at(until):
                return await end
        except TimeoutError as over:
            raise self._in_flight(command, f"nobody has told its end in the time that was given{trouble()}") from over

    async def pay_many(
        self, commands: Sequence[PayInvoice], *, timeout_s: float | None = None
    ) -> list[Paid | KitestringError]:
        """Pay several invoices, and tell of each how it ended, in their order.

        In one request for :data:`~kitestring.base.commands.MAX_PARTS` of them where the wallet announces that it takes
        several, else in one request for each, at the same time. Never raises for what becomes of one of them.
        """
        if not announces_bundles(self._session.service) or len(commands) < 2:
            return list(await asyncio.gather(*(_told(self.pay(one, timeout_s=timeout_s)) for one in commands)))
        slices = [commands[start : start + MAX_PARTS] for start in range(0, len(commands), MAX_PARTS)]
        found = await asyncio.gather(*(self._pay_together(some, timeout_s) for some in slices))
        return [one for some in found for one in some]

    async def _pay_together(
        self, commands: Sequence[PayInvoice], timeout_s: float | None
    ) -> list[Paid | KitestringError]:
        """One request for all of these: each is answered for itself, or looked up where it is not."""
        attempts = [self._attempts.begin(one.payment_hash) for one in commands]
        wait_s = self._net.waits.pay_s if timeout_s is None else timeout_s
        until = _end_of(timeout_s)
        try:
            heard = await self._hear_of_each(commands, wait_s, _for_the_reply(wait_s, timeout_s))
        except KitestringError as unsent:  # of these requests nothing has left
            for attempt in attempts:
                self._attempts.unsent(attempt)
            return [unsent for _ in commands]
        ends = ((self._end(one, heard.get(place), attempts[place]), one) for place, one in enumerate(commands))
        return list(await asyncio.gather(*(_told(self._before(until, end, one)) for end, one in ends)))

    async def _hear_of_each(self, commands: Sequence[PayInvoice], wait_s: float, reply_s: float) -> dict[int, Heard]:
        """The answers by the places of the payments."""
        heard: dict[int, Heard] = {}
        text, until = encode_request(Bundle(parts=tuple(map(Part, commands)))), self._net.clock.monotonic() + reply_s
        async with self._session.exchange(text, lasts_s=wait_s, max_replies=2 * len(commands)) as exchange:
            while len(heard) < len(commands):
                left_s = until - self._net.clock.monotonic()
                found = await exchange.next_named(partial(_read_named, commands), left_s)
                if found is None:
                    break
                heard = found | heard  # the first word about each stays
        self._session.note(exchange)
        return heard

    async def _end(self, command: PayInvoice, heard: Heard | None, attempt: Attempt) -> Paid:
        if heard is not None:
            return await self._ended(heard.outcome, command, attempt, is_its_own=heard.is_its_own)
        record = await self._records.of(command)
        if not isinstance(record, Settled) and not is_of_this_attempt(record, attempt.sent_at):
            raise self._in_flight(command, words(record))
        found = _paid(command, record) if isinstance(record, Settled) else _FAILED
        return await self._ended(found, command, attempt)

    async def _ended(self, outcome: Outcome, command: PayInvoice, attempt: Attempt, *, is_its_own: bool = True) -> Paid:
        """The end of an order that was answered, by a word that is about it and no other if it ``is_its_own``. Raises
        KitestringError where it is not paid."""
        if isinstance(outcome, Refused):
            outcome = await self._settle_refusal(outcome, command, attempt, is_its_own=is_its_own)
        if isinstance(outcome, Paid):
            self._attempts.forget(command.payment_hash)
        else:
            self._attempts.refused(attempt)
        return self._session.expect(outcome, Paid)

    def forget(self, payment_hash: str) -> None:
        """Take the next order of this hash for the first one: the caller knows that no earlier one is on its way, for
        the wallet's record has shown the end of it."""
        self._attempts.forget(payment_hash)

    async def _find_out(
        self, exchange: Exchange, read: Callable[[str], Outcome], command: PayInvoice, attempt: Attempt
    ) -> Outcome:
        """After a lost reply: the late reply or the wallet's own record, whichever comes first. A wallet that will not
        let its record be read is not asked again."""
        record: LookupAnswer | Refused = Unknown("its reply did not come")
        for pause_s in self._net.waits.lookup_pauses_s:
            late = await exchange.next(read, pause_s, patient=True)
            if late is not None:
                return late
            record = await self._records.of(command)
            if isinstance(record, Settled):
                return _paid(command, record)
            if is_of_this_attempt(record, attempt.sent_at):
                return _FAILED
            if isinstance(record, Refused) and is_final(record):
                break
        raise self._in_flight(command, words(record) + exchange.trouble())

    async def _settle_refusal(
        self, refused: Refused, command: PayInvoice, attempt: Attempt, *, is_its_own: bool
    ) -> Outcome:
        """A refusal by a code that says so is final, unless an earlier order of the same hash may still be carried out:
        some wallets say PAYMENT_FAILED of what is on its way already. Any other may have come after the payment was
        sent. Then the record decides, and where it tells nothing, nobody knows. That there is too little may be because
        of an order of a program before this one, which is under way."""
        stands = refused is _FAILED or (attempt.is_first and is_its_own and is_final(refused))
        if stands and refused.reason not in _OF_MONEY:
            return refused
        record = await self._records.of(command)
        if stands and not isinstance(record, Settled | InFlight):
            return refused
        if isinstance(record, NeverSeen):  # some wallets write their record after they have answered
            await self._net.clock.sleep(self._net.waits.recheck_s)
            record = await self._records.of(command)
        if isinstance(record, Settled):
            return _paid(command, record)
        if attempt.is_first and (isinstance(record, NeverSeen) or is_of_this_attempt(record, attempt.sent_at)):
            return refused
        is_of_all = refused.reason is Reason.PAYMENT_FAILED and not isinstance(record, InFlight | Unknown)
        if is_of_all and not attempt.is_first:
            return refused
        raise self._in_flight(command, f"it answered {own_word(refused)} ({said(refused)}), and {words(record)}")

    def _in_flight(self, command: PayInvoice, known: str) -> KitestringError:
        is_keysend = isinstance(command.destination, Keysend)
        return in_flight(command.payment_hash, known + self._session.clock_words(), is_keysend=is_keysend)


def _end_of(timeout_s: float | None) -> float | None:
    """The end of the time that a caller has given, by the clock of the loop."""
    return None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s


def _for_the_reply(wait_s: float, timeout_s: float | None) -> float:
    """Seconds of ``wait_s`` for the reply alone."""
    return wait_s if timeout_s is None else wait_s - min(wait_s * _LOOK_SHARE, _MAX_LOOK_S)


class Heard(NamedTuple):
    """The answer to one payment of several, by a word that is about it and no other if it ``is_its_own``."""

    outcome: Outcome
    is_its_own: bool


def _read_named(commands: Sequence[PayInvoice], text: str, name: str) -> dict[int, Heard]:
    """The payments, by their places, that a reply to several answers, with its word. Raises CodecError for none.

    A reply without a name refuses all of them, where it does not speak of a payment, or proves the one that its
    preimage belongs to; so does one with a name that is not ours, but such a refusal is nobody's.
    """
    is_place = name.isascii() and name.isdecimal() and len(name) < 4
    places = [int(name)] if is_place else range(len(commands))
    found: dict[int, Heard] = {}
    for place in places:
        with suppress(CodecError, IndexError):
            outcome = decode_response(text, commands[place])
            if is_place or not name or isinstance(outcome, Paid):
                is_its_own = is_place or not (isinstance(outcome, Refused) and outcome.reason in _OF_ONE)
                found[place] = Heard(outcome, is_its_own)
    if not found:
        raise CodecError("the wallet's response belongs to none of these payments")
    return found


async def _told(payment: Awaitable[Paid]) -> Paid | KitestringError:
    """The end of a payment as a value."""
    try:
        return await payment
    except KitestringError as error:
        return error


def _paid(command: PayInvoice, settled: Settled) -> Paid:
    return Paid(command.payment_hash, settled.preimage, command.amount_msat, settled.fee_msat)
