"""Ask for 210 sats, then pay 50 sats to an offer: ``python examples/pay.py WALLET_URI NOFFER``."""

import asyncio
import sys

from kitestring import Wallet, sat


async def main(uri: str, offer: str) -> None:
    # nostr+walletconnect://…, lnd+https://host?cert=PATH&macaroon=PATH, sandbox://
    async with Wallet.open(uri) as wallet:
        invoice = await wallet.invoice(sat(210), memo="tea")
        receipt = await wallet.pay(offer, sat(50), max_fee=sat(1))
        print(invoice.bolt11, receipt.preimage, receipt.fee)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
