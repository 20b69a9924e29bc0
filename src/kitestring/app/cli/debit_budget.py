"""``kitestring debit budget``: ask for the right to be paid without further questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kitestring.app.cli.debits import Recurring, RecurringType, wait_option
from kitestring.app.cli.given import CodeType
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import msat

if TYPE_CHECKING:
    from kitestring.client.debits import DebitBudget


@click.command("budget")
@click.argument("ndebit", type=CodeType())
@click.argument("budget", type=RecurringType(once=True), metavar="AMOUNT_SAT[/day|week|month]")
@wait_option
@common
def command(shell: Shell, ndebit: str, budget: Recurring, wait_s: int | None) -> None:
    """Ask for a budget: so much in each period.

    The service of NDEBIT (ndebit1…) is asked to pay you so much per day, week or month (30 days), or once and for all,
    without further questions. What is granted is granted to the key of this data directory (requestor.key). Not every
    service knows budgets for once. One that has granted a smaller budget before may say yes and change nothing.
    """
    import asyncio

    granted = asyncio.run(_ask(shell, ndebit, budget, wait_s))
    if granted is None:
        shell.show({"amount_msat": None, "every": None, "number": None}, "granted: any amount, without limits")
        return
    result = {"amount_msat": int(granted.amount), "every": granted.every, "number": granted.number}
    is_other = (result["amount_msat"], granted.every or "", granted.number) != (msat(budget.sats), budget.every, 1)
    remark = ", which is not what you asked for" if is_other else ""
    shell.show(result, f"granted: up to {granted}, fees included{remark}")


async def _ask(shell: Shell, ndebit: str, budget: Recurring, wait_s: int | None) -> DebitBudget | None:
    from kitestring.app.cli.debits import note_waiting_for_owner, open_debit
    from kitestring.base.money import sat

    async with open_debit(shell, ndebit, paid=False) as debit:
        return await debit.budget(
            sat(budget.sats), budget.every or None, wait_s=wait_s, waiting=note_waiting_for_owner(shell)
        )  # fmt: skip
