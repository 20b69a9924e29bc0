"""lnd's JSON as types, and back: 64-bit integers are decimal strings, byte strings base64."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from typing import Final, assert_never

import msgspec

from kitestring.backend.http import NodeAnswerError
from kitestring.base.destinations import PREIMAGE_RECORD, Bolt11, Keysend
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceStatus, NodeInvoiceState, NodePayment, NodePaymentState, PayOrder
from kitestring.base.payments import Failed, FailureReason, InFlight, LookupAnswer, Settled, Unknown, preimage_fits

#: lnd's own names for the networks where they differ from ours.
_NETWORKS: Final = {"mainnet": "bitcoin"}
_INT64: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)

#: lnd finds no route within a fee limit and no route at all by the same name.
FAILURES: Final = {
    "FAILURE_REASON_TIMEOUT": FailureReason.NO_ROUTE,
    "FAILURE_REASON_NO_ROUTE": FailureReason.NO_ROUTE,
    "FAILURE_REASON_ERROR": FailureReason.OTHER,
    "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS": FailureReason.REFUSED,
    "FAILURE_REASON_INSUFFICIENT_BALANCE": FailureReason.INSUFFICIENT_FUNDS,
    "FAILURE_REASON_CANCELED": FailureReason.OTHER,
}
_INVOICE_STATES: Final = {
    "OPEN": NodeInvoiceState.OPEN,
    "ACCEPTED": NodeInvoiceState.ACCEPTED,
    "SETTLED": NodeInvoiceState.SETTLED,
    "CANCELED": NodeInvoiceState.CANCELED,
}
_PAYMENT_STATES: Final = {"SUCCEEDED": NodePaymentState.SETTLED, "FAILED": NodePaymentState.FAILED}


class LndPayment(msgspec.Struct):
    payment_hash: str
    status: str
    payment_preimage: str = ""
    value_msat: str = "0"
    fee_msat: str = "0"
    failure_reason: str = ""
    creation_time_ns: str = "0"


class Htlc(msgspec.Struct):
    state: str = ""
    amt_msat: str = "0"
    expiry_height: int = 0


class LndInvoice(msgspec.Struct):
    r_hash: str
    state: str
    r_preimage: str = ""
    payment_request: str = ""
    amt_paid_msat: str = "0"
    settle_date: str = "0"
    settle_index: str = "0"
    creation_date: str = "0"
    expiry: str = "0"
    htlcs: list[Htlc] = []


class AddedInvoice(msgspec.Struct):
    r_hash: str
    payment_request: str


class AddedHoldInvoice(msgspec.Struct):
    payment_request: str


class PaymentPage(msgspec.Struct):
    payments: list[LndPayment] = []
    last_index_offset: str = "0"
    total_num_payments: str = "0"


class InvoicePage(msgspec.Struct):
    invoices: list[LndInvoice] = []
    first_index_offset: str = "0"
    last_index_offset: str = "0"


class Chain(msgspec.Struct):
    network: str


class LndInfo(msgspec.Struct):
    identity_pubkey: str
    chains: list[Chain]
    alias: str = ""
    color: str = ""
    block_height: int = 0
    block_hash: str = ""


class Channel(msgspec.Struct):
    active: bool = False
    initiator: bool = False
    local_balance: str = "0"
    remote_balance: str = "0"
    commit_fee: str = "0"
    local_chan_reserve_sat: str = "0"
    remote_chan_reserve_sat: str = "0"


class Channels(msgspec.Struct):
    channels: list[Channel] = []


class SignedMessage(msgspec.Struct):
    signature: str


class Nothing(msgspec.Struct):
    """An answer that says no more than that there was no error."""


def int64(text: str) -> int:
    """Raises NodeAnswerError for anything but a decimal integer."""
    if not _INT64.fullmatch(text):
        raise NodeAnswerError("a number in lnd's answer is none")
    return int(text)


def msat(text: str) -> Msat:
    """An amount in millisatoshi as lnd says it, also one that cannot be: a payment with its proof has settled whatever
    it is said to have cost. The ledger judges. Raises NodeAnswerError."""
    return Msat(int64(text))


def to_base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def to_base64url(hexadecimal: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(hexadecimal)).decode()


def from_base64(text: str) -> str:
    """Lower-case hex. Raises NodeAnswerError."""
    try:
        return base64.b64decode(text, validate=True).hex()
    except ValueError:
        raise NodeAnswerError("bytes in lnd's answer are no base64") from None


def destination(order: PayOrder) -> dict[str, object]:
    """The members of an order of ``/v2/router/send`` that say who is to be paid."""
    amount = {"amt_msat": str(int(order.amount_msat))}
    match order.destination:
        case Bolt11(text, amountless):
            return {"payment_request": text, **(amount if amountless else {})}
        case Keysend(node_key, preimage, records):
            named = {str(number): to_base64(value) for number, value in (*records, (PREIMAGE_RECORD, preimage))}
            return {
                "dest": to_base64(node_key),
                "payment_hash": to_base64(order.payment_hash),
                "dest_custom_records": named,
                # Of a node that lnd has not heard of it knows no features, and would send it no records.
                "dest_features": ["TLV_ONION_REQ"],
                **amount,
            }
        case _:
            assert_never(order.destination)


def network(info: LndInfo) -> str:
    name = info.chains[0].network if info.chains else ""
    return _NETWORKS.get(name, name)


def payment_answer(payment: LndPayment, payment_hash: str) -> LookupAnswer:
    """Read lnd's word about one payment. Failed only for its terminal FAILED, Settled only with the right preimage."""
    if payment.payment_hash != payment_hash:
        return Unknown("lnd answered about another payment")
    if payment.status == "FAILED":
        # lnd dates an attempt that follows a failed one anew.
        begun_at = int64(payment.creation_time_ns) // 1_000_000_000
        reason = FAILURES.get(payment.failure_reason, FailureReason.OTHER)
        return Failed(f"lnd: {payment.failure_reason}", reason, begun_at or None)
    if payment.status in ("IN_FLIGHT", "INITIATED"):
        return InFlight()
    if payment.status != "SUCCEEDED":
        return Unknown("lnd does not know the state of the payment")
    preimage = payment.payment_preimage
    if not preimage_fits(preimage, payment_hash):
        return Unknown("lnd's preimage does not belong to the payment hash")
    return Settled(preimage, msat(payment.fee_msat))


