"""Pay an offer again and again: ``python examples/tipper.py WALLET_URI NOFFER SATS TIMES [SECONDS]``."""

import asyncio
import sys

from kitestring import KitestringError, Reason, Wallet, sat


async def main(uri: str, offer: str, sats: int, times: int, pause_s: int) -> None:
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
            await asyncio.sleep(pause_s if number + 1 < times else 0)


if __name__ == "__main__":
    if len(sys.argv) not in {5, 6} or not all(number.isdecimal() for number in sys.argv[3:]):
        print("usage: python examples/tipper.py WALLET_URI NOFFER SATS TIMES [SECONDS]", file=sys.stderr)
        sys.exit(2)
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int([*sys.argv, "10"][5])))
    except KitestringError as error:
        sys.exit(f"error: {error}")
