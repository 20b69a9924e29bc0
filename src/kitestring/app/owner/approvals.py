"""The owner's commands about questions: what waits for the owner, and the one decision about it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from kitestring.app.owner.app_connection import made_for, show_wish
from kitestring.app.owner.budgets import AmountMinor, ask_rates_of, flat_budget, read_budget, show_budget, show_budgets
from kitestring.app.owner.command import Call, Change, Commands, Judge, Manage, Read, key_reused, permit_gift
from kitestring.app.owner.desk import Deciding, Managing, Reading
from kitestring.app.owner.near import none_named
from kitestring.app.owner.params import (
    DEFAULT_WAIT_S,
    MAX_NOTE_CHARS,
    MAX_WAIT_S,
    MAX_WINDOW_S,
    MIN_ID_CHARS,
    AmountMsat,
    Currency,
    NoParams,
    npub,
    only,
    plain_line,
    public_key,
)
from kitestring.app.owner.results import questions as results
from kitestring.app.service.execute import Result
from kitestring.base.approvals import Approval, ApprovalKind, ApprovalState, Block, OwnersWord, Ruling, connection_id
from kitestring.base.budgets import Budget, Period, per_period
from kitestring.base.commands import (
    DEBITS_WIRE,
    Connect,
    CreateOffer,
    Debit,
    ManageOffer,
    PayInvoice,
    UpdateOffer,
    offer_id_in,
    thaw,
)
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import MAX_WHOLE
from kitestring.base.payments import State
from kitestring.base.records import Payment
from kitestring.base.text import one_line
from kitestring.base.transactions.owner import SaveBlock
from kitestring.codec.json import dumps

#: Questions in one answer; more cannot be open at once.
MAX_ROWS: Final = 500
DEFAULT_ROWS: Final = 100
#: Characters of the longest id that is looked for.
MAX_ID_CHARS: Final = 128
#: As every connection's.
MAX_NAME_CHARS: Final = 64

QuestionId = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]
SeenVersion = Annotated[int, Meta(ge=1, le=MAX_WHOLE)]


class ApprovalsParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``id`` shows one alone, in whatever state."""

    id: Annotated[str, Meta(max_length=MAX_ID_CHARS)] = ""
    ended: bool = False
    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = DEFAULT_ROWS


class ApproveParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``version`` is that of the question as it was shown; without it the present one is decided.

    ``once`` is one payment; ``budget`` a budget of the owner's own (the fields of that name belong to it), whose first
    charge is the payment, if one was asked for; ``always`` is without any limit. ``as_asked`` gives the payment, or the
    budget that was asked for. To a connection that an app asks for, ``name`` gives another name than the app's own.
    """

    id: QuestionId
    version: SeenVersion | None = None
    verdict: Literal["as_asked", "once", "budget", "always"] = "as_asked"
    budget_msat: AmountMsat | None = None
    currency: Currency = ""
    budget_minor: AmountMinor | None = None
    period: Period = "never"
    length_s: Annotated[int, Meta(ge=0, le=MAX_WINDOW_S)] = 0
    wait_s: Annotated[int, Meta(ge=0, le=MAX_WAIT_S)] = DEFAULT_WAIT_S
    name: Annotated[str, Meta(max_length=MAX_NAME_CHARS)] = ""


class DenyParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``block``: refuse whatever this key asks for from now on; ``note`` is kept with that."""

    id: QuestionId
    version: SeenVersion | None = None
    block: bool = False
    note: Annotated[str, Meta(max_length=MAX_NOTE_CHARS)] = ""


class BlockParams(msgspec.Struct, forbid_unknown_fields=True):
    """``key`` is a public key: npub1… or 64 hex digits."""

    key: Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]
    note: Annotated[str, Meta(max_length=MAX_NOTE_CHARS)] = ""


class UnblockParams(msgspec.Struct, forbid_unknown_fields=True):
    """``key`` is a public key: npub1… or 64 hex digits."""

    key: Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]


# ------------------------------------------------------------ look


async def approvals(desk: Reading, params: ApprovalsParams, _call: Call) -> Result:
    """List the questions that wait for the owner, with what is needed to judge them."""
    if params.id:
        found = [await find_question(desk, params.id)]
    else:
        found = await desk.store.approvals(limit=params.limit, ended=params.ended)
    return {"approvals": [await show_question(desk, one) for one in found]}


