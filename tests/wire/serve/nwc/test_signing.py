"""Texts that the node is to sign, over Nostr Wallet Connect."""

from __future__ import annotations

import pytest

from kitestring.base.commands import MAX_MESSAGE_BYTES, SignMessage
from kitestring.base.errors import Reason
from kitestring.base.outcomes import Signed
from kitestring.wire.serve.nwc.table import METHODS, not_served
from tests.kit.wire.nwc import decode, refusal, request, response


def test_the_very_text_is_signed() -> None:
    for text in ("tea", " lightning:\x00\n ", "ä" * (MAX_MESSAGE_BYTES // 2)):
        assert decode("sign_message", {"message": text}) == SignMessage(message=text)


@pytest.mark.parametrize("message", [None, "", 5, ["tea"], "ä" * (MAX_MESSAGE_BYTES // 2) + "x"])
def test_what_is_no_text_or_too_much_of_it_is_malformed(message: object) -> None:
    assert refusal(request("sign_message", {"message": message})).refused.reason is Reason.MALFORMED


def test_the_answer_has_the_text_and_the_signature() -> None:
    assert response("sign_message", Signed("tea", "d9")) == {
        "result_type": "sign_message",
        "result": {"message": "tea", "signature": "d9"},
    }


def test_it_is_served_where_the_owner_wants_it_and_the_node_can() -> None:
    assert METHODS["sign_message"].permission == "sign_message"
    assert "sign_message" in not_served({"legacy_methods"}) & not_served({"sign_message"})
    assert "sign_message" not in not_served({"legacy_methods", "sign_message"})
