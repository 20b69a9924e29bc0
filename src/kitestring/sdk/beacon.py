"""Whether a service works, and what it says about itself, for programs."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from kitestring.base.ports import Clock, Entropy
from kitestring.client.beacon import ServiceBeacon, ask_beacon, read_service
from kitestring.client.net import DEFAULT_WAITS, Net, Waits
from kitestring.transport.clock import SystemClock
from kitestring.transport.proxies import Proxies


async def find_beacon(
    service: str,
    *,
    relays: Iterable[str] = (),
    clock: Clock | None = None,
    entropy: Entropy = secrets.token_bytes,
    waits: Waits = DEFAULT_WAITS,
    proxies: Proxies | None = None,
    allow_private: bool = False,
) -> ServiceBeacon:
    """Look for the beacon of a service: an npub, an nprofile, a public key, or one of its codes (``noffer1…``,
    ``ndebit1…``, ``nmanage1…``).

    ``relays`` are your own, asked beside those in the code and wherever they are; a key alone needs one.
    ``allow_private`` lets relays in a code be on private addresses. Raises KitestringError: MALFORMED for a text that
    names no service, UNAVAILABLE when no relay answers. That there is no beacon is no error: many services have none.
    """
    net = Net(clock or SystemClock(), entropy, proxies or Proxies(), waits, allow_private=allow_private)
    return await ask_beacon(read_service(service), net, tuple(relays))
