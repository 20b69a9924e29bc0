"""``kitestring hold``: invoices whose payment waits for your word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from kitestring.app.cli.at_wallet import refuse_encryption, refuse_given, refuse_key, wallet_options
from kitestring.app.cli.columns import Column, fitted
from kitestring.app.cli.qr import Qr, qr_options
from kitestring.app.cli.shell import Shell, common, key_option
from kitestring.app.cli.values import Sats, Whole, amount, msat, when
from kitestring.base.commands import (
    DEFAULT_EXPIRY_S,
    MAX_EXPIRY_S,
    MAX_HOLD_BLOCKS,
    MIN_EXPIRY_S,
    MIN_HOLD_BLOCKS,
    OWNER_ACCOUNT,
)
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption

#: A preimage that the program drew and printed once would be lost with the terminal, and the payment with it.
_NO_HASH = "a wallet holds for a preimage that you keep: draw one, and give its SHA-256 as --payment-hash"
#: In place of an idempotency key.
_SAFE = "repeat the command: to decide the same twice is safe"


command: Final = click.Group("hold")


@command.command("create")
@click.argument("amount_sat", type=Sats())
@click.option(
    "--payment-hash", default="", metavar="HASH",
    help="Somebody else's payment hash, of which you get the preimage later (default: the service keeps its own).",
)  # fmt: skip
@click.option("--description", default="", help="What it is for; the payer sees it.")
@click.option(
    "--expiry",
    type=Whole(MIN_EXPIRY_S, MAX_EXPIRY_S),
    default=DEFAULT_EXPIRY_S,
    metavar="S",
    help=f"Seconds in which it can be paid, {MIN_EXPIRY_S} to {MAX_EXPIRY_S} (default: {DEFAULT_EXPIRY_S}).",
)
@click.option(
    "--blocks", type=Whole(MIN_HOLD_BLOCKS, MAX_HOLD_BLOCKS), metavar="N",
    help="The least number of blocks that you want for your decision, "
    f"{MIN_HOLD_BLOCKS} to {MAX_HOLD_BLOCKS} (default: 144, about a day).",
)  # fmt: skip
@wallet_options("To be held by this wallet")
@qr_options
@key_option
@common
def create(
    shell: Shell, amount_sat: int, payment_hash: str, description: str, expiry: int, blocks: int | None,
    wallet: str | None, encryption: Encryption, key: str, qr: Qr,
) -> None:  # fmt: skip
    """Make a hold invoice for AMOUNT_SAT. It is into the service's own account, or with --wallet into any wallet.

    Unless you give a payment hash, the service draws the preimage and keeps it: HASH is all you need to settle. A
    wallet needs one from you. At a node that is asked directly nobody watches the deadline: decide in time.
    """
    where = ""
    if wallet is not None:
        from kitestring.app.cli.wallet import named
        from kitestring.app.cli.wallet_books import held_by

        refuse_key("repeat it with the same --payment-hash, of which a wallet makes one invoice")
        refuse_given("blocks", "a wallet chooses the number of blocks itself: leave --blocks out with --wallet")
        if not payment_hash:
            raise KitestringError(Reason.MALFORMED, _NO_HASH)
        made = held_by(shell, wallet, amount_sat, payment_hash, description, expiry, encryption)
        where = f" --wallet {named(wallet)}"
    else:
        from kitestring.app.owner.params import DEFAULT_WAIT_S

        refuse_encryption(encryption)
        params = {
            "amount_msat": msat(amount_sat), "description": description, "expiry_s": expiry,
            "payment_hash": payment_hash, "min_blocks": blocks or 0,
        }  # fmt: skip
        made = shell.call("hold_create", params, key, wait_s=DEFAULT_WAIT_S)
    word = "" if made["preimage_is_kept"] else " PREIMAGE"
    shell.note(f"a hold invoice for {amount(made['amount_msat'])}, to be paid until {when(made['expires_at'])}.")
    shell.note(f"take what is paid:    kitestring hold settle {made['payment_hash']}{word}{where}")
    shell.note(f"or give it back:      kitestring hold cancel {made['payment_hash']}{where}")
    qr.show(shell, made, made["bolt11"], held=made["bolt11"].upper())


@command.command("settle")
@click.argument("payment_hash", metavar="HASH")
@click.argument("preimage", required=False, default="")
@wallet_options("Held by this wallet")
@key_option
@common
def settle(
    shell: Shell, payment_hash: str, preimage: str, wallet: str | None, encryption: Encryption, key: str
) -> None:
    """Take the payment that is held for HASH.

    PREIMAGE is needed where the payment hash was yours, as it is with --wallet. What is settled cannot be given back.
    """
    if wallet is not None:
        from kitestring.app.cli.wallet_books import settled_by

        refuse_key(_SAFE)
        taken = settled_by(shell, wallet, payment_hash, preimage, encryption)
        shell.show(taken, "settled: what was held is yours")
        return
    from kitestring.app.owner.params import DEFAULT_WAIT_S

    refuse_encryption(encryption)
    params = {"payment_hash": payment_hash, "preimage": preimage}
    ended = shell.call("hold_settle", params, key, wait_s=DEFAULT_WAIT_S)
    shell.show(ended, f"settled: {amount(ended['amount_msat'])} are yours")


@command.command("cancel")
@click.argument("payment_hash", metavar="HASH")
@wallet_options("Held by this wallet")
@key_option
@common
def cancel(shell: Shell, payment_hash: str, wallet: str | None, encryption: Encryption, key: str) -> None:
    """Give back what is held for HASH, and let nobody pay it any more."""
    if wallet is not None:
        from kitestring.app.cli.wallet_books import cancelled_by

        refuse_key(_SAFE)
        ended = cancelled_by(shell, wallet, payment_hash, encryption)
    else:
        from kitestring.app.owner.params import DEFAULT_WAIT_S

        refuse_encryption(encryption)
        ended = shell.call("hold_cancel", {"payment_hash": payment_hash}, key, wait_s=DEFAULT_WAIT_S)
    shell.show(ended, "cancelled: nothing is held, and nobody can pay it")


@command.command("list")
@common
def list_(shell: Shell) -> None:
    """List those that wait for a payer or a decision. Those of connections are there too."""
    result = shell.read("hold_list")
    rows = result["holds"]
    shell.show(result, fitted(rows, _COLUMNS) if rows else "no hold invoice waits for anything")


_STATES = {"open": "unpaid", "accepted": "HELD"}
_DECIDED = {"settle": "being settled", "cancel": "being cancelled"}
#: Its hash is what a decision needs, so it is whole: on a narrow terminal each is a block of lines.
_COLUMNS: Final = (
    Column("state", lambda one: _STATES[one["state"]] if not one["decision"] else _DECIDED[one["decision"]]),
    Column("amount", lambda one: amount(one["held_msat"] or one["amount_msat"])),
    Column(
        "goes back at", lambda one: "" if one["settle_deadline"] is None else f"block {one['settle_deadline']}",
        is_always_there=True,
    ),
    Column("expires", lambda one: when(one["expires_at"]) if one["state"] == "open" else "", is_always_there=True),
    Column("for", lambda one: one["description"], least=8, is_always_there=True),
    Column("connection", lambda one: one["connection"] or OWNER_ACCOUNT, least=8),
    Column("hash", lambda one: one["payment_hash"]),
)  # fmt: skip
