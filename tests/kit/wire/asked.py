"""Commands that a client asks a wallet for, by the method that carries each, and an entry of a wallet."""

from __future__ import annotations

from kitestring.base.commands import (
    AnyCommand,
    GetBalance,
    GetBudget,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeInvoice,
    PayInvoice,
)
from kitestring.base.destinations import Bolt11
from kitestring.base.money import Msat
from kitestring.codec.keysend import keysend
from kitestring.wire.ask.nwc.methods import FORMS, KEYSEND
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice

PAY = PayInvoice(
    destination=Bolt11(invoice(None), True),
    payment_hash=PAYMENT_HASH,
    amount_msat=Msat(5000),
    max_fee_msat=Msat(0),
    network="regtest",
    expires_at=NOW + 3600,
    description="tea",
    metadata='{"comment":"hi"}',
)
#: To one times the base point.
KEY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
RECORDS = ((65_536, "00ff"),)
SEND = keysend(
    KEY, Msat(5000), preimage=PREIMAGE, records=RECORDS, max_fee_msat=Msat(0),
    metadata='{"tlv_records":[{"type":65536,"value":"00ff"}]}',
)  # fmt: skip
COMMANDS: dict[str, AnyCommand] = {
    "get_balance": GetBalance(),
    "get_budget": GetBudget(),
    "get_info": GetInfo(),
    "pay_invoice": PAY,
    "pay_keysend": SEND,
    "lookup_invoice": LookupInvoice(payment_hash=PAYMENT_HASH),
    "make_invoice": MakeInvoice(amount_msat=Msat(1000), description="tea", expiry_s=600, metadata='{"a":1}'),
    "list_transactions": ListTransactions(
        from_=1, until=9, limit=5, offset=2, unpaid_incoming=True, direction="incoming"
    ),
}
ROW = {"type": "outgoing", "state": "settled", "payment_hash": PAYMENT_HASH, "amount": 1_000, "created_at": NOW}
EXTENSIONS = {form.method: form.extension for form in (*FORMS.values(), KEYSEND) if form.extension is not None}
