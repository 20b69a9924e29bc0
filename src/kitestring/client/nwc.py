"""A client of one NWC connection (NIP-47): pays, invoices and looks through somebody's wallet service.

A payment is never called failed because its reply is missing: then the wallet is asked about its hash, and if that
does not tell either, the error is PAYMENT_IN_FLIGHT.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar

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
from kitestring.base.outcomes import Balance, Found, Info, Invoiced, Listed, Outcome, Paid, Refused, Transaction
from kitestring.base.payments import preimage_fits
from kitestring.base.ports import Clock, Entropy
from kitestring.client.session import DEFAULT_WAITS, Exchange, Line, Waits, reach
from kitestring.codec import bolt11
from kitestring.codec.uri import NwcUri, decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, verify_event
from kitestring.nostr.filter import Filter
from kitestring.transport.proxies import Proxies
from kitestring.transport.relays import PoolOptions, RelayPool
from kitestring.wire.ask.nwc import ServiceInfo, client_cipher, decode_response, encode_request, read_info_event

_log: Final = logging.getLogger(__name__)
T = TypeVar("T", bound=Outcome)

#: A wallet that says one of these about a payment may have sent it already: its hash is looked up first.
_UNCLEAR: Final = frozenset({Reason.INTERNAL, Reason.MALFORMED})


class NwcClient:
    """``uri`` is ``nostr+walletconnect://…``; its relays count as the caller's own. Use it as an async context.

    ``legacy`` marks a wallet that knows only NIP-04 and publishes no info event. ``nip44_seen`` (give back what an
    earlier client had at its end) keeps the connection from ever being lowered to NIP-04. Raises CodecError for a bad
    URI, and on entering KitestringError(UNAVAILABLE) when no relay can be reached.
    """

    def __init__(
        self, uri: str | NwcUri, *, clock: Clock, entropy: Entropy, waits: Waits = DEFAULT_WAITS,
        proxies: Proxies | None = None, legacy: bool = False, nip44_seen: bool = False,
    ) -> None:  # fmt: skip
        self.uri: Final = decode_nwc(uri) if isinstance(uri, str) else uri
        self.nip44_seen = nip44_seen
        #: What the wallet's info event said, None when there is none.
        self.service: ServiceInfo | None = None
        self._clock: Final = clock
        self._entropy: Final = entropy
        self._waits: Final = waits
        self._legacy: Final = legacy
        self._key: Final = SecretKey(self.uri.secret)
        self._pool: Final = RelayPool(
            self.uri.relays, clock=clock, entropy=entropy, signers={self._key.public_hex: self._key},
            options=PoolOptions(proxies or Proxies()),
        )  # fmt: skip
        self._line: Line | None = None

    def __repr__(self) -> str:
        return f"NwcClient({self.uri.service_pubkey[:16]}…)"

    async def __aenter__(self) -> Self:
        await self._pool.start()
        try:
            await reach(self._pool, self._waits)
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
        command = _pay_command(text, amount_msat, max_fee_msat)
        return await self.pay(command, timeout_s=timeout_s)

    async def pay(self, command: PayInvoice, *, timeout_s: float | None = None) -> Paid:
        """As :meth:`pay_invoice`, for a command that is already decoded."""
        read = partial(decode_response, command=command)
        sent_at = self._clock.now()
        async with self._exchange(command) as exchange:
            outcome = await exchange.next(read, self._waits.pay_s if timeout_s is None else timeout_s)
            if outcome is None:
                outcome = await self._find_out(exchange, read, command.payment_hash, sent_at)
        self._note_cipher()
        if isinstance(outcome, Refused):
            outcome = await self._settle_refusal(outcome, command, sent_at)
        return _expect(outcome, Paid)

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
            outcome = await exchange.next(partial(decode_response, command=command), self._waits.read_s)
        if outcome is None:
            text = f"the wallet did not answer{exchange.trouble()}: check that its service is running"
            raise KitestringError(Reason.UNAVAILABLE, text)
        self._note_cipher()
        return outcome

    def _exchange(self, command: AnyCommand) -> Exchange:
        cipher = client_cipher(self.service, legacy=self._legacy, nip44_seen=self.nip44_seen)
        if self._line is None or self._line.cipher != cipher:
            self._line = Line.nwc(self._key, self.uri.service_pubkey, cipher)
        return Exchange(
            self._pool, self._line, encode_request(command), clock=self._clock, entropy=self._entropy,
            waits=self._waits,
        )  # fmt: skip

    def _note_cipher(self) -> None:
        if self._line is not None and self._line.cipher == "nip44":
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
            await subscription.wait_eose(self._waits.info_s)
        finally:
            subscription.close()
        if not newest:
            return None
        info = read_info_event(newest[0])
        self.nip44_seen = self.nip44_seen or "nip44" in info.ciphers
        return info

    # ------------------------------------------------------------ payments whose end is unclear

    async def _find_out(
        self, exchange: Exchange, read: Callable[[str], Outcome], payment_hash: str, sent_at: int
    ) -> Outcome:
        """After a lost reply: the late reply or the wallet's own record, whichever comes first."""
        known = "its reply did not come"
        for pause_s in self._waits.lookup_pauses_s:
            late = await exchange.next(read, pause_s, patient=True)
            if late is not None:
                return late
            record, known = await self._record(payment_hash, sent_at)
            if isinstance(record, Paid):
                return record
            if record is Reason.PAYMENT_FAILED:
                return Refused(Reason.PAYMENT_FAILED, "its record says failed")
        raise in_flight(payment_hash, f"{known}{exchange.trouble()}")

    async def _settle_refusal(self, refused: Refused, command: PayInvoice, sent_at: int) -> Outcome:
        """A clear refusal stands. An unclear one may have come after the payment was sent: the record decides."""
        if refused.reason not in _UNCLEAR:
            return refused
        record, known = await self._record(command.payment_hash, sent_at)
        if isinstance(record, Paid):
            return record
        nothing_sent = record in {Reason.PAYMENT_FAILED, Reason.UNKNOWN_TARGET}
        plainly_refused = record is None and refused.details == {"code": "OTHER"}
        if nothing_sent or plainly_refused:
            return refused
        raise in_flight(command.payment_hash, f"the wallet answered {refused.message!r}, and {known}")

    async def _record(self, payment_hash: str, sent_at: int) -> tuple[Paid | Reason | None, str]:
        """What the wallet's record proves: Paid, PAYMENT_FAILED, UNKNOWN_TARGET (not there), PAYMENT_IN_FLIGHT, or
        None when it tells nothing; and the same as part of a sentence.

        "Failed" is believed only of an attempt that is not older than the request. There is no tolerance for clocks: a
        wallet whose clock is behind leaves the payment in flight, which is a nuisance and no loss.
        """
        try:
            found = await self.lookup_invoice(payment_hash)
        except KitestringError as error:
            unknown = error.reason is Reason.UNKNOWN_TARGET
            return (error.reason, "it does not know the payment (yet)") if unknown else (None, error.message)
        if found.type != "outgoing":  # somebody else may have paid this wallet's own invoice
            return None, "its record is of an invoice, not of a payment"
        if found.state == "settled":
            if preimage_fits(found.preimage, payment_hash):
                return Paid(payment_hash, found.preimage, found.amount_msat, found.fee_msat), ""
            return Reason.PAYMENT_IN_FLIGHT, "its record says settled, but without a preimage that proves it"
        if found.state == "failed":
            if found.created_at < sent_at:
                return None, "its record is of an earlier attempt"
            return Reason.PAYMENT_FAILED, "its record says failed"
        # An invoice that expired while its payment is under way says nothing about the payment.
        return Reason.PAYMENT_IN_FLIGHT, f"its record says {found.state}"


