"""The answers of the commands that look into the books."""

from __future__ import annotations

from typing import Annotated

from kitestring.app.owner.results.money import TransactionJson
from kitestring.app.owner.results.words import AnswerJson, says


class EntryJson(TransactionJson):
    """A payment or an invoice, with what its owner alone is told."""

    reason: Annotated[str | None, says("Why it failed, or what is known of a payment of unknown outcome.")]
    offer: Annotated[str | None, says("The label of the offer.")]
    payment_id: Annotated[str | None, says("The id of the payment; null: an invoice.")]
    node_id: Annotated[str, says("The node that it belongs to.")]
    fee_cap_msat: Annotated[int | None, says("The most that routing might cost; null: an invoice.")]


class EntryShownJson(EntryJson):
    """One entry, and what else has its payment hash: the other side of a payment inside of the service, or attempts
    that failed before."""

    others: Annotated[list[EntryJson], says("What else has this payment hash.")]


class EntryListJson(AnswerJson):
    """Payments and invoices."""

    transactions: Annotated[list[EntryJson], says("The newest first.")]
    next: Annotated[str | None, says("What `--after` takes to go on; null: there is no more.")]
    searched_back_to_at: Annotated[
        int | None, says("How far was looked back, where that was not to the end; null: everything was looked at.")
    ]
    total: Annotated[int | None, says("How many there are; null: not counted, as it is only beyond the end.")]
