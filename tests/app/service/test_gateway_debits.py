"""CLINK Debits through the gateway: real events in, real events out, and a stub in the engine's place."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from kitestring.app.home.config import RequestLimits
from kitestring.base.approvals import Ruling
from kitestring.base.budgets import Budget
from kitestring.base.commands import Debit
from kitestring.base.errors import NotStoredError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.outcomes import Granted, Paid, Refused
from kitestring.base.transactions.requests import ForgetRefusals
from kitestring.nostr.event import first_tag, sign_event
from kitestring.wire.registry import BY_NAME
from kitestring.wire.reply_to import thaw
from tests.kit.app.door import APP, STRANGER, Door, door
from tests.kit.app.till import Till, debit, known
from tests.kit.codec.invoices import PAYMENT_HASH, PREIMAGE
from tests.kit.engine.rig import Life

DENIED = {"res": "GFY", "code": 1, "error": "Request Denied: this is not permitted"}
FULL = NotStoredError(Reason.INTERNAL, "the disk is full")
PAID = Paid(PAYMENT_HASH, PREIMAGE, Msat(10_000), Msat(0))

# ------------------------------------------------------------ strangers


@door()
async def test_a_stranger_is_handed_in_with_its_key_and_without_any_grant(life: Life, door: Door) -> None:
    till = Till(door)
    event = debit(door, {"pointer": "till", "bolt11": door.invoice(), "want_preimage": True})
    await door.tell(event)
    (incoming,) = till.handled
    assert (incoming.wire, incoming.grant_id, incoming.author) == ("debits", "", STRANGER.public_hex)
    assert (incoming.request_id, incoming.sent_at) == (event.id, event.created_at)
    assert incoming.refused_until is not None
    assert isinstance(incoming.command, Debit)
    assert incoming.command.pointer_id == "till"
    to = thaw(incoming.reply_to)
    assert (to.wire, to.key_id, to.peer, to.event_id) == ("debits", "service", STRANGER.public_hex, event.id)
    assert await door.rig.engine.has_paid(event.id, incoming.command) is False


@door()
async def test_a_stranger_who_is_denied_is_told_so_once_and_leaves_no_row(life: Life, door: Door) -> None:
    till = Till(door)
    event = debit(door, {"bolt11": door.invoice()})
    assert await door.tell(event) == [DENIED]
    till.says = lambda _: PAID
    assert await door.tell(event) == []
    assert await door.rig.store.request(event.id) is None
    assert len(till.handled) == 1


@door()
async def test_the_answer_has_the_tags_of_the_protocol_and_a_copy_gets_it_again(life: Life, door: Door) -> None:
    till = Till(door, lambda _: PAID)
    event = debit(door, {"bolt11": door.invoice()})
    told = {"res": "ok", "preimage": PREIMAGE}
    assert await door.tell(event) == [told]
    reply = door.pool.sent[-1]
    assert (reply.kind, reply.pubkey) == (21_002, door.keyring.service_id)
    assert reply.tags == [["p", STRANGER.public_hex], ["e", event.id], ["clink_version", "1"]]
    await door.forget()
    assert await door.tell(event) == [told]
    await door.clock.sleep(3_600)
    assert await door.tell(event) == [told], "whatever its age is"
    assert len(till.handled) == 1


@door()
async def test_a_debit_that_is_stale_or_no_request_is_told_why_and_one_that_nobody_reads_nothing(
    life: Life, door: Door
) -> None:
    till = Till(door)
    (stale,) = await door.tell(debit(door, age_s=31))
    assert (stale["code"], stale["delta"]) == (3, {"max_delta_ms": 30_000, "actual_delta_ms": 31_000})
    assert await door.tell(debit(door, age_s=-31)) == [], "it comes into its time, perhaps after the next start"
    assert await door.tell(debit(door, age_s=3_601)) == []
    assert [reply["code"] for reply in await door.tell(debit(door, "[]"))] == [6]
    assert await door.tell(debit(door, to=door.grant_key)) == []
    event = debit(door)
    garbled = sign_event(
        STRANGER, kind=event.kind, tags=event.tags, content="AgAAAA" + "A" * 200, created_at=event.created_at,
        aux=b"\x00" * 32,
    )  # fmt: skip
    assert await door.tell(garbled) == []
    assert await door.tell(debit(door, cipher="nip04")) == []
    assert till.handled == []


@pytest.mark.parametrize("tags", [[], [["clink_version", "2"]]], ids=["none", "another"])
def test_a_debit_of_another_version_is_an_invalid_request(life: Life, tags: list[list[str]]) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        till, event = Till(opened), debit(opened)
        p = ["p", first_tag(event, "p") or ""]
        other = sign_event(
            STRANGER, kind=event.kind, tags=[p, *tags], content=event.content, created_at=event.created_at,
            aux=b"\x00" * 32,
        )  # fmt: skip
        assert [reply["code"] for reply in await opened.tell(other)] == [6]
        assert till.handled == []

    story(life)


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
@pytest.mark.parametrize("is_known", [False, True], ids=["stranger", "known"])
def test_every_reason_has_its_code_or_silence(life: Life, reason: Reason, is_known: bool) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        Till(opened, lambda _: Refused(reason))
        if is_known:
            await known(opened)
        code = BY_NAME["debits"].codes[reason]
        told = await opened.tell(debit(opened))
        assert [(reply["res"], reply["code"]) for reply in told] == ([] if code is None else [("GFY", code)])

    story(life)


@door()
async def test_denials_of_debits_are_bounded_per_author(life: Life, door: Door) -> None:
    Till(door)
    told = [reply for _ in range(50) for reply in await door.tell(debit(door))]
    assert [reply["code"] for reply in told if reply["code"] != 4] == [1] * len([r for r in told if r["code"] == 1])
    assert 30 <= sum(reply == DENIED for reply in told) <= 33  # five virtual seconds pass meanwhile


@door(limits=RequestLimits(offer_requests_per_min=1))
async def test_a_stranger_beyond_the_rate_of_a_pointer_is_told_when_to_come_again(life: Life, door: Door) -> None:
    Till(door)
    await door.tell(debit(door, {"pointer": "till"}, key=APP))
    (limited,) = await door.tell(debit(door, {"pointer": "till"}))
    assert limited["code"] == 4
    assert 59 <= limited["retry_after"] - door.clock.now() <= 60
    assert await door.tell(debit(door, {"pointer": "another"})) == [DENIED]


@door()
async def test_of_what_an_earlier_life_may_have_paid_for_a_stranger_nobody_says_that_it_was_not(
    life: Life, door: Door
) -> None:
    till = Till(door, lambda _: PAID)
    events = [debit(door, {"bolt11": door.invoice()}, age_s=20), debit(door, "[]", age_s=20), debit(door, age_s=60)]
    life.is_witnessed = False
    assert [await door.tell(event) for event in events] == [[], [], []]
    life.is_witnessed = True
    assert [await door.tell(event) for event in events] == [[], [], []]
    assert till.handled == []


@door()
async def test_a_stranger_whose_request_cannot_be_stored_is_told_so(life: Life, door: Door) -> None:
    till = Till(door)
    till.fails(FULL)
    event = debit(door)
    (reply,) = await door.tell(event)
    assert reply["code"] == 2
    assert "nothing was done" in reply["error"]
    till.says = lambda _: PAID
    assert await door.tell(event) == []


# ------------------------------------------------------------ known callers


@door()
async def test_what_a_known_caller_is_refused_is_kept_and_told_again_after_a_restart(life: Life, door: Door) -> None:
    till = Till(door)
    await known(door)
    denied, malformed, stale = debit(door), debit(door, "[]"), debit(door, age_s=60)
    told = [await door.tell(event) for event in (denied, malformed, stale)]
    assert [reply["code"] for (reply,) in told] == [1, 6, 3]
    for event in (denied, malformed, stale):
        row = await door.rig.store.request(event.id)
        assert row is not None
        assert (row.wire, row.grant_id) == ("debits", "g1")
    till.says = lambda _: PAID
    await door.forget()
    assert [await door.tell(event) for event in (denied, malformed, stale)] == told
    assert len(till.handled) == 1


@door()
async def test_what_nobody_can_read_of_a_known_caller_is_met_with_silence_for_good(life: Life, door: Door) -> None:
    Till(door)
    await known(door)
    event = debit(door)
    garbled = sign_event(
        STRANGER, kind=event.kind, tags=event.tags, content="AgAAAA" + "A" * 200, created_at=event.created_at,
        aux=b"\x00" * 32,
    )  # fmt: skip
    assert await door.tell(garbled) == []
    assert await door.rig.store.request(garbled.id) is not None


@door(limits=RequestLimits(payments_per_min=2))
async def test_payments_of_a_known_caller_have_a_rate_and_a_copy_of_what_was_limited_is_never_paid(
    life: Life, door: Door
) -> None:
    till = Till(door, lambda _: PAID)
    await known(door)
    events = [debit(door, {"bolt11": door.invoice()}) for _ in range(3)]
    *_, limited = [await door.tell(event) for event in events]
    assert [reply["code"] for reply in limited] == [4]
    assert limited[0]["retry_after"] > door.clock.now()
    await door.clock.sleep(25)
    assert await door.tell(events[2]) == limited
    assert len(till.handled) == 2
    assert await door.tell(debit(door)) == [{"res": "ok", "preimage": PREIMAGE}], "a budget is no payment"


@door(limits=RequestLimits(requests_per_min=2))
async def test_requests_of_a_known_caller_have_a_rate_of_their_own(life: Life, door: Door) -> None:
    Till(door, lambda _: Granted())
    await known(door)
    told = [await door.tell(debit(door)) for _ in range(3)]
    assert [reply.get("code") for (reply,) in told] == [None, None, 4]
    assert await door.tell(debit(door, key=APP)) == [{"res": "ok"}]


@door()
async def test_a_known_caller_whose_request_cannot_be_stored_is_told_so_and_no_copy_is_carried_out(
    life: Life, door: Door
) -> None:
    till = Till(door)
    await known(door)
    till.fails(FULL)
    event = debit(door)
    (reply,) = await door.tell(event)
    assert reply["code"] == 2
    till.says = lambda _: PAID
    await door.forget()
    assert await door.tell(event) == [reply]
    assert till.handled[1:] == []


@door()
async def test_a_grant_that_is_made_and_revoked_makes_its_caller_known_and_a_stranger_again(
    life: Life, door: Door
) -> None:
    till = Till(door)
    refused: list[Any] = []
    for is_known in (False, True, False):
        if is_known:
            await known(door)
        elif refused:
            await door.rig.change("g1", revoked_at=door.clock.now())
            await door.refresh()
        refused.append(debit(door, "[]"))
        assert [reply["code"] for reply in await door.tell(refused[-1])] == [6]
    assert [await door.rig.store.request(event.id) is not None for event in refused] == [False, True, False]
    await door.clock.sleep(10)
    assert [len(await door.tell(event)) for event in refused] == [0, 1, 0]
    assert till.handled == []


@door()
async def test_who_was_refused_as_a_stranger_is_not_served_by_a_copy_once_it_is_known(life: Life, door: Door) -> None:
    till = Till(door)
    event = debit(door, {"bolt11": door.invoice()})
    assert await door.tell(event) == [DENIED]
    await known(door, created_at=door.clock.now())
    till.says = lambda _: PAID
    assert await door.tell(event) == []
    await door.clock.sleep(5)
    await door.forget()
    assert [reply["code"] for reply in await door.tell(event)] == [3]
    assert len(till.handled) == 1


@door()
async def test_what_a_known_caller_has_sent_while_the_service_was_away_is_carried_out(life: Life, door: Door) -> None:
    till = Till(door, lambda _: PAID)
    await known(door, created_at=door.clock.now())
    await door.clock.sleep(100)
    event = debit(door, {"bolt11": door.invoice()})
    await door.clock.sleep(10)
    await door.forget()
    assert await door.tell(event) == [{"res": "ok", "preimage": PREIMAGE}]
    assert len(till.handled) == 1


@door()
async def test_a_refusal_that_came_after_the_last_grant_was_revoked_is_not_served_by_a_copy(
    life: Life, door: Door
) -> None:
    till = Till(door)
    await known(door)
    await door.rig.change("g1", revoked_at=door.clock.now())  # and the gateway has not heard of it yet
    event = debit(door, {"bolt11": door.invoice()})
    assert await door.tell(event) == [DENIED]
    await known(door, "g2", created_at=door.clock.now())
    till.says = lambda _: PAID
    assert await door.tell(event) == []
    assert len(till.handled) == 1


@door()
async def test_nor_is_it_told_where_an_earlier_life_may_have_paid(life: Life, door: Door) -> None:
    till = Till(door)
    await known(door)
    await door.rig.change("g1", revoked_at=door.clock.now())
    life.is_witnessed = False
    assert await door.tell(debit(door, {"bolt11": door.invoice()}, age_s=20)) == []
    assert len(till.handled) == 1


@pytest.mark.parametrize(
    ("age_s", "is_known"), [(20, False), (40, False), (40, True)],
    ids=["a stranger's", "a stranger's stale one", "a known key's stale one"],
)  # fmt: skip
def test_what_an_earlier_life_may_have_paid_is_looked_at_anew_until_the_node_can_say_it(
    life: Life, age_s: int, is_known: bool
) -> None:
    @door()
    async def story(life: Life, opened: Door) -> None:
        till = Till(opened)
        if is_known:
            await known(opened, created_at=opened.clock.now())
        event = debit(opened, {"bolt11": opened.invoice()}, age_s=age_s)
        await opened.forget()
        life.node.offline = True
        assert [await opened.tell(event) for _ in range(2)] == [[], []]
        life.node.offline = False
        assert [reply["code"] for reply in await opened.tell(event)] == [3]
        assert await opened.tell(event) == []
        assert till.handled == []

    story(life)


@door()
async def test_what_is_forgotten_of_a_key_refuses_nothing_that_another_wire_would_still_take(
    life: Life, door: Door
) -> None:
    Till(door)
    await known(door)
    payment = door.request("pay_invoice", {"invoice": door.invoice()})
    await door.clock.sleep(5)
    refused = debit(door)
    assert await door.tell(refused) == [DENIED]
    await door.clock.sleep(200)
    await door.rig.store.apply(ForgetRefusals(door.clock.now(), door.clock.now()))
    assert await door.rig.store.request(refused.id) is not None
    (reply,) = await door.tell(payment)
    assert reply.get("error") is None
    await door.clock.sleep(200)
    await door.rig.store.apply(ForgetRefusals(door.clock.now(), door.clock.now()))
    assert await door.rig.store.request(refused.id) is None


@door()
async def test_a_smaller_budget_than_was_asked_for_is_told(life: Life, door: Door) -> None:
    till = Till(door)
    till.says = lambda command: Granted(command.budget)
    members = {"amount_sats": 5_000, "frequency": {"number": 2, "unit": "week"}}
    assert await door.tell(debit(door, members)) == [{"res": "ok", **members}]
    assert isinstance(till.handled[0].command, Debit)
    assert till.handled[0].command.budget is not None
    assert till.handled[0].command.budget.limit_msat == sat(5_000)


# ------------------------------------------------------------ with the engine behind it


@door()
async def test_a_known_key_takes_within_its_budget_and_is_told_what_is_left_beyond_it(life: Life, door: Door) -> None:
    await door.rig.pointer("till")
    await door.rig.allow("till", STRANGER.public_hex, Budget.total(sat(25)))
    await door.refresh()
    (paid,) = await door.tell(debit(door, {"pointer": "till", "bolt11": door.invoice(), "amount_sats": 10}))
    assert sha256(bytes.fromhex(paid["preimage"])).hexdigest() in life.node.paid_out()
    event = debit(door, {"pointer": "till", "bolt11": door.invoice(amount_msat=20_000)})
    (over,) = await door.tell(event)
    assert (over["code"], over["range"]["min"]) == (5, 1)
    assert over["range"]["max"] < 25
    await door.forget()
    assert await door.tell(event) == [over]
    assert len(life.node.sends) == 1


@door()
async def test_what_a_key_was_refused_is_told_again_after_its_grant_was_revoked_and_the_service_was_away(
    life: Life, door: Door
) -> None:
    """It is a stranger then, whom the pointer lets take: a copy of its request still gets the old answer."""
    await door.rig.pointer("till", strangers="budget", budgets=(Budget.total(sat(1_000)),))
    grant_id = await door.rig.allow("till", STRANGER.public_hex, Budget.total(sat(1)))
    await door.refresh()
    event = debit(door, {"pointer": "till", "bolt11": door.invoice()})
    (over,) = await door.tell(event)
    assert over["code"] == 5
    await door.rig.change(grant_id, revoked_at=door.clock.now())
    await door.refresh()
    for _ in range(2):
        await door.clock.sleep(10)
        await door.forget()
        assert await door.tell(event) == [over]
    assert life.node.sends == []
    (paid,) = await door.tell(debit(door, {"pointer": "till", "bolt11": door.invoice()}))
    assert paid["res"] == "ok"


@door()
async def test_a_pointer_that_is_not_there_and_one_that_is_closed_are_denied_in_the_same_words(
    life: Life, door: Door
) -> None:
    await door.rig.pointer("till", strangers="deny")
    asked = ({"pointer": pointer, "bolt11": door.invoice()} for pointer in ("till", "nowhere", ""))
    assert [await door.tell(debit(door, members)) for members in asked] == [[DENIED]] * 3
    assert life.node.sends == []


@door()
async def test_a_stranger_waits_for_the_owner_and_hears_the_end_of_its_payment(life: Life, door: Door) -> None:
    await door.rig.pointer("till")
    event = debit(door, {"pointer": "till", "bolt11": door.invoice(), "description": "order 17"})
    assert [await door.tell(event) for _ in range(2)] == [[], []]
    before = len(door.pool.sent)
    await door.rig.decide(Ruling.AS_ASKED)
    await door.clock.sleep(1)
    (reply,) = [door.read(one) for one in door.pool.sent[before:]]
    assert reply["res"] == "ok"
    await door.clock.sleep(10)
    assert await door.tell(event) == [reply]
    assert len(life.node.sends) == 1


@door()
async def test_a_second_use_of_a_word_is_an_invalid_request_with_its_reason(life: Life, door: Door) -> None:
    await door.rig.pointer("till", strangers="budget", sessions="any", budgets=(Budget.total(sat(1_000)),))
    asked = [{"pointer": "till", "bolt11": door.invoice(), "k1": "0f" * 32} for _ in range(2)]
    first = await door.tell(debit(door, asked[0], key=APP))
    second = await door.tell(debit(door, asked[1]))
    assert [reply["res"] for reply in first] == ["ok"]
    assert [(reply["code"], reply["reason"]) for reply in second] == [(6, "k1_already_processed")]


@door()
async def test_an_invoice_of_somebody_else_is_told_to_be_taken_and_never_its_preimage(life: Life, door: Door) -> None:
    await door.rig.pointer("till", strangers="budget", budgets=(Budget.total(sat(1_000)),))
    members = {"pointer": "till", "bolt11": door.invoice()}
    (paid,) = await door.tell(debit(door, members, key=APP))
    (taken,) = await door.tell(debit(door, members))
    assert (taken["code"], taken["reason"]) == (6, "invoice_already_paid")
    assert paid["preimage"] not in str(taken)
    assert await door.tell(debit(door, members, key=APP)) == [paid]
    assert len(life.node.sends) == 1
