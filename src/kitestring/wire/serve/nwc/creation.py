"""``create_connection`` of Nostr Wallet Connect, which the text has dropped: a connection asks for one more.

The owner decides, as about every app that asks for a connection; the answer comes when that is done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from kitestring.base.budgets import Budget, Period
from kitestring.base.commands import Connect
from kitestring.base.errors import CodecError
from kitestring.base.outcomes import Connected
from kitestring.base.text import clean
from kitestring.codec.members import count_member, flag_member, hash_member, words_member
from kitestring.codec.wallet_auth import MAX_METHODS, MAX_NAME_CHARS
from kitestring.crypto import secp
from kitestring.wire.renewals import PERIODS
from kitestring.wire.serve.nwc.members import Params, amount_member

_NAME: Final = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)


def read_creation(params: Params, _: str) -> Connect:
    """A ``max_amount`` of 0 is none. What is kept as ``metadata`` by others has no place here. Raises CodecError."""
    client = hash_member(params, "pubkey")
    if not client or not secp.is_valid_public(bytes.fromhex(client)):
        raise CodecError("pubkey must be the public key of the app, 64 hexadecimal digits")
    methods = _names(params, "request_methods")
    if not methods:
        raise CodecError("request_methods must name at least one method")
    amount, period = amount_member(params, "max_amount"), _period(params)
    return Connect(
        client=client,
        name=clean(words_member(params, "name"), MAX_NAME_CHARS),
        methods=methods,
        optional=_names(params, "notification_types"),
        budget=Budget(amount, period) if amount else None,
        expires_at=count_member(params, "expires_at") or None,
        isolated=flag_member(params, "isolated"),
    )


def _names(params: Mapping[str, object], name: str) -> tuple[str, ...]:
    found = params.get(name) or []
    if not isinstance(found, list) or len(found) > MAX_METHODS:
        raise CodecError(f"{name} must be a list of at most {MAX_METHODS} names")
    if not all(isinstance(one, str) and _NAME.fullmatch(one) for one in found):
        raise CodecError(f"a name in {name} has small letters, digits and underscores")
    return tuple(dict.fromkeys(found))


def _period(params: Params) -> Period:
    word = words_member(params, "budget_renewal") or "never"
    if word not in PERIODS:
        raise CodecError(f"budget_renewal is one of {', '.join(PERIODS)}")
    return PERIODS[word]


def write_created(made: Connected) -> object:
    """The result: the key that the app talks to from now on."""
    return {"wallet_pubkey": made.service_pubkey}