async def show_question(desk: Reading, asked: Approval) -> Result:
    """One question as JSON: amounts are msat, times Unix seconds. ``description`` is the caller's own text,
    ``invoice_description`` the payee's; ``max_fee_msat`` is the most that routing may cost, ``service_fee_msat`` what
    the service itself takes, as it is set now."""
    command = thaw(asked.command)
    wanted = command if isinstance(command, Debit) else Debit(pointer_id=asked.target)
    pointer, grant = await desk.store.grant(asked.target), await _grant_of(desk, asked)
    dealings = await desk.store.dealings(asked.caller)
    payment = wanted.payment
    return {
        "id": asked.approval_id,
        "version": asked.version,
        "kind": asked.kind.value,
        "wire": asked.wire,
        "caller": asked.caller,
        "npub": npub(asked.caller),
        "pointer_id": asked.target or None,
        "pointer": None if pointer is None else pointer.name,
        "asked_at": asked.asked_at,
        "expires_at": asked.expires_at,
        "amount_msat": None if payment is None else int(payment.amount_msat),
        "max_fee_msat": None if payment is None else int(desk.fee_cap(payment, grant or pointer)),
        "service_fee_msat": None if payment is None else int(desk.service_fee(payment, grant or pointer)),
        "budget": None if wanted.budget is None else show_budget(wanted.budget),
        "grant": None if grant is None else await _show_grant(desk, grant),
        "description": wanted.description or None,
        "invoice_description": None if payment is None else payment.description or None,
        "payment_hash": None if payment is None else payment.payment_hash,
        "connection": show_wish(command) if isinstance(command, Connect) else None,
        "manage": await _show_deed(desk, command) if isinstance(command, ManageOffer) else None,
        "dealings": {
            "payments": dealings.payments,
            "cost_msat": int(dealings.cost_msat),
            "last_at": dealings.last_at,
        },
        "state": asked.state.value,
        "decided_at": asked.decided_at,
        "decided_by": asked.decided_by or None,
        "decision": asked.decision or None,
    }


def what_is_asked(asked: Approval, pointer: str) -> str:
    """One question in a sentence of our own; what the caller says is not in it."""
    wanted = thaw(asked.command)
    if isinstance(wanted, Connect):
        for_whom = f" for another app, by the connection {pointer}" if asked.target else ""
        return f"{npub(asked.caller)} asks for a connection{for_whom}"
    if isinstance(wanted, ManageOffer):
        what = f"leave to {deed_name(wanted)} offers"
    elif not isinstance(wanted, Debit):
        what = f"the right to {asked.kind.value}"
    elif wanted.payment is not None:
        what = f"a payment of {wanted.payment.amount_msat}"
    elif wanted.budget is not None:
        asked_for = wanted.budget
        what = f"a budget of {asked_for.limit_msat} {per_period(asked_for.period, asked_for.length_s)}"
    else:
        what = "full access"
    return f"{npub(asked.caller)} asks for {what} at {pointer}"


def deed_name(command: ManageOffer) -> str:
    """``create``, ``update``, ``get``, ``list`` or ``delete``."""
    return type(command.deed).__name__.removesuffix("s").removesuffix("Offer").lower()


async def _show_deed(desk: Reading, command: ManageOffer) -> Result:
    """One deed as JSON. The texts of ``fields`` are the app's own; ``offer`` is the label of the one that it is about,
    as it is now."""
    deed = command.deed
    fields = deed.fields if isinstance(deed, CreateOffer | UpdateOffer) else None
    found = await desk.store.offer(offer_id_in(deed)) if offer_id_in(deed) else None
    price_msat = None if fields is None else fields.price_msat
    asked_for = None if fields is None else fields.payer_data
    return {
        "action": deed_name(command),
        "offer_id": offer_id_in(deed) or None,
        "offer": None if found is None else found.label,
        "fields": {
            "label": None if fields is None else fields.label,
            "price_sats": None if price_msat is None else price_msat.sats_up(),
            "callback_url": None if fields is None else fields.callback_url,
            "payer_data": None if asked_for is None else list(asked_for),
        },
    }


async def _grant_of(desk: Reading, asked: Approval) -> Grant | None:
    """The grant that the caller has there already, if any."""
    if asked.wire != DEBITS_WIRE:
        return None
    grants = await desk.store.grants_of(DEBITS_WIRE, asked.caller)
    return next((grant for grant in grants if grant.pointer_id == asked.target), None)


