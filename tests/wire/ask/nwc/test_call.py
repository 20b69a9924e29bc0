"""Methods that NIP-47 does not know: asked for by their name, and never a payment."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.outcomes import Refused
from kitestring.wire.ask.nwc.announcement import ServiceInfo
from kitestring.wire.ask.nwc.call import PAYING, Called, decode_call, encode_call, refuse_uncalled
from kitestring.wire.serve.nwc.table import METHODS


def test_a_call_has_the_name_of_the_method_and_its_params() -> None:
    assert json.loads(encode_call("multisig_round", {"keys": ["02ab"]})) == {
        "method": "multisig_round", "params": {"keys": ["02ab"]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "params", "word"),
    [
        ("Multisig", {}, "small letters"),
        ("", {}, "small letters"),
        ("a" * 65, {}, "small letters"),
        ("pay_invoice", {}, "pays"),
        ("multisig_round", {"x": object()}, "are no JSON"),
    ],
)
def test_a_call_that_cannot_be_is_refused_before_it_is_sent(method: str, params: dict[str, Any], word: str) -> None:
    with pytest.raises(KitestringError, match=word) as told:
        encode_call(method, params)
    assert told.value.reason is Reason.MALFORMED


def test_every_method_that_pays_is_refused() -> None:
    assert {row.name for row in METHODS.values() if row.command.__name__ == "PayInvoice"} <= PAYING


def test_the_answer_is_the_result_as_it_came_or_a_refusal() -> None:
    assert decode_call('{"result_type":"x","result":{"a":[1]}}') == Called({"a": [1]})
    assert decode_call('{"result_type":"x","error":{"code":"RESTRICTED","message":"no"},"result":null}') == Refused(
        Reason.NOT_PERMITTED, "no", {"code": "RESTRICTED"}
    )
    for text in ("{}", '{"result":[]}', '{"result":"x"}', "[]"):
        with pytest.raises(CodecError):
            decode_call(text)


def test_a_wallet_that_lists_methods_is_asked_for_those_alone() -> None:
    listed = ServiceInfo(("get_info",), ("nip44",))
    refused = refuse_uncalled("multisig_round", listed)
    assert refused is not None
    assert refused.reason is Reason.UNSUPPORTED
    for info in (None, ServiceInfo((), ("nip44",)), ServiceInfo(("multisig_round",), ("nip44",))):
        assert refuse_uncalled("multisig_round", info) is None
