"""The source of a wallet's money, chosen by a URI."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kitestring.base.errors import KitestringError, Reason
from kitestring.client.net import Net
from kitestring.codec.pasted import tidy
from kitestring.codec.uri import NWC_SCHEMES
from kitestring.sdk.source import Encryption, PaymentSource


def open_source(
    uri: str, net: Net, *, data_dir: Path | None, environment: Mapping[str, str], encryption: Encryption = "auto"
) -> PaymentSource:
    """The source that a URI names, not opened yet. ``data_dir`` None = the user's own for kitestring; ``environment``
    serves ``env:NAME`` in a node's URL, ``encryption`` a wallet connection. Raises KitestringError."""
    uri = tidy(uri)
    scheme = uri.partition(":")[0].lower()
    if scheme in NWC_SCHEMES:
        from kitestring.sdk.nwc import NwcSource  # noqa: PLC0415 - a node needs no NWC client

        return NwcSource(uri, net, encryption)
    if "://" not in uri:
        raise KitestringError(
            Reason.UNSUPPORTED, "this is no wallet: one begins with nostr+walletconnect://, lnd+https:// or sandbox://"
        )
    if encryption != "auto":
        raise KitestringError(Reason.MALFORMED, "only a wallet connection (nostr+walletconnect://) has an encryption")
    from kitestring.sdk.node import NodeSource  # noqa: PLC0415 - a NWC client needs no backend

    return NodeSource(uri, net, data_dir=data_dir, environment=environment)
