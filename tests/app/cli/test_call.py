"""A method that no other command has is asked for as it is written, and its result shown as it comes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kitestring.app.cli import wallet
from kitestring.app.cli.call import command
from kitestring.base.errors import KitestringError, Reason
from tests.kit.app.console import Service, run

TOLD = {"joined": 2, "keys": ["a", "b"], "note": "für \x1b[31mdich"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []

    def call_of(_: object, *given: object) -> dict[str, object]:
        found.append(given)
        return TOLD

    monkeypatch.setattr(wallet, "call_of", call_of)
    return found


def test_a_person_reads_the_result_and_a_program_gets_it_in_one_line(asked: list[Any]) -> None:
    said = run(command, "multisig_join", '{"round": "a", "cosigners": 2}', "--wallet", "env:W")
    assert said.lines[:2] == ["{", '  "joined": 2,']
    assert "\x1b" not in said.out
    told = run(command, "oracle", "--wallet", "-", "--timeout", "60", "--encryption", "legacy", "--json")
    assert (told.json, len(told.lines)) == (TOLD, 1)
    assert asked == [
        ("env:W", "multisig_join", {"round": "a", "cosigners": 2}, None, "auto"),
        ("-", "oracle", {}, 60, "legacy"),
    ]


@pytest.mark.parametrize("params", ["", "{", "[1]", "21", "null", '{"a": 1, "a": 2}', '{"a": NaN}', 300 * '{"a":'])
def test_what_is_no_object_is_refused_before_the_wallet_is_looked_for(asked: list[Any], params: str) -> None:
    with pytest.raises(KitestringError, match="is one JSON object, such as") as caught:
        run(command, "multisig_join", params, "--wallet", "env:W")
    assert (caught.value.reason, asked) == (Reason.MALFORMED, [])


def test_a_wallet_answers_and_refuses_with_the_exit_code_of_its_reason(service: Service) -> None:
    uri = service.ok("connect", "caller", "--methods", "get_info,lookup_invoice,make_invoice")["nwc_uri"]

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        said = service.run("--json", "call", *words, "--wallet", "-", stdin=uri)
        told: dict[str, Any] = json.loads(said.stdout)
        return said.exit_code, told

    code, told = call("get_info")
    assert (code, told["network"]) == (0, "regtest")
    code, told = call("make_invoice", '{"amount": 21000, "description": "tea"}')
    assert (code, told["amount"], told["description"]) == (0, 21_000, "tea")
    for words, exit_code, reason, sentence in (
        (("lookup_invoice", json.dumps({"payment_hash": "00" * 32})), 2, "unknown_target", "the wallet refused"),
        (("pay_invoice", '{"invoice": "lnbcrt1"}'), 2, "malformed", "use `kitestring pay --wallet URI`"),
        (("multi_pay_keysend",), 2, "malformed", "use `kitestring keysend --wallet URI`"),
        (("multisig_join",), 2, "unsupported", "does not announce multisig_join"),
        (("Multisig",), 2, "malformed", "small letters"),
    ):
        code, told = call(*words)
        assert (code, told["error"]["reason"]) == (exit_code, reason)
        assert sentence in told["error"]["message"]


def test_a_node_that_is_opened_itself_has_no_methods(service: Service) -> None:
    said = service.run("call", "oracle", "--wallet", "-", stdin=f"sandbox://{service.home / 'sandbox.db'}")
    assert said.exit_code == 2
    assert "only a wallet connection has methods of its own" in said.stderr
