"""Questions, and what comes of a connection that changes under a claim."""

from __future__ import annotations

from typing import Any

from kitestring.base.commands import GetInfo, MakeInvoice
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Info
from kitestring.base.transactions import ClaimPayment, RecordInvoice, Stale, Tx
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life


@virtual
async def test_facts_about_the_node_are_told_only_with_the_permission(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("plain", methods="pay_invoice")
        await rig.grant("curious", methods="pay_invoice get_info")
        told = await rig.engine.ask("plain", GetInfo())
        assert told == Info("", "", "", "regtest", 0, "", ("get_info", "pay_invoice"))
        told = await rig.engine.ask("curious", GetInfo())
        assert isinstance(told, Info)
        assert (told.pubkey, told.methods) == (rig.context.node.node_id, ("get_info", "pay_invoice"))


@virtual
async def test_a_connection_that_changes_at_every_claim_is_told_to_try_again_and_pays_nothing(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        apply = rig.store.apply

        async def changed(tx: Tx[Any]) -> object:
            return Stale() if isinstance(tx, ClaimPayment | RecordInvoice) else await apply(tx)

        rig.store.apply = changed
        await rig.pay("p", "app", life.node.outside_invoice(), 1)
        await rig.handle("i", "app", MakeInvoice(amount_msat=Msat(1_000)))
        assert [(await rig.answer(name)).reason for name in "pi"] == [Reason.BUSY] * 2
        assert life.node.sends == []
