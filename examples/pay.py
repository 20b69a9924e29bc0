"""Ask for 210 sats, then pay 50 sats to an offer: ``python examples/pay.py WALLET_URI NOFFER``.

WALLET_URI is a link of ``kitestring connect``, NOFFER the code of the card.
"""

import asyncio
import sys

from kitestring import KitestringError, Wallet, sat


async def main(uri: str, offer: str) -> None:
    # nostr+walletconnect://…, lnd+https://host?cert=PATH&macaroon=PATH, sandbox://
    async with Wallet.open(uri) as wallet:
        invoice = await wallet.invoice(sat(210), memo="tea")
        receipt = await wallet.pay(offer, sat(50), max_fee=sat(1))
        print(invoice.bolt11, receipt.preimage, receipt.fee)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print("usage: python examples/pay.py WALLET_URI NOFFER", file=sys.stderr)
        sys.exit(2)
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2]))
    except KitestringError as error:
        sys.exit(f"error: {error}")
