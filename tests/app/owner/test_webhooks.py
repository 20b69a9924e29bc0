"""The owner's commands about webhooks: set and shown with a secret that is stored nowhere, listed, sent again."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from typing import Any

import pytest

from kitestring.app.owner.commands import command
from kitestring.app.owner.webhooks import about_webhooks
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant, Offer, Webhook
from kitestring.base.node import FindingState
from kitestring.base.rights import Right
from kitestring.base.transactions.feed import NoteAttempt
from kitestring.base.transactions.owner import SaveGrant, SaveOffer
from kitestring.base.webhooks import DeliveryState, WebhookAnswer, after
from tests.kit.app.desk import OPEN_HOST, Office
from tests.kit.app.receiver import WebDouble
from tests.kit.ledger.values import credit, invoice, record_invoice

URL = "https://shop.example/paid"
TEMPLATE = "https://shop.example/paid{?amount,invoice,name}"
NO = WebhookAnswer(DeliveryState.WAITING, "HTTP status 500")
GONE = WebhookAnswer(DeliveryState.FAILED, "HTTP status 410")


def web(office: Office) -> WebDouble:
    double: Any = office.desk.courier._fetcher
    assert isinstance(double, WebDouble)
    return double


async def tea(office: Office, **more: Any) -> str:
    made = await office.run("offer_create", "tea", label="tea", payer_data=["name"], **more)
    return str(made["offer_id"])


async def sell(office: Office, name: str, offer_id: str) -> None:
    made = invoice(name, 5_000, grant_id="", account_id="owner", offer_id=offer_id)
    await office.store.apply(record_invoice(name, made))
    await office.store.apply(credit(name, 5_000))


async def note(office: Office, name: str, attempt: WebhookAnswer) -> None:
    delivery, now = await office.store.delivery(f"inv-{name}"), office.desk.clock.now()
    await office.store.apply(NoteAttempt(after(delivery, attempt, now), now, "alarm"))


async def test_an_app_that_calls_its_offer_as_the_owner_does_takes_no_deliveries_from_it(office: Office) -> None:
    offer_id = await tea(office, webhook=URL)
    theirs = Offer(offer_id="00", label="tea", creator=MAKER.caller, pointer_id="p", webhook=Webhook(URL, "get"))
    await office.rig.write(SaveGrant(MAKER), SaveOffer(theirs))
    await sell(office, "one", offer_id)
    for name in ("as-it-is-open", "as-it-is-off"):
        (row,) = (await office.run("offer_deliveries", offer="tea"))["deliveries"]
        assert row["offer_id"] == offer_id, name
        await office.run("offer_off", name, offer="tea")


# ------------------------------------------------------------ set and shown


async def test_a_webhook_is_set_shown_with_its_secret_and_switched_off(office: Office) -> None:
    offer_id = await tea(office)
    none = {"offer_id": offer_id, "label": "tea", "url": None, "form": None, "waiting": 0, "failed": 0, "secret": None}
    assert await office.run("offer_webhook", offer="tea") == none
    secret = office.desk.keyring.webhook_secret(offer_id)
    made = await office.run("offer_webhook", "k2", offer="tea", url=URL)
    assert made == {**none, "url": URL, "form": "post", "secret": secret}
    assert await office.run("offer_webhook", "k2", offer="tea", url=URL) == made
    assert await office.run("offer_webhook", "k3", offer=offer_id) == made
    assert (await office.run("offer_show", offer="tea"))["webhook"] == URL
    other = await office.run("offer_webhook", "k4", offer="tea", url=TEMPLATE, form="get")
    assert (other["url"], other["form"], other["secret"]) == (TEMPLATE, "get", secret)
    assert await office.run("offer_webhook", "k5", offer="tea", off=True) == none
    with sqlite3.connect(office.rig.life.path) as raw:
        assert secret not in "\n".join(raw.iterdump())


async def test_secrets_of_offers_and_of_services_differ(office: Office) -> None:
    keyring = office.desk.keyring
    secrets = {keyring.webhook_secret("a"), keyring.webhook_secret("b"), keyring.connection_key("a").hex()}
    assert len(secrets) == 3
    assert keyring.webhook_secret("a") == keyring.webhook_secret("a")


async def test_the_codes_that_forward_to_an_offer_are_told_where_it_is_told(office: Office) -> None:
    """Whoever is told nothing any more shall not be told of what an old invoice brings."""
    first = await tea(office, price_msat=5_000, webhook=URL)
    await sell(office, "waits", first)
    second = (await office.run("offer_edit", "k2", offer="tea", price_msat=6_000))["offer_id"]
    secret = office.desk.keyring.webhook_secret(first)
    made = await office.run("offer_webhook", "k3", offer="tea", url=f"{URL}/new")
    assert made["secret"] == secret
    offers = {one.offer_id: one for one in await office.store.offers()}
    assert {one.webhook.url: one.webhook_key for one in offers.values() if one.webhook} == {f"{URL}/new": first}
    assert sorted(offers) == sorted((first, second))
    await office.run("offer_webhook", "k4", offer="tea", off=True)
    assert [one.webhook for one in await office.store.offers()] == [None, None]
    await sell(office, "after", first)
    assert await office.store.delivery("inv-after") is None


async def test_the_webhook_of_a_code_that_leads_nowhere_any_more_can_be_switched_off(office: Office) -> None:
    first = await tea(office, price_msat=5_000, webhook=URL)
    await office.run("offer_edit", "k2", offer="tea", price_msat=6_000)
    await office.run("offer_forward", "k3", offer=first, to=None)
    await office.run("offer_webhook", "k4", offer=first, off=True)
    offers = {one.offer_id: one.webhook for one in await office.store.offers()}
    assert offers.pop(first) is None
    assert [webhook.url for webhook in offers.values() if webhook] == [URL]


async def test_an_offer_is_made_with_its_webhook_and_made_again_with_the_same_one(office: Office) -> None:
    made = await office.run("offer_create", label="tea", webhook=URL)
    assert (await office.store.offer(made["offer_id"])).webhook == Webhook(URL)
    assert await office.run("offer_create", "k2", label="tea", webhook=URL) == made
    assert await office.run("offer_create", "k3", label="tea") == made
    other = await office.refused("offer_create", "k4", label="tea", webhook=URL + "2")
    assert (other.reason, other.details["differs"]) == (Reason.CONFLICT, ["webhook"])
    wrong = await office.refused("offer_create", "k5", label="cake", webhook="http://shop.example")
    assert "https is needed" in wrong.message


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"url": "http://10.0.0.6/"}, "https is needed"),
        ({"url": "https://10.0.0.6/"}, "not on a public address"),
        ({"url": TEMPLATE}, "is a template"),
        ({"url": TEMPLATE + "{&email}", "form": "get"}, "nothing is called 'email'"),
        ({"url": URL, "off": True}, "either set or switched off"),
        ({"url": URL, "form": "put"}, "form cannot be"),
    ],
)
async def test_a_wrong_webhook_is_refused_and_nothing_changes(
    office: Office, params: dict[str, Any], words: str
) -> None:
    offer_id = await tea(office)
    assert words in (await office.refused("offer_webhook", offer="tea", **params)).message
    assert (await office.store.offer(offer_id)).webhook is None


#: The app that has made an offer, by the owner's leave.
MAKER = Grant(grant_id="p-app", name="app", wire="manage", caller="c" * 64, pointer_id="p")


async def test_the_listed_private_host_is_open_to_the_owners_offers_alone(office: Office) -> None:
    await tea(office)
    own = await office.run("offer_webhook", offer="tea", url=f"http://{OPEN_HOST}/paid")
    assert own["url"] == f"http://{OPEN_HOST}/paid"
    app = Offer(offer_id="apps", label="apps", account_id="owner", creator=MAKER.caller, pointer_id="p")
    await office.rig.write(SaveGrant(MAKER), SaveOffer(app))
    refused = await office.refused("offer_webhook", "k2", offer="apps", url=f"https://{OPEN_HOST}/paid")
    assert "not on a public address" in refused.message


# ------------------------------------------------------------ tests


async def test_a_test_is_sent_at_once_and_what_the_server_answers_is_told(office: Office) -> None:
    offer_id = await tea(office, webhook=URL)
    taken = await office.run("offer_webhook_test", offer="tea")
    assert taken == {"offer_id": offer_id, "taken": True, "status": "HTTP status 200"}
    web(office).answers = lambda _: 404
    assert (await office.run("offer_webhook_test", offer="tea"))["taken"] is False
    assert [told["type"] for _, _, told in web(office).asked] == ["offer.test"] * 2
    await office.run("offer_webhook", "off", offer="tea", off=True)
    refused = await office.refused("offer_webhook_test", offer="tea")
    assert refused.reason is Reason.UNKNOWN_TARGET
    assert refused.message.endswith("set one with: kitestring offer webhook tea https://…")


def test_who_may_only_read_sees_deliveries_and_no_secret() -> None:
    rights = {name: command(name).right for name in ("offer_webhook", "offer_webhook_test", "offer_resend")}
    assert set(rights.values()) == {Right.MANAGE}
    assert (command("offer_deliveries").right, command("offer_deliveries").offline) == (Right.READ, True)


# ------------------------------------------------------------ deliveries


async def test_deliveries_are_listed_newest_first_by_offer_and_by_failure(office: Office) -> None:
    offer_id = await tea(office, webhook=URL)
    await office.rig.write(SaveOffer(Offer(offer_id="cake", label="cake", account_id="owner", webhook=Webhook(URL))))
    for name, sold in (("i", offer_id), ("j", "cake"), ("k", offer_id)):
        await sell(office, name, sold)
    await note(office, "i", GONE)
    await note(office, "k", NO)
    now = office.desk.clock.now()

    async def names(**wanted: Any) -> list[str]:
        return [row["delivery"] for row in (await office.run("offer_deliveries", **wanted))["deliveries"]]

    assert await names() == ["inv-k", "inv-j", "inv-i"]
    assert await names(limit=1) == ["inv-k"]
    assert await names(offer="tea") == ["inv-k", "inv-i"]
    assert await names(failed=True) == ["inv-i"]
    assert await names(offer="cake", failed=True) == []
    rows = (await office.run("offer_deliveries", offer=offer_id))["deliveries"]
    assert {name: rows[0][name] for name in ("label", "amount_msat", "state", "attempts", "status", "next_at")} == {
        "label": "tea", "amount_msat": 5_000, "state": "waiting", "attempts": 1, "status": "HTTP status 500",
        "next_at": now + 2,
    }  # fmt: skip
    assert (rows[1]["state"], rows[1]["next_at"], rows[1]["ended_at"]) == ("failed", None, now)
    assert (await office.refused("offer_deliveries", offer="mug")).reason is Reason.UNKNOWN_TARGET
    await office.run("offer_delete", "gone", offer="tea")
    assert await names(offer="tea") == ["inv-k", "inv-i"]


async def test_one_or_all_that_failed_are_sent_again(office: Office) -> None:
    offer_id = await tea(office, webhook=URL)
    await office.rig.write(SaveOffer(Offer(offer_id="cake", label="cake", account_id="owner", webhook=Webhook(URL))))
    for name, sold in (("i", offer_id), ("j", "cake"), ("k", offer_id)):
        await sell(office, name, sold)
        await note(office, name, GONE)
    assert await office.run("offer_resend", delivery="inv-i") == {"sent_again": 1, "left": 0}
    assert await office.store.count_waiting() == {offer_id: 1}
    assert await office.run("offer_resend", "k2", failed=True, offer="cake") == {"sent_again": 1, "left": 0}
    assert await office.run("offer_resend", "k3", failed=True) == {"sent_again": 1, "left": 0}
    assert await office.run("offer_resend", "k4", failed=True) == {"sent_again": 0, "left": 0}
    assert await office.run("offer_resend", "k3", failed=True) == {"sent_again": 1, "left": 0}  # said once more
    assert (await office.refused("offer_resend", "k5", delivery="x")).reason is Reason.UNKNOWN_TARGET
    for params in ({}, {"delivery": "inv-i", "failed": True}):
        assert (await office.refused("offer_resend", "k6", **params)).reason is Reason.MALFORMED


async def test_what_has_no_webhook_any_more_is_not_sent_again(office: Office) -> None:
    offer_id = await tea(office, webhook=URL)
    await sell(office, "i", offer_id)
    await note(office, "i", GONE)
    await office.run("offer_webhook", offer="tea", off=True)
    assert (await office.refused("offer_resend", delivery="inv-i")).reason is Reason.UNKNOWN_TARGET
    assert await office.run("offer_resend", "k2", failed=True) == {"sent_again": 0, "left": 1}


async def test_the_doctor_tells_of_payments_that_were_not_told_and_of_those_that_wait(office: Office) -> None:
    offer_id = await tea(office, webhook=URL)
    for name in ("i", "j", "k"):
        await sell(office, name, offer_id)
    assert await about_webhooks(office.desk) == []
    await note(office, "i", GONE)
    await note(office, "j", NO)
    warned, waits = await about_webhooks(office.desk)
    assert (warned.name, warned.state, waits.state) == ("webhook", FindingState.WARN, FindingState.INFO)
    assert warned.sentence == (
        "'tea' was not told of 1 payment: see `kitestring offer deliveries --failed`, then "
        "`kitestring offer resend --failed`"
    )
    assert waits.sentence == "'tea' does not answer, 2 payments wait to be told; see `kitestring offer deliveries`"
    await note(office, "k", GONE)
    warned, waits = await about_webhooks(office.desk)
    assert waits.sentence == "'tea' does not answer, 1 payment waits to be told; see `kitestring offer deliveries`"
    app = Offer(
        offer_id="00", label="apps", account_id="owner", webhook=Webhook(URL), creator=MAKER.caller, pointer_id="p"
    )
    await office.rig.write(SaveGrant(MAKER), SaveOffer(app))
    await sell(office, "l", "00")
    await note(office, "l", GONE)
    sentences = [found.sentence for found in await about_webhooks(office.desk)]
    assert (sentences[0], sentences[1][:6], sentences[2]) == (warned.sentence, "'apps'", waits.sentence)
    told = [found for found in (await office.run("doctor"))["findings"] if "apps" not in found["message"]]
    assert [found["message"] for found in told if found["name"] == "webhook"] == [warned.sentence, waits.sentence]


def test_the_commands_about_offers_load_no_network() -> None:
    """Without a service the command line reads the ledger by them, and should be quick."""
    code = (
        "import sys\nimport kitestring.app.owner.webhooks\nfrom kitestring.app.owner.commands import command\n"
        "command('offer_list')\nprint(sorted({'aiohttp', 'yarl'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
