"""Ask a wallet for invoices and hold invoices, and to end these."""

from __future__ import annotations

from kitestring.base import commands as c
from kitestring.base import outcomes as o
from kitestring.base.money import Msat
from kitestring.codec.json import loads_object
from kitestring.wire.ask.members import Members
from kitestring.wire.ask.nwc.transactions import check_hash, read_entry


def make_params(command: c.MakeInvoice) -> dict[str, object]:
    return {
        "amount": command.amount_msat,
        "description": command.description,
        "description_hash": command.description_hash,
        "expiry": command.expiry_s,
        "metadata": loads_object(command.metadata) if command.metadata else None,
    }


def hold_params(command: c.MakeHoldInvoice) -> dict[str, object]:
    hold = {"payment_hash": command.payment_hash, "min_cltv_expiry_delta": command.min_cltv_delta or None}
    return make_params(command) | hold


def settle_params(command: c.SettleHold) -> dict[str, object]:
    return {"preimage": command.preimage}


def read_made(result: Members, command: c.MakeInvoice) -> o.Invoiced:
    return o.Invoiced(read_entry(result, command.amount_msat or Msat(0)))


def read_held(result: Members, command: c.MakeHoldInvoice) -> o.Invoiced:
    check_hash(result, command.payment_hash)
    return read_made(result, command)


def read_hold_ended(_: Members, command: c.SettleHold | c.CancelHold) -> o.HoldEnded:
    is_settled = isinstance(command, c.SettleHold)
    state = o.TransactionState.SETTLED if is_settled else o.TransactionState.EXPIRED
    return o.HoldEnded(command.payment_hash, state)