def listed_payment(payment: LndPayment) -> NodePayment:
    settled = payment.status == "SUCCEEDED"
    return NodePayment(
        payment_hash=payment.payment_hash,
        state=_PAYMENT_STATES.get(payment.status, NodePaymentState.OPEN),
        amount_msat=msat(payment.value_msat),
        fee_msat=msat(payment.fee_msat),
        preimage=payment.payment_preimage if settled else "",
    )


def invoice_status(invoice: LndInvoice) -> InvoiceStatus:
    state = _INVOICE_STATES.get(invoice.state)
    if state is None:
        raise NodeAnswerError("lnd names a state of invoices that is not known here")
    held = [htlc for htlc in invoice.htlcs if htlc.state == "ACCEPTED"] if state is NodeInvoiceState.ACCEPTED else []
    if state is NodeInvoiceState.ACCEPTED and not held:
        raise NodeAnswerError("lnd says that it holds a payment, and does not show it")
    return InvoiceStatus(
        state=state,
        bolt11=invoice.payment_request,
        received_msat=Msat(sum(msat(htlc.amt_msat) for htlc in held)) if held else msat(invoice.amt_paid_msat),
        settled_at=int64(invoice.settle_date),
        preimage=from_base64(invoice.r_preimage),
        expires_at=int64(invoice.creation_date) + int64(invoice.expiry),
        settle_deadline=min((htlc.expiry_height for htlc in held), default=0),
    )


def hash_of(preimage: str) -> str:
    """The payment hash that belongs to a preimage, both in hex."""
    return sha256(bytes.fromhex(preimage)).hexdigest()
