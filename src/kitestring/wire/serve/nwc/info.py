"""``get_info`` of Nostr Wallet Connect: the node, and what the connection may do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kitestring.base.outcomes import Info
from kitestring.wire.serve.nwc.methods import Method, extensions_of
from kitestring.wire.serve.nwc.notifications import notified

#: The service's name for a network → NIP-47's.
NETWORK_NAMES: Final = {"bitcoin": "mainnet"}


def write_info(info: Info, methods: Sequence[Method]) -> object:
    """With these ``methods``. Facts about the node are left out where the grant does not cover them."""
    facts = {
        "alias": info.alias,
        "color": info.color,
        "pubkey": info.node_pubkey,
        "network": NETWORK_NAMES.get(info.network, info.network),
        "block_height": info.block_height,
        "block_hash": info.block_hash,
        "lud16": info.lud16,
    }
    told = {name: fact for name, fact in facts.items() if fact not in (None, "")}
    types = notified(info.methods)
    lists = {"notifications": [row.name for row in types], "extensions": extensions_of([*methods, *types])}
    return (
        told
        | {"methods": sorted([*(row.name for row in methods), *info.foreign])}
        | {name: each for name, each in lists.items() if each}
    )
