"""What every backend has to keep. Each check takes a side and raises AssertionError; CHECKS finds them by name."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from hashlib import sha256
from typing import cast

import pytest

from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.money import Msat
from kitestring.base.node import (
    INVOICE_STEPS,
    FindingState,
    HashTakenError,
    HoldBackend,
    HoldOrder,
    InvoiceOrder,
    NodeInvoice,
    NodeInvoiceState,
    NodeUnreachableError,
    PayOrder,
    Settlement,
    SigningBackend,
)
from kitestring.base.payments import Failed, InFlight, NeverSeen, Settled, Unknown
from kitestring.codec import bolt11
from kitestring.codec.signed_message import signer
from tests.kit.backend.sides import FEE_CAP, Side, order, stranger_invoice
from tests.kit.chance import entropy
from tests.kit.changed import replace
from tests.kit.codec.signatures import not_of_the_payee, unsigned
from tests.kit.waiting import until


def invoice_order(amount_msat: int | None = 2000, description_hash: str = "", expiry_s: int = 600) -> InvoiceOrder:
    amount = None if amount_msat is None else Msat(amount_msat)
    return InvoiceOrder(amount, "" if description_hash else "tea", description_hash, expiry_s, entropy(32).hex())


def keysend(node_key: str, amount_msat: int = 1_000, records: tuple[tuple[int, str], ...] = ()) -> PayOrder:
    """To pay a key without an invoice, with a preimage that was never used."""
    preimage = entropy(32)
    payment_hash = sha256(preimage).hexdigest()
    return PayOrder(Keysend(node_key, preimage.hex(), records), payment_hash, Msat(amount_msat), FEE_CAP, 15)


async def pays(side: Side, wanted: PayOrder) -> Settled:
    answer = await side.backend.pay(wanted)
    assert isinstance(answer, Settled), answer
    assert sha256(bytes.fromhex(answer.preimage)).hexdigest() == wanted.payment_hash
    assert 0 <= answer.fee_msat <= wanted.fee_cap_msat
    return answer


async def until_in_flight(side: Side, wanted: PayOrder) -> None:
    """Raises AssertionError when anything but InFlight follows on NeverSeen."""

    async def sent() -> bool:
        answer = await side.backend.lookup_payment(wanted.payment_hash)
        assert isinstance(answer, (NeverSeen, InFlight)), answer
        return isinstance(answer, InFlight)

    await until(sent, pause_s=0.02)


async def end(stream: AsyncIterator[Settlement]) -> None:
    assert isinstance(stream, AsyncGenerator)
    await stream.aclose()


async def take(side: Side, cursor: bytes, last: str) -> list[Settlement]:
    """Settlements after the cursor up to that of one payment hash."""
    found: list[Settlement] = []
    stream = side.backend.settlements(cursor)
    async with asyncio.timeout(30):
        async for settlement in stream:
            found.append(settlement)
            if settlement.payment_hash == last:
                break
    await end(stream)
    return found


async def newest_cursor(side: Side) -> bytes:
    """Where the stream is now. It may begin "from now on", so outsiders pay until it says something."""
    stream = side.backend.settlements(b"")
    first = asyncio.ensure_future(anext(stream))
    paid = ""
    while not first.done():
        made = await side.backend.make_invoice(invoice_order())
        await side.receive(made.bolt11)
        paid = made.payment_hash
        await asyncio.wait({first}, timeout=0.2)
    await end(stream)
    settlement = first.result()
    return (
        settlement.cursor if settlement.payment_hash == paid else (await take(side, settlement.cursor, paid))[-1].cursor
    )


async def check_a_payment_settles_with_its_preimage_and_a_fee_within_the_cap(side: Side) -> None:
    before = await side.backend.balance()
    settled = await pays(side, wanted := order(await side.invoice(5_000_000)))
    assert settled.fee_msat > 0
    assert await side.backend.lookup_payment(wanted.payment_hash) == settled
    after = await side.backend.balance()
    assert after.spendable_msat < before.spendable_msat


async def check_what_is_owned_covers_what_can_be_sent_and_falls_by_what_was_paid(side: Side) -> None:
    before = await side.backend.balance()
    assert before.owned_msat >= before.spendable_msat > 0
    wanted = order(await side.invoice(5_000_000))
    settled = await pays(side, wanted)
    gone = int(wanted.amount_msat + settled.fee_msat)

    async def has_left() -> bool:
        left = before.owned_msat - (await side.backend.balance()).owned_msat
        return gone - 1_000 < left < gone + 1_000  # channels count whole sats

    await until(has_left, pause_s=0.1)


async def check_the_same_hash_is_paid_once(side: Side) -> None:
    wanted = order(await side.invoice(2000))
    answers = [await pays(side, wanted), *await asyncio.gather(*(pays(side, wanted) for _ in range(3)))]
    assert len(set(answers)) == 1
    listed = [entry async for entry in side.backend.list_payments() if entry.payment_hash == wanted.payment_hash]
    assert [(entry.state, entry.amount_msat) for entry in listed] == [("settled", 2000)]


async def check_the_same_hash_at_once_is_paid_once(side: Side) -> None:
    wanted = order(await side.invoice(3000))
    answers = await asyncio.gather(*(pays(side, wanted) for _ in range(4)))
    assert len(set(answers)) == 1


async def check_a_payment_in_flight_is_seen_and_followed_to_its_end(side: Side) -> None:
    text, release = await side.held_invoice(4000)
    wanted = order(text, timeout_s=30)
    paying = asyncio.create_task(side.backend.pay(wanted))
    await until_in_flight(side, wanted)
    tracking = asyncio.create_task(side.backend.track(wanted.payment_hash))
    await release()
    assert isinstance(settled := await paying, Settled)
    assert await tracking == settled == await side.backend.lookup_payment(wanted.payment_hash)


async def check_a_payment_outlives_a_cancelled_caller(side: Side) -> None:
    text, release = await side.held_invoice(4500)
    wanted = order(text)
    paying = asyncio.create_task(side.backend.pay(wanted))
    await until_in_flight(side, wanted)
    paying.cancel()
    await asyncio.gather(paying, return_exceptions=True)
    await release()
    assert isinstance(await side.backend.track(wanted.payment_hash), Settled)


async def check_a_hash_that_was_never_seen_is_named_so(side: Side) -> None:
    for look in (side.backend.lookup_payment, side.backend.track):
        asked_at = int(time.time())
        answer = await look(entropy(32).hex())
        assert isinstance(answer, NeverSeen)
        assert asked_at <= answer.as_of <= time.time()


async def check_the_nodes_own_count_of_payments_grows_with_each_that_it_has_not_known(side: Side) -> None:
    assert side.backend.capabilities.payment_index
    counts = [await side.backend.payment_index()]
    for wanted in (order(await side.invoice(1_100)), order(await side.refused_invoice(1_200))):
        await side.backend.pay(wanted)
        counts.append(await side.backend.payment_index())
    assert counts == sorted(set(counts)), counts
    await side.backend.pay(wanted)  # which has failed before
    assert await side.backend.payment_index() >= counts[-1]


async def check_the_nodes_own_count_of_payments_falls_when_records_are_lost(side: Side) -> None:
    """Also when there are new ones since: a number that goes on growing proves nothing."""
    for _ in range(3):
        await pays(side, order(await side.invoice(1_300)))
    before = await side.backend.payment_index()
    await side.forget_payments()
    assert await side.backend.payment_index() < before
    await pays(side, order(await side.invoice(1_300)))
    assert 0 < await side.backend.payment_index() < before


async def check_a_refused_payment_fails_with_evidence_and_can_be_tried_again(side: Side) -> None:
    before = await side.backend.balance()
    wanted = order(await side.refused_invoice(2500))
    answer = await side.backend.pay(wanted)
    assert isinstance(answer, Failed)
    assert answer.evidence
    assert isinstance(await side.backend.lookup_payment(wanted.payment_hash), Failed)
    assert isinstance(await side.backend.pay(wanted), Failed)
    assert (await side.backend.balance()).spendable_msat == before.spendable_msat


async def check_a_route_dearer_than_the_cap_is_not_taken(side: Side) -> None:
    bill = await side.invoice(5_000_000)
    wanted = order(bill, fee_cap=Msat(10))
    answer = await side.backend.pay(wanted)
    assert isinstance(answer, Failed)
    assert answer.reason in {"fee_limit", "no_route"}
    await pays(side, order(bill))


async def check_more_than_there_is_cannot_be_paid(side: Side) -> None:
    spendable = (await side.backend.balance()).spendable_msat
    text = await side.invoice(int(spendable) + 1_000_000)
    answer = await side.backend.pay(order(text, fee_cap=Msat(10_000_000)))
    assert isinstance(answer, Failed)
    assert answer.reason == "insufficient_funds"


async def check_an_expired_invoice_is_refused(side: Side) -> None:
    answer = await side.backend.pay(order(stranger_invoice(1000, int(time.time()) - 7200)))
    assert isinstance(answer, Failed)
    assert answer.reason == "expired"


async def check_an_invoice_of_another_network_is_refused(side: Side) -> None:
    answer = await side.backend.pay(order(stranger_invoice(1000, int(time.time()), "bitcoin")))
    assert isinstance(answer, Failed)
    assert answer.reason == "refused"


async def check_an_invoice_of_nobody_finds_no_route(side: Side) -> None:
    answer = await side.backend.pay(order(stranger_invoice(1001, int(time.time()))))
    assert isinstance(answer, Failed)
    assert answer.reason in {"no_route", "other"}  # a wallet says no more than that it failed


async def refuses_for_good(side: Side, sound: str, name: str, spoiled: str) -> None:
    wanted = replace(order(sound), destination=Bolt11(spoiled))
    answer = await side.backend.pay(wanted)
    assert isinstance(answer, Failed), f"{name}: {answer}"
    assert (answer.reason, bool(answer.evidence)) == ("refused", True), f"{name}: {answer}"
    looked_up = await side.backend.lookup_payment(wanted.payment_hash)
    assert isinstance(looked_up, NeverSeen), f"{name}: {looked_up}"


async def check_a_key_without_an_invoice_is_refused_for_good_unless_the_backend_declares_keysend(side: Side) -> None:
    if side.backend.capabilities.keysend:
        return
    wanted = keysend("02" + "11" * 32)
    answer = await side.backend.pay(wanted)
    assert isinstance(answer, Failed)
    assert (answer.reason, bool(answer.evidence)) == ("refused", True)
    assert isinstance(await side.backend.lookup_payment(wanted.payment_hash), NeverSeen)


async def check_a_key_is_paid_once_for_each_preimage_and_is_sent_what_was_ordered(side: Side) -> None:
    if not side.backend.capabilities.keysend:
        return
    wanted = keysend(await side.node_key(), 5_000_000, ((65_536, "00ff"), (7_629_169, "7b7d")))
    settled = await pays(side, wanted)
    assert isinstance(wanted.destination, Keysend)
    assert settled.preimage == wanted.destination.preimage
    assert settled.fee_msat > 0
    again = [await pays(side, wanted), *await asyncio.gather(*(pays(side, wanted) for _ in range(3)))]
    assert set(again) == {settled}
    assert await side.backend.lookup_payment(wanted.payment_hash) == settled
    assert await side.arrived(wanted.payment_hash) == (5_000_000, wanted.destination.records)
    listed = [entry async for entry in side.backend.list_payments() if entry.payment_hash == wanted.payment_hash]
    assert [(entry.state, entry.amount_msat) for entry in listed] == [("settled", 5_000_000)]


async def check_a_key_that_cannot_be_paid_is_a_failure_for_good(side: Side) -> None:
    if not side.backend.capabilities.keysend:
        return
    key = await side.node_key()
    of_another_hash = replace(keysend(key), payment_hash=entropy(32).hex())
    too_dear = replace(keysend(key, 5_000_000), fee_cap_msat=Msat(0))
    for wanted in (keysend("02" + "11" * 32), keysend("02" + "ff" * 32), of_another_hash, too_dear):
        answer = await side.backend.pay(wanted)
        assert isinstance(answer, Failed), answer
        assert answer.evidence
        assert isinstance(await side.backend.lookup_payment(wanted.payment_hash), Failed | NeverSeen)


async def check_an_invoice_that_no_key_can_have_signed_is_refused_for_good(side: Side) -> None:
    """Nobody looks before the node: the service reads an invoice without recovering who signed it."""
    sound = stranger_invoice(1002, int(time.time()))
    for name, spoiled in unsigned(sound):
        await refuses_for_good(side, sound, name, spoiled)


async def check_an_invoice_that_another_node_has_signed_than_it_names_is_refused_for_good(side: Side) -> None:
    sound = stranger_invoice(1003, int(time.time()), name_payee=True)
    for name, spoiled in not_of_the_payee(sound):
        await refuses_for_good(side, sound, name, spoiled)


async def check_a_sound_invoice_is_paid_after_one_with_its_hash_was_refused(side: Side) -> None:
    sound = await side.invoice(2800)
    for name, spoiled in itertools.islice(unsigned(sound), 3):
        await refuses_for_good(side, sound, name, spoiled)
    await pays(side, order(sound))
    for _, spoiled in itertools.islice(unsigned(sound), 3):
        answer = await side.backend.pay(replace(order(sound), destination=Bolt11(spoiled)))
        assert isinstance(answer, (Settled, Unknown)), answer


async def check_an_amountless_invoice_is_paid_with_the_amount_of_the_order(side: Side) -> None:
    wanted = order(await side.invoice(None), amount_msat=7001)
    await pays(side, wanted)
    listed = [entry async for entry in side.backend.list_payments() if entry.payment_hash == wanted.payment_hash]
    assert [(entry.state, entry.amount_msat) for entry in listed] == [("settled", 7001)]


async def check_an_invoice_carries_what_was_ordered(side: Side) -> None:
    wanted = invoice_order(amount_msat=2001)
    made = await side.backend.make_invoice(wanted)
    invoice = bolt11.decode(made.bolt11)
    assert invoice.payment_hash == made.payment_hash
    if side.backend.capabilities.own_preimage:
        assert made.payment_hash == sha256(bytes.fromhex(wanted.preimage)).hexdigest()
    assert (invoice.amount_msat, invoice.description, invoice.expiry_s) == (2001, "tea", 600)
    assert invoice.expires_at == made.expires_at
    info = await side.backend.info()
    assert invoice.network == info.network == "regtest"
    if len(info.node_id) == 66:  # it is named by the key that signs its invoices
        assert invoice.payee == info.node_id


async def check_the_time_that_the_node_tells_is_its_own_and_now(side: Side) -> None:
    before = int(time.time())
    told_at = (await side.backend.info()).told_at
    assert told_at == 0 or before - 1 <= told_at <= time.time()


async def check_the_same_preimage_gives_the_same_invoice(side: Side) -> None:
    wanted = invoice_order()
    assert await side.backend.make_invoice(wanted) == await side.backend.make_invoice(wanted)


async def check_an_invoice_may_carry_the_hash_of_its_description(side: Side) -> None:
    digest = sha256(b"a long story").hexdigest()
    made = await side.backend.make_invoice(invoice_order(description_hash=digest))
    assert bolt11.decode(made.bolt11).description_hash == digest


async def check_an_amountless_invoice_can_be_received(side: Side) -> None:
    made = await side.backend.make_invoice(invoice_order(amount_msat=None))
    assert bolt11.decode(made.bolt11).amount_msat is None
    await side.receive(made.bolt11, 6000)
    assert (await side.backend.lookup_invoice(made.payment_hash)).received_msat == 6000


async def check_a_paid_invoice_is_settled_with_amount_time_and_preimage(side: Side) -> None:
    wanted = invoice_order()
    made = await side.backend.make_invoice(wanted)
    assert (await side.backend.lookup_invoice(made.payment_hash)).state == "open"
    await side.receive(made.bolt11)
    status = await side.backend.lookup_invoice(made.payment_hash)
    assert (status.state, status.received_msat) == ("settled", 2000)
    assert sha256(bytes.fromhex(status.preimage)).hexdigest() == made.payment_hash
    assert abs(status.settled_at - time.time()) < 60
    assert (status.bolt11, status.expires_at) == (made.bolt11, made.expires_at)


async def check_an_open_invoice_can_be_cancelled_and_a_settled_one_cannot(side: Side) -> None:
    assert side.backend.capabilities.cancel
    first, second = [await side.backend.make_invoice(invoice_order()) for _ in range(2)]
    assert (await side.backend.cancel_invoice(first.payment_hash)).state == "canceled"
    assert (await side.backend.cancel_invoice(first.payment_hash)).state == "canceled"
    assert (await side.backend.lookup_invoice(first.payment_hash)).state == "canceled"
    await side.receive(second.bolt11)
    assert (await side.backend.cancel_invoice(second.payment_hash)).state == "settled"


async def check_an_invoice_takes_the_steps_of_the_table_and_no_other(side: Side) -> None:
    async def seen(payment_hash: str) -> NodeInvoiceState:
        return (await side.backend.lookup_invoice(payment_hash)).state

    for end in (lambda made: side.receive(made.bolt11), lambda made: side.backend.cancel_invoice(made.payment_hash)):
        wanted = invoice_order()
        payment_hash = sha256(bytes.fromhex(wanted.preimage)).hexdigest()
        states = [await seen(payment_hash)]
        made = await side.backend.make_invoice(wanted)
        states.append(await seen(payment_hash))
        await end(made)
        states.append(await seen(payment_hash))
        await side.backend.cancel_invoice(payment_hash)
        assert await seen(payment_hash) is states[-1]
        assert all(after in INVOICE_STEPS[before] for before, after in itertools.pairwise(states)), states
        assert not INVOICE_STEPS[states[-1]]


async def check_an_invoice_that_has_expired_is_canceled_by_the_node_itself(side: Side) -> None:
    """Nothing but the node's word ends an invoice."""
    made = await side.backend.make_invoice(invoice_order(expiry_s=1))

    async def has_ended() -> bool:
        return (await side.backend.lookup_invoice(made.payment_hash)).state == "canceled"

    await until(has_ended, pause_s=0.1)


