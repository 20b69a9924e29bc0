"""``kitestring debit request``: ask somebody else's service to pay, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kitestring.app.cli.debits import asking_options, wait_option
from kitestring.app.cli.given import CodeType
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import Sats, amount, msat
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption

_PROOFS = {
    "proven": "the preimage proves it",
    "received": "your wallet has received it",
    "claimed": "so says its service, which gives no proof; only the payee can tell",
}


class PayableType(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """Sats, or an invoice."""

    name = "amount"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        text = str(value)
        return text if text[:1].isalpha() else Sats().convert(value, param, ctx)


@click.command("request")
@click.argument("ndebit", type=CodeType())
@click.argument("amount_sat", type=PayableType(), metavar="AMOUNT_SAT")
@click.option("--description", default="", help="What it is for; the owner of the service may see it.")
@wait_option
@asking_options
@common
def command(
    shell: Shell,
    ndebit: str,
    amount_sat: int | str,
    description: str,
    wait_s: int | None,
    wallet: str | None,
    encryption: Encryption,
) -> None:
    """Ask the service of NDEBIT (ndebit1…) to pay you AMOUNT_SAT.

    The money comes to the running service's node, or with --wallet to any wallet. In place of AMOUNT_SAT an invoice can
    be named, such as the one of a request that was not decided. A code with a session secret pays once.
    """
    import asyncio

    try:
        result = asyncio.run(_ask(shell, ndebit, amount_sat, description, wait_s, wallet, encryption))
    except KeyboardInterrupt:
        shell.note("\nthe service may have been asked, and may still pay: look at your wallet before you ask again")
        raise
    except KitestringError as error:
        if error.reason is Reason.PAYMENT_IN_FLIGHT and "bolt11" in error.details:
            error.message += f"; the invoice: {error.details['bolt11']}"
        raise
    text = f"paid {amount(result['amount_msat'])}: {_PROOFS[result['proof']]}"
    shell.show(result, "\n".join(filter(None, (text, result["preimage"] and f"preimage {result['preimage']}"))))


async def _ask(
    shell: Shell, ndebit: str, what: int | str, description: str, wait_s: int | None, wallet: str | None,
    encryption: Encryption,
) -> dict[str, Any]:  # fmt: skip
    from kitestring.app.cli.debits import note_waiting_for_owner, open_debit
    from kitestring.app.doors.unix_client import ControlClient
    from kitestring.base.money import sat
    from kitestring.codec import bolt11

    # Somebody else's invoice needs no wallet of ours; where one is there, it is asked whether the invoice is its own.
    paid = isinstance(what, int) or ControlClient(shell.home).is_running()
    async with open_debit(shell, ndebit, wallet, encryption, paid=paid) as debit:
        end = await debit.pay(
            sat(what) if isinstance(what, int) else what, description=description, wait_s=wait_s,
            waiting=note_waiting_for_owner(shell),
        )  # fmt: skip
    if isinstance(what, int):
        amount_msat: int | None = msat(what)
    else:
        amount_msat = bolt11.decode(what, recover=False).amount_msat
    return {
        "payment_hash": end.payment_hash,
        "amount_msat": None if amount_msat is None else int(amount_msat),
        "preimage": end.preimage or None,
        "proof": end.proof,
    }
