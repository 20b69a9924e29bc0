"""Links for apps, and the grants of apps, on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.cli import approvals, approve
from kitestring.app.cli.manage import command
from tests.kit.app.console import run
from tests.kit.app.questions import NPUB, QUESTION

K = ("--idempotency-key", "k")
LINK: dict[str, Any] = {
    "link_id": "ab" * 16, "label": "shop", "nmanage": "nmanage1xyz", "policy": "ask", "account": "owner", "grants": 2,
    "offers": 1_234, "created_at": 0, "old_relays": [],
}  # fmt: skip
GRANT: dict[str, Any] = {
    "grant_id": "0a1b2c3d", "name": "the market", "caller": "79" * 32, "npub": NPUB, "link_id": "ab" * 16,
    "link": "shop", "account": "owner", "offers": 7, "most_offers": 10_000, "expires_at": None, "created_at": 0,
}  # fmt: skip
DEED: dict[str, Any] = {
    "action": "create", "offer_id": "", "offer": "",
    "fields": {"label": "Mug\x1b[2J", "price_sats": 12_000, "callback_url": "", "payer_data": ["email", "size"]},
}  # fmt: skip
#: The fields of an offer that an app leaves as they are.
UNSAID = dict.fromkeys(("label", "price_sats", "callback_url", "payer_data"))
ASKED: dict[str, Any] = {
    **QUESTION, "kind": "manage", "wire": "manage", "amount_msat": None, "max_fee_msat": None, "manage": DEED,
    "description": "", "invoice_description": "", "payment_hash": "",
}  # fmt: skip


def test_a_link_is_made_and_its_code_is_the_answer() -> None:
    said = run(command, "link", "shop", *K, answer=LINK)
    assert said.asked == [("manage_link", {"label": "shop", "policy": "ask", "account": "owner"}, "k")]
    assert said.out == "nmanage1xyz\n"
    ((_, params, _),) = run(command, "link", "shop", "--policy", "deny", "--account", "bob", *K, answer=LINK).asked
    assert params == {"label": "shop", "policy": "deny", "account": "bob"}


def test_links_are_listed_with_what_they_say_to_strangers() -> None:
    said = run(command, "links", answer={"links": [LINK, {**LINK, "policy": "deny", "old_relays": ["wss://left"]}]})
    assert "policy   ask: you decide about each question" in said.lines
    assert "policy     deny: the answer is no" in said.lines
    assert "old relay  wss://left" in said.lines
    assert "offers   1,234" in said.lines
    assert "manage link LABEL" in run(command, "links", answer={"links": []}).out


def test_a_policy_is_changed_and_a_code_made_anew() -> None:
    said = run(command, "policy", "shop", "deny", *K, answer={**LINK, "changed": True})
    assert said.asked == [("manage_policy", {"link": "shop", "policy": "deny"}, "k")]
    assert "changed:" in said.err
    assert "it is so already:" in run(command, "policy", "shop", "ask", *K, answer={**LINK, "changed": False}).err
    anew = run(command, "relink", "shop", *K, answer={**LINK, "changed": True, "left_relays": ["wss://left"]})
    assert (anew.out, "wss://left is not served for it" in anew.err) == ("nmanage1xyz\n", True)
    same = run(command, "relink", "shop", *K, answer={**LINK, "changed": False, "left_relays": []})
    assert "names the relays of today already" in same.err


def test_apps_are_listed_with_the_number_of_their_offers() -> None:
    said = run(command, "grants", "--link", "shop", answer={"grants": [GRANT]})
    assert said.asked == [("manage_grants", {"link": "shop"})]
    assert "the market  7 of 10,000" in said.out
    assert "--always" in run(command, "grants", answer={"grants": []}).out


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"deleted_offers": 3, "left_offers": 0}, "3 of its offers are deleted"),
        ({"deleted_offers": 0, "left_offers": 3}, "3 of its offers go on selling"),
        ({"deleted_offers": 0, "left_offers": 0}, "it had no offers"),
    ],
)
def test_what_becomes_of_the_offers_is_said(counts: dict[str, int], words: str) -> None:
    revoked = run(command, "revoke", "market", "--delete-offers", *K, answer={**GRANT, "revoked_at": 1, **counts})
    assert revoked.asked == [("manage_revoke", {"grant": "market", "delete_offers": True}, "k")]
    assert words in revoked.out
    ended = run(command, "unlink", "shop", "--yes", *K, answer={**LINK, "revoked_at": 1, "grants": 1, **counts})
    assert ended.asked == [("manage_unlink", {"link": "shop", "delete_offers": False}, "k")]
    assert "the link shop is ended, and its one grant has ended with it" in ended.out
    assert words in ended.out


def test_a_question_about_offers_is_shown_with_its_fields_and_what_a_yes_means() -> None:
    said = run(approvals.command, answer={"approvals": [ASKED]})
    for line in ("to make an offer, which anybody can pay to you", "12,000 sat", "nobody", "email, size", "--always"):
        assert line in said.out
    assert "\x1b" not in said.out
    assert "may take" not in said.out


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("update", "to change its offer"),
        ("get", "to see its offer"),
        ("list", "to see the offers that it has made"),
        ("delete", "to delete its offer"),
    ],
)
def test_every_deed_has_its_words(action: str, words: str) -> None:
    deed = {"action": action, "offer_id": "x", "offer": "Mug", "fields": {**UNSAID, "price_sats": 0}}
    said = run(approvals.command, answer={"approvals": [{**ASKED, "manage": deed}]})
    assert words in said.out
    assert "whatever the payer names" in said.out


def test_a_yes_says_what_it_has_given() -> None:
    done = {**ASKED, "outcome": "granted", "why": None, "connected": None, "state": "approved", "decision": "always"}
    always = run(approve.command, "c0ffee", "--always", *K, answer=done)
    assert "manages offers there without asking" in always.out
    once = run(approve.command, "c0ffee", "--once", *K, answer={**done, "decision": "as_asked"})
    assert once.asked[0][1]["verdict"] == "once"
    assert ("done, as" in once.out, "without asking" in once.out) == (True, False)
