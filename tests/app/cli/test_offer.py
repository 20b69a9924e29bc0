"""Offers on the command line: prices are typed in sats, a code is a line, and a price is shown in words."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest

from kitestring.app.cli import qr
from kitestring.app.cli.offer import command
from kitestring.app.cli.values import when
from tests.kit.app.console import Service, run

TEA = {
    "label": "tea", "price_msat": 5_000, "min_msat": None, "max_msat": None, "account": "owner", "payer_data": ["name"],
    "webhook": None, "created_at": 0, "offer_id": "0a", "noffer": "noffer1xyz", "old_relays": [], "state": "open",
    "currency": None,
    "price_minor": None, "price_on_request": False, "now_msat": None, "expires_at": None, "latest": "", "old_ids": [],
    "zap_npub": "",
}  # fmt: skip


def test_an_offer_is_made_with_what_was_said_and_its_code_is_the_answer() -> None:
    words = ("create", "tea", "--price", "5", "--ask", "name", "--ask", "email", "--idempotency-key", "k")
    said = run(command, *words, answer=TEA)
    params = {"label": "tea", "account": "owner", "payer_data": ["name", "email"], "price_msat": 5_000}
    assert said.asked == [("offer_create", params, "k")]
    assert said.out == "noffer1xyz\n"
    ((_, params, _),) = run(command, "create", "tips", "--min", "1", "--max", "9", "--account", "bob", answer=TEA).asked
    assert params == {"label": "tips", "account": "bob", "payer_data": [], "min_msat": 1_000, "max_msat": 9_000}


def test_the_qr_code_of_an_offer_holds_its_bare_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qr, "person_looks", lambda: True)
    drawn = f"{qr.drawing('noffer1xyz')}\n\nnoffer1xyz\n"
    assert run(command, "create", "tea", answer=TEA).out == drawn
    assert run(command, "show", "tea", answer=TEA).out.endswith(f"\n\n{drawn}")


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


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"price_msat": None, "currency": "EUR", "price_minor": 350}, "3.50 EUR"),
        (
            {"price_msat": None, "currency": "EUR", "price_minor": 350, "now_msat": 4_012_000},
            "3.50 EUR (≈ 4,012 sat now)",
        ),
        ({"price_msat": None, "currency": "JPY", "price_minor": 350}, "350 JPY"),
        ({"price_on_request": True}, "5 sat on request"),
    ],
)
def test_a_price_that_may_change_is_shown_in_words(terms: dict[str, Any], words: str) -> None:
    listed = run(command, "list", answer={"offers": [{**TEA, **terms}]}).lines[1]
    assert re.split(r"\s\s+", listed) == ["tea", words, "owner", "0a"]


@pytest.mark.parametrize(
    ("typed", "members"),
    [
        (("--price", "3.50EUR"), {"currency": "EUR", "price_minor": 350}),
        (("--price", "2 eur"), {"currency": "EUR", "price_minor": 200}),
        (("--price", "350JPY"), {"currency": "JPY", "price_minor": 350}),
        (("--price", "1000"), {"price_msat": 1_000_000}),
        (("--price-on-request", "1000"), {"price_msat": 1_000_000, "price_on_request": True}),
        (("--expires", "30d"), {"expires_in_s": 30 * 86_400}),
        (("--expires", "2027-01-31"), {"expires_at": 1_801_353_600}),
        (("--zaps", "npub1x"), {"zap_key": "npub1x"}),
    ],
)
def test_the_terms_of_an_offer_are_typed_as_people_write_them(typed: tuple[str, ...], members: dict[str, Any]) -> None:
    ((_, params, _),) = run(command, "create", "tea", *typed, answer=TEA).asked
    assert params == {"label": "tea", "account": "owner", "payer_data": [], **members}


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        (("--price", "3.505EUR"), "decimals"),
        (("--price", "3.5XYZ"), "no currency"),
        (("--price", "0EUR"), "more than 0"),
        (("--price", "3,50EUR"), "is no price"),
        (("--price", "0.5"), "is no price"),
        (("--price", "1", "--price-on-request", "1"), "not both"),
    ],
)
def test_a_price_that_is_none_is_refused_before_anybody_is_asked(typed: tuple[str, ...], word: str) -> None:
    with pytest.raises(click.UsageError, match=word):
        run(command, "create", "tea", *typed)


def test_what_a_payer_is_asked_for_is_named_at_once_or_one_by_one() -> None:
    said = run(command, "create", "tea", "--ask", "name?, email", "--ask", "size", answer=TEA)
    assert said.asked[0][1]["payer_data"] == ["name?", "email", "size"]


def test_what_is_not_simply_open_is_said() -> None:
    offers = [TEA, {**TEA, "state": "off"}, {**TEA, "state": "expired"}, {**TEA, "expires_at": 86_400}]
    lines = run(command, "list", answer={"offers": offers}).lines
    assert [re.split(r"\s\s+", line)[4:] for line in lines] == [
        ["state"], [], ["switched off"], ["has expired"], [f"until {when(86_400)}"],
    ]  # fmt: skip
    moved = {**TEA, "state": "moved", "latest": "noffer1new"}
    shown = "\n".join(run(command, "show", "0a", answer=moved).lines)
    assert re.search(r"^state +has moved$", shown, re.MULTILINE)
    assert re.search(r"^forwards to +noffer1new$", shown, re.MULTILINE)
    ends = run(command, "show", "tea", answer={**TEA, "expires_at": 86_400}).lines
    assert [line for line in ends if when(86_400) in line] == [f"ends      {when(86_400)}"]  # once
    old = "\n".join(run(command, "show", "tea", answer={**TEA, "old_ids": ["0b", "0c"]}).lines)
    assert re.search(r"^old codes +0b, 0c$", old, re.MULTILINE)


def test_an_offer_is_switched_off_and_on() -> None:
    off = run(command, "off", "tea", "--idempotency-key", "k", answer={**TEA, "state": "off"})
    assert off.asked == [("offer_off", {"offer": "tea"}, "k")]
    assert off.out.startswith("the offer tea is switched off; `kitestring offer on tea` switches")
    on = run(command, "on", "tea", "--idempotency-key", "k", answer=TEA)
    assert (on.asked, on.out) == ([("offer_on", {"offer": "tea"}, "k")], "the offer tea is switched on\n")
    assert "it has expired" in run(command, "on", "tea", answer={**TEA, "state": "expired"}).out


def test_without_offers_it_is_said_how_to_make_one() -> None:
    assert "kitestring offer create LABEL" in run(command, "list", answer={"offers": []}).out


def test_an_offer_is_shown_with_what_it_asks_for_and_its_code_below() -> None:
    said = run(command, "show", "tea", answer=TEA)
    assert said.asked == [("offer_show", {"offer": "tea"})]
    assert "asks for  name" in said.lines
    assert said.lines[-2:] == ["", "noffer1xyz"]
    assert not [line for line in run(command, "show", "tea", answer={**TEA, "payer_data": []}).lines if "asks" in line]


def test_an_offer_that_is_deleted_answers_no_more() -> None:
    said = run(command, "delete", "tea", "--yes", "--idempotency-key", "k", answer={"label": "tea"})
    assert said.asked == [("offer_delete", {"offer": "tea"}, "k")]
    assert said.out == "the offer tea is deleted: its code can no longer be used\n"


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
