"""A client of one NWC connection (NIP-47): pays, invoices and looks through somebody's wallet service.

A payment is never called failed because its reply is missing: then the wallet is asked about its hash, and if that
does not tell either, the error is PAYMENT_IN_FLIGHT.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar, assert_never

from kitestring.base.commands import (
    AnyCommand,
    GetBalance,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeInvoice,
    PayInvoice,
)
from kitestring.base.errors import TABLE, CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Balance,
    Direction,
    Found,
    Info,
    Invoiced,
    Listed,
    Outcome,
    Paid,
    Refused,
    Transaction,
    TransactionState,
)
from kitestring.base.payments import Failed, InFlight, LookupAnswer, NeverSeen, Settled, Unknown, preimage_fits
from kitestring.client.in_flight import as_words, in_flight
from kitestring.client.net import Net
from kitestring.client.payable import Payable
from kitestring.client.session import Dialog, Exchange, reach
from kitestring.codec import bolt11
from kitestring.codec.uri import NwcUri, decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, verify_event
from kitestring.nostr.filter import Filter
from kitestring.transport.relays import RelayPool
from kitestring.wire.ask.nwc import ServiceInfo, client_cipher, decode_response, encode_request, read_info_event

_log: Final = logging.getLogger(__name__)
T = TypeVar("T", bound=Outcome)

#: A wallet that says one of these about a payment may have sent it already: its hash is looked up first.
_UNCLEAR: Final = frozenset({Reason.INTERNAL, Reason.MALFORMED})
#: Hashes of unpaid payments remembered (about 200 bytes each). With more, none counts as one that was never asked for.
MAX_ASKED: Final = 10_000


class NwcClient:
    """``uri`` is ``nostr+walletconnect://…``; its relays count as the caller's own. Use it as an async context.

    ``legacy`` marks a wallet that knows only NIP-04 and publishes no info event. ``nip44_seen`` (give back what an
    earlier client had at its end) keeps the connection from ever being lowered to NIP-04. Raises CodecError for a bad
    URI, and on entering KitestringError(UNAVAILABLE) when no relay can be reached.
    """

    def __init__(self, uri: str | NwcUri, net: Net, *, legacy: bool = False, nip44_seen: bool = False) -> None:
        self.uri: Final = decode_nwc(uri) if isinstance(uri, str) else uri
        self.nip44_seen = nip44_seen
        #: The contents of the wallet's info event, None when there is none.
        self.service: ServiceInfo | None = None
        self._net: Final = net
        self._legacy: Final = legacy
        self._asked: Final[set[str]] = set()  # hashes that the wallet was asked to pay, and that it has not paid
        self._key: Final = SecretKey(self.uri.secret)
        self._pool: Final[RelayPool] = net.pool(self.uri.relays, self._key)
        self._dialog: Dialog | None = None

    def __repr__(self) -> str:
        return f"NwcClient({self.uri.service_pubkey[:16]}…)"

    async def __aenter__(self) -> Self:
        await self._pool.start()
        try:
            await reach(self._pool, self._net.waits)
            self.service = await self._read_info()
        except BaseException:
            await self._pool.stop()
            raise
        if self.service is None:
            _log.warning("the wallet %s… publishes no info event; going on without", self.uri.service_pubkey[:16])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.stop()

    # ------------------------------------------------------------ methods

    async def pay_invoice(
        self, text: str, amount_msat: Msat | None = None, max_fee_msat: Msat | None = None,
        *, timeout_s: float | None = None,
    ) -> Paid:  # fmt: skip
        """Pay an invoice; ``amount_msat`` is for one without amount. Returns only with a preimage that hashes to it.

        Raises KitestringError: MALFORMED for an unusable invoice or amount, UNAVAILABLE when nothing was sent, the
        wallet's refusal, or PAYMENT_IN_FLIGHT (detail ``payment_hash``) when nobody can say yet. Paying again is safe
        with the *same* invoice only.
        """
        try:
            invoice = bolt11.decode(text)
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, f"the invoice cannot be read: {error}") from error
        payable = Payable(invoice, bolt11.amount_to_pay(invoice, amount_msat))
        return await self.pay(payable.order(max_fee_msat), timeout_s=timeout_s)

    async def pay(self, command: PayInvoice, *, timeout_s: float | None = None) -> Paid:
        """As :meth:`pay_invoice`, for a command that is already decoded."""
        read = partial(decode_response, command=command)
        sent_at = self._first_sent_at(command.payment_hash)
        wait_s = self._net.waits.pay_s if timeout_s is None else timeout_s
        async with self._exchange(command, lasts_s=wait_s) as exchange:
            outcome = await exchange.next(read, wait_s)
            if outcome is None:
                outcome = await self._find_out(exchange, read, command, sent_at)
        self._note_cipher()
        if isinstance(outcome, Refused):
            outcome = await self._settle_refusal(outcome, command, sent_at)
        if isinstance(outcome, Paid):
            self._asked.discard(command.payment_hash)
        return _expect(outcome, Paid)

    def _first_sent_at(self, payment_hash: str) -> int | None:
        """The time (Unix seconds) of the first order of this hash, None for a second one: a date is then no proof that
        a failure is of this attempt, because the clock here may have been set back, or the wallet's be ahead."""
        if payment_hash in self._asked or len(self._asked) >= MAX_ASKED:
            return None
        self._asked.add(payment_hash)
        return self._net.clock.now()

    async def make_invoice(
        self, amount_msat: Msat | None, *, description: str = "", description_hash: str = "", expiry_s: int = 3600,
        metadata: str = "",
    ) -> Transaction:  # fmt: skip
        """Ask for an invoice; ``amount_msat`` None = without amount, ``metadata`` is JSON text. Raises KitestringError,
        also when the wallet sends an invoice that is not what was asked for."""
        command = MakeInvoice(
            amount_msat=amount_msat, description=description, description_hash=description_hash, expiry_s=expiry_s,
            metadata=metadata,
        )  # fmt: skip
        made = _expect(await self._ask(command), Invoiced).transaction
        return _check_made(made, amount_msat)

    async def lookup_invoice(self, payment_hash: str) -> Transaction:
        """The payment or invoice with this hash (64 hex digits). Raises KitestringError, UNKNOWN_TARGET if none."""
        return _expect(await self._ask(LookupInvoice(payment_hash=payment_hash)), Found).transaction

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        """Look up a payment in the wallet's record, which may prove its end. Never raises KitestringError: a look-up
        that fails is Unknown. A record of a failure is dated (``attempt_at``): it may be that of an earlier attempt."""
        try:
            found = await self.lookup_invoice(payment_hash)
        except KitestringError as error:
            if error.reason is Reason.UNKNOWN_TARGET:
                return NeverSeen(self._net.clock.now())
            return Unknown(error.message)
        if found.type is not Direction.OUTGOING:  # somebody else may have paid this wallet's own invoice
            return Unknown("its record is of an invoice, not of a payment")
        match found.state:
            case TransactionState.SETTLED if preimage_fits(found.preimage, payment_hash):
                return Settled(found.preimage, found.fee_msat)
            case TransactionState.FAILED:
                return Failed("its record says failed", attempt_at=found.created_at or None)
            case TransactionState.SETTLED:
                _log.warning("the wallet says that %s… is settled, without a proof", payment_hash[:16])
                return InFlight()
            case TransactionState.PENDING | TransactionState.EXPIRED:
                # An invoice that expired while its payment is under way says nothing about the payment.
                return InFlight()
            case _:
                assert_never(found.state)

    async def get_balance(self) -> Msat:
        """Raises KitestringError."""
        return _expect(await self._ask(GetBalance()), Balance).balance_msat

    async def get_info(self) -> Info:
        """Raises KitestringError."""
        return _expect(await self._ask(GetInfo()), Info)

    async def list_transactions(self, query: ListTransactions | None = None) -> tuple[Transaction, ...]:
        """The newest first. Raises KitestringError."""
        return _expect(await self._ask(query or ListTransactions()), Listed).transactions

    # ------------------------------------------------------------ asking

    async def _ask(self, command: AnyCommand) -> Outcome:
        """A question without money in it. Raises KitestringError(UNAVAILABLE) when no reply comes."""
        async with self._exchange(command) as exchange:
            outcome = await exchange.next(partial(decode_response, command=command), self._net.waits.read_s)
        if outcome is None:
            text = f"the wallet did not answer{exchange.trouble()}: check that its service is running"
            raise KitestringError(Reason.UNAVAILABLE, text)
        self._note_cipher()
        return outcome

    def _exchange(self, command: AnyCommand, *, lasts_s: float | None = None) -> Exchange:
        cipher = client_cipher(self.service, legacy=self._legacy, nip44_seen=self.nip44_seen)
        if self._dialog is None or self._dialog.cipher != cipher:
            self._dialog = Dialog.nwc(self._key, self.uri.service_pubkey, cipher)
        return Exchange(self._pool, self._dialog, encode_request(command), self._net, lasts_s=lasts_s)

    def _note_cipher(self) -> None:
        if self._dialog is not None and self._dialog.cipher == "nip44":
            self.nip44_seen = True

    async def _read_info(self) -> ServiceInfo | None:
        newest: list[Event] = []
        service = self.uri.service_pubkey

        def hear(event: Event, _: str) -> None:
            if event.kind != kinds.NWC_INFO or event.pubkey != service:
                return
            if (not newest or event.created_at > newest[0].created_at) and verify_event(event):
                newest[:] = [event]

        def source(_: Sequence[str]) -> Sequence[Filter]:
            return (Filter(kinds={kinds.NWC_INFO}, authors={service}, limit=1),)

        subscription = self._pool.subscribe("info", source, hear)
        try:
            await subscription.wait_eose(self._net.waits.info_s)
        finally:
            subscription.close()
        if not newest:
            return None
        info = read_info_event(newest[0])
        self.nip44_seen = self.nip44_seen or "nip44" in info.ciphers
        return info

    # ------------------------------------------------------------ payments whose end is unclear

    async def _find_out(
        self, exchange: Exchange, read: Callable[[str], Outcome], command: PayInvoice, sent_at: int | None
    ) -> Outcome:
        """After a lost reply: the late reply or the wallet's own record, whichever comes first."""
        record: LookupAnswer = Unknown("its reply did not come")
        for pause_s in self._net.waits.lookup_pauses_s:
            late = await exchange.next(read, pause_s, patient=True)
            if late is not None:
                return late
            record = await self.lookup_payment(command.payment_hash)
            if isinstance(record, Settled):
                return _paid(command, record)
            if _is_of_this_attempt(record, sent_at):
                return Refused(Reason.PAYMENT_FAILED, "its record says failed")
        raise in_flight(command.payment_hash, f"{as_words(record)}{exchange.trouble()}")

    async def _settle_refusal(self, refused: Refused, command: PayInvoice, sent_at: int | None) -> Outcome:
        """A clear refusal stands. An unclear one may have come after the payment was sent: the record decides, and
        where it tells nothing, the wallet's code."""
        if refused.reason not in _UNCLEAR:
            return refused
        record = await self.lookup_payment(command.payment_hash)
        if isinstance(record, Settled):
            return _paid(command, record)
        if isinstance(record, NeverSeen) or _is_of_this_attempt(record, sent_at):
            return refused
        if refused.details == {"code": "OTHER"} and not isinstance(record, InFlight):
            return refused
        raise in_flight(command.payment_hash, f"the wallet answered {refused.message!r}, and {as_words(record)}")


