"""``kitestring sandbox``: the outside world of a sandbox, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kitestring.app.cli.pay import show_paid
from kitestring.app.cli.shell import Group, Shell, common
from kitestring.app.cli.values import Sats, amount, msat
from kitestring.app.cli.wish import Wish, data_option, fulfil, max_option
from kitestring.base.errors import KitestringError, Reason

_RECEIPTS = {
    None: "no receipt came yet",
    "proven": "the receipt came, with the preimage",
    "claimed": "the receipt came, without a preimage",
    "false": "a receipt came with a WRONG preimage: it is not to be trusted",
}


@click.group("sandbox", cls=Group)
def command() -> None:
    """Play the outside world of a sandbox: somebody who pays you, or whom you pay."""


@command.command("pay")
@click.argument("target")
@click.argument("amount_sat", type=Sats(), required=False)
@max_option
@data_option
@common
def pay(shell: Shell, target: str, amount_sat: int | None, max_sat: int | None, payer_data: dict[str, str]) -> None:
    """Somebody out there pays TARGET, an offer or an invoice of yours.

    An offer is asked for its invoice over its relay, as any wallet does it.
    """
    import asyncio

    from kitestring.app import sandbox_payer as external_payer
    from kitestring.app.home.keyring import Keyring
    from kitestring.base.money import sat
    from kitestring.client.payable import Terms, read

    read(target)  # a wrong code is wrong whether or not there is a sandbox
    config = shell.config
    sandbox, service_id = _world(shell), Keyring(shell.home.read_seed()).service_id

    def pay_out_there(wish: Wish) -> dict[str, Any]:
        amount, most = (None if sats is None else sat(sats) for sats in (wish.amount_sat, wish.max_sat))
        terms = Terms(amount, max_msat=most, payer_data=wish.payer_data)
        return asyncio.run(external_payer.pay(sandbox, wish.target, terms, service_id, config))

    paid = fulfil(shell, Wish(target, amount_sat, max_sat, payer_data=payer_data), pay_out_there)
    if paid.get("held"):
        settle = f"kitestring hold settle {paid['payment_hash']}"
        shell.show(paid, f"your node holds {amount(paid['amount_msat'])} until you decide: {settle}")
        return
    show_paid(shell, paid)
    if "receipt" in paid:
        shell.note(_RECEIPTS[paid["receipt"]])


@command.command("invoice")
@click.argument("amount_sat", type=Sats())
@click.option("--description", default="", help="What it is for.")
@common
def invoice(shell: Shell, amount_sat: int, description: str) -> None:
    """Somebody out there asks you for AMOUNT_SAT: prints their invoice."""
    from kitestring.backend.sandbox.world import World
    from kitestring.base.money import sat

    with World(_world(shell)) as world:
        bolt11 = world.invoice(sat(amount_sat), description)
    shell.show({"bolt11": bolt11, "amount_msat": msat(amount_sat)}, bolt11)


@command.command("node")
@common
def node(shell: Shell) -> None:
    """Print the key of a node out there, for keysend. It takes what it has not asked for."""
    from kitestring.backend.sandbox.world import World

    with World(_world(shell)) as world:
        pubkey = world.node()
    shell.show({"pubkey": pubkey}, pubkey)


def _world(shell: Shell) -> Path:
    config, home = shell.config, shell.home
    if not config.node_url.startswith("sandbox:"):
        raise KitestringError(Reason.UNSUPPORTED, f"the service on {home.path} stands on a real node, not on a sandbox")
    if not home.sandbox_db.exists():
        raise KitestringError(
            Reason.UNAVAILABLE, f"there is no sandbox in {home.path} yet: start it with `kitestring up`"
        )
    return home.sandbox_db
