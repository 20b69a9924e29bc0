"""The owner's commands about hold invoices: what is paid to them waits for a word."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from kitestring.app.owner.command import Call, Commands, Read, Receive, in_words, key_reused
from kitestring.app.owner.desk import Reading, Receiving, expect
from kitestring.app.owner.money import claimed_by, show_transaction
from kitestring.app.owner.params import DEFAULT_WAIT_S, MAX_WAIT_S, AmountMsat, NoParams, of_others
from kitestring.app.owner.results import money as results
from kitestring.app.service.execute import Result
from kitestring.base.commands import (
    DEFAULT_EXPIRY_S,
    MAX_EXPIRY_S,
    MAX_HOLD_BLOCKS,
    MIN_EXPIRY_S,
    OWNER_WIRE,
    CancelHold,
    MakeHoldInvoice,
    SettleHold,
    thaw,
)
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import Msat
from kitestring.base.outcomes import HoldEnded, Invoiced, Outcome
from kitestring.base.records import OwnInvoice
from kitestring.wire.text import fit_description

_DIGITS: Final = re.compile("[0-9A-Fa-f]{64}", re.ASCII)
_Digits = Annotated[str, Meta(max_length=128)]
_WaitS = Annotated[int, Meta(ge=0, le=MAX_WAIT_S)]


class HoldCreateParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Without a ``payment_hash`` the service draws the preimage and keeps it. ``min_blocks`` is the least number of
    blocks that a payment leaves for the decision, 0: as many as the service thinks right."""

    amount_msat: AmountMsat
    payment_hash: _Digits = ""
    description: str = ""
    expiry_s: Annotated[int, Meta(ge=MIN_EXPIRY_S, le=MAX_EXPIRY_S)] = DEFAULT_EXPIRY_S
    min_blocks: Annotated[int, Meta(ge=0, le=MAX_HOLD_BLOCKS)] = 0
    wait_s: _WaitS = DEFAULT_WAIT_S


class HoldSettleParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``preimage`` "" is the one that the service keeps."""

    payment_hash: _Digits
    preimage: _Digits = ""
    wait_s: _WaitS = DEFAULT_WAIT_S


class HoldCancelParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    payment_hash: _Digits
    wait_s: _WaitS = DEFAULT_WAIT_S


async def hold_create(desk: Receiving, params: HoldCreateParams, call: Call) -> Result:
    """Make an invoice into the owner account whose payment waits until it is settled or cancelled."""
    wanted = MakeHoldInvoice(
        amount_msat=Msat(params.amount_msat),
        description=fit_description(params.description),
        expiry_s=params.expiry_s,
        payment_hash=_digits(params.payment_hash, "a payment hash") if params.payment_hash else "",
        min_cltv_delta=params.min_blocks,
    )
    stored = await desk.store.request(call.request_id)
    if stored is None or not stored.command:  # of one that was refused nothing is kept but the refusal
        command = _with_preimage(wanted, desk.draw_preimage())
    else:
        command = _repeated(stored.command, wanted)
    outcome = await desk.make_invoice(call.request_id, call.caller.grant_id, command, params.wait_s)
    if claimed := await claimed_by(desk, call):
        command = _repeated(claimed, wanted)
    if outcome is None:
        raise KitestringError(Reason.UNAVAILABLE, "the node has not made the invoice yet: try again")
    made = show_transaction(expect(outcome, Invoiced).transaction)
    desk.did(in_words("hold_create", params))
    return {**made, "preimage_is_kept": bool(command.preimage)}


def _with_preimage(wanted: MakeHoldInvoice, preimage: str) -> MakeHoldInvoice:
    if wanted.payment_hash:
        return wanted
    payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
    return replace(wanted, payment_hash=payment_hash, preimage=preimage)


def _repeated(stored: bytes, wanted: MakeHoldInvoice) -> MakeHoldInvoice:
    """The order of the first time: another preimage would be another invoice."""
    command = thaw(stored)
    if not isinstance(command, MakeHoldInvoice):
        raise key_reused("hold_create")
    asked = replace(command, payment_hash="", preimage="") if command.preimage else command
    if asked != wanted:
        raise key_reused("hold_create")
    return command


async def hold_settle(desk: Receiving, params: HoldSettleParams, call: Call) -> Result:
    """Take the payment that a hold invoice holds, for good."""
    preimage = _digits(params.preimage, "a preimage") if params.preimage else ""
    command = SettleHold(payment_hash=_digits(params.payment_hash, "a payment hash"), preimage=preimage)
    return _ended(await _decide(desk, command, params.wait_s, call))


async def hold_cancel(desk: Receiving, params: HoldCancelParams, call: Call) -> Result:
    """Give the payment of a hold invoice back, or let nobody pay it any more."""
    command = CancelHold(payment_hash=_digits(params.payment_hash, "a payment hash"))
    return _ended(await _decide(desk, command, params.wait_s, call))


async def _decide(desk: Receiving, command: SettleHold | CancelHold, wait_s: int, call: Call) -> Outcome:
    stored = await desk.store.request(call.request_id)
    name = "hold_settle" if isinstance(command, SettleHold) else "hold_cancel"
    if stored is not None and stored.command and thaw(stored.command) != command:
        raise key_reused(name)
    outcome = await desk.end_invoice(call.request_id, call.caller.grant_id, command, wait_s)
    if (claimed := await claimed_by(desk, call)) and thaw(claimed) != command:
        raise key_reused(name)
    if outcome is None:
        raise KitestringError(
            Reason.PAYMENT_IN_FLIGHT,
            "it is decided, and is carried out as soon as the node can be asked; `kitestring hold list` shows it until"
            " then",
            payment_hash=command.payment_hash,
        )
    return outcome


def _ended(outcome: Outcome) -> Result:
    ended = expect(outcome, HoldEnded)
    state = "settled" if ended.state == InvoiceState.SETTLED.value else "canceled"
    return {"payment_hash": ended.payment_hash, "state": state, "amount_msat": int(ended.amount_msat)}


async def hold_list(desk: Reading, _params: NoParams, _call: Call) -> Result:
    """List the hold invoices that wait for a payer or for a decision."""
    holds = await desk.store.holds()
    names = {grant_id: await _name(desk, grant_id) for grant_id in {invoice.grant_id for invoice in holds}}
    return {"holds": [{**_show(invoice), "connection": names[invoice.grant_id]} for invoice in holds]}


async def _name(desk: Reading, grant_id: str) -> str | None:
    """The name of a connection as its owner knows it; what has none is called by its id. None for the owner's own."""
    grant = await desk.store.grant(grant_id)
    return of_others(grant_id) if grant is None or grant.wire == OWNER_WIRE else grant.name or grant_id


def _show(invoice: OwnInvoice) -> Result:
    held = invoice.received_msat if invoice.state is InvoiceState.ACCEPTED else None
    return {
        "payment_hash": invoice.payment_hash,
        "state": invoice.state.value,
        "amount_msat": int(invoice.amount_msat or 0),
        "held_msat": int(held or 0),
        "settle_deadline": invoice.settle_deadline,
        "decision": invoice.decision.value or None,
        "expires_at": invoice.expires_at,
        "description": invoice.description or None,
        "preimage_is_kept": bool(invoice.preimage),
        "internal": bool(invoice.held_by),
        "account": invoice.account_id,
        "connection_id": of_others(invoice.grant_id),
        "bolt11": invoice.bolt11,
    }


def _digits(value: str, what: str) -> str:
    if _DIGITS.fullmatch(value) is None:
        raise KitestringError(Reason.MALFORMED, f"{what} is 64 hexadecimal digits")
    return value.lower()


COMMANDS: Final[Commands] = (
    Receive("hold_create", HoldCreateParams, hold_create, results.HoldMadeJson),
    Receive("hold_settle", HoldSettleParams, hold_settle, results.HoldEndedJson),
    Receive("hold_cancel", HoldCancelParams, hold_cancel, results.HoldEndedJson),
    Read("hold_list", NoParams, hold_list, results.HoldListJson),
)
