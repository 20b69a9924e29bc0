"""The owner's commands about the service as a whole: its card, its health, its books against the node's."""

from __future__ import annotations

import msgspec

from kitestring.app.home.datadir import DataDir
from kitestring.app.owner.desk import Desk
from kitestring.app.owner.node_audit import Subject, examine, sandbox_books
from kitestring.app.owner.offers import noffer_of, open_offers
from kitestring.app.owner.params import NoParams
from kitestring.app.service.execute import Result
from kitestring.backend.lnd.macaroon import macaroon_of
from kitestring.backend.sandbox.node import Sandbox
from kitestring.base.payments import State


class AuditParams(msgspec.Struct, forbid_unknown_fields=True):
    """``whole_node``: nobody but this service uses the node."""

    whole_node: bool = False


async def card(desk: Desk, _params: NoParams, _key: str) -> Result:
    """What others need to reach this service: its relays, its key and its oldest offer."""
    offers = await open_offers(desk)
    return {
        "relays": list(desk.relay_urls()),
        "service_pubkey": desk.keyring.service_id,
        "noffer": noffer_of(desk, offers[0]) if offers else None,
    }


async def doctor(desk: Desk, _params: NoParams, _key: str) -> Result:
    """Facts about the running service that `kitestring doctor` judges."""
    totals = await desk.store.totals()
    payments = await desk.store.open_payments()
    return {
        "node": await _node_facts(desk),
        "relays": list(desk.relay_urls()),
        "macaroon": macaroon_of(desk.config.node_url),
        "now": desk.clock.now(),
        "open_payments": len(payments),
        "unknown_payments": [payment.payment_hash for payment in payments if payment.state is State.UNKNOWN],
        "overdrawn_accounts": [account.account_id for account in await desk.store.accounts() if account.overdrawn],
        "spending_stopped": totals.spending_stopped,
    }


async def _node_facts(desk: Desk) -> Result:
    try:
        found = await desk.backend.info()
        money = await desk.backend.balance()
    except Exception as error:  # noqa: BLE001 - whatever it is, the owner asked what is wrong with the node
        return {"reachable": False, "why": str(error) or type(error).__name__}
    return {
        "reachable": True,
        "alias": found.alias,
        "network": found.network,
        "block_height": found.block_height,
        "spendable_msat": int(money.spendable_msat),
        "receivable_msat": int(money.receivable_msat),
    }


async def audit_node(desk: Desk, params: AuditParams, _key: str) -> Result:
    """Compare every payment and invoice in the ledger with the node's own lists."""
    home = DataDir(desk.config.data_dir, desk.config.runtime_dir)
    subject = Subject(home.ledger, desk.keyring.service_id, params.whole_node)
    found = await examine(subject, desk.backend, desk.clock)
    violations = found.violations
    if isinstance(desk.backend, Sandbox):
        violations += sandbox_books(desk.backend.path)
    return {"violations": list(violations), "payments": found.payments, "invoices": found.invoices}
