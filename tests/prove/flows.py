"""Every flow of money, one row each. A new one (a new wire, a new kind of payment) is a row here."""

from __future__ import annotations

import copy
import dataclasses
import json
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any, Final

from msgspec.structs import replace

from kitestring.backend.nostr.abilities import CAPABILITIES
from kitestring.base.approvals import DebitSession, Ruling
from kitestring.base.budgets import Budget
from kitestring.base.commands import DEBITS_WIRE, MIN_HOLD_BLOCKS
from kitestring.base.enrolments import enrolled_key, is_enrolled
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.invoices import InvoiceState
from kitestring.base.money import ZERO, Msat, sat
from kitestring.base.node import InvoiceOrder, InvoiceStatus, NodeUnreachableError
from kitestring.base.payments import State
from kitestring.base.transactions.owner import SaveOffer, SaveSession
from kitestring.codec import bolt11, pointers
from kitestring.codec.uri import NwcUri, encode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.engine.hold_pursuit import CANCEL_BEFORE_BLOCKS
from kitestring.engine.incoming import TRY_AGAIN_S
from kitestring.engine.limits import Limits
from kitestring.nostr import kinds
from kitestring.nostr.event import encode_event, sign_event
from tests.kit.app.client import POINTER, App
from tests.kit.app.relay import URL
from tests.kit.engine.node import Script
from tests.prove.stage import AMOUNT, FEE, FUNDED, GUEST, KNOWN, NEWCOMER, Flow, Play, Stage, command

LONG_S: Final = 400.0
#: Whose zaps the offer takes.
ZAPPED: Final = SecretKey(b"\x5a" * 32)
HOOK: Final = "https://shop.example/paid"
UNASKED: Final = InvoiceOrder(Msat(AMOUNT), "", "", 3_600, "")


def _pays(script: Script) -> Play:
    async def play(stage: Stage) -> None:
        stage.pay("pay", stage.bill("bill", copy.deepcopy(script)))
        await stage.told("pay")

    return play


def _sends(script: Script) -> Play:
    async def play(stage: Stage) -> None:
        stage.send("send", stage.key("key", copy.deepcopy(script)), tlv_records=[{"type": 65_536, "value": "00ff"}])
        await stage.told("send")

    return play


async def _sends_inside(stage: Stage) -> None:
    """To the service's own node: the owner is paid, and no node is asked."""
    stage.send("send", stage.node.node_id)
    await stage.told("send")


async def _sends_with_a_preimage(stage: Stage) -> None:
    """The same order in two requests, while it is under way."""
    key = stage.key("key", Script(settles_after_s=3))
    stage.send("send", key, preimage="5e" * 32)
    stage.send("join", key, preimage="5e" * 32, max_fee=5_000)
    await stage.told("send")
    await stage.told("join")


async def _pays_several(stage: Stage) -> None:
    """Invoices in one request: one settles, one fails, of one the answer is lost, and one cannot be read."""
    scripts = (Script(settles_after_s=1), Script(fails="no_route"), Script(settles_after_s=2, answers=["lost"]))
    texts = [stage.bill(f"bill {number}", script) for number, script in enumerate(scripts)]
    invoices = [{"id": str(number), "invoice": text} for number, text in enumerate((*texts, "lnbc1"))]
    stage.ask_many("several", "multi_pay_invoice", invoices=invoices)
    await stage.told("several", 3)  # the same words in two answers are one here


async def _sends_several(stage: Stage) -> None:
    """To keys in one request, one of them the service's own."""
    keys = (stage.key("one", Script(settles_after_s=1)), stage.node.node_id, stage.key("two", Script()))
    stage.ask_many("several", "multi_pay_keysend", keysends=[{"pubkey": key, "amount": AMOUNT} for key in keys])
    await stage.told("several", 3)


async def _told_several(stage: Stage) -> None:
    """Each answer has the name of what it answers, and says what became of that one."""
    codes = {name: code for name, code in stage.named_codes("several").items() if len(name) < 64}
    assert codes == {"0": "ok", "1": "PAYMENT_FAILED", "2": "ok", "3": "OTHER"}, codes


async def _told_of_each_key(stage: Stage) -> None:
    keys = (*stage.keys.values(), stage.node.node_id)
    assert stage.named_codes("several") == dict.fromkeys(keys, "ok")


async def _joins(stage: Stage) -> None:
    """The same invoice twice, while it is under way."""
    text = stage.bill("bill", Script(settles_after_s=3))
    stage.pay("pay", text)
    stage.pay("join", text, max_fee=5_000)
    await stage.told("pay")
    await stage.told("join")


async def _sells(stage: Stage) -> str:
    till = stage.app("till")
    stage.ask("sell", till, lambda: till.request("make_invoice", {"amount": AMOUNT}))
    made = await stage.told("sell")
    return str(made["result"]["invoice"])


async def _pays_inside(stage: Stage) -> None:
    stage.pay("pay", await _sells(stage))
    await stage.told("pay")


async def _pays_inside_what_it_likes(stage: Stage) -> None:
    """An invoice of the service's own without an amount."""
    till = stage.app("till")
    stage.ask("sell", till, lambda: till.request("make_invoice", {}))
    made = await stage.told("sell")
    stage.pay("pay", str(made["result"]["invoice"]), amount=AMOUNT)
    await stage.told("pay")


async def _pays_what_it_likes(stage: Stage) -> None:
    """Somebody's invoice without an amount."""
    stage.pay("pay", stage.bill("bill", Script(settles_after_s=1), amount=None), amount=AMOUNT)
    await stage.told("pay")


async def _is_paid(stage: Stage) -> None:
    stage.paid_in("in", await _sells(stage))

    async def credited() -> bool:
        return await stage.service.available("shop") >= AMOUNT

    await stage.until(credited, "what came in was never credited")


