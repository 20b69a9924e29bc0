"""The parsers of Nostr Wallet Connect: what apps ask, and what wallets answer and tell."""

from __future__ import annotations

import json
from functools import partial
from typing import Final

import msgspec

from kitestring.base.commands import (
    AnyCommand,
    CancelHold,
    Connect,
    GetBalance,
    GetBudget,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeHoldInvoice,
    MakeInvoice,
    PayInvoice,
    SettleHold,
    SignMessage,
)
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.plugins import MethodPlugin
from kitestring.client.nwc.paying import _read_named as read_named
from kitestring.codec import keysend, signed_message
from kitestring.nostr import kinds
from kitestring.wire.ask.nwc.announcement import read_info_event
from kitestring.wire.ask.nwc.call import decode_call
from kitestring.wire.ask.nwc.methods import decode_response
from kitestring.wire.ask.nwc.notifications import decode_notification
from kitestring.wire.ask.nwc.records import decode_record
from kitestring.wire.grammar import Facts
from kitestring.wire.serve.nwc import requests as nwc
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE, invoice
from tests.kit.wire.samples import event
from tests.prove.parser import HASH, KEY, REFUSED, Parser, as_request, as_text, found_in, these

PAY: Final = PayInvoice(
    destination=Bolt11(invoice()),
    payment_hash=PAYMENT_HASH,
    amount_msat=Msat(21_000),
    expires_at=NOW + 3_600,
    network="regtest",
)
_NODE_KEY: Final = "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
_RECORDS: Final = [{"type": 34_349_334, "value": b"hi".hex()}, {"type": 65_536, "value": ""}]
_SENT: Final = {"amount": 21_000, "pubkey": _NODE_KEY, "preimage": PREIMAGE, "tlv_records": _RECORDS}
_CONNECT: Final = {
    "pubkey": _NODE_KEY[2:], "name": "x\u202ey", "request_methods": ["pay_invoice"], "max_amount": 9,
    "budget_renewal": "daily", "expires_at": "1800000000", "isolated": "1", "notification_types": ["payment_sent"],
}  # fmt: skip
#: Members as clients in PHP, Python and JavaScript write them, and one request for each method.
_FORMS: Final[tuple[tuple[str, object], ...]] = (
    ("get_balance", []),
    ("list_transactions", {"from": 1.5e9, "until": "7", "unpaid": "true", "type": "Incoming"}),
    ("lookup_invoice", {"payment_hash": "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="}),
    ("make_invoice", {"amount": "21000", "expiry": 600.5, "description": 17}),
    ("make_hold_invoice", {"amount": 21_000, "payment_hash": HASH, "min_cltv_expiry_delta": "144", "metadata": {}}),
    ("settle_hold_invoice", {"preimage": PREIMAGE}),
    ("cancel_hold_invoice", {"payment_hash": HASH}),
    ("pay_keysend", _SENT),
    ("multi_pay_keysend", {"keysends": [{"id": 7, **_SENT}, {"pubkey": 1}]}),
    ("multi_pay_invoice", {"invoices": [{"id": "a", "invoice": invoice()}, {"invoice": invoice(), "amount": 1}]}),
    ("pay", {"payment": f"bitcoin:?lightning={invoice()}&amount=0.00000021", "max_fee": 9, "metadata": {"a": 1}}),
    ("receive", {"amount": 21_000, "description": "tea"}),
    ("lookup_payment", {"transaction_id": f"incoming:{HASH}"}),
    ("lookup_payment", {"payment_type": "bolt11", "lookup": {"invoice": invoice()}}),
    ("create_connection", _CONNECT),
    ("sign_message", {"message": "hello"}),
    ("plugged", {"number": 7}),
)
_ENTRY: Final = {
    "type": "incoming", "state": "accepted", "payment_hash": HASH, "amount": 21_000, "invoice": invoice(),
    "created_at": 1_800_000_000, "settle_deadline": "900123", "metadata": {"a": [1]}, "fees_paid": 1.0,
}  # fmt: skip
_SIGNATURE: Final = signed_message.sign("hello", KEY)
_RESULTS: Final = (
    _ENTRY,
    {"balance": -5},
    {"wallet_pubkey": HASH},
    {"message": "hello", "signature": _SIGNATURE},
    {"transactions": [_ENTRY, {"type": "outgoing"}], "total_count": 2},
    {"preimage": PREIMAGE, "fees_paid": "7"},
)
_ASKED: Final[tuple[tuple[str, AnyCommand], ...]] = (
    ("PayInvoice", PAY),
    ("Keysend", msgspec.structs.replace(PAY, destination=Keysend(_NODE_KEY, PREIMAGE, ()))),
    ("MakeInvoice", MakeInvoice(amount_msat=Msat(1_000))),
    ("MakeHoldInvoice", MakeHoldInvoice(amount_msat=Msat(1_000), payment_hash=HASH)),
    ("SettleHold", SettleHold(payment_hash=HASH)),
    ("CancelHold", CancelHold(payment_hash=HASH)),
    ("LookupInvoice", LookupInvoice(payment_hash=HASH)),
    ("ListTransactions", ListTransactions()),
    ("GetBalance", GetBalance()),
    ("GetBudget", GetBudget()),
    ("GetInfo", GetInfo()),
    ("Connect", Connect(client=HASH)),
    ("SignMessage", SignMessage(message="hello")),
)


