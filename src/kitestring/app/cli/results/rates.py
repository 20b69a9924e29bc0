"""The worth of a currency, and who says so."""

from __future__ import annotations

from typing import Annotated

from kitestring.app.owner.results.words import AnswerJson, says


class RatioJson(AnswerJson):
    """A rate as two whole numbers."""

    msat: Annotated[int, says("So many msat …")]
    minor: Annotated[int, says("… are worth so many minor units.")]


class SourceJson(AnswerJson):
    """A source of rates."""

    source: Annotated[str, says("Its name.")]
    price: Annotated[str | None, says("The price of a bitcoin that it tells; null: none.")]
    trouble: Annotated[str | None, says("Why it tells none.")]


class CurrencyRateJson(AnswerJson):
    """The worth of a currency."""

    currency: Annotated[str, says("The currency.")]
    price: Annotated[str, says("The price of a bitcoin in it, as a decimal number.")]
    rate: Annotated[RatioJson, says("The exact rate.")]
    told_at: Annotated[int, says("When the sources told it.")]
    age_s: Annotated[int, says("So long ago.")]
    amount_minor: Annotated[int | None, says("The AMOUNT in minor units; null without one.")]
    amount_msat: Annotated[int | None, says("What a payer pays for it.")]
    sources: Annotated[list[SourceJson], says("What each source said.")]
