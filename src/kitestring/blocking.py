"""The package for programs without asyncio: scripts, web servers with threads, notebooks.

``from kitestring.blocking import Wallet, Service``: the same names with the same arguments as in :mod:`kitestring`;
what is awaited there waits here.
"""

from kitestring.app.blocking.others import BlockingOfferManager as OfferManager
from kitestring.app.blocking.others import find_beacon, manage_offers
from kitestring.app.blocking.service import BlockingService as Service
from kitestring.app.blocking.wallet import BlockingDebitClient as DebitClient
from kitestring.app.blocking.wallet import BlockingNotifications as Notifications
from kitestring.app.blocking.wallet import BlockingWallet as Wallet

__all__ = ["DebitClient", "Notifications", "OfferManager", "Service", "Wallet", "find_beacon", "manage_offers"]
