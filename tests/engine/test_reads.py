"""Questions: a connection learns of its own account, its own payments, and of the node what it may."""

from __future__ import annotations

from typing import Any

from kitestring.base.budgets import Budget
from kitestring.base.commands import GetBalance, GetBudget, GetInfo, ListTransactions, LookupInvoice, LookupPayment
from kitestring.base.errors import Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Balance, BudgetState, Direction, Found, Info, Listed, Paid, Refused
from kitestring.base.zones import UTC, Zone
from kitestring.policy.calendar import period_end, time_text
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life, Rig


async def why_not(rig: Rig, grant_id: str, command: GetBalance | GetBudget | GetInfo) -> Reason:
    refused = await rig.engine.ask(grant_id, command)
    assert isinstance(refused, Refused), refused
    return refused.reason


@virtual
async def test_a_connection_sees_its_own_records_and_the_balance_of_its_account(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 77_000)
        await rig.grant("till", account="shop", methods="make_invoice lookup_invoice get_balance list_transactions")
        await rig.grant("app", methods="lookup_invoice")
        _, payment_hash = await rig.invoice("i1", "till", 1_000, expiry_s=60)
        assert await rig.engine.ask("till", GetBalance()) == Balance(Msat(77_000))
        found = await rig.engine.ask("till", LookupInvoice(payment_hash=payment_hash))
        assert isinstance(found, Found)
        assert found.transaction.state == "pending"
        listed = await rig.engine.ask("till", ListTransactions(unpaid_incoming=True))
        assert isinstance(listed, Listed)
        assert ([row.state for row in listed.transactions], listed.total) == (["pending"], 1)
        paid = await rig.engine.ask("till", ListTransactions())
        assert isinstance(paid, Listed)
        assert (paid.transactions, paid.total) == ((), 0)
        foreign = await rig.engine.ask("app", LookupInvoice(payment_hash=payment_hash))
        assert isinstance(foreign, Refused)
        assert foreign.reason is Reason.UNKNOWN_TARGET
        assert await why_not(rig, "app", GetBalance()) is Reason.NOT_PERMITTED
        assert await why_not(rig, "nobody", GetInfo()) is Reason.CONNECTION_ENDED


