"""The vectors for other implementers are what this one reads and writes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from kitestring.base.budgets import Budget
from kitestring.base.commands import AskOffer, Debit, ListOffers, ManageOffer, OfferFields, UpdateOffer
from kitestring.base.errors import Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Granted, Outcome, Refused
from kitestring.nostr import kinds
from kitestring.wire.ask import debits as ask_debits
from kitestring.wire.ask import manage as ask_manage
from kitestring.wire.ask import offers as ask_offers
from kitestring.wire.grammar import Facts, Wire
from kitestring.wire.registry import BY_KIND
from kitestring.wire.serve.debits import WANT_PREIMAGE
from tests.kit.codec.invoices import invoice
from tests.kit.docs.conformance import rows_of
from tests.kit.pages import HOW_TO
from tests.kit.wire.samples import event, reply_to

REFERENCE = HOW_TO.parent / "reference"
VECTORS: list[dict[str, Any]] = json.loads((REFERENCE / "clink-extensions.json").read_text(encoding="utf-8"))["vectors"]
#: What a client of ours makes of a reply, by its kind.
READERS: dict[int, Callable[[str], object]] = {
    kinds.OFFER: ask_offers.decode_reply,
    kinds.DEBIT: ask_debits.decode_reply,
    kinds.MANAGE: ask_manage.decode_reply,
}
#: What becomes of each request.
MEANINGS: dict[str, dict[str, object]] = {
    "offer-description-hash": {"offer_id": "tips", "amount_msat": sat(21), "description_hash": "cd" * 32},
    "debit-want-preimage": {"pointer_id": "p"},
    "manage-list-page": {"pointer_id": "p", "deed": ListOffers(20, "ab" * 16)},
    "manage-update-one-field": {"deed": UpdateOffer("ab" * 16, OfferFields(price_msat=sat(13_000)))},
    "debit-one-time-budget": {"pointer_id": "p", "budget": Budget.total(sat(5_000))},
}


def vectors(of: str) -> pytest.MarkDecorator:
    found = [vector for vector in VECTORS if vector["is"] == of]
    return pytest.mark.parametrize("vector", found, ids=[vector["id"] for vector in found])


def wire_of(vector: dict[str, Any]) -> Wire:
    return BY_KIND[vector["kind"]]


@vectors("request")
def test_each_request_is_read(vector: dict[str, Any]) -> None:
    wire = wire_of(vector)
    text = json.dumps(vector["plaintext"]).replace("INVOICE", invoice())
    asked = wire.read(text, event(vector["kind"], ["clink_version", "1"]), reply_to(wire.name), Facts("regtest"))
    assert isinstance(asked.command, AskOffer | Debit | ManageOffer)
    meaning = MEANINGS[vector["id"]]
    assert {name: getattr(asked.command, name) for name in meaning} == meaning
    assert (asked.to.method == WANT_PREIMAGE) == ("want_preimage" in vector["plaintext"])


@vectors("reply")
def test_each_reply_is_written_so_and_understood(vector: dict[str, Any]) -> None:
    wire = wire_of(vector)
    written = wire.answer(_outcome(vector), reply_to(wire.name))
    assert written is not None
    told = json.loads(written)
    READERS[vector["kind"]](written.decode())
    assert bool(told.pop("error", "")) == (told["res"] == "GFY")
    assert told == vector["plaintext"]


def test_the_page_names_every_vector_of_the_file() -> None:
    named = {name for row in rows_of("docs/reference/clink-extensions.md") for name in re.findall("`([^`]+)`", row[-1])}
    assert named == {vector["id"] for vector in VECTORS}


def _outcome(vector: dict[str, Any]) -> Outcome:
    if "granted" not in vector:
        return Refused(Reason(vector["because"]), "why", vector.get("details", {}))
    limit, length_s = Msat(vector["granted"]["limit_msat"]), vector["granted"]["length_s"]
    return Granted(Budget.rolling(limit, length_s) if length_s else Budget.total(limit))
