"""The wallet of a program: one class over a NWC connection, a Lightning node, or the sandbox."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn, Self

from kitestring.base.commands import ListTransactions, PayInvoice
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Direction, Info, Paid, Transaction, TransactionState
from kitestring.base.payments import preimage_fits
from kitestring.base.ports import Clock, Entropy
from kitestring.client.in_flight import in_flight
from kitestring.client.net import DEFAULT_WAITS, Net, Waits
from kitestring.client.payable import Payable, Terms, ask, read
from kitestring.client.preview import Preview, preview
from kitestring.codec import bolt11
from kitestring.codec.keysend import checked_records, keysend, message_record, read_node_key
from kitestring.codec.uri import encode_bip321
from kitestring.sdk.amounts import digits_of, money, positive
from kitestring.sdk.many import order_of
from kitestring.sdk.notifications import Notifications
from kitestring.sdk.opening import open_source
from kitestring.sdk.results import (
    Invoice,
    PaymentLink,
    Receipt,
    WalletBudget,
    invoice_of,
    link_of,
    own_invoice,
    receipt,
)
from kitestring.sdk.source import CallSource, Encryption, PaymentSource
from kitestring.sdk.waiting import paid
from kitestring.transport.clock import SystemClock
from kitestring.transport.proxies import Proxies
from kitestring.wire.ask.nwc.notifications import SETTLED_TYPES
from kitestring.wire.reply_to import Version
from kitestring.wire.text import fit_description

_log: Final = logging.getLogger(__name__)

#: Payments of one call: each of them is waited for.
MAX_MANY: Final = 100

if TYPE_CHECKING:
    from kitestring.sdk.debits import DebitClient


class Wallet:
    """Made by :meth:`open` and used as an async context manager. Amounts are :class:`Msat`: write ``sat(210)``."""

    def __init__(self, source: PaymentSource, net: Net, data_dir: Path | None = None) -> None:
        self._closed_source: Final = source
        self._data_dir: Final = data_dir
        self._opened: PaymentSource | None = None
        self._notifications: list[Notifications] = []
        self._net: Final = replace(net, own_relays=(*net.own_relays, *source.relays))

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        clock: Clock | None = None,
        entropy: Entropy = secrets.token_bytes,
        waits: Waits = DEFAULT_WAITS,
        proxies: Proxies | None = None,
        relays: Iterable[str] = (),
        allow_private: bool = False,
        data_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        encryption: Encryption = "auto",
    ) -> Wallet:
        """The wallet that ``uri`` names: ``nostr+walletconnect://…``, ``lnd+https://host?cert=PATH&macaroon=PATH``,
        ``sandbox:///path.db`` or ``sandbox://`` (in ``data_dir``, default the user's own for kitestring).

        ``relays`` are the caller's own, where offers and debits may be asked for even at a private address (those of a
        NWC URI are among them); ``allow_private`` lifts that check for all. ``environment`` is where ``env:NAME`` in a
        node's URL is looked up. ``encryption`` is ``legacy`` for a NWC wallet that knows NIP-04 only and does not say
        so (its info event is gone), and ``nip44`` for one that must never be asked in NIP-04. Raises KitestringError
        for a bad URI here, UNAVAILABLE on entering.
        """
        net = Net(clock or SystemClock(), entropy, proxies or Proxies(), waits, tuple(relays), allow_private)
        source = open_source(uri, net, data_dir=data_dir, environment=environment or {}, encryption=encryption)
        return cls(source, net, data_dir)

    async def __aenter__(self) -> Self:
        await self._closed_source.open()
        self._opened = self._closed_source
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened = None
        while self._notifications:
            await self._notifications.pop().close()
        await self._closed_source.close()

    def __enter__(self) -> NoReturn:
        raise TypeError(
            "a wallet is used by `async with`; in a program without asyncio write `from kitestring.blocking import "
            "Wallet`"
        )

    def __exit__(self, *_: object) -> None:
        """There is nothing to leave."""

    @property
    def _source(self) -> PaymentSource:
        """The source while it is open. Raises KitestringError outside of ``async with``."""
        if self._opened is None:
            sentence = "the wallet is not open: write `async with Wallet.open(…) as wallet:` and use it inside"
            raise KitestringError(Reason.MALFORMED, sentence)
        return self._opened

    # ------------------------------------------------------------ money

    async def invoice(self, amount: Msat | None, memo: str = "", expiry_s: int = 3600) -> Invoice:
        """An invoice to be paid by anybody; ``amount`` None leaves it to the payer. Raises KitestringError."""
        made = await self._source.make_invoice(positive(amount), fit_description(memo), expiry_s)
        return invoice_of(bolt11.decode(made.bolt11, recover=False))

    async def receive(self, amount: Msat | None = None, memo: str = "", expiry_s: int = 3600) -> PaymentLink:
        """A link (BIP-321, ``bitcoin:?lightning=…``) by which anybody can pay; ``amount`` None leaves it to the payer.

        A wallet that makes such links itself (extension 321) is asked for one, which is read as it comes: it decides
        how long that lasts. Raises KitestringError, INTERNAL where it is not what was asked for.
        """
        source = self._source
        if not (isinstance(source, CallSource) and source.announces("receive")):
            made = await self.invoice(amount, memo, expiry_s)
            return PaymentLink(encode_bip321(made.bolt11), made)
        wanted = positive(amount)
        params: dict[str, object] = {"description": fit_description(memo)} if memo else {}
        if wanted is not None:
            params["amount"] = int(wanted)
        return link_of((await source.call("receive", params, None)).get("bip321"), wanted)

    async def call(
        self, method: str, params: Mapping[str, object] | None = None, *, timeout_s: float | None = None
    ) -> dict[str, object]:
        """Ask a wallet connection for a method of its own, such as one that a plugin of its service adds; its result.

        Raises KitestringError: UNSUPPORTED at a node asked directly and for a method that the wallet does not announce,
        MALFORMED for one that pays, UNAVAILABLE when no answer comes within ``timeout_s`` seconds (default 15), and the
        wallet's refusal. After UNAVAILABLE it may have been carried out: ask again only where that does no harm.
        """
        source = self._source
        if not isinstance(source, CallSource):
            raise KitestringError(Reason.UNSUPPORTED, "only a wallet connection has methods of its own")
        return await source.call(method, params or {}, timeout_s)

    async def hold_invoice(self, amount: Msat, payment_hash: str, memo: str = "", expiry_s: int = 3600) -> Invoice:
        """An invoice of a payment hash (64 hex digits) whose preimage only you know. What is paid to it is held:
        :meth:`lookup` shows the state ``accepted`` with the ``settle_deadline`` (the height of a block), until
        :meth:`settle` or :meth:`cancel`. Of a service, what nobody has decided about by then goes back by itself.

        Raises KitestringError: UNSUPPORTED where the wallet cannot hold, INVOICE_TAKEN (another wallet may only say
        "other") for a hash that was used before.
        """
        if positive(amount) is None:
            raise KitestringError(Reason.AMOUNT_OUT_OF_RANGE, "a hold invoice needs an amount")
        wanted = digits_of(payment_hash, "a payment hash")
        made = await self._source.make_hold_invoice(wanted, amount, fit_description(memo), expiry_s)
        return invoice_of(bolt11.decode(made.bolt11, recover=False))

    async def wait_paid(self, invoice: Invoice | str, *, timeout_s: float | None = None) -> Transaction:
        """Wait until an invoice of this wallet is paid, and return it: its ``amount_msat`` is what came.

        ``invoice`` is what :meth:`invoice` returned, or its text. A hold invoice is paid when it is settled. The wallet
        is listened to, and asked now and then. Raises TimeoutError after ``timeout_s`` seconds (default: some minutes
        after its expiry), when it may still be paid; KitestringError: EXPIRED_INVOICE when nobody can pay it any more,
        UNKNOWN_TARGET for one that is not of this wallet, NOT_PERMITTED where the wallet neither tells nor is asked.
        """
        wanted = invoice if isinstance(invoice, Invoice) else own_invoice(invoice)
        return await paid(self._source, self._net.clock, wanted.payment_hash, wanted.expires_at, timeout_s)

    async def settle(self, preimage: str) -> None:
        """Take the payment that is held for the hash of ``preimage`` (64 hex digits): afterwards it is yours, and the
        payer has the preimage. Settling twice is safe, also after an answer that was lost. Raises KitestringError:
        UNKNOWN_TARGET for no such hold invoice, another refusal where nobody has paid it yet or it was cancelled."""
        await self._source.settle_hold(digits_of(preimage, "a preimage"))

    async def cancel(self, payment_hash: str) -> None:
        """Give back what is held for a hold invoice, and let nobody pay it any more. Cancelling twice is safe. Raises
        KitestringError, also where it was settled."""
        await self._source.cancel_hold(digits_of(payment_hash, "a payment hash"))

    async def pay(
        self,
        target: str,
        amount: Msat | None = None,
        *,
        max_amount: Msat | None = None,
        max_fee: Msat | None = None,
        description: str = "",
        payer_data: Mapping[str, str] | None = None,
        nip69: bool = False,
        timeout_s: float | None = None,
    ) -> Receipt:
        """Pay an invoice or an offer (``noffer1…``), bare or inside a ``lightning:`` or ``bitcoin:`` link, or the offer
        that an address (``me@example.com``) or a profile (``npub1…``, ``nprofile1…``) names.

        ``max_amount`` is the most that the payee may ask for: up to it, a price is paid that only the service of an
        offer names. ``max_fee`` is the most the route may cost (a node's default: 1 %, at least 10 sat).
        ``description`` goes to the service of an offer, and so does ``payer_data``, such as ``{"name": "Bob"}``:
        nothing else is told about you. ``nip69`` asks an offer in the form of 2024, for services that know no other.
        ``timeout_s`` bounds the payment itself (default 60 at a node; over NWC 90 for the answer, and looks after it).

        The same invoice is never paid twice; paying it again returns the same receipt. Raises KitestringError:
        PAYMENT_IN_FLIGHT (detail ``payment_hash``) when nobody can say yet, which is no failure: ask :meth:`lookup`
        later and pay nothing else for the same thing until then. Every other reason means that this call has paid
        nothing, which is no word about an earlier one that was in flight. OVER_BUDGET has the details ``limit_msat``,
        ``used_msat``, ``left_msat`` and ``renews_at`` where the wallet tells them.

        Of an offer: AMOUNT_OUT_OF_RANGE with the details ``amount_msat`` and ``bolt11`` where its service alone names
        the price and there is no ``max_amount`` (pay that invoice if you agree), or with ``range`` where the amount
        does not fit; MOVED_OR_EXPIRED_OFFER with ``latest``, the code at another service to which it has moved;
        MALFORMED with ``payer_data``, the names of what it asks for.
        """
        amount, max_amount, max_fee = positive(amount), money(max_amount), money(max_fee)
        asked = self._ask(target, Terms(amount, description, "", max_amount, payer_data or {}, _version(nip69)))
        async with await asked as payable:
            command = payable.order(max_fee)
            if command.expires_at <= self._net.clock.now():
                end = await self._paid_before(command)
            else:
                end = await self._within_budget(command, timeout_s)
        return receipt(command, end, target)

    async def preview(
        self,
        target: str,
        amount: Msat | None = None,
        *,
        max_amount: Msat | None = None,
        description: str = "",
        payer_data: Mapping[str, str] | None = None,
        nip69: bool = False,
    ) -> Preview:
        """See what :meth:`pay` would pay, and pay nothing. The service of an offer is asked for an invoice, as for
        paying, and told the same; pay its ``bolt11`` to pay what you have seen. Raises KitestringError as :meth:`pay`
        does of what it finds out before it pays."""
        terms = Terms(positive(amount), description, "", money(max_amount), payer_data or {}, _version(nip69))
        async with await self._ask(target, terms) as payable:
            return preview(read(target), payable)

    async def _ask(self, target: str, terms: Terms) -> Payable:
        """The invoice to pay for a target, on the network of this wallet."""
        read(target)  # a wrong code is wrong whether or not the wallet answers
        return await ask(target, replace(terms, network=await self._source.network()), self._net)

    async def pay_many(
        self,
        invoices: Sequence[str | tuple[str, Msat]],
        *,
        max_fee: Msat | None = None,
        timeout_s: float | None = None,
    ) -> tuple[Receipt | KitestringError, ...]:
        """Pay up to 100 invoices, and tell of each how it ended, in their order: its receipt, or the error that
        :meth:`pay` would have raised for it.

        An invoice without an amount comes with one, as ``(invoice, sat(21))``. ``max_fee`` is for each. They go in one
        request where the wallet announces that it takes several. Raises KitestringError for more than 100, and
        TypeError for a bare number: then nothing was paid.
        """
        if len(invoices) > MAX_MANY:
            raise KitestringError(Reason.MALFORMED, f"at most {MAX_MANY} invoices can be paid at once")
        max_fee, wanted = money(max_fee), [(one, None) if isinstance(one, str) else one for one in invoices]
        network = await self._source.network()
        now = self._net.clock.now()
        orders = [order_of(text, positive(amount), max_fee, network, now) for text, amount in wanted]
        commands = [order for order in orders if isinstance(order, PayInvoice)]
        ends = iter(await self._source.pay_many(commands, timeout_s))
        told: list[Receipt | KitestringError] = []
        for (text, _), order in zip(wanted, orders, strict=True):
            end = order if isinstance(order, KitestringError) else next(ends)
            if isinstance(order, PayInvoice) and isinstance(end, Paid):
                told.append(receipt(order, end, text))
            elif isinstance(end, KitestringError):
                told.append(end)
        return tuple(told)

    async def keysend(
        self,
        pubkey: str,
        amount: Msat,
        *,
        message: str = "",
        records: Mapping[int, bytes] | None = None,
        max_fee: Msat | None = None,
        timeout_s: float | None = None,
    ) -> Receipt:
        """Pay the key of a node (66 hex digits) that has asked for nothing.

        ``message`` and ``records`` (TLV types from 65,536 on) go along: at most 20 with 1,000 bytes. The receipt proves
        nothing to others, for its preimage is the payer's own. Every call is another payment: after PAYMENT_IN_FLIGHT
        (detail ``payment_hash``) ask :meth:`lookup`, and do not call again. Raises KitestringError as :meth:`pay` does,
        and UNSUPPORTED where the wallet cannot.
        """
        amount, max_fee = positive(amount), money(max_fee)
        sent = [(number, value.hex()) for number, value in (records or {}).items()]
        sent += [message_record(message)] if message else []
        try:
            key, checked = read_node_key(pubkey), checked_records(sent)
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, str(error)) from error
        command = keysend(key, amount, preimage=self._net.entropy(32).hex(), records=checked, max_fee_msat=max_fee)
        end = await self._within_budget(command, timeout_s)
        return replace(receipt(command, end, pubkey), description=message)

    async def _within_budget(self, command: PayInvoice, timeout_s: float | None) -> Paid:
        """Pay. A refusal for want of budget gets the figures, where the wallet tells them."""
        try:
            return await self._source.pay(command, timeout_s)
        except KitestringError as refused:
            if refused.reason is Reason.OVER_BUDGET and (stands := await self._told_budget()):
                limit, used, left = (int(one) for one in (stands.limit, stands.used, stands.left))
                figures = {"limit_msat": limit, "used_msat": used, "left_msat": left, "renews_at": stands.renews_at}
                refused.details |= figures
            raise

    async def _told_budget(self) -> WalletBudget | None:
        try:
            return await self.budget()
        except KitestringError as failure:
            _log.debug("the wallet does not tell its budget: %s", failure.message)
            return None

    async def _paid_before(self, command: PayInvoice) -> Paid:
        """An expired invoice may be one that was paid in time, or that is being paid."""
        payment_hash = command.payment_hash
        expired = KitestringError(Reason.EXPIRED_INVOICE, "this invoice has expired: ask for a new one")
        try:
            found = await self._source.lookup(payment_hash)
        except KitestringError as error:
            if error.reason is not Reason.UNKNOWN_TARGET:
                raise
            raise expired from error
        if found.type is not Direction.OUTGOING or found.state is TransactionState.FAILED:
            raise expired
        if found.state is TransactionState.SETTLED and preimage_fits(found.preimage, payment_hash):
            return Paid(payment_hash, found.preimage, found.amount_msat, found.fee_msat, is_old=True)
        raise in_flight(payment_hash, f"its record says {found.state}, without a proof")

    def debit(self, ndebit: str) -> DebitClient:
        """The service behind a debit code (``ndebit1…``), which may be asked to pay into this wallet. Raises
        KitestringError for another code.

        The key with which it is asked, and the state of subscriptions, are kept in ``data_dir`` (default: the user's
        own for kitestring).
        """
        from kitestring.sdk.debits import DebitClient  # noqa: PLC0415 - most programs ask for none
        from kitestring.sdk.home import home_of  # noqa: PLC0415 - as above

        return DebitClient(ndebit, lambda: self._source, self._net, home_of(self._data_dir))

    # ------------------------------------------------------------ looking

    async def balance(self) -> Msat:
        """The amount that can be spent now. Raises KitestringError."""
        return await self._source.balance()

    async def budget(self) -> WalletBudget | None:
        """The budget of this connection, None where nothing bounds it (as at a node asked directly). Of several the
        wallet tells one; kitestring the one with the least left. Raises KitestringError, UNSUPPORTED for a wallet that
        does not tell."""
        state = await self._source.budget()
        if state.budget is None:
            return None
        return WalletBudget(state.budget.limit_msat, state.used_msat, state.budget.period, state.renews_at)

    async def sign_message(self, message: str) -> str:
        """The signature of ``message`` by the key of the wallet's node, in the form of lnd; everybody can recover that
        key from the two (:func:`kitestring.codec.signed_message.signer`). Raises KitestringError, UNSUPPORTED where the
        wallet or the node does not sign."""
        return await self._source.sign_message(message)

    async def lookup(self, payment_hash: str) -> Transaction:
        """The payment or invoice with this hash (64 hex digits). Raises KitestringError, UNKNOWN_TARGET if none."""
        return await self._source.lookup(digits_of(payment_hash, "a payment hash"))

    async def transactions(
        self,
        *,
        since: int = 0,
        until: int = 0,
        limit: int = 20,
        offset: int = 0,
        direction: str = "",
        unpaid: bool = False,
    ) -> tuple[Transaction, ...]:
        """The newest first; times are Unix seconds, ``direction`` is ``incoming`` or ``outgoing``. Raises
        KitestringError. A node asked directly knows no times of outgoing payments and lists those first."""
        if direction not in {"", "incoming", "outgoing"}:
            raise KitestringError(Reason.MALFORMED, "direction is incoming or outgoing")
        query = ListTransactions(
            from_=since, until=until, limit=limit, offset=offset, direction=direction, unpaid_incoming=unpaid,
            unpaid_outgoing=unpaid,
        )  # fmt: skip
        return await self._source.transactions(query)

    def notifications(
        self,
        *,
        since: int | str | None = None,
        types: Iterable[str] = tuple(SETTLED_TYPES.values()),
        lifetime_s: int = 604_800,
    ) -> Notifications:
        """Everything that is paid and received from now on, as it happens: ``async for notification in …``.

        ``since`` is a time (Unix seconds by the wallet's clock), or the ``position`` of an earlier iterator: then what
        came while nobody listened comes first, the oldest at the beginning, and nothing comes twice. Without it a
        minute before now counts too, for clocks differ. ``types`` are ``payment_received`` and ``payment_sent``, and
        ``hold_invoice_accepted``. What was paid while nobody listened is found, and of hold invoices what is still held
        by then, if it was made less than ``lifetime_s`` seconds before ``since``: no shorter than invoices can be paid.

        It is the wallet's own word, like that of :meth:`lookup`. A wallet that tells nothing is asked every five
        seconds. A node asked directly tells what it receives alone. Raises KitestringError(MALFORMED) for a position
        that is none.
        """
        made = Notifications(self._source, self._net.clock, since, types, lifetime_s)
        self._notifications = [one for one in self._notifications if not one.is_closed] + [made]
        return made

    async def info(self) -> Info:
        """The node behind the wallet, and over NWC what it allows. Raises KitestringError."""
        return await self._source.info()


def _version(nip69: bool) -> Version:
    return "legacy" if nip69 else "tagged"
