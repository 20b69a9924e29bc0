"""The owner's commands about the service as a whole: its card, its health, its books against the node's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from kitestring.app.home.datadir import DataDir
from kitestring.app.owner.accounts import called
from kitestring.app.owner.approvals import MAX_ROWS
from kitestring.app.owner.command import Ask, Call, Commands, Read
from kitestring.app.owner.debit_pointers import shown_ndebit
from kitestring.app.owner.desk import Asking, Reading
from kitestring.app.owner.node_audit import AuditedService, Findings, examine
from kitestring.app.owner.offers import shown_noffer
from kitestring.app.owner.params import NoParams
from kitestring.app.owner.results import node as results
from kitestring.app.owner.webhooks import about_webhooks
from kitestring.app.service.execute import Result
from kitestring.app.service.kept_relays import KeptRelay, old_relays, stored_kept_relays
from kitestring.app.service.node_words import told
from kitestring.app.service.relay_word import Carried
from kitestring.base.clocks import ClockReading
from kitestring.base.enrolments import is_enrolled
from kitestring.base.errors import in_plain_words
from kitestring.base.node import Backend, Finding, FindingState
from kitestring.base.payments import State
from kitestring.engine.left_behind import left_behind
from kitestring.engine.same_node import another

#: `doctor` shows the newest alarms of the last week: enough for whoever looks once a week, and no log.
ALARMS_S: Final = 7 * 86_400
MAX_ALARMS: Final = 10
#: What the key of the service is called among the names of connections.
OFFERS: Final = "all offers and debit codes"
#: The name of the findings about relays that the service has left.
OLD_RELAY: Final = "old relay"
#: The name of the finding about enrolment.
ENROLL: Final = "enroll"
_IDLE: Final = "is named by no link and no code any more: from the next start on it is not served"
#: The facts about a node that cannot be used, but for the reason.
_UNREACHABLE: Final[Result] = {
    "reachable": False, "why": None, "mend": None, "alias": None, "network": None, "block_height": None,
    "spendable_msat": None, "receivable_msat": None,
}  # fmt: skip
#: Lines about holders whose share is full.
MAX_FULL: Final = 10
#: Lines about hold invoices of another node, and how many hold invoices are read in one go for them.
MAX_LEFT: Final = 10
HOLDS_PAGE: Final = 200


class AuditParams(msgspec.Struct, forbid_unknown_fields=True):
    """``whole_node``: nobody but this service uses the node."""

    whole_node: bool = False


async def card(desk: Reading, _params: NoParams, _call: Call) -> Result:
    """Show what others need to reach this service: its relays, its key, its first offer and debit code."""
    return {
        "relays": list(desk.relay_urls()),
        "old_relays": [msgspec.to_builtins(kept) for kept in await _kept(desk)],
        "service_pubkey": desk.service_id,
        "noffer": await shown_noffer(desk),
        "ndebit": await shown_ndebit(desk),
    }


async def _kept(desk: Reading) -> tuple[KeptRelay, ...]:
    return await stored_kept_relays(desk.store, desk.relay_urls(), desk.clock.now())


async def doctor(desk: Asking, _params: NoParams, _call: Call) -> Result:
    """Gather the facts about the running service that `kitestring doctor` judges."""
    payments = await desk.store.open_payments()
    carried, kept = await desk.carried(), await _kept(desk)
    old = old_relays((relay.url for relay in carried), desk.relay_urls())
    alarms = await desk.store.alarms(desk.clock.now() - ALARMS_S, MAX_ALARMS)
    return {
        "node": await _node_facts(desk),
        "findings": [
            {"name": f.name, "state": f.state.value, "message": f.sentence}
            for f in (
                *await how_it_is(desk.backend),
                *await _lost_records(desk),
                *await _left_behind(desk),
                *await _enrolled(desk),
                *desk.findings(),
                *await about_webhooks(desk),
                *about_old_relays(old, kept),
            )
        ],
        "relays": await _relay_facts(desk, carried, old),
        "asked_at": desk.clock.now(),
        "clocks": [_show_clock(reading) for reading in await desk.read_clocks()],
        "questions": await _questions(desk),
        "open_payments": len(payments),
        "unknown_payments": [payment.payment_hash for payment in payments if payment.state is State.UNKNOWN],
        **await _account_facts(desk),
        "alarms": [{"happened_at": alarm.at, "sentence": alarm.detail} for alarm in alarms],
        "full_shares": await _full_shares(desk),
        "spending_stopped": [{"cause": stop.cause.value, "why": stop.why} for stop in await desk.store.stops()],
    }


def about_old_relays(served: Collection[str], kept: Sequence[KeptRelay]) -> tuple[Finding, ...]:
    """Tell of each old relay: of those that are ``kept``, and of those that are ``served`` without need."""
    idle = old_relays(served, [one.url for one in kept]) if kept else served
    return (
        *(Finding(OLD_RELAY, FindingState.INFO, one.why) for one in kept),
        *(Finding(OLD_RELAY, FindingState.INFO, f"{url} {_IDLE}") for url in idle),
    )


async def _enrolled(desk: Asking) -> tuple[Finding, ...]:
    """Tell whether strangers may open accounts here, and how many have one."""
    terms = desk.config.enroll
    number = sum(is_enrolled(account.account_id) for account in await desk.store.accounts())
    if not terms.is_open:
        closed = f"closed to new keys; {number} have an account"
        return (Finding(ENROLL, FindingState.INFO, closed),) if number else ()
    if number >= terms.max_accounts:
        full = f"full, {number} accounts: raise enroll.max_accounts, or close it with enroll.mode off"
        return (Finding(ENROLL, FindingState.WARN, full),)
    words = f"open to strangers for {terms.difficulty} bits of work; {number} of {terms.max_accounts} have an account"
    return (Finding(ENROLL, FindingState.INFO, words),)


async def _account_facts(desk: Asking) -> Result:
    """Accounts that somebody has to look at: overdrawn ones, and closed ones to which money has come late."""
    accounts = await desk.store.accounts()
    late = [one for one in accounts if one.closed_at is not None and one.available_msat > 0]
    return {
        "overdrawn_accounts": [called(account) for account in accounts if account.overdrawn],
        "late_money": [{"account": one.account_id, "available_msat": int(one.available_msat)} for one in late],
    }


async def _questions(desk: Asking) -> Result:
    """The questions that wait for the owner."""
    waiting = await desk.store.approvals(limit=MAX_ROWS)
    return {"waiting": len(waiting), "oldest_at": waiting[0].asked_at if waiting else None}


async def _relay_facts(desk: Asking, carried: Sequence[Carried], old: Collection[str]) -> list[Result]:
    names = {grant.service_pubkey: grant.name for grant in await desk.store.grants()} | {desk.service_id: OFFERS}
    return [
        {
            "url": relay.url,
            "connected": relay.connected,
            "asked": relay.asked,
            "unheard": sorted(names.get(key, key) for key in relay.unheard),
            "words": relay.words or None,
            "old": relay.url in old,
        }
        for relay in carried
    ]


async def _full_shares(desk: Asking) -> list[Result]:
    """The holders that may have no more payments under way, or unpaid invoices, until some have ended."""
    known = await desk.store.nodes()
    if not known:
        return []
    full = desk.shares.full(await desk.store.places(known[-1].node_id))[:MAX_FULL]
    named = {grant.grant_id: grant.name for grant in await desk.store.grants()} if full else {}
    return [{"holder": named.get(one.holder, one.holder), "what": one.what, "number": one.number} for one in full]


def _show_clock(reading: ClockReading) -> Result:
    return {**msgspec.to_builtins(reading), "machine": reading.machine or None}


async def _node_facts(desk: Asking) -> Result:
    known = await desk.store.nodes()
    try:
        found = await desk.backend.info()
        if known and found.node_id != known[-1].node_id:
            return {**_UNREACHABLE, "why": another(found.node_id, known[-1].node_id)}
        money = await desk.backend.balance()
    except Exception as error:  # noqa: BLE001 - whatever it is, the owner asked what is wrong with the node
        mend = "is it running, and is its address right?"
        return {**_UNREACHABLE, "why": in_plain_words(error), "mend": mend}
    return {
        "reachable": True,
        "why": None,
        "mend": None,
        "alias": found.alias or None,
        "network": found.network or None,
        "block_height": found.block_height,
        "spendable_msat": int(money.spendable_msat),
        "receivable_msat": int(money.receivable_msat),
    }


async def _lost_records(desk: Asking) -> tuple[Finding, ...]:
    """Whether the node lists fewer payments than it did at a claim."""
    known = await desk.store.nodes()
    before = await desk.store.payment_index(known[-1].node_id) if known else None
    if before is None:
        return ()
    try:
        present = await desk.backend.payment_index()
    except Exception:  # noqa: BLE001 - why the node cannot be asked is told in another line
        return ()
    if present >= before:
        return ()
    return (
        Finding(
            "records",
            FindingState.WARN,
            f"the node's list of payments became shorter ({before} before, {present} now): never delete payments there,"
            " the service needs them to tell what was paid",
        ),
    )


async def _left_behind(desk: Asking) -> tuple[Finding, ...]:
    """Name what is held, or was decided, at a node on which the service does not stand any more, as long as it is so:
    its alarm is not always among the newest."""
    nodes = await desk.store.nodes()
    found: list[Finding] = []
    after = ""
    while nodes and len(found) < MAX_LEFT and (page := await desk.store.holds(after=after, limit=HOLDS_PAGE)):
        told = (left_behind(invoice, nodes[-1].node_id) for invoice in page)
        found += [Finding("hold", FindingState.WARN, sentence) for sentence in told if sentence]
        after = page[-1].invoice_id
    return tuple(found[:MAX_LEFT])


async def how_it_is(node: Backend) -> tuple[Finding, ...]:
    """The node's findings, also where its backend breaks its word never to raise."""
    try:
        return await node.findings()
    except Exception as error:  # noqa: BLE001 - a backend of another package must not take the whole doctor with it
        return (
            Finding("node", FindingState.WARN, f"its backend could not be asked how it is: {in_plain_words(error)}"),
        )


async def audit_node(desk: Asking, params: AuditParams, _call: Call) -> Result:
    """Compare every payment and invoice in the ledger with the node's own lists."""
    found = await against_node(desk, whole_node=params.whole_node)
    return {
        "violations": list(found.violations),
        "payments": found.payments,
        "invoices": found.invoices,
        "stopped_by": [stop.cause.value for stop in await desk.store.stops()],
    }


async def against_node(desk: Asking, *, whole_node: bool) -> Findings:
    """The ledger compared with the node's lists, and the node's own books. Raises KitestringError(UNAVAILABLE)."""
    home = DataDir(desk.config.data_dir, desk.config.runtime_dir)
    found = await examine(AuditedService(home.ledger, desk.service_id, whole_node), desk.backend, desk.clock)
    return replace(found, violations=(*found.violations, *await told(desk.backend.own_books())))


COMMANDS: Final[Commands] = (
    Read("card", NoParams, card, results.CardJson),
    Ask("doctor", NoParams, doctor, results.HealthJson),
    Ask("audit_node", AuditParams, audit_node, results.NodeAuditJson),
)
