"""The answers of the commands about wallet connections."""

from __future__ import annotations

from typing import Annotated, Literal

from kitestring.app.owner.results.budgets import Budgets, BudgetsNow
from kitestring.app.owner.results.words import (
    AccountName,
    AnswerJson,
    Changed,
    ChangedFields,
    Created,
    CreatedAt,
    ExpiresAt,
    OldRelays,
    PerPaymentMsat,
    RevokedAt,
    says,
)
from kitestring.base.grants import CipherSetting, ShownBalance, ShownHistory
from kitestring.policy.presets import PresetName


class _ConnectionJson(AnswerJson):
    name: Annotated[str, says("Its name.")]
    connection_id: Annotated[str, says("Its id, which stays when the name changes.")]
    service_pubkey: Annotated[str, says("The public key by which the app knows this service.")]
    client_pubkey: Annotated[str, says("The public key of the app.")]
    account: AccountName
    methods: Annotated[list[str], says("What it may do: methods and notifications of NIP-47.")]
    preset: Annotated[
        PresetName | None,
        says("The preset that stands for exactly these; null: a list of your own."),
    ]
    per_payment_msat: PerPaymentMsat
    fee_cap_msat: Annotated[int | None, says("The most that routing of one payment may cost; null: the service's.")]
    expires_at: ExpiresAt
    encryption: Annotated[CipherSetting, says("The encryption that it is served with.")]
    lud16: Annotated[str | None, says("The Lightning Address in its link.")]
    show_balance: Annotated[ShownBalance, says("The balance that its app is told.")]
    show_history: Annotated[ShownHistory, says("The payments that its app sees and is told of.")]
    created_at: CreatedAt
    paused_at: Annotated[int | None, says("Since when it is paused; null: it is not.")]
    version: Annotated[int, says("Grows with each change; name it to change what you saw.")]


class ConnectionJson(_ConnectionJson):
    """A wallet connection, which one app has."""

    budgets: Budgets


class RelayWordJson(AnswerJson):
    """A relay's word about a connection that was announced to it."""

    relay: Annotated[str, says("The relay.")]
    carries: Annotated[bool, says("Whether it shows apps what the connection may do.")]
    words: Annotated[str | None, says("Why not; null where there is nothing to say.")]


class ConnectionMadeJson(ConnectionJson):
    """A connection with its link, which is a secret."""

    created: Created
    nwc_uri: Annotated[str | None, says("The secret link; null once it was used.")]
    callback: Annotated[str | None, says("The link at which the app waits, where it has asked by a deep link.")]
    open: Annotated[str | None, says("The link that hands the connection over to that app.")]
    relays: Annotated[list[RelayWordJson], says("What each relay says of it; empty once the link was used.")]


class _StandingJson(_ConnectionJson):
    budgets: BudgetsNow
    state: Annotated[Literal["active", "paused", "expired", "revoked"], says("`active` alone lets its app in.")]
    spent_msat: Annotated[int | None, says("What is used of the budget with the least left; null: it has none.")]
    left_msat: Annotated[int | None, says("What is left of that budget.")]
    renews_at: Annotated[int | None, says("When that budget renews.")]
    used: Annotated[bool, says("Whether its link was used; it is not shown again then.")]
    last_used_at: Annotated[int | None, says("When its app has last asked for something.")]


class ConnectionListedJson(_StandingJson):
    """A connection in the list."""

    open_payments: Annotated[int, says("Its payments that are under way.")]
    open_invoices: Annotated[int, says("Its invoices that nobody has paid yet.")]
    old_relays: OldRelays


class ConnectionListJson(AnswerJson):
    """All connections."""

    connections: Annotated[list[ConnectionListedJson], says("Those that were not revoked, the oldest first.")]


class RelayOfLinkJson(AnswerJson):
    """A relay in the link of a connection."""

    relay: Annotated[str, says("The relay.")]
    listening: Annotated[bool, says("Whether it brings us requests.")]
    announced: Annotated[bool, says("Whether it shows apps what the connection may do.")]
    words: Annotated[str | None, says("Why not; null where there is nothing to say.")]


class ConnectionPausedJson(_StandingJson):
    """A connection that was paused or resumed."""

    changed: Changed


class ConnectionShownJson(_StandingJson):
    """One connection, how its budgets stand, and how it can be reached."""

    relays: Annotated[list[RelayOfLinkJson], says("The relays of its link.")]


class ConnectionEditedJson(ConnectionShownJson):
    """A connection after a change."""

    changed: ChangedFields


class ConnectionRevokedJson(AnswerJson):
    """A connection that was ended."""

    name: Annotated[str, says("Its name.")]
    connection_id: Annotated[str, says("Its id.")]
    revoked_at: RevokedAt
