"""The answers of the commands about debit pointers, grants and sessions."""

from __future__ import annotations

from typing import Annotated, Literal

from kitestring.app.owner.results.budgets import BudgetsNow
from kitestring.app.owner.results.words import (
    AccountName,
    AnswerJson,
    Changed,
    Created,
    CreatedAt,
    ExpiresAt,
    LeftRelays,
    Npub,
    OldRelays,
    PerPaymentMsat,
    RevokedAt,
    says,
)
from kitestring.base.grants import Sessions, Strangers


class PointerJson(AnswerJson):
    """A debit pointer: a code by which others ask for money."""

    pointer_id: Annotated[str, says("Its id.")]
    label: Annotated[str, says("Its label.")]
    ndebit: Annotated[str, says("Its code.")]
    policy: Annotated[Strangers, says("What a key without a grant gets.")]
    sessions: Annotated[Sessions, says("Which codes that are good once it takes.")]
    account: AccountName
    budgets: BudgetsNow
    per_payment_msat: PerPaymentMsat
    grants: Annotated[int, says("How many keys may take by it without asking.")]
    created_at: CreatedAt
    old_relays: OldRelays


class PointerMadeJson(PointerJson):
    """A pointer, whether it was made now or before."""

    created: Created


class PointerListJson(AnswerJson):
    """All debit pointers."""

    pointers: Annotated[list[PointerJson], says("The owner's own, the oldest first.")]


class PointerChangedJson(PointerJson):
    """A pointer after a change."""

    changed: Changed


class PointerRelinkedJson(PointerChangedJson):
    """A pointer with its code of today."""

    left_relays: LeftRelays


class PointerDeletedJson(AnswerJson):
    """A pointer that was ended."""

    pointer_id: Annotated[str, says("Its id.")]
    label: Annotated[str, says("Its label.")]
    revoked_at: RevokedAt
    grants: Annotated[int, says("How many grants ended with it.")]


class DebitJson(AnswerJson):
    """A debit grant: what one key may take by one pointer without asking."""

    grant_id: Annotated[str, says("Its id.")]
    name: Annotated[str, says("Its name.")]
    caller: Annotated[str, says("The public key that may take.")]
    npub: Npub
    pointer_id: Annotated[str, says("The id of the pointer.")]
    pointer: Annotated[str | None, says("The label of the pointer.")]
    account: AccountName
    budgets: BudgetsNow
    per_payment_msat: PerPaymentMsat
    expires_at: ExpiresAt
    created_at: CreatedAt
    last_paid_at: Annotated[int | None, says("When the key was last paid.")]


class DebitListJson(AnswerJson):
    """Debit grants."""

    grants: Annotated[list[DebitJson], says("The grants, the oldest first.")]


class DebitEditedJson(DebitJson):
    """A grant after a change."""

    changed: Changed


class DebitRevokedJson(AnswerJson):
    """A grant that was ended."""

    grant_id: Annotated[str, says("Its id.")]
    name: Annotated[str, says("Its name.")]
    caller: Annotated[str, says("The public key that may not take any more.")]
    npub: Npub
    revoked_at: RevokedAt


class SessionMadeJson(AnswerJson):
    """A code that is good for one payment."""

    session: Annotated[str, says("Its mark in the list of sessions, which is no secret.")]
    pointer_id: Annotated[str, says("The id of the pointer.")]
    pointer: Annotated[str, says("The label of the pointer.")]
    min_msat: Annotated[int, says("The least that may be taken.")]
    max_msat: Annotated[int, says("The most that may be taken.")]
    expires_at: Annotated[int, says("Until when it can be used.")]
    ndebit: Annotated[str | None, says("The code; null once it is forgotten.")]


class SessionJson(AnswerJson):
    """A code that was good for one payment, and its end."""

    session: Annotated[str, says("Its mark.")]
    state: Annotated[Literal["waiting", "paying", "used", "expired", "closed"], says("How it stands.")]
    min_msat: Annotated[int, says("The least that may be taken.")]
    max_msat: Annotated[int, says("The most that may be taken.")]
    created_at: CreatedAt
    expires_at: Annotated[int, says("Until when it can be used.")]
    amount_msat: Annotated[int | None, says("What was taken, or is being taken.")]
    fee_msat: Annotated[int | None, says("The fee for routing; null unless it is used.")]
    service_fee_msat: Annotated[int | None, says("The fee of the service itself; null unless it is used.")]
    settled_at: Annotated[int | None, says("When it was paid.")]
    payment_hash: Annotated[str | None, says("The hash of its payment.")]


class SessionListJson(AnswerJson):
    """The sessions of one pointer."""

    pointer_id: Annotated[str, says("The id of the pointer.")]
    sessions: Annotated[list[SessionJson], says("The sessions, the newest first.")]