async def _offers(stage: Stage) -> str:
    payer = stage.service.stranger()
    text = json.dumps({"offer": stage.made["offer"], "amount_sats": AMOUNT // 1_000})
    stage.ask("offer", payer, lambda: payer.signed(text))
    return str((await stage.told("offer"))["bolt11"])


async def _is_paid_by_offer(stage: Stage) -> None:
    stage.paid_in("in", await _offers(stage))
    await stage.told("offer", 2)


async def _moves_while_it_sells(stage: Stage) -> None:
    """While its invoice is paid an offer gets a price, so that its code moves, and is switched off. Who asks the old
    code is led to the new one, and sold nothing there."""
    text, payer = await _offers(stage), stage.service.stranger()
    edited = await command(stage, "offer_edit", "edit", offer=stage.made["offer"], price_msat=2 * AMOUNT)
    await command(stage, "offer_off", "off", offer=edited["offer_id"])
    stage.paid_in("in", text)
    await stage.told("offer", 2)
    for name, offer_id in (("old", stage.made["offer"]), ("new", edited["offer_id"])):
        asked = json.dumps({"offer": offer_id, "amount_sats": AMOUNT // 1_000})
        stage.ask(name, payer, lambda asked=asked: payer.signed(asked))  # type: ignore[misc]  # of this turn
        await stage.told(name)


async def _pays_own_offer(stage: Stage) -> None:
    """A payer of this service pays an offer of this service."""
    stage.pay("pay", await _offers(stage))
    await stage.told("pay")
    await stage.told("offer", 2)


async def _has_euros(stage: Stage) -> None:
    """Three cent are 30 sat, as long as a bitcoin costs 100,000 EUR."""
    budget = {"currency": "EUR", "limit_minor": 3, "period": "never"}
    await command(stage, "connection_edit", "euros", name="app", budgets=[budget])


async def _pays_in_euros(stage: Stage) -> None:
    """The price of a bitcoin doubles, and at last nobody knows it."""
    stage.pay("pay", stage.bill("bill", Script(settles_after_s=3)))
    await stage.told("pay")
    stage.house.rates.prices["EUR"] = 200_000
    stage.pay("over", stage.bill("other"))
    await stage.told("over")
    stage.house.rates.prices.clear()
    stage.pay("stale", stage.bill("third"))
    await stage.told("stale")


# ---------------------------------------------------------------- zaps


async def _takes_zaps(stage: Stage) -> None:
    offer = await stage.service.store.offer(stage.made["offer"])
    await stage.service.write(SaveOffer(dataclasses.replace(offer, zap_pubkey=ZAPPED.public_hex)))


async def _zaps(stage: Stage) -> str:
    """The invoice for a zap; the relay of the house is where its sender looks for the receipt."""
    payer, now = stage.service.stranger(), stage.house.clocks.app.now()
    tags = [["p", ZAPPED.public_hex], ["relays", URL], ["amount", str(AMOUNT)]]
    asked = sign_event(SecretKey(bytes([GUEST]) * 32), kind=kinds.ZAP_REQUEST, tags=tags, content="", created_at=now)
    zap = encode_event(asked).decode()
    text = json.dumps({"offer": stage.made["offer"], "amount_sats": AMOUNT // 1_000, "zap": zap})
    stage.made.setdefault("zap", zap)
    stage.ask("zap", payer, lambda: payer.signed(text))
    return str((await stage.told("zap"))["bolt11"])


async def _is_zapped(stage: Stage) -> None:
    stage.paid_in("in", await _zaps(stage))
    await stage.told("zap", 2)


async def _zaps_itself(stage: Stage) -> None:
    stage.pay("pay", await _zaps(stage))
    await stage.told("pay")
    await stage.told("zap", 2)


async def _has_one_receipt(stage: Stage) -> None:
    found = [event for event in stage.house.relay.state() if event.kind == kinds.ZAP_RECEIPT]
    assert len({event.id for event in found}) == 1, found
    told = dict(tag[:2] for tag in found[0].tags)
    assert (told["description"], told["p"]) == (stage.made["zap"], ZAPPED.public_hex)


async def _has_webhook(stage: Stage) -> None:
    """The server behind it is broken at first, and says nothing for a while."""
    answers = iter((500, None, 503))
    stage.house.web.answers = lambda _: next(answers, 204)
    await stage.service.command("offer_webhook", offer="coffee", url=HOOK)


async def _told_the_server(stage: Stage) -> None:
    """Of one sale, however often, and it has taken it."""
    ids = {told["id"] for _, url, told in stage.house.web.asked if url == HOOK}
    (delivery,) = (await stage.service.command("offer_deliveries"))["deliveries"]
    assert ids == {delivery["delivery"]}, ids
    assert (delivery["state"], delivery["amount_msat"]) == ("delivered", AMOUNT), delivery


async def _is_refused(stage: Stage) -> None:
    stage.pay("pay", stage.bill("bill", amount=FUNDED))
    await stage.told("pay")


async def _resolves(stage: Stage) -> None:
    """Nobody knows; the owner decides; then the truth comes after all."""
    stage.pay("pay", stage.bill("bill", Script(settles_after_s=None, answers=["lost"])))
    payment_hash = stage.bills["bill"][1]
    await stage.until(lambda: payment_hash in stage.node._sent, "the order was never sent")
    stage.node.deaf = "late" not in stage.made

    async def is_unknown() -> bool:
        return await stage.service.state(payment_hash) in ("unknown", "resolved", "settled")

    await stage.until(is_unknown, "a lost answer was never called unknown")
    if await stage.service.state(payment_hash) == "unknown":
        await command(stage, "payment_resolve", "resolve", payment=payment_hash, note="the node was lost")
    await stage.told("pay")
    stage.made["late"], stage.node.deaf = True, False
    stage.node.release(payment_hash)

    async def is_settled() -> bool:
        return await stage.service.state(payment_hash) == "settled"

    await stage.until(is_settled, "a late truth was never booked")


async def _is_edited(stage: Stage) -> None:
    """The owner lowers the budget of a connection that pays: this payment ends, and counts against the next one."""
    stage.pay("pay", stage.bill("bill", Script(settles_after_s=3)))

    async def is_claimed() -> bool:
        return await stage.service.state(stage.bills["bill"][1]) != ""

    await stage.until(is_claimed, "the payment was never claimed")
    budget = {"limit_msat": 2 * AMOUNT, "period": "never"}
    await command(stage, "connection_edit", "edit", name="app", budgets=[budget])
    stage.pay("next", stage.bill("next"))
    await stage.told("pay")
    await stage.told("next")


async def _pays_while_the_fee_is_raised(stage: Stage) -> None:
    """What is claimed costs what was said then, in whatever life it settles."""
    stage.pay("pay", stage.bill("bill", Script(settles_after_s=3)))

    async def is_claimed() -> bool:
        return await stage.service.state(stage.bills["bill"][1]) != ""

    await stage.until(is_claimed, "the payment was never claimed")
    stage.house.settings["limits"] = Limits(service_floor_msat=sat(50))
    await stage.told("pay")


async def _told_of_the_fee(stage: Stage) -> None:
    """The app's books agree with its balance."""
    assert stage.answers("pay")[0]["result"]["fees_paid"] == FEE + TAX


async def _transfers(stage: Stage) -> None:
    await command(stage, "account_fund", "fund", account="shop", amount_msat=AMOUNT)


async def _transfers_back(stage: Stage) -> None:
    await command(stage, "account_withdraw", "back", account="purse", amount_msat=AMOUNT)


async def _transfers_between(stage: Stage) -> None:
    await command(stage, "account_transfer", "over", from_account="purse", to_account="shop", amount_msat=AMOUNT)


async def _has_jar(stage: Stage) -> None:
    await stage.service.account("jar", AMOUNT)
    await stage.service.connect("jar app", account="jar")


async def _closes(stage: Stage) -> None:
    """An account gets another name, loses its connection, and goes with what is left in it."""
    await command(stage, "account_rename", "name", account="jar", new_name="urn")
    await command(stage, "revoke", "revoke", name="jar app")
    await command(stage, "account_close", "close", account="urn", withdraw=True)


async def _is_closed(stage: Stage) -> None:
    jar = await stage.service.store.account("jar")
    assert (jar.name, jar.available_msat, jar.closed_at is None) == ("urn", 0, False), jar
    moves = await stage.service.store.account_moves("jar", 10)
    assert [(one.to_account, one.amount_msat) for one in moves] == [("owner", AMOUNT), ("jar", AMOUNT)], moves


async def _sells_for_an_account(stage: Stage) -> None:
    """By a command of the owner's."""
    made = await command(stage, "invoice", "sell", amount_msat=AMOUNT, account="shop")
    stage.paid_in("in", made["bolt11"])

    async def is_credited() -> bool:
        return bool(await stage.service.available("shop") == AMOUNT)

    await stage.until(is_credited, "what was paid was never credited")


async def _pays_and_withdraws(stage: Stage) -> None:
    """The owner takes money out of the account while a payment holds a part of it."""
    stage.pay("pay", stage.bill("bill", Script(settles_after_s=3)))

    async def is_claimed() -> bool:
        return await stage.service.state(stage.bills["bill"][1]) != ""

    await stage.until(is_claimed, "the payment was never claimed")
    await _transfers_back(stage)
    await stage.told("pay")


async def _expires(stage: Stage) -> None:
    """Nobody pays, and the node says so; afterwards nobody can."""
    till = stage.app("till")
    stage.ask("sell", till, lambda: till.request("make_invoice", {"amount": AMOUNT, "expiry": 60}))
    made = (await stage.told("sell"))["result"]
    clock, payment_hash = stage.house.clocks.service, made["payment_hash"]
    await stage.until(lambda: clock.now() >= made["expires_at"], "time stands still")
    await stage.node.cancel_invoice(payment_hash)

    async def has_expired() -> bool:
        found = await stage.service.store.invoice_by_hash(stage.node.node_id, payment_hash)
        return bool(found.state is InvoiceState.EXPIRED)

    await stage.until(has_expired, "an invoice that the node has cancelled never expired")


async def _takes_back(stage: Stage) -> None:
    """The owner cancels an invoice of an app before it expires; then nobody can pay it, inside or outside."""
    text = await _sells(stage)
    await command(stage, "invoice_cancel", "back", invoice=text)
    stage.pay("pay", text)
    await stage.told("pay")


async def _takes_back_of_an_offer(stage: Stage) -> None:
    await command(stage, "invoice_cancel", "back", invoice=await _offers(stage))


async def _takes_back_too_late(stage: Stage) -> None:
    """Somebody outside was faster."""
    text = await _sells(stage)
    stage.paid_in("in", text)
    await command(stage, "invoice_cancel", "back", invoice=text)

    async def is_credited() -> bool:
        return bool(await stage.service.available("shop") == AMOUNT)

    await stage.until(is_credited, "what was paid was never credited")


async def _takes_back_while_it_is_paid(stage: Stage) -> None:
    """Somebody inside pays at the same time: one of both wins. What has moved then is moved back."""
    text = await _sells(stage)
    stage.pay("pay", text)
    await command(stage, "invoice_cancel", "back", invoice=text)
    if not (await stage.told("pay")).get("error"):
        move = {"from_account": "shop", "to_account": "purse", "amount_msat": AMOUNT}
        await command(stage, "account_transfer", "undo", **move)


async def _one_has_won(stage: Stage) -> None:
    """It is paid, or it is cancelled and its payer was told so."""
    made = (await stage.told("sell"))["result"]
    invoice = await stage.service.store.invoice_by_hash(stage.node.there, made["payment_hash"])
    is_paid = not (await stage.told("pay")).get("error")
    assert invoice.state is (InvoiceState.SETTLED if is_paid else InvoiceState.CANCELED), invoice
    await _none_is_open(stage)


async def _none_is_open(stage: Stage) -> None:
    """What was taken back has ended, in the ledger and at the node."""
    assert await stage.service.store.to_cancel() == []
    assert await stage.service.store.invoices(InvoiceState.OPEN) == []


async def _receives_unasked(stage: Stage) -> None:
    """Money for an invoice that somebody made at the node itself: it is the owner's."""
    made = await stage.once("unasked", lambda: stage.node.make_invoice(UNASKED))
    stage.paid_in("in", made.bolt11)
    await stage.until(lambda: "received" in " ".join(stage.house.noted), "what came unasked was never booked")


async def _is_paid_late(stage: Stage) -> None:
    """The ledger refuses the credit time after time, so that it is left out with an alarm, until the next look."""
    text, node, service = await _sells(stage), stage.node, stage.service
    if "in" not in stage.made:
        full = KitestringError(Reason.INTERNAL, "the disk is full")
        service.store.broken["Credit"] = [full] * (len(TRY_AGAIN_S) + 1)
    stage.paid_in("in", text)

    async def credited() -> bool:
        return await service.available("shop") >= AMOUNT

    async def credited_or_told() -> bool:
        return await credited() or bool(await service.store.alarms(0, 100))

    await stage.until(credited_or_told, "what came in was neither credited nor told")
    node.break_streams()
    await stage.until(credited, "what was left out was never credited")


async def _receives_nothing(stage: Stage) -> None:
    """The node says that an invoice is settled with 0 msat: that is no money, and the owner is told."""
    text = await _sells(stage)
    payment_hash = bolt11.decode(text, recover=False).payment_hash
    await stage.once("nothing", partial(_settles_with_nothing, stage, payment_hash))

    async def is_told() -> bool:
        alarms = await stage.service.store.alarms(0, 100)
        return any("0 msat" in alarm.detail and payment_hash in alarm.detail for alarm in alarms)

    await stage.until(is_told, "nobody was told of what cannot be booked")


async def _settles_with_nothing(stage: Stage, payment_hash: str) -> bool:
    return bool(stage.node.received_all(payment_hash, 0))


# ---------------------------------------------------------------- spending that stops, and another node


async def _is_stopped(stage: Stage) -> None:
    """The node holds less than the accounts are owed, for a while; what is asked for meanwhile is refused."""
    node, service = stage.node, stage.service
    if "there" not in stage.made:
        stage.made["there"], node._opening = node._opening, ZERO

    async def stops() -> bool:
        return "pay" in stage.asked or bool(await service.stopped())

    await stage.until(stops, "spending never stopped")
    stage.pay("pay", stage.bill("bill"))
    await stage.told("pay")
    node._opening = stage.made["there"]

    async def goes_on() -> bool:
        return not await service.stopped()

    await stage.until(goes_on, "spending never went on")
    stage.pay("again", stage.bill("bill"))
    await stage.told("again")


async def _has_another_node(stage: Stage) -> None:
    """The next life finds it at the same address."""
    stage.node.exchange()


# ---------------------------------------------------------------- debits

K1: Final = "c4" * 32
WEEK: Final = Budget.rolling(Msat(4 * AMOUNT), 7 * 86_400)


async def _has_till(stage: Stage) -> None:
    await stage.service.pointer("purse")
    await stage.service.allow(stage.service.requestor(KNOWN), "purse", WEEK, Budget(Msat(9 * AMOUNT), budget_id=1))


async def _has_sessions(stage: Stage) -> None:
    await stage.service.pointer("purse", strangers="deny", sessions="minted")
    now = stage.house.clocks.service.now()
    session = DebitSession(POINTER, K1, Msat(1_000), Msat(AMOUNT), now + 86_400, now)
    await stage.service.write(SaveSession(session))
    await stage.service.allow(stage.service.requestor(KNOWN), "purse", WEEK)  # what it is told is kept


async def _debits(stage: Stage) -> None:
    stage.debit("debit", stage.bill("bill", Script(settles_after_s=1)))
    await stage.told("debit")


async def _debits_twice(stage: Stage) -> None:
    """The same invoice in two requests, while it is under way."""
    text = stage.bill("bill", Script(settles_after_s=3))
    stage.debit("debit", text)
    stage.debit("join", text, description="once more")
    await stage.told("debit")
    await stage.told("join")


async def _decided(stage: Stage, name: str, ruling: Ruling, **more: Any) -> Any:
    """What a request is told after the owner has decided, once, however often it is said."""

    async def asked_or_told() -> bool:
        return bool(stage.answers(name) or await stage.service.store.approvals(limit=1))

    while not stage.answers(name):
        await stage.until(asked_or_told, f"{name} was neither asked nor answered")
        with suppress(KitestringError):  # it was decided before this process died, or is being decided
            await stage.service.decide(ruling, f"decide {name}", **more)
        await stage.house.clocks.service.sleep(5)
    return await stage.told(name)


async def _asks_for_a_payment(stage: Stage) -> None:
    stage.debit("debit", stage.bill("bill", Script(settles_after_s=2, answers=["lost"])), GUEST)
    await _decided(stage, "debit", Ruling.BUDGET, budget=WEEK)


async def _asks_once(stage: Stage) -> None:
    stage.debit("debit", stage.bill("bill", Script(settles_after_s=1)), GUEST)
    await _decided(stage, "debit", Ruling.AS_ASKED)


async def _asks_twice(stage: Stage) -> None:
    """The same in two requests, while the owner is asked."""
    text = stage.bill("bill", Script(settles_after_s=1))
    stage.debit("debit", text, GUEST)
    stage.debit("join", text, GUEST)

    async def both_wait() -> bool:
        return bool(stage.answers("debit")) or len(await stage.service.store.running_requests()) > 1

    await stage.until(both_wait, "two requests never waited for one question")
    await _decided(stage, "debit", Ruling.AS_ASKED)
    await stage.told("join")


async def _asks_in_vain(stage: Stage) -> None:
    stage.debit("debit", stage.bill("bill"), GUEST)
    await _decided(stage, "debit", Ruling.BLOCK)
    stage.debit("again", stage.bill("other"), GUEST)
    await stage.told("again")


async def _asks_nobody(stage: Stage) -> None:
    stage.debit("debit", stage.bill("bill"), GUEST)
    await stage.told("debit")


async def _asks_for_a_budget(stage: Stage) -> None:
    members = {"amount_sats": 2 * AMOUNT // 1_000, "frequency": {"number": 1, "unit": "week"}}
    stage.debit("budget", "", GUEST, **members)
    await _decided(stage, "budget", Ruling.AS_ASKED)
    stage.debit("debit", stage.bill("bill"), GUEST)
    await stage.told("debit")


async def _pays_by_link(stage: Stage) -> None:
    """Told that it is under way, and by a look-up how it has ended."""
    app, text = stage.app(), stage.bill("bill", Script(settles_after_s=LONG_S))
    stage.ask("pay", app, lambda: app.request("pay", {"payment": f"bitcoin:?lightning={text}"}))
    told = await stage.told("pay")
    assert told["result"]["state"] in {"pending", "settled"}, told

    async def has_settled() -> bool:
        payment = await stage.service.payment(stage.bills["bill"][1])
        return payment is not None and payment.state is State.SETTLED

    await stage.until(has_settled, "what was pending never settled")


async def _has_maker(stage: Stage) -> None:
    methods = ["create_connection", "pay_invoice", "payment_sent"]
    await stage.service.connect("maker", account="purse", methods=methods)


async def _connected(stage: Stage, name: str) -> Any:
    """What a request for a connection is told after the owner has approved it by command, as often as it takes."""

    async def asked_or_told() -> bool:
        return bool(stage.answers(name) or await stage.service.store.approvals(limit=1))

    while not stage.answers(name):
        await stage.until(asked_or_told, f"{name} was neither asked nor answered")
        for asked in await stage.service.store.approvals(limit=1):
            with suppress(KitestringError):  # as in _decided
                await stage.service.command("approve", "said-yes", id=asked.approval_id)
        await stage.house.clocks.service.sleep(5)
    return await stage.told(name)


async def _connects_another(stage: Stage) -> None:
    """A connection asks for one more, whose app then pays and finds its bound."""
    maker, key = stage.app("maker"), SecretKey(bytes([GUEST]) * 32)
    wanted = {
        "pubkey": key.public_hex, "name": "another", "request_methods": ["pay_invoice"], "max_amount": 2 * AMOUNT,
        "notification_types": ["payment_sent", "payment_received"],
    }  # fmt: skip
    stage.ask("create", maker, lambda: maker.request("create_connection", wanted))
    pubkey = (await _connected(stage, "create"))["result"]["wallet_pubkey"]
    uri = encode_nwc(NwcUri(pubkey, (URL,), bytes.fromhex(key.hex())))
    house = stage.house
    house.apps.setdefault("another", App(uri, house.relay, house.clocks.app, house.entropy))
    stage.pay("pay", stage.bill("bill"), "another")
    await stage.told("pay")
    stage.pay("over", stage.bill("other"), "another")
    await stage.told("over")


async def _connected_once(stage: Stage) -> None:
    made = [grant for grant in await stage.service.store.grants() if grant.name == "another"]
    assert [grant.methods for grant in made] == [{"pay_invoice", "payment_sent"}]


async def _shows_a_session(stage: Stage) -> None:
    """The first payment fails and gives the word back, the second has it forever."""
    stage.debit("failed", stage.bill("bad", Script(settles_after_s=1, fails="no_route")), GUEST, k1=K1)
    await stage.told("failed")
    stage.debit("debit", stage.bill("bill", Script(settles_after_s=1)), GUEST, k1=K1)
    await stage.told("debit")
    stage.debit("again", stage.bill("other"), KNOWN, k1=K1)
    await stage.told("again")


# ---------------------------------------------------------------- enrolment

#: A stranger's request that died with a service is to be asked anew: so often.
ASKS: Final = 4
#: Seconds after which what a newcomer asks for is not taken for what it asked for as a stranger.
SETTLED_IN_S: Final = 40.0


async def _enrolls(stage: Stage) -> Any:
    """The codes of an account, however often they have to be asked for."""
    newcomer = stage.service.newcomer(NEWCOMER)
    for number in range(ASKS):
        name = f"enroll {number}"
        stage.ask(name, newcomer, newcomer.request)
        if (await stage.told(name))["res"] == "ok":
            return await stage.told(name)
    raise AssertionError("nobody was let in")


async def _enrolls_and_takes(stage: Stage) -> None:
    """Opened, paid over its offer, and taken from by its own key without anybody's word."""
    codes = await _enrolls(stage)
    await stage.house.clocks.service.sleep(SETTLED_IN_S)
    noffer, ndebit = pointers.decode(codes["noffer"]), pointers.decode(codes["ndebit"])
    assert isinstance(noffer, pointers.Noffer)
    assert isinstance(ndebit, pointers.Ndebit)
    payer, text = stage.service.stranger(), json.dumps({"offer": noffer.offer, "amount_sats": 3 * AMOUNT // 1_000})
    stage.ask("offer", payer, lambda: payer.signed(text))
    stage.paid_in("in", str((await stage.told("offer"))["bolt11"]))
    await stage.told("offer", 2)
    stage.debit("debit", stage.bill("bill", Script(settles_after_s=1)), NEWCOMER, pointer=ndebit.pointer)
    await stage.told("debit")


async def _enrolled_once(stage: Stage) -> None:
    """One account, and everybody was told the same codes of it."""
    told = [reply for name in stage.asked if name.startswith("enroll") for reply in stage.answers(name)]
    codes = {json.dumps(reply) for reply in told if reply["res"] == "ok"}
    assert len(codes) == 1, codes
    store = stage.service.store
    (account,) = [one for one in await store.accounts() if is_enrolled(one.account_id)]
    assert len(await store.grants_of(DEBITS_WIRE, enrolled_key(account))) == 1
    assert account.available_msat in {0, 3 * AMOUNT + COST}, account


# ---------------------------------------------------------------- hold invoices

#: A hash is good once, also where a crash has kept its invoice from being stored: so often another one is taken.
HASHES: Final = 4


async def _has_hold(stage: Stage, blocks: int = 0) -> tuple[str, str]:
    """A hold invoice of the till, and the preimage of its hash."""
    till = stage.app("till")
    for number in range(HASHES):
        preimage = sha256(b"hold %d" % number).hexdigest()
        params = {"payment_hash": sha256(bytes.fromhex(preimage)).hexdigest(), "amount": AMOUNT}
        params |= {"min_cltv_expiry_delta": blocks} if blocks else {}
        name = f"hold {number}"
        stage.ask(name, till, partial(till.request, "make_hold_invoice", params))
        made = await stage.told(name)
        if not made.get("error"):
            return str(made["result"]["invoice"]), preimage
    raise AssertionError("no hash was good enough")


async def _is_in(stage: Stage, text: str, *states: InvoiceState) -> None:
    payment_hash = bolt11.decode(text, recover=False).payment_hash

    async def is_it() -> bool:
        found = await stage.service.store.invoice_by_hash(stage.node.there, payment_hash)
        return found is not None and found.state in {*states, InvoiceState.SETTLED, InvoiceState.CANCELED}

    await stage.until(is_it, f"a hold invoice never was {states}")


async def _decides(stage: Stage, text: str, preimage: str) -> None:
    """``preimage`` "" cancels."""
    till = stage.app("till")
    await _is_in(stage, text, InvoiceState.ACCEPTED)
    if preimage:
        stage.ask("settle", till, lambda: till.request("settle_hold_invoice", {"preimage": preimage}))
        await stage.told("settle")
        return
    payment_hash = bolt11.decode(text, recover=False).payment_hash
    stage.ask("cancel", till, lambda: till.request("cancel_hold_invoice", {"payment_hash": payment_hash}))
    await stage.told("cancel")


async def _holds_and_settles(stage: Stage) -> None:
    text, preimage = await _has_hold(stage)
    stage.paid_in("in", text)
    await _decides(stage, text, preimage)


async def _holds_and_cancels(stage: Stage) -> None:
    text, _ = await _has_hold(stage)
    stage.paid_in("in", text)
    await _decides(stage, text, "")


async def _holds_and_forgets(stage: Stage) -> None:
    """Nobody decides: it goes back before its deadline."""
    text, _ = await _has_hold(stage, MIN_HOLD_BLOCKS)
    stage.paid_in("in", text)
    await _is_in(stage, text, InvoiceState.ACCEPTED)
    await stage.house.clocks.service.sleep((MIN_HOLD_BLOCKS - CANCEL_BEFORE_BLOCKS + 1) * stage.node.block_s)
    await _is_in(stage, text)


async def _has_quick_blocks(stage: Stage) -> None:
    stage.node.block_s = 20


async def _is_a_wallet(stage: Stage) -> None:
    """The node promises no more than a wallet of Nostr Wallet Connect."""
    stage.node.capabilities = replace(CAPABILITIES, hold=True, keysend=True)


async def _has_quick_blocks_and_is_a_wallet(stage: Stage) -> None:
    await _has_quick_blocks(stage)
    await _is_a_wallet(stage)


async def _holds_and_settles_late(stage: Stage) -> None:
    """The node takes no word until the owner is told to see to it."""
    settles = stage.node.settle_invoice

    async def late(preimage: str) -> InvoiceStatus:
        if not await _was_told_of_the_hold(stage):
            raise NodeUnreachableError("it is too busy")
        answer: InvoiceStatus = await settles(preimage)
        return answer

    if "late" not in stage.made:
        stage.made["late"] = True
        stage.node.replace("settle_invoice", late)
    text, preimage = await _has_hold(stage)
    stage.paid_in("in", text)
    await _decides(stage, text, preimage)


async def _was_told_of_the_hold(stage: Stage) -> bool:
    return any("could not be told to settle" in one.detail for one in await stage.service.store.alarms(0, 100))


async def _holds_nothing_and_has_told(stage: Stage) -> None:
    await _holds_nothing(stage)
    assert await _was_told_of_the_hold(stage)


async def _holds_inside(stage: Stage) -> None:
    text, preimage = await _has_hold(stage)
    stage.pay("pay", text)
    await _decides(stage, text, preimage)
    await stage.told("pay")


async def _holds_inside_and_cancels(stage: Stage) -> None:
    text, _ = await _has_hold(stage)
    stage.pay("pay", text)
    await _decides(stage, text, "")
    await stage.told("pay")


async def _holds_nothing(stage: Stage) -> None:
    assert stage.node.held() == {}
    assert await stage.service.store.holds() == []


COST: Final = -AMOUNT - FEE
#: What the service takes for a payment that leaves it, in the rows that say so.
TAX: Final = 2_000
TAXED: Final = Limits(service_floor_msat=Msat(TAX), service_bps=100)

# ---------------------------------------------------------------- offers of apps

_MUG: Final = {"label": "Mug", "price_sats": AMOUNT // 1_000, "payer_data": []}


async def _has_market(stage: Stage) -> None:
    await stage.service.link("shop", stage.service.manager(KNOWN))


async def _manages(stage: Stage) -> None:
    """Makes two offers, changes one, which somebody buys, and deletes the other."""
    for name in ("one", "two"):
        stage.manage(name, "create", {"fields": _MUG | {"label": name}})
    one, two = [(await stage.told(name))["details"]["id"] for name in ("one", "two")]
    stage.manage("change", "update", {"id": one, "fields": {"price_sats": 2 * AMOUNT // 1_000}})
    stage.manage("end", "delete", {"id": two})
    await stage.told("change")
    await stage.told("end")
    await _buys(stage, one, 2 * AMOUNT)


async def _asks_to_manage(stage: Stage) -> None:
    """Nobody knows the app; the owner lets it go on."""
    stage.manage("one", "create", {"fields": _MUG}, GUEST)
    made = await _decided(stage, "one", Ruling.ALWAYS)
    stage.manage("two", "create", {"fields": _MUG | {"label": "two"}}, GUEST)
    await stage.told("two")
    stage.manage("end", "delete", {"id": (await stage.told("two"))["details"]["id"]}, GUEST)
    await stage.told("end")
    await _buys(stage, made["details"]["id"], AMOUNT)


async def _asks_to_manage_in_vain(stage: Stage) -> None:
    stage.manage("one", "create", {"fields": _MUG}, GUEST)
    await _decided(stage, "one", Ruling.DENY)


async def _buys(stage: Stage, offer_id: str, amount: int) -> None:
    """A stranger asks the offer for an invoice, once, and pays it."""

    async def ask() -> str:
        _, text = await stage.service.stranger().invoice(offer_id, amount // 1_000)
        return text

    stage.paid_in("bought", await stage.once("invoice", ask))

    async def credited() -> bool:
        return await stage.service.available("shop") >= amount

    await stage.until(credited, "what was bought was never credited")


def _has_offers(*states: str) -> Play:
    """So many offers were made by apps as there were requests for them, in these states."""

    async def check(stage: Stage) -> None:
        made = [offer for offer in await stage.service.store.offers() if offer.creator]
        assert sorted(offer.state.value for offer in made) == sorted(states), made

    return check


FLOWS: Final = (
    Flow("pay out", _pays(Script(settles_after_s=1)), {"purse": COST}, {"pay": "ok"}, ("bill",)),
    Flow("pay out, fails", _pays(Script(settles_after_s=1, fails="no_route")), {}, {"pay": "PAYMENT_FAILED"}),
    Flow(
        "pay out, answer lost",
        _pays(Script(settles_after_s=2, answers=["lost"])), {"purse": COST}, {"pay": "ok"}, ("bill",),
    ),
    Flow("pay out, hangs", _pays(Script(settles_after_s=LONG_S)), {"purse": COST}, {"pay": "ok"}, ("bill",)),
    Flow("pay out, joined", _joins, {"purse": COST}, {"pay": "ok", "join": "ok"}, ("bill",)),
    Flow(
        "pay out, with a service fee",
        _pays(Script(settles_after_s=1)), {"purse": COST - TAX}, {"pay": "ok"}, ("bill",),
        check=_told_of_the_fee, limits=TAXED, earned=TAX,
    ),
    Flow(
        "pay out, with a service fee, fails", _pays(Script(settles_after_s=1, fails="no_route")), {},
        {"pay": "PAYMENT_FAILED"}, limits=TAXED,
    ),
    Flow(
        "pay out, with a service fee, answer lost", _pays(Script(settles_after_s=2, answers=["lost"])),
        {"purse": COST - TAX}, {"pay": "ok"}, ("bill",), check=_told_of_the_fee, limits=TAXED, earned=TAX,
    ),
    Flow(
        "pay out, service fee raised", _pays_while_the_fee_is_raised, {"purse": COST - TAX}, {"pay": "ok"}, ("bill",),
        check=_told_of_the_fee, limits=TAXED, earned=TAX,
    ),
    Flow(
        "pay inside, with a service fee outside", _pays_inside, {"purse": -AMOUNT, "shop": AMOUNT},
        {"sell": "ok", "pay": "ok"}, limits=TAXED,
    ),
    Flow(
        "several keysends, with a service fee", _sends_several, {"purse": 2 * (COST - TAX) - AMOUNT}, {},
        ("one", "two"), check=_told_of_each_key, limits=TAXED, earned=2 * TAX,
    ),
    Flow(
        "debit, with a service fee", _debits, {"purse": COST - TAX}, {"debit": "ok"}, ("bill",), _has_till,
        limits=TAXED, earned=TAX,
    ),
    Flow(
        "resolve, with a service fee", _resolves, {"purse": COST - TAX}, {"pay": "INTERNAL"}, ("bill",), limits=TAXED,
        earned=TAX,
    ),
    Flow("keysend", _sends(Script(settles_after_s=1)), {"purse": COST}, {"send": "ok"}, ("key",)),
    Flow("keysend, fails", _sends(Script(settles_after_s=1, fails="no_route")), {}, {"send": "PAYMENT_FAILED"}),
    Flow(
        "keysend, answer lost",
        _sends(Script(settles_after_s=2, answers=["lost"])), {"purse": COST}, {"send": "ok"}, ("key",),
    ),
    Flow("keysend, joined", _sends_with_a_preimage, {"purse": COST}, {"send": "ok", "join": "ok"}, ("key",)),
    Flow("keysend inside", _sends_inside, {"purse": -AMOUNT}, {"send": "ok"}),
    Flow(
        "several", _pays_several, {"purse": 2 * COST}, {}, ("bill 0", "bill 2"), check=_told_several,
    ),
    Flow(
        "several keysends", _sends_several, {"purse": 2 * COST - AMOUNT}, {}, ("one", "two"), check=_told_of_each_key,
    ),
    Flow("pay inside", _pays_inside, {"purse": -AMOUNT, "shop": AMOUNT}, {"sell": "ok", "pay": "ok"}),
    Flow(
        "pay inside, amountless", _pays_inside_what_it_likes, {"purse": -AMOUNT, "shop": AMOUNT},
        {"sell": "ok", "pay": "ok"},
    ),
    Flow("pay out, amountless", _pays_what_it_likes, {"purse": COST}, {"pay": "ok"}, ("bill",)),
    Flow("pay an own offer", _pays_own_offer, {"purse": -AMOUNT, "shop": AMOUNT}, {"offer": "ok", "pay": "ok"}),
    Flow("receive", _is_paid, {"shop": AMOUNT}, {"sell": "ok"}),
    Flow("receive, at a wallet", _is_paid, {"shop": AMOUNT}, {"sell": "ok"}, (), _is_a_wallet),
    Flow("receive by offer", _is_paid_by_offer, {"shop": AMOUNT}, {"offer": "ok"}),
    Flow("offer moves", _moves_while_it_sells, {"shop": AMOUNT}, {"offer": "ok", "old": "GFY 3", "new": "GFY 1"}),
    Flow("receive a zap", _is_zapped, {"shop": AMOUNT}, {"zap": "ok"}, (), _takes_zaps, _has_one_receipt),
    Flow(
        "zap oneself", _zaps_itself, {"purse": -AMOUNT, "shop": AMOUNT}, {"zap": "ok", "pay": "ok"}, (), _takes_zaps,
        _has_one_receipt,
    ),
    Flow(
        "receive by offer with a webhook",
        _is_paid_by_offer, {"shop": AMOUNT}, {"offer": "ok"}, (), _has_webhook, _told_the_server,
    ),
    Flow(
        "pay an own offer with a webhook", _pays_own_offer, {"purse": -AMOUNT, "shop": AMOUNT},
        {"offer": "ok", "pay": "ok"}, (), _has_webhook, _told_the_server,
    ),
    Flow("receive unasked", _receives_unasked),
    Flow("refused", _is_refused, {}, {"pay": "QUOTA_EXCEEDED"}),
    Flow("edited", _is_edited, {"purse": COST}, {"pay": "ok", "next": "QUOTA_EXCEEDED"}, ("bill",)),
    Flow(
        "budget in a currency", _pays_in_euros, {"purse": COST},
        {"pay": "ok", "over": "QUOTA_EXCEEDED", "stale": "INTERNAL"}, ("bill",), _has_euros,
    ),
    Flow("resolve", _resolves, {"purse": COST}, {"pay": "INTERNAL"}, ("bill",)),
    Flow("transfer", _transfers, {"shop": AMOUNT}),
    Flow("account, named anew and closed", _closes, {}, prepare=_has_jar, check=_is_closed),
    Flow("receive, into an account by the owner's word", _sells_for_an_account, {"shop": AMOUNT}),
    Flow("transfer, back", _transfers_back, {"purse": -AMOUNT}),
    Flow("transfer, between accounts", _transfers_between, {"purse": -AMOUNT, "shop": AMOUNT}),
    Flow("transfer, back while it pays", _pays_and_withdraws, {"purse": COST - AMOUNT}, {"pay": "ok"}, ("bill",)),
    Flow("receive, credited late", _is_paid_late, {"shop": AMOUNT}, {"sell": "ok"}),
    Flow("receive nothing", _receives_nothing, {}, {"sell": "ok"}),
    Flow("spending stops", _is_stopped, {"purse": COST}, {"pay": "INTERNAL", "again": "ok"}, ("bill",)),
    Flow(
        "pay out, at another node", _pays(Script(settles_after_s=1)), {"purse": COST}, {"pay": "ok"}, ("bill",),
        _has_another_node,
    ),
    Flow("expiry", _expires, {}, {"sell": "ok"}),
    Flow(
        "taken back", _takes_back, {}, {"sell": "ok", "pay": "PAYMENT_FAILED"}, check=_none_is_open,
    ),
    Flow("taken back, of an offer", _takes_back_of_an_offer, {}, {"offer": "ok"}, check=_none_is_open),
    Flow("taken back, too late", _takes_back_too_late, {"shop": AMOUNT}, {"sell": "ok"}, check=_none_is_open),
    Flow("taken back, paid inside", _takes_back_while_it_is_paid, {}, {"sell": "ok"}, check=_one_has_won),
    Flow("debit", _debits, {"purse": COST}, {"debit": "ok"}, ("bill",), _has_till),
    Flow("debit, joined", _debits_twice, {"purse": COST}, {"debit": "ok", "join": "ok"}, ("bill",), _has_till),
    Flow("debit, asked", _asks_for_a_payment, {"purse": COST}, {"debit": "ok"}, ("bill",), _has_till),
    Flow("debit, asked for once", _asks_once, {"purse": COST}, {"debit": "ok"}, ("bill",), _has_till),
    Flow("debit, asked twice", _asks_twice, {"purse": COST}, {"debit": "ok", "join": "ok"}, ("bill",), _has_till),
    Flow("debit, denied", _asks_in_vain, {}, {"debit": "GFY 1", "again": "GFY 1"}, (), _has_till),
    Flow("debit, undecided", _asks_nobody, {}, {"debit": "GFY 2"}, (), _has_till),
    Flow("budget", _asks_for_a_budget, {"purse": COST}, {"budget": "ok", "debit": "ok"}, ("bill",), _has_till),
    Flow("pay by link, hangs", _pays_by_link, {"purse": COST}, {"pay": "ok"}, ("bill",)),
    Flow(
        "connection of another", _connects_another, {"purse": COST},
        {"create": "ok", "pay": "ok", "over": "QUOTA_EXCEEDED"}, ("bill",), _has_maker, _connected_once,
    ),
    Flow(
        "session", _shows_a_session, {"purse": COST}, {"failed": "GFY 2", "debit": "ok", "again": "GFY 6"}, ("bill",),
        _has_sessions,
    ),
    Flow("hold, settled", _holds_and_settles, {"shop": AMOUNT}, {"settle": "ok"}, check=_holds_nothing),
    Flow(
        "hold, settled late", _holds_and_settles_late, {"shop": AMOUNT}, {"settle": "ok"},
        check=_holds_nothing_and_has_told,
    ),
    Flow("hold, cancelled", _holds_and_cancels, {}, {"cancel": "ok"}, check=_holds_nothing),
    Flow("hold, forgotten", _holds_and_forgets, {}, {}, (), _has_quick_blocks, _holds_nothing),
    Flow(
        "hold at a wallet, settled", _holds_and_settles, {"shop": AMOUNT}, {"settle": "ok"}, (), _is_a_wallet,
        _holds_nothing,
    ),
    Flow("hold at a wallet, cancelled", _holds_and_cancels, {}, {"cancel": "ok"}, (), _is_a_wallet, _holds_nothing),
    Flow(
        "hold at a wallet, forgotten", _holds_and_forgets, {}, {}, (), _has_quick_blocks_and_is_a_wallet,
        _holds_nothing,
    ),
    Flow(
        "hold inside, settled",
        _holds_inside, {"purse": -AMOUNT, "shop": AMOUNT}, {"pay": "ok", "settle": "ok"}, check=_holds_nothing,
    ),
    Flow(
        "hold inside, cancelled",
        _holds_inside_and_cancels, {}, {"pay": "PAYMENT_FAILED", "cancel": "ok"}, check=_holds_nothing,
    ),
    Flow("enroll", _enrolls, check=_enrolled_once),
    Flow("enroll and take", _enrolls_and_takes, {}, {"debit": "ok"}, ("bill",), check=_enrolled_once),
    Flow(
        "offers of an app", _manages, {"shop": 2 * AMOUNT}, {"one": "ok", "two": "ok", "change": "ok", "end": "ok"},
        (), _has_market, _has_offers("open", "deleted"),
    ),
    Flow(
        "offers of an app, asked for", _asks_to_manage, {"shop": AMOUNT}, {"one": "ok", "two": "ok", "end": "ok"},
        (), _has_market, _has_offers("open", "deleted"),
    ),
    Flow(
        "offers of an app, denied", _asks_to_manage_in_vain, {}, {"one": "GFY 1"}, (), _has_market, _has_offers(),
    ),
)  # fmt: skip
BY_NAME: Final = {flow.name: flow for flow in FLOWS}
