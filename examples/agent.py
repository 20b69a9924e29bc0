"""Pay invoices as long as the budget lasts: ``python examples/agent.py WALLET_URI < INVOICES``, one on each line."""

import asyncio
import sys
import time

from kitestring import KitestringError, Reason, Wallet


async def main(uri: str, invoices: list[str]) -> None:
    async with Wallet.open(uri) as wallet:
        for invoice in invoices:
            try:
                receipt = await wallet.pay(invoice)
            except KitestringError as error:
                if error.reason is not Reason.OVER_BUDGET:
                    raise
                print(f"not paid, it is more than the budget has left: {error}")
                break
            print(f"paid {receipt.amount} for {receipt.description or 'an invoice'}, fee {receipt.fee}")
        budget = await wallet.budget()
    if budget is None:
        print("nothing bounds this wallet")
    else:
        again = f", again at {time.ctime(budget.renews_at)}" if budget.renews_at else ""
        print(f"{budget.left} of {budget.limit} are left{again}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: python examples/agent.py WALLET_URI < INVOICES", file=sys.stderr)
        sys.exit(2)
    try:
        asyncio.run(main(sys.argv[1], sys.stdin.read().split()))
    except KitestringError as error:
        sys.exit(f"error: {error}")
