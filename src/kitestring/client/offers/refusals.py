"""A refused offer in one sentence: what is wrong, what would fit, and what the service itself says."""

from __future__ import annotations

import re
from typing import Any, Final

from kitestring.base.errors import KitestringError
from kitestring.wire.ask.offers import OfferError

#: The beginning of the sentence by code, where the members beside it say no more.
_MEANINGS: Final = {
    1: "the service does not know this offer, or its owner has switched it off",
    2: "the service cannot make an invoice at the moment: try again later",
    3: "the offer has moved or expired, and its service names no other: ask for a new code",
    4: "the service does not do for this offer what was asked",
    5: "the offer does not take this amount",
    6: "the service calls the request malformed",
}

#: The words of a service about a range, with nothing beside the figures, which we tell in our own.
_ONLY_RANGE: Final = re.compile(r"(Invalid Amount: )?(from [0-9,]+ to [0-9,]+ sat|it is [0-9,]+ sat)", re.ASCII)


def refusal(error: OfferError, now: int) -> KitestringError:
    """The refusal of a service as an error; ``now`` in Unix seconds. The details are the members of the reply that
    there are: code, range, payer_data, retry_at, retry_in_s."""
    says_more = bool(error.text) and not (error.range_sats is not None and _ONLY_RANGE.fullmatch(error.text or ""))
    said = f" (the service says: {error.text})" if says_more else ""
    return _error(error, f"{_sentence(error, now)}{said}")


def has_moved_again(error: OfferError) -> KitestringError:
    """The error that ends a second move."""
    return _error(
        error, "the offer has moved, and its new code has moved or expired as well: ask its owner for a new one"
    )


def has_moved_away(error: OfferError, latest: str) -> KitestringError:
    """The error of a move to another service, which is for the payer to decide about; the detail ``latest`` is the code
    there. No other error has it."""
    sentence = "the offer has moved to another service: check the new code (latest) and pay that one if you agree"
    return _error(error, sentence, latest=latest)


def _error(error: OfferError, sentence: str, **more: str) -> KitestringError:
    refused = error.refused
    details: dict[str, Any] = {name: value for name, value in refused.details.items() if name != "latest"}
    return KitestringError(refused.reason, sentence, **{**details, **more})


def _sentence(error: OfferError, now: int) -> str:
    if error.range_sats is not None and (fits := _range(*error.range_sats)):
        return f"the offer takes {fits}"
    if error.payer_data:
        return f"the offer asks for {', '.join(error.payer_data)}: tell it as payer data, if you agree"
    if error.actual_delta_ms is not None:
        minutes = f"{error.actual_delta_ms / 60_000:,.1f}"
        return f"by the service's clock the request is {minutes} minutes from its own time: set your clock"
    wait_s = error.retry_in_s if error.retry_at is None else max(error.retry_at - now, 1)
    if wait_s:
        return f"the service has too many requests: try again in {wait_s:,} s"
    return _MEANINGS.get(error.code or 0, _unknown(error.code))


def _range(low: int | None, high: int | None) -> str:
    if low is not None and low == high:
        return f"exactly {low:,} sat"
    parts = (f"at least {low:,} sat" if low else "", f"at most {high:,} sat" if high is not None else "")
    return " and ".join(filter(None, parts))


def _unknown(code: int | None) -> str:
    return "the service refused" if code is None else f"the service refused, with the unknown code {code}"
