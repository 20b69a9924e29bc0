"""Budgets, as they are asked for and as they stand."""

from __future__ import annotations

from typing import Annotated

from kitestring.app.owner.results.words import AnswerJson, says
from kitestring.base.budgets import Period


class BudgetJson(AnswerJson):
    """A budget as it was set. Without any budget the list of budgets is empty."""

    limit_msat: Annotated[int, says("The most that may be spent in one period, fees included.")]
    period: Annotated[
        Period,
        says("When it renews: at midnight, on Mondays, … of the owner's time zone. `never`: it is a total."),
    ]
    length_s: Annotated[int | None, says("Of `rolling`, the seconds that are counted back; null for the others.")]
    currency: Annotated[str | None, says("The currency of the limit; null: it is one in sats.")]
    limit_minor: Annotated[int | None, says("The limit in minor units of that currency; null without one.")]


class BudgetNowJson(BudgetJson):
    """A budget, and how it stands now."""

    used_msat: Annotated[int, says("What is spent or reserved in this period.")]
    left_msat: Annotated[int, says("What can still be spent in it.")]
    renews_at: Annotated[int | None, says("When the next period begins; null: never, or bit by bit (`rolling`).")]


Budgets = Annotated[list[BudgetJson], says("Its budgets; each has to cover a payment. Empty: no limit.")]
BudgetsNow = Annotated[list[BudgetNowJson], says("Its budgets as they stand; each covers a payment. Empty: no limit.")]
