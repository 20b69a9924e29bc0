"""A process that claims and settles payments as fast as it can, and tells what was committed; to be killed."""

import asyncio
import sys

from kitestring.base.transactions.answers import Claimed
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.ledger.values import SERVICE, answered, claim, payment, setting, settle


async def run(path: str, name: str) -> None:
    store = await SqliteStore.open(path, SERVICE)
    await store.apply(setting(alice=10**9))

    async def one(number: int) -> None:
        paid = f"{name}-{number}"
        assert await store.apply(claim(paid, payment(paid))) == Claimed()
        sys.stdout.write(f"claimed {paid}\n")
        await store.apply(settle(paid, 1, answered(paid)))
        sys.stdout.write(f"settled {paid}\n")
        sys.stdout.flush()

    for start in range(0, 10_000, 32):
        await asyncio.gather(*(one(number) for number in range(start, start + 32)))


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2]))
