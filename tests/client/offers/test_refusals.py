"""One clear sentence for each refusal of an offer."""

from __future__ import annotations

import json

import pytest

from kitestring.base.errors import Reason
from kitestring.client.offers.refusals import has_moved_again, has_moved_away, refusal
from kitestring.wire.ask.offers import OfferError, decode_reply
from tests.kit.clock import NOW


def told(**members: object) -> OfferError:
    reply = decode_reply(json.dumps(members))
    assert isinstance(reply, OfferError)
    return reply


CODES = [
    (1, Reason.UNKNOWN_TARGET, "does not know this offer"),
    (2, Reason.UNAVAILABLE, "try again later"),
    (3, Reason.MOVED_OR_EXPIRED_OFFER, "ask for a new code"),
    (4, Reason.UNSUPPORTED, "does not do for this offer what was asked"),
    (5, Reason.AMOUNT_OUT_OF_RANGE, "does not take this amount"),
    (6, Reason.MALFORMED, "calls the request malformed"),
    (17, Reason.NOT_PERMITTED, "with the unknown code 17"),
]


@pytest.mark.parametrize("res", [{"res": "GFY"}, {}], ids=["with res", "without res"])
@pytest.mark.parametrize("form", [int, str])
@pytest.mark.parametrize(("code", "reason", "words"), CODES, ids=str)
def test_every_code_in_every_form_is_its_reason_and_a_sentence(
    code: int, reason: Reason, words: str, form: type, res: dict[str, str]
) -> None:
    error = refusal(told(**res, code=form(code), error="Their Words"), NOW)
    assert error.reason is reason
    assert words in error.message
    assert error.message.endswith("(the service says: Their Words)")
    assert error.details["code"] == code


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Invalid Amount: from 100 to 9,000 sat", ""),
        ("from 100 to 9000 sat", ""),
        ("from 100 to 9,000 sat on Sundays", " (the service says: from 100 to 9,000 sat on Sundays)"),
    ],
)
def test_a_range_is_not_said_twice_and_whatever_else_the_service_says_is(text: str, said: str) -> None:
    error = refusal(told(code=5, error=text, range={"min": 100, "max": 9_000}), NOW)
    assert error.message == f"the offer takes at least 100 sat and at most 9,000 sat{said}"


def test_a_refusal_without_code_and_words_is_one_too() -> None:
    error = refusal(told(res="GFY"), NOW)
    assert (error.reason, error.message) == (Reason.NOT_PERMITTED, "the service refused")


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"min": 10, "max": 4000}, "the offer takes at least 10 sat and at most 4,000 sat"),
        ({"min": "10", "max": "4000"}, "the offer takes at least 10 sat and at most 4,000 sat"),
        ({"max": 50}, "the offer takes at most 50 sat"),
        ({"min": 50}, "the offer takes at least 50 sat"),
        ({"min": 1500, "max": 1500}, "the offer takes exactly 1,500 sat"),
        ({}, "the offer does not take this amount"),
    ],
)
def test_what_would_fit_is_said(bounds: dict[str, object], words: str) -> None:
    assert refusal(told(code=5, range=bounds), NOW).message == words


def test_what_the_offer_wants_to_know_is_named() -> None:
    error = refusal(told(code=1, error="Missing", payer_data=["email", "name"]), NOW)
    assert error.reason is Reason.MALFORMED
    assert "asks for email, name" in error.message
    assert error.details["payer_data"] == ["email", "name"]


@pytest.mark.parametrize("retry_after", [NOW + 600, 600], ids=["a time", "seconds"])
def test_a_busy_service_says_when_to_ask_again(retry_after: int) -> None:
    error = refusal(told(code=2, retry_after=retry_after), NOW)
    assert (error.reason, error.message) == (
        Reason.RATE_LIMITED,
        "the service has too many requests: try again in 600 s",
    )


def test_words_of_a_service_are_one_line_and_short() -> None:
    message = refusal(told(code=2, error="a\x1b[2K\n" + "b" * 5_000), NOW).message
    assert "\x1b" not in message
    assert "\n" not in message
    assert len(message) < 400


def test_a_move_away_shows_the_new_code_and_a_second_move_is_the_end() -> None:
    moved = told(code="3", error="moved", latest="noffer1x")
    away, again = has_moved_away(moved, "noffer1y"), has_moved_again(moved)
    assert away.reason is again.reason is Reason.MOVED_OR_EXPIRED_OFFER
    assert away.details == {"code": 3, "latest": "noffer1y"}
    assert again.details == refusal(moved, NOW).details == {"code": 3}
    assert "moved to another service" in away.message
    assert "as well" in again.message
