"""Commands that are carried on after a crash: what is stored is read back as it was, or not at all."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitestring.base.budgets import Budget
from kitestring.base.commands import (
    COMMANDS,
    JOURNALED,
    AskOffer,
    Bundle,
    CallMethod,
    CancelHold,
    Connect,
    CreateOffer,
    Debit,
    DeleteOffer,
    Enroll,
    GetBalance,
    GetOffer,
    Journaled,
    ListOffers,
    MakeHoldInvoice,
    MakeInvoice,
    ManageOffer,
    OfferFields,
    Part,
    PayInvoice,
    SettleHold,
    SignMessage,
    Unread,
    UpdateOffer,
    freeze,
    thaw,
)
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.money import MAX_MSAT, Msat
from kitestring.base.rights import Right
from kitestring.base.zaps import ZapRequest

MONEY = st.integers(0, MAX_MSAT).map(Msat)
PERHAPS_MONEY = st.none() | MONEY
TEXT = st.text(max_size=40)
SECONDS = st.integers(0, 2**53 - 1)
TEXTS = st.dictionaries(TEXT, TEXT, max_size=3)
DESTINATION = st.builds(Bolt11, TEXT, st.booleans()) | st.builds(
    Keysend, TEXT, TEXT, st.lists(st.tuples(SECONDS, TEXT), max_size=2).map(tuple)
)
PAYMENTS = st.builds(
    PayInvoice, destination=DESTINATION, payment_hash=TEXT, amount_msat=MONEY, max_fee_msat=PERHAPS_MONEY,
    network=TEXT, expires_at=SECONDS, description=TEXT, description_hash=TEXT, metadata=TEXT,
)  # fmt: skip
INVOICES = st.builds(
    MakeInvoice, amount_msat=PERHAPS_MONEY, description=TEXT, description_hash=TEXT, expiry_s=SECONDS, metadata=TEXT,
    offer_id=TEXT, payer_data=TEXTS, zap=TEXT,
)  # fmt: skip
QUESTIONS = st.builds(
    AskOffer, offer_id=TEXT, amount_msat=PERHAPS_MONEY, payer_data=TEXTS, description=TEXT, expiry_s=SECONDS,
    description_hash=TEXT, zap=st.none() | st.builds(ZapRequest, TEXT, TEXT, PERHAPS_MONEY), amountless=st.booleans(),
)  # fmt: skip


def stored(**members: Any) -> bytes:
    return msgspec.msgpack.encode({"type": "MakeInvoice", **members})


DEBITS = st.builds(
    Debit, pointer_id=TEXT, payment=st.none() | PAYMENTS, k1=TEXT, description=TEXT,
    budget=st.none() | st.builds(Budget, MONEY, st.sampled_from(["rolling", "never"]), SECONDS),
)  # fmt: skip


APPS = st.builds(
    Connect, client=TEXT, name=TEXT, methods=st.tuples(TEXT), optional=st.tuples(TEXT), isolated=st.booleans(),
    expires_at=st.none() | SECONDS, relays=st.tuples(TEXT), state=TEXT, return_to=TEXT,
    budget=st.none() | st.builds(Budget, MONEY, st.sampled_from(["day", "never"])),
)  # fmt: skip


BUNDLES = st.builds(
    Bundle,
    parts=st.lists(st.builds(Part, PAYMENTS | st.builds(Unread, TEXT, TEXT), st.binary()), max_size=3).map(tuple),
    begin_until=SECONDS,
)
HOLDS = (
    st.builds(
        MakeHoldInvoice, amount_msat=MONEY, payment_hash=TEXT, min_cltv_delta=SECONDS, preimage=TEXT, metadata=TEXT
    )
    | st.builds(SettleHold, payment_hash=TEXT, preimage=TEXT)
    | st.builds(CancelHold, payment_hash=TEXT)
)
FIELDS = st.builds(
    OfferFields, label=st.none() | TEXT, price_msat=PERHAPS_MONEY, callback_url=st.none() | TEXT,
    payer_data=st.none() | st.tuples(TEXT, TEXT),
)  # fmt: skip
DEEDS = (
    st.builds(CreateOffer, FIELDS)
    | st.builds(UpdateOffer, TEXT, FIELDS)
    | st.builds(GetOffer, TEXT)
    | st.builds(ListOffers, SECONDS, TEXT)
    | st.builds(DeleteOffer, TEXT)
)
MANAGING = st.builds(ManageOffer, deed=DEEDS, pointer_id=TEXT)
CALLS = st.builds(CallMethod, method=TEXT, permission=TEXT, params=st.binary(max_size=9))


@given(PAYMENTS | INVOICES | QUESTIONS | DEBITS | MANAGING | APPS | BUNDLES | HOLDS | CALLS)
def test_a_stored_command_is_read_back_as_it_was(command: Journaled) -> None:
    back = thaw(freeze(command))
    assert (back, type(back)) == (command, type(command))
    amount = getattr(back, "amount_msat", None)
    assert amount is None or type(amount) is Msat


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"not a command",
        stored(),
        stored(amount_msat=1.0),
        stored(amount_msat=True),
        stored(amount_msat="21"),
        stored(amount_msat=21, description=7),
        stored(amount_msat=21)[:-1],
        stored(amount_msat=21) + b"\x00",
        msgspec.msgpack.encode({"type": "Unheard", "amount_msat": 21}),
        msgspec.msgpack.encode(GetBalance()),
    ],
    ids=repr,
)
def test_what_is_no_stored_command_is_not_guessed(bytes_: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        thaw(bytes_)


def test_members_that_were_not_stored_are_those_of_a_new_command() -> None:
    assert thaw(stored(amount_msat=None)) == MakeInvoice(amount_msat=None)


def test_what_has_no_stored_form_is_not_stored() -> None:
    unknown: Any = object()
    with pytest.raises(TypeError, match="no stored form for object"):
        freeze(MakeInvoice(amount_msat=unknown))


def test_every_kind_of_command_says_which_right_an_owner_needs_for_it() -> None:
    assert all(isinstance(kind.right, Right) for kind in COMMANDS)
    assert {Journaled, MakeHoldInvoice, GetBalance} & set(COMMANDS) == {MakeHoldInvoice, GetBalance}


def test_what_changes_nothing_is_not_stored_and_needs_no_right_to_pay_or_to_be_paid() -> None:
    questions = set(COMMANDS) - set(JOURNALED)
    assert {kind for kind in questions if kind.right is not Right.READ} == {SignMessage}
    assert SignMessage.right is Right.MANAGE
    assert GetBalance in questions
    assert {PayInvoice, MakeHoldInvoice, CallMethod} <= set(JOURNALED)


def test_a_command_without_a_name_for_grants_is_decided_where_it_is_carried_out() -> None:
    decided_elsewhere = {AskOffer, Debit, Enroll, ManageOffer, CallMethod}
    assert {kind for kind in COMMANDS if not hasattr(kind, "allowed_by")} == decided_elsewhere
