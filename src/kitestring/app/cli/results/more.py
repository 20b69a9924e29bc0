"""The answers of the owner's commands with more in them than the service tells."""

from __future__ import annotations

from typing import Annotated, Literal

from kitestring.app.owner.results.money import TransactionJson
from kitestring.app.owner.results.offers import WebhookShownJson
from kitestring.app.owner.results.questions import QuestionJson
from kitestring.app.owner.results.words import AnswerJson, says


class WebhookAnswerJson(AnswerJson):
    """The answer of a webhook to a test."""

    taken: Annotated[bool, says("Whether the receiver has taken it.")]
    status: Annotated[str | None, says("Its answer, or why there is none.")]


class WebhookJson(WebhookShownJson):
    """The webhook of an offer, with its secret."""

    test: Annotated[WebhookAnswerJson | None, says("The answer to `--test`; null without it.")]


class InvoiceEndJson(TransactionJson):
    """The end of an invoice that was waited for, with `--wait` (a second line)."""

    event: Annotated[Literal["payment_received", "invoice_expired"], says("Whether it was paid.")]


class QuestionNewsJson(QuestionJson):
    """A question that was asked or decided, as it happens."""

    event: Annotated[Literal["asked", "decided"], says("Whether it was asked or decided.")]
