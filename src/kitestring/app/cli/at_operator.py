"""Shared by ``kitestring beacon attest`` and ``revoke``: the operator's key, the service, and the answer."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kitestring.app.cli.beacon_show import address_of, net_of, relay_option
from kitestring.app.cli.shell import Function, Shell
from kitestring.app.cli.values import facts
from kitestring.base.errors import CodecError, KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.client.beacon import ServiceAddress
    from kitestring.client.net import Net
    from kitestring.client.operator import OperatorWord
    from kitestring.crypto.keys import SecretKey

    Say = Callable[[ServiceAddress, SecretKey, Net, tuple[str, ...]], Awaitable[OperatorWord]]

#: An nsec has 63 characters.
MAX_KEY_BYTES: Final = 4_096
_NO_SOURCE: Final = (
    "a secret key is never typed, because other programs could see it: write file:PATH, env:NAME, or - for standard"
    " input"
)


def operator_options(function: Function) -> Function:
    """The options of both commands, and the service that they are about."""
    for option in (
        relay_option,
        click.option(
            "--key", "source", required=True, metavar="SOURCE",
            help="The operator's secret key (nsec1… or 64 hex digits): file:PATH, env:NAME or - (standard input).",
        ),
        click.argument("service", required=False, default=""),
    ):  # fmt: skip
        function = option(function)
    return function


def read_key(shell: Shell, source: str) -> SecretKey:
    """The secret key that ``source`` names. Raises KitestringError, which never shows it."""
    from kitestring.codec.nip19 import decode_secret
    from kitestring.crypto.keys import SecretKey

    kind, _, rest = source.partition(":")
    if kind == "env" and rest:
        text, where = shell.config.environment.get(rest, ""), f"the environment variable {rest}"
    elif kind == "file" and rest:
        text, where = _read_file(Path(rest).expanduser()), rest
    elif source == "-":
        text, where = sys.stdin.read(MAX_KEY_BYTES), "standard input"
    else:
        raise KitestringError(Reason.MALFORMED, _NO_SOURCE)
    try:
        return SecretKey(decode_secret(text))
    except CodecError as error:
        sentence = f"{where} holds no secret key: it is one line, nsec1… or 64 hex digits"
        raise KitestringError(Reason.MALFORMED, sentence) from error


def _read_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_KEY_BYTES)
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise KitestringError(Reason.MALFORMED, f"{path} is not a file with a secret key") from error


def say_about(shell: Shell, service: str, source: str, relays: tuple[str, ...], say: Say, done: str) -> str:
    """Have ``say`` publish the operator's word about a service, and show what that key says now. Returns the key."""
    import asyncio

    from kitestring.app.owner.params import npub

    key, address = read_key(shell, source), address_of(shell, service)
    shell.note_left_out(address.left_out)
    shell.note_waiting("asking the relays what this key says already …")
    word = asyncio.run(_said(say(address, key, net_of(shell), relays)))
    result: dict[str, Any] = {
        "operator": npub(word.operator),
        "service_pubkey": address.pubkey,
        "attested": list(word.attested),
        "revoked": list(word.revoked),
        "relays": [
            {"relay": url, "has_it": url in word.taken_by(), "words": verdict.message or None}
            for url, verdict in word.relays.items()
        ],
    }
    rows = [
        ("operator", result["operator"]),
        ("attests", ", ".join(npub(one) for one in word.attested if one not in word.revoked) or "–"),
        ("revokes", ", ".join(map(npub, word.revoked)) or "–"),
        ("relays", "; ".join(_relay_words(row) for row in result["relays"])),
    ]
    shell.show(result, f"{done} {npub(address.pubkey)}\n\n{facts(rows)}")
    return key.public_hex


async def _said(saying: Awaitable[OperatorWord]) -> OperatorWord:
    return await saying


def _relay_words(row: dict[str, Any]) -> str:
    return f"{row['relay']} has it" if row["has_it"] else f"{row['relay']} has not: {row['words'] or 'no answer'}"
