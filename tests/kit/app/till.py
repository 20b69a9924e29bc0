"""In the place of the engine's part for debits: what the gateway hands in is kept, and answered as a test says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kitestring.base.commands import DEBITS_WIRE, Debit
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Outcome, Refused
from kitestring.base.transactions.owner import SaveGrant
from kitestring.engine.answers import new_request, unclaimed_request
from kitestring.engine.context import Incoming
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from tests.kit.app.door import STRANGER, Door
from tests.kit.changed import replace

DENIED = Refused(Reason.NOT_PERMITTED)


class Till:
    """Keeps the promises that the engine gives to the gateway: a refusal of a stranger is returned and stored nowhere,
    everything else is stored, by the id of the request, before it is said."""

    def __init__(self, door: Door, says: Callable[[Debit], Outcome] = lambda _: DENIED) -> None:
        self._door, self.says = door, says
        self.handled: list[Incoming] = []
        door.rig.engine._handlers[Debit] = self._handle

    async def _handle(self, incoming: Incoming, command: Debit) -> Refused | None:
        answers, now = self._door.rig.engine._answers, self._door.clock.now()
        if await answers.known(incoming.request_id):
            return None
        self.handled.append(incoming)
        outcome = self.says(command)
        if not isinstance(outcome, Refused):
            await answers.store(new_request(incoming, now), outcome)
            return None
        known_as = await self._door.rig.store.grants_of(DEBITS_WIRE, incoming.author)
        if not known_as:
            return outcome
        assert incoming.refused_until is not None
        request = replace(unclaimed_request(incoming, now), grant_id=known_as[0].grant_id)
        await answers.refuse_until(incoming.refused_until, request, outcome)
        return None

    def fails(self, failure: KitestringError) -> None:
        """From now on nothing can be carried out."""

        def fail(_: Debit) -> Outcome:
            raise failure

        self.says = fail


def debit(door: Door, members: object = None, **how: Any) -> Event:
    """A request of a stranger, to the service's own key, for a small budget unless ``members`` say something else."""
    text = members if isinstance(members, str) else json.dumps({"amount_sats": 21} if members is None else members)
    asking: dict[str, Any] = {"key": STRANGER, "to": door.keyring.service_id, "kind": kinds.DEBIT}
    return door.event(text, **(asking | how))


async def known(door: Door, grant_id: str = "g1", **more: Any) -> None:
    """Give the stranger a grant of the pointer ``till``, and serve it."""
    members: dict[str, Any] = {"caller": STRANGER.public_hex, "pointer_id": "till"}
    grant = Grant(grant_id=grant_id, name=grant_id, wire=DEBITS_WIRE, **(members | more))
    await door.rig.write(SaveGrant(grant))
    await door.refresh()
