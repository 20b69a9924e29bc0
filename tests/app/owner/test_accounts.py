"""The owner's commands about accounts: made once, listed, funded from what the node really has."""

from __future__ import annotations

import pytest

from kitestring.app.owner.params import npub
from kitestring.base.enrolments import account_id_of
from kitestring.base.errors import Reason
from kitestring.crypto.keys import SecretKey
from tests.kit.app.desk import Office
from tests.kit.clock import EPOCH

ALICE, BOB = (SecretKey(bytes([number]) * 32).public_hex for number in (1, 2))


async def test_accounts_are_made_and_listed(office: Office) -> None:
    assert (await office.run("account_create", name="bob"))["created"] is True
    assert (await office.run("account_create", "k2", name="bob"))["created"] is False
    await office.run("account_create", "k3", name="alice")
    rows = (await office.run("account_list"))["accounts"]
    assert [row["account"] for row in rows] == ["alice", "bob"]
    assert rows[0] == {
        "account": "alice", "available_msat": 0, "pending_msat": 0, "overdrawn": False, "created_at": EPOCH,
        "npub": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["Bob!", "bob\n", "-bob", "é", "@fees", "x" * 65])
async def test_a_name_is_small_letters_and_digits(office: Office, name: str) -> None:
    assert (await office.refused("account_create", name=name)).reason is Reason.MALFORMED
    assert (await office.run("account_list"))["accounts"] == []


async def test_the_owners_own_account_is_the_node_and_is_neither_made_nor_funded(office: Office) -> None:
    assert "owner" in (await office.refused("account_create", name="owner")).message
    assert (await office.refused("account_fund", account="owner", amount_msat=1)).reason is Reason.MALFORMED


async def test_only_an_existing_account_can_be_funded(office: Office) -> None:
    await office.run("account_create", name="bob")
    for key, sum_msat in (("k1", 5_000), ("k2", 10_000)):
        funded = await office.run("account_fund", key, account="bob", amount_msat=5_000, note="pocket money")
        assert funded == {"account": "bob", "amount_msat": 5_000, "available_msat": sum_msat}
    assert await office.rig.available("bob") == 10_000
    refused = await office.refused("account_fund", "k3", account="eve", amount_msat=1)
    assert (refused.reason, "account create eve" in refused.message) == (Reason.UNKNOWN_TARGET, True)


async def test_enrolled_accounts_stand_behind_the_owners_own_with_their_key_and_are_named_by_it(office: Office) -> None:
    await office.run("account_create", name="zoe")
    await office.rig.enroll("r1", ALICE)
    rows = (await office.run("account_list"))["accounts"]
    assert [(row["account"], row["npub"]) for row in rows] == [("zoe", None), (account_id_of(ALICE), npub(ALICE))]
    funded = await office.run("account_fund", "k2", account=npub(ALICE), amount_msat=5_000)
    assert funded == {"account": account_id_of(ALICE), "amount_msat": 5_000, "available_msat": 5_000}
    assert (
        await office.refused("account_fund", "k3", account=npub(BOB), amount_msat=1)
    ).reason is Reason.UNKNOWN_TARGET
    assert (await office.refused("account_fund", "k4", account="npub1x", amount_msat=1)).reason is Reason.MALFORMED


async def test_a_key_funds_once(office: Office) -> None:
    await office.run("account_create", name="bob")
    funded = [await office.run("account_fund", account="bob", amount_msat=5_000) for _ in range(3)]
    assert funded[0] == funded[1] == funded[2]
    assert await office.rig.available("bob") == 5_000


async def test_no_more_is_given_away_than_the_node_holds_and_nothing_while_it_cannot_be_asked(office: Office) -> None:
    await office.run("account_create", name="bob")
    have = int((await office.node.balance()).spendable_msat)
    beyond = await office.refused("account_fund", account="bob", amount_msat=have + 1)
    assert (beyond.reason, beyond.details) == (Reason.INSUFFICIENT_FUNDS, {"remaining_msat": have})
    await office.run("account_fund", "k2", account="bob", amount_msat=have)
    office.node.offline = True
    away = await office.refused("account_fund", "k3", account="bob", amount_msat=1)
    assert (away.reason, "switched off" in away.message) == (Reason.UNAVAILABLE, True)
