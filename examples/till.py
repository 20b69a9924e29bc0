"""Sell one thing: show an invoice, and wait for its payment. ``python examples/till.py WALLET_URI SATS WHAT``."""

import asyncio
import sys

from kitestring import KitestringError, Wallet, sat


async def main(uri: str, price: int, what: str) -> bool:
    async with Wallet.open(uri) as wallet:
        invoice = await wallet.invoice(sat(price), memo=what, expiry_s=600)
        print(f"to be paid: {invoice.bolt11}", flush=True)
        try:
            paid = await wallet.wait_paid(invoice)
        except TimeoutError:
            print("nobody has paid in time")
            return False
    print(f"{paid.amount_msat} paid: here is your {paid.description}")
    return True


if __name__ == "__main__":
    if len(sys.argv) != 4 or not sys.argv[2].isdecimal():
        print("usage: python examples/till.py WALLET_URI SATS WHAT", file=sys.stderr)
        sys.exit(2)
    try:
        sys.exit(0 if asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3])) else 1)
    except KitestringError as error:
        sys.exit(f"error: {error}")
