"""Shared by the commands that ask the running service, or with ``--wallet`` a wallet: its options, and what they
refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from kitestring.app.cli.shell import Function
from kitestring.base.errors import KitestringError, Reason

if TYPE_CHECKING:
    from kitestring.sdk.source import Encryption

_PLACES: Final = "env:NAME, file:PATH, - (standard input), or a link"
#: What a repeated command does at a wallet, in place of the promise of an idempotency key.
_PAID_ONCE: Final = "repeat a payment with the same invoice, which a wallet pays once"


def wallet_options(what: str, without: str = "", *, required: bool = False) -> Callable[[Function], Function]:
    """``--wallet``, of which the help begins with ``what``, and ``--encryption``. ``without`` says who is asked without
    it; it is ``required`` where nobody is."""

    def add(function: Function) -> Function:
        encryption = click.option(
            "--encryption",
            type=click.Choice(["auto", "nip44", "legacy"]),
            default="auto",
            help="legacy is for a wallet that knows NIP-04 only and does not say so (default: auto).",
        )
        told = f"{what}: {_PLACES}{f' (default: {without})' if without else ''}."
        return click.option("--wallet", metavar="URI", required=required, help=told)(encryption(function))

    return add


def refuse_encryption(encryption: Encryption) -> None:
    """Refuse the encryption of a connection where none is used."""
    if encryption != "auto":
        raise KitestringError(Reason.MALFORMED, "--encryption is that of a wallet connection: name it with --wallet")


def refuse_given(name: str, sentence: str) -> None:
    """Refuse what was typed for the parameter ``name``, whatever its value."""
    source = click.get_current_context().get_parameter_source(name)
    if source is not click.core.ParameterSource.DEFAULT:
        raise KitestringError(Reason.MALFORMED, sentence)


def refuse_key(instead: str = _PAID_ONCE) -> None:
    """Refuse an idempotency key: only the running service keeps its promise, and to rely on it here could pay twice."""
    kept = "--idempotency-key is kept by the running service alone: leave it out with --wallet"
    refuse_given("key", f"{kept}, and {instead}")
