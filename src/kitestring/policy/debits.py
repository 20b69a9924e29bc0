"""Decide who may take money by a pointer, and whether the owner has to be asked. Pure, on a snapshot of the grants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace as _replace
from typing import Final

import msgspec

from kitestring.base.approvals import ApprovalKind, Token
from kitestring.base.budgets import Budget
from kitestring.base.commands import DEBITS_WIRE, Debit
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.outcomes import Refused
from kitestring.policy.budget import goes_on, length_s

#: An invoice with less life than this, in seconds, is not begun: it could expire on its way.
MIN_LEFT_S: Final = 30


class Charged(msgspec.Struct, frozen=True, gc=False):
    """The payment may be made on ``grant``, with the ``token`` that is used up by it."""

    grant: Grant
    token: Token | None = None


class AskTheOwner(msgspec.Struct, frozen=True, gc=False):
    """The owner has to decide; until then the ``token`` is held."""

    kind: ApprovalKind
    token: Token | None = None


class Kept(msgspec.Struct, frozen=True, gc=False):
    """The caller has what it asks for already; nothing changes."""


def refuse_pointer(pointer: Grant | None, now: int, wire: str = DEBITS_WIRE) -> Refused | None:
    """The refusal of a pointer that is not there (any more), None of a good one of this wire."""
    if pointer is None or pointer.wire != wire or pointer.caller or pointer.revoked_at is not None:
        return Refused(Reason.UNKNOWN_TARGET, "there is no such pointer")
    if pointer.expires_at is not None and now >= pointer.expires_at:
        return Refused(Reason.CONNECTION_ENDED, "this pointer has expired")
    return None


def decide_debit(
    debit: Debit, pointer: Grant | None, grant: Grant | None, *, now: int, left: Mapping[int, Msat]
) -> Charged | AskTheOwner | Kept | Refused:
    """Decide on whose budget a debit is, at ``now`` (Unix seconds); ``grant`` is the caller's own at this pointer.

    ``left`` is what is left of those of its budgets that never renew, by number.
    """
    refused = refuse_pointer(pointer, now)
    if refused is not None or pointer is None:
        return refused or Refused(Reason.UNKNOWN_TARGET)
    if grant is not None and grant.expires_at is not None and now >= grant.expires_at:
        return Refused(Reason.CONNECTION_ENDED, "this permission has expired")
    if debit.payment is not None:
        return _payment(debit, pointer, grant)
    if grant is not None and _has(grant, debit.budget, left):
        return Kept()
    return AskTheOwner(ApprovalKind.BUDGET) if grant is not None or pointer.strangers == "ask" else _closed()


def _payment(debit: Debit, pointer: Grant, grant: Grant | None) -> Charged | AskTheOwner | Refused:
    """A session that we have made is an authority of its own; any other word only keeps a payment from coming twice."""
    token = Token(pointer.grant_id, debit.k1, pointer.sessions == "minted") if debit.k1 else None
    if token is not None and pointer.sessions == "off":
        # Whoever may not take anything is not told either what the pointer takes.
        is_closed = grant is None and pointer.strangers == "deny"
        return _closed() if is_closed else Refused(Reason.UNSUPPORTED, "this pointer takes no sessions")
    if token is not None and token.minted:
        return Charged(pointer, token)
    if grant is not None:
        return Charged(grant, token)
    if pointer.strangers == "budget":
        return Charged(pointer, token)
    return AskTheOwner(ApprovalKind.PAYMENT, token) if pointer.strangers == "ask" else _closed()


def _closed() -> Refused:
    return Refused(Reason.NOT_PERMITTED, "the owner has not allowed this key to take anything")


def _has(grant: Grant, asked: Budget | None, left: Mapping[int, Msat]) -> bool:
    """Whether every budget of the grant lets as much through as is asked for; None asks for no limit at all."""
    return all(asked is not None and _covers(own, asked, left) for own in grant.budgets)


def _covers(own: Budget, asked: Budget, left: Mapping[int, Msat]) -> bool:
    if own.period == "never":
        return asked.period == "never" and asked.limit_msat <= left.get(own.budget_id, own.limit_msat)
    if asked.period == "never":
        return asked.limit_msat <= own.limit_msat
    return int(asked.limit_msat) * length_s(own) <= int(own.limit_msat) * length_s(asked)


def granted(pointer: Grant, before: Grant | None, caller: str, budget: Budget | None, grant_id: str, now: int) -> Grant:
    """The caller's grant at this pointer after the owner's yes: with this budget alone, or (None) without a limit.

    What is used of a budget of the same length goes on to count; one that never renews begins anew, because what is
    left of the old one was not enough.
    """
    if before is None:
        before = Grant(
            grant_id=grant_id,
            name=f"debit {caller[:8]}",
            wire=DEBITS_WIRE,
            caller=caller,
            account_id=pointer.account_id,
            methods=pointer.methods,
            pointer_id=pointer.grant_id,
            per_payment_msat=pointer.per_payment_msat,
            fee_cap_msat=pointer.fee_cap_msat,
            created_at=now,
            version=0,
        )
    budgets = () if budget is None else (_numbered(budget, before.budgets),)
    return _replace(before, budgets=budgets, version=before.version + 1)


def _numbered(budget: Budget, before: tuple[Budget, ...]) -> Budget:
    number = None if budget.period == "never" else goes_on(budget, before)
    if number is None:
        number = max((one.budget_id for one in before), default=-1) + 1
    return _replace(budget, budget_id=number)
