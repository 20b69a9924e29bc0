"""A refusal is a reason, a sentence and an exit code."""

from __future__ import annotations

import pytest

from kitestring.base.errors import TABLE, CodecError, Exit, KitestringError, Reason, in_plain_words


def test_every_reason_has_its_row_and_no_row_is_left_over() -> None:
    assert list(TABLE) == list(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_an_error_says_the_sentence_of_its_reason_and_ends_the_program_with_its_code(reason: Reason) -> None:
    error = KitestringError(reason)
    assert str(error) == error.message == TABLE[reason].sentence
    assert (error.reason, error.details) == (reason, {})
    assert error.exit_code is TABLE[reason].exit is not Exit.OK


@pytest.mark.parametrize("reason", Reason)
def test_a_sentence_stands_in_the_middle_of_a_line(reason: Reason) -> None:
    sentence = TABLE[reason].sentence
    assert sentence
    assert sentence[0].islower()
    assert sentence == sentence.strip(" .")


def test_no_two_reasons_say_the_same() -> None:
    assert len({row.sentence for row in TABLE.values()}) == len({reason.value for reason in Reason}) == len(Reason)


def test_an_error_tells_its_own_words_and_its_details() -> None:
    error = KitestringError(Reason.RATE_LIMITED, "slowly", retry_after=60)
    assert (str(error), error.details) == ("slowly", {"retry_after": 60})
    assert error.exit_code is Exit.RATE_LIMITED


def test_scripts_can_rely_on_the_exit_codes() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": 0, "INTERNAL": 1, "USAGE": 2, "PAYMENT_FAILED": 3, "UNAVAILABLE": 4, "REFUSED": 5, "RATE_LIMITED": 6,
        "PENDING": 7, "INTERRUPTED": 130,
    }  # fmt: skip


def test_a_payment_under_way_is_no_failure_to_a_script() -> None:
    assert KitestringError(Reason.PAYMENT_IN_FLIGHT).exit_code is Exit.PENDING
    assert [reason for reason, row in TABLE.items() if row.exit is Exit.PENDING] == [Reason.PAYMENT_IN_FLIGHT]


def test_what_cannot_be_read_is_a_value_error() -> None:
    assert issubclass(CodecError, ValueError)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (OSError("the channel is gone"), "the channel is gone"),
        (KitestringError(Reason.UNAVAILABLE, "lnd is locked"), "lnd is locked"),
        (TimeoutError(), "no answer in time"),
        (KeyError(), "an unexpected failure (KeyError)"),
    ],
)
def test_a_failure_is_told_in_its_own_words_and_by_its_class_only_where_it_has_none(
    failure: Exception, words: str
) -> None:
    assert in_plain_words(failure) == words
