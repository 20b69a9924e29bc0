"""The link of a wallet as a node's URL, with its secret in a file, in a variable, or in the link itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from kitestring.backend.registry import BackendUrl
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.codec.uri import NWC_SCHEMES, NwcUri, decode_nwc, parameters

#: Of a file that should hold 64 digits, in bytes: more is another file.
MAX_SECRET_FILE_BYTES: Final = 256
#: As ``Wallet.open`` takes it: of a wallet whose info event may be gone.
ENCRYPTIONS: Final = ("auto", "nip44", "legacy")


class WalletLink(NamedTuple):
    """``is_literal``: the secret stands in the URL itself, for whoever reads the settings or the list of processes."""

    uri: NwcUri
    encryption: str
    is_literal: bool


def read_link(url: BackendUrl, environment: Mapping[str, str]) -> WalletLink:
    """Raises KitestringError, which never shows the secret. Members that nobody here reads are allowed, because
    wallets write their own into links."""
    if url.scheme != NWC_SCHEMES[0]:
        raise KitestringError(
            Reason.UNSUPPORTED, f"write {NWC_SCHEMES[0]}://KEY?relay=URL&secret=file:PATH, the link of a wallet"
        )
    encryption = url.query.get("encryption", "auto")
    if encryption not in ENCRYPTIONS:
        raise KitestringError(Reason.MALFORMED, f"encryption in a wallet's link is one of {', '.join(ENCRYPTIONS)}")
    base, _, query = url.text.partition("?")
    values = [
        (name, read_secret(value, environment) if name == "secret" else value)
        for name, value in parameters(query)
        if name in {"relay", "secret"}
    ]
    link = "&".join(f"{name}={quote(value, safe='', errors='replace')}" for name, value in values)
    try:
        uri = decode_nwc(f"{base}?{link}")
    except CodecError as error:
        raise KitestringError(Reason.MALFORMED, f"the wallet's link cannot be read: {error}") from error
    given = url.query.get("secret", "")
    return WalletLink(uri, encryption, not given.startswith(("env:", "file:")))


def read_secret(value: str, environment: Mapping[str, str]) -> str:
    """The secret that stands in a file (``file:PATH``), in a variable (``env:NAME``), or here. Raises KitestringError,
    which never shows it."""
    kind, separator, name = value.partition(":")
    if separator and kind == "env":
        if name not in environment:
            raise KitestringError(
                Reason.MALFORMED, f"the secret of the wallet's link: there is no variable {name[:64]}"
            )
        return environment[name].strip()
    if separator and kind == "file":
        try:
            with Path(name).open(encoding="ascii") as file:
                return file.read(MAX_SECRET_FILE_BYTES).strip()
        except (OSError, ValueError):
            raise KitestringError(
                Reason.MALFORMED, f"the secret of the wallet's link: {name[:200]} cannot be read"
            ) from None
    return value
