"""Serve a sandbox node over a relay, with one connection that may pay 5,000 sat a day."""

from kitestring import Budget, Service, sat

if __name__ == "__main__":
    service = Service(backend="sandbox://", relays=["ws://127.0.0.1:7777"], store="kite.db")
    grant = service.grant("my agent", methods={"pay_invoice"}, budget=Budget.daily(sat(5_000)))
    print(grant.nwc_uri)
    service.run()
