"""The rows and the order of a claim, and who still wants that order."""

from __future__ import annotations

import pytest

from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.grants import Grant
from kitestring.base.money import ZERO, Msat
from kitestring.base.node import PayOrder
from kitestring.base.payments import Failed, FailureReason, NeverSeen, State
from kitestring.base.transactions.service import SetSpending
from kitestring.engine.claims import first_claimed_at, is_late, new_payment, ours, pay_order, why_not_again
from kitestring.engine.context import Incoming
from kitestring.policy.rules import Allow
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import AMOUNT, Life, Rig
from tests.kit.ledger.values import NOW, payment

APP = Grant(grant_id="app", name="app", wire="nwc", account_id="shop")
NEVER_SEEN = NeverSeen(1_800_000_000)


def asked(rig: Rig, invoice: tuple[str, str], **more: object) -> PayInvoice:
    return rig.paying(invoice, AMOUNT, **more)


def incoming(command: PayInvoice, expires_at: int | None = None) -> Incoming:
    return Incoming("r1", "nwc", "app", command, b"", 1_800_000_000, expires_at)


@virtual
async def test_a_payment_is_claimed_as_it_was_asked_for_and_as_it_was_allowed(life: Life) -> None:
    async with life.service(start=False) as rig:
        command = asked(
            rig, ("lnbcrt-a", "aa" * 32), destination=Bolt11("lnbcrt-a", True), description="tea", metadata="{}"
        )
        made = new_payment(rig.context, incoming(command), command, APP, Allow((), Msat(77)), None, 1_800_000_000)
        assert (made.payment_hash, made.destination, made.amount_msat, made.fee_cap_msat) == (
            "aa" * 32, Bolt11("lnbcrt-a", True), Msat(AMOUNT), Msat(77),
        )  # fmt: skip
        assert (made.account_id, made.grant_id) == ("shop", "app")
        assert (made.node_id, made.epoch) == (rig.context.node.node_id, rig.context.node.epoch)
        assert (made.state, made.internal) == (State.DISPATCHED, False)
        assert (made.description, made.metadata, made.created_at) == ("tea", "{}", 1_800_000_000)
        assert made.expires_at == command.expires_at


@virtual
async def test_an_order_is_sent_until_the_setting_the_request_or_the_invoice_says_no(life: Life) -> None:
    async with life.service(start=False) as rig:
        now, row = rig.clock.now(), ("lnbcrt-a", "aa" * 32)
        for invoice_s, request_s, expected_s in (
            (3_600, None, 120),
            (3_600, 600, 120),
            (3_600, 60, 60),
            (30, None, 30),
            (30, 20, 20),
        ):
            command = asked(rig, row, expires_at=now + invoice_s)
            request = incoming(command, None if request_s is None else now + request_s)
            made = new_payment(rig.context, request, command, APP, Allow((), ZERO), None, now)
            assert made.send_until == now + expected_s


@pytest.mark.parametrize(
    ("now_s", "waited_s", "late"),
    [
        (0, 0, False),
        (120, 120, False),
        (121, 0, True),
        (0, 121, True),  # the clock was set back meanwhile
        (-60, 60, False),
        (-61, 0, True),  # dated ahead: nobody knows how long ago that was
        (-26 * 3_600, 0, True),
        (400 * 86_400, 0, True),
    ],
)
def test_no_step_of_the_clock_makes_a_late_order_a_fresh_one(now_s: int, waited_s: float, late: bool) -> None:
    assert is_late(payment("a", created_at=NOW, send_until=NOW + 120), NOW + now_s, waited_s) is late