def _pay_command(text: str, amount_msat: Msat | None, max_fee_msat: Msat | None) -> PayInvoice:
    try:
        invoice = bolt11.decode(text)
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"the invoice cannot be read: {error}") from error
    return pay_command(invoice, amount_msat, max_fee_msat)


def pay_command(invoice: bolt11.Invoice, amount_msat: Msat | None, max_fee_msat: Msat | None) -> PayInvoice:
    """The order to pay a decoded invoice. Raises KitestringError when its amount is missing, or another one."""
    written = invoice.amount_msat
    paid = amount_msat if written is None else written
    if paid is None or paid <= 0:
        raise KitestringError(Reason.MALFORMED, "this invoice has no amount: say how much to pay")
    if amount_msat not in (None, paid):
        raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, f"this invoice asks for {written}, not for {amount_msat}")
    return PayInvoice(
        bolt11=invoice.text,
        payment_hash=invoice.payment_hash,
        amount_msat=paid,
        amountless=written is None,
        max_fee_msat=max_fee_msat,
        network=invoice.network,
        expires_at=invoice.expires_at,
        description=invoice.description or "",
        description_hash=invoice.description_hash or "",
    )


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
    assert isinstance(outcome, kind), "decode_response gives the outcome of its command"  # noqa: S101
    return outcome


def in_flight(payment_hash: str, known: str) -> KitestringError:
    """The error of a payment whose end nobody can tell; ``known`` is what is known, as part of a sentence."""
    return KitestringError(
        Reason.PAYMENT_IN_FLIGHT,
        f"the wallet may have paid {payment_hash}: {known}; look the hash up later, and until then pay only this very "
        "invoice again, never a new one for the same thing",
        payment_hash=payment_hash,
    )
