"""Let any Nostr key pay and be paid through any Lightning node.

The names below are the public interface; each is loaded when it is first used, so that importing the package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kitestring.app.embedded.events import ServiceEvent, ServiceEvents
    from kitestring.app.embedded.results import (
        AccountInfo,
        BudgetUse,
        Connection,
        ConnectionInfo,
        DebitCode,
        OfferCode,
        OfferInfo,
        SessionCode,
        SessionEnd,
    )
    from kitestring.app.embedded.service import Service
    from kitestring.app.embedded.values import KEEP, Keep
    from kitestring.base.budgets import Budget, Period
    from kitestring.base.errors import CodecError, Exit, KitestringError, Reason
    from kitestring.base.money import Msat, sat
    from kitestring.base.outcomes import Direction, Info, Transaction, TransactionState
    from kitestring.base.plugins import Asker, MethodPlugin
    from kitestring.client.beacon import ServiceBeacon
    from kitestring.client.debits import DebitBudget, DebitPaid
    from kitestring.client.manage import OfferManager
    from kitestring.client.preview import Preview
    from kitestring.codec.beacon import BeaconContent, BeaconFees
    from kitestring.codec.bolt11 import decode as decode_bolt11
    from kitestring.codec.pointers import Ndebit, Nmanage, Noffer, Pointer
    from kitestring.codec.pointers import decode as decode_pointer
    from kitestring.codec.uri import NwcUri
    from kitestring.sdk.beacon import find_beacon
    from kitestring.sdk.debits import DebitClient
    from kitestring.sdk.manage import manage_offers
    from kitestring.sdk.notifications import Notifications
    from kitestring.sdk.results import Invoice, PaymentLink, Receipt, WalletBudget
    from kitestring.sdk.sandbox import Sandbox, SandboxBooks, SandboxInvoice, SandboxReceipt
    from kitestring.sdk.subscriptions import DebitCharge
    from kitestring.sdk.wallet import Wallet
    from kitestring.wire.ask.manage import ManagedOffer, OfferTerms
    from kitestring.wire.ask.nwc.notifications import Notification

_PLACES = {
    "AccountInfo": "kitestring.app.embedded.results",
    "Asker": "kitestring.base.plugins",
    "BeaconContent": "kitestring.codec.beacon",
    "BeaconFees": "kitestring.codec.beacon",
    "Budget": "kitestring.base.budgets",
    "BudgetUse": "kitestring.app.embedded.results",
    "CodecError": "kitestring.base.errors",
    "Connection": "kitestring.app.embedded.results",
    "ConnectionInfo": "kitestring.app.embedded.results",
    "DebitBudget": "kitestring.client.debits",
    "DebitCharge": "kitestring.sdk.subscriptions",
    "DebitClient": "kitestring.sdk.debits",
    "DebitCode": "kitestring.app.embedded.results",
    "DebitPaid": "kitestring.client.debits",
    "Direction": "kitestring.base.outcomes",
    "Exit": "kitestring.base.errors",
    "Info": "kitestring.base.outcomes",
    "Invoice": "kitestring.sdk.results",
    "KEEP": "kitestring.app.embedded.values",
    "Keep": "kitestring.app.embedded.values",
    "KitestringError": "kitestring.base.errors",
    "ManagedOffer": "kitestring.wire.ask.manage",
    "MethodPlugin": "kitestring.base.plugins",
    "Msat": "kitestring.base.money",
    "Ndebit": "kitestring.codec.pointers",
    "Nmanage": "kitestring.codec.pointers",
    "Noffer": "kitestring.codec.pointers",
    "Notification": "kitestring.wire.ask.nwc.notifications",
    "Notifications": "kitestring.sdk.notifications",
    "NwcUri": "kitestring.codec.uri",
    "OfferCode": "kitestring.app.embedded.results",
    "OfferInfo": "kitestring.app.embedded.results",
    "OfferManager": "kitestring.client.manage",
    "OfferTerms": "kitestring.wire.ask.manage",
    "PaymentLink": "kitestring.sdk.results",
    "Period": "kitestring.base.budgets",
    "Pointer": "kitestring.codec.pointers",
    "Preview": "kitestring.client.preview",
    "Reason": "kitestring.base.errors",
    "Receipt": "kitestring.sdk.results",
    "Sandbox": "kitestring.sdk.sandbox",
    "SandboxBooks": "kitestring.sdk.sandbox",
    "SandboxInvoice": "kitestring.sdk.sandbox",
    "SandboxReceipt": "kitestring.sdk.sandbox",
    "Service": "kitestring.app.embedded.service",
    "ServiceBeacon": "kitestring.client.beacon",
    "ServiceEvent": "kitestring.app.embedded.events",
    "ServiceEvents": "kitestring.app.embedded.events",
    "SessionCode": "kitestring.app.embedded.results",
    "SessionEnd": "kitestring.app.embedded.results",
    "Transaction": "kitestring.base.outcomes",
    "TransactionState": "kitestring.base.outcomes",
    "Wallet": "kitestring.sdk.wallet",
    "WalletBudget": "kitestring.sdk.results",
    "decode_bolt11": "kitestring.codec.bolt11:decode",
    "decode_pointer": "kitestring.codec.pointers:decode",
    "find_beacon": "kitestring.sdk.beacon",
    "manage_offers": "kitestring.sdk.manage",
    "sat": "kitestring.base.money",
}

__all__ = [
    "KEEP",
    "AccountInfo",
    "Asker",
    "BeaconContent",
    "BeaconFees",
    "Budget",
    "BudgetUse",
    "CodecError",
    "Connection",
    "ConnectionInfo",
    "DebitBudget",
    "DebitCharge",
    "DebitClient",
    "DebitCode",
    "DebitPaid",
    "Direction",
    "Exit",
    "Info",
    "Invoice",
    "Keep",
    "KitestringError",
    "ManagedOffer",
    "MethodPlugin",
    "Msat",
    "Ndebit",
    "Nmanage",
    "Noffer",
    "Notification",
    "Notifications",
    "NwcUri",
    "OfferCode",
    "OfferInfo",
    "OfferManager",
    "OfferTerms",
    "PaymentLink",
    "Period",
    "Pointer",
    "Preview",
    "Reason",
    "Receipt",
    "Sandbox",
    "SandboxBooks",
    "SandboxInvoice",
    "SandboxReceipt",
    "Service",
    "ServiceBeacon",
    "ServiceEvent",
    "ServiceEvents",
    "SessionCode",
    "SessionEnd",
    "Transaction",
    "TransactionState",
    "Wallet",
    "WalletBudget",
    "decode_bolt11",
    "decode_pointer",
    "find_beacon",
    "manage_offers",
    "sat",
]


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = place.partition(":")
    value: object = getattr(import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
