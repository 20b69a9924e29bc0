"""``kitestring call``: ask a wallet for a method that no other command has, such as one of a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kitestring.app.cli.at_wallet import wallet_options
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import Whole
from kitestring.base.errors import CodecError, KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption

MAX_TIMEOUT_S = 600


@click.command("call")
@click.argument("method")
@click.argument("params", default="{}", metavar="[PARAMS-JSON]")
@wallet_options("Ask this wallet connection", required=True)
@click.option(
    "--timeout",
    type=Whole(1, MAX_TIMEOUT_S),
    metavar="S",
    help=f"Seconds to wait for the answer, 1 to {MAX_TIMEOUT_S} (default: 15).",
)
@common
def command(shell: Shell, method: str, params: str, wallet: str, timeout: int | None, encryption: Encryption) -> None:
    """Ask a wallet connection for METHOD with PARAMS-JSON, an object such as '{"round": "a"}', and show the result.

    For methods that no other command has, such as those of plugins. Those that pay are refused: they have commands
    that lose no payment. Without an answer (exit code 4) it may have been carried out all the same.
    """
    import json

    from kitestring.app.cli.wallet import call_of
    from kitestring.wire.ask.nwc.call import PAYING

    if method in PAYING:
        word = "keysend" if method.endswith("keysend") else "pay"
        raise KitestringError(
            Reason.MALFORMED, f"{method} pays: use `kitestring {word} --wallet URI`, which loses no payment"
        )
    result = call_of(shell, wallet, method, _read(params), timeout, encryption)
    shell.show(result, json.dumps(result, indent=2, ensure_ascii=False))


def _read(text: str) -> dict[str, object]:
    from kitestring.codec.json import loads_object

    try:
        return loads_object(text)
    except CodecError as error:
        example = """'{"round": "a"}'"""
        raise KitestringError(Reason.MALFORMED, f"PARAMS-JSON is one JSON object, such as {example}") from error
