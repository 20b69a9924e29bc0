"""The answers of the commands about questions to the owner, and about blocked keys,."""

from __future__ import annotations

from typing import Annotated, Literal

from kitestring.app.owner.results.budgets import BudgetJson, BudgetsNow
from kitestring.app.owner.results.words import AnswerJson, ExpiresAt, Key, Npub, PerPaymentMsat, says


class WishJson(AnswerJson):
    """The connection that an app asks for; its texts are the app's own."""

    name: Annotated[str | None, says("What the app calls itself.")]
    methods: Annotated[list[str], says("What it needs.")]
    optional_methods: Annotated[list[str], says("What it takes where it is served.")]
    budget: Annotated[BudgetJson | None, says("The budget that it asks for; null: none.")]
    expires_at: ExpiresAt
    isolated: Annotated[bool, says("Whether it wants an account of its own.")]
    verifiable: Annotated[bool, says("Whether it can tell that the answer is to its request.")]
    wants_link: Annotated[bool, says("Whether it waits for a link.")]
    relays: Annotated[list[str], says("The relays at which it waits.")]
    return_to: Annotated[str | None, says("The link by which it goes on.")]


class DeedJson(AnswerJson):
    """A deed that an app asks for, about an offer; the texts of its fields are the app's own."""

    action: Annotated[Literal["create", "update", "get", "list", "delete"], says("What it asks to do.")]
    offer_id: Annotated[str | None, says("The offer that it is about.")]
    offer: Annotated[str | None, says("The label of that offer, as it is now.")]
    fields: Annotated[DeedFieldsJson, says("The values that the offer is to have.")]


class DeedFieldsJson(AnswerJson):
    """The values that an app gives an offer."""

    label: Annotated[str | None, says("The label; null: as it is.")]
    price_sats: Annotated[int | None, says("The price in sats, 0: the payer names it; null: as it is.")]
    callback_url: Annotated[str | None, says("Where it is told of payments; null: as it is.")]
    payer_data: Annotated[list[str] | None, says("What a payer is asked for; null: as it is.")]


class GrantOfCallerJson(AnswerJson):
    """The grant that the caller has already."""

    grant_id: Annotated[str, says("The id of its grant.")]
    budgets: BudgetsNow
    per_payment_msat: PerPaymentMsat
    expires_at: ExpiresAt


class DealingsJson(AnswerJson):
    """The dealings with the caller so far."""

    payments: Annotated[int, says("How many payments.")]
    cost_msat: Annotated[int, says("What they have cost, fees included.")]
    last_at: Annotated[int | None, says("When the last one was.")]


class QuestionJson(AnswerJson):
    """A question to the owner. It is decided once."""

    id: Annotated[str, says("Its id.")]
    version: Annotated[int, says("Grows when the caller asks for something else; name it to decide what you saw.")]
    kind: Annotated[Literal["payment", "budget", "manage", "connection"], says("What is asked for.")]
    wire: Annotated[str, says("The protocol by which it was asked.")]
    caller: Annotated[str, says("The public key that asks.")]
    npub: Npub
    pointer_id: Annotated[str | None, says("The debit pointer, link or connection at which it was asked.")]
    pointer: Annotated[str | None, says("Its name.")]
    asked_at: Annotated[int, says("When it was asked.")]
    expires_at: Annotated[int, says("Until when it can be decided.")]
    amount_msat: Annotated[int | None, says("The amount of the payment that is asked for; null: none is.")]
    max_fee_msat: Annotated[int | None, says("The most that its routing may cost.")]
    service_fee_msat: Annotated[int | None, says("What the service itself would take.")]
    budget: Annotated[BudgetJson | None, says("The budget that is asked for; null: none is.")]
    grant: Annotated[GrantOfCallerJson | None, says("What the caller may take there already; null: nothing.")]
    description: Annotated[str | None, says("The caller's own words.")]
    invoice_description: Annotated[str | None, says("The words of the invoice, which are the payee's.")]
    payment_hash: Annotated[str | None, says("The hash of the payment that is asked for.")]
    connection: Annotated[WishJson | None, says("The connection that is asked for; null: none is.")]
    manage: Annotated[DeedJson | None, says("What is to be done with offers; null: nothing.")]
    dealings: Annotated[DealingsJson, says("What the caller has taken so far.")]
    state: Annotated[str, says("`open`, or how it ended.")]
    decided_at: Annotated[int | None, says("When it was decided.")]
    decided_by: Annotated[str | None, says("Who has decided; null: nobody yet, or time.")]
    decision: Annotated[str | None, says("What was decided.")]


class QuestionListJson(AnswerJson):
    """Questions to the owner."""

    approvals: Annotated[list[QuestionJson], says("The questions, the oldest first.")]


class ApprovedJson(QuestionJson):
    """A question after a yes, and what came of it."""

    outcome: Annotated[str, says("`paid`, `not_paid` (proven), `open` (still under way), `granted`, or its state.")]
    why: Annotated[str | None, says("Why nothing was paid.")]
    fee_msat: Annotated[int | None, says("The fee for routing; null unless it is paid.")]
    service_fee_msat: Annotated[int | None, says("The fee that the service itself has taken, or would take.")]
    connected: Annotated[str | None, says("The name of the connection that was made; null: none.")]


class DeniedJson(QuestionJson):
    """A question after a no."""

    outcome: Annotated[Literal["denied", "blocked"], says("Whether its key may ask again.")]


class BlockedKeyJson(AnswerJson):
    """A key that is refused whatever it asks for."""

    caller: Key
    npub: Npub
    blocked_at: Annotated[int, says("Since when.")]
    note: Annotated[str | None, says("Your note.")]


class BlockedListJson(AnswerJson):
    """The keys that are refused."""

    blocked: Annotated[list[BlockedKeyJson], says("The keys.")]


class BlockedJson(AnswerJson):
    """A key that is blocked."""

    caller: Key
    npub: Npub
    blocked: Annotated[bool, says("Whether it was blocked now; false: it was already.")]


class UnblockedJson(AnswerJson):
    """A key that may ask again."""

    caller: Key
    npub: Npub
    unblocked: Annotated[bool, says("Whether it was blocked until now.")]
