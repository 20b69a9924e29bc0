"""``lnd+https://host:port?cert=PATH&macaroon=PATH``: one lnd through its REST interface (tested with lnd 0.20).

``macaroon`` may also be ``env:NAME`` (hex). Without ``cert`` the system's authorities are trusted. The macaroon needs
invoices, offchain and info, read and write, and ``message:write`` where the node is to sign texts; nothing on chain.
``private_hints=0`` leaves hints to private channels out of invoices. Specification:
https://lightning.engineering/api-docs/api/lnd/.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any, Final

from msgspec.structs import replace

from kitestring.backend.http import (
    CALL_LIMIT_S,
    MAX_WORDS,
    PAYMENT_SLOTS,
    Lane,
    NodeAnswerError,
    NodeHttp,
    NodeRefusedError,
    drain,
)
from kitestring.backend.lnd import wire
from kitestring.backend.lnd.invoices import every_invoice, find_invoice, follow_invoice, hold_invoice
from kitestring.backend.lnd.macaroon import Macaroon, judge, may_hold, may_sign, read_macaroon
from kitestring.backend.lnd.rest import ALREADY_EXISTS, NOT_FOUND, StreamRefusedError, connect, results
from kitestring.backend.lnd.routes import route_fee
from kitestring.backend.lnd.settlements import settlements
from kitestring.backend.registry import BackendContext, BackendUrl
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import sat
from kitestring.base.node import (
    Backend,
    Capabilities,
    Finding,
    HoldOrder,
    InvoiceOrder,
    InvoiceStatus,
    NodeBalance,
    NodeInfo,
    NodeInvoice,
    NodeInvoiceState,
    NodePayment,
    NodeUnreachableError,
    OtherNodeError,
    PayOrder,
    Settlement,
)
from kitestring.base.payments import Failed, FailureReason, InFlight, LookupAnswer, NeverSeen, PayAnswer, Unknown
from kitestring.base.ports import Clock
from kitestring.base.text import one_line
from kitestring.codec import bolt11

#: lnd stops its search after the order's own limit; this is for the last attempt to come home.
SEND_GRACE_S: Final = 10.0
#: How long :meth:`Lnd.track` waits before it says InFlight; the engine asks again.
TRACK_LIMIT_S: Final = 120.0
#: Entries of one page: a payment with many attempts has up to 100 kB.
PAYMENT_PAGE: Final = 100
#: Words of lnd that refuse an order before it touches the payment, with their meaning. Trusted only when lnd knows no
#: live payment.
REFUSALS: Final = (
    ("invoice expired", FailureReason.EXPIRED),
    ("not for current active network", FailureReason.REFUSED),
    ("self-payments not allowed", FailureReason.REFUSED),
    ("amount must be specified", FailureReason.REFUSED),
    ("amount must not be specified", FailureReason.REFUSED),
    # No public key can be recovered, or the numbers are none of a signature.
    ("invalid signature", FailureReason.REFUSED),
    # Signed by another node than the one that the invoice names.
    ("invalid invoice signature", FailureReason.REFUSED),
)
#: lnd's own words for "there is none". The code alone proves nothing: a gateway that lacks the route says code 5 too.
NO_PAYMENT: Final = "payment isn't initiated"
_CAPABILITIES: Final = Capabilities(
    own_preimage=True,
    idempotent_by_hash=True,
    authoritative_lookup=True,
    fee_cap=True,
    amountless=True,
    description_hash=True,
    keysend=True,
    hold=True,
    cancel=True,
    payment_index=True,
    sign_message=True,
    payment_slots=PAYMENT_SLOTS,
)


def from_url(url: BackendUrl, context: BackendContext) -> Backend:
    """Reads the certificate and the macaroon. Raises KitestringError when one of them is missing or invalid."""
    if url.scheme != "lnd+https" or not url.host:
        raise KitestringError(Reason.UNSUPPORTED, "write lnd+https://host:port?cert=PATH&macaroon=PATH")
    url.only("cert", "macaroon", "private_hints")
    macaroon = read_macaroon(url.query.get("macaroon", ""), context.environment)
    http = connect(url, macaroon.data)
    return Lnd(http, macaroon, context.clock, private_hints=url.integer("private_hints", 1) == 1)


class Lnd:
    """One lnd. Raises NodeUnreachableError, NodeRefusedError, NodeAnswerError, except where :meth:`pay` says."""

    def __init__(self, http: NodeHttp, macaroon: Macaroon, clock: Clock, *, private_hints: bool = True) -> None:
        self.capabilities: Capabilities = replace(
            _CAPABILITIES, hold=may_hold(macaroon), sign_message=may_sign(macaroon)
        )
        self._http: Final = http
        self._macaroon: Final = macaroon
        self._clock: Final = clock
        self._private_hints: Final = private_hints
        self.node_id = ""
        self._first = ""

    def __repr__(self) -> str:
        return f"Lnd({self._http!r})"

    async def open(self) -> None:
        """Connects to nothing yet, so that a node that is down does not keep a service from starting."""
        await self._http.open(self._greet)

    async def close(self) -> None:
        await self._http.close()

    async def findings(self) -> tuple[Finding, ...]:
        """Whether the macaroon in use allows more than is needed, or less."""
        return (judge(self._macaroon),)

    async def own_books(self) -> tuple[str, ...]:
        return ()

    async def _greet(self) -> None:
        """Ask who is at the address, before a new connection is made there. Raises NodeUnreachableError where nobody
        says so, OtherNodeError for another node than the first: nothing is sent then."""
        before = self.node_id
        try:
            await self._meet()
        except (NodeRefusedError, NodeAnswerError) as error:
            raise NodeUnreachableError(f"lnd does not say who it is: {error}") from error
        if self.node_id != self._first:
            raise OtherNodeError(f"another lnd answers at this address: {self.node_id}, and not {self._first}")
        if before not in {"", self.node_id}:
            raise NodeUnreachableError("the first lnd is back at this address; its connections are new: try again")

    async def _meet(self) -> tuple[wire.LndInfo, int]:
        """Ask who answers, and what time it is there."""
        info, told_at = await self._http.call_dated("GET", "/v1/getinfo", wire.LndInfo, lane=Lane.GREETINGS)
        before, self.node_id = self.node_id, info.identity_pubkey
        self._first = self._first or self.node_id
        if before not in {"", self.node_id}:
            await self._http.renew()  # some of the kept connections lead to the one, some to the other
        return info, told_at

    async def info(self) -> NodeInfo:
        """The time is that of lnd's REST server, which dates every answer; a proxy in between may put in its own."""
        info, told_at = await self._meet()
        return NodeInfo(
            info.identity_pubkey,
            one_line(info.alias, MAX_WORDS),
            one_line(info.color, MAX_WORDS),
            wire.network(info),
            info.block_height,
            info.block_hash,
            told_at,
        )

    async def balance(self) -> NodeBalance:
        """Over the active channels, less the reserve of each, and where we pay its fees, less those once more, because
        lnd keeps that much back for a rise. So it is never more than what can be sent. Owned is our side of every open
        channel: right after a start of lnd none is active yet."""
        channels = (await self._http.call("GET", "/v1/channels", wire.Channels)).channels
        active = [channel for channel in channels if channel.active]
        receivable = sum(
            max(0, wire.int64(channel.remote_balance) - wire.int64(channel.remote_chan_reserve_sat))
            for channel in active
        )
        owned = sum(wire.int64(channel.local_balance) for channel in channels)
        return NodeBalance(sat(sum(map(_spendable_sat, active))), sat(receivable), sat(owned))

    async def payment_index(self) -> int:
        """Count the payments that lnd lists, failed and unfinished ones too (``total_num_payments``).

        lnd numbers payments besides, by a sequence that only grows: it outlives ``deletepayments``, skips up to a
        thousand numbers at each start, and goes on above its old numbers in a database that was restored. So the number
        of the newest payment says nothing about what is missing as soon as there is one more. The count is what falls
        with each record that is deleted, in a restored database and in an empty one; a new attempt of a failed hash
        takes the place of the old one. lnd walks through its index for it: some tenths of a second for a million.
        """
        path = "/v1/payments?include_incomplete=true&reversed=true&max_payments=1&count_total_payments=true"
        page = await self._http.call("GET", path, wire.PaymentPage)
        count = wire.int64(page.total_num_payments)
        if count < len(page.payments):
            raise NodeAnswerError("lnd lists payments, but does not count them")
        return count

    async def pay(self, order: PayOrder) -> PayAnswer:
        """Failed only for lnd's own FAILED, or for a refusal from :data:`REFUSALS` about a payment that it does not
        know or knows as failed. Raises NodeUnreachableError only when the order was never sent."""
        body: dict[str, Any] = {
            **wire.destination(order),
            "fee_limit_msat": str(int(order.fee_cap_msat)),
            "timeout_seconds": max(1, order.timeout_s),
        }
        try:
            answer = await self._follow(
                "POST", "/v2/router/send", order.payment_hash, max(1, order.timeout_s) + SEND_GRACE_S, body
            )
        except NodeRefusedError as refused:
            return await self._after_refusal(order.payment_hash, refused)
        return await self._explained(order, _as_pay_answer(answer))

    async def _explained(self, order: PayOrder, answer: PayAnswer) -> PayAnswer:
        """lnd has one name for no route within the fee limit and for no route at all: its map says which of them it
        was. The failure is proven by then, and stays one whatever is found."""
        if not isinstance(answer, Failed) or answer.reason is not FailureReason.NO_ROUTE:
            return answer
        fee = await route_fee(self._http, order)
        if fee is None or fee <= order.fee_cap_msat:
            return answer
        return replace(answer, reason=FailureReason.FEE_LIMIT, route_fee_msat=fee)

    async def lookup_payment(self, payment_hash: str) -> LookupAnswer:
        return await self._track(payment_hash, CALL_LIMIT_S, first_only=True)

    async def track(self, payment_hash: str) -> LookupAnswer:
        return await self._track(payment_hash, TRACK_LIMIT_S, first_only=False)

    async def make_invoice(self, order: InvoiceOrder) -> NodeInvoice:
        body: dict[str, Any] = {
            "value_msat": str(int(order.amount_msat or 0)),
            "expiry": str(order.expiry_s),
            "private": self._private_hints,
        }
        if order.description_hash:
            body["description_hash"] = wire.to_base64(order.description_hash)
        else:
            body["memo"] = order.description
        if order.preimage:
            body["r_preimage"] = wire.to_base64(order.preimage)
        try:
            made = await self._http.call("POST", "/v1/invoices", wire.AddedInvoice, body)
        except NodeRefusedError as refused:
            return await self._made_before(order.preimage, refused)
        invoice = bolt11.decode(made.payment_request, recover=False)
        return NodeInvoice(made.payment_request, wire.from_base64(made.r_hash), invoice.expires_at)

    async def cancel_invoice(self, payment_hash: str) -> InvoiceStatus:
        """lnd refuses what is settled already, and what it does not know: the look-up says which."""
        refusal = await self._told("cancel", {"payment_hash": wire.to_base64(payment_hash)})
        status = await self.lookup_invoice(payment_hash)
        if status.state in {NodeInvoiceState.OPEN, NodeInvoiceState.ACCEPTED}:
            raise NodeAnswerError(f"lnd did not cancel an open invoice: {refusal}")
        return status

    async def make_hold_invoice(self, order: HoldOrder) -> NodeInvoice:
        return await hold_invoice(self._http, order, private=self._private_hints)

    async def settle_invoice(self, preimage: str) -> InvoiceStatus:
        """lnd refuses what is settled or canceled already, and what nobody has paid: the look-up says which."""
        refusal = await self._told("settle", {"preimage": wire.to_base64(preimage)})
        status = await self.lookup_invoice(wire.hash_of(preimage))
        if status.state is NodeInvoiceState.ACCEPTED:
            raise NodeAnswerError(f"lnd did not settle what it holds: {refusal}")
        return status

    async def _told(self, what: str, body: dict[str, Any]) -> str:
        """Tell lnd what is to become of an invoice; its words where it refuses."""
        try:
            await self._http.call("POST", f"/v2/invoices/{what}", wire.Nothing, body)
        except NodeRefusedError as refused:
            return str(refused)
        return "it does not say why"

    async def track_invoice(self, payment_hash: str, seen: NodeInvoiceState) -> InvoiceStatus:
        try:
            async with asyncio.timeout(TRACK_LIMIT_S):
                return await follow_invoice(self._http, payment_hash, seen)
        except TimeoutError:
            return await self.lookup_invoice(payment_hash)

    async def lookup_invoice(self, payment_hash: str) -> InvoiceStatus:
        invoice = await find_invoice(self._http, payment_hash)
        return InvoiceStatus(NodeInvoiceState.UNKNOWN) if invoice is None else wire.invoice_status(invoice)

    async def sign_message(self, message: str) -> str:
        body = {"msg": b64encode(message.encode()).decode()}
        return (await self._http.call("POST", "/v1/signmessage", wire.SignedMessage, body)).signature

    def settlements(self, cursor: bytes) -> AsyncIterator[Settlement]:
        return settlements(self._http, cursor)

    async def list_payments(self) -> AsyncIterator[NodePayment]:
        offset = "0"
        while True:
            path = f"/v1/payments?include_incomplete=true&max_payments={PAYMENT_PAGE}&index_offset={offset}"
            page = await self._http.call("GET", path, wire.PaymentPage)
            for payment in page.payments:
                yield wire.listed_payment(payment)
            if not page.payments or wire.int64(page.last_index_offset) <= wire.int64(offset):
                return
            offset = page.last_index_offset

    async def list_invoices(self) -> AsyncIterator[tuple[str, InvoiceStatus]]:
        async for invoice in every_invoice(self._http):
            yield wire.from_base64(invoice.r_hash), wire.invoice_status(invoice)

    async def _track(self, payment_hash: str, limit_s: float, *, first_only: bool) -> LookupAnswer:
        path = f"/v2/router/track/{wire.to_base64url(payment_hash)}?no_inflight_updates=false"
        asked_at = self._clock.now()
        try:
            return await self._follow("GET", path, payment_hash, limit_s, first_only=first_only)
        except NodeRefusedError as refused:
            is_none = refused.code == NOT_FOUND and refused.message == NO_PAYMENT
            return NeverSeen(asked_at) if is_none and isinstance(refused, StreamRefusedError) else Unknown(str(refused))

    async def _follow(
        self,
        method: str,
        path: str,
        payment_hash: str,
        limit_s: float,
        body: dict[str, Any] | None = None,
        *,
        first_only: bool = False,
    ) -> LookupAnswer:
        """Read a stream of states of one payment up to its end. Raises NodeRefusedError, NodeUnreachableError."""
        answer: LookupAnswer | None = None
        lane = Lane.CALLS if first_only else Lane.PAYMENTS
        try:
            async with (
                asyncio.timeout(limit_s),
                results(self._http, method, path, wire.LndPayment, body, lane=lane) as states,
            ):
                async for state in states:
                    answer = wire.payment_answer(state, payment_hash)
                    if not isinstance(answer, InFlight):
                        await drain(states)
                    if first_only:
                        break
        except TimeoutError:
            return answer or Unknown(f"lnd did not answer within {limit_s:.0f} s")
        except NodeAnswerError as error:
            return Unknown(str(error))
        return answer or Unknown("lnd ended the stream without an answer")

    async def _after_refusal(self, payment_hash: str, refused: NodeRefusedError) -> PayAnswer:
        """lnd refused an order. It may know the payment from before, so it is asked; only then is a no a no."""
        known_before = refused.code == ALREADY_EXISTS
        try:
            answer = await (self.track if known_before else self.lookup_payment)(payment_hash)
        except NodeUnreachableError as error:
            # The order did reach the node: this exception must not leave pay().
            return Unknown(f"{refused}; then {error}")
        if not isinstance(answer, NeverSeen | Failed):
            return answer
        if known_before and isinstance(answer, Failed):
            return replace(answer, attempt_at=None)  # the end of another order: this one was never taken
        reason = next((reason for text, reason in REFUSALS if text in refused.message), None)
        known = "an earlier attempt failed" if isinstance(answer, Failed) else "it knows no such payment"
        # After any other error the order may still be on its way, and a failure be that of an earlier attempt.
        return Failed(f"{refused}; {known}", reason) if reason is not None else Unknown(str(refused))

    async def _made_before(self, preimage: str, refused: NodeRefusedError) -> NodeInvoice:
        if not preimage or "already exists" not in refused.message:
            raise refused
        payment_hash = wire.hash_of(preimage)
        status = await self.lookup_invoice(payment_hash)
        if status.state is NodeInvoiceState.UNKNOWN:
            raise refused
        return NodeInvoice(status.bolt11, payment_hash, status.expires_at)


def _as_pay_answer(answer: LookupAnswer) -> PayAnswer:
    return Unknown("lnd does not know the payment it was just given") if isinstance(answer, NeverSeen) else answer


def _spendable_sat(channel: wire.Channel) -> int:
    kept = wire.int64(channel.local_chan_reserve_sat) + (wire.int64(channel.commit_fee) if channel.initiator else 0)
    return max(0, wire.int64(channel.local_balance) - kept)
