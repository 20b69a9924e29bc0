"""A wish to pay, as it is typed, and the questions that only its author can answer: the price of an offer, a move."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import click

from kitestring.app.cli.shell import Shell
from kitestring.app.cli.values import InCurrency, Sats, amount, msat
from kitestring.base.errors import KitestringError, Reason

#: Seconds that a payer waits to see what a price is worth: it is shown beside the price, and decides nothing.
WORTH_WAIT_S: Final = 3.0


def _read_data(ctx: click.Context, param: click.Parameter, typed: tuple[str, ...]) -> dict[str, str]:
    told: dict[str, str] = {}
    for one in typed:
        name, separator, text = one.partition("=")
        if not (name.strip() and separator and text.strip()) or name in told:
            raise click.BadParameter(f"{one!r}: write name=Bob, and each name once", ctx, param)
        told[name] = text
    return told


max_option = click.option(
    "--max", "max_sat", type=Sats(), metavar="SAT", help="Pay what an offer costs, up to this, without asking."
)
data_option = click.option(
    "--data",
    "payer_data",
    multiple=True,
    callback=_read_data,
    metavar="NAME=TEXT",
    help="Tell an offer something about you, such as name=Bob. Nothing else is told. Can be repeated.",
)


@dataclass(frozen=True)
class Wish:
    """The target and the payer's words about it; amounts in sats. ``in_currency`` is the one that was typed in another
    currency, whose worth is ``amount_sat``."""

    target: str
    amount_sat: int | None = None
    max_sat: int | None = None
    max_fee_sat: int | None = None
    description: str = ""
    payer_data: Mapping[str, str] = field(default_factory=dict, repr=False)
    nip69: bool = False
    in_currency: InCurrency | None = None

    def params(self) -> dict[str, Any]:
        """The wish as the service takes it; what is not said is left to the service."""
        sats = {
            "amount_msat": self.amount_sat,
            "max_amount_msat": self.max_sat,
            "max_fee_msat": self.max_fee_sat,
        }
        typed = self.in_currency or InCurrency(0, "")
        words = {
            "payer_data": dict(self.payer_data), "nip69": self.nip69, "currency": typed.currency,
            "amount_minor": typed.minor,
        }  # fmt: skip
        return {
            "target": self.target,
            "description": self.description,
            **{name: msat(value) for name, value in sats.items() if value is not None},
            **{name: value for name, value in words.items() if value},
        }


def in_sats(shell: Shell, typed: int | InCurrency | None) -> int | None:
    """The sats of an amount that was typed; of one in a currency at the rate of now, which is shown. Raises
    KitestringError where our own sources do not know the rate."""
    if not isinstance(typed, InCurrency):
        return typed
    import asyncio

    from kitestring.app.service.exchange import exchange_rates
    from kitestring.base.currency import show_amount, show_rate
    from kitestring.transport.clock import SystemClock

    rate = asyncio.run(exchange_rates(shell.config, shell.home.path, SystemClock()).rate(typed.currency))
    to_pay = rate.to_pay(typed.minor)
    shell.note(f"{show_amount(typed.minor, typed.currency)} is {to_pay} now ({show_rate(rate)})")
    return to_pay.sats_up()


def fulfil(shell: Shell, wish: Wish, pay: Callable[[Wish], dict[str, Any]], *, asks: bool = True) -> dict[str, Any]:
    """Pay it, and ask what is to be asked where a person can answer; elsewhere the error says what to type.

    A move is followed once. Without ``asks`` nobody is asked, as where nobody can answer.
    Raises KitestringError, NOT_PERMITTED for "no", and Abort where nobody answers.
    """
    wanted, has_moved = wish, False
    while True:
        try:
            return pay(wanted)
        except KitestringError as error:
            if {"bolt11", "amount_msat"} <= error.details.keys() and wanted.target != error.details["bolt11"]:
                wanted = _agree_to_price(shell, wanted, error, asks=asks)
            elif "latest" in error.details and not has_moved:
                wanted, has_moved = _agree_to_move(shell, wanted, error, asks=asks), True
            else:
                _explain(wish, wanted, error)
                raise


def _explain(wish: Wish, wanted: Wish, error: KitestringError) -> None:
    """Say in the error what to type next."""
    missing = error.details.get("payer_data")
    if isinstance(missing, list):
        error.message += "; add " + " ".join(f"--data {shlex.quote(f'{name}=…')}" for name in missing)
    if (fee_sat := _fee_limit_to_try(error)) is not None:
        error.message += f" (--max-fee {fee_sat})"
    if "idempotency_key" in error.details and wanted.target != wish.target:
        error.message += f" for this target: {wanted.target}"


def _fee_limit_to_try(error: KitestringError) -> int | None:
    """The fee limit in sats that the last words of the error speak of."""
    left, route = error.details.get("fee_left_msat"), error.details.get("route_fee_msat")
    if isinstance(left, int):
        return left // 1000
    return -(-route // 1000) if isinstance(route, int) else None


def _agree_to_price(shell: Shell, wish: Wish, error: KitestringError, *, asks: bool) -> Wish:
    """The wish to pay the very invoice whose price was shown."""
    costs, currency = int(str(error.details["amount_msat"])), error.details.get("currency")
    price = f"this offer costs {amount(costs)}{worth(shell, costs, str(currency)) if currency else ''} now"
    if not (asks and person_answers(shell)):
        error.message = f"{price}: add --max {-(-costs // 1000)} to pay up to that; nothing was paid"
        raise error
    shell.note(price)
    need_yes("Pay it?")
    return Wish(str(error.details["bolt11"]), max_fee_sat=wish.max_fee_sat)


def _agree_to_move(shell: Shell, wish: Wish, error: KitestringError, *, asks: bool) -> Wish:
    """The same wish for the code at the other service."""
    latest = str(error.details["latest"])
    if not (asks and person_answers(shell)):
        amount_word = "" if wish.amount_sat is None else f" {wish.amount_sat}"
        error.message = (
            f"the offer has moved to another service; nothing was paid. If you agree to that one: "
            f"`kitestring pay {latest}{amount_word}`"
        )
        raise error
    told = f", and tell it your {', '.join(wish.payer_data)}" if wish.payer_data else ""
    shell.note(f"the offer has moved to another service:\n{latest}")
    need_yes(f"Pay that one{told}?")
    return replace(wish, target=latest)


def need_yes(question: str) -> None:
    """Ask the person at the terminal. Raises KitestringError for anything but yes."""
    if not click.confirm(question, err=True):
        raise KitestringError(Reason.NOT_PERMITTED, "you did not agree: nothing was paid")


def worth(shell: Shell, amount_msat: int, currency: str) -> str:
    """`` (about 1.20 EUR)``; "" where our own sources do not know it at once."""
    import asyncio

    from kitestring.app.service.exchange import exchange_rates
    from kitestring.base.currency import show_amount
    from kitestring.base.money import Msat
    from kitestring.transport.clock import SystemClock

    async def look() -> str:
        async with asyncio.timeout(WORTH_WAIT_S):
            rate = await exchange_rates(shell.config, shell.home.path, SystemClock()).rate(currency)
        return f" (about {show_amount(rate.worth(Msat(amount_msat)), currency)})"

    try:
        return asyncio.run(look())
    except (KitestringError, TimeoutError):
        return ""


def person_answers(shell: Shell) -> bool:
    """Whether somebody sits at the terminal who can be asked."""
    streams = (sys.stdin, sys.stderr)
    return not shell.as_json and all(stream is not None and stream.isatty() for stream in streams)
