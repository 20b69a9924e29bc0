"""Sub-accounts on the command line: sats are typed, and people are told what to type next."""

from __future__ import annotations

import click
import pytest

from kitestring.app.cli.account import command
from kitestring.app.cli.values import short_key, when
from tests.kit.app.console import Service, run
from tests.kit.app.questions import NPUB

BOB = {
    "account": "bob", "available_msat": 5_000, "pending_msat": 1_000, "overdrawn": False, "created_at": 0, "npub": None,
    "closed_at": None,
}  # fmt: skip


NOTHING: dict[str, list[str]] = {"connections": [], "moves": []}


@pytest.mark.parametrize(("created", "words"), [(True, "account bob created, with 0 sat"), (False, "exists already")])
def test_an_account_is_made_with_the_key_that_was_given(created: bool, words: str) -> None:
    said = run(command, "create", "bob", "--idempotency-key", "k", answer={"created": created})
    assert said.asked == [("account_create", {"name": "bob"}, "k")]
    assert words in said.out
    assert "kitestring account fund bob 1000" in said.out


def test_accounts_are_a_table_and_none_of_them_a_hint() -> None:
    broke = {**BOB, "account": "eve", "available_msat": 0, "overdrawn": True}
    said = run(command, "list", answer={"accounts": [BOB, broke]})
    assert said.asked == [("account_list", None)]
    assert said.lines == [
        "account  available  held for payments  note",
        "bob          5 sat              1 sat",
        "eve          0 sat              1 sat  OVERDRAWN",
    ]
    assert "kitestring account create NAME" in run(command, "list", answer={"accounts": []}).out


def test_an_enrolled_account_tells_which_key_has_opened_it_and_when() -> None:
    foreign = {**BOB, "account": "enrolled:1b", "npub": NPUB, "created_at": 60}
    said = run(command, "list", answer={"accounts": [foreign]})
    assert said.lines[1].endswith(f"{short_key(NPUB)} enrolled {when(60)}")


def test_one_account_is_shown_with_its_codes() -> None:
    offers, pointers = [{"label": "tea", "noffer": "noffer1x"}], [{"label": "till", "ndebit": "ndebit1y"}]
    answer = {**BOB, "npub": NPUB, "created_at": 60, "offers": offers, "pointers": pointers, **NOTHING}
    said = run(command, "show", NPUB, answer=answer)
    assert said.asked == [("account_show", {"account": NPUB})]
    assert [line.split()[-1] for line in said.lines if "1" in line][-2:] == ["noffer1x", "ndebit1y"]
    assert NPUB in said.out
    assert when(60) in said.out


def test_an_account_is_shown_with_its_connections_and_what_the_owner_has_moved() -> None:
    way = {"from_account": "owner", "to_account": "bob", "amount_msat": 5_000, "note": "rent", "created_at": 60}
    back = {**way, "from_account": "bob", "to_account": "eve", "note": None}
    codes = {"offers": [], "pointers": [], "connections": ["shop", "till"], "moves": [back, way]}
    said = run(command, "show", "bob", answer={**BOB, **codes, "closed_at": 120})
    assert f"closed       {when(120)}" in said.lines
    assert "connections  shop, till" in said.lines
    assert [line.split()[-4:] for line in said.lines[-2:]] == [
        ["-5", "sat", "to", "eve"], ["sat", "from", "owner", "rent"],
    ]  # fmt: skip
    assert "+5 sat" in said.lines[-1]


def test_closed_accounts_are_listed_when_they_are_wanted() -> None:
    said = run(command, "list", "--closed", answer={"accounts": [{**BOB, "closed_at": 60}]})
    assert said.asked == [("account_list", {"closed": True})]
    assert said.lines[1].endswith(f"closed {when(60)}")


def test_an_account_gets_another_name_and_is_closed() -> None:
    said = run(command, "rename", "bob", "rob", "--idempotency-key", "k", answer={**BOB, "account": "rob"})
    assert said.asked == [("account_rename", {"account": "bob", "new_name": "rob"}, "k")]
    assert said.out == "bob is called rob now\n"
    for words, withdrawn_msat, told in (
        ((), 0, "bob is closed\n"),
        (("--withdraw",), 5_500, "bob is closed; 5.500 sat went back to the owner\n"),
    ):
        answer = {**BOB, "withdrawn_msat": withdrawn_msat}
        said = run(command, "close", "bob", *words, "--idempotency-key", "k", answer=answer)
        assert said.asked == [("account_close", {"account": "bob", "withdraw": bool(words)}, "k")]
        assert said.out == told


def test_money_is_given_in_sats_with_a_note() -> None:
    words = ("fund", "bob", "21", "--note", "pocket money", "--idempotency-key", "k")
    said = run(command, *words, answer={"amount_msat": 21_000, "available_msat": 26_000})
    assert said.asked == [("account_fund", {"account": "bob", "amount_msat": 21_000, "note": "pocket money"}, "k")]
    assert said.out == "bob got 21 sat and has 26 sat now\n"


