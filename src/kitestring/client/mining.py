"""Proof of work for a request, off the event loop, with an end: whoever waits can see how far it is, and give up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from kitestring.client.net import Net
from kitestring.client.session import Dialog
from kitestring.nostr.event import Event
from kitestring.nostr.work import NONCES, NonceSearch
from kitestring.wire.envelope import sign_draft

#: Seconds after which a request is dated anew, so that it is never old when it is sent. Nothing is lost by it: what was
#: tried in vain brings nobody nearer.
FRESH_S: Final = 20.0
#: Rounds of a search between two looks at the clock: some hundredths of a second.
ROUNDS: Final = 100

#: Told again and again: hashes tried so far, and how many it takes on an average.
Mining = Callable[[int, int], None]


async def mined_request(dialog: Dialog, plaintext: str, net: Net, bits: int, mining: Mining | None = None) -> Event:
    """A signed request with ``bits`` of proof of work, dated at most :data:`FRESH_S` ago. Raises ValueError for more
    bits than are mined, CodecError when the text is too long. To cancel it ends it after some hundredths of a
    second."""
    draft, tried = dialog.draft(plaintext, net), 0
    while True:
        now, until = net.clock.now(), net.clock.monotonic() + FRESH_S
        search = NonceSearch(dialog.key.public_hex, now, draft.kind, draft.tags, draft.content, bits)
        first = 0
        while net.clock.monotonic() < until:
            nonce = await asyncio.to_thread(search.look, first, ROUNDS)
            if nonce is not None:
                return sign_draft(dialog.key, draft, now, net.entropy, nonce)
            first += ROUNDS
            tried += ROUNDS * NONCES
            if mining is not None:
                mining(tried, 1 << bits)
