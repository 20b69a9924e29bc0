"""The service inside somebody's own program: ``from kitestring import Service``."""

from __future__ import annotations

from kitestring.app.embedded.accounts import Accounting
from kitestring.app.embedded.books import Bookkeeping
from kitestring.app.embedded.connections import Granting
from kitestring.app.embedded.debits import Debiting
from kitestring.app.embedded.offers import Selling


class Service(Granting, Selling, Accounting, Bookkeeping, Debiting):
    """A kitestring service on your own terms.

    ``backend`` is a node URL (``sandbox://``, ``lnd+https://HOST:PORT?cert=PATH&macaroon=PATH``), ``relays`` (at least
    one) are where it is reached, ``store`` is the file of the ledger; key, lock and sandbox live beside it under the
    same name. Calendar budgets renew by the time zone ``zone``, such as ``Europe/Berlin``. When it stops, what is in
    flight gets ``grace_s`` seconds. ``clock`` None = this machine's; another one is for
    tests, on a sandbox alone. :meth:`run` serves until Ctrl-C; inside a program
    of your own use ``async with``.

    :meth:`grant`, :meth:`offer`, :meth:`pointer` and :meth:`account` are for a program that has no loop yet, before the
    service runs. Everything that is awaited works before it runs and while it does, unless it needs the node: then it
    raises KitestringError(UNAVAILABLE) before. Amounts are :class:`Msat`; a bare number raises TypeError.
    """
