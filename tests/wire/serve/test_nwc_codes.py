"""The error codes of NIP-47 that the service sends."""

from __future__ import annotations

from kitestring.base.errors import Reason
from kitestring.wire.serve.nwc_codes import CODES, NARROW_CODES


def test_every_reason_has_a_word_or_none_and_silence_is_kept_for_three() -> None:
    assert set(CODES) == set(Reason)
    assert {reason for reason, code in CODES.items() if code is None} == {
        Reason.UNKNOWN_CALLER, Reason.PAYMENT_IN_FLIGHT,
    }  # fmt: skip


def test_a_narrower_word_stands_only_for_one_that_old_clients_do_not_know() -> None:
    assert {CODES[reason] for reason in NARROW_CODES} == {"UNSUPPORTED_ENCRYPTION", "FEE_LIMIT_EXCEEDED"}
    assert set(NARROW_CODES.values()) <= set(CODES.values())
