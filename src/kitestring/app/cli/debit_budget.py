"""``kitestring debit budget``: ask for the right to be paid without further questions."""

from __future__ import annotations

import click

from kitestring.app.cli.debits import Recurring, RecurringType, wait_option
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import amount, msat


@click.command("budget")
@click.argument("ndebit")
@click.argument("budget", type=RecurringType(once=True), metavar="AMOUNT_SAT[/day|week|month]")
@wait_option
@common
def command(shell: Shell, ndebit: str, budget: Recurring, wait_s: int | None) -> None:
    """Ask the service of NDEBIT (ndebit1…) for a budget: so much per day, week or month (30 days), or once and for all.

    What is granted is granted to the key of this data directory (requestor.key). Not every service knows budgets for
    once. One that has granted a smaller budget before may say yes and change nothing.
    """
    import asyncio

    asyncio.run(_ask(shell, ndebit, budget, wait_s))
    per = f" per {budget.every}" if budget.every else " once"
    result = {"amount_msat": msat(budget.sats), "every": budget.every or None}
    shell.show(result, f"granted: up to {amount(msat(budget.sats))}{per}, fees included")


async def _ask(shell: Shell, ndebit: str, budget: Recurring, wait_s: int | None) -> None:
    from kitestring.app.cli.debits import note_waiting_for_owner, open_debit
    from kitestring.base.money import sat

    async with open_debit(shell, ndebit, paid=False) as debit:
        await debit.budget(
            sat(budget.sats), budget.every or None, wait_s=wait_s, waiting=note_waiting_for_owner(shell)
        )  # fmt: skip
