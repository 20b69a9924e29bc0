"""What a payment would be is told without making it, and a payment of what was seen asks nobody again."""

from __future__ import annotations

from kitestring.base.commands import OWNER_GRANT
from kitestring.base.errors import Reason
from kitestring.codec.bolt11 import decode
from tests.kit.app.desk import Office


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
