"""What the commands about accounts answer."""

from __future__ import annotations

from typing import Annotated

from kitestring.app.owner.results.words import Answer, Created, CreatedAt, says


class Account(Answer):
    """A sub-account: a balance in the ledger beside the owner's own."""

    account: Annotated[str, says("Its name.")]
    available_msat: Annotated[int, says("What it can spend.")]
    pending_msat: Annotated[int, says("What is held for payments that are under way.")]
    overdrawn: Annotated[bool, says("Whether it has spent more than it had, by a truth that came late.")]
    created_at: CreatedAt
    npub: Annotated[str | None, says("The key that has opened it by itself; null: the owner has made it.")]


class AccountMade(Account):
    """The account, whether it was made now or before."""

    created: Created


class AccountList(Answer):
    """All sub-accounts."""

    accounts: Annotated[list[Account], says("The owner's sub-accounts first, then those of keys that have enrolled.")]


class OfferOfAccount(Answer):
    """An offer that fills an account."""

    offer_id: Annotated[str, says("Its id.")]
    label: Annotated[str, says("Its label.")]
    noffer: Annotated[str, says("Its code.")]


class PointerOfAccount(Answer):
    """A debit pointer that takes from an account."""

    pointer_id: Annotated[str, says("Its id.")]
    label: Annotated[str, says("Its label.")]
    ndebit: Annotated[str, says("Its code.")]


class AccountShown(Account):
    """A sub-account with its codes."""

    offers: Annotated[list[OfferOfAccount], says("Its offers that can be paid.")]
    pointers: Annotated[list[PointerOfAccount], says("The debit pointers that take from it.")]


class Moved(Answer):
    """What a sub-account was given, or what was taken back from it."""

    account: Annotated[str, says("Its name.")]
    amount_msat: Annotated[int, says("What was moved.")]
    available_msat: Annotated[int, says("What it can spend now.")]


class Transferred(Answer):
    """What was moved from one sub-account to another."""

    from_account: Annotated[str, says("The account that it was taken from.")]
    to_account: Annotated[str, says("The account that it was given to.")]
    amount_msat: Annotated[int, says("What was moved.")]
    from_available_msat: Annotated[int, says("What the first can spend now.")]
    to_available_msat: Annotated[int, says("What the second can spend now.")]
