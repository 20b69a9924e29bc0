"""The owner's commands about accounts: made once, listed, and found by the name that was typed."""

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


async def test_the_owners_own_account_is_the_node_and_is_not_made(office: Office) -> None:
    assert "owner" in (await office.refused("account_create", name="owner")).message


async def test_a_name_that_nobody_has_is_told_with_the_one_that_was_meant(office: Office) -> None:
    await office.run("account_create", name="alice")
    for typed, said in (("alise", "did you mean 'alice'?"), ("zoe", "make it with `kitestring account create zoe`")):
        refused = await office.refused("account_fund", "k2", account=typed, amount_msat=1)
        assert (refused.reason, refused.message) == (
            Reason.UNKNOWN_TARGET, f"there is no account {typed!r}; {said}"
        )  # fmt: skip


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
