"""A payment whose end nobody can tell is pending, with its hash and what to do; never failed."""

from __future__ import annotations

import pytest

from kitestring.base.errors import Exit, Reason
from kitestring.base.payments import Failed, InFlight, LookupAnswer, NeverSeen, Unknown
from kitestring.client.in_flight import as_words, in_flight


def test_the_error_is_pending_names_the_hash_and_warns_of_paying_anything_else() -> None:
    error = in_flight("ab" * 32, "it did not answer")
    assert (error.reason, error.exit_code) == (Reason.PAYMENT_IN_FLIGHT, Exit.PENDING)
    assert error.details == {"payment_hash": "ab" * 32}
    assert f"may have paid {'ab' * 32}: it did not answer; look the hash up later" in error.message
    assert "never a new one for the same thing" in error.message


def test_nobody_is_told_to_send_once_more_what_has_no_invoice() -> None:
    message = in_flight("ab" * 32, "it did not answer", is_keysend=True).message
    assert "do not send it again: without an invoice each call is another payment" in message
    assert "invoice again" not in message


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (Unknown("the wallet said nothing"), "the wallet said nothing"),
        (NeverSeen(1), "it does not know the payment (yet)"),
        (Failed("no route"), "its record may be of an earlier attempt"),
        (InFlight(), "it has not told the end yet"),
    ],
)
def test_every_record_that_proves_nothing_has_its_words_and_none_of_them_is_failure(
    record: LookupAnswer, words: str
) -> None:
    assert as_words(record) == words
    assert "failed" not in in_flight("ab" * 32, as_words(record)).message
