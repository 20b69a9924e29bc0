"""The lines of ``kitestring watch``: everything that happens at the service."""

from __future__ import annotations

from typing import Annotated, Literal

from kitestring.app.owner.results.words import AnswerJson, says


class ActivityJson(AnswerJson):
    """A happening at the service, one line for each. What a kind of event does not have is null."""

    event: Annotated[
        str,
        says("`payment_sent`, `payment_received`, `payment_failed`, `refused`, `connection_made`, `asked`, `alarm`, …"),
    ]
    happened_at: Annotated[int, says("When it happened.")]
    type: Annotated[Literal["incoming", "outgoing"] | None, says("The way of the money.")]
    state: Annotated[str | None, says("The state of the payment or invoice.")]
    payment_hash: Annotated[str | None, says("The payment hash.")]
    amount_msat: Annotated[int | None, says("The amount without fees.")]
    fee_msat: Annotated[int | None, says("The fee for routing.")]
    service_fee_msat: Annotated[int | None, says("The fee that the service itself has taken.")]
    created_at: Annotated[int | None, says("When the payment or invoice was made.")]
    settled_at: Annotated[int | None, says("When it was paid.")]
    description: Annotated[str | None, says("What it is for.")]
    preimage: Annotated[str | None, says("The preimage; null unless it is settled.")]
    account: Annotated[str | None, says("The account.")]
    connection: Annotated[str | None, says("The name of the connection; null: the owner's own, or an offer's.")]
    connection_id: Annotated[str | None, says("The id of the connection.")]
    offer: Annotated[str | None, says("The label of the offer.")]
    offer_id: Annotated[str | None, says("The id of the offer.")]
    payer_data: Annotated[dict[str, str] | None, says("What the payer of an offer has told.")]
    wire: Annotated[str | None, says("The protocol by which it was asked.")]
    approval_id: Annotated[str | None, says("The question that was asked or decided.")]
    reason: Annotated[str | None, says("Why it failed or was refused: one of the [reasons](errors.md).")]
    detail: Annotated[str | None, says("More in words.")]
    count: Annotated[int | None, says("Of `refused_more` and `missed`: how many.")]
    by_strangers: Annotated[bool | None, says("Of `refused_more`: whether strangers have asked.")]
    position: Annotated[str | None, says("The `--since` that goes on behind this line.")]