class _Plugged(msgspec.Struct):
    number: int


async def _never(_: object, __: object) -> dict[str, object]:
    return {}


_FACTS: Final = Facts("regtest", plugins={"plugged": MethodPlugin("plugged", _Plugged, _never)})


def _requests() -> tuple[bytes, ...]:
    forms = (json.dumps({"method": method, "params": params}).encode() for method, params in _FORMS)
    return (*found_in("nwc_payloads.json"), *forms)


def _responses() -> tuple[bytes, ...]:
    made = (json.dumps({"result_type": "x", "result": result}).encode() for result in _RESULTS)
    return (*found_in("nwc_payloads.json"), *made)


def _read_info(text: str) -> object:
    return read_info_event(msgspec.structs.replace(event(kinds.NWC_INFO, ["encryption", text]), content=text))


NWC_PARSERS: Final = (
    Parser("nwc requests", as_request(nwc.read, kinds.NWC_REQUEST, "nwc", _FACTS), _requests, REFUSED),
    Parser("nwc method", as_text(nwc.read_method), _requests, ()),
    *(
        Parser(f"nwc responses to {name}", as_text(partial(decode_response, command=asked)), _responses)
        for name, asked in _ASKED
    ),
    Parser(
        "nwc responses to several payments",
        lambda data: read_named((PAY, PAY), data[1:].decode("utf-8", "surrogateescape"), data[:1].decode("latin-1")),
        lambda: tuple(b"1" + response for response in _responses()),
    ),
    Parser("nwc responses to plugged methods", as_text(decode_call), _responses),
    *(
        Parser(
            f"nwc records of {name}",
            as_text(partial(decode_record, payment_hash=PAY.payment_hash, now=0, is_keysend=is_keysend)),
            _responses,
        )
        for name, is_keysend in (("payments", False), ("keysends", True))
    ),
    Parser(
        "nwc notifications",
        as_text(decode_notification),
        these(
            {"notification_type": "hold_invoice_accepted", "notification": _ENTRY},
            {"notification_type": "payment_sent", "notification": {"invoice": invoice(), "amount": 7}},
        ),
    ),
    Parser("nwc info", as_text(_read_info), these("pay_invoice get_balance", "nip44_v2 nip04"), ()),
    Parser("keys of nodes", as_text(keysend.read_node_key), these(_NODE_KEY, f" 03{_NODE_KEY[2:].upper()}\n")),
    Parser(
        "signed messages", as_text(lambda text: signed_message.signer("hello", text)), these(_SIGNATURE),
        (CodecError,),
    ),
)  # fmt: skip
