"""``nostr+walletconnect://KEY?relay=URL&secret=…``: a wallet of somebody else over Nostr Wallet Connect (NIP-47).

Any wallet will do, so nothing is taken for granted that its protocol does not promise. It is never believed that a
payment was never seen; an order whose answer got lost is looked up and never sent again; what is refused counts as
failed by the codes that mean that alone, and where money may have moved before, by the wallet's record besides. The
identity is the wallet's key: every answer is encrypted to us and signed by it, so nobody else can take its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from msgspec.structs import replace

from kitestring.backend.nostr.history import DEFAULT_PACE, MAX_LISTED, Pace, Settlements, rows
from kitestring.backend.nostr.link import WalletLink, read_link
from kitestring.backend.registry import BackendUrl, Context
from kitestring.base.commands import ListTransactions, PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import CodecError, KitestringError, Reason
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
    NodePaymentState,
    NodeUnreachableError,
    PayOrder,
    Settlement,
)
from kitestring.base.outcomes import Direction, Refused, Transaction, TransactionState
from kitestring.base.payments import (
    Failed,
    FailureReason,
    InFlight,
    LookupAnswer,
    NeverSeen,
    PayAnswer,
    Settled,
    Unknown,
    preimage_fits,
)
from kitestring.client.net import Net, Waits
from kitestring.client.nwc import NwcClient
from kitestring.client.session import NothingSentError
from kitestring.codec import bolt11
from kitestring.wire.ask.nwc_codes import is_final

T = TypeVar("T")

#: Two looks at an order whose answer got lost; then the service itself goes on asking.
WAITS: Final = Waits(lookup_pauses_s=(0.0, 5.0))
#: Payments under way at once. NIP-47 names no bound; wallets refuse what is too much for them, and a refusal ends a
#: payment, so rather few.
PAYMENT_SLOTS: Final = 50
#: An invoice that the wallet shows unpaid so long after its expiry is over, though the wallet has no word for that.
OVER_S: Final = 86_400
#: What a link must allow → what does not work without it.
NEEDED: Final = {
    "pay_invoice": "nothing is paid",
    "make_invoice": "nothing is received",
    "lookup_invoice": "no payment of unclear end is ever resolved",
    "list_transactions": "what comes in is seen late, and `audit --node` sees nothing",
    "get_balance": "the owner cannot spend",
    "get_info": "the service does not start, because nobody says which network it is on",
}
#: Refusals of who asks and of how much: no order was begun. After the others that are final the record is looked at.
_NOT_BEGUN: Final = frozenset(
    {
        Reason.RATE_LIMITED, Reason.UNSUPPORTED, Reason.OVER_BUDGET, Reason.NOT_PERMITTED, Reason.CONNECTION_ENDED,
        Reason.UNSUPPORTED_ENCRYPTION,
    }
)  # fmt: skip
_REASONS: Final = {
    Reason.INSUFFICIENT_FUNDS: FailureReason.INSUFFICIENT_FUNDS,
    Reason.OVER_BUDGET: FailureReason.INSUFFICIENT_FUNDS,
    Reason.FEE_LIMIT: FailureReason.FEE_LIMIT,
    Reason.PAYMENT_FAILED: FailureReason.OTHER,
}
_PAYMENT_STATES: Final = {
    TransactionState.SETTLED: NodePaymentState.SETTLED,
    TransactionState.FAILED: NodePaymentState.FAILED,
}
_INVOICE_STATES: Final = {
    TransactionState.SETTLED: NodeInvoiceState.SETTLED,
    TransactionState.EXPIRED: NodeInvoiceState.CANCELED,
    TransactionState.FAILED: NodeInvoiceState.CANCELED,
}
#: Of NIP-47 as its text stands. It has no way to announce that ``max_fee`` is honoured.
CAPABILITIES: Final = Capabilities(
    own_preimage=False,
    idempotent_by_hash=False,
    authoritative_lookup=False,
    fee_cap=False,
    amountless=False,
    description_hash=True,
    payment_slots=PAYMENT_SLOTS,
)
#: The same of a wallet with ``receive``, which is announced only where amounts can be left to the payer (NWC-321).
WITHOUT_AMOUNTS: Final = replace(CAPABILITIES, amountless=True)


class WalletAnswerError(Exception):
    """The wallet has refused, or said what cannot be used; its own words, for the owner."""


def from_url(url: BackendUrl, context: Context) -> Backend:
    """Reads the link. Raises KitestringError."""
    return NwcWallet(read_link(url, context.environment), context)


class NwcWallet:
    """One connection to a wallet. Raises NodeUnreachableError, WalletAnswerError, TimeoutError, except where
    :meth:`pay` says."""

    def __init__(self, link: WalletLink, context: Context, *, waits: Waits = WAITS, pace: Pace = DEFAULT_PACE) -> None:
        self.capabilities: Capabilities = CAPABILITIES
        self.node_id = link.uri.service_pubkey
        self._link: Final = link
        self._clock: Final = context.clock
        self._net: Final = Net(context.clock, context.entropy, context.proxies, waits)
        self._pace: Final = pace
        self._client: NwcClient | None = None
        self._entering: asyncio.Future[NwcClient] | None = None
        self._nip44_seen = link.encryption == "nip44"
        self._connecting: Final = asyncio.Lock()
        self._is_open = False
        self._network = ""

    def __repr__(self) -> str:
        return f"NwcWallet({self.node_id[:16]}…)"

    # ------------------------------------------------------------ the connection

    async def open(self) -> None:
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False
        if self._entering is not None:
            self._entering.cancel()
        async with self._connecting:
            client, self._client = self._client, None
            if client is not None:
                self._nip44_seen = client.nip44_seen
                await client.__aexit__(None, None, None)

    def _new_client(self) -> NwcClient:
        legacy = self._link.encryption == "legacy"
        return NwcClient(self._link.uri, self._net, legacy=legacy, nip44_seen=self._nip44_seen)

    async def _reached(self) -> NwcClient:
        """The client, with a relay to speak over. Raises NodeUnreachableError: nothing was sent."""
        try:
            client = await self._connected()
            await client.reach()
        except NothingSentError as away:
            raise NodeUnreachableError(away.message) from away
        return client

    async def _connected(self) -> NwcClient:
        """The client, which is made at the first question: a wallet that is away at the start may come back."""
        async with self._connecting:
            if self._client is None and self._is_open:
                self._entering = asyncio.ensure_future(self._new_client().__aenter__())
                await asyncio.wait((self._entering,))
                self._client = None if self._entering.cancelled() else self._entering.result()
        client = self._client
        if client is None or not self._is_open:
            raise NodeUnreachableError("the connection to the wallet is not open")
        return client

    async def _ask(self, question: Callable[[NwcClient], Awaitable[T]]) -> T:
        """The answer to a question without money in it."""
        client = await self._reached()
        try:
            return await question(client)
        except NothingSentError as away:
            raise NodeUnreachableError(away.message) from away
        except KitestringError as failure:
            if failure.reason is Reason.UNAVAILABLE and "code" not in failure.details:
                raise TimeoutError(failure.message) from failure
            raise WalletAnswerError(failure.message) from failure

    # ------------------------------------------------------------ what it is

    async def findings(self) -> tuple[Finding, ...]:
        """Whether the secret can be read by others, what the link does not allow, and that nothing bounds fees."""
        found = [_announced(await self._methods())]
        if self._link.is_literal:
            text = "the secret of the wallet's link stands in the setting node: put it into a file of yours alone, and"
            found.append(Finding("link", FindingState.WARN, f"{text} write secret=file:PATH in its place"))
        text = (
            "wallets do not say whether they heed a bound of the fee: what one costs beyond it is booked all the same"
        )
        found.append(Finding("fees", FindingState.INFO, text))
        return tuple(found)

    async def _methods(self) -> frozenset[str] | None:
        """The methods that the wallet announces, None where it cannot be asked now."""
        try:
            if self._client is not None:
                return await _allowed(self._client)
            async with self._new_client() as client:
                return await _allowed(client)
        except KitestringError:
            return None

    async def info(self) -> NodeInfo:
        told = await self._ask(lambda client: client.get_info())
        if told.network not in bolt11.PREFIXES:
            raise WalletAnswerError(
                f"the wallet does not say which network it is on: {told.network or 'its link must allow get_info'}"
            )
        self._network = told.network
        if "receive" in told.methods:
            self.capabilities = WITHOUT_AMOUNTS
        return NodeInfo(self.node_id, told.alias, told.color, told.network, told.block_height or 0, told.block_hash)

    async def balance(self) -> NodeBalance:
        """As the protocol says, but no wallet tells what can come in. It is given as the most that there can be: an
        invoice that nobody can pay does no harm, and with 0 none would be made."""
        told = await self._ask(lambda client: client.get_balance())
        spendable = max(told, ZERO)
        return NodeBalance(spendable, Msat(MAX_MSAT), spendable)

    async def own_books(self) -> tuple[str, ...]:
        return ()

    # ------------------------------------------------------------ payments

    async def pay(self, order: PayOrder) -> PayAnswer:
        if not isinstance(order.destination, Bolt11):
            return Failed("the wallet was not asked: it is given invoices only", FailureReason.REFUSED)
        client = await self._reached()
        unfit = await self._unfit(order.destination)
        if unfit is not None:
            return await self._confirmed(unfit, order.payment_hash)
        command = PayInvoice(
            destination=order.destination, payment_hash=order.payment_hash, amount_msat=order.amount_msat,
            max_fee_msat=order.fee_cap_msat,
        )  # fmt: skip
        try:
            paid = await client.pay(command, timeout_s=order.timeout_s)
        except NothingSentError as away:
            raise NodeUnreachableError(away.message) from away
        except KitestringError as refused:
            answer = await self._judge(refused, order.payment_hash)
            if isinstance(answer, Failed):  # or the client would run out of hashes that it has never asked for
                client.forget(order.payment_hash)
            return answer
        return Settled(paid.preimage, paid.fee_msat)

    async def _unfit(self, destination: Bolt11) -> Failed | None:
        """The refusal of an invoice that no wallet should be given: not every one looks at all of this."""
        if not self._network:
            with suppress(WalletAnswerError, TimeoutError):  # then the wallet has to look itself
                await self.info()
        try:
            invoice = bolt11.decode(destination.text)
        except CodecError as error:
            return Failed(f"the wallet was not asked: {error}", FailureReason.REFUSED)
        if self._network and invoice.network != self._network:
            text = f"the wallet was not asked: the invoice is of {invoice.network}, the wallet of {self._network}"
            return Failed(text, FailureReason.REFUSED)
        if invoice.expires_at <= self._clock.now():
            return Failed("the wallet was not asked: the invoice has expired", FailureReason.EXPIRED)
        return None

    async def _judge(self, refused: KitestringError, payment_hash: str) -> PayAnswer:
        """Judge an order that was not answered with a proof: it has failed by words that mean that alone."""
        if refused.reason is Reason.PAYMENT_IN_FLIGHT:
            known = await self._known(payment_hash)
            return known if isinstance(known, Settled | InFlight) else Unknown(refused.message)
        if not is_final(Refused(refused.reason, refused.message, refused.details)):
            return Unknown(refused.message)
        failed = Failed(refused.message, _REASONS.get(refused.reason, FailureReason.REFUSED))
        return failed if refused.reason in _NOT_BEGUN else await self._confirmed(failed, payment_hash)

    async def _confirmed(self, failed: Failed, payment_hash: str) -> PayAnswer:
        """``failed`` where the wallet's record does not say otherwise; what it says where it does."""
        known = await self._known(payment_hash)
        if isinstance(known, NeverSeen):
            return failed
        if isinstance(known, Failed):
            return replace(failed, attempt_at=known.attempt_at)
        return Unknown(f"{failed.evidence}; then: {known.why}") if isinstance(known, Unknown) else known

    async def _known(self, payment_hash: str) -> LookupAnswer:
        """A look-up after an order was given, which is no proof of anything when it does not come about."""
        try:
            return await self.lookup_payment(payment_hash)
        except NodeUnreachableError as away:
            return Unknown(str(away))

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        return await (await self._reached()).lookup_payment(payment_hash)

    async def track(self, payment_hash: str) -> LookupAnswer:
        deadline_s = self._clock.monotonic() + self._pace.track_limit_s
        while True:
            answer = await self.lookup_payment(payment_hash)
            if not isinstance(answer, InFlight) or self._clock.monotonic() >= deadline_s:
                return answer
            await self._clock.sleep(self._pace.track_s)

    async def payment_index(self) -> int:
        """Not counted by any wallet, and not declared."""
        raise WalletAnswerError("a wallet does not count its payments")

    async def list_payments(self) -> AsyncIterator[NodePayment]:
        for row in reversed(await self._listed(Direction.OUTGOING)):
            state = _PAYMENT_STATES.get(row.state, NodePaymentState.OPEN)
            yield NodePayment(row.payment_hash, state, row.amount_msat, row.fee_msat, row.preimage)

    # ------------------------------------------------------------ invoices

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        made = await self._ask(
            lambda client: client.make_invoice(
                order.amount_msat, description=order.description, description_hash=order.description_hash,
                expiry_s=order.expiry_s,
            )
        )  # fmt: skip
        invoice = bolt11.decode(made.bolt11)
        if self._network and invoice.network != self._network:
            raise WalletAnswerError(f"the wallet has made an invoice of {invoice.network}")
        if order.description_hash and invoice.description_hash != order.description_hash:
            raise WalletAnswerError("the wallet has made an invoice without the hash of its description")
        return NodeInvoice(invoice.text, invoice.payment_hash, invoice.expires_at)

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        """No wallet is told to cancel: this says what has ended otherwise, and raises where it is open."""
        status = await self.lookup_invoice(payment_hash)
        if status.state is NodeInvoiceState.OPEN:
            raise WalletAnswerError("Nostr Wallet Connect has no word to cancel an invoice with: it stays open")
        return status

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        row = await self._ask(lambda client: _found(client, payment_hash))
        if row is None:
            return InvoiceStatus(NodeInvoiceState.UNKNOWN)
        if row.type is not Direction.INCOMING:
            raise WalletAnswerError("the wallet shows a payment where it was asked for an invoice")
        return self._status(row)

    def _status(self, row: Transaction) -> InvoiceStatus:
        state = _INVOICE_STATES.get(row.state, NodeInvoiceState.OPEN)
        if state is NodeInvoiceState.OPEN and row.expires_at and row.expires_at + OVER_S < self._clock.now():
            state = NodeInvoiceState.CANCELED
        if state is not NodeInvoiceState.SETTLED:
            return InvoiceStatus(state, row.bolt11, expires_at=row.expires_at or 0)
        preimage = row.preimage if preimage_fits(row.preimage, row.payment_hash) else ""
        return InvoiceStatus(
            state, row.bolt11, row.amount_msat, row.settled_at or 0, preimage, expires_at=row.expires_at or 0
        )

    def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        return Settlements(self._list, self._has_invoice, self._clock, self._pace).after(cursor)

    async def _has_invoice(self, payment_hash: str) -> bool:
        return await self._ask(lambda client: _found(client, payment_hash)) is not None

    async def list_invoices(self) -> AsyncIterator[tuple[str, InvoiceStatus]]:
        for row in reversed(await self._listed(Direction.INCOMING)):
            yield row.payment_hash, self._status(row)

    async def _listed(self, direction: Direction) -> list[Transaction]:
        """Everything of one direction, the newest first. Raises WalletAnswerError where that is too much."""
        query = ListTransactions(direction=direction.value, unpaid_incoming=True, unpaid_outgoing=True)
        found = [row async for row in rows(self._list, query, MAX_LISTED)]
        if len(found) >= MAX_LISTED:
            raise WalletAnswerError(f"the wallet lists more than {MAX_LISTED} entries, too many to compare")
        return found

    async def _list(self, query: ListTransactions) -> tuple[Transaction, ...]:
        return await self._ask(lambda client: client.list_transactions(query))


async def _allowed(client: NwcClient) -> frozenset[str]:
    await client.reach()
    announced = client.service.methods if client.service else ()
    return frozenset((*announced, *(await client.get_info()).methods))


async def _found(client: NwcClient, payment_hash: str) -> Transaction | None:
    """The wallet's record, None for its own word that there is none."""
    try:
        return await client.lookup_invoice(payment_hash)
    except KitestringError as failure:
        if failure.reason is Reason.UNKNOWN_TARGET:
            return None
        raise


def _announced(methods: frozenset[str] | None) -> Finding:
    if methods is None:
        return Finding("permissions", FindingState.INFO, "the wallet cannot be asked now what its link allows")
    missing = [f"{method} ({loss})" for method, loss in NEEDED.items() if method not in methods]
    if missing:
        text = f"the wallet's link does not allow {'; '.join(missing)}: make one that does"
        return Finding("permissions", FindingState.WARN, text)
    return Finding("permissions", FindingState.OK, "the wallet's link allows all that is needed")
