"""The relay of nostr-sdk as a process of its own: `python -m tests.rig.nostr_sdk_relay PORT`, until it is ended."""

import asyncio
import sys

import nostr_sdk

#: Its own limit of events, 60 a minute for one connection, is for one person; that of subscriptions is left as it is.
NOTES_PER_MINUTE = 100_000
MAX_REQS = 20


async def _serve(port: int) -> None:
    rate = nostr_sdk.RateLimit(max_reqs=MAX_REQS, notes_per_minute=NOTES_PER_MINUTE)
    relay = nostr_sdk.LocalRelayBuilder().port(port).rate_limit(rate).build()
    await relay.run()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
