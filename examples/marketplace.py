"""A marketplace that keeps a seller's offers as they stand in a file: ``python examples/marketplace.py NMANAGE RELAY``.

``goods.txt`` has a line for each: its price in sats, a blank, its name. What is new is made, what costs something else
is changed, what is gone is deleted. The buyer pays the seller; the marketplace never touches the money.
"""

import asyncio
import sys
from pathlib import Path

from kitestring import KitestringError, OfferTerms, manage_offers


def goods() -> dict[str, OfferTerms]:
    lines = [line.split(" ", 1) for line in Path("goods.txt").read_text().splitlines()]
    return {name: OfferTerms(label=name, price_sats=int(price), payer_data=("email",)) for price, name in lines}


async def main(nmanage: str, relay: str) -> None:
    seller = manage_offers(nmanage, data_dir=Path("marketplace"), relays=[relay])
    there = {offer.terms.label: offer async for offer in seller.offers()}  # the first time the seller is asked
    wanted = goods()
    for name, terms in wanted.items():
        if name not in there:
            offer = await seller.create_if_missing(terms)
            print(f"new: {name} for {terms.price_sats} sat: {offer.noffer}", flush=True)
        elif there[name].terms != terms:
            await seller.update(there[name].id, terms)
            print(f"changed: {name} costs {terms.price_sats} sat now; its code is as before", flush=True)
    for name in there.keys() - wanted.keys():
        await seller.delete(there[name].id)
        print(f"gone: {name}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print("usage: python examples/marketplace.py NMANAGE RELAY", file=sys.stderr)
        sys.exit(2)
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2]))
    except KitestringError as error:
        sys.exit(f"error: {error}")
