"""Ask a wallet about itself: balance, budget, info; for a new connection; and for a signature."""

from __future__ import annotations

from typing import Final

from kitestring.base import commands as c
from kitestring.base import outcomes as o
from kitestring.base.budgets import Budget
from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_WHOLE, Msat
from kitestring.codec.signed_message import signer
from kitestring.codec.uri import MAX_LUD16_LENGTH
from kitestring.wire.ask.members import MAX_NAMES, MAX_TEXT_CHARS, Members, hex_in, names_in, number_in, text_in
from kitestring.wire.ask.nwc.codes import MAX_CODE_CHARS
from kitestring.wire.renewals import read_period, renewal_word
from kitestring.wire.text import MAX_PEER_MESSAGE

_NETWORKS: Final = {"mainnet": "bitcoin"}


def connect_params(command: c.Connect) -> dict[str, object]:
    budget = command.budget
    return {
        "pubkey": command.client,
        "name": command.name,
        "request_methods": list(command.methods),
        "notification_types": list(command.optional) or None,
        "max_amount": None if budget is None else budget.limit_msat,
        "budget_renewal": None if budget is None else renewal_word(budget),
        "expires_at": command.expires_at,
        "isolated": command.isolated or None,
    }


def read_balance(result: Members, _: c.GetBalance) -> o.Balance:
    balance = number_in(result, "balance", low=-MAX_WHOLE)
    if balance is None:
        raise CodecError("the wallet's response has no balance")
    return o.Balance(Msat(balance))


def read_budget(result: Members, _: c.GetBudget) -> o.BudgetState:
    """An answer without a limit means that there is none; a limit of 0 is one."""
    limit, used = number_in(result, "total_budget"), number_in(result, "used_budget")
    for name, number in (("total_budget", limit), ("used_budget", used)):
        if number is None and result.get(name) is not None:
            raise CodecError(f"the wallet's {name} cannot be read")
    if limit is None:
        return o.BudgetState()
    budget = Budget(Msat(limit), read_period(text_in(result, "renewal_period", MAX_CODE_CHARS)))
    return o.BudgetState(budget, Msat(used or 0), number_in(result, "renews_at") or None)


def read_info(result: Members, _: c.GetInfo) -> o.Info:
    network = text_in(result, "network", MAX_CODE_CHARS).lower()
    return o.Info(
        alias=text_in(result, "alias", MAX_PEER_MESSAGE),
        color=text_in(result, "color", MAX_CODE_CHARS),
        node_pubkey=text_in(result, "pubkey", MAX_PEER_MESSAGE),
        network=_NETWORKS.get(network, network),
        block_height=number_in(result, "block_height") or 0,
        block_hash=text_in(result, "block_hash", MAX_PEER_MESSAGE),
        methods=names_in(result, "methods", MAX_NAMES, MAX_CODE_CHARS),
        extensions=names_in(result, "extensions", MAX_NAMES, MAX_CODE_CHARS),
        lud16=text_in(result, "lud16", MAX_LUD16_LENGTH),
    )


def read_connected(result: Members, _: c.Connect) -> o.Connected:
    pubkey = hex_in(result, "wallet_pubkey")
    if len(pubkey) != 64:
        raise CodecError("the wallet does not say which key the new connection has")
    return o.Connected(pubkey)


def read_signed(result: Members, command: c.SignMessage) -> o.Signed:
    """Raises CodecError where it is no signature, or of another text."""
    told, signature = result.get("message"), text_in(result, "signature", MAX_TEXT_CHARS)
    if told not in {None, command.message}:
        raise CodecError("the wallet has signed another text than the one it was given")
    signer(command.message, signature)
    return o.Signed(command.message, signature)
