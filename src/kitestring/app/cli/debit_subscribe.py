"""``kitestring debit subscribe``: be paid in every period, for as long as it runs, and on after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kitestring.app.cli.debits import Recurring, RecurringType, asking_options
from kitestring.app.cli.given import CodeType
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import amount, when

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption
    from kitestring.sdk.subscriptions import DebitCharge


@click.command("subscribe")
@click.argument("ndebit", type=CodeType())
@click.argument("charge", type=RecurringType(once=False), metavar="AMOUNT_SAT/day|week|month")
@click.option("--name", default="", help="Tells apart subscriptions of the same terms.")
@click.option("--description", default="", help="What it is for: the words of each invoice.")
@click.option("--once", is_flag=True, help="Charge what is due and end, for cron.")
@asking_options
@common
def command(
    shell: Shell,
    ndebit: str,
    charge: Recurring,
    name: str,
    description: str,
    once: bool,
    wallet: str | None,
    encryption: Encryption,
) -> None:
    """Be paid AMOUNT_SAT in every period.

    The service of NDEBIT (ndebit1…) is asked for the budget first. Then each day, week or month (30 days) is charged at
    its beginning, and tried again until its end; none is charged twice. The same command goes on where it was;
    `kitestring debit subscriptions` lists and ends them.
    """
    import asyncio

    try:
        asyncio.run(_run(shell, ndebit, charge, name, description, wallet, encryption, once=once))
    except KeyboardInterrupt:
        shell.note("\nthe same command goes on from here")
        raise


async def _run(
    shell: Shell, ndebit: str, charge: Recurring, name: str, description: str, wallet: str | None,
    encryption: Encryption, *, once: bool,
) -> None:  # fmt: skip
    from contextlib import aclosing

    from kitestring.app.cli.debits import open_debit
    from kitestring.base.money import sat

    is_due = False
    async with open_debit(shell, ndebit, wallet, encryption) as debit:
        subscribed = debit.subscribe(
            sat(charge.sats), charge.every, name=name, description=description, once=once, tell=shell.note
        )
        async with aclosing(subscribed) as charges:
            async for paid in charges:
                is_due = True
                _show(shell, paid)
    if not is_due and once:
        shell.note("nothing is due")


def _show(shell: Shell, paid: DebitCharge) -> None:
    result = {
        "subscription_id": paid.subscription_id,
        "period": paid.period,
        "begins_at": paid.begins_at,
        "ends_at": paid.ends_at,
        "amount_msat": int(paid.amount),
        "payment_hash": paid.payment_hash,
        "settled_at": paid.settled_at,
    }
    shell.show(result, f"paid {amount(int(paid.amount))} until {when(paid.ends_at)} (period {paid.period})")
