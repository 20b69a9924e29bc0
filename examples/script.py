"""What a wallet has, and what went in and out, without asyncio: ``python examples/script.py WALLET_URI [DAYS]``."""

import sys
import time

from kitestring import Direction, KitestringError
from kitestring.blocking import Wallet


def main(uri: str, days: int) -> None:
    with Wallet.open(uri) as wallet:
        print(f"balance: {wallet.balance()}")
        since = int(time.time()) - days * 86_400
        for one in wallet.transactions(since=since, limit=50):
            sign = "+" if one.type is Direction.INCOMING else "-"
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.settled_at or one.created_at))
            print(f"{when}  {sign}{one.amount_msat}  {one.description}")


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3} or not all(number.isdecimal() for number in sys.argv[2:]):
        print("usage: python examples/script.py WALLET_URI [DAYS]", file=sys.stderr)
        sys.exit(2)
    try:
        main(sys.argv[1], int([*sys.argv, "7"][2]))
    except KitestringError as error:
        sys.exit(f"error: {error}")
