"""``nostr+walletconnect://KEY?relay=URL&secret=…``: a wallet of somebody else over Nostr Wallet Connect (NIP-47).

Any wallet will do, so nothing is taken for granted that its protocol does not promise. It is never believed that a
payment was never seen; an order whose answer got lost is looked up and never sent again; what is refused counts as
failed by the codes that mean that alone, and where money may have moved before, by the wallet's record besides. The
identity is the wallet's key: every answer is encrypted to us and signed by it, so nobody else can take its place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from kitestring.backend.nostr.abilities import CAPABILITIES, announced, capabilities, permissions
from kitestring.backend.nostr.connection import WalletAnswerError, WalletLine
from kitestring.backend.nostr.history import DEFAULT_PACE, MAX_LISTED, Pace, Settlements, rows
from kitestring.backend.nostr.late import LateInvoices
from kitestring.backend.nostr.link import WalletLink, read_link
from kitestring.backend.nostr.news import InvoiceNews
from kitestring.backend.registry import BackendContext, BackendUrl
from kitestring.backend.unfit_invoices import unfit_invoice
from kitestring.base.commands import ListTransactions, PayInvoice
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import MAX_MSAT, ZERO, Msat
from kitestring.base.node import (
    Backend,
    Capabilities,
    Finding,
    FindingState,
    HashTakenError,
    HoldOrder,
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
from kitestring.base.outcomes import Direction, Info, Refused, Transaction, TransactionState
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
from kitestring.client.net import Waits
from kitestring.client.nwc import NwcClient
from kitestring.client.session import NothingSentError
from kitestring.codec import bolt11
from kitestring.codec.keysend import read_node_key
from kitestring.wire.ask.nwc.codes import is_final
from kitestring.wire.ask.nwc.notifications import may_notify

#: Two looks at an order whose answer got lost; then the service itself goes on asking.
WAITS: Final = Waits(lookup_pauses_s=(0.0, 5.0))
#: The states of an invoice that nobody can pay any more.
_ENDED: Final = frozenset({NodeInvoiceState.UNKNOWN, NodeInvoiceState.SETTLED, NodeInvoiceState.CANCELED})
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
    TransactionState.ACCEPTED: NodeInvoiceState.ACCEPTED,
    TransactionState.EXPIRED: NodeInvoiceState.CANCELED,
    TransactionState.FAILED: NodeInvoiceState.CANCELED,
}


def from_url(url: BackendUrl, context: BackendContext) -> Backend:
    """Reads the link. Raises KitestringError."""
    return NwcWallet(read_link(url, context.environment), context)


class NwcWallet:
    """One connection to a wallet. Raises NodeUnreachableError, WalletAnswerError, TimeoutError, except where
    :meth:`pay` says."""

    def __init__(
        self, link: WalletLink, context: BackendContext, *, waits: Waits = WAITS, pace: Pace = DEFAULT_PACE
    ) -> None:
        self.capabilities: Capabilities = CAPABILITIES
        self.node_id = link.uri.service_pubkey
        self._link: Final = link
        self._clock: Final = context.clock
        self._pace: Final = pace
        self._connection: Final = WalletLine(link, context, waits)
        self._news: Final = InvoiceNews(context.clock)
        self._late: Final = LateInvoices(context.clock)
        self._network = ""

    def __repr__(self) -> str:
        return f"NwcWallet({self.node_id[:16]}…)"

    async def open(self) -> None:
        self._connection.open()

    async def close(self) -> None:
        await self._news.close()
        await self._connection.close()

    # ------------------------------------------------------------ what it is

    async def findings(self) -> tuple[Finding, ...]:
        """Whether the secret can be read by others, what the link does not allow, and that nothing bounds fees."""
        found = [permissions(await self._connection.of_the_doctor(announced))]
        if self._link.is_literal:
            text = "the secret of the wallet's link stands in the setting node: put it into a file of yours alone, and"
            found.append(Finding("link", FindingState.WARN, f"{text} write secret=file:PATH in its place"))
        text = (
            "wallets do not say whether they heed a bound of the fee: what one costs beyond it is booked all the same"
        )
        found.append(Finding("fees", FindingState.INFO, text))
        return tuple(found)

    async def info(self) -> NodeInfo:
        told, able = await self._connection.ask(_introduced)
        if told.network not in bolt11.PREFIXES:
            raise WalletAnswerError(
                f"the wallet does not say which network it is on: {told.network or 'its link must allow get_info'}"
            )
        self._network, self.capabilities = told.network, able
        return NodeInfo(self.node_id, told.alias, told.color, told.network, told.block_height or 0, told.block_hash)

    async def balance(self) -> NodeBalance:
        """As the protocol says, but no wallet tells what can come in. It is given as the most that there can be: an
        invoice that nobody can pay does no harm, and with 0 none would be made."""
        told = await self._connection.ask(lambda client: client.get_balance())
        spendable = max(told, ZERO)
        return NodeBalance(spendable, Msat(MAX_MSAT), spendable)

    async def sign_message(self, message: str) -> str:
        return (await self._connection.ask(lambda client: client.sign_message(message))).signature

    async def own_books(self) -> tuple[str, ...]:
        return ()

    # ------------------------------------------------------------ payments

    async def pay(self, order: PayOrder) -> PayAnswer:
        client = await self._connection.reached()
        unfit = await self._unfit(order)
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

    async def _unfit(self, order: PayOrder) -> Failed | None:
        """The refusal of an order that no wallet should be given: not every one looks at all of this."""
        if not self._network:
            with suppress(WalletAnswerError, TimeoutError):  # then the wallet has to look itself
                await self.info()
        why = self._unfit_key(order, order.destination) if isinstance(order.destination, Keysend) else ""
        if why:
            return Failed(f"the wallet was not asked: {why}", FailureReason.REFUSED)
        if not isinstance(order.destination, Bolt11):
            return None
        return unfit_invoice(order.destination.text, self._network, self._clock.now())

    def _unfit_key(self, order: PayOrder, key: Keysend) -> str:
        """The payment is known by the hash of its preimage alone, so another one is never sent on."""
        if not self.capabilities.keysend:
            return "it does not announce that it pays a key without an invoice"
        if not preimage_fits(key.preimage, order.payment_hash):
            return "the preimage does not belong to the payment hash"
        try:
            read_node_key(key.node_key)
        except CodecError as error:
            return str(error)
        return ""

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
        client = await self._connection.reached()
        answer = await client.lookup_payment(payment_hash)
        return await _proven(client, payment_hash, answer) if isinstance(answer, Settled) else answer

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
            if state is NodePaymentState.SETTLED and not _shows_its_end(row):
                state = NodePaymentState.OPEN  # as a look-up says it
            yield NodePayment(row.payment_hash, state, row.amount_msat, row.fee_msat, row.preimage)

    # ------------------------------------------------------------ invoices

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        made = await self._connection.ask(
            lambda client: client.make_invoice(
                order.amount_msat, description=order.description, description_hash=order.description_hash,
                expiry_s=order.expiry_s,
            )
        )  # fmt: skip
        return self._checked(made, order.description_hash)

    def _checked(self, made: Transaction, description_hash: str) -> NodeInvoice:
        invoice = bolt11.decode(made.bolt11)
        if self._network and invoice.network != self._network:
            raise WalletAnswerError(f"the wallet has made an invoice of {invoice.network}")
        if description_hash and invoice.description_hash != description_hash:
            raise WalletAnswerError("the wallet has made an invoice without the hash of its description")
        return NodeInvoice(invoice.text, invoice.payment_hash, invoice.expires_at)

    async def make_hold_invoice(self, order: HoldOrder) -> NodeInvoice:
        """No wallet has a word for a hash that is taken, so its record is looked at first."""
        if await self._has_record(order.payment_hash):
            raise HashTakenError("the wallet has a record of this payment hash already")
        made = await self._connection.ask(
            lambda client: client.make_hold_invoice(
                order.payment_hash, order.amount_msat, description=order.description,
                description_hash=order.description_hash, expiry_s=order.expiry_s, min_cltv_delta=order.min_cltv_delta,
            )
        )  # fmt: skip
        try:
            return self._with_blocks(self._checked(made, order.description_hash), order.min_cltv_delta)
        except WalletAnswerError:
            await self._connection.tell(
                lambda client: client.cancel_hold_invoice(order.payment_hash)
            )  # nobody has seen it
            raise

    @staticmethod
    def _with_blocks(made: NodeInvoice, least: int) -> NodeInvoice:
        blocks = bolt11.decode(made.bolt11, recover=False).min_final_cltv
        if blocks < least:
            raise WalletAnswerError(
                f"the wallet has made a hold invoice that leaves {blocks} blocks for the decision, not {least}"
            )
        return made

    async def settle_invoice(self, preimage: str) -> InvoiceStatus:
        """The answer of the wallet proves nothing: the state is that of its record."""
        payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
        said = await self._connection.tell(lambda client: client.settle_hold_invoice(preimage))
        status = await self.lookup_invoice(payment_hash)
        if status.state is NodeInvoiceState.ACCEPTED:
            raise WalletAnswerError(f"the wallet did not settle what it holds: {said}")
        return status

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        """Hold invoices alone can be cancelled: of another this says what has ended otherwise, and raises where it is
        open. That the wallet has no record of it does not mean that it holds nothing."""
        status = await self.lookup_invoice(payment_hash)
        if status.state in _ENDED and status.state is not NodeInvoiceState.UNKNOWN:
            return status
        said = "Nostr Wallet Connect has no word to cancel an invoice with"
        may_be_held = status.state is NodeInvoiceState.ACCEPTED or not self._network  # not heard yet what it announces
        if self.capabilities.hold or may_be_held:
            said = await self._connection.tell(lambda client: client.cancel_hold_invoice(payment_hash))
            status = await self.lookup_invoice(payment_hash)
        if status.state in _ENDED:
            return status
        raise WalletAnswerError(f"it stays {status.state}: {said}")

    async def track_invoice(self, payment_hash: str, seen: NodeInvoiceState) -> InvoiceStatus:
        """By look-ups: soon after the wallet tells of it, else in the pauses of the pace."""
        deadline_s = self._clock.monotonic() + self._pace.track_limit_s
        client = await self._connection.reached()
        pause_s = self._pace.hold_s
        if may_notify(client.service):
            self._news.listen(client.listening)
            pause_s = self._pace.hold_heard_s
        with self._news.of(payment_hash) as news:
            while True:
                news.forget()
                status = await self.lookup_invoice(payment_hash)
                left_s = deadline_s - self._clock.monotonic()
                if status.state is not seen or left_s <= 0:
                    return status
                await news.told(min(pause_s, left_s))

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        row = await self._connection.ask(lambda client: _found(client, payment_hash))
        if row is None:
            return InvoiceStatus(NodeInvoiceState.UNKNOWN)
        if row.type is not Direction.INCOMING:
            raise WalletAnswerError("the wallet shows a payment where it was asked for an invoice")
        status = self._status(row)
        if status.state is NodeInvoiceState.ACCEPTED and not status.settle_deadline:
            return await self._with_deadline(status)
        return status

    async def _with_deadline(self, status: InvoiceStatus) -> InvoiceStatus:
        """Of a wallet that does not tell when the payment goes back: it has left the blocks of the invoice, when it
        came. It came before now, so the wallet may give it back earlier by itself."""
        info = await self.info()
        blocks = bolt11.decode(status.bolt11, recover=False).min_final_cltv
        return replace(status, settle_deadline=info.block_height + blocks)

    def _status(self, row: Transaction) -> InvoiceStatus:
        state = _INVOICE_STATES.get(row.state, NodeInvoiceState.OPEN)
        expires_at = row.expires_at or 0
        if state is NodeInvoiceState.OPEN and self._late.is_over(row.payment_hash, expires_at):
            state = NodeInvoiceState.CANCELED
        if state is NodeInvoiceState.ACCEPTED:
            return InvoiceStatus(
                state, row.bolt11, row.amount_msat, expires_at=expires_at, settle_deadline=row.settle_deadline or 0
            )
        if state is not NodeInvoiceState.SETTLED:
            return InvoiceStatus(state, row.bolt11, expires_at=expires_at)
        preimage = row.preimage if preimage_fits(row.preimage, row.payment_hash) else ""
        return InvoiceStatus(state, row.bolt11, row.amount_msat, row.settled_at or 0, preimage, expires_at=expires_at)

    def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        return Settlements(self._list, self._has_record, self._clock, self._pace).after(cursor)

    async def _has_record(self, payment_hash: str) -> bool:
        return await self._connection.ask(lambda client: _found(client, payment_hash)) is not None

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
        return await self._connection.ask(lambda client: client.list_transactions(query))


async def _introduced(client: NwcClient) -> tuple[Info, Capabilities]:
    told = await client.get_info()
    return told, capabilities(told, client)


async def _proven(client: NwcClient, payment_hash: str, settled: Settled) -> LookupAnswer:
    """``settled`` where the preimage means that the payee was paid. That of a keysend is our own, and may be shown
    while the payment is on its way: a record without an invoice has to say when it was settled."""
    try:
        row = await client.lookup_invoice(payment_hash)
    except KitestringError as failure:
        return Unknown(failure.message)
    return settled if _shows_its_end(row) else InFlight()


def _shows_its_end(row: Transaction) -> bool:
    return bool(row.bolt11 or row.settled_at)


async def _found(client: NwcClient, payment_hash: str) -> Transaction | None:
    """The wallet's record, None for its own word that there is none."""
    try:
        return await client.lookup_invoice(payment_hash)
    except KitestringError as failure:
        if failure.reason is Reason.UNKNOWN_TARGET:
            return None
        raise
