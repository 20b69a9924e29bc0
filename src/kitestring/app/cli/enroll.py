"""``kitestring enroll``: open an account of your own at somebody else's service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import Whole, facts

#: Remarks about how far the work is: one for each so many hashes.
REMARK_EVERY = 1_000_000
MAX_WAIT_S = 600


@click.command("enroll")
@click.argument("service")
@click.option("--relay", "relays", multiple=True, metavar="URL", help="A relay of the service; may repeat.")
@click.option(
    "--wait", "wait_s", type=Whole(1, MAX_WAIT_S), default=None, metavar="SECONDS",
    help="How long to wait for an answer, once the work is done (default: 30).",
)  # fmt: skip
@common
def command(shell: Shell, service: str, relays: tuple[str, ...], wait_s: int | None) -> None:
    """Open an account at SERVICE.

    SERVICE is an nprofile1…, a noffer1…, or an npub1… with --relay. The service may want proof of work, which is done
    here. You get a code to be paid by, and one to take your own money with: kitestring debit request NDEBIT. Both
    belong to the key in your data directory. The same key has the same account forever, so asking again is safe.
    """
    import asyncio

    account = asyncio.run(_enroll(shell, service, relays, wait_s))
    shown = facts([("be paid by", account["noffer"]), ("take with", account["ndebit"]), ("manage", account["nmanage"])])
    shell.show(account, shown)


async def _enroll(shell: Shell, typed: str, relays: tuple[str, ...], wait_s: int | None) -> dict[str, Any]:
    from dataclasses import asdict

    from kitestring.app.cli.debits import client_net
    from kitestring.client.debits import requestor_key
    from kitestring.client.enroll import enroll, read_service
    from kitestring.client.requestor import requestor_seed

    service = read_service(typed, relays)
    shell.note_left_out(service.left_out)
    net = client_net(shell, *relays)
    key = requestor_key(requestor_seed(shell.config.data_dir, net.entropy), service.pubkey)
    shell.note_waiting("asking the service over its relays …")
    account = await enroll(service, key, net, wait_s=wait_s, mining=_remarks(shell))
    codes = {name: value or None for name, value in asdict(account).items() if name != "work_bits"}
    return {"service": service.pubkey, "key": key.public_hex, **codes, "work_bits": account.work_bits}


def _remarks(shell: Shell) -> Callable[[int, int], None]:
    """Tell a person now and then how far the work is."""
    told = 0

    def mining(tried: int, average: int) -> None:
        nonlocal told
        if tried >= told:
            told = tried + REMARK_EVERY
            shell.note_waiting(f"working: {tried:,} hashes, {average:,} on an average …")

    return mining
