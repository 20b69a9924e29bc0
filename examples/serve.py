"""Serve a sandbox node over a relay, with one connection that may pay 5,000 sat a day, and be paid.

Start a relay first: kitestring relay --port 7777 --memory
"""

import sys

from kitestring import Budget, KitestringError, Service, sat

METHODS = {"pay_invoice", "make_invoice", "lookup_invoice", "get_budget", "get_info"}


def main() -> None:
    service = Service(backend="sandbox://", relays=["ws://127.0.0.1:7777"], store="kite.db")
    grant = service.grant("my agent", methods=METHODS, budget=Budget.daily(sat(5_000)))
    print(grant.nwc_uri or "the link of `my agent` is in use already, and is not shown again", flush=True)
    print("serving; Ctrl-C ends it", file=sys.stderr)
    service.run()


if __name__ == "__main__":
    try:
        main()
    except KitestringError as error:
        sys.exit(f"error: {error}")