async def _show_grant(desk: Reading, grant: Grant) -> Result:
    await ask_rates_of(desk, [grant])
    return {
        "grant_id": grant.grant_id,
        "budgets": await show_budgets(desk, grant),
        "per_payment_msat": None if grant.per_payment_msat is None else int(grant.per_payment_msat),
        "expires_at": grant.expires_at,
    }


async def find_question(desk: Reading, typed: str) -> Approval:
    """The question of that id, or the one whose id begins or ends so.

    Raises KitestringError where there is none or more than one, whether or not they have ended: ids of the same minute
    begin alike, and whoever has looked at one that was superseded since must not decide about the other.
    """
    exact = await desk.store.approval(typed)
    if exact is not None:
        return exact
    if len(typed) < MIN_ID_CHARS:
        sentence = f"{typed!r} is too short for an id: type at least {MIN_ID_CHARS} characters of it"
        raise KitestringError(Reason.MALFORMED, sentence)
    rows = [one for ended in (False, True) for one in await desk.store.approvals(limit=MAX_ROWS, ended=ended)]
    found = [one for one in rows if one.approval_id.startswith(typed) or one.approval_id.endswith(typed)]
    if found:
        only([one.approval_id for one in found], typed, "questions")
        return found[0]
    raise none_named("question", typed, (one.approval_id for one in rows), "approvals")


# ------------------------------------------------------------ decide


async def approve(desk: Deciding, params: ApproveParams, call: Call) -> Result:
    """Say yes to a question, and wait for the end of the payment. What was shown is what is decided, once.

    The outcome is ``paid``, ``not_paid`` (with the node's proof), ``open`` (still under way) or ``granted``.
    """
    asked = await find_question(desk, params.id)
    budget, command = _own_budget(desk, params, asked), thaw(asked.command)
    if isinstance(command, Connect):
        return await _approve_app(desk, asked, command, params, budget, call)
    permit_gift(
        call.caller, ManageOffer if isinstance(command, ManageOffer) else PayInvoice, desk.clock.now(), "`approve`"
    )
    if params.name:
        raise KitestringError(Reason.MALFORMED, "a name belongs to a connection, and none is asked for")
    if params.verdict == "once" and asked.kind not in {ApprovalKind.PAYMENT, ApprovalKind.MANAGE}:
        raise KitestringError(
            Reason.MALFORMED, "this asks for no payment: give it the budget it asks for, or one of yours"
        )
    word = OwnersWord(
        approval_id=asked.approval_id,
        version=params.version or asked.version,
        verdict=_VERDICTS[params.verdict],
        budget=budget,
        by=call.caller.grant_id,
        key=await _key(desk, asked, params, call, "approve"),
    )
    decided, payment = await desk.decide(word, params.wait_s)
    return {**await show_question(desk, decided), **_outcome(decided, payment), "connected": None}


async def _approve_app(
    desk: Deciding, asked: Approval, command: Connect, params: ApproveParams, budget: Budget | None, call: Call
) -> Result:
    """Let an app connect. ``connected`` is the name of its connection."""
    if params.verdict == "once":
        raise KitestringError(Reason.MALFORMED, "this asks for a connection: give it a budget, or what it asks for")
    verdict = _VERDICTS[params.verdict]
    async with desk.one_at_a_time:  # two of one name would both be made
        grant, account = None, None
        if asked.state is ApprovalState.OPEN:
            grant, account = await made_for(desk, asked, command, verdict, budget, params.name, call.caller)
        word = OwnersWord(
            approval_id=asked.approval_id,
            version=params.version or asked.version,
            verdict=verdict,
            budget=budget,
            by=call.caller.grant_id,
            key=await _key(desk, asked, params, call, "approve"),
            grant=grant,
            account=account,
        )
        decided, _ = await desk.decide(word, 0)
    made = await desk.store.grant(connection_id(asked))
    await desk.grant_changed(connection_id(asked))
    connected = None if made is None else made.name
    return {**await show_question(desk, decided), **_outcome(decided, None), "connected": connected}


async def deny(desk: Deciding, params: DenyParams, call: Call) -> Result:
    """Say no to a question; ``block`` refuses whatever its key asks for from now on."""
    if params.note and not params.block:
        raise KitestringError(Reason.MALFORMED, "a note is kept with a block: leave it out, or name --block too")
    asked = await find_question(desk, params.id)
    word = OwnersWord(
        approval_id=asked.approval_id,
        version=params.version or asked.version,
        verdict=Ruling.BLOCK if params.block else Ruling.DENY,
        note=one_line(params.note, MAX_NOTE_CHARS),
        by=call.caller.grant_id,
        key=await _key(desk, asked, params, call, "deny"),
    )
    decided, _ = await desk.decide(word, 0)
    return {**await show_question(desk, decided), "outcome": "blocked" if params.block else "denied"}


