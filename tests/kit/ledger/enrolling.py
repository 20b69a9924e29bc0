"""A key that enrolls: the rows of its account, and the transaction that stores them."""

from __future__ import annotations

from typing import Any

from kitestring.base.enrolments import LABEL, Enrolment, account_id_of
from kitestring.base.grants import Account, Grant, Offer
from kitestring.base.transactions.owner import EnrollKey
from tests.kit.changed import replace
from tests.kit.ledger.values import NOW, reply, request

#: The key of somebody who enrolls.
NEWCOMER = "ec" * 32


def enrolment(key: str = NEWCOMER, at: int = NOW) -> Enrolment:
    """Ids here have the end of the key in them: the ledger does not know where they come from."""
    account_id, offer_id, pointer_id = account_id_of(key), f"0f{key[-30:]}", f"d0{key[-30:]}"
    pointer = Grant(
        grant_id=pointer_id, name=account_id, wire="debits", account_id=account_id, service_pubkey="5e" * 32,
        methods=frozenset({"pay_invoice"}), relays=("wss://relay.example",), pointer_id=pointer_id, created_at=at,
    )  # fmt: skip
    return Enrolment(
        Account(account_id=account_id, name=key, created_at=at),
        Offer(offer_id=offer_id, label=LABEL + offer_id[:8], account_id=account_id, creator=key, created_at=at),
        pointer,
        replace(pointer, grant_id=f"90{key[-30:]}", caller=key, service_pubkey="", relays=()),
    )


def enroll(key: str = NEWCOMER, name: str = "", *, max_accounts: int = 10, **of: Any) -> EnrollKey:
    made, name = enrolment(key), name or f"enroll-{key[:8]}"
    asked = request(name, wire="enroll", grant_id=made.grant.grant_id, **of)
    return EnrollKey(asked, made, reply(name, "codes"), max_accounts)
