"""Offers on the command line: prices are typed in sats, a code is a line, and a price is shown in words."""

from __future__ import annotations

import re

import pytest

from kitestring.app.cli.offer import command
from tests.kit.app.console import Service, run

TEA = {
    "label": "tea", "price_msat": 5_000, "min_msat": None, "max_msat": None, "account": "owner", "payer_data": ["name"],
    "webhook": None, "created_at": 0, "offer_id": "0a", "noffer": "noffer1xyz", "old_relays": [],
}  # fmt: skip


def test_an_offer_is_made_with_what_was_said_and_its_code_is_the_answer() -> None:
    words = ("create", "tea", "--price", "5", "--ask", "name", "--ask", "email", "--idempotency-key", "k")
    said = run(command, *words, answer=TEA)
    params = {"label": "tea", "account": "owner", "payer_data": ["name", "email"], "price_msat": 5_000}
    assert said.asked == [("offer_create", params, "k")]
    assert said.out == "noffer1xyz\n"
    ((_, params, _),) = run(command, "create", "tips", "--min", "1", "--max", "9", "--account", "bob", answer=TEA).asked
    assert params == {"label": "tips", "account": "bob", "payer_data": [], "min_msat": 1_000, "max_msat": 9_000}


@pytest.mark.parametrize(
    ("price", "least", "most", "words"),
    [
        (5_000, None, None, "5 sat"),
        (None, None, None, "any amount"),
        (None, 1_000, None, "from 1 sat"),
        (None, None, 9_000, "up to 9 sat"),
        (None, 1_000, 9_000, "from 1 sat up to 9 sat"),
    ],
)
def test_a_price_is_shown_in_words(price: int | None, least: int | None, most: int | None, words: str) -> None:
    offer = {**TEA, "price_msat": price, "min_msat": least, "max_msat": most}
    said = run(command, "list", answer={"offers": [offer]})
    assert said.asked == [("offer_list", None)]
    assert re.split(r"\s\s+", said.lines[1]) == ["tea", words, "owner", "0a"]
    assert f"price     {words}" in run(command, "show", "tea", answer=offer).lines


def test_a_webhook_is_set_with_the_offer_and_its_secret_is_shown_by_another_command() -> None:
    hook = {**TEA, "webhook": "https://shop.example/paid"}
    said = run(command, "create", "black tea", "--webhook", "https://shop.example/paid", answer=hook)
    assert said.asked[0][1]["webhook"] == "https://shop.example/paid"
    assert (said.out, said.err) == ("noffer1xyz\n", "the secret of its webhook: kitestring offer webhook 'black tea'\n")
    assert "webhook   https://shop.example/paid" in run(command, "show", "tea", answer=hook).lines


def test_without_offers_it_is_said_how_to_make_one() -> None:
    assert "kitestring offer create LABEL" in run(command, "list", answer={"offers": []}).out


def test_an_offer_is_shown_with_what_it_asks_for_and_its_code_below() -> None:
    said = run(command, "show", "tea", answer=TEA)
    assert said.asked == [("offer_show", {"offer": "tea"})]
    assert "asks for  name" in said.lines
    assert said.lines[-2:] == ["", "noffer1xyz"]
    assert not [line for line in run(command, "show", "tea", answer={**TEA, "payer_data": []}).lines if "asks" in line]


def test_an_offer_that_is_deleted_answers_no_more() -> None:
    said = run(command, "delete", "tea", "--idempotency-key", "k", answer={"label": "tea"})
    assert said.asked == [("offer_delete", {"offer": "tea"}, "k")]
    assert said.out == "the offer tea is deleted: its code answers no more\n"


def test_offers_are_made_listed_shown_and_deleted(service: Service) -> None:
    made = service.ok("offer", "create", "cake", "--min", "5", "--max", "50")
    assert service.ok("offer", "show", "cake") == made
    labels = [found["label"] for found in service.ok("offer", "list")["offers"]]
    assert {"first offer", "cake"} <= set(labels)
    assert service.ok("sandbox", "pay", made["noffer"], "7")["amount_msat"] == 7_000
    assert service.run("sandbox", "pay", made["noffer"], "51").exit_code != 0
    assert service.ok("offer", "delete", "cake")["deleted"] is True


LEFT = "wss://left.example"


def test_codes_that_name_a_relay_that_was_left_are_named_and_the_relay_is_shown() -> None:
    old = {**TEA, "old_relays": [LEFT]}
    listed = run(command, "list", answer={"offers": [old, {**TEA, "label": "mug"}]})
    assert "have left, and that is served for them: tea; `kitestring offer relink OFFER`" in listed.err
    assert re.search(f"^old relay +{LEFT}$", run(command, "show", "tea", answer=old).out, re.MULTILINE)
    assert "old relay" not in run(command, "show", "tea", answer=TEA).out


def test_a_relinked_offer_shows_its_new_code_and_what_becomes_of_the_old_one() -> None:
    anew = {**TEA, "changed": True, "left_relays": [LEFT]}
    said = run(command, "relink", "tea", "--idempotency-key", "k", answer=anew)
    assert said.asked == [("offer_relink", {"offer": "tea"}, "k")]
    assert said.out == "noffer1xyz\n"
    assert "print the new code of tea: the old one works as long as an old relay does" in said.err
    more = run(command, "relink", "tea", answer={**anew, "left_relays": []})
    assert (more.out, more.err) == ("noffer1xyz\n", "")
    same = run(command, "relink", "tea", answer={**TEA, "changed": False, "left_relays": []})
    assert (same.out, same.err) == ("noffer1xyz\n", "the code of tea names the relays of today already\n")