_VERDICTS: Final = {
    "as_asked": Ruling.AS_ASKED,
    "once": Ruling.AS_ASKED,
    "budget": Ruling.BUDGET,
    "always": Ruling.ALWAYS,
}


def _own_budget(desk: Reading, params: ApproveParams, question: Approval) -> Budget | None:
    """The owner's own budget. Of a question that is decided none is read: the command may be a repeated one, which is
    answered whatever rates are known now."""
    asked = flat_budget(params)
    if (params.verdict == "budget") != (asked is not None):
        raise KitestringError(Reason.MALFORMED, "a budget belongs to the verdict of that name, and to no other")
    is_open = question.state is ApprovalState.OPEN
    return read_budget(desk, asked) if asked is not None and is_open else None


async def _key(desk: Reading, asked: Approval, params: msgspec.Struct, call: Call, name: str) -> str:
    """The id of this command, in which there is what it says: a repeated key with other words is another command.

    Raises KitestringError(ALREADY_USED) where the key has decided about another question.
    """
    said = {member: value for member, value in msgspec.to_builtins(params).items() if member not in {"id", "wait_s"}}
    for other in await desk.store.approvals(limit=MAX_ROWS, ended=True):
        if other.approval_id != asked.approval_id and other.decided_as.startswith(call.request_id):
            raise key_reused(name)
    return f"{call.request_id}:{sha256(dumps(said).encode()).hexdigest()[:16]}"


def _outcome(decided: Approval, payment: Payment | None) -> dict[str, Any]:
    """The end as far as it is known: *not paid* only with the node's proof."""
    if payment is None:
        granted = "granted" if decided.state is ApprovalState.APPROVED else decided.state.value
        return {"outcome": granted, "why": None, "fee_msat": None}
    if payment.state is State.SETTLED:
        fees = {"fee_msat": int(payment.fee_msat), "service_fee_msat": int(payment.service_fee_msat)}
        return {"outcome": "paid", "why": None, **fees}
    if payment.state is State.FAILED:
        return {"outcome": "not_paid", "why": one_line(payment.evidence), "fee_msat": None}
    return {"outcome": "open", "why": None, "fee_msat": None}


# ------------------------------------------------------------ blocked keys


async def blocked(desk: Reading, _params: NoParams, _call: Call) -> Result:
    """List the keys that are refused whatever they ask for."""
    rows: Sequence[Result] = [
        {"caller": one.caller, "npub": npub(one.caller), "blocked_at": one.at, "note": one.note or None}
        for one in await desk.store.blocks()
    ]
    return {"blocked": rows}


async def block(desk: Managing, params: BlockParams, _call: Call) -> Change | Result:
    """Refuse whatever a key asks for from now on.

    What it has stays: connections, grants and accounts are ended by their own commands. By debits it takes nothing.
    """
    key, note = public_key(params.key), plain_line(params.note, "a note")
    result = {"caller": key, "npub": npub(key)}
    if any(one.caller == key for one in await desk.store.blocks()):
        return {**result, "blocked": False}
    return Change((SaveBlock(key, Block(key, desk.clock.now(), note)),), {**result, "blocked": True})


async def unblock(desk: Managing, params: UnblockParams, _call: Call) -> Change | Result:
    """Let a blocked key ask again."""
    key = public_key(params.key)
    result = {"caller": key, "npub": npub(key)}
    if all(one.caller != key for one in await desk.store.blocks()):
        return {**result, "unblocked": False}
    return Change((SaveBlock(key, None),), {**result, "unblocked": True})


COMMANDS: Final[Commands] = (
    Read("approvals", ApprovalsParams, approvals, results.QuestionListJson),
    Judge("approve", ApproveParams, approve, results.ApprovedJson),
    Judge("deny", DenyParams, deny, results.DeniedJson),
    Read("blocked", NoParams, blocked, results.BlockedListJson),
    Manage("block", BlockParams, block, results.BlockedJson),
    Manage("unblock", UnblockParams, unblock, results.UnblockedJson),
)
