"""The record of a payment at a wallet, as evidence."""

from __future__ import annotations

from kitestring.base import outcomes as o
from kitestring.base.errors import CodecError, Reason
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, InFlight, LookupAnswer, NeverSeen, Settled, Unknown, preimage_fits
from kitestring.codec.json import loads_reply
from kitestring.wire.ask.members import hex_in, number_in, text_in
from kitestring.wire.ask.nwc.codes import MAX_CODE_CHARS, read_error
from kitestring.wire.ask.nwc.transactions import STATES, check_hash
from kitestring.wire.envelope import MAX_REPLY_BYTES


def decode_record(plaintext: str, payment_hash: str, now: int, *, is_keysend: bool = False) -> LookupAnswer | o.Refused:
    """The answer to a look-up as evidence about a payment, of which less has to be readable than to show it.

    ``now`` (Unix seconds) dates the word that there is no record. A record of a failure is dated by the wallet's clock.
    The preimage of a keysend is the payer's own, and proves nothing: then the state alone counts. Refused is everything
    else that the wallet would not tell. Raises CodecError when the answer cannot be read.
    """
    members = loads_reply(plaintext, MAX_REPLY_BYTES)
    result, error = members.get("result"), members.get("error")
    preimage = hex_in(result, "preimage") if isinstance(result, dict) else ""
    is_proof = preimage_fits(preimage, payment_hash) and not is_keysend
    if error and not is_proof:
        refused = read_error(error)
        return NeverSeen(now) if refused.reason is Reason.UNKNOWN_TARGET else refused
    if not isinstance(result, dict):
        raise CodecError("the wallet's response has neither a result nor an error")
    check_hash(result, payment_hash)
    if result.get("type") != "outgoing":  # somebody else may have paid this wallet's own invoice
        return Unknown("its record is of an invoice, not of a payment")
    if is_proof:
        return Settled(preimage, Msat(number_in(result, "fees_paid") or 0))
    state = STATES.get(text_in(result, "state", MAX_CODE_CHARS).lower())
    if state is o.TransactionState.FAILED:
        return Failed("its record says failed", attempt_at=number_in(result, "created_at") or None)
    if state is o.TransactionState.SETTLED and is_keysend and preimage_fits(preimage, payment_hash):
        return Settled(preimage, Msat(number_in(result, "fees_paid") or 0))
    if state is o.TransactionState.SETTLED:
        return Unknown("its record says settled, without a proof")
    # An invoice that expired while its payment is under way says nothing about the payment.
    return InFlight()