def test_money_is_taken_back_and_moved_in_sats_or_all_of_it() -> None:
    words = ("withdraw", "bob", "21", "--note", "rent", "--idempotency-key", "k")
    said = run(command, *words, answer={"amount_msat": 21_000, "available_msat": 5_000})
    assert said.asked == [("account_withdraw", {"account": "bob", "amount_msat": 21_000, "note": "rent"}, "k")]
    assert said.out == "bob gave 21 sat and has 5 sat now\n"
    answer = {"amount_msat": 26_500, "from_available_msat": 0, "to_available_msat": 30_000}
    said = run(command, "transfer", "bob", "eve", "--all", "--idempotency-key", "k", answer=answer)
    ends = {"from_account": "bob", "to_account": "eve"}
    assert said.asked == [("account_transfer", {**ends, "amount_msat": None, "note": ""}, "k")]
    assert said.out == "26.500 sat moved; bob has 0 sat, eve 30 sat now\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fund", "bob", "-50"), "-50 is below zero: to take money back, use `kitestring account withdraw`"),
        (("fund", "bob", "0"), "0 sat is too little"),
        (("fund", "bob", "--nota"), "No such option"),
        (("withdraw", "bob", "-50"), "'-50' is not a whole number of sats"),
        (("withdraw", "bob", "1.5"), "'1.5' is not a whole number of sats"),
        (("withdraw", "bob"), "name either AMOUNT_SAT or --all"),
        (("withdraw", "bob", "5", "--all"), "name either AMOUNT_SAT or --all"),
        (("transfer", "bob", "eve"), "name either AMOUNT_SAT or --all"),
        (("transfer", "bob"), "missing argument"),
    ],
)
def test_an_amount_is_whole_sats_above_zero_or_all(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(click.UsageError) as refused:
        run(command, *words)
    assert said.lower() in refused.value.format_message().lower()


def test_money_goes_to_an_account_on_to_another_and_back(service: Service) -> None:
    for name in ("carol", "dave"):
        service.ok("account", "create", name)
    before = service.ok("balance")["balance_msat"]
    service.ok("account", "fund", "carol", "500")
    service.ok("account", "transfer", "carol", "dave", "200")
    assert service.ok("account", "withdraw", "carol", "--all")["amount_msat"] == 300_000
    assert service.ok("account", "withdraw", "dave", "50")["available_msat"] == 150_000
    assert service.ok("account", "withdraw", "dave", "--all")["available_msat"] == 0
    assert service.ok("balance")["balance_msat"] == before


def test_an_account_is_paid_shown_named_anew_and_closed(service: Service) -> None:
    service.ok("account", "create", "frank")
    made = service.ok("invoice", "7", "--account", "frank")
    service.ok("pay", made["bolt11"])  # from the owner, inside the service
    assert service.ok("balance", "frank")["balance_msat"] == 7_000
    service.ok("connect", "franks app", "--account", "frank")
    refused = service.run("account", "close", "frank", "--withdraw")
    assert (refused.exit_code, "kitestring revoke 'franks app'" in refused.stderr) == (5, True)
    assert service.ok("account", "rename", "frank", "francis")["account"] == "francis"
    service.ok("revoke", "franks app")
    assert service.ok("account", "close", "francis", "--withdraw")["withdrawn_msat"] == 7_000
    (told,) = service.ok("transactions", "--account", "francis")["transactions"]
    assert (told["account"], told["payment_hash"]) == ("francis", made["payment_hash"])


def test_an_account_gets_money_and_an_offer_of_its_own(service: Service) -> None:
    assert service.ok("account", "create", "bob")["created"] is True
    assert service.ok("account", "fund", "bob", "1000")["available_msat"] == 1_000_000
    offer = service.ok("offer", "create", "bobs tea", "--price", "5", "--account", "bob")
    assert service.ok("offer", "show", "bobs tea") == offer
    service.ok("sandbox", "pay", offer["noffer"])
    (bob,) = [row for row in service.ok("account", "list")["accounts"] if row["account"] == "bob"]
    assert bob["available_msat"] == 1_005_000
    assert service.ok("offer", "delete", "bobs tea")["deleted"] is True
    assert service.run("sandbox", "pay", offer["noffer"]).exit_code == 2
    assert [row["account"] for row in service.ok("transactions", "--account", "bob")["transactions"]] == ["bob"]


def test_one_command_cancels_what_may_still_be_paid_and_closes_the_account(service: Service) -> None:
    service.ok("account", "create", "gina")
    made = [service.ok("invoice", str(sats), "--account", "gina") for sats in (7, 8)]
    service.ok("connect", "ginas app", "--account", "gina")
    kept = service.run("account", "close", "gina", "--cancel-invoices")  # it would not be closed, so nothing is ended
    assert (kept.exit_code, service.ok("lookup", made[0]["payment_hash"])["state"]) == (5, "pending")
    service.ok("revoke", "ginas app")
    refused, way = service.run("account", "close", "gina"), f"kitestring invoice cancel {made[0]['payment_hash'][:8]}"
    assert (refused.exit_code, way in refused.stderr) == (5, True)
    assert service.ok("account", "close", "gina", "--cancel-invoices")["closed_at"] is not None
    ended = service.ok("transactions", "--account", "gina", "--state", "canceled")["transactions"]
    assert {row["payment_hash"] for row in ended} == {one["payment_hash"] for one in made}
