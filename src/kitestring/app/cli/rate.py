"""``kitestring rate``: what a currency is worth, and who says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import amount

if TYPE_CHECKING:
    from kitestring.client.exchange import Round


@click.command("rate")
@click.argument("currency")
@click.argument("sum_", metavar="[AMOUNT]", required=False)
@common
def command(shell: Shell, currency: str, sum_: str | None) -> None:
    """Show what CURRENCY (EUR, USD, JPY, …) is worth, and what a payer pays for AMOUNT of it, such as 3.50.

    The sources in the settings (rates.sources, rates.urls) are asked at most once a minute. The exit code is 4 when
    they contradict each other, or too few answer: then nothing can be priced in this currency.
    """
    import asyncio

    from kitestring.app.service.exchange import exchange_rates, who_told
    from kitestring.base.currency import read_amount, show_amount, show_price, show_rate
    from kitestring.base.errors import KitestringError
    from kitestring.base.outcomes import Refused
    from kitestring.transport.clock import SystemClock

    code, clock = currency.upper(), SystemClock()
    minor = None if sum_ is None else read_amount(sum_, code)

    async def look() -> Round:
        return await exchange_rates(shell.config, shell.home.path, clock).look(code)

    told = asyncio.run(look())
    now = clock.now()
    rate = told.verdict(now)
    sources = [
        {"source": one.source, "price": None if one.price is None else str(one.price), "trouble": one.trouble or None}
        for one in told.answers
    ]
    who = fitted(
        told.answers,
        (
            Column("source", lambda one: one.source, least=12),
            Column("price ", lambda one: "–" if one.price is None else show_price(one.price)),
            Column("why not", lambda one: one.trouble, least=12, most=80, is_always_there=True),
        ),
    )
    if isinstance(rate, Refused):
        shell.note(who)
        raise KitestringError(rate.reason, rate.message, currency=code, asked_at=told.asked_at, sources=sources)
    to_pay = None if minor is None else rate.to_pay(minor)
    result = {
        "currency": code,
        "price": show_price(rate.price).replace(",", ""),
        "rate": {"msat": rate.msat, "minor": rate.minor},
        "told_at": rate.at,
        "age_s": now - rate.at,
        "amount_minor": minor,
        "amount_msat": None if to_pay is None else int(to_pay),
        "sources": sources,
    }
    lines = [f"{show_rate(rate)}, told {now - rate.at} s ago; {who_told(told.answers)}"]
    if minor is not None and to_pay is not None:
        lines.append(f"{show_amount(minor, code)} = {amount(int(to_pay))}")
    shell.show(result, "\n".join([*lines, "", who]))
