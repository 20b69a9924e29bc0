"""An app of one's own that manages offers at the services of others."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

from kitestring.client.debits import requestor_key
from kitestring.client.manage import OfferManager, read_nmanage
from kitestring.client.net import Net
from kitestring.client.requestor import requestor_seed
from kitestring.sdk.home import home_of
from kitestring.transport.clock import SystemClock


def manage_offers(
    nmanage: str, *, data_dir: Path | None = None, relays: Iterable[str] = (), allow_private: bool = False
) -> OfferManager:
    """Manage offers at the service behind ``nmanage`` (``nmanage1…``), with a key that it always knows again: its seed
    is the file ``requestor.key`` in ``data_dir`` (default: the user's own for kitestring).

    ``relays`` are the caller's own, which may be at a private address; ``allow_private`` lifts that check for all.
    Raises KitestringError for another code.
    """
    link = read_nmanage(nmanage)
    net = Net(SystemClock(), secrets.token_bytes, own_relays=tuple(relays), allow_private=allow_private)
    key = requestor_key(requestor_seed(home_of(data_dir), net.entropy), link.pubkey)
    return OfferManager(nmanage, key, net)
