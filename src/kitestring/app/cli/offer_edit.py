"""``kitestring offer edit``: other terms for an offer that is there."""

from __future__ import annotations

from typing import Any, Final

import click

from kitestring.app.cli.offer import end_params, price_options, price_params, questions
from kitestring.app.cli.qr import Qr, qr_options
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import Moment, MomentType

#: The words that take something away.
_NEVER: Final = "never"
_NONE: Final = "nothing"
_NEW_CODE: Final = (
    "the price stands in the code, so there is a new code: print it. The old one answers where the new one is: some "
    "wallets go there, all others tell their user that the offer has moved, and pay nothing. A price in a currency, "
    "and one of --price-on-request, can be changed later without a new code"
)
#: Of an offer that an app has made, which keeps its id.
_ANOTHER_CODE: Final = "it has another code now: print it. The old one works on, at the terms of now"


class _EndType(MomentType):
    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        return Moment(None, None) if value == _NEVER else super().convert(value, param, ctx)


@click.command("edit")
@click.argument("offer")
@click.option("--label", metavar="LABEL", help="What payers see from now on.")
@price_options
@click.option("--any-amount", is_flag=True, help="Take the price away: the payer names the amount.")
@click.option(
    "--ask", "payer_data", multiple=True, metavar="FIELD",
    help="All that the payer must tell, or may (name?), in place of what was asked; 'nothing' for none.",
)  # fmt: skip
@click.option("--expires", type=_EndType(), metavar="WHEN", help="When the sale ends: 12h, 30d, 2027-01-31, or never.")
@qr_options
@key_option
@common
def command(
    shell: Shell,
    offer: str,
    label: str | None,
    price: dict[str, Any] | None,
    on_request: int | None,
    least: int | None,
    most: int | None,
    any_amount: bool,
    payer_data: tuple[str, ...],
    expires: Moment | None,
    key: str,
    qr: Qr,
) -> None:
    """Change an offer. OFFER is its label, its id or its code. What is not named stays as it is.

    The code stays too, unless what stands in it changes: a price in sats, or the currency of a price. Then there is a
    new code, and the old one forwards to it.
    """
    if any_amount and (price is not None or on_request is not None):
        raise click.UsageError("name a price or --any-amount, not both")
    asked = questions(payer_data)
    if _NONE in asked and len(asked) > 1:
        raise click.UsageError(f"--ask {_NONE} stands alone: it takes every question away")
    params: dict[str, Any] = {"offer": offer, **price_params(price, on_request, least, most)}
    if any_amount:
        params["price_msat"] = None
    if label is not None:
        params["new_label"] = label
    if payer_data:
        params["payer_data"] = [] if asked == [_NONE] else asked
    if expires is not None:
        params |= {"expires_at": None, **end_params(expires)} if expires.expires_in_s is None else end_params(expires)
    result = shell.call("offer_edit", params, key)
    if not result["changed"]:
        shell.note(f"the offer {result['label']} has these terms already")
    elif result["old_noffer"]:
        shell.note(_NEW_CODE)
    elif "noffer" in result["changed"]:
        shell.note(_ANOTHER_CODE)
    else:
        shell.note(f"the offer {result['label']} is changed, and its code is the same")
    qr.show(shell, result, result["noffer"])