# ------------------------------------------------------------ hold invoices: each check needs the capability

#: Far more than the channels count whole sats by.
HELD = 2_000_000


def holder(side: Side) -> HoldBackend:
    assert side.backend.capabilities.hold
    return cast(HoldBackend, side.backend)


def hold_order(preimage: str, **more: int) -> HoldOrder:
    payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
    return HoldOrder(payment_hash, Msat(HELD), "tea", "", **({"expiry_s": 600} | more))


async def until_held(side: Side, payment_hash: str) -> None:
    async with asyncio.timeout(30):
        found = await holder(side).track_invoice(payment_hash, NodeInvoiceState.OPEN)
    assert (found.state, found.received_msat, found.preimage) == ("accepted", HELD, "")
    assert found.settle_deadline > (await side.backend.info()).block_height


async def check_a_held_payment_is_taken_with_the_preimage_and_told_by_the_stream(side: Side) -> None:
    node, preimage, cursor = holder(side), entropy(32).hex(), await newest_cursor(side)
    made = await node.make_hold_invoice(wanted := hold_order(preimage))
    invoice = bolt11.decode(made.bolt11)
    assert (made.payment_hash, made.expires_at) == (wanted.payment_hash, invoice.expires_at)
    assert (invoice.payment_hash, invoice.amount_msat, invoice.description) == (wanted.payment_hash, HELD, "tea")
    assert (await node.settle_invoice(preimage)).state == "open"  # nobody has paid yet
    owned = (await node.balance()).owned_msat
    has_paid = await side.pay_held(made.bolt11)
    await until_held(side, wanted.payment_hash)
    assert (await node.balance()).owned_msat < owned + HELD // 2
    for _ in range(2):
        taken = await node.settle_invoice(preimage)
        assert (taken.state, taken.received_msat, taken.preimage) == ("settled", HELD, preimage)
        assert taken.settle_deadline == 0
    assert await has_paid()
    (told,) = await take(side, cursor, wanted.payment_hash)
    assert (told.received_msat, told.preimage) == (HELD, preimage)
    assert (await node.cancel_invoice(wanted.payment_hash)).state == "settled"


