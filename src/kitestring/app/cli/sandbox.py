"""``kitestring sandbox``: the outside world of a sandbox, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.given import CodeType
from kitestring.app.cli.pay import show_paid
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import Sats, Whole, amount
from kitestring.app.cli.wish import Wish, data_option, fulfil, max_option
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.sandbox import Sandbox, SandboxInvoice, SandboxReceipt

#: Words for ``sandbox invoice --fail``; those of :data:`kitestring.sdk.sandbox.FailWord`.
FAIL_WORDS: Final = ("no_route", "refused", "expired", "fee_limit", "insufficient_funds", "other")
_RECEIPTS = {
    None: "no receipt came yet",
    "proven": "the receipt came, with the preimage",
    "claimed": "the receipt came, without a preimage",
    "false": "a receipt came with a WRONG preimage: it is not to be trusted",
}
_world_option = click.option(
    "--world", default="", metavar="FILE", help="The file of the world (default: that of the service's sandbox)."
)


command: Final = click.Group("sandbox")


@command.command("pay")
@click.argument("target", type=CodeType())
@click.argument("amount_sat", type=Sats(), required=False)
@max_option
@data_option
@_world_option
@common
def pay(
    shell: Shell, target: str, amount_sat: int | None, max_sat: int | None, payer_data: dict[str, str], world: str
) -> None:
    """Somebody out there pays TARGET, an offer or an invoice of yours.

    An offer is asked for its invoice over its relay, as any wallet does it.
    """
    import asyncio

    from kitestring.base.money import sat
    from kitestring.client.payable import Terms, read
    from kitestring.sdk.sandbox import pay_from_outside

    source = read(target)  # a wrong code is wrong whether or not there is a sandbox
    place, net = _place(shell, world), _net(shell, source)

    def pay_out_there(wish: Wish) -> dict[str, Any]:
        wanted, most = (None if sats is None else sat(sats) for sats in (wish.amount_sat, wish.max_sat))
        terms = Terms(wanted, max_msat=most, payer_data=wish.payer_data)
        with shell.noting_wait("still waiting for the relays of the code …"):
            return _paid(asyncio.run(pay_from_outside(place, wish.target, terms, net)))

    paid = fulfil(shell, Wish(target, amount_sat, max_sat, payer_data=payer_data), pay_out_there)
    if paid["held"]:
        settle = f"kitestring hold settle {paid['payment_hash']}"
        shell.show(paid, f"your node holds {amount(paid['amount_msat'])} until you decide: {settle}")
        return
    show_paid(shell, paid)
    if paid["request_id"] is not None:
        shell.note(_RECEIPTS[paid["receipt"]])


@command.command("invoice")
@click.argument("amount_sat", type=Sats())
@click.option("--description", default="", help="What it is for.")
@click.option("--hold", is_flag=True, help="Hold the payment until `sandbox settle` or `sandbox cancel`.")
@click.option("--fail", type=click.Choice(FAIL_WORDS), metavar="REASON", help=f"Fail: {', '.join(FAIL_WORDS)}.")
@click.option("--slow", type=Whole(0, 86_400), metavar="S", help="End the payment after so many seconds.")
@click.option("--lose-answer", is_flag=True, help="Break the connection to your node before it answers.")
@_world_option
@common
def invoice(
    shell: Shell, amount_sat: int, description: str, hold: bool, fail: Any, slow: int | None, lose_answer: bool,
    world: str,
) -> None:  # fmt: skip
    """Somebody out there asks you for AMOUNT_SAT: prints their invoice.

    It is paid at once, unless you say what goes wrong with its payment.
    """
    import asyncio

    from kitestring.base.money import sat

    made = asyncio.run(
        _world(shell, world).invoice(
            sat(amount_sat), description, hold=hold, fail=fail, slow_s=slow, lose_answer=lose_answer
        )
    )
    if hold:
        shell.note(f"its payment is held until `kitestring sandbox settle {made.payment_hash}`, or `sandbox cancel`")
    shell.show(_row(made), made.bolt11)


@command.command("settle")
@click.argument("payment_hash", metavar="HASH")
@_world_option
@common
def settle(shell: Shell, payment_hash: str, world: str) -> None:
    """Take your payment that is held out there for HASH, or is slow."""
    _end(shell, world, payment_hash, take=True)


@command.command("cancel")
@click.argument("payment_hash", metavar="HASH")
@_world_option
@common
def cancel(shell: Shell, payment_hash: str, world: str) -> None:
    """Refuse your payment that is held out there for HASH, or is slow."""
    _end(shell, world, payment_hash, take=False)


def _end(shell: Shell, world: str, payment_hash: str, *, take: bool) -> None:
    import asyncio

    async def end(place: Sandbox) -> SandboxInvoice:
        await (place.settle if take else place.cancel)(payment_hash)
        return await place.look(payment_hash)

    ended = asyncio.run(end(_world(shell, world)))
    shell.show(
        _row(ended), "settled: somebody out there has the money" if take else "cancelled: the payment has failed"
    )


@command.command("list")
@click.option("--limit", type=Whole(1, 1_000), default=20, metavar="N", help="How many (default: 20).")
@_world_option
@common
def list_(shell: Shell, limit: int, world: str) -> None:
    """List what others ask for, and what became of it."""
    import asyncio

    made = asyncio.run(_world(shell, world).invoices(limit))
    shown = fitted(made, _COLUMNS) if made else "nobody out there has made an invoice"
    shell.show({"invoices": [_row(one) for one in made]}, shown)


_COLUMNS: Final = (
    Column("state", lambda one: one.state),
    Column("amount", lambda one: "any" if one.amount is None else amount(int(one.amount))),
    Column("hash", lambda one: one.payment_hash),
)


@command.command("node")
@_world_option
@common
def node(shell: Shell, world: str) -> None:
    """Print the key of a node out there, for keysend. It takes what it has not asked for."""
    import asyncio

    pubkey = asyncio.run(_world(shell, world).node())
    shell.show({"pubkey": pubkey}, pubkey)


def _world(shell: Shell, world: str) -> Sandbox:
    from kitestring.sdk.sandbox import Sandbox

    return Sandbox(_place(shell, world))


def _place(shell: Shell, world: str) -> Path:
    """The file of the world, which is there. Raises KitestringError."""
    if world:
        if not Path(world).is_file():
            raise KitestringError(Reason.UNAVAILABLE, f"there is no sandbox world at {world}")
        return Path(world)
    from kitestring.backend.registry import BackendUrl
    from kitestring.backend.sandbox.node import place_of

    config, home = shell.config, shell.home
    if not config.node_url.startswith("sandbox:"):
        raise KitestringError(Reason.UNSUPPORTED, f"the service on {home.path} stands on a real node, not on a sandbox")
    found = place_of(BackendUrl.parse(config.node_url), home.path).path
    if not found.exists():
        raise KitestringError(
            Reason.UNAVAILABLE, f"there is no sandbox in {home.path} yet: start it with `kitestring up`"
        )
    return found


def _net(shell: Shell, source: Any) -> Any:
    """The way to the service of an offer. The relays in the service's own codes may be on this machine."""
    import os

    from kitestring.app.home.keyring import Keyring
    from kitestring.client.net import Net
    from kitestring.codec.pointers import Noffer
    from kitestring.transport.clock import SystemClock

    config, home = shell.config, shell.home
    own: tuple[str, ...] = ()
    if isinstance(source, Noffer) and home.key_file.exists():
        own = source.relays if source.pubkey == Keyring(home.read_seed()).service_id else ()
    return Net(SystemClock(), os.urandom, config.proxies, own_relays=own, allow_private=config.allow_private_relays)


def _paid(receipt: SandboxReceipt) -> dict[str, Any]:
    paid: dict[str, Any] = {
        "payment_hash": receipt.payment_hash,
        "preimage": receipt.preimage or None,
        "amount_msat": int(receipt.amount),
        "fee_msat": 0,
    }
    is_of_offer = receipt.request_id is not None and not receipt.is_held
    return {
        **paid,
        "held": receipt.is_held,
        "request_id": receipt.request_id if is_of_offer else None,
        "receipt": receipt.receipt if is_of_offer else None,
    }


def _row(found: SandboxInvoice) -> dict[str, Any]:
    return {
        "bolt11": found.bolt11,
        "payment_hash": found.payment_hash,
        "state": found.state,
        "amount_msat": None if found.amount is None else int(found.amount),
        "fee_msat": int(found.fee),
        "preimage": found.preimage or None,
    }
