"""Requests of Nostr Wallet Connect, read and answered as the service does it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from kitestring.base.outcomes import Outcome
from kitestring.nostr import kinds
from kitestring.wire.grammar import Asked, Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve.nwc import WIRE
from tests.kit.wire.samples import event, reply_to

TO = reply_to("nwc")
#: What is served only where the owner wants it.
LEGACY = frozenset({"multi_pay_invoice", "multi_pay_keysend", "lookup_payment", "sign_message", "create_connection"})
#: The key of a node: one times the base point.
KEY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


def request(method: str, params: object) -> str:
    return json.dumps({"method": method, "params": params})


def decode(method: str, params: object) -> Any:
    return read(request(method, params)).command


def read(plaintext: str, network: str = "regtest") -> Asked:
    return WIRE.read(plaintext, event(kinds.NWC_REQUEST), TO, Facts(network))


def refusal(plaintext: str, network: str = "regtest") -> WireRefusalError:
    with pytest.raises(WireRefusalError) as caught:
        read(plaintext, network)
    return caught.value


def answer(method: str, outcome: Outcome, *, narrow: bool = False) -> bytes | None:
    to = TO.named(method)
    return WIRE.answer(outcome, msgspec.structs.replace(to, cipher="nip04") if narrow else to)


def response(method: str, outcome: Outcome, *, narrow: bool = False) -> Any:
    plaintext = answer(method, outcome, narrow=narrow)
    return plaintext and json.loads(plaintext)