async def check_a_held_payment_goes_back_when_it_is_cancelled_and_stays_there(side: Side) -> None:
    node, preimage = holder(side), entropy(32).hex()
    made = await node.make_hold_invoice(wanted := hold_order(preimage))
    has_paid = await side.pay_held(made.bolt11)
    await until_held(side, wanted.payment_hash)
    for _ in range(2):
        assert (await node.cancel_invoice(wanted.payment_hash)).state == "canceled"
    assert not await has_paid()
    gone = await node.settle_invoice(preimage)
    assert (gone.state, gone.settle_deadline) == ("canceled", 0)
    listed = {payment_hash: status async for payment_hash, status in side.backend.list_invoices()}
    assert listed[wanted.payment_hash].state == "canceled"


async def check_a_hash_that_the_node_has_an_invoice_of_is_taken_whatever_has_become_of_it(side: Side) -> None:
    """What is paid to that one may be somebody else's money."""
    node, held = holder(side), hold_order(entropy(32).hex())
    await node.make_hold_invoice(held)
    ordinary = (await node.make_invoice(invoice_order())).payment_hash
    may_end = {held.payment_hash} | ({ordinary} if node.capabilities.own_preimage else set())  # a wallet has no word
    for payment_hash in (ordinary, held.payment_hash):
        with pytest.raises(HashTakenError):
            await node.make_hold_invoice(replace(held, payment_hash=payment_hash))
        if payment_hash in may_end:
            await node.cancel_invoice(payment_hash)
            with pytest.raises(HashTakenError):
                await node.make_hold_invoice(replace(held, payment_hash=payment_hash))


