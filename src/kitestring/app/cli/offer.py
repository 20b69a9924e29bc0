"""``kitestring offer``: static codes that anybody can pay."""

from __future__ import annotations

from shlex import quote
from typing import Any, Final

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.for_ever import agree_to_end, yes_option
from kitestring.app.cli.given import CodeType
from kitestring.app.cli.qr import Qr, qr_options
from kitestring.app.cli.shell import Function, Shell, common, key_option
from kitestring.app.cli.values import Moment, MomentType, PriceTyped, Sats, amount, facts, msat, when

#: The states of which something is said; open ones need no word.
_STATES: Final = {
    "off": "switched off",
    "expired": "has expired",
    "moved": "has moved",
}


command: Final = click.Group("offer")


def price_options(function: Function) -> Function:
    """The options that name a price or a range, for a command that makes or changes an offer."""
    for option in (
        click.option("--max", "most", type=Sats(), metavar="SAT", help="The most that a payer may name."),
        click.option("--min", "least", type=Sats(), metavar="SAT", help="The least that a payer may name."),
        click.option(
            "--price-on-request", "on_request", type=Sats(), metavar="SAT",
            help="A price in sats that stands in no code: it can be changed, and a printed code stays.",
        ),
        click.option(
            "--price", type=PriceTyped(), metavar="PRICE",
            help="1000 (sat), or 3.50EUR: the payer pays what that is worth when it asks.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def price_params(
    price: dict[str, Any] | None, on_request: int | None, least: int | None, most: int | None
) -> dict[str, Any]:
    """The members of a price or a range, as they were typed."""
    if price is not None and on_request is not None:
        raise click.UsageError("name --price or --price-on-request, not both")
    params: dict[str, Any] = dict(price or {})
    if on_request is not None:
        params |= {"price_msat": msat(on_request), "price_on_request": True}
    for name, sats in (("min_msat", least), ("max_msat", most)):
        if sats is not None:
            params[name] = msat(sats)
    return params


def questions(typed: tuple[str, ...]) -> list[str]:
    """The list of all that a payer is asked for: each option may name several."""
    if "" in typed:  # a script's empty variable must not mean an offer that asks for nothing
        raise click.BadParameter(
            "--ask is empty: name what the payer must tell, such as email", click.get_current_context()
        )
    return [field.strip() for one in typed for field in one.split(",") if field.strip()]


def end_params(expires: Moment | None) -> dict[str, int]:
    """The end of an offer as the service takes it."""
    return {} if expires is None else {name: end for name, end in expires._asdict().items() if end is not None}


@command.command("create")
@click.argument("label")
@price_options
@click.option("--account", default="owner", metavar="NAME", help="The account that is paid (default: the node itself).")
@click.option(
    "--ask", "payer_data", multiple=True, metavar="FIELD",
    help="What the payer must tell, such as email, or may (name?); several with commas, or repeated.",
)  # fmt: skip
@click.option("--expires", type=MomentType(), metavar="WHEN", help="When the sale ends: 12h, 30d, 2027-01-31.")
@click.option("--zaps", "zap_key", metavar="NPUB", help="Take the zaps that are for this key; the code says so.")
@click.option("--webhook", default="", metavar="URL", help="A server of yours that is told of each payment.")
@qr_options
@key_option
@common
def create(
    shell: Shell,
    label: str,
    price: dict[str, Any] | None,
    on_request: int | None,
    least: int | None,
    most: int | None,
    account: str,
    payer_data: tuple[str, ...],
    expires: Moment | None,
    zap_key: str | None,
    webhook: str,
    key: str,
    qr: Qr,
) -> None:
    """Make an offer; payers see LABEL. Without a price the payer names the amount."""
    params: dict[str, Any] = {"label": label, "account": account, "payer_data": questions(payer_data)}
    params |= price_params(price, on_request, least, most) | end_params(expires)
    if zap_key is not None:
        params["zap_key"] = zap_key
    if webhook:
        params["webhook"] = webhook
    result = shell.call("offer_create", params, key)
    qr.show(shell, result, result["noffer"])
    if webhook:
        shell.note(f"the secret of its webhook: kitestring offer webhook {quote(label)}")


@command.command("list")
@common
def list_(shell: Shell) -> None:
    """List the offers.

    Those that are switched off or have expired are among them; those that have moved are not.
    """
    result = shell.read("offer_list")
    rows = result["offers"]
    empty = "no offers; make one with: kitestring offer create LABEL"
    shell.show(result, fitted(rows, _COLUMNS) if rows else empty)
    old = [found["label"] for found in result["offers"] if found["old_relays"]]
    if old:
        shell.note(
            f"the codes of these name a relay that you have left, and that is served for them: {', '.join(old)}; "
            "`kitestring offer relink OFFER` makes a new code"
        )


@command.command("show")
@click.argument("offer", type=CodeType())
@qr_options
@common
def show(shell: Shell, offer: str, qr: Qr) -> None:
    """Show one offer and its code. OFFER is its label, its id or its code, also one from before it has moved."""
    found = shell.read("offer_show", {"offer": offer})
    pairs = [
        ("label", found["label"]),
        ("state", _STATES.get(found["state"], "")),
        ("price", price_words(found)),
        ("account", found["account"]),
        ("asks for", ", ".join(found["payer_data"])),
        ("zaps to", found["zap_npub"]),
        ("webhook", found["webhook"] or ""),
        ("ends", when(found["expires_at"]) if found["expires_at"] is not None else ""),
        ("made", when(found["created_at"])),
        ("old codes", ", ".join(found["old_ids"])),
        ("forwards to", found["latest"]),
        ("old relay", ", ".join(found["old_relays"])),
        ("id", found["offer_id"]),
    ]
    qr.show(shell, found, found["noffer"], before=facts(pairs))


@command.command("on")
@click.argument("offer")
@key_option
@common
def on(shell: Shell, offer: str, key: str) -> None:
    """Switch an offer on again. OFFER is its label, its id or its code."""
    result = shell.call("offer_on", {"offer": offer}, key)
    ended = "; but it has expired: `kitestring offer edit OFFER --expires WHEN`" if result["state"] == "expired" else ""
    shell.show(result, f"the offer {result['label']} is switched on{ended}")


@command.command("off")
@click.argument("offer")
@key_option
@common
def off(shell: Shell, offer: str, key: str) -> None:
    """Switch an offer off for now. OFFER is its label, its id or its code. Invoices that were given out can be paid."""
    result = shell.call("offer_off", {"offer": offer}, key)
    shell.show(
        result,
        f"the offer {result['label']} is switched off; `kitestring offer on {quote(offer)}` switches it on again",
    )


@command.command("relink")
@click.argument("offer")
@qr_options
@key_option
@common
def relink(shell: Shell, offer: str, key: str, qr: Qr) -> None:
    """Make a code anew, over the relays of today. OFFER is the label, the id or the code of an offer.

    What was printed before goes on working for as long as one of the relays in it is served: print the new one.
    """
    result = shell.call("offer_relink", {"offer": offer}, key)
    if not result["changed"]:
        shell.note(f"the code of {result['label']} names the relays of today already")
    elif result["left_relays"]:
        shell.note(
            f"print the new code of {result['label']}: the old one works as long as an old relay does, and "
            f"{', '.join(result['left_relays'])} is not served for it any more from the next start on"
        )
    qr.show(shell, result, result["noffer"])


@command.command("delete")
@click.argument("offer")
@yes_option
@key_option
@common
def delete(shell: Shell, offer: str, yes: bool, key: str) -> None:
    """End an offer forever. OFFER is its label, its id or its code. Invoices that were given out can still be paid."""
    agree_to_end(shell, f"the offer {offer}", "nobody can pay its code any more, wherever it is printed", yes=yes)
    result = shell.call("offer_delete", {"offer": offer}, key)
    shell.show(result, f"the offer {result['label']} is deleted: its code can no longer be used")


def _state(found: dict[str, Any]) -> str:
    if found["state"] == "open" and found["expires_at"] is not None:
        return f"until {when(found['expires_at'])}"
    return _STATES.get(found["state"], "")


def price_words(offer: dict[str, Any]) -> str:
    """The price of an offer, or its range, in words."""
    if offer["currency"]:
        from kitestring.base.currency import show_amount

        now = "" if offer["now_msat"] is None else f" (≈ {amount(offer['now_msat'])} now)"
        return f"{show_amount(offer['price_minor'], offer['currency'])}{now}"
    if offer["price_msat"] is not None:
        return f"{amount(offer['price_msat'])}{' on request' if offer['price_on_request'] else ''}"
    least, most = offer["min_msat"], offer["max_msat"]
    if least is None and most is None:
        return "any amount"
    parts = (f"from {amount(least)}" if least else "", f"up to {amount(most)}" if most else "")
    return " ".join(filter(None, parts))


_COLUMNS: Final = (
    Column("label", lambda found: found["label"], least=12),
    Column("price", price_words, least=14),
    Column("account", lambda found: found["account"], rank=2, least=8, most=24),
    Column("id", lambda found: found["offer_id"], rank=1),
    Column("state", _state),
)
