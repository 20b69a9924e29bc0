"""The owner's commands about debit pointers: codes by which others ask this service for money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from shlex import quote
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kitestring.app.owner.accounts import need_account
from kitestring.app.owner.budgets import (
    BudgetsAsked,
    ask_rates_of,
    changed_budgets,
    read_budgets,
    show_budgets,
    terms_of,
)
from kitestring.app.owner.command import Call, Change, Commands, Manage, Read, permit_gift
from kitestring.app.owner.desk import Managing, Reading
from kitestring.app.owner.near import none_named, none_of_code
from kitestring.app.owner.params import AmountMsat, Name, NoParams, plain_line
from kitestring.app.owner.results import debits as results
from kitestring.app.service.execute import Result
from kitestring.app.service.kept_relays import old_relays
from kitestring.base.approvals import DebitSession
from kitestring.base.commands import DEBITS_WIRE, OWNER_ACCOUNT, Debit
from kitestring.base.enrolments import is_enrolled
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant, Sessions, Strangers
from kitestring.base.money import MSAT_PER_SAT, Msat
from kitestring.base.payments import State
from kitestring.base.transactions.owner import SaveGrant, SaveSession
from kitestring.codec.nip19 import MAX_LENGTH
from kitestring.codec.pointers import MAX_RELAYS, Ndebit, decode, encode
from kitestring.transport.guard import normalise

#: The label of the pointer that the very first start makes.
FIRST_POINTER: Final = "main"
#: 128 random bits: only who was given the code can ask by it.
POINTER_BYTES: Final = 16
#: The random bytes of the word of a session.
K1_BYTES: Final = 32
#: What is done by a pointer, and by the grants at it.
METHODS: Final = frozenset({"pay_invoice"})
#: Sessions of one pointer that may wait for their use.
MAX_OPEN_SESSIONS: Final = 100
#: The newest sessions of a pointer that are looked at to count these.
SESSIONS_LOOKED_AT: Final = 10 * MAX_OPEN_SESSIONS
#: Sessions in one answer, and the characters of the mark of one.
MAX_SESSION_ROWS: Final = 500
FINGERPRINT_CHARS: Final = 32
#: Seconds that a session is good, unless it is told, and at most.
DEFAULT_SESSION_S: Final = 600
MAX_SESSION_S: Final = 86_400
CODE_START: Final = "ndebit1"
_SESSION_STATES: Final = {State.SETTLED: "used", State.RESOLVED: "closed"}
#: What two pointers of one label can differ in, as people call it.
_TERMS: Final = {
    "account_id": "account",
    "strangers": "policy",
    "sessions": "rule for sessions",
    "budgets": "budget",
    "per_payment_msat": "limit of one payment",
}


class PointerParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``policy`` is what keys without a grant get; ``budgets`` belong to the policy of that name, and all these keys
    share them."""

    label: Name
    account: Name = OWNER_ACCOUNT
    policy: Strangers = "ask"
    budgets: BudgetsAsked = []
    per_payment_msat: AmountMsat | None = None
    sessions: Sessions = "off"


class PointerName(msgspec.Struct, forbid_unknown_fields=True):
    """``pointer`` is the label, the id or the code."""

    pointer: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]


class PolicyParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The changes alone: what is left out stays as it is. Another policy than ``budget`` takes the budgets away."""

    pointer: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]
    policy: Strangers | UnsetType = UNSET
    budgets: BudgetsAsked | UnsetType = UNSET
    per_payment_msat: AmountMsat | UnsetType | None = UNSET
    sessions: Sessions | UnsetType = UNSET


class SessionParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pointer: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]
    max_msat: AmountMsat
    min_msat: AmountMsat = MSAT_PER_SAT
    expires_in_s: Annotated[int, Meta(ge=1, le=MAX_SESSION_S)] = DEFAULT_SESSION_S


class SessionsParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pointer: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]
    session: Annotated[str, Meta(max_length=FINGERPRINT_CHARS, description="That one alone (default: all).")] = ""
    limit: Annotated[
        int,
        Meta(ge=1, le=MAX_SESSION_ROWS, description=f"How many (default: 20, at most {MAX_SESSION_ROWS})."),
    ] = 20


# ------------------------------------------------------------ pointers


async def debit_pointer_create(desk: Managing, params: PointerParams, call: Call) -> Change | Result:
    """Make a debit pointer. One of that label with the same values is returned, with other values it is refused."""
    pointer_id = desk.entropy(POINTER_BYTES).hex()
    account = await need_account(desk, params.account)
    found = _find(await living_pointers(desk), params.label)
    pointer = Grant(
        grant_id=pointer_id,
        name=plain_line(params.label, "a label"),
        wire=DEBITS_WIRE,
        service_pubkey=desk.service_id,
        account_id=account.account_id,
        methods=METHODS,
        budgets=read_budgets(desk, params.budgets, () if found is None else found.budgets),
        per_payment_msat=_money(params.per_payment_msat),
        relays=desk.relays_for_codes()[:MAX_RELAYS],
        pointer_id=pointer_id,
        strangers=params.policy,
        sessions=params.sessions,
        created_at=desk.clock.now(),
    )
    _check(pointer)
    _refuse_gift(pointer, call, desk.clock.now(), "`debit_pointer_create`")
    if found is not None:
        _need_same(found, pointer)
        return {**await show_pointer(desk, found), "created": False}
    return Change((SaveGrant(pointer),), {**await show_pointer(desk, pointer), "created": True}, pointer_id)


async def debit_pointer_list(desk: Reading, _params: NoParams, _call: Call) -> Result:
    """List the debit pointers with their codes. Those of enrolled keys are shown with their accounts."""
    pointers = await _own_pointers(desk)
    await ask_rates_of(desk, pointers)
    return {"pointers": [await show_pointer(desk, pointer) for pointer in pointers]}


async def debit_pointer_policy(desk: Managing, params: PolicyParams, call: Call) -> Change | Result:
    """Change what a pointer lets others do; grants that it has stay as they are."""
    found = await need_pointer(desk, params.pointer)
    policy = found.strangers if params.policy is UNSET else params.policy
    budgets = found.budgets if policy == "budget" else ()
    anew = replace(
        found,
        strangers=policy,
        budgets=budgets if params.budgets is UNSET else await changed_budgets(desk, found, params.budgets),
        per_payment_msat=(
            found.per_payment_msat if params.per_payment_msat is UNSET else _money(params.per_payment_msat)
        ),
        sessions=found.sessions if params.sessions is UNSET else params.sessions,
    )
    _check(anew)
    _refuse_gift(anew, call, desk.clock.now(), "`debit_pointer_policy`")
    if anew == found:
        return {**await show_pointer(desk, found), "changed": False}
    anew = replace(anew, version=found.version + 1)
    return Change((SaveGrant(anew),), {**await show_pointer(desk, anew), "changed": True}, anew.grant_id)


async def debit_pointer_relink(desk: Managing, params: PointerName, _call: Call) -> Change | Result:
    """Make the code of a pointer anew, over the relays of today. The old code works as long as an old relay does."""
    found = await need_pointer(desk, params.pointer)
    anew = replace(found, relays=desk.relays_for_codes()[:MAX_RELAYS], version=found.version + 1)
    if {normalise(url) for url in anew.relays} == {normalise(url) for url in found.relays}:
        return {**await show_pointer(desk, found), "changed": False, "left_relays": []}
    left = list(old_relays(found.relays, anew.relays))
    result = {**await show_pointer(desk, anew), "changed": True, "left_relays": left}
    return Change((SaveGrant(anew),), result, anew.grant_id)


async def debit_pointer_delete(desk: Managing, params: PointerName, _call: Call) -> Change:
    """End a pointer and every grant of it forever; payments that are under way still finish."""
    found, now = await need_pointer(desk, params.pointer), desk.clock.now()
    grants = [grant for grant in await living_grants(desk) if grant.pointer_id == found.grant_id]
    ended = [replace(one, revoked_at=now, version=one.version + 1) for one in (found, *grants)]
    result = {"pointer_id": found.grant_id, "label": found.name, "revoked_at": now, "grants": len(grants)}
    return Change(tuple(SaveGrant(one) for one in ended), result, found.grant_id)


# ------------------------------------------------------------ sessions


async def debit_session(desk: Managing, params: SessionParams, call: Call) -> Change:
    """Make a code that is good for one payment, by whoever shows it. Show it once, and publish it never."""
    permit_gift(call.caller, Debit, desk.clock.now(), "`debit_session`")
    pointer, now = await need_pointer(desk, params.pointer), desk.clock.now()
    if pointer.sessions != "minted":
        raise KitestringError(
            Reason.NOT_PERMITTED,
            f"{pointer.name!r} takes no sessions that were made here: run `kitestring debit pointer policy "
            f"{quote(pointer.name)} --sessions minted` first",
        )
    if params.min_msat % MSAT_PER_SAT or params.max_msat % MSAT_PER_SAT:
        raise KitestringError(Reason.MALFORMED, "a session is for whole sats")
    if params.min_msat > params.max_msat:
        raise KitestringError(Reason.MALFORMED, "the smallest amount is larger than the largest")
    made = await desk.store.sessions(pointer.grant_id, SESSIONS_LOOKED_AT)
    if sum(not one.holder and one.expires_at > now for one in made) >= MAX_OPEN_SESSIONS:
        raise KitestringError(
            Reason.RATE_LIMITED, f"{MAX_OPEN_SESSIONS} sessions of {pointer.name!r} wait for their use: wait for an end"
        )
    k1 = desk.entropy(K1_BYTES).hex()
    session = DebitSession(
        pointer.grant_id, k1, Msat(params.min_msat), Msat(params.max_msat), now + params.expires_in_s, now
    )
    result = {
        "session": _fingerprint(k1),
        "pointer_id": pointer.grant_id,
        "pointer": pointer.name,
        "min_msat": params.min_msat,
        "max_msat": params.max_msat,
        "expires_at": session.expires_at,
        "relays": list(desk.relays_for_codes()[:MAX_RELAYS]),
    }
    return Change((SaveSession(session),), result)


async def with_code(desk: Managing, made: Result, _call: Call) -> Result:
    """A session with its code, which the stored answer does not hold; None where it is forgotten."""
    sessions = await desk.store.sessions(made["pointer_id"], SESSIONS_LOOKED_AT)
    k1 = next((one.value for one in sessions if _fingerprint(one.value) == made["session"]), None)
    code = None if k1 is None else encode(Ndebit(desk.service_id, tuple(made["relays"]), made["pointer_id"], k1))
    return {**{name: value for name, value in made.items() if name != "relays"}, "ndebit": code}


async def debit_sessions(desk: Reading, params: SessionsParams, _call: Call) -> Result:
    """List codes that are good once, and their end.

    Those of one pointer, the newest first. One is waiting, until somebody shows it; paying, while its payment is under
    way; used; expired; or closed, by an operator who has decided about its payment. Those that nobody used are
    forgotten some time after their end.
    """
    pointer, now = await need_pointer(desk, params.pointer), desk.clock.now()
    made = await desk.store.sessions(pointer.grant_id, SESSIONS_LOOKED_AT)
    wanted = [one for one in made if params.session in {"", _fingerprint(one.value)}]
    return {
        "pointer_id": pointer.grant_id,
        "sessions": [await _show_session(desk, one, now) for one in wanted[: params.limit]],
    }


async def _show_session(desk: Reading, session: DebitSession, now: int) -> Result:
    """One session as JSON, without its word. Times are Unix seconds; the amount is what was taken, or is being."""
    payment = await desk.store.payment(session.holder) if session.holder else None
    if not session.holder:
        state = "waiting" if now < session.expires_at else "expired"
    elif payment is None:  # held by a question, which may become a payment
        state = "paying"
    else:
        state = _SESSION_STATES.get(payment.state, "paying")
    return {
        "session": _fingerprint(session.value),
        "state": state,
        "min_msat": int(session.min_msat),
        "max_msat": int(session.max_msat),
        "created_at": session.minted_at,
        "expires_at": session.expires_at,
        "amount_msat": None if payment is None else int(payment.amount_msat),
        "fee_msat": int(payment.fee_msat) if payment is not None and state == "used" else None,
        "service_fee_msat": int(payment.service_fee_msat) if payment is not None and state == "used" else None,
        "settled_at": None if payment is None else payment.settled_at,
        "payment_hash": None if payment is None else payment.payment_hash,
    }


def _fingerprint(k1: str) -> str:
    """A mark that tells sessions apart without giving them away."""
    return sha256(f"session {k1}".encode()).hexdigest()[:FINGERPRINT_CHARS]


# ------------------------------------------------------------ what other commands need of them


async def living_pointers(desk: Reading) -> list[Grant]:
    """The pointers that were not deleted, the oldest first."""
    return [grant for grant in await _living(desk) if not grant.caller]


async def _own_pointers(desk: Reading) -> list[Grant]:
    """The living pointers but those of enrolled keys, which take from their accounts."""
    return [pointer for pointer in await living_pointers(desk) if not is_enrolled(pointer.account_id)]


async def living_grants(desk: Reading) -> list[Grant]:
    """The grants of keys at pointers that were not revoked, the oldest first."""
    return [grant for grant in await _living(desk) if grant.caller]


async def need_pointer(desk: Reading, name: str) -> Grant:
    """The pointer of that label, id or code. Raises KitestringError when there is none."""
    pointers = await living_pointers(desk)
    is_code = CODE_START in name.lower()
    found = _find(pointers, name) or (_find(pointers, _own_id(desk, name)) if is_code else None)
    if found is None:
        if is_code:
            raise none_of_code("debit pointer", "debit pointer list")
        raise none_named("debit pointer", name, (one.name for one in pointers), "debit pointer list")
    return found


async def shown_ndebit(desk: Reading) -> str | None:
    """The code that this service shows where it shows only one: that of its first start as long as there is one, else
    the oldest. Dates alone do not say which was first: they are whole seconds, and clocks are set back."""
    pointers = await _own_pointers(desk)
    pointer = _find(pointers, FIRST_POINTER) or next(iter(pointers), None)
    return None if pointer is None else ndebit_of(desk, pointer)


def ndebit_of(desk: Reading, pointer: Grant) -> str:
    """The code of a pointer of ours, as it is shown."""
    return encode(Ndebit(desk.service_id, pointer.relays, pointer.grant_id))


async def show_pointer(desk: Reading, pointer: Grant) -> Result:
    """One pointer as JSON. Times are Unix seconds."""
    grants = [grant for grant in await living_grants(desk) if grant.pointer_id == pointer.grant_id]
    return {
        "pointer_id": pointer.grant_id,
        "label": pointer.name,
        "ndebit": ndebit_of(desk, pointer),
        "policy": pointer.strangers,
        "sessions": pointer.sessions,
        "account": pointer.account_id,
        "budgets": await show_budgets(desk, pointer),
        "per_payment_msat": None if pointer.per_payment_msat is None else int(pointer.per_payment_msat),
        "grants": len(grants),
        "created_at": pointer.created_at,
        "old_relays": list(old_relays(pointer.relays, desk.relay_urls())),
    }


async def _living(desk: Reading) -> list[Grant]:
    found = [grant for grant in await desk.store.grants() if grant.wire == DEBITS_WIRE and grant.revoked_at is None]
    return sorted(found, key=lambda grant: (grant.created_at, grant.name))


def _find(pointers: Sequence[Grant], name: str) -> Grant | None:
    return next((pointer for pointer in pointers if name in (pointer.grant_id, pointer.name)), None)


def _own_id(desk: Reading, code: str) -> str:
    """The id in a code of ours. Raises CodecError, or KitestringError for a code of somebody else."""
    pointer = decode(code)
    if not isinstance(pointer, Ndebit) or pointer.pubkey != desk.service_id:
        raise KitestringError(Reason.UNKNOWN_TARGET, "this code belongs to another service")
    return pointer.pointer or ""


def _check(pointer: Grant) -> None:
    if pointer.strangers == "budget" and not pointer.budgets:
        raise KitestringError(Reason.MALFORMED, "the policy budget needs a budget, such as --budget 5000/day")
    if pointer.strangers != "budget" and pointer.budgets:
        raise KitestringError(Reason.MALFORMED, "a budget belongs to the policy budget: name --policy budget too")


def _refuse_gift(pointer: Grant, call: Call, now: int, wanted: str) -> None:
    """Raise KitestringError(NOT_PERMITTED) where strangers would take without a word of the owner, and the caller may
    not let them."""
    if pointer.strangers == "budget" or pointer.sessions != "off":
        permit_gift(call.caller, Debit, now, wanted)


def _need_same(found: Grant, wanted: Grant) -> None:
    """Raise KitestringError(CONFLICT) where ``wanted`` is another pointer: others would get more or less by it."""
    differs = [words for field, words in _TERMS.items() if terms_of(found, field) != terms_of(wanted, field)]
    if differs:
        raise KitestringError(
            Reason.CONFLICT,
            f"there is a debit pointer {wanted.name!r} already, with another {' and another '.join(differs)}, and it "
            f"was left as it is: choose another label, or run `kitestring debit pointer policy {quote(wanted.name)}`",
            pointer_id=found.grant_id,
            differs=differs,
        )


def _money(amount_msat: int | None) -> Msat | None:
    return None if amount_msat is None else Msat(amount_msat)


COMMANDS: Final[Commands] = (
    Manage("debit_pointer_create", PointerParams, debit_pointer_create, results.PointerMadeJson),
    Read("debit_pointer_list", NoParams, debit_pointer_list, results.PointerListJson),
    Manage("debit_pointer_policy", PolicyParams, debit_pointer_policy, results.PointerChangedJson),
    Manage("debit_pointer_relink", PointerName, debit_pointer_relink, results.PointerRelinkedJson),
    Manage("debit_pointer_delete", PointerName, debit_pointer_delete, results.PointerDeletedJson),
    Manage("debit_session", SessionParams, debit_session, results.SessionMadeJson, with_code),
    Read("debit_sessions", SessionsParams, debit_sessions, results.SessionListJson),
)
