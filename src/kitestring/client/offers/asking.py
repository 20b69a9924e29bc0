"""The payer of a CLINK offer: asks for an invoice, checks it, and hears the receipt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Literal, Self

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.client.net import Net
from kitestring.client.offers.refusals import has_moved_again, has_moved_away, refusal
from kitestring.client.session import Dialog, Exchange
from kitestring.codec import bolt11, pointers
from kitestring.codec.pointers import Noffer
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.work import MAX_WORK_BITS
from kitestring.transport.relays import RelayPool
from kitestring.wire.ask import offers as wire
from kitestring.wire.reply_to import Version

#: An invoice with less life than this, in seconds, may expire on its way.
MIN_LEFT_S: Final = wire.MIN_LEFT_S


@dataclass(frozen=True, slots=True)
class OfferQuestion:
    """A question to an offer, and the network that its invoice must be on ("" = any).

    ``amount_sats`` None = the price in the code, if it has one; otherwise whatever the service asks, which the caller
    has to agree to. ``payer_data`` is what the payer has agreed to tell, and nothing else is told. The version
    ``legacy`` asks in the form of NIP-69 (2024), for services that know no other; answers are read in both forms.
    """

    amount_sats: int | None
    description: str = ""
    payer_data: Mapping[str, str] = field(default_factory=dict, repr=False)
    network: str = ""
    version: Version = "tagged"


@dataclass(frozen=True, slots=True)
class JudgedReceipt:
    """The service says that the invoice was paid.

    ``proof``: ``proven`` by a preimage that hashes to the invoice, ``claimed`` without one, ``false`` when the preimage
    is not that of the invoice: to be reported, never trusted. ``preimage`` (64 hex digits) is set only when proven.
    """

    preimage: str | None
    proof: Literal["proven", "claimed", "false"]


class AskedOffer:
    """A checked invoice of an offer, and the open line to its service. Close it, or use it as an async context.

    ``noffer`` is the offer that answered: the one asked, or the one it moved to.
    """

    def __init__(self, invoice: bolt11.DecodedInvoice, noffer: Noffer, exchange: Exchange, asker: _Asker) -> None:
        self.invoice: Final = invoice
        self.noffer: Final = noffer
        self._exchange: Final = exchange
        self._asker: Final = asker

    @property
    def bolt11(self) -> str:
        """The invoice as text."""
        return self.invoice.text

    @property
    def request_id(self) -> str:
        """The id of the request event: what replies and receipt refer to."""
        return self._exchange.request.id

    async def wait_receipt(self, timeout_s: float) -> JudgedReceipt | None:
        """The receipt after the payment; None when none came in ``timeout_s`` seconds, which proves nothing."""
        found = await self._exchange.next(_read_receipt, timeout_s, patient=True)
        if found is None:
            return None
        proof = wire.judge_receipt(found, self.invoice.payment_hash)
        return JudgedReceipt(found.preimage if proof == "proven" else None, proof)

    async def close(self) -> None:
        """Hang up. No receipt is heard afterwards."""
        await self._asker.stop()  # first: a relay that is left needs not be told that nobody listens
        self._exchange.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def ask_offer(noffer: Noffer, question: OfferQuestion, net: Net) -> AskedOffer:
    """Ask the service of an offer for an invoice and check it; the caller closes what it gets.

    Asked with a fresh key over all relays in the code, as far as ``net`` lets them be dialled. A moved offer is
    followed once, to the same service key only, over the relays of its new code. A service that is busy with others is
    asked once more with the proof of work that it names, which takes a second or two. Raises KitestringError:
    UNAVAILABLE when no relay or no answer came in time, the service's own reason (details: code, range, latest …),
    or why the invoice is not to be paid.
    """
    if question.amount_sats is None:
        question = replace(question, amount_sats=noffer.price_sats)
    question = replace(question, payer_data=wire.fit_payer_data(question.payer_data))
    asker = _Asker(net)
    try:
        noffer, exchange, made = await _find(asker, noffer, question, net)
        invoice = wire.check_invoice(
            made.bolt11, amount_sats=question.amount_sats, network=question.network or _network_of(made.bolt11),
            now=net.clock.now(),
        )  # fmt: skip
    except BaseException:
        await asker.stop()
        raise
    return AskedOffer(invoice, noffer, exchange, asker)


async def _find(
    asker: _Asker, noffer: Noffer, question: OfferQuestion, net: Net
) -> tuple[Noffer, Exchange, wire.OfferInvoice]:
    """The invoice, the offer that made it, and the open exchange. Raises KitestringError."""
    exchange, reply = await asker.ask(noffer, question)
    if isinstance(reply, wire.OfferError) and (work_bits := _work_for(reply)):
        exchange.close()
        exchange, reply = await asker.ask(noffer, question, work_bits)
    if isinstance(reply, wire.OfferInvoice):
        return noffer, exchange, reply
    exchange.close()
    latest = _moved_to(noffer, reply, net.clock.now())
    await asker.renew()
    exchange, reply = await asker.ask(latest, question)
    if isinstance(reply, wire.OfferInvoice):
        return latest, exchange, reply
    exchange.close()
    raise has_moved_again(reply) if reply.code == wire.MOVED else refusal(reply, net.clock.now())


class _Asker:
    """One payer: a key of its own, and one pool, to the relays of the code that is asked last."""

    def __init__(self, net: Net) -> None:
        self._net: Final = net
        self._key = SecretKey.generate(net.entropy)
        self._relays: tuple[list[str], list[str]] = ([], [])
        self._pool: RelayPool | None = None

    async def ask(
        self, noffer: Noffer, question: OfferQuestion, work_bits: int = 0
    ) -> tuple[Exchange, wire.OfferInvoice | wire.OfferError]:
        """One round; the exchange stays open. Raises KitestringError(UNAVAILABLE) without an answer."""
        plaintext = wire.encode_request(
            noffer.offer, amount_sats=question.amount_sats, payer_data=question.payer_data,
            description=question.description, version=question.version,
        )  # fmt: skip
        dialog = Dialog.offers(self._key, noffer.pubkey, question.version)
        request = await dialog.worked_request(plaintext, self._net, work_bits)
        exchange = Exchange(await self._reach(noffer), dialog, request, self._net)
        await exchange.open()
        try:
            reply = await exchange.next(_read_answer, self._net.waits.offer_s)
        except BaseException:
            exchange.close()
            raise
        if reply is None:
            exchange.close()
            if exchange.unreadable:
                text = f"the reply of the offer's service cannot be read: {exchange.unreadable}"
                raise KitestringError(Reason.INTERNAL, text)
            text = f"the service of the offer did not answer{exchange.trouble()}: it may be offline, try again later"
            raise KitestringError(Reason.UNAVAILABLE, text)
        return exchange, reply

    async def _reach(self, noffer: Noffer) -> RelayPool:
        """Raises KitestringError when no relay of the code may be dialled."""
        is_known = any(self._relays) and not noffer.relays
        relays = self._relays if is_known else self._net.dialable(noffer.relays, "offer")
        if self._pool is not None and relays == self._relays:
            return self._pool
        await self.stop()
        own, foreign = self._relays = relays
        self._pool = self._net.pool(own, self._key, foreign=foreign)
        await self._pool.start()
        return self._pool

    async def renew(self) -> None:
        """Be somebody else for the next request. One for a code without relays goes where the last one went."""
        await self.stop()
        self._key = SecretKey.generate(self._net.entropy)

    async def stop(self) -> None:
        if self._pool is not None:
            await self._pool.stop()
            self._pool = None


def _read_answer(plaintext: str) -> wire.OfferInvoice | wire.OfferError:
    reply = wire.decode_reply(plaintext)
    if isinstance(reply, wire.OfferReceipt):
        raise CodecError("a receipt came before the invoice")
    return reply


def _read_receipt(plaintext: str) -> wire.OfferReceipt:
    reply = wire.decode_reply(plaintext)
    if not isinstance(reply, wire.OfferReceipt):
        raise CodecError("this is no receipt")
    return reply


def _work_for(error: wire.OfferError) -> int:
    """The proof of work that a busy service wants to see, if it is not too much; else 0."""
    bits = error.work_bits or 0
    return bits if error.refused.reason is Reason.RATE_LIMITED and 0 < bits <= MAX_WORK_BITS else 0


def _moved_to(noffer: Noffer, error: wire.OfferError, now: int) -> Noffer:
    """The offer that a refused one has moved to, at the same service. Raises KitestringError for other refusals."""
    latest = _read_latest(error)
    if latest is None:
        raise refusal(error, now)
    code, moved = latest
    if wire.next_step(error, same_service=moved.pubkey == noffer.pubkey, followed=False) == "ask":
        raise has_moved_away(error, code)
    return moved


def _read_latest(error: wire.OfferError) -> tuple[str, Noffer] | None:
    """The bare code of the offer that has moved, which has no sign in it that means something to a shell."""
    if error.code != wire.MOVED or not error.latest:
        return None
    try:
        code = pointers.normalise_input(error.latest)
        moved = pointers.decode(code)
    except CodecError:
        return None
    return (code, moved) if isinstance(moved, Noffer) else None


def _network_of(text: str) -> str:
    try:
        return bolt11.decode(text, recover=False).network
    except CodecError:
        return ""  # check_invoice says what is wrong with it