def _paid(command: PayInvoice, settled: Settled) -> Paid:
    return Paid(command.payment_hash, settled.preimage, command.amount_msat, settled.fee_msat)


def _is_of_this_attempt(record: LookupAnswer, sent_at: int | None) -> bool:
    """Whether the record shows a failure that is not older than the request, the first of its hash (``sent_at`` None:
    it is not). There is no tolerance for clocks: a wallet whose clock is behind leaves the payment in flight, which is
    a nuisance and no loss."""
    if sent_at is None or not isinstance(record, Failed) or record.attempt_at is None:
        return False
    return record.attempt_at >= sent_at


def _check_made(made: Transaction, amount_msat: Msat | None) -> Transaction:
    try:
        invoice = bolt11.decode(made.bolt11)
    except CodecError as error:
        text = f"the wallet sent an invoice that cannot be read: {error}"
        raise KitestringError(Reason.INTERNAL, text) from error
    if invoice.amount_msat != amount_msat or made.payment_hash not in ("", invoice.payment_hash):
        raise KitestringError(Reason.INTERNAL, "the wallet sent another invoice than the one asked for")
    return made


def _expect(outcome: Outcome, kind: type[T]) -> T:
    if isinstance(outcome, Refused):
        said = outcome.message or TABLE[outcome.reason].sentence
        raise KitestringError(outcome.reason, f"the wallet refused: {said}", **outcome.details)
    assert isinstance(outcome, kind), "decode_response gives the outcome of its command"  # noqa: S101 - our own
    return outcome