@virtual
async def test_a_payment_of_our_own_invoice_is_only_reserved(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = await rig.invoice("i", "app", AMOUNT)
        own = await ours(rig.context, asked(rig, invoice))
        assert own is not None
        made = new_payment(
            rig.context, incoming(asked(rig, invoice)), asked(rig, invoice), APP, Allow((), ZERO), own, 1_800_000_000
        )
        assert (made.state, made.internal) == (State.RESERVED, True)


@virtual
async def test_only_the_very_text_of_an_open_invoice_is_our_own(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        text, payment_hash = await rig.invoice("i", "app", AMOUNT)
        assert await ours(rig.context, asked(rig, (text, payment_hash))) is not None
        assert await ours(rig.context, asked(rig, (f"wrapped-{text}", payment_hash))) is None
        assert await ours(rig.context, asked(rig, (text, "aa" * 32))) is None
        key = Keysend("02" * 33, "ab" * 32)
        assert await ours(rig.context, asked(rig, ("", payment_hash), destination=key)) is None
        life.node.pay_in(payment_hash)
        await rig.clock.sleep(1)
        assert await ours(rig.context, asked(rig, (text, payment_hash))) is None


def test_the_order_names_the_amount_the_cap_and_how_long_the_node_may_search() -> None:
    row = payment("a", 1_000, 100, destination=Bolt11("lnbcrt-a", True))
    assert pay_order(row, 60) == PayOrder(Bolt11("lnbcrt-a", True), row.payment_hash, Msat(1_000), Msat(100), 60)
    key = Keysend("02" * 33, "ab" * 32)
    assert pay_order(replace(row, destination=key), 60).destination == key


@pytest.mark.parametrize("why", ["expired", "revoked", "gone", "stopped", "late"])
def test_an_order_that_nobody_wants_any_more_is_not_sent_again_and_the_evidence_says_why(life: Life, why: str) -> None:
    @virtual
    async def story() -> None:
        async with life.service(start=False) as rig:
            await rig.grant("app")
            expires_at = rig.clock.now() + (600 if why == "late" else 60)
            row = payment("a", grant_id="nobody" if why == "gone" else "app", expires_at=expires_at)
            assert why == "gone" or await why_not_again(rig.context, row, NEVER_SEEN, 0) is None
            if why == "expired":
                await rig.clock.sleep(60)
            elif why == "revoked":
                await rig.change("app", revoked_at=rig.clock.now())
            elif why == "stopped":
                await rig.store.apply(SetSpending(True, "drift", rig.clock.now()))
            failed = await why_not_again(rig.context, row, NEVER_SEEN, 121 if why == "late" else 0)
            assert failed is not None
            words = {
                "expired": "has expired", "revoked": "was revoked", "gone": "was revoked", "stopped": "is stopped",
                "late": "it is too late",
            }  # fmt: skip
            reasons = {"expired": FailureReason.EXPIRED, "late": FailureReason.TOO_LATE}
            assert failed.evidence.startswith("never seen by the node (authoritative), as of 1800000000; not sent")
            assert words[why] in failed.evidence
            assert failed.reason is reasons.get(why, FailureReason.OTHER)

    story()


@virtual
async def test_what_has_no_expiry_is_too_late_all_the_same(life: Life) -> None:
    async with life.service(start=False) as rig:
        await rig.grant("app")
        row = payment("a", expires_at=0)
        assert await why_not_again(rig.context, row, NEVER_SEEN, 0) is None
        await rig.clock.sleep(121)
        assert await why_not_again(rig.context, row, NEVER_SEEN, 0) is not None


@virtual
async def test_the_failed_attempt_that_the_node_remembers_stays_in_the_evidence_whatever_its_length(life: Life) -> None:
    async with life.service(start=False) as rig:
        failed = await why_not_again(rig.context, payment("a", grant_id="nobody"), Failed("no route " * 100), 0)
        assert failed is not None
        words = f"the node (authoritative) knows a failed attempt only, as of {rig.clock.now()}: no route"
        assert failed.evidence.startswith(words)
        assert len(failed.evidence) == 500


@virtual
async def test_a_hash_that_has_failed_before_has_no_first_claim(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        invoice = life.node.outside_invoice(Script(fails="no_route"))
        row = payment("a", node_id=rig.context.node.node_id, payment_hash=invoice[1], created_at=77)
        assert await first_claimed_at(rig.context, row) == 77
        await rig.pay("r1", "app", invoice, AMOUNT)
        await rig.answer("r1")
        assert await first_claimed_at(rig.context, row) is None
        assert await first_claimed_at(rig.context, replace(row, node_id="another")) == 77