async def check_a_hold_invoice_leaves_the_blocks_that_it_was_asked_to_leave(side: Side) -> None:
    node, preimage = holder(side), entropy(32).hex()
    digest = sha256(b"a long story").hexdigest()
    wanted = replace(hold_order(preimage, min_cltv_delta=144), description="", description_hash=digest)
    invoice = bolt11.decode((await node.make_hold_invoice(wanted)).bolt11)
    assert (invoice.min_final_cltv, invoice.description_hash) == (144, digest)


async def check_nobody_waits_for_news_of_an_invoice_that_has_another_state_already(side: Side) -> None:
    node, preimage = holder(side), entropy(32).hex()
    payment_hash = hold_order(preimage).payment_hash
    assert (await node.settle_invoice(preimage)).state == "unknown"
    assert (await node.track_invoice(payment_hash, NodeInvoiceState.OPEN)).state == "unknown"
    await node.make_hold_invoice(hold_order(preimage))
    following = asyncio.create_task(node.track_invoice(payment_hash, NodeInvoiceState.OPEN))
    await asyncio.sleep(0.2)
    await node.cancel_invoice(payment_hash)
    assert (await following).state == "canceled"
    assert (await node.track_invoice(payment_hash, NodeInvoiceState.ACCEPTED)).state == "canceled"


