"""The error codes of NIP-47 that the service sends."""

from __future__ import annotations

from kitestring.base.errors import Reason
from kitestring.wire.serve.nwc.codes import CODES, NARROW_CODES, WIDE_CODES, code_of
from kitestring.wire.serve.nwc.lookup import PAYMENT_TYPE
from tests.kit.changed import replace
from tests.kit.wire.samples import reply_to


def test_every_reason_has_a_word_or_none_and_silence_is_kept_for_three() -> None:
    assert set(CODES) == set(Reason)
    assert {reason for reason, code in CODES.items() if code is None} == {
        Reason.UNKNOWN_CALLER, Reason.PAYMENT_IN_FLIGHT,
    }  # fmt: skip


def test_a_narrower_word_stands_only_for_one_that_old_clients_do_not_know() -> None:
    assert {CODES[reason] for reason in NARROW_CODES} == {"UNSUPPORTED_ENCRYPTION", "FEE_LIMIT_EXCEEDED"}
    assert set(NARROW_CODES.values()) <= set(CODES.values())


def test_a_code_of_a_methods_own_text_goes_to_callers_of_nip44_alone() -> None:
    for method, codes in WIDE_CODES.items():
        to = reply_to("nwc").named(method)
        for reason, code in codes.items():
            assert code_of(reason, to, {}) == code
            assert code_of(reason, replace(to, cipher="nip04"), {}) == NARROW_CODES.get(reason, CODES[reason])
    assert code_of(Reason.UNSUPPORTED, reply_to("nwc"), {PAYMENT_TYPE: "ark"}) == "UNSUPPORTED_PAYMENT_TYPE"
    assert code_of(Reason.UNSUPPORTED, replace(reply_to("nwc"), cipher="nip04"), {PAYMENT_TYPE: "ark"}) == "OTHER"
