"""An account and offers of yours at services of others."""

from __future__ import annotations

from typing import Annotated

from kitestring.app.owner.results.words import AnswerJson, says


class EnrolledJson(AnswerJson):
    """Your account at somebody else's service."""

    service: Annotated[str, says("The public key of the service.")]
    key: Annotated[str, says("Your public key there.")]
    noffer: Annotated[str | None, says("The code by which you are paid.")]
    ndebit: Annotated[str | None, says("The code by which you take your money.")]
    nmanage: Annotated[str | None, says("The link by which you manage offers.")]
    work_bits: Annotated[int, says("The proof of work that it has cost, in bits.")]


class ManagedOfferJson(AnswerJson):
    """An offer of yours at somebody else's service."""

    id: Annotated[str, says("Its id there.")]
    label: Annotated[str, says("Its label.")]
    price_sats: Annotated[int, says("Its price in sats; 0: the payer names the amount.")]
    callback_url: Annotated[str | None, says("The address that is asked when somebody has paid.")]
    payer_data: Annotated[list[str], says("What a payer is asked for.")]
    noffer: Annotated[str | None, says("Its code.")]


class ManagedOfferListJson(AnswerJson):
    """A page of your offers at somebody else's service."""

    offers: Annotated[list[ManagedOfferJson], says("The offers, the newest first.")]
    next: Annotated[str | None, says("The `--before` of the next page; null: this is the last one.")]
    left_out: Annotated[int, says("Offers that could not be read.")]


class ManagedOfferDeletedJson(AnswerJson):
    """An offer of yours that was ended there."""

    id: Annotated[str, says("Its id there.")]
    deleted: Annotated[bool, says("True.")]
