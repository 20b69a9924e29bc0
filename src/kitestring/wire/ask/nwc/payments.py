"""Ask a wallet to pay, and read what it says of that."""

from __future__ import annotations

from typing import assert_never

from kitestring.base import commands as c
from kitestring.base import outcomes as o
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.outcomes import Outcome
from kitestring.base.payments import preimage_fits
from kitestring.codec.json import loads_object
from kitestring.codec.keysend import write_records
from kitestring.wire.ask.members import Members, hex_in, number_in, saying


def pay_params(command: c.PayInvoice) -> dict[str, object]:
    more = {
        "max_fee": command.max_fee_msat,
        "metadata": loads_object(command.metadata) if command.metadata else None,
    }
    match command.destination:
        case Bolt11(text, amountless):
            return {"invoice": text, "amount": command.amount_msat if amountless else None, **more}
        case Keysend(node_key, preimage, records):
            named = {"preimage": preimage, "tlv_records": write_records(records) or None}
            return {"pubkey": node_key, "amount": command.amount_msat, **named, **more}
        case _:
            assert_never(command.destination)


def bundle_params(bundle: c.Bundle) -> dict[str, object]:
    """Each payment is named by its place, so that two of the same invoice are told apart."""
    payments = [part.payment for part in bundle.parts]
    elements = [pay_params(payment) for payment in payments if isinstance(payment, c.PayInvoice)]
    return {"invoices": [{"id": str(place), **saying(members)} for place, members in enumerate(elements)]}


def is_proof(result: object, command: c.AnyCommand) -> bool:
    """Whether the preimage can only come from the payee: that of a keysend is the payer's own."""
    if (
        not isinstance(command, c.PayInvoice)
        or not isinstance(result, dict)
        or isinstance(command.destination, Keysend)
    ):
        return False
    return preimage_fits(hex_in(result, "preimage"), command.payment_hash)


def read_paid(result: Members, command: c.PayInvoice) -> o.Paid:
    preimage = hex_in(result, "preimage")
    if not preimage_fits(preimage, command.payment_hash):
        raise CodecError("the wallet's preimage does not belong to the payment")
    return o.Paid(command.payment_hash, preimage, command.amount_msat, Msat(number_in(result, "fees_paid") or 0))


def read_none(_: Members, __: c.Bundle) -> Outcome:
    raise CodecError("the wallet answers several payments one by one, and not in one response")