async def check_an_invoice_that_is_not_there_is_unknown(side: Side) -> None:
    payment_hash = entropy(32).hex()
    assert (await side.backend.cancel_invoice(payment_hash)).state == "unknown"
    assert (await side.backend.lookup_invoice(payment_hash)).state == "unknown"


async def check_the_stream_of_settlements_resumes_without_a_gap_or_a_repetition(side: Side) -> None:
    cursor = await newest_cursor(side)
    made = [await side.backend.make_invoice(invoice_order()) for _ in range(3)]
    hashes = [entry.payment_hash for entry in made]
    for missed in made[:2]:
        await side.receive(missed.bolt11)
    following = asyncio.create_task(take(side, cursor, hashes[2]))
    await asyncio.sleep(0)
    await side.receive(made[2].bolt11)
    found = await following
    assert [entry.payment_hash for entry in found] == hashes
    assert {entry.received_msat for entry in found} == {2000}
    assert await take(side, found[0].cursor, hashes[2]) == found[1:]


async def check_a_cursor_of_another_epoch_hides_no_settlement(side: Side) -> None:
    """A node whose database of invoices is a new one numbers them from the beginning again; its identity stays."""
    await newest_cursor(side)
    made = await side.backend.make_invoice(invoice_order())
    await side.receive(made.bolt11)
    for cursor in side.cursors_of_another_epoch():
        found = await take(side, cursor, made.payment_hash)
        assert found[-1].received_msat == 2000
        stream = side.backend.settlements(cursor)
        waiting = asyncio.ensure_future(until_told(stream, live := await side.backend.make_invoice(invoice_order())))
        await asyncio.sleep(0.3)
        await side.receive(live.bolt11)
        async with asyncio.timeout(30):
            await waiting
        await end(stream)


