"""The answers of the commands about the service as a whole: card, health, books, beacon, events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from kitestring.app.owner.results.words import AccountName, AnswerJson, ServicePubkey, says


class KeptRelayJson(AnswerJson):
    """A relay that the settings do not name any more, and the names of everything that still names it."""

    url: Annotated[str, says("The relay.")]
    connections: Annotated[list[str], says("Connections.")]
    offers: Annotated[list[str], says("Offers.")]
    pointers: Annotated[list[str], says("Debit pointers.")]
    links: Annotated[list[str], says("Links for apps that manage offers.")]


class CardJson(AnswerJson):
    """The ways to reach this service."""

    relays: Annotated[list[str], says("Its relays.")]
    old_relays: Annotated[list[KeptRelayJson], says("Old relays that it still serves.")]
    service_pubkey: ServicePubkey
    noffer: Annotated[str | None, says("The code of its first offer.")]
    ndebit: Annotated[str | None, says("The code of its first debit pointer.")]


class NodeFactsJson(AnswerJson):
    """The node as it is now; what does not fit the other fields is null."""

    reachable: Annotated[bool, says("Whether it answers, and is the one that it was.")]
    why: Annotated[str | None, says("Why it cannot be used.")]
    mend: Annotated[str | None, says("What to look at.")]
    alias: Annotated[str | None, says("Its name.")]
    network: Annotated[str | None, says("Its network.")]
    block_height: Annotated[int | None, says("The height of its chain.")]
    spendable_msat: Annotated[int | None, says("What it can spend.")]
    receivable_msat: Annotated[int | None, says("What it can receive.")]


class FindingJson(AnswerJson):
    """One line of ``kitestring doctor``."""

    name: Annotated[str, says("What it is about.")]
    state: Annotated[Literal["ok", "info", "warn", "fail"], says("How bad it is.")]
    message: Annotated[str, says("The sentence.")]


class RelayFactsJson(AnswerJson):
    """A relay, judged by the requests that the service sent itself over it."""

    url: Annotated[str, says("The relay.")]
    connected: Annotated[bool, says("Whether there is a connection.")]
    asked: Annotated[int, says("How many requests were sent over it.")]
    unheard: Annotated[list[str], says("Connections to which requests did not come back.")]
    words: Annotated[str | None, says("The relay's own words.")]
    old: Annotated[bool, says("Whether the settings do not name it any more.")]


class ClockReadingJson(AnswerJson):
    """A clock as it was read once: ours is ahead of it by that much, less than 0 where behind."""

    whose: Annotated[str, says("Whose it is.")]
    machine: Annotated[str | None, says("The host it runs on; null where that may be this machine.")]
    least_s: Annotated[int, says("We are at least so far ahead.")]
    most_s: Annotated[int, says("We are at most so far ahead.")]


class WaitingJson(AnswerJson):
    """Questions that wait for the owner."""

    waiting: Annotated[int, says("How many.")]
    oldest_at: Annotated[int | None, says("When the oldest was asked.")]


class AlarmJson(AnswerJson):
    """An alarm of the last week."""

    happened_at: Annotated[int, says("When it was raised.")]
    sentence: Annotated[str, says("What happened.")]


class FullShareJson(AnswerJson):
    """A holder that may have no more until some have ended."""

    holder: Annotated[str, says("Whose share it is.")]
    what: Annotated[Literal["payments", "invoices"], says("Of what.")]
    number: Annotated[int, says("How many are under way.")]


class SpendingStopJson(AnswerJson):
    """A reason for which spending is stopped."""

    cause: Annotated[str, says("The cause.")]
    why: Annotated[str, says("The sentence.")]


class LateMoneyJson(AnswerJson):
    """A closed account that holds money again."""

    account: AccountName
    available_msat: Annotated[int, says("What it holds.")]


class HealthJson(AnswerJson):
    """The facts that ``kitestring doctor`` judges."""

    node: Annotated[NodeFactsJson, says("The node.")]
    findings: Annotated[list[FindingJson], says("What the parts of the service have found.")]
    relays: Annotated[list[RelayFactsJson], says("The relays.")]
    asked_at: Annotated[int, says("When this was asked.")]
    clocks: Annotated[list[ClockReadingJson], says("The clocks of relays and node.")]
    questions: Annotated[WaitingJson, says("Questions that wait for the owner.")]
    open_payments: Annotated[int, says("How many payments are under way.")]
    unknown_payments: Annotated[list[str], says("Hashes of payments whose end nobody knows.")]
    overdrawn_accounts: Annotated[list[str], says("Accounts that have spent more than they had.")]
    late_money: Annotated[list[LateMoneyJson], says("Closed accounts to which money has come late.")]
    alarms: Annotated[list[AlarmJson], says("The newest alarms of the last week.")]
    full_shares: Annotated[list[FullShareJson], says("Who may have no more for now.")]
    spending_stopped: Annotated[list[SpendingStopJson], says("Why spending is stopped; empty: it is not.")]


class NodeAuditJson(AnswerJson):
    """The ledger compared with the node's own lists."""

    violations: Annotated[list[str], says("What does not agree; empty: everything does.")]
    payments: Annotated[int, says("How many payments were compared.")]
    invoices: Annotated[int, says("How many invoices were compared.")]
    stopped_by: Annotated[list[str], says("The causes for which spending is stopped.")]


class RelayOfBeaconJson(AnswerJson):
    """A relay's word about the beacon."""

    relay: Annotated[str, says("The relay.")]
    has_it: Annotated[bool, says("Whether it has the beacon.")]
    words: Annotated[str | None, says("Its own words, or why it has not.")]


class BeaconSaidJson(AnswerJson):
    """The beacon of this service."""

    is_on: Annotated[bool, says("Whether it is published regularly.")]
    published: Annotated[bool, says("Whether it was published now, and a relay has it.")]
    service_pubkey: ServicePubkey
    operator: Annotated[str | None, says("The operator that it names, as an npub.")]
    content: Annotated[dict[str, Any], says("What it says: see the specification of CLINK Beacon.")]
    event_id: Annotated[str | None, says("The event that was published last; null: none was.")]
    created_at: Annotated[int | None, says("The time in it.")]
    relays: Annotated[list[RelayOfBeaconJson], says("What each relay said to it.")]


class EventJson(AnswerJson):
    """Something that became true."""

    number: Annotated[int, says("Its number; they have no gap.")]
    happened_at: Annotated[int, says("When it became true.")]
    kind: Annotated[str, says("What it is: `settled`, `failed`, `received`, …")]
    payment_hash: Annotated[str | None, says("The payment or invoice that it is about; null: none.")]
    approval_id: Annotated[str | None, says("The question that it is about; null: none.")]
    connection_id: Annotated[str | None, says("The connection; null: the owner's own, or none.")]
    account: Annotated[str | None, says("The account.")]
    detail: Annotated[str | None, says("More in words.")]


class EventListJson(AnswerJson):
    """Events in the order of their numbers."""

    last: Annotated[int, says("The number of the newest event there is.")]
    missed: Annotated[int, says("Events after `--after` that were forgotten meanwhile.")]
    events: Annotated[list[EventJson], says("The events, the oldest first.")]


class SpendingAllowedJson(AnswerJson):
    """The end of a stop of spending, or of none."""

    allowed: Annotated[list[str], says("Causes that stop it no more.")]
    spending_stopped: Annotated[str | None, says("Why it is still stopped; null: it is not.")]
