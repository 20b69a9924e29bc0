"""The answers of services of others that were asked for money."""

from __future__ import annotations

from typing import Annotated, Literal

from kitestring.app.owner.results.words import AnswerJson, says


class DebitPaidJson(AnswerJson):
    """A debit that was paid to you."""

    payment_hash: Annotated[str, says("The payment hash.")]
    amount_msat: Annotated[int | None, says("The amount; null where the invoice names none.")]
    preimage: Annotated[str | None, says("The preimage, where it was told.")]
    proof: Annotated[
        Literal["proven", "received", "claimed"],
        says("`proven` by the preimage, `received` by your wallet, or only `claimed` by the service."),
    ]


class DebitBudgetJson(AnswerJson):
    """A budget that was granted to you."""

    amount_msat: Annotated[int | None, says("So much in each period, fees included; null: any amount.")]
    every: Annotated[str | None, says("The unit of the period; null: once and for all, or without limits.")]
    number: Annotated[int | None, says("So many of these units are one period; null without limits.")]


class ChargeJson(AnswerJson):
    """A period of a subscription that was paid."""

    subscription_id: Annotated[str, says("The subscription.")]
    period: Annotated[int, says("The number of the period.")]
    begins_at: Annotated[int, says("When it begins.")]
    ends_at: Annotated[int, says("When it ends.")]
    amount_msat: Annotated[int, says("What was paid.")]
    payment_hash: Annotated[str, says("The payment hash.")]
    settled_at: Annotated[int, says("When it was paid.")]


class SubscriptionJson(AnswerJson):
    """A subscription that is charged from here."""

    subscription_id: Annotated[str, says("Its id.")]
    name: Annotated[str | None, says("Its name.")]
    amount_msat: Annotated[int, says("So much in each period.")]
    every: Annotated[str, says("The period.")]
    ndebit: Annotated[str, says("The code that is charged.")]
    created_at: Annotated[int, says("When it was made.")]
    begun_at: Annotated[int | None, says("When its first period began; null: not yet.")]
    has_budget: Annotated[bool, says("Whether the service has granted it.")]
    charges: Annotated[int, says("Periods that were paid.")]
    paid_until: Annotated[int | None, says("Until when it is paid.")]
    open: Annotated[int, says("Charges that are not decided.")]
    cancelled_at: Annotated[int | None, says("When it was ended; null: it goes on.")]


class SubscriptionListJson(AnswerJson):
    """Subscriptions that are charged from here."""

    subscriptions: Annotated[list[SubscriptionJson], says("The subscriptions.")]
