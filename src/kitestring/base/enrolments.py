"""Accounts of keys that have enrolled themselves: their names, and the rows that each begins with."""

from __future__ import annotations

from typing import Final

import msgspec

from kitestring.base.grants import Account, Grant, Offer

#: The beginning of the id of every such account. No owner's command makes one with a colon.
PREFIX: Final = "enrolled:"
#: What follows in order on all of these: behind a colon comes a semicolon.
PREFIX_END: Final = "enrolled;"
#: Hex digits of the public key in that id, half of it: a line of a list has room for it. Nobody finds a second key with
#: the same ones (2**128 tries), and one that did would be refused, because the account's name is the whole key.
KEY_DIGITS: Final = 32
#: An offer's label is this, and so many digits of its id. Payers read it: the key does not stand there, for they need
#: not know it.
LABEL: Final = "enrolled "
LABEL_DIGITS: Final = 8
#: Accounts beyond this number are a mistake in the settings: each is five rows, and every start reads the grants.
MAX_ACCOUNTS: Final = 100_000
#: Keys are free, and each account costs tenths of a second of work. So all of them together may bind as much of the
#: service as so many connections: of what is kept of refusals, of requests, of payments, and of places that all share.
TOGETHER: Final = 4
#: The name under which they are counted together.
ALL_ENROLLED: Final = "@enrolled"


class Enrolment(msgspec.Struct, frozen=True):
    """An account with its first offer, its debit pointer, and the grant of its key at that pointer."""

    account: Account
    offer: Offer
    pointer: Grant
    grant: Grant


def account_id_of(pubkey: str) -> str:
    """The id of the account of a public key (hex)."""
    return f"{PREFIX}{pubkey[:KEY_DIGITS]}"


def is_enrolled(account_id: str) -> bool:
    """Whether a key has enrolled itself for this account."""
    return account_id.startswith(PREFIX)


def enrolled_key(account: Account) -> str:
    """The public key (hex) that an account belongs to, "" for one that the owner has made."""
    return account.name if is_enrolled(account.account_id) else ""
