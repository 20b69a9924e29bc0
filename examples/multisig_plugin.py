"""The service's side of a multisig round: a method of its own for connections that may call it (`multisig_join`).

Cosigners who trust neither each other nor the service find the address that all of them own together: each joins the
round with a public key, and once all have, each is told all of the keys. A package names PLUGIN as its entry point:

    [project.entry-points."kitestring.nwc_methods"]
    multisig_join = "multisig_plugin:PLUGIN"
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from kitestring import Asker, KitestringError, MethodPlugin, Reason

#: Rounds that are kept until the service stops; a new one beyond that is refused.
MAX_ROUNDS = 1_000


class Join(msgspec.Struct, forbid_unknown_fields=True):
    """The round that was agreed on, the number of its cosigners, and a compressed public key in hex."""

    round: Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
    cosigners: Annotated[int, msgspec.Meta(ge=2, le=15)]
    key: Annotated[str, msgspec.Meta(pattern="^0[23][0-9a-f]{64}$")]


rounds: dict[str, tuple[int, dict[str, str]]] = {}


async def join(asked: Join, asker: Asker) -> dict[str, object]:
    """Nobody changes a key that others may have seen, and nobody comes late: to ask again is to hear how it stands."""
    if asked.round not in rounds and len(rounds) >= MAX_ROUNDS:
        raise KitestringError(Reason.RATE_LIMITED, "too many rounds are open")
    cosigners, keys = rounds.setdefault(asked.round, (asked.cosigners, {}))
    if cosigners != asked.cosigners:
        raise KitestringError(Reason.CONFLICT, f"this round has {cosigners} cosigners")
    if keys.get(asker.client, asked.key) != asked.key or asked.key in {k for c, k in keys.items() if c != asker.client}:
        raise KitestringError(Reason.CONFLICT, "you have joined with another key, or somebody else with this one")
    if asker.client not in keys and len(keys) == cosigners:
        raise KitestringError(Reason.NOT_PERMITTED, "this round is complete without you")
    keys[asker.client] = asked.key
    complete = len(keys) == cosigners
    return {"joined": len(keys), "keys": sorted(keys.values()) if complete else []}


PLUGIN = MethodPlugin("multisig_join", Join, join)
