"""What a wallet says of itself is read in the forms that have one meaning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import (
    Connect,
    GetBalance,
    GetBudget,
    SignMessage,
)
from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.outcomes import (
    Balance,
    BudgetState,
    Connected,
    Signed,
)
from kitestring.codec.signed_message import sign
from kitestring.nostr import kinds
from kitestring.wire.ask.nwc.methods import decode_response, encode_request
from kitestring.wire.grammar import Facts
from kitestring.wire.serve.nwc import WIRE
from tests.kit.changed import replace
from tests.kit.clock import NOW
from tests.kit.wire.samples import event, reply_to


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ({"total_budget": "9000", "used_budget": 1.0}, BudgetState(Budget.total(Msat(9_000)), Msat(1))),
        ({"total_budget": 9, "renewal_period": "hourly", "renews_at": 0}, BudgetState(Budget.total(Msat(9)))),
        (
            {"total_budget": 9, "used_budget": None, "renewal_period": "monthly", "renews_at": NOW},
            BudgetState(Budget.monthly(Msat(9)), Msat(0), NOW),
        ),
        ({"used_budget": 5}, BudgetState()),
        ({"total_budget": None}, BudgetState()),
    ],
)
def test_a_budget_is_read_in_the_forms_that_have_one_meaning(members: Any, state: BudgetState) -> None:
    assert decode_response(json.dumps({"result": members}), GetBudget()) == state


@pytest.mark.parametrize("members", [{"total_budget": "much"}, {"total_budget": 9, "used_budget": -1}])
def test_a_budget_that_cannot_be_read_is_neither_unlimited_nor_unused(members: object) -> None:
    with pytest.raises(CodecError, match="_budget cannot be read"):
        decode_response(json.dumps({"result": members}), GetBudget())


@pytest.mark.parametrize("balance", [-1_500, "-1500", -1_500.0])
def test_a_negative_balance_is_readable(balance: object) -> None:
    assert decode_response(json.dumps({"result": {"balance": balance}}), GetBalance()) == Balance(Msat(-1_500))


@pytest.mark.parametrize("balance", [None, "much", 1.5, {}])
def test_no_balance_is_made_up(balance: object) -> None:
    with pytest.raises(CodecError, match="no balance"):
        decode_response(json.dumps({"result": {"balance": balance}}), GetBalance())


def test_a_signature_is_believed_where_it_is_one_and_of_the_text_that_was_given() -> None:
    asked, signature = SignMessage(message="tea"), sign("tea", b"\x05" * 32)
    assert json.loads(encode_request(asked)) == {"method": "sign_message", "params": {"message": "tea"}}
    for told in ({"message": "tea", "signature": signature}, {"signature": signature}):
        assert decode_response(json.dumps({"result": told}), asked) == Signed("tea", signature)
    for told in (
        {"message": "milk", "signature": signature},
        {"message": "tea", "signature": "d9"},
        {"message": "tea"},
    ):
        with pytest.raises(CodecError):
            decode_response(json.dumps({"result": told}), asked)


def test_a_connection_is_asked_for_with_all_that_it_is_to_have_and_answered_by_a_key() -> None:
    asked = Connect(client="ab" * 32, name="Zap", methods=("pay_invoice",))
    written = json.loads(encode_request(asked))
    params = {"pubkey": "ab" * 32, "name": "Zap", "request_methods": ["pay_invoice"]}
    assert written == {"method": "create_connection", "params": params}
    more = replace(
        asked, optional=("payment_sent",), budget=Budget(Msat(5_000), "week"), expires_at=1_900_000_000, isolated=True
    )
    assert WIRE.read(encode_request(more), event(kinds.NWC_REQUEST), reply_to("nwc"), Facts("regtest")).command == more
    assert decode_response(json.dumps({"result": {"wallet_pubkey": "CD" * 32}}), asked) == Connected("cd" * 32)
    with pytest.raises(CodecError, match="which key"):
        decode_response('{"result":{"wallet_pubkey":"cd"}}', asked)
