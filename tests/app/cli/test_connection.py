"""A new link for a connection that is there: what happens to the old one is said, the new one alone is the answer."""

from __future__ import annotations

from kitestring.app.cli.connection import command
from kitestring.app.cli.values import when
from tests.app.cli.test_connect import MADE
from tests.kit.app.console import Service, run

SHOWN = {**MADE, "last_used_at": None, "budgets": []}


def test_the_new_link_alone_is_the_answer_and_the_end_of_the_old_one_is_said() -> None:
    said = run(command, "relink", "agent", "--idempotency-key", "k", answer=MADE)
    assert said.asked == [("connection_relink", {"name": "agent"}, "k")]
    assert said.out == "nostr+walletconnect://secret\n"
    assert "the old link of agent has ended: its app can do nothing here until it has the new one\n" in said.err
    assert "keep this link secret; until its first use `kitestring link agent` shows it again:" in said.err


def test_each_relay_of_a_connection_is_shown_with_what_it_does_and_says() -> None:
    relays = [
        {"relay": "wss://good.example", "listening": True, "announced": True, "words": ""},
        {"relay": "wss://bad.example", "listening": True, "announced": False, "words": "blocked: members only"},
    ]
    said = run(command, "show", "agent", answer={**SHOWN, "used": False, "relays": relays})
    assert said.asked == [("connection_show", {"name": "agent"}, "")]
    first, _, head, good, bad = said.out.splitlines()
    assert first.startswith("agent: account owner; no budget limit;")
    assert first.endswith("not used yet: `kitestring link agent` shows the link again")
    assert head.split("  ")[0] == "relay"
    assert good.split() == ["wss://good.example", "yes", "yes", "–"]
    assert bad.split() == ["wss://bad.example", "yes", "no", "blocked:", "members", "only"]
    used = {**SHOWN, "used": True, "last_used_at": 1_760_000_000, "relays": []}
    assert f"; last used {when(1_760_000_000)}\n" in run(command, "show", "agent", answer=used).out


def test_what_is_left_of_each_budget_is_shown_and_a_rolling_one_has_no_moment_at_which_it_renews() -> None:
    day = {
        "limit_msat": 5_000_000, "period": "day", "length_s": 0, "used_msat": 1_000, "left_msat": 4_999_000,
        "renews_at": 1_760_000_000,
    }  # fmt: skip
    rolling = {**day, "period": "rolling", "length_s": 86_400}
    answer = {**SHOWN, "used": True, "relays": [], "budgets": [day, rolling, {**day, "renews_at": None}]}
    first, second, third = run(command, "show", "agent", answer=answer).lines[1:4]
    assert first == f"budget: 4,999 sat left of 5,000 sat per day, renews {when(1_760_000_000)}"
    assert second == "budget: 4,999 sat left of 5,000 sat in any 24h"
    assert third == "budget: 4,999 sat left of 5,000 sat per day"


def test_the_owner_sees_what_an_app_has_used_of_its_budget(service: Service) -> None:
    uri = service.ok("connect", "eater", "--budget", "100/total")["nwc_uri"]
    paid = service.ok("pay", service.ok("sandbox", "invoice", "40")["bolt11"], "--wallet", "-", stdin=uri)
    (stands,) = service.ok("connection", "show", "eater")["budgets"]
    assert stands["used_msat"] == 40_000 + paid["fee_msat"]
    assert stands["left_msat"] == 100_000 - stands["used_msat"]


def test_the_relay_of_a_running_service_brings_requests_and_shows_the_connection(service: Service) -> None:
    service.ok("connect", "kiosk")
    shown = service.ok("connection", "show", "kiosk")
    assert shown["relays"] == [{"relay": service.card["relay"], "listening": True, "announced": True, "words": ""}]
    assert service.run("connection", "show", "nobody").exit_code == 2


def test_a_relinked_connection_takes_the_new_link_alone(service: Service) -> None:
    old = service.ok("connect", "my app", "--budget", "100/day")["nwc_uri"]
    paying = ("pay", "--wallet", "-")
    assert service.run(*paying, service.ok("sandbox", "invoice", "5")["bolt11"], stdin=old).exit_code == 0
    new = service.ok("connection", "relink", "my app")["nwc_uri"]
    assert service.run(*paying, service.ok("sandbox", "invoice", "5")["bolt11"], stdin=new).exit_code == 0
    assert service.run("connection", "relink", "nobody").exit_code == 2
