"""What a newcomer types, on a service in front of a real node."""

import hashlib
import re
from pathlib import Path

import pytest

from kitestring.codec import bolt11
from tests.kit.interop.program import Answer, Json, Kitestring, eventually
from tests.rig.network import LightningRig


def said(answer: Answer) -> str:
    """What a successful command printed."""
    assert answer.code == 0, answer
    assert answer.err == "" or answer.out != "", answer
    return answer.out


def checks(service: Kitestring) -> dict[str, Json]:
    return {check["name"]: check for check in service.ask("doctor")["checks"]}


async def test_pay_prints_the_preimage_and_the_fee_that_lnd_booked(shop: Kitestring, rig: LightningRig) -> None:
    invoice = await rig.c.invoice(5_000_000)
    before = shop.ask("balance")["balance_msat"]
    text = said(shop.run("pay", "--yes", invoice.bolt11))
    preimage = re.search(r"preimage ([0-9a-f]{64})", text)
    assert preimage is not None
    assert hashlib.sha256(bytes.fromhex(preimage[1])).hexdigest() == invoice.payment_hash
    fee_msat = (await rig.a.payments())[invoice.payment_hash].fee_msat
    assert f"paid 5,000 sat, fee {fee_msat / 1000:.3f} sat" in text
    assert before - shop.ask("balance")["balance_msat"] in range(5_000_000, 5_000_000 + fee_msat + 1_000)
    newest = shop.ask("transactions", "--limit", "1")["transactions"][0]
    assert (newest["state"], newest["fee_msat"], newest["preimage"]) == ("settled", fee_msat, preimage[1])


async def test_a_fee_limit_below_the_way_there_pays_nothing_and_exits_3(shop: Kitestring, rig: LightningRig) -> None:
    invoice = await rig.c.invoice(5_000_000)
    answer = shop.run("pay", "--yes", invoice.bolt11, "--max-fee", "0")
    assert (answer.code, answer.out) == (3, "")
    found = r"no route was found within the fee limit of 0 sat; one was found for [0-9.]+ sat \(--max-fee [12]\)"
    assert re.fullmatch(rf"error: {found}\n", answer.err)
    payment = (await rig.a.payments()).get(invoice.payment_hash)
    assert payment is None or payment.status == "FAILED"
    assert said(shop.run("pay", "--yes", invoice.bolt11, "--max-fee", "2")).startswith("paid 5,000 sat")


async def test_repeating_a_payment_with_its_key_pays_once(shop: Kitestring, far: Kitestring, rig: LightningRig) -> None:
    before = set(await rig.a.payments())
    first, again = (shop.ask("pay", "--yes", far.card["noffer"], "33", "--idempotency-key", "tea-1") for _ in range(2))
    assert first == again
    assert set(await rig.a.payments()) - before == {first["payment_hash"]}


async def test_an_invoice_is_paid_and_listed_as_received(shop: Kitestring, rig: LightningRig) -> None:
    code = said(shop.run("invoice", "210", "--description", "a kite")).strip()
    assert bolt11.decode(code).description == "a kite"
    paid = await rig.c.pay(code)
    assert paid.status == "SUCCEEDED"

    async def listed() -> bool:
        found = shop.ask("transactions", "--in", "--limit", "1")["transactions"]
        return bool(found) and found[0]["preimage"] == paid.preimage

    await eventually(listed, "the payment is listed")
    assert re.search(r"in +\+210 sat +received +[0-9a-f]{8} +a kite", said(shop.run("transactions", "--in")))


@pytest.mark.parametrize(("target", "code"), [("lnbc1nonsense", 2), ("noffer1nonsense", 2)])
def test_a_wrong_code_is_one_sentence_and_exit_2(shop: Kitestring, target: str, code: int) -> None:
    answer = shop.run("pay", "--yes", target, "21")
    assert (answer.code, answer.out) == (code, "")
    assert re.fullmatch(r"error: [^\n]+\n", answer.err)


def test_the_macaroon_that_may_do_no_more_than_needed_is_enough_and_the_doctor_says_so(shop: Kitestring) -> None:
    found = checks(shop)
    assert {check["state"] for check in found.values()} <= {"ok", "info"}
    assert found["macaroon"]["state"] == found["node"]["state"] == found["relay"]["state"] == "ok"


def test_the_doctor_warns_about_the_admin_macaroon_of_a_running_service(
    rig: LightningRig, foreign_relay: str, tmp_path: Path
) -> None:
    node = rig.a.backend_url.replace(str(rig.a.service_macaroon), str(rig.a.admin_macaroon))
    service = Kitestring(tmp_path / "admin", "--node", node, "--relay", foreign_relay)
    service.start()
    try:
        check = checks(service)["macaroon"]
        assert check["state"] == "warn"
        assert "allows more than is needed" in check["message"]
        assert "lncli bakemacaroon info:read invoices:read" in check["message"]
    finally:
        assert service.stop() == 0


@pytest.mark.parametrize(("part", "cause"), [
    ("tls_cert", "shows another certificate"), ("service_macaroon", "verification failed"),
])  # fmt: skip
def test_a_node_that_cannot_be_used_is_named_with_the_cause_and_exit_4(
    rig: LightningRig, foreign_relay: str, tmp_path: Path, part: str, cause: str
) -> None:
    node = rig.a.backend_url.replace(str(getattr(rig.a, part)), str(getattr(rig.b, part)))
    answer = Kitestring(tmp_path / "never").run("up", "--node", node, "--relay", foreign_relay)
    assert (answer.code, answer.out) == (4, "")
    assert re.fullmatch(rf"error: the Lightning node cannot be used: [^\n]*{cause}[^\n]*\n", answer.err)


def test_a_service_with_a_relay_of_its_own_is_seen_listening(tmp_path: Path) -> None:
    """So that the look for open ports proves something."""
    service = Kitestring(tmp_path / "sandbox")
    service.start()
    try:
        port = int(service.card["relay"].rpartition(":")[2])
        assert [int(address.rpartition(":")[2], 16) for address in service.listening()] == [port]
    finally:
        assert service.stop() == 0
