"""Questions: a connection learns of its own account, its own payments, and of the node what it may."""

from __future__ import annotations

from kitestring.base.commands import GetBalance, GetInfo, ListTransactions, LookupInvoice
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Balance, Found, Info, Listed, Refused
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life, Rig


async def why_not(rig: Rig, grant_id: str, command: GetBalance | GetInfo) -> Reason:
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
        await rig.clock.sleep(61)
        listed = await rig.engine.ask("till", ListTransactions(unpaid_incoming=True))
        assert isinstance(listed, Listed)
        assert [row.state for row in listed.transactions] == ["expired"]
        foreign = await rig.engine.ask("app", LookupInvoice(payment_hash=payment_hash))
        assert isinstance(foreign, Refused)
        assert foreign.reason is Reason.UNKNOWN_TARGET
        assert await why_not(rig, "app", GetBalance()) is Reason.NOT_PERMITTED
        assert await why_not(rig, "nobody", GetInfo()) is Reason.CONNECTION_ENDED


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
        assert (told.pubkey, told.methods) == (rig.context.node.node_id, ("get_info", "pay_invoice"))
