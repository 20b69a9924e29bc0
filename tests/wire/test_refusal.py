from __future__ import annotations

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.outcomes import Refused
from kitestring.wire.refusal import refusal


def test_what_could_not_be_decoded_is_malformed_and_says_why() -> None:
    assert refusal(CodecError("amount must be a whole number")) == Refused(
        Reason.MALFORMED, "amount must be a whole number"
    )


def test_a_reason_that_was_found_while_reading_is_kept() -> None:
    failure = KitestringError(Reason.WRONG_NETWORK, "this invoice is for signet", invoice="x")
    assert refusal(failure) == Refused(Reason.WRONG_NETWORK, "this invoice is for signet", {"invoice": "x"})