@virtual
async def test_an_unpaid_invoice_has_expired_when_the_node_says_so_wherever_the_clock_stands(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("till", methods="make_invoice lookup_invoice list_transactions")
        _, payment_hash = await rig.invoice("i1", "till", 1_000, expiry_s=60)

        async def states() -> set[str]:
            found = await rig.engine.ask("till", LookupInvoice(payment_hash=payment_hash))
            listed = await rig.engine.ask("till", ListTransactions(unpaid_incoming=True))
            assert isinstance(found, Found)
            assert isinstance(listed, Listed)
            return {found.transaction.state.value, *(row.state.value for row in listed.transactions)}

        rig.clock.skew_s += 400 * 86_400
        assert await states() == {"pending"}, "whoever is told that it has expired makes another one"
        rig.clock.skew_s -= 400 * 86_400
        await rig.clock.sleep(300)
        assert await states() == {"expired"}


@virtual
async def test_metadata_of_invoices_and_payments_is_shown_in_look_ups_and_lists(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", methods="pay_invoice make_invoice lookup_invoice list_transactions")
        made = await rig.invoice("i1", "app", 1_000, metadata='{"a":1}')
        paid = life.node.outside_invoice(Script(fee=0))
        await rig.pay("r1", "app", paid, 5_000, metadata='{"b":2}')
        await rig.answer("r1")
        listed = await rig.engine.ask("app", ListTransactions(unpaid_incoming=True))
        assert isinstance(listed, Listed)
        shown = {row.payment_hash: row.metadata for row in listed.transactions}
        assert shown == {made[1]: '{"a":1}', paid[1]: '{"b":2}'}
        for payment_hash, metadata in shown.items():
            found = await rig.engine.ask("app", LookupInvoice(payment_hash=payment_hash))
            assert isinstance(found, Found)
            assert found.transaction.metadata == metadata


@virtual
async def test_what_the_owner_can_spend_is_the_nodes_balance_less_accounts_and_what_is_held(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 300_000_000)
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(settles_after_s=None, fee=1_000))
        life.node.offline = False
        await rig.pay("r1", "app", invoice, 100_000_000, max_fee_msat=Msat(1_000))
        await rig.clock.sleep(1)
        asked = await rig.engine.ask("app", GetBalance())
        assert isinstance(asked, Balance)
        # In flight, the node and the ledger both hold it: counted twice rather than never.
        assert asked.balance_msat == 1_000_000_000 - 300_000_000 - 2 * 100_001_000
        life.node.release(invoice[1])
        await rig.answer("r1")
        await rig.clock.sleep(60)
        assert await rig.engine.ask("app", GetBalance()) == Balance(Msat(1_000_000_000 - 300_000_000 - 100_001_000))
        life.node.offline = True
        await rig.clock.sleep(1)
        assert await why_not(rig, "app", GetBalance()) is Reason.UNAVAILABLE


@virtual
async def test_facts_about_the_node_are_told_only_with_the_permission(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("plain", methods="pay_invoice")
        await rig.grant("curious", methods="pay_invoice get_info")
        told = await rig.engine.ask("plain", GetInfo())
        assert told == Info("", "", "", "regtest", None, "", ("get_info", "pay_invoice"))
        told = await rig.engine.ask("curious", GetInfo())
        assert isinstance(told, Info)
        assert (told.node_pubkey, told.methods) == (rig.context.node.node_id, ("get_info", "pay_invoice"))


async def budget(rig: Rig, grant_id: str) -> BudgetState:
    told = await rig.engine.ask(grant_id, GetBudget())
    assert isinstance(told, BudgetState), told
    return told


@virtual
async def test_a_budget_is_told_with_what_is_held_and_renews_with_its_period(life: Life) -> None:
    async with life.service() as rig:
        daily = Budget.daily(Msat(200_000))
        await rig.grant("app", budgets=(daily,), methods="pay_invoice get_budget")
        now = rig.clock.now()
        assert await budget(rig, "app") == BudgetState(daily, Msat(0), period_end("day", now, UTC))
        invoice = life.node.outside_invoice(Script(settles_after_s=None, fee=1_000))
        await rig.pay("r1", "app", invoice, 100_000, max_fee_msat=Msat(5_000))
        await rig.clock.sleep(1)
        assert (await budget(rig, "app")).used_msat == 105_000
        life.node.release(invoice[1])
        await rig.answer("r1")
        assert (await budget(rig, "app")).left_msat == 99_000
        await rig.clock.sleep(period_end("day", now, UTC) - rig.clock.now())
        assert await budget(rig, "app") == BudgetState(daily, Msat(0), period_end("day", rig.clock.now(), UTC))


@virtual
async def test_of_several_budgets_the_one_with_the_least_left_is_told(life: Life) -> None:
    async with life.service() as rig:
        daily, in_all = Budget.daily(Msat(80_000)), Budget(Msat(120_000), "never", 0, 1)
        await rig.grant("app", budgets=(daily, in_all), methods="pay_invoice get_budget")
        for name, expected in (("r1", daily), ("r2", in_all)):
            assert (await budget(rig, "app")).budget == expected
            await rig.pay(name, "app", life.node.outside_invoice(Script(fee=0)), 60_000)
            await rig.answer(name)
            await rig.clock.sleep(86_400)
        assert await budget(rig, "app") == BudgetState(in_all, Msat(120_000), None)


@virtual
async def test_the_budget_has_a_permission_of_its_own(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("poor", budgets=(Budget.daily(Msat(1)),), methods="pay_invoice get_balance")
        await rig.grant("rich", methods="get_budget")
        assert await why_not(rig, "poor", GetBudget()) is Reason.NOT_PERMITTED
        assert await budget(rig, "rich") == BudgetState()
        assert await why_not(rig, "rich", GetBalance()) is Reason.NOT_PERMITTED


@virtual
async def test_the_balance_is_no_more_than_what_is_left_of_the_budget(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 77_000)
        small, large = Budget.daily(Msat(50_000)), Budget.daily(Msat(90_000))
        await rig.grant("small", account="shop", budgets=(large, replace(small, budget_id=1)))
        await rig.grant("large", account="shop", budgets=(large,))
        await rig.grant("owns", account="owner", budgets=(small,))
        await rig.change("owns", wire="owner", methods=frozenset())
        assert await rig.engine.ask("small", GetBalance()) == Balance(Msat(50_000))
        assert await rig.engine.ask("large", GetBalance()) == Balance(Msat(77_000))
        assert await rig.engine.ask("owns", GetBalance()) == Balance(Msat(1_000_000_000 - 77_000))
        await rig.pay("r1", "small", life.node.outside_invoice(Script(fee=1_000)), 49_000)
        await rig.answer("r1")
        assert await rig.engine.ask("small", GetBalance()) == Balance(Msat(0))
        await rig.change("small", budgets=(replace(small, limit_msat=Msat(1_000), budget_id=1),))
        assert await rig.engine.ask("small", GetBalance()) == Balance(Msat(0))  # and never below it


@virtual
async def test_whom_the_owner_shows_everything_sees_the_whole_balance_and_spends_no_more(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 77_000)
        await rig.grant("app", account="shop", budgets=(Budget.daily(Msat(50_000)),), shown_balance="full")
        assert await rig.engine.ask("app", GetBalance()) == Balance(Msat(77_000))
        await rig.pay("r1", "app", life.node.outside_invoice(), 60_000)
        assert (await rig.answer("r1")).reason is Reason.OVER_BUDGET
        assert life.node.sends == []


async def _listed(rig: Rig, grant_id: str) -> list[tuple[str, str]]:
    asked = ListTransactions(unpaid_incoming=True, unpaid_outgoing=True)
    listed = await rig.engine.ask(grant_id, asked)
    assert isinstance(listed, Listed)
    assert listed.total == len(listed.transactions)
    return [(row.type.value, row.payment_hash) for row in listed.transactions]


@virtual
async def test_who_is_shown_its_account_sees_what_others_paid_and_were_paid_there_and_nothing_else(life: Life) -> None:
    looks = "lookup_invoice list_transactions"
    async with life.service() as rig:
        for account in ("alice", "bob"):
            await rig.account(account, 100_000)
            await rig.grant(f"{account} pays", account=account, methods="pay_invoice make_invoice")
            await rig.grant(f"{account} looks", account=account, methods=looks, shown_history="account")
        await rig.grant("alice alone", account="alice", methods=looks)
        await rig.offer("coffee", "alice")
        _, of_offer = await rig.invoice("i1", "", 7_000, offer_id="coffee")
        _, of_bob = await rig.invoice("i2", "bob pays", 5_000)
        assert life.node.pay_in(of_offer)
        to_bob = (await rig.store.invoice_by_hash(rig.context.node.node_id, of_bob)).bolt11
        await rig.pay("r1", "alice pays", (to_bob, of_bob), 5_000)
        await rig.answer("r1")
        await rig.clock.sleep(1)
        assert sorted(await _listed(rig, "alice looks")) == sorted([("incoming", of_offer), ("outgoing", of_bob)])
        assert await _listed(rig, "bob looks") == [("incoming", of_bob)]
        assert await _listed(rig, "alice alone") == []
        for grant_id, seen in (("alice looks", {of_offer, of_bob}), ("bob looks", {of_bob}), ("alice alone", set())):
            for payment_hash in (of_offer, of_bob):
                found = await rig.engine.ask(grant_id, LookupInvoice(payment_hash=payment_hash))
                assert isinstance(found, Found) == (payment_hash in seen)
        found = await rig.engine.ask("alice looks", LookupInvoice(payment_hash=of_bob))
        assert isinstance(found, Found)
        assert (found.transaction.type, found.transaction.account) == (Direction.OUTGOING, "alice")


@virtual
async def test_what_is_shown_of_the_account_changes_with_the_next_question(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("till")
        await rig.grant("book", methods="lookup_invoice list_transactions")
        _, payment_hash = await rig.invoice("i1", "till", 1_000)
        for history, seen in (("account", [("incoming", payment_hash)]), ("own", [])):
            await rig.change("book", shown_history=history)
            assert await _listed(rig, "book") == seen


@virtual
async def test_a_payment_inside_an_account_has_two_records_for_whoever_sees_both(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 100_000)
        await rig.grant("till", account="shop")
        await rig.grant("book", account="shop", methods="lookup_invoice", shown_history="account")
        invoice = await rig.invoice("i1", "till", 5_000)
        await rig.pay("r1", "till", invoice, 5_000)
        await rig.answer("r1")
        refused = await rig.engine.ask("book", LookupPayment(payment_hash=invoice[1]))
        assert isinstance(refused, Refused)
        assert (refused.reason, "this very account" in refused.message) == (Reason.AMBIGUOUS_LOOKUP, True)
        for way in Direction:
            found = await rig.engine.ask("book", LookupPayment(payment_hash=invoice[1], direction=way.value))
            assert isinstance(found, Found)
            assert found.transaction.type is way


@virtual
async def test_a_paused_connection_is_told_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        await rig.change("app", paused_at=rig.clock.now())
        for command in (GetBalance(), GetBudget(), GetInfo()):
            assert await why_not(rig, "app", command) is Reason.NOT_PERMITTED
        await rig.change("app", paused_at=None)
        assert isinstance(await rig.engine.ask("app", GetInfo()), Info)


@virtual
async def test_a_connection_that_may_spend_nothing_is_not_told_that_it_pays(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("none", budgets=(Budget.total(Msat(0)),), methods="pay_invoice get_budget")
        told = await rig.engine.ask("none", GetInfo())
        assert isinstance(told, Info)
        assert told.methods == ("get_budget", "get_info")


@virtual
async def test_a_budget_by_the_owners_clock_says_when_it_renews_and_outlives_a_move(life: Life) -> None:
    """The owner moves between two starts, from a day that ends at 18:15 UTC to one that ends at 24:00."""
    life.zone, daily = Zone("Asia/Kathmandu", (), (20_700,)), Budget.daily(sat(150))
    async with life.service() as rig:
        await rig.grant("app", budgets=(daily,), methods="pay_invoice get_budget")
        renews = period_end("day", rig.clock.now(), life.zone)
        assert (renews + 20_700) % 86_400 == 0
        await rig.pay("r1", "app", life.node.outside_invoice(), 100_000)
        await rig.answer("r1")
        assert await budget(rig, "app") == BudgetState(daily, Msat(101_000), renews)
        await rig.pay("r2", "app", life.node.outside_invoice(), 100_000)
        refused = await rig.answer("r2")
        assert refused.details["renews_at"] == renews
        assert refused.message.endswith(f"renews {time_text(renews, life.zone)}")
        assert refused.message.endswith("00:00 UTC+5:45")
        await rig.clock.sleep(renews - rig.clock.now() - 60)
    life.zone = UTC
    async with life.service() as rig:
        assert (await budget(rig, "app")).used_msat == 101_000
        await rig.pay("r3", "app", life.node.outside_invoice(), 100_000)
        assert (await rig.answer("r3")).reason is Reason.OVER_BUDGET
        await rig.clock.sleep(period_end("day", rig.clock.now(), UTC) - rig.clock.now())
        await rig.pay("r4", "app", life.node.outside_invoice(), 100_000)
        assert isinstance(await rig.answer("r4"), Paid)


@virtual
async def test_of_a_payment_to_oneself_either_record_is_found_by_its_way_and_none_by_the_hash_alone(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", methods="pay_invoice make_invoice lookup_invoice")
        await rig.grant("other", methods="lookup_invoice")
        text, payment_hash = await rig.invoice("i", "app", 50_000)

        async def look(direction: str = "", grant: str = "app") -> Any:
            return await rig.engine.ask(grant, LookupPayment(payment_hash=payment_hash, direction=direction))

        assert (await look()).transaction.type is Direction.INCOMING
        assert (await look("outgoing")).reason is Reason.UNKNOWN_TARGET
        await rig.pay("r", "app", (text, payment_hash), 50_000)
        await rig.answer("r")
        assert (await look()).reason is Reason.AMBIGUOUS_LOOKUP
        found = [(await look(way)).transaction for way in ("incoming", "outgoing")]
        assert [(row.type, row.state) for row in found] == [("incoming", "settled"), ("outgoing", "settled")]
        assert (await look("incoming", "other")).reason is Reason.UNKNOWN_TARGET
