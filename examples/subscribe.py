"""Be paid 500 sats a month by a debit code: ``python examples/subscribe.py WALLET_URI NDEBIT [--once]``."""

import asyncio
import sys

from kitestring import KitestringError, Wallet, sat


async def main(uri: str, ndebit: str, once: bool) -> None:
    async with Wallet.open(uri) as wallet:
        # Asks for the budget first. Run it again whenever you like: no month is charged twice.
        charges = wallet.debit(ndebit).subscribe(sat(500), every="month", description="the blog", once=once, tell=print)
        async for charge in charges:
            print(f"month {charge.period} is paid, {charge.amount}, until {charge.ends_at}")


if __name__ == "__main__":
    if len(sys.argv) not in {3, 4}:
        print("usage: python examples/subscribe.py WALLET_URI NDEBIT [--once]", file=sys.stderr)
        sys.exit(2)
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2], "--once" in sys.argv))
    except KitestringError as error:
        sys.exit(f"error: {error}")
