"""Types of a program without asyncio: each ignored line is reported by mypy as soon as it is an error no more."""

from __future__ import annotations

from typing import assert_type

from kitestring import Connection, Invoice, Msat, Receipt, ServiceEvent, Transaction, sat
from kitestring.blocking import DebitClient, Notifications, Service, Wallet


def pays(uri: str, debit: str) -> None:
    with Wallet.open(uri, allow_private=True) as wallet:
        assert_type(wallet.balance(), Msat)
        assert_type(wallet.invoice(sat(210), memo="tea"), Invoice)
        assert_type(wallet.pay("lnbc1", max_fee=sat(1)), Receipt)
        assert_type(wallet.transactions(limit=5), tuple[Transaction, ...])
        assert_type(wallet.notifications(since=0), Notifications)
        assert_type(wallet.debit(debit), DebitClient)
        wallet.pay("lnbc1", 50)  # type: ignore[arg-type]  # a bare number is no amount
        wallet.pay("lnbc1", tip=sat(1))  # type: ignore[call-arg]  # there is no such argument
    Wallet.open(uri, relay="wss://r.example")  # type: ignore[call-arg]  # as above


def serves() -> None:
    service = Service(relays=["wss://r.example"])
    assert_type(service.grant("agent", per_payment=sat(5)), Connection)
    service.grant("agent", per_payment=5)  # type: ignore[arg-type]  # a bare number is no amount
    for event in service.events(since=0):
        assert_type(event, ServiceEvent)