async def until_told(stream: AsyncIterator[Settlement], made: NodeInvoice) -> None:
    async for settlement in stream:
        if settlement.payment_hash == made.payment_hash:
            return


async def check_payments_and_invoices_are_listed(side: Side) -> None:
    wanted = order(await side.invoice(1234))
    settled = await pays(side, wanted)
    made = await side.backend.make_invoice(invoice_order())
    payments = {entry.payment_hash: entry async for entry in side.backend.list_payments()}
    paid = payments[wanted.payment_hash]
    assert (paid.state, paid.amount_msat, paid.fee_msat) == ("settled", 1234, settled.fee_msat)
    assert paid.preimage == settled.preimage
    invoices = {payment_hash: status async for payment_hash, status in side.backend.list_invoices()}
    assert invoices[made.payment_hash].state == "open"


async def check_a_node_that_is_not_there_was_never_asked(side: Side) -> None:
    wanted = order(await side.invoice(1000))
    backend = side.unreachable()
    await backend.open()
    try:
        for ask in (
            backend.pay(wanted),
            backend.lookup_payment(wanted.payment_hash),
            backend.balance(),
            backend.info(),
        ):
            with pytest.raises(NodeUnreachableError):
                await ask
    finally:
        await backend.close()


async def check_a_node_that_goes_away_in_mid_payment_was_asked_all_the_same(side: Side) -> None:
    text, release = await side.held_invoice(4700)
    wanted = order(text, timeout_s=5)
    async with side.on_a_wire() as (backend, cut):
        paying = asyncio.create_task(backend.pay(wanted))
        await until_in_flight(side, wanted)
        cut()
        (answer,) = await asyncio.gather(paying, return_exceptions=True)
        with pytest.raises(NodeUnreachableError):
            await backend.balance()
    assert isinstance(answer, (Unknown, InFlight, Exception)), answer
    assert not isinstance(answer, NodeUnreachableError), answer
    await release()
    assert isinstance(await side.backend.track(wanted.payment_hash), Settled)


