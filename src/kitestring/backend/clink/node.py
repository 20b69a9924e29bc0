"""``clink://?noffer=…&ndebit=…``: a wallet of somebody else by its CLINK codes.

It receives by its offer (kind 21001) and pays by debits (kind 21002) that it lets our key take. The protocol has no
balance, no list, no fee, and no look-up but to ask again, so little is promised: see :mod:`.words` for what counts as
paid or failed, and :mod:`.book` for what is kept here because the wallet does not tell it. The identity is that of the
two codes: every answer is signed by the keys in them.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Final, NoReturn

from kitestring.backend.clink.book import FILE_NAME, WalletBook
from kitestring.backend.clink.findings import findings
from kitestring.backend.clink.invoices import DEFAULT_PACE as RECEIPT_PACE
from kitestring.backend.clink.invoices import ReceiptPace, WalletInvoices
from kitestring.backend.clink.line import ServiceLine
from kitestring.backend.clink.link import ClinkWalletLink, read_link
from kitestring.backend.clink.orders import DEFAULT_PACE as ORDER_PACE
from kitestring.backend.clink.orders import OrderPace, WalletOrders
from kitestring.backend.nostr.connection import WalletAnswerError
from kitestring.backend.registry import BackendContext, BackendUrl
from kitestring.backend.unfit_invoices import unfit_invoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import MAX_MSAT, ZERO, Msat
from kitestring.base.node import (
    Backend,
    Capabilities,
    Finding,
    FindingState,
    InvoiceOrder,
    InvoiceStatus,
    NodeBalance,
    NodeInfo,
    NodeInvoice,
    NodeInvoiceState,
    NodePayment,
    NodeUnreachableError,
    PayOrder,
    Settlement,
)
from kitestring.base.payments import Failed, FailureReason, LookupAnswer, PayAnswer
from kitestring.client.net import Net, Waits
from kitestring.client.session import Dialog
from kitestring.crypto.keys import SecretKey

#: Payments under way at once. The protocol names no bound, and services refuse what is too much for them.
PAYMENT_SLOTS: Final = 50
CAPABILITIES: Final = Capabilities(
    own_preimage=False,
    idempotent_by_hash=False,
    authoritative_lookup=False,
    fee_cap=False,
    amountless=False,
    description_hash=False,
    sub_sat=False,
    payment_slots=PAYMENT_SLOTS,
)
WAITS: Final = Waits()
_NO_LIST: Final = "a CLINK wallet shows no list of what it has paid and received, so nothing can be compared with it"


def from_url(url: BackendUrl, context: BackendContext) -> Backend:
    """Reads the codes. Raises KitestringError."""
    return ClinkWallet(read_link(url, context), context)


class ClinkWallet:
    """The two lines to a wallet, and the book of what it has said. Raises NodeUnreachableError, WalletAnswerError,
    TimeoutError, except where :meth:`pay` says."""

    capabilities: Capabilities = CAPABILITIES

    def __init__(
        self, link: ClinkWalletLink, context: BackendContext, *, waits: Waits = WAITS, pace: OrderPace = ORDER_PACE,
        receipts: ReceiptPace = RECEIPT_PACE,
    ) -> None:  # fmt: skip
        self.node_id = link.wallet_id
        self._link: Final = link
        self._context: Final = context
        self._net: Final = Net(context.clock, context.entropy, context.proxies, waits)
        self._pace: Final = pace
        self._receipts: Final = receipts
        self._wallet: _Open | None = None
        self._learning: Final = asyncio.Lock()

    def __repr__(self) -> str:
        return f"ClinkWallet({self.node_id[:16]}…)"

    async def open(self) -> None:
        """Raises KitestringError where the key or the book cannot be used."""
        if self._wallet is None:
            self._wallet = _Open(self._link, self._context, self._net, self._pace, self._receipts)
            await self._wallet.start()

    async def close(self) -> None:
        wallet, self._wallet = self._wallet, None
        if wallet is not None:
            await wallet.stop()

    def _there(self) -> _Open:
        if self._wallet is None:
            raise NodeUnreachableError("the connection to the wallet is not open")
        return self._wallet

    # ------------------------------------------------------------ what it is

    async def findings(self) -> tuple[Finding, ...]:
        """The key, for the owner of the wallet to allow; its last words; and what is reckoned here."""
        if self._wallet is not None:
            return findings(self._link, self._wallet.key.public_hex, self._wallet.book)
        if not (self._context.data_dir / FILE_NAME).exists():
            return findings(self._link, "", None)
        try:
            key = self._link.key(self._context)
            with closing(WalletBook(self._context.data_dir, self.node_id)) as book:
                return findings(self._link, key.public_hex, book)
        except (KitestringError, sqlite3.Error) as broken:
            return (Finding("book", FindingState.FAIL, str(broken)),)

    async def info(self) -> NodeInfo:
        """Neither an alias nor a height is told; the network is that of an invoice which nobody is shown, once."""
        wallet = self._there()
        await wallet.debits.reached()
        await wallet.offers.reached()
        return NodeInfo(self.node_id, "CLINK wallet", "#000000", await self._network(wallet), 0, "")

    async def _network(self, wallet: _Open) -> str:
        async with self._learning:
            known = self._link.network or wallet.book.network
            if not known:
                known = await wallet.invoices.network()
                wallet.book.learn_network(known)
            return known

    async def balance(self) -> NodeBalance:
        """Reckoned: what the owner says was there, and what came and went by us since. No wallet tells what can come
        in: it is given as the most that there can be."""
        wallet = self._there()
        await wallet.debits.reached()
        left = max(Msat(int(self._link.opening_msat) + wallet.book.change_msat()), ZERO)
        return NodeBalance(left, Msat(MAX_MSAT), left)

    async def own_books(self) -> tuple[str, ...]:
        return ()

    # ------------------------------------------------------------ payments

    async def pay(self, order: PayOrder) -> PayAnswer:
        wallet = self._there()
        await wallet.debits.reached()
        if not isinstance(order.destination, Bolt11):
            return Failed("the wallet was not asked: a debit pays invoices only", FailureReason.REFUSED)
        text = order.destination.text
        if not wallet.orders.joined(order.payment_hash):
            unfit = unfit_invoice(text, self._link.network or wallet.book.network, self._context.clock.now())
            if unfit is not None:
                return unfit
        return await wallet.orders.pay(order, text)

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        wallet = self._there()
        await wallet.debits.reached()
        return await wallet.orders.look(payment_hash)

    async def track(self, payment_hash: str) -> LookupAnswer:
        wallet = self._there()
        await wallet.debits.reached()
        return await wallet.orders.track(payment_hash)

    async def payment_index(self) -> int:
        """Not counted by any wallet, and not declared."""
        raise WalletAnswerError("a wallet does not count its payments")

    def list_payments(self) -> AsyncIterator[NodePayment]:
        """Raises KitestringError(UNSUPPORTED): there is none."""
        return _NoList()

    # ------------------------------------------------------------ invoices

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        wallet = self._there()
        return await wallet.invoices.make(order, await self._network(wallet))

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        """Say what has ended otherwise; raises WalletAnswerError where it is open."""
        status = await self.lookup_invoice(payment_hash)
        if status.state is NodeInvoiceState.OPEN:
            raise WalletAnswerError("it stays open: CLINK has no word to cancel an invoice with")
        return status

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        wallet = self._there()
        await wallet.offers.reached()
        return wallet.invoices.status(payment_hash)

    async def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        wallet = self._there()
        await wallet.offers.reached()
        async for settlement in wallet.invoices.settlements(cursor):
            yield settlement

    def list_invoices(self) -> AsyncIterator[tuple[str, InvoiceStatus]]:
        """Raises KitestringError(UNSUPPORTED): there is none."""
        return _NoList()


class _NoList(AsyncIterator[NoReturn]):
    """Says so as soon as somebody looks."""

    async def __anext__(self) -> NoReturn:
        raise KitestringError(Reason.UNSUPPORTED, _NO_LIST)


class _Open:
    """All that there is between :meth:`ClinkWallet.open` and :meth:`ClinkWallet.close`."""

    def __init__(
        self, link: ClinkWalletLink, context: BackendContext, net: Net, pace: OrderPace, receipts: ReceiptPace
    ) -> None:
        self.key: Final[SecretKey] = link.key(context)
        self.book: Final = WalletBook(context.data_dir, link.wallet_id)
        self.offers: Final = ServiceLine(Dialog.offers(self.key, link.noffer.pubkey), link.noffer.relays, net)
        self.debits: Final = ServiceLine(Dialog.debits(self.key, link.ndebit.pubkey), link.ndebit.relays, net)
        self.orders: Final = WalletOrders(
            link.ndebit, self.debits, self.book, context.clock, is_known=link.is_known, pace=pace
        )
        self.invoices: Final = WalletInvoices(link.noffer, self.offers, self.book, context.clock, receipts)

    async def start(self) -> None:
        await self.debits.open()
        await self.offers.open()
        self.orders.resume()
        self.invoices.resume()

    async def stop(self) -> None:
        await self.invoices.close()
        await self.offers.close()
        await self.debits.close()
        self.book.close()
