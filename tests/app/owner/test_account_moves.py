"""Money between accounts: never below zero, never what is reserved, and once for each key."""

from __future__ import annotations

import asyncio

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.transactions.service import SetSpending
from tests.kit.app.desk import Office
from tests.kit.ledger.values import answered, claim, payment, settle


async def has(office: Office, **accounts: int) -> None:
    """Make accounts, with so many sat in each."""
    for name, amount_sat in accounts.items():
        await office.run("account_create", f"make-{name}", name=name)
        if amount_sat:
            await office.run("account_fund", f"fund-{name}", account=name, amount_msat=amount_sat * 1_000)


async def test_only_an_existing_account_can_be_funded(office: Office) -> None:
    await office.run("account_create", name="bob")
    for key, sum_msat in (("k1", 5_000), ("k2", 10_000)):
        funded = await office.run("account_fund", key, account="bob", amount_msat=5_000, note="pocket money")
        assert funded == {"account": "bob", "amount_msat": 5_000, "available_msat": sum_msat}
    assert await office.rig.available("bob") == 10_000
    refused = await office.refused("account_fund", "k3", account="eve", amount_msat=1)
    assert (refused.reason, "account create eve" in refused.message) == (Reason.UNKNOWN_TARGET, True)


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


async def test_the_owners_own_account_is_the_node_and_is_neither_funded_nor_emptied(office: Office) -> None:
    for command in ("account_fund", "account_withdraw"):
        assert (await office.refused(command, account="owner", amount_msat=1)).reason is Reason.MALFORMED


async def test_money_goes_back_to_the_owner_in_part_or_all_of_it(office: Office) -> None:
    await has(office, alice=500)
    before = (await office.run("balance"))["balance_msat"]
    part = await office.run("account_withdraw", "k1", account="alice", amount_msat=120_000, note="rent")
    assert part == {"account": "alice", "amount_msat": 120_000, "available_msat": 380_000}
    rest = await office.run("account_withdraw", "k2", account="alice")
    assert rest == {"account": "alice", "amount_msat": 380_000, "available_msat": 0}
    assert (await office.run("balance"))["balance_msat"] == before + 500_000
    assert (await office.refused("account_withdraw", "k3", account="alice")).message == (
        "alice has 0 sat; nothing can be moved"
    )


async def test_money_moves_between_accounts_and_the_node_is_not_asked(office: Office) -> None:
    await has(office, alice=500, bob=1)
    office.node.offline = True
    moved = await office.run("account_transfer", from_account="alice", to_account="bob", amount_msat=200_000)
    assert moved == {
        "from_account": "alice", "to_account": "bob", "amount_msat": 200_000, "from_available_msat": 300_000,
        "to_available_msat": 201_000,
    }  # fmt: skip
    await office.run("account_transfer", "k2", from_account="alice", to_account="bob")
    assert [await office.rig.available(name) for name in ("alice", "bob")] == [0, 501_000]


async def test_what_payments_reserve_stays_and_the_refusal_tells_the_figures(office: Office) -> None:
    await has(office, alice=500)
    await office.rig.grant("app", account="alice")
    await office.store.apply(claim("a", payment("a", 100_000, 20_000)))
    refused = await office.refused("account_withdraw", account="alice", amount_msat=450_000)
    assert refused.message == ("alice has 500 sat, 120 sat of it reserved for payments under way; 380 sat can be moved")
    assert (refused.reason, refused.details) == (Reason.INSUFFICIENT_FUNDS, {"remaining_msat": 380_000})
    assert (await office.run("account_withdraw", "k2", account="alice"))["amount_msat"] == 380_000
    await office.store.apply(settle("a", 20_000, answered("a")))
    assert await office.rig.available("alice") == 0


async def test_an_account_that_is_overdrawn_gives_nothing(office: Office) -> None:
    await has(office, alice=1)
    await office.rig.grant("app", account="alice")
    await office.store.apply(claim("a", payment("a", 1_000, 0)))
    await office.store.apply(settle("a", 5_000, answered("a")))  # the node has overspent
    refused = await office.refused("account_withdraw", account="alice")
    assert refused.message == "alice is overdrawn by 5 sat: nothing can be moved"


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("alice", "alice", "alice cannot transfer to itself"),
        ("alice", "owner", "use `kitestring account withdraw alice AMOUNT_SAT`"),
        ("owner", "alice", "use `kitestring account fund alice AMOUNT_SAT`"),
        ("alice", "nobody", "there is no account 'nobody'"),
        ("nobody", "alice", "there is no account 'nobody'"),
    ],
)
async def test_a_transfer_is_between_two_accounts_that_are_there(
    office: Office, source: str, target: str, said: str
) -> None:
    await has(office, alice=500)
    refused = await office.refused("account_transfer", from_account=source, to_account=target, amount_msat=1_000)
    assert said in refused.message
    assert await office.rig.available("alice") == 500_000


@pytest.mark.parametrize("amount_msat", [0, -50_000, 2**53, 1.0, "5", True])
async def test_an_amount_is_a_whole_number_above_zero(office: Office, amount_msat: object) -> None:
    await has(office, alice=500, bob=0)
    for command, more in (
        ("account_withdraw", {"account": "alice"}),
        ("account_transfer", {"from_account": "alice", "to_account": "bob"}),
    ):
        assert (await office.refused(command, **more, amount_msat=amount_msat)).reason is Reason.MALFORMED


async def test_the_same_key_never_moves_twice_and_is_refused_for_another_amount(office: Office) -> None:
    await has(office, alice=500, bob=0)
    for command, more in (
        ("account_withdraw", {"account": "alice"}),
        ("account_transfer", {"from_account": "alice", "to_account": "bob"}),
    ):
        told = [await office.run(command, **more, amount_msat=50_000) for _ in range(3)]
        assert told[0] == told[1] == told[2]
        for amount_msat in (60_000, None):
            again = await office.refused(command, **more, amount_msat=amount_msat)
            assert again.reason is Reason.ALREADY_USED
    assert [await office.rig.available(name) for name in ("alice", "bob")] == [400_000, 50_000]


async def test_of_two_who_take_the_same_money_at_once_one_gets_it(office: Office) -> None:
    await has(office, alice=500, bob=0)
    before = (await office.run("balance"))["balance_msat"]
    ended = await asyncio.gather(
        office.run("account_withdraw", "k1", account="alice", amount_msat=400_000),
        office.run("account_transfer", "k2", from_account="alice", to_account="bob", amount_msat=400_000),
        office.run("account_withdraw", "k3", account="alice", amount_msat=400_000),
        return_exceptions=True,
    )
    refused = [one for one in ended if isinstance(one, KitestringError)]
    assert [one.reason for one in refused] == [Reason.INSUFFICIENT_FUNDS] * 2
    alice, bob = [await office.rig.available(name) for name in ("alice", "bob")]
    after = (await office.run("balance"))["balance_msat"]
    assert (alice, after - before + bob) == (100_000, 400_000)


async def test_while_spending_is_stopped_money_goes_back_to_the_owner_alone(office: Office) -> None:
    await has(office, alice=500, bob=0)
    await office.store.apply(SetSpending(True, "a drill", office.rig.clock.now()))
    refused = await office.refused("account_transfer", from_account="alice", to_account="bob")
    assert refused.reason is Reason.SPENDING_STOPPED
    assert (await office.run("account_withdraw", account="alice"))["available_msat"] == 0
