"""A webhook on the command line: set, shown with its secret, tested."""

from __future__ import annotations

import pytest

from kitestring.app.cli.offer_webhook import command
from tests.kit.app.console import Service, kitestring, run

URL = "https://shop.example/paid"
SHOWN = {
    "offer_id": "0a", "label": "black tea", "url": URL, "form": "post", "waiting": 2, "failed": 0, "secret": "ab" * 32,
    "taken": True, "status": "HTTP status 204",
}  # fmt: skip


def test_it_is_set_and_shown_with_its_secret() -> None:
    said = run(command, "black tea", URL, "--idempotency-key", "k", answer=SHOWN)
    assert said.asked == [("offer_webhook", {"offer": "black tea", "url": URL}, "k")]
    assert said.lines == [
        "offer       black tea",
        f"webhook     {URL}",
        "asked with  POST",
        f"secret      {'ab' * 32}",
        "waiting     2",
    ]
    assert "keep the secret to yourself" in said.err


def test_a_template_is_asked_with_get_and_off_tells_nobody() -> None:
    ((_, params, _),) = run(command, "tea", URL + "{?amount}", "--get", answer=SHOWN).asked
    assert params == {"offer": "tea", "url": URL + "{?amount}", "form": "get"}
    off = run(command, "tea", "--off", answer={**SHOWN, "url": None, "secret": None})
    assert off.asked[0][1] == {"offer": "tea", "off": True}
    assert (off.out, off.err) == ("nobody is told of payments of black tea\n", "")


def test_a_test_shows_what_the_server_answers_and_fails_where_it_does_not_take_it() -> None:
    said = run(command, "tea", "--test", answer=SHOWN)
    assert said.asked[1] == ("offer_webhook_test", {"offer": "tea"}, "")
    assert said.lines[-1] == "test        taken: HTTP status 204"
    bad = run(command, "tea", "--test", answer={**SHOWN, "taken": False, "status": "HTTP status 500"})
    assert (bad.code, bad.lines[-1]) == (1, "test        not taken: HTTP status 500")
    assert "it must answer 2xx" in bad.err


@pytest.mark.parametrize("words", [("tea", "--get"), ("tea", "--off", "--test")])
def test_what_does_not_go_together_is_refused(words: tuple[str, ...]) -> None:
    said = kitestring("offer", "webhook", *words)
    assert said.exit_code == 2


def test_it_is_set_shown_tested_and_listed_at_a_running_service(service: Service) -> None:
    made = service.ok("offer", "create", "mug", "--webhook", URL)
    shown = service.ok("offer", "webhook", "mug")
    assert (shown["url"], shown["offer_id"], len(shown["secret"])) == (URL, made["offer_id"], 64)
    assert service.ok("offer", "webhook", "mug", URL + "{?amount}", "--get")["secret"] == shown["secret"]
    refused = service.run("offer", "webhook", "mug", "http://127.0.0.1:1/")
    assert refused.exit_code != 0
    assert "network.private_hosts" in refused.stderr
    assert service.ok("offer", "webhook", "mug", "--off")["url"] is None
    assert service.ok("offer", "deliveries", "mug") == {"deliveries": []}
    assert service.ok("offer", "resend", "--failed") == {"sent_again": 0, "left": 0}