async def check_a_failure_says_which_attempt_it_ended(side: Side) -> None:
    """What the node says of an old attempt must not be taken for the end of a new one whose answer got lost."""
    wanted = order(await side.refused_invoice(2600))
    begun: list[int] = []
    for _ in range(2):
        started_at = int(time.time())
        answers = [
            await side.backend.pay(wanted),
            await side.backend.lookup_payment(wanted.payment_hash),
            await side.backend.track(wanted.payment_hash),
        ]
        begun += {answer.attempt_at or 0 for answer in answers if isinstance(answer, Failed)}
        assert started_at <= begun[-1] <= time.time()
        await asyncio.sleep(1.1 - time.time() % 1)  # the next attempt begins in another second
    assert len(begun) == 2
    assert begun[0] < begun[1]


async def check_only_the_node_itself_says_never_seen_or_failed(side: Side) -> None:
    """Out of its reach nobody knows, whatever the node would have said."""
    refused = order(await side.refused_invoice(2700))
    assert isinstance(await side.backend.pay(refused), Failed)
    async with side.on_a_wire() as (backend, cut):
        assert isinstance(await backend.lookup_payment(refused.payment_hash), Failed)
        cut()
        for payment_hash in (refused.payment_hash, entropy(32).hex()):
            for look in (backend.lookup_payment, backend.track):
                (answer,) = await asyncio.gather(look(payment_hash), return_exceptions=True)
                assert isinstance(answer, (Unknown, Exception)), answer


