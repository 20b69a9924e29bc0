"""The answers of the commands about offers and their webhooks."""

from __future__ import annotations

from typing import Annotated, Literal

from kitestring.app.owner.results.words import (
    AccountName,
    AnswerJson,
    Changed,
    ChangedFields,
    CreatedAt,
    ExpiresAt,
    LeftRelays,
    OldRelays,
    says,
)


class OfferJson(AnswerJson):
    """An offer: a static code that anybody can pay."""

    offer_id: Annotated[str, says("Its id.")]
    label: Annotated[str, says("Its label.")]
    noffer: Annotated[str, says("Its code.")]
    state: Annotated[Literal["open", "off", "moved", "deleted", "expired"], says("`open` alone can be paid.")]
    price_msat: Annotated[int | None, says("Its price; null: the payer names the amount, or it is in a currency.")]
    price_on_request: Annotated[bool, says("Whether the price is told on request, and does not stand in the code.")]
    currency: Annotated[str | None, says("The currency of its price; null: it has none.")]
    price_minor: Annotated[int | None, says("The price in minor units of that currency.")]
    now_msat: Annotated[int | None, says("What that is worth now; null where it is not asked for or not known.")]
    min_msat: Annotated[int | None, says("The least that a payer may name.")]
    max_msat: Annotated[int | None, says("The most that a payer may name.")]
    account: AccountName
    payer_data: Annotated[list[str], says("What a payer is asked for; a name that ends in `?` may stay unanswered.")]
    expires_at: ExpiresAt
    zap_npub: Annotated[str | None, says("The key whose zaps it takes.")]
    webhook: Annotated[str | None, says("Where each payment of it is told.")]
    creator: Annotated[str | None, says("The public key of the app that has made it; null: the owner has.")]
    latest: Annotated[str | None, says("The code to which a moved one forwards; null: to none.")]
    old_ids: Annotated[list[str], says("Ids of old codes that forward to it; told where it is listed or shown.")]
    created_at: CreatedAt
    old_relays: OldRelays


class OfferListJson(AnswerJson):
    """The offers."""

    offers: Annotated[list[OfferJson], says("The owner's own, the oldest first.")]


class OfferEditedJson(OfferJson):
    """An offer after a change."""

    changed: ChangedFields
    old_noffer: Annotated[str | None, says("The code of before, which forwards now; null: the code has stayed.")]


class OfferRelinkedJson(OfferJson):
    """An offer with its code of today."""

    changed: Changed
    left_relays: LeftRelays


class OfferDeletedJson(AnswerJson):
    """An offer that was ended."""

    offer_id: Annotated[str, says("Its id.")]
    label: Annotated[str, says("Its label.")]
    deleted: Annotated[bool, says("True.")]


class WebhookShownJson(AnswerJson):
    """The webhook of an offer, with its secret."""

    offer_id: Annotated[str, says("The id of the offer.")]
    label: Annotated[str, says("The label of the offer.")]
    url: Annotated[str | None, says("Where payments are told; null: nowhere.")]
    form: Annotated[Literal["post", "get"] | None, says("How they are told.")]
    secret: Annotated[str | None, says("The secret by which the receiver checks a signature; null without a webhook.")]
    waiting: Annotated[int, says("Deliveries that are still tried.")]
    failed: Annotated[int, says("Deliveries that were given up.")]


class WebhookTestedJson(AnswerJson):
    """The answer of a webhook to a test."""

    offer_id: Annotated[str, says("The id of the offer.")]
    taken: Annotated[bool, says("Whether the receiver has taken it.")]
    status: Annotated[str | None, says("Its answer, or why there is none.")]


class DeliveryJson(AnswerJson):
    """A payment that a webhook was told of, or is to be told of."""

    delivery: Annotated[str, says("Its id.")]
    offer_id: Annotated[str, says("The id of the offer.")]
    label: Annotated[str | None, says("The label of the offer.")]
    created_at: CreatedAt
    amount_msat: Annotated[int | None, says("What was paid.")]
    payment_hash: Annotated[str | None, says("The hash of the payment.")]
    state: Annotated[Literal["waiting", "delivered", "failed"], says("How it stands.")]
    attempts: Annotated[int, says("How often it was tried.")]
    status: Annotated[str | None, says("The last answer, or why there was none.")]
    next_at: Annotated[int | None, says("When it is tried again; null: no more.")]
    ended_at: Annotated[int | None, says("When it was taken or given up.")]


class DeliveryListJson(AnswerJson):
    """Deliveries."""

    deliveries: Annotated[list[DeliveryJson], says("The deliveries, the newest first.")]


class SentAgainJson(AnswerJson):
    """Deliveries that are tried once more."""

    sent_again: Annotated[int, says("How many are tried again.")]
    left: Annotated[int, says("How many failed ones are left.")]
