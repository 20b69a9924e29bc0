"""The owner's command to pay the key of a node that has asked for nothing."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.command import Call, Commands, Spend, key_reused
from kitestring.app.owner.desk import Spending, expect
from kitestring.app.owner.money import MaxFeeMsat, claimed_by, in_flight, show_paid
from kitestring.app.owner.params import DEFAULT_WAIT_S, MAX_WAIT_S, AmountMsat
from kitestring.app.owner.results import money as results
from kitestring.app.service.execute import Result
from kitestring.base.commands import PayInvoice, thaw
from kitestring.base.destinations import MAX_RECORD_BYTES, MAX_RECORDS
from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.outcomes import Paid
from kitestring.codec.json import dumps, loads_object
from kitestring.codec.keysend import Records, checked_records, keysend, message_record, read_node_key, write_records


class KeysendParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``pubkey`` is the key of a node; ``records`` are TLV types, as decimal texts, with their values in hex."""

    pubkey: Annotated[str, Meta(min_length=1, max_length=128)]
    amount_msat: AmountMsat
    records: Annotated[dict[str, str], Meta(max_length=MAX_RECORDS)] = {}
    message: Annotated[str, Meta(max_length=MAX_RECORD_BYTES)] = ""
    max_fee_msat: MaxFeeMsat | None = None
    wait_s: Annotated[int, Meta(ge=0, le=MAX_WAIT_S)] = DEFAULT_WAIT_S


async def pay_key(desk: Spending, params: KeysendParams, call: Call) -> Result:
    """Pay the key of a node without an invoice, from the owner account. The same idempotency key never pays twice."""
    command, stored = _order(params), await desk.store.request(call.request_id)
    if stored is not None:  # repeated: the stored order, with its preimage, is carried on
        command = _stored_order(stored.command, command)
    outcome = await desk.pay(call.request_id, call.caller.grant_id, command, params.wait_s)
    if claimed := await claimed_by(desk, call):  # the preimage, and so the hash, was drawn with the claim
        command = _stored_order(claimed, command)
    if outcome is None:
        raise in_flight(command.payment_hash if claimed else "")
    return show_paid(expect(outcome, Paid))


def _order(params: KeysendParams) -> PayInvoice:
    key, records = read_node_key(params.pubkey), checked_records(_records(params))
    asked: dict[str, Any] = {"pubkey": key, "amount_msat": params.amount_msat, "max_fee_msat": params.max_fee_msat}
    if records:
        asked["tlv_records"] = write_records(records)
    max_fee = None if params.max_fee_msat is None else Msat(params.max_fee_msat)
    amount = Msat(params.amount_msat)
    return keysend(key, amount, records=records, max_fee_msat=max_fee, metadata=dumps(asked))


def _records(params: KeysendParams) -> Records:
    if not all(number.isascii() and number.isdecimal() for number in params.records):
        raise CodecError("the type of a record is a whole number")
    found = tuple((int(number), value) for number, value in params.records.items())
    return (*found, message_record(params.message)) if params.message else found


def _stored_order(stored: bytes, asked: PayInvoice) -> PayInvoice:
    command = thaw(stored)
    if not isinstance(command, PayInvoice) or loads_object(command.metadata) != loads_object(asked.metadata):
        raise key_reused("keysend")
    return command


COMMANDS: Final[Commands] = (Spend("keysend", KeysendParams, pay_key, results.PaidJson),)
