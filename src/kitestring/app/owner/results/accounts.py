"""The answers of the commands about accounts."""

from __future__ import annotations

from typing import Annotated

from kitestring.app.owner.results.words import AnswerJson, Created, CreatedAt, says


class AccountJson(AnswerJson):
    """A sub-account: a balance in the ledger beside the owner's own."""

    account: Annotated[str, says("Its name.")]
    available_msat: Annotated[int, says("What it can spend.")]
    pending_msat: Annotated[int, says("What is held for payments that are under way.")]
    overdrawn: Annotated[bool, says("Whether it has spent more than it had, by a truth that came late.")]
    created_at: CreatedAt
    closed_at: Annotated[int | None, says("When it was closed; null: it is open.")]
    npub: Annotated[str | None, says("The key that has opened it by itself; null: the owner has made it.")]


class AccountMadeJson(AccountJson):
    """The account, whether it was made now or before."""

    created: Created


class AccountListJson(AnswerJson):
    """All sub-accounts."""

    accounts: Annotated[list[AccountJson], says("The owner's first, then those of keys that have enrolled.")]


class OfferOfAccountJson(AnswerJson):
    """An offer that fills an account."""

    offer_id: Annotated[str, says("Its id.")]
    label: Annotated[str, says("Its label.")]
    noffer: Annotated[str, says("Its code.")]


class PointerOfAccountJson(AnswerJson):
    """A debit pointer that takes from an account."""

    pointer_id: Annotated[str, says("Its id.")]
    label: Annotated[str, says("Its label.")]
    ndebit: Annotated[str, says("Its code.")]


class AccountMoveJson(AnswerJson):
    """Money that the owner has moved from or to an account."""

    from_account: Annotated[str, says("The account that it was taken from; `owner` is the node itself.")]
    to_account: Annotated[str, says("The account that it was given to.")]
    amount_msat: Annotated[int, says("What was moved.")]
    note: Annotated[str | None, says("The owner's words about it.")]
    created_at: CreatedAt


class AccountShownJson(AccountJson):
    """A sub-account with its connections and codes, and the owner's newest moves."""

    connections: Annotated[list[str], says("The names of the connections that use it.")]
    offers: Annotated[list[OfferOfAccountJson], says("Its offers that can be paid.")]
    pointers: Annotated[list[PointerOfAccountJson], says("The debit pointers that take from it.")]
    moves: Annotated[list[AccountMoveJson], says("What the owner has moved, the newest first, at most 10.")]


class AccountClosedJson(AccountJson):
    """An account that is closed."""

    withdrawn_msat: Annotated[int, says("What went back to the owner with it.")]


class MovedJson(AnswerJson):
    """Money that a sub-account was given, or that was taken back from it."""

    account: Annotated[str, says("Its name.")]
    amount_msat: Annotated[int, says("What was moved.")]
    available_msat: Annotated[int, says("What it can spend now.")]


class TransferredJson(AnswerJson):
    """Money that was moved from one sub-account to another."""

    from_account: Annotated[str, says("The account that it was taken from.")]
    to_account: Annotated[str, says("The account that it was given to.")]
    amount_msat: Annotated[int, says("What was moved.")]
    from_available_msat: Annotated[int, says("What the first can spend now.")]
    to_available_msat: Annotated[int, says("What the second can spend now.")]
