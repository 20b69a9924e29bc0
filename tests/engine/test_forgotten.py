"""What an earlier life may have paid, and the ledger has forgotten: the node is asked before anybody hears no."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from kitestring.base.commands import Bundle, Debit, GetInfo, Part, PayInvoice
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, InFlight, LookupAnswer, NeverSeen, Settled, Unknown
from kitestring.engine.answers import part_id
from kitestring.engine.forgotten import may_be_paid
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import Script
from tests.kit.engine.rig import Life, Rig

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()
INVOICE = PayInvoice(destination=Bolt11("lnbcrt-one"), payment_hash=HASH, amount_msat=Msat(1_000))
KEYSEND = PayInvoice(destination=Keysend("02" + "ab" * 32), payment_hash="", amount_msat=Msat(1_000))


def knows(rig: Rig, found: dict[str, LookupAnswer]) -> list[str]:
    """Let the node know these payments, and no others; the hashes that it is asked for."""
    asked: list[str] = []

    async def lookup_payment(payment_hash: str) -> LookupAnswer:
        asked.append(payment_hash)
        return found.get(payment_hash, NeverSeen(0))

    backend: Any = rig.context.backend
    backend.lookup_payment = lookup_payment
    return asked


@virtual
@pytest.mark.parametrize(
    ("answer", "is_paid"),
    [
        (Settled(PREIMAGE, Msat(0)), True),
        (InFlight(), True),
        (NeverSeen(0), False),
        (Failed("no route"), False),
    ],
    ids=["settled", "in flight", "never seen", "failed"],
)
async def test_the_nodes_word_says_whether_it_may_be_paid(life: Life, answer: LookupAnswer, is_paid: bool) -> None:
    async with life.service() as rig:
        knows(rig, {HASH: answer})
        assert await may_be_paid(rig.context, "r1", INVOICE) is is_paid
        assert await may_be_paid(rig.context, "r1", Debit(pointer_id="till", payment=INVOICE)) is is_paid


@virtual
async def test_a_node_whose_look_ups_prove_nothing_has_not_said_that_it_is_unpaid(life: Life) -> None:
    async with life.service() as rig:
        knows(rig, {})
        backend: Any = rig.context.backend
        backend.capabilities = replace(backend.capabilities, authoritative_lookup=False)
        assert await may_be_paid(rig.context, "r1", INVOICE)


@virtual
async def test_while_the_node_cannot_say_nobody_is_told_anything(life: Life) -> None:
    async with life.service() as rig:
        knows(rig, {HASH: Unknown("the connection broke")})
        with pytest.raises(KitestringError) as caught:
            await may_be_paid(rig.context, "r1", INVOICE)
        assert caught.value.reason is Reason.UNAVAILABLE


@virtual
async def test_what_follows_from_the_request_is_looked_for_too(life: Life) -> None:
    """The hash of a keysend without a preimage, and each part of several payments."""
    async with life.service() as rig:
        bundle = Bundle(parts=(Part(INVOICE, b""), Part(KEYSEND, b"")))
        alone, second = (sha256(rig.context.preimage_of(one)).hexdigest() for one in ("r1", part_id("r1", 1)))
        asked = knows(rig, {second: InFlight()})
        assert not await may_be_paid(rig.context, "r1", KEYSEND)
        assert await may_be_paid(rig.context, "r1", bundle)
        assert asked == [alone, HASH, second]


@virtual
async def test_what_pays_nothing_or_is_in_the_ledger_is_not_looked_for(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app")
        bolt11, payment_hash = life.node.outside_invoice(Script())
        await rig.pay("r1", "app", (bolt11, payment_hash), 50_000)
        await rig.answer("r1")
        asked = knows(rig, {})
        known = PayInvoice(destination=Bolt11(bolt11), payment_hash=payment_hash, amount_msat=Msat(50_000))
        for command in (known, GetInfo(), Debit(pointer_id="till")):
            assert not await may_be_paid(rig.context, "r2", command)
        assert asked == []
