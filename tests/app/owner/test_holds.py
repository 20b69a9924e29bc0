"""The owner's hold invoices: the service keeps the preimage, unless the hash is somebody else's."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from kitestring.app.owner import node as control_node
from kitestring.base.commands import MakeHoldInvoice
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat
from kitestring.base.transactions.service import SaveNode
from tests.kit.app.desk import Office
from tests.kit.changed import replace

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()


async def reason(work: Any, words: str = ".") -> Reason:
    with pytest.raises(KitestringError, match=words) as caught:
        await work
    return caught.value.reason


async def held(office: Office, **params: Any) -> dict[str, Any]:
    """A hold invoice that somebody has paid."""
    made: dict[str, Any] = await office.run("hold_create", **({"amount_msat": 50_000} | params))
    assert office.node.pay_in(made["payment_hash"])

    async def is_held() -> bool:
        return bool((await listed(office))[0]["state"] == "accepted")

    await office.rig.until(is_held)
    return made


async def listed(office: Office) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await office.run("hold_list"))["holds"]
    return found


async def test_without_a_hash_the_hash_alone_settles(office: Office) -> None:
    made = await held(office, description="tea", expiry_s=600, min_blocks=50)
    assert (made["state"], made["preimage"], made["preimage_is_kept"]) == ("pending", None, True)
    (one,) = await listed(office)
    assert (one["held_msat"], one["description"], one["preimage_is_kept"]) == (50_000, "tea", True)
    assert (one["settle_deadline"], one["decision"], one["internal"]) == (office.node.height + 50, None, False)
    done = await office.run("hold_settle", payment_hash=made["payment_hash"].upper())
    assert done == {"payment_hash": made["payment_hash"], "state": "settled", "amount_msat": 50_000}
    assert office.node.received() == {made["payment_hash"]: 50_000}
    assert await listed(office) == []


async def test_of_somebody_elses_hash_the_preimage_is_needed(office: Office) -> None:
    made = await held(office, payment_hash=HASH.upper())
    assert (made["payment_hash"], made["preimage_is_kept"]) == (HASH, False)
    assert await reason(office.run("hold_settle", payment_hash=HASH), "not kept here") is Reason.MALFORMED
    done = await office.run("hold_settle", "k2", payment_hash=HASH, preimage=PREIMAGE)
    assert done["state"] == "settled"


async def test_those_of_a_connection_are_listed_under_the_name_that_its_owner_gave_it(office: Office) -> None:
    shop = await office.run("connect", name="my shop", preset="full")
    command = MakeHoldInvoice(amount_msat=Msat(50_000), payment_hash=HASH)
    await office.desk.make_invoice("r1", shop["connection_id"], command, 5)
    await office.run("hold_create", "k2", amount_msat=50_000)
    assert [one["connection"] for one in await listed(office)] == ["my shop", None]
    assert (await listed(office))[0]["connection_id"] == shop["connection_id"]


async def test_what_is_cancelled_goes_back_and_is_said_to_be_so_again(office: Office) -> None:
    made = await held(office)
    for key in ("c1", "c2"):
        done = await office.run("hold_cancel", key, payment_hash=made["payment_hash"])
        assert done == {"payment_hash": made["payment_hash"], "state": "canceled", "amount_msat": 0}
    assert office.node.held() == {}
    settled = office.run("hold_settle", payment_hash=made["payment_hash"])
    assert await reason(settled, "was cancelled") is Reason.CONFLICT


async def test_a_repeated_command_is_the_same_invoice_and_another_one_under_its_key_is_refused(office: Office) -> None:
    first = await office.run("hold_create", "k", amount_msat=50_000)
    assert await office.run("hold_create", "k", amount_msat=50_000) == first
    for params in ({"amount_msat": 60_000}, {"amount_msat": 50_000, "payment_hash": HASH}):
        assert await reason(office.run("hold_create", "k", **params)) is Reason.ALREADY_USED
    given = await office.run("hold_create", "g", amount_msat=50_000, payment_hash=HASH)
    assert await office.run("hold_create", "g", amount_msat=50_000, payment_hash=HASH) == given


async def test_a_repeated_decision_is_answered_again_and_another_one_under_its_key_is_refused(office: Office) -> None:
    made = await held(office)
    first = await office.run("hold_settle", "k", payment_hash=made["payment_hash"])
    assert await office.run("hold_settle", "k", payment_hash=made["payment_hash"]) == first
    assert await reason(office.run("hold_settle", "k", payment_hash=HASH)) is Reason.ALREADY_USED


async def test_a_node_that_is_away_leaves_the_decision_for_later(office: Office) -> None:
    made = await held(office)
    office.node.offline = True
    waiting = office.run("hold_settle", "k", payment_hash=made["payment_hash"], wait_s=0)
    assert await reason(waiting, "it is decided") is Reason.PAYMENT_IN_FLIGHT
    (one,) = await listed(office)
    assert (one["decision"], one["state"]) == ("settle", "accepted")
    office.node.offline = False
    done = await office.run("hold_settle", "k", payment_hash=made["payment_hash"])
    assert done["state"] == "settled"


async def test_what_is_no_hash_and_what_is_not_there_is_refused(office: Office) -> None:
    for name, params in (
        ("hold_create", {"amount_msat": 1_000, "payment_hash": "12"}),
        ("hold_settle", {"payment_hash": "12"}),
        ("hold_settle", {"payment_hash": HASH, "preimage": "zz"}),
        ("hold_cancel", {"payment_hash": ""}),
    ):
        assert await reason(office.run(name, **params), "64 hexadecimal digits") is Reason.MALFORMED
    assert await reason(office.run("hold_cancel", "other", payment_hash=HASH)) is Reason.UNKNOWN_TARGET
    office.node.offline = True
    for _ in range(2):
        assert await reason(office.run("hold_create", "new", amount_msat=1_000)) is Reason.UNAVAILABLE


async def test_doctor_names_what_another_node_holds_as_long_as_it_holds_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_node, "HOLDS_PAGE", 1)
    kept = [await office.run("hold_create", f"h{number}", amount_msat=50_000) for number in range(5)][3:]
    for made in kept:
        assert office.node.pay_in(made["payment_hash"])

    async def are_held() -> bool:
        return [one["state"] for one in await listed(office)].count("accepted") == 2

    await office.rig.until(are_held)
    here = office.rig.context.node
    assert await told_of_holds(office) == []
    await office.rig.store.apply(SaveNode(replace(here, node_id="03" + "cd" * 32, epoch=2)))
    told = await told_of_holds(office)
    assert [made["payment_hash"] in line for made, line in zip(kept, told, strict=True)] == [True, True]
    assert f"it is held by node {here.node_id[:16]}…" in told[0]
    monkeypatch.setattr(control_node, "MAX_LEFT", 1)
    assert len(await told_of_holds(office)) == 1


async def told_of_holds(office: Office) -> list[str]:
    """What the doctor says about hold invoices."""
    findings = (await office.run("doctor"))["findings"]
    return [found["message"] for found in findings if (found["name"], found["state"]) == ("hold", "warn")]
