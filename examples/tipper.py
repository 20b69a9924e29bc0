"""Pay an offer several times: ``python examples/tipper.py WALLET_URI NOFFER SATS TIMES``."""

import asyncio
import sys

from kitestring import KitestringError, Reason, Wallet, sat


async def main(uri: str, offer: str, sats: int, times: int) -> None:
    async with Wallet.open(uri) as wallet:
        for number in range(times):
            try:
                receipt = await wallet.pay(offer, sat(sats), max_fee=sat(5), description="thank you")
                print(f"tip {number + 1}: {receipt.amount}, fee {receipt.fee}", flush=True)
            except KitestringError as error:
                if error.reason is not Reason.PAYMENT_IN_FLIGHT:
                    raise
                # It may still be paid: another tip is another payment, so this one is not tried again.
                print(f"tip {number + 1}: {error}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 5 or not all(number.isdecimal() for number in sys.argv[3:]):
        print("usage: python examples/tipper.py WALLET_URI NOFFER SATS TIMES", file=sys.stderr)
        sys.exit(2)
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    except KitestringError as error:
        sys.exit(f"error: {error}")
