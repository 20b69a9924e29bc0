"""Nostr Wallet Connect (NIP-47), the client's side: a row for each method, requests out and responses in.

Reading is tolerant where wallets differ: what is odd counts as absent (:mod:`kitestring.wire.ask.members`), an entry of
a list that cannot be read is left out. One thing no wallet can get wrong: a preimage that hashes proves the payment of
an invoice, whatever is written beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kitestring.base import commands as c
from kitestring.base.destinations import Keysend
from kitestring.base.errors import CodecError
from kitestring.base.outcomes import Outcome
from kitestring.codec.json import dumps, loads_reply
from kitestring.wire.ask.members import Members, saying
from kitestring.wire.ask.nwc.codes import read_error
from kitestring.wire.ask.nwc.invoices import (
    hold_params,
    make_params,
    read_held,
    read_hold_ended,
    read_made,
    settle_params,
)
from kitestring.wire.ask.nwc.payments import bundle_params, is_proof, pay_params, read_none, read_paid
from kitestring.wire.ask.nwc.transactions import hash_params, list_params, read_found, read_listed
from kitestring.wire.ask.nwc.wallet import (
    connect_params,
    read_balance,
    read_budget,
    read_connected,
    read_info,
    read_signed,
)
from kitestring.wire.envelope import MAX_REPLY_BYTES

#: In the place of an extension: of a method that the text has dropped.
BY_NAME: Final = ""


@dataclass(frozen=True, slots=True)
class MethodForm:
    """The method that carries a command, how its params are written and its result is read. ``extension``: the only one
    of NIP-47 that knows the method, :data:`BY_NAME` where wallets list it by its name alone, None where the text itself
    knows it."""

    method: str
    write: Callable[[Any], dict[str, object]]
    read: Callable[[Members, Any], Outcome]
    extension: str | None = None


def _plain(_: c.AnyCommand) -> dict[str, object]:
    return {}


FORMS: Final[dict[type[c.AnyCommand], MethodForm]] = {
    c.PayInvoice: MethodForm("pay_invoice", pay_params, read_paid),
    c.Bundle: MethodForm("multi_pay_invoice", bundle_params, read_none),
    c.MakeInvoice: MethodForm("make_invoice", make_params, read_made),
    c.MakeHoldInvoice: MethodForm("make_hold_invoice", hold_params, read_held, "03"),
    c.SettleHold: MethodForm("settle_hold_invoice", settle_params, read_hold_ended, "03"),
    c.CancelHold: MethodForm("cancel_hold_invoice", hash_params, read_hold_ended, "03"),
    c.LookupInvoice: MethodForm("lookup_invoice", hash_params, read_found),
    # Without its extension: it is older than that, and wallets that announce nothing serve it.
    c.ListTransactions: MethodForm("list_transactions", list_params, read_listed),
    c.GetBalance: MethodForm("get_balance", _plain, read_balance),
    c.GetBudget: MethodForm("get_budget", _plain, read_budget, "13"),
    c.GetInfo: MethodForm("get_info", _plain, read_info),
    c.Connect: MethodForm("create_connection", connect_params, read_connected, BY_NAME),
    c.SignMessage: MethodForm("sign_message", lambda command: {"message": command.message}, read_signed, BY_NAME),
}
KEYSEND: Final = MethodForm("pay_keysend", pay_params, read_paid, "04")


def form_of(command: c.AnyCommand) -> MethodForm:
    is_keysend = isinstance(command, c.PayInvoice) and isinstance(command.destination, Keysend)
    return KEYSEND if is_keysend else FORMS[type(command)]


def encode_request(command: c.AnyCommand) -> str:
    """The plaintext that asks a wallet for ``command``. Members that say nothing are left out."""
    form = form_of(command)
    return dumps({"method": form.method, "params": saying(form.write(command))})


def decode_response(plaintext: str, command: c.AnyCommand) -> Outcome:
    """Read the answer of a wallet to ``command``.

    An error becomes Refused, see :func:`kitestring.wire.ask.nwc.codes.read_error`. Raises CodecError when the response
    cannot be read or a preimage does not hash to the invoice: then nothing is known about the outcome.
    """
    members = loads_reply(plaintext, MAX_REPLY_BYTES)
    result, error = members.get("result"), members.get("error")
    if error and not is_proof(result, command):
        return read_error(error)
    if not isinstance(result, dict):
        if not isinstance(command, c.SettleHold | c.CancelHold):
            raise CodecError("the wallet's response has neither a result nor an error")
        result = {}  # there is nothing to say but that it was done
    return form_of(command).read(result, command)
