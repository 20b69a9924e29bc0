"""Hold invoices over Nostr Wallet Connect (extension 03), the client's side, in front of our service and of others."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from kitestring.base.commands import AnyCommand, CancelHold, LookupInvoice, MakeHoldInvoice, SettleHold
from kitestring.base.errors import CodecError, Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Found, HoldEnded, Invoiced, Outcome, Refused, TransactionState
from kitestring.nostr import kinds
from kitestring.wire.ask.nwc.announcement import ServiceInfo, refuse_unannounced
from kitestring.wire.ask.nwc.methods import decode_response, encode_request
from kitestring.wire.grammar import Facts
from kitestring.wire.serve.nwc import WIRE
from tests.kit.wire.samples import event, reply_to

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()
MAKE = MakeHoldInvoice(payment_hash=HASH, amount_msat=Msat(1_000), description="tea", min_cltv_delta=200)
SETTLE, CANCEL = SettleHold(payment_hash=HASH, preimage=PREIMAGE), CancelHold(payment_hash=HASH)


def told(command: AnyCommand, result: object, **more: object) -> Outcome:
    return decode_response(json.dumps({"result_type": "x", "result": result, **more}), command)


@pytest.mark.parametrize("command", [MAKE, SETTLE, CANCEL], ids=lambda command: type(command).__name__)
def test_our_service_reads_what_we_ask(command: AnyCommand) -> None:
    asked = WIRE.read(encode_request(command), event(kinds.NWC_REQUEST), reply_to("nwc"), Facts("regtest"))
    assert asked.command == command


def test_what_says_nothing_is_not_asked_for() -> None:
    params = json.loads(encode_request(MakeHoldInvoice(payment_hash=HASH, amount_msat=Msat(1))))["params"]
    assert params == {"payment_hash": HASH, "amount": 1, "expiry": 3_600}


@pytest.mark.parametrize("result", [{}, None, "", {"preimage": "odd"}])
@pytest.mark.parametrize(("command", "state"), [(SETTLE, "settled"), (CANCEL, "expired")])
def test_whatever_is_said_without_an_error_means_done(command: AnyCommand, state: str, result: object) -> None:
    assert told(command, result) == HoldEnded(HASH, TransactionState(state))


def test_an_error_is_none() -> None:
    refused = told(SETTLE, None, error={"code": "NOT_FOUND", "message": "no such invoice"})
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.UNKNOWN_TARGET


def test_what_was_made_is_an_invoice_of_the_hash_that_was_asked_for() -> None:
    entry = {"type": "incoming", "payment_hash": HASH, "amount": 1_000, "invoice": "lnbcrt1", "created_at": 5}
    made = told(MAKE, entry)
    assert isinstance(made, Invoiced)
    assert (made.transaction.payment_hash, made.transaction.state) == (HASH, "pending")
    with pytest.raises(CodecError, match="another payment"):
        told(MAKE, entry | {"payment_hash": "ab" * 32})


def test_a_held_payment_is_told_with_its_deadline_and_no_other_record_has_one() -> None:
    def found(**members: Any) -> Any:
        entry = {"type": "incoming", "payment_hash": HASH, "amount": 1_000, "settle_deadline": 1_144, **members}
        outcome = told(LookupInvoice(payment_hash=HASH), entry)
        assert isinstance(outcome, Found)
        return outcome.transaction

    held = found(state="ACCEPTED", preimage=PREIMAGE)
    assert (held.state, held.settle_deadline, held.preimage) == ("accepted", 1_144, "")
    settled = found(state="settled")
    assert (settled.state, settled.settle_deadline) == ("settled", None)
    assert found(state="accepted", settle_deadline="soon").settle_deadline is None


@pytest.mark.parametrize("command", [MAKE, SETTLE, CANCEL], ids=lambda command: type(command).__name__)
def test_a_wallet_that_does_not_announce_them_is_not_asked(command: AnyCommand) -> None:
    refused = refuse_unannounced(command, ServiceInfo(("pay_invoice",), ("nip44",)))
    assert refused is not None
    assert refused.reason is Reason.UNSUPPORTED
    for info in (ServiceInfo(("pay_invoice",), ("nip44",), extensions=("03",)), ServiceInfo((), ("nip44",)), None):
        assert refuse_unannounced(command, info) is None
