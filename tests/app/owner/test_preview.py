"""What a payment would be is told without making it, and a payment of what was seen asks nobody again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kitestring.app.service.service_desk import ServiceDesk
from kitestring.base.commands import OWNER_GRANT, PayInvoice
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.records import OwnInvoice
from kitestring.codec.bolt11 import decode
from kitestring.policy.costs import Cost
from tests.kit.app.desk import Office
from tests.kit.changed import replace
from tests.kit.codec.invoices import invoice


async def test_an_invoice_is_shown_with_what_it_may_cost_and_nothing_is_claimed(office: Office) -> None:
    text = office.node.outside_bolt11()
    seen = await office.run("pay_preview", target=text, key="k1")
    assert (seen["kind"], seen["bolt11"], seen["payment_hash"]) == ("invoice", text, decode(text).payment_hash)
    assert (seen["amount_msat"], seen["fee_cap_msat"], seen["service_fee_msat"]) == (50_000, 10_000, 0)
    assert (seen["paid_from"], seen["network"]) == ("owner", "regtest")
    assert (seen["already_paid"], seen["is_repeated"]) == (False, False)
    assert seen["spendable_msat"] == (await office.run("balance"))["balance_msat"]
    assert (await office.run("pay_preview", target=text, max_fee_msat=7))["fee_cap_msat"] == 7
    assert (office.rig.store.applied, office.node.sends) == ([], [])


async def test_without_a_target_only_the_kind_of_money_is_told(office: Office) -> None:
    told = await office.run("pay_preview")
    assert {name: value for name, value in told.items() if value is not None} == {
        "sandbox": True, "network": "regtest", "is_repeated": False,
    }  # fmt: skip


async def test_a_used_key_and_a_paid_invoice_are_said_to_be(office: Office) -> None:
    text = office.node.outside_bolt11()
    await office.run("pay", target=text)
    assert (await office.run("pay_preview", target=text, key="k1"))["is_repeated"] is True
    seen = await office.run("pay_preview", target=text, key="k2")
    assert (seen["is_repeated"], seen["already_paid"]) == (False, True)


async def test_what_could_not_be_paid_is_refused_in_the_words_of_the_payment(office: Office) -> None:
    text = office.node.outside_bolt11(10**12)
    seen, paid = await office.refused("pay_preview", target=text), await office.refused("pay", target=text)
    assert (seen.reason, seen.message) == (Reason.INSUFFICIENT_FUNDS, paid.message)
    assert seen.details.items() <= paid.details.items()
    gone = office.node.outside_bolt11(expiry_s=0)
    assert (await office.refused("pay_preview", target=gone)).reason is Reason.EXPIRED_INVOICE


async def test_who_may_not_spend_is_shown_nothing(office: Office) -> None:
    await office.rig.change(OWNER_GRANT, methods=frozenset({"read"}))
    refused = await office.refused("pay_preview", target=office.node.outside_bolt11())
    assert refused.reason is Reason.NOT_PERMITTED


async def own_invoice(office: Office, amount_msat: int) -> tuple[str, Callable[[], None]]:
    """An invoice with the hash of one of ours, and what makes it the very text of that."""
    made = await office.run("invoice", amount_msat=50_000)
    text = invoice(amount_msat, payment_hash=made["payment_hash"], at=office.rig.clock.now())
    row: OwnInvoice | None = await office.store.invoice_by_hash(office.rig.context.node.node_id, made["payment_hash"])
    assert row is not None

    async def found(_node_id: str, _payment_hash: str) -> OwnInvoice:
        return replace(row, bolt11=text)

    return text, lambda: setattr(office.rig.store, "invoice_by_hash", found)


async def test_an_open_invoice_of_ours_costs_no_fees_and_the_same_hash_in_another_text_does(office: Office) -> None:
    text, become_ours = await own_invoice(office, 50_000)
    outside = await office.run("pay_preview", target=text)
    become_ours()
    inside = await office.run("pay_preview", target=text)
    assert (outside["fee_cap_msat"], inside["fee_cap_msat"]) == (10_000, 0)
    assert (outside["amount_msat"], inside["amount_msat"]) == (50_000, 50_000)


async def test_a_fee_limit_of_0_does_not_make_a_payment_an_internal_one(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[bool] = set()

    def noted(desk: ServiceDesk, command: PayInvoice, grant: Grant, *, internal: bool) -> Cost:
        seen.add(internal)
        return cost(desk, command, grant, internal=internal)

    cost = ServiceDesk.cost
    monkeypatch.setattr(ServiceDesk, "cost", noted)
    refused = await office.refused("pay_preview", target=office.node.outside_bolt11(10**12), max_fee_msat=0)
    assert (refused.reason, refused.details["fee_cap_msat"], seen) == (Reason.INSUFFICIENT_FUNDS, 0, {False})
    seen.clear()
    text, become_ours = await own_invoice(office, 10**12)
    become_ours()
    refused = await office.refused("pay_preview", target=text)
    assert (refused.reason, refused.details["fee_cap_msat"], seen) == (Reason.INSUFFICIENT_FUNDS, 0, {True})
