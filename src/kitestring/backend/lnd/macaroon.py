"""Where the macaroon of an lnd is kept, and what kitestring needs of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from kitestring.base.errors import CodecError
from kitestring.crypto.macaroon import VERSION

#: What kitestring needs of lnd, and nothing else: ``lncli bakemacaroon`` takes these words.
NEEDED: Final = frozenset({"info:read", "invoices:read", "invoices:write", "offchain:read", "offchain:write"})
#: A macaroon that is in the service's environment and not in a file.
ENVIRONMENT: Final = "env:"


def macaroon_of(node_url: str) -> str:
    """Where an lnd URL says its macaroon is, as a path that holds in every directory or as ``env:NAME``; else ""."""
    parts = urlsplit(node_url)
    named = next(iter(parse_qs(parts.query).get("macaroon", [])), "") if parts.scheme.startswith("lnd") else ""
    return str(Path(named).absolute()) if named and not named.startswith(ENVIRONMENT) else named


def read_macaroon(path: Path) -> bytes:
    """The macaroon in a file, which may hold it in hex text, as the backend takes it. Raises OSError, CodecError."""
    raw = path.read_bytes()
    if raw[:1] == bytes([VERSION]):
        return raw
    try:
        return bytes.fromhex(raw.decode("ascii").strip())
    except ValueError as error:
        raise CodecError("this file is not an lnd macaroon") from error
