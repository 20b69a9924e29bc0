"""Money that goes to the wrong account or is told too late, and services that should not spend."""

from __future__ import annotations

import json

from kitestring.base.errors import KitestringError
from kitestring.base.invoices import InvoiceState
from kitestring.codec import bolt11
from kitestring.engine.limits import Limits
from tests.kit.app.client import App, Stranger
from tests.kit.app.house import House, Service, refused_to_start
from tests.kit.engine.node import Script
from tests.sim.findings.critical import FUNDED, HOUR_S, LONG_S, bill, must, ready, whole

SALE = 50_000
#: A payment that hangs until the node is told otherwise.
HUNG = Script(settles_after_s=None)


async def _shop(service: Service) -> str:
    """An account with nothing in it, and an offer that fills it."""
    await service.account("shop", 0)
    made = await service.command("offer_create", label="coffee", account="shop")
    return str(made["offer_id"])


async def _step_for_two_minutes(house: House, seconds: int) -> None:
    house.clocks.step("service", seconds)
    await house.clocks.service.sleep(150)
    house.clocks.step("service", -seconds)


# ------------------------------------------------------------ F14: only the node's word ends an invoice


async def an_open_invoice_is_called_expired(house: House) -> None:
    """The clock is an hour ahead for two minutes; the node has the invoice open all the time, and it is paid inside."""
    async with house.service() as service:
        app = await ready(service)
        await service.account("shop", 0)
        till = await service.connect("till", account="shop")
        made = await till.first(till.send("make_invoice", {"amount": SALE, "expiry": HOUR_S // 2}))
        await _step_for_two_minutes(house, HOUR_S)
        text = made["result"]["invoice"]
        node_id = house.node.node_id
        stored = await service.store.invoice_by_hash(node_id, bolt11.decode(text, recover=False).payment_hash)
        must(stored.state is InvoiceState.OPEN, "an invoice that is open at the node was called expired")
        assert await app.answer(app.pay(text)) == "ok"
        assert await service.available("shop") == SALE


async def the_invoice_of_an_offer_is_forgotten(house: House) -> None:
    """The clock is 26 hours ahead for two minutes; then the payer pays, and the money is the shop's."""
    async with house.service() as service:
        offer_id = await _shop(service)
        payer = service.stranger()
        asked, text = await payer.invoice(offer_id, SALE // 1_000)
        await _step_for_two_minutes(house, 26 * HOUR_S)
        assert house.node.pay_in(bolt11.decode(text, recover=False).payment_hash)
        await house.clocks.service.sleep(120)
        must(await service.available("shop") == SALE, "what the shop has sold went to the owner")
        must(len(payer.replies(asked)) == 2, "the payer got no receipt")


async def a_node_that_is_gone_comes_back(house: House) -> None:
    """Two invoices of an offer are open when the service comes to stand on another node, and one of them is paid there.
    Days later nobody waits for them any more. Then the service stands on the old node again."""
    async with house.service() as service:
        offer_id = await _shop(service)
        bills = [await service.stranger().invoice(offer_id, SALE // 1_000) for _ in range(2)]
        hashes = [bolt11.decode(text, recover=False).payment_hash for _, text in bills]
    old = house.node.node
    house.node.exchange()
    assert old.pay_in(hashes[0])
    async with house.service() as service:
        await house.clocks.service.sleep(2 * 86_400)
        must(not await service.store.invoices(InvoiceState.OPEN), "invoices of a node that is gone are open forever")
    house.node.back_to(old)
    async with house.service() as service:
        await house.clocks.service.sleep(120)
        must(await service.available("shop") == SALE, "what the old node has received was not credited")
        unpaid = await service.store.invoice_by_hash(old.node_id, hashes[1])
        must(unpaid.state is InvoiceState.EXPIRED, "the old node was not asked about its other invoice")
    whole(house)


# ------------------------------------------------------------ F15: settle indexes that begin again


async def settle_indexes_begin_again(house: House) -> None:
    """The node's invoice database is new, its identity is kept: what is paid now is credited now."""
    async with house.service() as service:
        offer_id = await _shop(service)
        payer = service.stranger()
        for _ in range(3):
            _, text = await payer.invoice(offer_id, SALE // 1_000)
            assert house.node.pay_in(bolt11.decode(text, recover=False).payment_hash)
        await house.clocks.service.sleep(10)
        assert await service.available("shop") == 3 * SALE
        house.node.new_invoice_database()
        house.node.break_streams()
        await house.clocks.service.sleep(120)
        _, text = await payer.invoice(offer_id, SALE // 1_000)
        assert house.node.pay_in(bolt11.decode(text, recover=False).payment_hash)
        await house.clocks.service.sleep(120)
        must(await service.available("shop") == 4 * SALE, "a settlement was dropped for its index")


# ------------------------------------------------------------ F7: the app lifts the owner's limits


async def a_fee_beyond_the_owners_limit(house: House) -> None:
    """At most 1,000 sat for one payment; the app allows the node 100,000 sat of fees for one of 1 sat."""
    text, payment_hash = bill(house, amount=1_000)
    async with house.service() as service:
        app = await ready(service, per_payment_msat=1_000_000)
        await app.answer(app.pay(text, max_fee=100_000_000))
        allowed = 1_000 + house.node.fee_caps.get(payment_hash, 0)
        must(allowed <= 1_000_000, "one payment may take more than the owner allows for one")


# ------------------------------------------------------------ F19: one flood closes the wallet for all


async def hung_payments_close_the_wallet(house: House) -> None:
    """Ten connections have a hundred payments of 1 msat each that hang, over a restart too: the owner still pays, and
    so does an eleventh connection, more than once."""
    async with house.service() as service:
        await service.account("purse", FUNDED)
        for number in range(10):
            app = await service.connect(f"greedy{number}", account="purse")
            for _ in range(100):
                app.pay(bill(house, HUNG, amount=1)[0])
        modest = await service.connect("modest", account="purse")
        await house.clocks.service.sleep(60)
        await _others_still_pay(house, service, modest)
        full = service.core.desk.shares.full(await service.store.places(house.node.node_id))
        greedy = [one["connection_id"] for one in (await service.command("connections"))["connections"]][:10]
        must(sorted(one.holder for one in full) == sorted(greedy), "it is not said whose share is full")
    async with house.service() as service:
        await house.clocks.service.sleep(60)
        await _others_still_pay(house, service, modest)
        for number in range(10):
            app = house.apps[f"greedy{number}"]
            for _ in range(100):
                app.pay(bill(house, HUNG, amount=1)[0])
        await house.clocks.service.sleep(60)
        await _others_still_pay(house, service, modest)


async def strangers_fill_the_open_invoices(house: House) -> None:
    """There is room for 60 unpaid invoices. A stranger asks an offer for as many as it can, many others ask another
    one, and two connections make as many as they can; each time somebody else wants a few."""
    house.settings["limits"] = Limits(all_open_invoices=60, open_invoices=0)
    async with house.service() as service:
        await service.account("shop", 0)
        offers = [str((await service.command("offer_create", label=n, account="shop"))["offer_id"]) for n in "abc"]
        await _ask_for_many(house, [service.stranger()], offers[0])
        await service.stranger(99).invoice(offers[0], SALE // 1_000)
        await _ask_for_many(house, [service.stranger(100 + number) for number in range(30)], offers[1])
        await service.stranger(99).invoice(offers[2], SALE // 1_000)
        for app in [await service.connect(f"greedy{number}", account="shop") for number in range(2)]:
            for _ in range(50):
                app.send("make_invoice", {"amount": SALE})
        await house.clocks.service.sleep(60)
        modest = await service.connect("modest", account="shop")
        asked = [await modest.first(modest.send("make_invoice", {"amount": SALE})) for _ in range(3)]
        must(all(answer.get("error") is None for answer in asked), "the flood of others has closed a small till")
        for _ in range(3):
            made = await service.command("invoice", amount_msat=SALE)
            assert made["payment_hash"]
    whole(house)


async def _ask_for_many(house: House, strangers: list[Stranger], offer_id: str) -> None:
    for number in range(30):
        who = strangers[number % len(strangers)]
        who.publish(who.signed(json.dumps({"offer": offer_id, "amount_sats": SALE // 1_000})))
    await house.clocks.service.sleep(60)


async def _others_still_pay(house: House, service: Service, modest: App) -> None:
    hung = [modest.pay(bill(house, HUNG, amount=1)[0]) for _ in range(3)]
    must(await modest.answer(modest.pay(bill(house)[0])) == "ok", "the flood of others has closed a small connection")
    must(not any(map(modest.replies, hung)), "three payments at once are too many for a small connection")
    try:
        paid = await service.command("pay", target=bill(house)[0])
    except KitestringError as refused:
        must(False, f"the owner cannot pay: {refused.message}")
    else:
        assert paid["preimage"]


# ------------------------------------------------------------ F17: a copy that is alive


async def two_copies_are_alive(house: House) -> None:
    """Two machines with one data directory: an app is told one thing about one payment."""
    async with house.service() as service:
        app = await ready(service)
        await service.account("shop", 0)
        till = await service.connect("till", account="shop")
    twin = house.twin(house.copy())
    async with house.service() as one, twin.service() as two:
        await house.clocks.service.sleep(120)  # time to notice
        asked = till.send("make_invoice", {"amount": SALE})
        await house.clocks.service.sleep(30)
        answers = {str(answer) for answer in till.replies(asked)}
        made = await till.first(asked)
        if made is not None and made.get("error") is None:
            paying = app.pay(made["result"]["invoice"])
            await house.clocks.service.sleep(60)
            answers_to_payment = {str(answer) for answer in app.replies(paying)}
            must(len(answers_to_payment) < 2, "one payment has two answers")
        must(len(answers) < 2, "one request has two answers")
        must(await one.stopped(), "the original goes on spending")
        must(await two.stopped(), "the copy goes on spending")


# ------------------------------------------------------------ F21: a ledger that is not there any more


async def the_ledger_is_gone(house: House) -> None:
    """The key is there and the ledger is not: nothing may begin from zero without a word."""
    async with house.service() as service:
        await ready(service)
    for name in house.copy():
        if name.startswith(house.ledger.name):
            (house.home / name).unlink()
    if await refused_to_start(house) is None:
        async with house.service() as service:
            must(await service.stopped(), "an empty ledger took the place of the lost one, without a word")


# ------------------------------------------------------------ F22, F23


async def paid_again_with_another_amount(house: House) -> None:
    """An invoice without an amount was paid with 1 sat; asked again with 5,000 sat it is not "paid"."""
    text, _ = bill(house, amount=None)
    async with house.service() as service:
        app = await ready(service)
        assert await app.answer(app.pay(text, amount=1_000)) == "ok"
        must(await app.answer(app.pay(text, amount=5_000_000)) != "ok", "1 sat was taken for 5,000")


async def a_settlement_of_nothing(house: House) -> None:
    """The node says that 0 msat were received: what comes after it is credited all the same."""
    async with house.service() as service:
        offer_id = await _shop(service)
        payer = service.stranger()
        bills = [await payer.invoice(offer_id, SALE // 1_000) for _ in range(2)]
        hashes = [bolt11.decode(text, recover=False).payment_hash for _, text in bills]
        house.node.received_all(hashes[0], 0)
        await house.clocks.service.sleep(10)
        house.node.pay_in(hashes[1])
        await house.clocks.service.sleep(LONG_S)
        must(await service.available("shop") == SALE, "the stream of settlements stands still")
        node = await service.store.node(house.node.node_id)
        must(node.cursor.startswith(b"2 "), "the cursor stands before what cannot be booked")