async def check_another_node_at_the_address_is_told_nothing_and_the_first_one_goes_on_when_it_is_back(
    side: Side,
) -> None:
    refused, wanted = order(await side.refused_invoice(2_900)), order(await side.invoice(2_900))
    made = await side.backend.make_invoice(invoice_order())
    async with side.exchanged() as (backend, put_another, put_back):
        here = (await backend.info()).node_id
        assert isinstance(await backend.pay(refused), Failed)
        assert backend.node_id == here
        put_another()
        for look in (backend.lookup_payment, backend.track, backend.lookup_invoice, backend.cancel_invoice):
            for payment_hash in (refused.payment_hash, made.payment_hash, entropy(32).hex()):
                (answer,) = await asyncio.gather(look(payment_hash), return_exceptions=True)
                assert isinstance(answer, (Unknown, Exception)), answer
        for ask in (backend.pay(wanted), backend.make_invoice(invoice_order()), backend.balance()):
            with pytest.raises(NodeUnreachableError):
                await ask
        with pytest.raises(NodeUnreachableError):
            await anext(aiter(backend.settlements(b"")))
        put_back()
        assert (await backend.info()).node_id == backend.node_id == here
        assert isinstance(await backend.lookup_payment(wanted.payment_hash), NeverSeen)
        assert isinstance(await backend.pay(wanted), Settled)
    assert (await side.backend.lookup_invoice(made.payment_hash)).state == "open"


async def check_a_spoiled_answer_is_never_a_failure(side: Side) -> None:
    """Whatever the node did, nobody can know it: an exception (read as Unknown by the engine), Unknown or InFlight."""
    async for how, backend, text in side.broken():
        try:
            answer = await backend.pay(order(text, fee_cap=FEE_CAP))
        except NodeUnreachableError:
            raise AssertionError(f"{how}: the order was sent, so the node was asked") from None
        except Exception:  # noqa: BLE001 (any other exception is an Unknown)
            continue
        assert isinstance(answer, (Unknown, InFlight)), f"{how}: {answer}"


async def check_a_backend_asks_nobody_before_it_is_opened_nor_after_it_is_closed(side: Side) -> None:
    wanted = order(await side.invoice(1000))
    backend = side.unreachable()
    await backend.close()
    for _ in range(2):
        for ask in (backend.pay(wanted), backend.lookup_payment(wanted.payment_hash), backend.balance()):
            with pytest.raises(NodeUnreachableError):
                await ask
        await backend.open()
        for _ in range(2):
            await backend.close()


async def check_findings_are_told_of_a_node_that_runs_and_of_one_that_is_not_there(side: Side) -> None:
    """Also before the backend is opened: the doctor asks when no service runs."""
    for backend in (side.backend, side.unreachable()):
        for found in await backend.findings():
            assert found.name.isidentifier()
            assert isinstance(found.state, FindingState)
            assert found.sentence.isprintable()
            assert found.sentence


async def check_a_text_is_signed_with_the_key_of_the_node(side: Side) -> None:
    assert side.backend.capabilities.sign_message
    backend, node = cast(SigningBackend, side.backend), (await side.backend.info()).node_id
    for message in ("tea", "ä \n🪁 " * 200, "x"):
        assert signer(message, await backend.sign_message(message)) == node


async def check_the_books_of_the_node_itself_are_right(side: Side) -> None:
    await pays(side, order(await side.invoice(1500)))
    assert await side.backend.own_books() == ()


CHECKS: dict[str, Callable[[Side], Awaitable[None]]] = {
    name.removeprefix("check_"): check for name, check in globals().items() if name.startswith("check_")
}
