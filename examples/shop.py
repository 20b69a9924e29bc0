"""Sell tea, and hand it out when it is paid: ``python examples/shop.py WALLET_URI``.

What was paid while the shop was closed is told first: the place up to which it has heard stands in ``shop.position``.
"""

import asyncio
import sys
from pathlib import Path

from kitestring import KitestringError, Wallet, sat

PLACE, NEW = Path("shop.position"), Path("shop.position.new")


def kept() -> str | None:
    return PLACE.read_text() if PLACE.exists() else None


def keep(position: str) -> None:
    NEW.write_text(position)
    NEW.replace(PLACE)


async def main(uri: str) -> None:
    async with Wallet.open(uri) as wallet:
        invoice = await wallet.invoice(sat(210), memo="tea")
        print(f"to be paid: {invoice.bolt11}", flush=True)
        news = wallet.notifications(since=kept(), types=["payment_received"])
        async for paid in news:
            print(f"{paid.transaction.description}, paid with {paid.transaction.amount_msat}", flush=True)
            keep(news.position)  # only now: a shop that dies before this is told again


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: python examples/shop.py WALLET_URI", file=sys.stderr)
        sys.exit(2)
    try:
        asyncio.run(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)  # as shells say it; it goes on where it was
    except KitestringError as error:
        sys.exit(f"error: {error}")
