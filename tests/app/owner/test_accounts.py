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
        "closed_at": None, "npub": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["Bob!", "bob\n", "-bob", "é", "@fees", "x" * 65, "npub1shop"])
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


async def test_a_renamed_account_is_the_same_one_under_its_new_name_wherever_it_is_shown(office: Office) -> None:
    await office.run("account_create", "k1", name="alice")
    await office.run("account_fund", "k2", account="alice", amount_msat=5_000)
    await office.run("connect", "k3", name="shop", account="alice")
    await office.run("offer_create", "k4", label="tea", account="alice", price_msat=1_000)
    await office.run("debit_pointer_create", "k5", label="till", account="alice")
    made = await office.run("invoice", "k6", amount_msat=7_000, account="alice")
    renamed = await office.run("account_rename", "k7", account="alice", new_name="carol")
    assert (renamed["account"], renamed["available_msat"]) == ("carol", 5_000)
    (row,) = (await office.run("account_list"))["accounts"]
    (shop,) = (await office.run("connections"))["connections"]
    (pointer,) = (await office.run("debit_pointer_list"))["pointers"]
    told = (await office.run("transactions", account="carol", unpaid=True))["transactions"]
    shown = await office.run("account_show", account="carol")
    assert {one["account"] for one in (row, shop, pointer, shown, *told)} == {"carol"}
    assert (await office.run("offer_show", offer="tea"))["account"] == "carol"
    assert [one["payment_hash"] for one in told] == [made["payment_hash"]]
    assert [move["to_account"] for move in shown["moves"]] == ["carol"]
    assert {one["account"] for one in (await office.run("events"))["events"]} == {"carol"}
    assert (await office.refused("account_show", account="alice")).reason is Reason.UNKNOWN_TARGET


async def test_what_was_stored_under_the_old_name_is_told_in_the_new_one_and_moved_once(office: Office) -> None:
    await office.run("account_create", "k1", name="alice")
    funded = await office.run("account_fund", "k2", account="alice", amount_msat=5_000)
    await office.run("account_rename", "k3", account="alice", new_name="carol")
    assert await office.run("account_fund", "k2", account="alice", amount_msat=5_000) == {**funded, "account": "carol"}
    assert (await office.run("account_show", account="carol"))["available_msat"] == 5_000
    assert (await office.run("account_rename", "k3", account="alice", new_name="carol"))["account"] == "carol"
    assert (await office.run("account_rename", "k4", account="carol", new_name="carol"))["account"] == "carol"


async def test_the_old_name_is_free_for_another_account_which_is_another_one(office: Office) -> None:
    await office.run("account_create", "k1", name="alice")
    await office.run("account_fund", "k2", account="alice", amount_msat=5_000)
    await office.run("account_rename", "k3", account="alice", new_name="carol")
    assert (await office.run("account_create", "k4", name="alice"))["created"] is True
    await office.run("account_fund", "k5", account="alice", amount_msat=1_000)
    rows = (await office.run("account_list"))["accounts"]
    assert {row["account"]: row["available_msat"] for row in rows} == {"alice": 1_000, "carol": 5_000}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("alice", "bob", "there is an account 'bob' already"),
        ("alice", "owner", "owner"),
        ("alice", "Alice!", "an account name has small letters"),
        ("alice", "npub1shop", "npub1"),
        ("owner", "boss", "owner is the node itself and keeps its name"),
        ("nobody", "boss", "there is no account 'nobody'"),
        (npub(ALICE), "boss", "known by the key that has opened it"),
    ],
)
async def test_a_name_is_free_and_fits_and_the_owner_and_enrolled_keys_keep_theirs(
    office: Office, old: str, new: str, said: str
) -> None:
    for name in ("alice", "bob"):
        await office.run("account_create", f"make-{name}", name=name)
    await office.rig.enroll("r1", ALICE)
    assert said in (await office.refused("account_rename", account=old, new_name=new)).message


async def test_the_same_key_gives_no_second_name(office: Office) -> None:
    await office.run("account_create", name="alice")
    await office.run("account_rename", "k2", account="alice", new_name="carol")
    again = await office.refused("account_rename", "k2", account="alice", new_name="dora")
    assert again.reason is Reason.ALREADY_USED
