"""The owner's commands on a desk without a service."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.owner.command import request_id
from kitestring.app.owner.commands import OwnerCommands, all_commands
from kitestring.base.commands import PayInvoice
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Account
from kitestring.base.money import ZERO, Msat, sat
from kitestring.base.outcomes import Invoiced, Outcome, Paid, Refused, Transaction
from kitestring.base.payments import State
from kitestring.base.records import Payment
from kitestring.codec.pointers import Noffer, PriceType, decode, encode
from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.policy.access import Right
from tests.kit.app.fake_desk import NOW, OWNER, RELAY, FakeDesk, bolt11_of
from tests.kit.changed import replace


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


async def run(desk: FakeDesk, command: str, key: str = "k1", /, **params: Any) -> dict[str, Any]:
    return await OwnerCommands(desk, all_commands()).run(OWNER, command, params, key)


async def refused(desk: FakeDesk, command: str, key: str = "k1", /, **params: Any) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        await run(desk, command, key, **params)
    return caught.value


def paid(command: object) -> Outcome:
    assert isinstance(command, PayInvoice)
    return Paid(command.payment_hash, "ab" * 32, command.amount_msat, Msat(1_005))


# ---------------------------------------------------------------- the table


def test_every_command_has_a_sentence_and_a_known_right() -> None:
    for spec in all_commands().values():
        assert spec.doc.endswith((".", "judges."))
        assert spec.mutating == (spec.right is not Right.READ)
        assert not (spec.offline and spec.mutating)


async def test_an_unknown_command_is_refused(desk: FakeDesk) -> None:
    assert (await refused(desk, "fly")).reason is Reason.UNKNOWN_TARGET


async def test_a_command_that_this_desk_cannot_carry_out_needs_the_running_service(desk: FakeDesk) -> None:
    with pytest.raises(KitestringError, match="`pay` needs the running service") as caught:
        await OwnerCommands(desk, {}).run(OWNER, "pay", {})
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_a_ledger_without_an_owner_has_no_caller_for_the_owners_door(desk: FakeDesk) -> None:
    desk.store.owner = None
    with pytest.raises(KitestringError, match="no grant of its owner") as caught:
        await OwnerCommands(desk, {}).owner()
    assert caught.value.reason is Reason.NOT_PERMITTED


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "é"])
async def test_a_mutating_command_needs_a_key(desk: FakeDesk, key: str) -> None:
    assert (await refused(desk, "account_create", key, name="bob")).reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "amount", [1.5, 1.0, "21", True, -1, 0, None, [21], 21_000_000 * 100_000_000 * 1000 + 1], ids=repr
)
async def test_an_amount_is_a_plain_integer(desk: FakeDesk, amount: object) -> None:
    assert (await refused(desk, "invoice", amount_msat=amount)).reason is Reason.MALFORMED
    assert desk.performed == []


async def test_an_unknown_parameter_is_refused(desk: FakeDesk) -> None:
    assert "amount_sat" in (await refused(desk, "invoice", amount_msat=1000, amount_sat=1)).message


# ---------------------------------------------------------------- connections


async def test_a_new_connection_shows_its_link_once_and_stores_no_secret(desk: FakeDesk) -> None:
    made = await run(desk, "connect", name="alice", budget_msat=5_000_000, period="day")
    uri = decode_nwc(made["nwc_uri"])
    grant = desk.store.rows[made["connection_id"]]
    assert uri.relays == (RELAY,)
    assert grant.caller == SecretKey(uri.secret).public_hex
    assert grant.service_pubkey == uri.service_pubkey == desk.keyring.connection_key(grant.grant_id).public_hex
    assert uri.secret.hex() not in repr(desk.__dict__) + repr(desk.store)
    assert desk.announced == [grant.grant_id]


async def test_a_repeated_connect_returns_the_connection_without_its_link(desk: FakeDesk) -> None:
    first = await run(desk, "connect", name="alice")
    again = await run(desk, "connect", name="alice")
    assert again["nwc_uri"] is None
    assert again["connection_id"] == first["connection_id"]
    assert len(desk.store.rows) == 1


async def test_a_name_that_exists_is_returned_without_its_link(desk: FakeDesk) -> None:
    first = await run(desk, "connect", name="alice")
    other = await run(desk, "connect", "k2", name="alice", budget_msat=1_000)
    assert other["nwc_uri"] is None
    assert other["connection_id"] == first["connection_id"]


async def test_a_key_is_not_taken_for_two_different_commands(desk: FakeDesk) -> None:
    await run(desk, "connect", name="alice")
    assert (await refused(desk, "connect", name="bob")).reason is Reason.ALREADY_USED
    assert [grant.name for grant in desk.store.rows.values()] == ["alice"]


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"methods": ["fly"]}, "fly"),
        ({"methods": []}, "needs a method"),
        ({"account": "nobody"}, "account create nobody"),
        ({"expires_at": NOW}, "later"),
        ({"period": "rolling", "budget_msat": 1_000}, "length"),
        ({"period": "hour"}, "hour"),
        ({"cipher": "rot13"}, "rot13"),
    ],
)
async def test_a_wrong_connection_is_explained(desk: FakeDesk, params: dict[str, Any], word: str) -> None:
    assert word in (await refused(desk, "connect", name="alice", **params)).message
    assert desk.store.rows == {}


async def test_a_revoked_connection_is_gone_and_its_name_is_free(desk: FakeDesk) -> None:
    first = await run(desk, "connect", name="alice")
    ended = await run(desk, "revoke", name="alice")
    assert await run(desk, "revoke", name="alice") == ended
    assert (await run(desk, "connections"))["connections"] == []
    assert desk.store.rows[first["connection_id"]].version == 2
    assert (await run(desk, "connect", "k3", name="alice"))["nwc_uri"] is not None
    assert (await refused(desk, "revoke", "k4", name="bob")).reason is Reason.UNKNOWN_TARGET


# ---------------------------------------------------------------- accounts and offers


async def test_accounts_are_made_and_listed(desk: FakeDesk) -> None:
    assert (await run(desk, "account_create", name="bob"))["created"] is True
    assert (await run(desk, "account_create", "k2", name="bob"))["created"] is False
    assert [account["account"] for account in (await run(desk, "account_list"))["accounts"]] == ["bob"]
    assert "owner" in (await refused(desk, "account_create", "k3", name="owner")).message
    assert (await refused(desk, "account_create", "k4", name="Bob!")).reason is Reason.MALFORMED


async def test_only_an_existing_account_can_be_funded(desk: FakeDesk) -> None:
    desk.store.purses["bob"] = Account(account_id="bob", name="bob", credits_msat=sat(5))
    funded = await run(desk, "account_fund", account="bob", amount_msat=5_000)
    assert funded == {"account": "bob", "amount_msat": 5_000, "available_msat": 10_000}
    assert (await refused(desk, "account_fund", "k2", account="eve", amount_msat=1)).reason is Reason.UNKNOWN_TARGET
    assert (await refused(desk, "account_fund", "k3", account="owner", amount_msat=1)).reason is Reason.MALFORMED


async def test_an_offer_becomes_a_code_with_key_relay_and_price(desk: FakeDesk) -> None:
    fixed = await run(desk, "offer_create", label="tea", price_msat=5_000)
    assert decode(fixed["noffer"]) == Noffer(desk.keyring.service_id, (RELAY,), fixed["offer_id"], PriceType.FIXED, 5)
    free = await run(desk, "offer_create", "k2", label="tips", min_msat=1_000, max_msat=9_000)
    assert decode(free["noffer"]) == Noffer(desk.keyring.service_id, (RELAY,), free["offer_id"])
    assert [offer["label"] for offer in (await run(desk, "offer_list"))["offers"]] == ["tea", "tips"]
    assert await run(desk, "offer_show", offer="tips") == await run(desk, "offer_show", offer=free["offer_id"]) == free


@pytest.mark.parametrize(
    "params",
    [
        {"price_msat": 1_500},
        {"price_msat": 1_000, "min_msat": 1_000},
        {"min_msat": 2_000, "max_msat": 1_000},
        {"label": " tea"},
        {"account": "nobody"},
        {"payer_data": ["x"] * 9},
    ],
)
async def test_a_wrong_offer_is_refused(desk: FakeDesk, params: dict[str, Any]) -> None:
    await refused(desk, "offer_create", **{"label": "tea", **params})
    assert desk.store.codes == {}


async def test_a_deleted_offer_is_gone_and_deleting_again_with_the_same_key_is_harmless(desk: FakeDesk) -> None:
    await run(desk, "offer_create", label="tea")
    assert (await refused(desk, "offer_create", "k2", label="tea")).reason is Reason.ALREADY_USED
    gone = await run(desk, "offer_delete", offer="tea")
    assert await run(desk, "offer_delete", offer="tea") == gone
    assert (await run(desk, "offer_list"))["offers"] == []
    assert (await refused(desk, "offer_delete", "k2", offer="tea")).reason is Reason.UNKNOWN_TARGET


# ---------------------------------------------------------------- money


async def test_an_invoice_is_paid_with_what_it_says(desk: FakeDesk) -> None:
    desk.answer = paid
    result = await run(desk, "pay", target=f"lightning:{bolt11_of(sat(50)).upper()}", max_fee_msat=2_000)
    assert (result["amount_msat"], result["fee_msat"], result["preimage"]) == (50_000, 1_005, "ab" * 32)
    (command,) = desk.performed
    assert isinstance(command, PayInvoice)
    assert (command.amount_msat, command.max_fee_msat, command.amountless) == (sat(50), Msat(2_000), False)


async def test_a_repeated_payment_of_an_offer_asks_for_no_second_invoice(desk: FakeDesk) -> None:
    desk.answer = paid
    target = encode(Noffer(desk.keyring.service_id, (RELAY,), "tips"))
    first = await run(desk, "pay", target=target, amount_msat=21_000)
    again = await run(desk, "pay", target=target, amount_msat=21_000)
    assert first["payment_hash"] == again["payment_hash"]
    assert [sats for _, sats in desk.asked_offers] == [21]


@pytest.mark.parametrize("changed", [{"amount_msat": 22_000}, {"max_fee_msat": 1}, {"target": "other"}])
async def test_a_key_pays_one_thing_only(desk: FakeDesk, changed: dict[str, Any]) -> None:
    desk.answer = paid
    target = encode(Noffer(desk.keyring.service_id, (RELAY,), "tips"))
    if "target" in changed:
        changed = {"target": encode(Noffer(desk.keyring.service_id, (RELAY,), "other"))}
    await run(desk, "pay", target=target, amount_msat=21_000)
    assert (await refused(desk, "pay", **{"target": target, "amount_msat": 21_000, **changed})).reason is (
        Reason.ALREADY_USED
    )
    assert len(desk.performed) == 1


async def test_an_open_payment_is_pending_not_failed(desk: FakeDesk) -> None:
    error = await refused(desk, "pay", target=bolt11_of(sat(50)))
    assert error.reason is Reason.PAYMENT_IN_FLIGHT
    assert error.details == {"payment_hash": "00" * 31 + "01"}


async def test_a_refusal_keeps_its_reason_and_details(desk: FakeDesk) -> None:
    desk.answer = lambda _: Refused(Reason.OVER_BUDGET, "too much", {"remaining_msat": 5})
    error = await refused(desk, "pay", target=bolt11_of(sat(50)))
    assert (error.reason, error.message, error.details) == (Reason.OVER_BUDGET, "too much", {"remaining_msat": 5})


@pytest.mark.parametrize(
    ("target", "amount", "word"),
    [
        ("invoice", 51_000, "leave the amount out"),
        ("amountless", None, "how much to pay"),
        ("spontaneous", None, "how much to pay"),
        ("spontaneous", 1_500, "whole sats"),
        ("fixed", 6_000, "costs 5 sat"),
        ("npub1xxx", None, "npub"),
        ("gibberish", None, "no invoice"),
        ("lnbc1qqqq", None, "checksum"),
    ],
)
async def test_what_cannot_be_paid_is_said_before_anything_is_claimed(
    desk: FakeDesk, target: str, amount: int | None, word: str
) -> None:
    key = desk.keyring.service_id
    targets = {
        "invoice": bolt11_of(sat(50)),
        "amountless": bolt11_of(None),
        "spontaneous": encode(Noffer(key, (RELAY,), "x")),
        "fixed": encode(Noffer(key, (RELAY,), "x", PriceType.FIXED, 5)),
    }
    params = {} if amount is None else {"amount_msat": amount}
    assert word in (await refused(desk, "pay", target=targets.get(target, target), **params)).message
    assert desk.store.requests == {}
    assert desk.asked_offers == []


async def test_an_amountless_invoice_is_paid_with_the_given_amount(desk: FakeDesk) -> None:
    desk.answer = paid
    await run(desk, "pay", target=bolt11_of(None), amount_msat=9_000)
    (command,) = desk.performed
    assert isinstance(command, PayInvoice)
    assert (command.amount_msat, command.amountless) == (Msat(9_000), True)


async def test_an_invoice_is_made_once_per_key(desk: FakeDesk) -> None:
    row = Transaction("incoming", "pending", "aa" * 32, sat(21), ZERO, NOW, bolt11="lnbcrt…")
    desk.answer = lambda _: Invoiced(row)
    assert (await run(desk, "invoice", amount_msat=21_000))["bolt11"] == "lnbcrt…"
    assert (await run(desk, "invoice", amount_msat=21_000))["payment_hash"] == "aa" * 32
    assert (await refused(desk, "invoice", amount_msat=22_000)).reason is Reason.ALREADY_USED


async def test_the_balance_says_when_the_node_cannot_be_asked(desk: FakeDesk) -> None:
    assert (await run(desk, "balance"))["balance_msat"] == 7_000
    desk.available = Refused(Reason.UNAVAILABLE, "the node is away")
    assert (await run(desk, "balance"))["unknown_because"] == "the node is away"
    desk.available = Refused(Reason.CONNECTION_ENDED)
    assert (await refused(desk, "balance")).reason is Reason.CONNECTION_ENDED


async def test_only_a_payment_of_unknown_outcome_is_resolved(desk: FakeDesk) -> None:
    def payment(state: State) -> Payment:
        return Payment(
            payment_id=f"p-{state}", node_id="n", epoch=1, account_id="owner", grant_id="owner",
            payment_hash=f"h-{state}", bolt11="", amount_msat=sat(1), fee_cap_msat=ZERO, created_at=NOW, state=state,
        )  # fmt: skip

    desk.store.open = [payment(State.DISPATCHED), payment(State.UNKNOWN)]
    error = await refused(desk, "payment_resolve", payment="h-dispatched", note="why")
    assert error.reason is Reason.UNKNOWN_TARGET
    assert (await run(desk, "payment_resolve", payment="h-unknown", note="why"))["state"] == "resolved"
    assert desk.resolved == [("p-unknown", "why")]


def test_keys_of_different_commands_and_callers_do_not_meet() -> None:
    other = replace(OWNER, grant_id="device")
    ids = {request_id(caller, name, key) for caller in (OWNER, other) for name in ("pay", "invoice") for key in "ab"}
    assert len(ids) == 8
