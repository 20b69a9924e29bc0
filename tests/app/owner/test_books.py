"""The owner looks into the books: each wish is met, a wrong one is told why, and nothing is left out unsaid."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from kitestring.app.owner.books import MIN_HASH_CHARS, _reason
from kitestring.base.commands import MakeInvoice
from kitestring.base.destinations import Keysend
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.payments import State
from kitestring.base.records import Payment
from kitestring.ledger.sqlite.reads import books
from tests.kit.app.desk import Office
from tests.kit.clock import EPOCH
from tests.kit.engine.node import Script


async def rows(office: Office, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await office.run("transactions", **params))["transactions"]
    return found


async def test_transactions_are_listed_newest_first_of_one_account_or_of_all(office: Office) -> None:
    await office.run("account_create", name="bob")
    paid = await office.run("pay", target=office.node.outside_bolt11())
    office.rig.clock.advance(10)
    await office.run("invoice", amount_msat=21_000)

    async def hashes(**params: Any) -> list[str]:
        return [row["payment_hash"] for row in (await office.run("transactions", **params))["transactions"]]

    assert await hashes() == [paid["payment_hash"]]
    everything = await hashes(unpaid=True)
    assert (len(everything), everything[1]) == (2, paid["payment_hash"])
    assert await hashes(unpaid=True, since=EPOCH + 5) == await hashes(unpaid=True, limit=1) == everything[:1]
    assert await hashes(unpaid=True, until=EPOCH + 5) == await hashes(unpaid=True, offset=1) == everything[1:]
    assert await hashes(unpaid=True, direction="incoming") == everything[:1]
    assert (await hashes(account="bob"), await hashes(account="owner")) == ([], [paid["payment_hash"]])
    assert (await office.refused("transactions", account="eve")).reason is Reason.UNKNOWN_TARGET
    (row,) = (await office.run("transactions"))["transactions"]
    assert "" not in row.values()
    assert row["metadata"]["max_fee_msat"] is None


async def test_a_failed_payment_is_listed_with_its_reason_and_its_connection(office: Office) -> None:
    shop = await office.run("connect", name="my shop")
    invoice = office.node.outside_invoice(Script(fails="no_route"))
    await office.rig.pay("r1", shop["connection_id"], invoice, Msat(50_000))
    hash_ = invoice[1]
    await office.has_state(hash_, "failed")
    (row,) = await rows(office, states=["failed"])
    assert (row["payment_hash"], row["state"], row["connection"]) == (hash_, "failed", "my shop")
    assert row["connection_id"] == shop["connection_id"]
    assert row["reason"]
    assert (row["created_at"], row["settled_at"]) == (EPOCH, None)
    assert await rows(office, states=["failed"], search=row["reason"][:6]) == [row]
    assert await rows(office) == await rows(office, states=["pending", "settled"]) == []
    assert await rows(office, connection="my shop", unpaid=True) == [row]


async def test_what_a_connection_has_done_is_listed_also_after_it_has_ended(office: Office) -> None:
    shop = await office.run("connect", name="my shop")
    await office.desk.make_invoice("r1", shop["connection_id"], MakeInvoice(amount_msat=Msat(21_000)), 5)
    await office.run("invoice", "k2", amount_msat=22_000)
    for name in ("my shop", shop["connection_id"]):
        assert [row["amount_msat"] for row in await rows(office, connection=name, unpaid=True)] == [21_000]
    await office.run("revoke", name="my shop")
    assert [row["amount_msat"] for row in await rows(office, connection="my shop", unpaid=True)] == [21_000]
    wrong = await office.refused("transactions", connection="my shpo")
    assert (wrong.reason, wrong.message) == (
        Reason.UNKNOWN_TARGET, "there is no connection 'my shpo'; did you mean 'my shop'?",
    )  # fmt: skip
    far = await office.refused("transactions", connection="xyz")
    assert far.message == "there is no connection 'xyz'; see `kitestring connections`"


async def test_sales_of_an_offer_are_listed_by_its_name_also_after_it_was_deleted(office: Office) -> None:
    made = await office.run("offer_create", label="tea", price_msat=5_000)
    assert await rows(office, offer="tea", unpaid=True) == await rows(office, offer=made["offer_id"]) == []
    await office.run("offer_delete", offer="tea")
    assert await rows(office, offer="tea") == []
    wrong = await office.refused("transactions", offer="taa")
    assert wrong.message == "there is no offer 'taa'; did you mean 'tea'?"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"states": ["failed"], "unpaid": True}, "leave unpaid out"),
        ({"states": ["failed"], "direction": "incoming"}, "what comes in is never failed"),
        (
            {"states": ["expired", "accepted"], "direction": "outgoing"},
            "never accepted (held) or expired",
        ),
        ({"offer": "tea", "direction": "outgoing"}, "only paid by others"),
        ({"offer": "tea", "connection": "my shop"}, "leave one of the two out"),
        ({"offer": "tea", "states": ["failed"]}, "what comes in is never failed"),
        ({"since": 2, "until": 1}, "exchange them"),
        ({"after": "x"}, "gave as its next"),
    ],
)
async def test_wishes_that_exclude_each_other_are_refused(office: Office, wish: dict[str, Any], words: str) -> None:
    await office.run("connect", name="my shop")
    await office.run("offer_create", "k2", label="tea", price_msat=5_000)
    error = await office.refused("transactions", **wish)
    assert (error.reason, words in error.message) == (Reason.MALFORMED, True), error.message


async def test_beyond_the_end_it_is_told_how_many_there_are(office: Office) -> None:
    for number in range(3):
        await office.run("invoice", f"k{number}", amount_msat=21_000)
    beyond = await office.run("transactions", unpaid=True, offset=5)
    assert (beyond["transactions"], beyond["total"], beyond["next"]) == ([], 3, None)
    assert (await office.run("transactions", unpaid=True))["total"] is None


async def test_pages_go_on_where_the_last_one_has_ended(office: Office) -> None:
    for number in range(5):
        await office.run("invoice", f"k{number}", amount_msat=21_000 + number)
    first = await office.run("transactions", unpaid=True, limit=3)
    rest = await office.run("transactions", unpaid=True, limit=3, after=first["next"])
    amounts = [row["amount_msat"] for row in first["transactions"] + rest["transactions"]]
    assert (amounts, rest["next"]) == ([21_004, 21_003, 21_002, 21_001, 21_000], None)


async def test_a_search_that_was_cut_says_how_far_it_has_come(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "SCAN_LIMIT", 2)
    for number in range(3):
        await office.run("invoice", f"k{number}", amount_msat=21_000, description="tea" if number == 0 else "milk")
        office.rig.clock.advance(10)
    cut = await office.run("transactions", unpaid=True, search="TEA")
    assert (cut["transactions"], cut["searched_back_to_at"]) == ([], EPOCH + 10)
    found = await office.run("transactions", unpaid=True, search="TEA", after=cut["next"])
    assert ([row["description"] for row in found["transactions"]], found["searched_back_to_at"]) == (["tea"], None)


async def test_one_payment_is_shown_by_the_beginning_of_its_hash(office: Office) -> None:
    made = await office.run("invoice", amount_msat=21_000, description="tea")
    shown = await office.run("transaction_show", payment_hash=made["payment_hash"][:MIN_HASH_CHARS].upper())
    assert {**made, **shown} == shown
    assert (shown["state"], shown["reason"], shown["offer"], shown["others"]) == ("pending", None, None, [])
    assert (shown["payment_id"], shown["fee_cap_msat"]) == (None, None)
    for wrong, reason in (
        ("ab" * 32, Reason.UNKNOWN_TARGET),
        ("abcdef", Reason.MALFORMED),
        ("x" * 64, Reason.MALFORMED),
    ):
        assert (await office.refused("transaction_show", payment_hash=wrong)).reason is reason


async def test_a_beginning_of_several_hashes_is_not_guessed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def several(_prefix: str, limit: int) -> list[str]:
        return [f"{number:064x}" for number in range(limit)]

    monkeypatch.setattr(office.store, "hashes_like", several)
    error = await office.refused("transaction_show", payment_hash="0" * 8)
    assert error.reason is Reason.MALFORMED
    assert error.message.startswith("00000000 is the beginning of several hashes: 000")
    assert error.message.endswith("002 and others")


def test_what_has_settled_in_the_end_has_no_reason() -> None:
    paid = Payment(
        payment_id="p", node_id="02", epoch=1, account_id="owner", grant_id="", payment_hash="ab" * 32,
        destination=Keysend("02" * 33), amount_msat=Msat(1_000), fee_cap_msat=Msat(0), created_at=EPOCH,
        send_until=EPOCH + 60, state=State.SETTLED, evidence="the answer was lost",
    )  # fmt: skip
    assert (_reason(paid), _reason(replace(paid, state=State.UNKNOWN))) == (None, "the answer was lost")
