"""The service's side of a multisig round: a method of its own for connections that may call it (`multisig_join`).

Cosigners who trust neither each other nor the service find the address that all of them own together: each joins the
round with a public key, and once all have, each is told all of the keys. A package names PLUGIN as its entry point:

    [project.entry-points."kitestring.nwc_methods"]
    multisig_join = "multisig_plugin:PLUGIN"
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from kitestring import Asker, KitestringError, MethodPlugin, Reason

#: Rounds that are kept until the service stops; a new one beyond that is refused.
MAX_ROUNDS = 1_000
#: Seconds that a cosigner's answer waits for the others: less than a handler has.
WAIT_S = 8.0


class Join(msgspec.Struct, forbid_unknown_fields=True):
    """The round that was agreed on, the number of its cosigners, and a compressed public key in hex."""

    round: Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
    cosigners: Annotated[int, msgspec.Meta(ge=2, le=15)]
    key: Annotated[str, msgspec.Meta(pattern="^0[23][0-9a-f]{64}$")]


@dataclass
class Round:
    """Who has joined, with which key; ``complete`` once all have."""

    cosigners: int
    keys: dict[str, str] = field(default_factory=dict)
    complete: asyncio.Event = field(default_factory=asyncio.Event)


rounds: dict[str, Round] = {}


async def join(asked: Join, asker: Asker) -> dict[str, object]:
    """Nobody changes a key that others may have seen, and nobody comes late: to ask again is to go on waiting."""
    if asked.round not in rounds and len(rounds) >= MAX_ROUNDS:
        raise KitestringError(Reason.RATE_LIMITED, "too many rounds are open")
    found = rounds.setdefault(asked.round, Round(asked.cosigners))
    if found.cosigners != asked.cosigners:
        raise KitestringError(Reason.CONFLICT, f"this round has {found.cosigners} cosigners")
    others = {key for client, key in found.keys.items() if client != asker.client}
    if found.keys.get(asker.client, asked.key) != asked.key or asked.key in others:
        raise KitestringError(Reason.CONFLICT, "you have joined with another key, or somebody else with this one")
    if asker.client not in found.keys and found.complete.is_set():
        raise KitestringError(Reason.NOT_PERMITTED, "this round is complete without you")
    found.keys[asker.client] = asked.key
    if len(found.keys) == found.cosigners:
        found.complete.set()
    with suppress(TimeoutError):
        await asyncio.wait_for(found.complete.wait(), WAIT_S)
    return {"joined": len(found.keys), "keys": sorted(found.keys.values()) if found.complete.is_set() else []}


PLUGIN = MethodPlugin("multisig_join", Join, join)  # its name, the form of its params, and who answers
