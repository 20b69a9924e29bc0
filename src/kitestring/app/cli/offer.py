"""``kitestring offer``: static codes that anybody can pay."""

from __future__ import annotations

from shlex import quote
from typing import Any

import click

from kitestring.app.cli.shell import Group, Shell, common, key_option
from kitestring.app.cli.values import Sats, amount, facts, msat, table, when


@click.group("offer", cls=Group)
def command() -> None:
    """Offers: static payment codes (noffer1…) that can be paid again and again."""


@command.command("create")
@click.argument("label")
@click.option("--price", type=Sats(), metavar="SAT", help="A fixed price (default: the payer names the amount).")
@click.option("--min", "least", type=Sats(), metavar="SAT", help="The least that a payer may name.")
@click.option("--max", "most", type=Sats(), metavar="SAT", help="The most that a payer may name.")
@click.option("--account", default="owner", metavar="NAME", help="The account that is paid (default: the node itself).")
@click.option("--ask", "payer_data", multiple=True, metavar="FIELD", help="What the payer must tell; may repeat.")
@click.option("--webhook", default="", metavar="URL", help="A server of yours that is told of each payment.")
@key_option
@common
def create(
    shell: Shell,
    label: str,
    price: int | None,
    least: int | None,
    most: int | None,
    account: str,
    payer_data: tuple[str, ...],
    webhook: str,
    key: str,
) -> None:
    """Make an offer; payers see LABEL."""
    params: dict[str, Any] = {"label": label, "account": account, "payer_data": list(payer_data)}
    if webhook:
        params["webhook"] = webhook
    for name, sats in (("price_msat", price), ("min_msat", least), ("max_msat", most)):
        if sats is not None:
            params[name] = msat(sats)
    result = shell.call("offer_create", params, key)
    shell.show(result, shell.code(result["noffer"]))
    if webhook:
        shell.note(f"the secret of its webhook: kitestring offer webhook {quote(label)}")


@command.command("list")
@common
def list_(shell: Shell) -> None:
    """List the offers that can be paid."""
    result = shell.read("offer_list")
    rows = [(found["label"], _price(found), found["account"], found["offer_id"]) for found in result["offers"]]
    empty = "no offers; make one with: kitestring offer create LABEL"
    shell.show(result, table(rows, ("label", "price", "account", "id")) if rows else empty)
    old = [found["label"] for found in result["offers"] if found["old_relays"]]
    if old:
        shell.note(
            f"the codes of these name a relay that you have left, and that is served for them: {', '.join(old)}; "
            "`kitestring offer relink OFFER` makes a new code"
        )


@command.command("show")
@click.argument("offer")
@common
def show(shell: Shell, offer: str) -> None:
    """Show one offer and its code; OFFER is its label, its id or its code."""
    found = shell.read("offer_show", {"offer": offer})
    pairs = [
        ("label", found["label"]),
        ("price", _price(found)),
        ("account", found["account"]),
        ("asks for", ", ".join(found["payer_data"])),
        ("webhook", found["webhook"] or ""),
        ("made", when(found["created_at"])),
        ("old relay", ", ".join(found["old_relays"])),
        ("id", found["offer_id"]),
    ]
    shell.show(found, f"{facts(pairs)}\n\n{shell.code(found['noffer'])}")


@command.command("relink")
@click.argument("offer")
@key_option
@common
def relink(shell: Shell, offer: str, key: str) -> None:
    """Make the code of an offer anew, over the relays of today; OFFER is its label, its id or its code.

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
    shell.show(result, shell.code(result["noffer"]))


@command.command("delete")
@click.argument("offer")
@key_option
@common
def delete(shell: Shell, offer: str, key: str) -> None:
    """End an offer; OFFER is its label, its id or its code. Invoices that were given out can still be paid."""
    result = shell.call("offer_delete", {"offer": offer}, key)
    shell.show(result, f"the offer {result['label']} is deleted: its code answers no more")


def _price(offer: dict[str, Any]) -> str:
    if offer["price_msat"] is not None:
        return amount(offer["price_msat"])
    least, most = offer["min_msat"], offer["max_msat"]
    if least is None and most is None:
        return "any amount"
    parts = (f"from {amount(least)}" if least else "", f"up to {amount(most)}" if most else "")
    return " ".join(filter(None, parts))
