"""Signing a text on the command line: by the service's node, and by that of a wallet."""

from __future__ import annotations

import pytest

from kitestring.app.cli.sign_message import command
from kitestring.base.errors import KitestringError
from kitestring.codec.signed_message import signer
from tests.kit.app.console import Service, run


def test_the_signature_alone_is_shown_so_that_it_can_be_piped_on() -> None:
    said = run(command, "tea", answer={"message": "tea", "signature": "d9"})
    assert said.asked == [("sign_message", {"message": "tea"}, "")]
    assert said.lines == ["d9"]


def test_an_encryption_is_that_of_a_wallet() -> None:
    with pytest.raises(KitestringError, match="name it with --wallet"):
        run(command, "tea", "--encryption", "legacy")


def test_a_wallet_that_does_not_list_the_method_says_so(service: Service) -> None:
    link = service.ok("connect", "signer", "--methods", "sign_message")["nwc_uri"]
    refused = service.run("sign-message", "tea", "--wallet", link)
    assert (refused.exit_code, "sign_message" in refused.output) == (2, True)


@pytest.mark.parametrize("text", ["tea", "tea\n", "ä 🪁"])
def test_the_node_signs_the_very_text(service: Service, text: str) -> None:
    signed = service.ok("sign-message", text)
    assert signed["message"] == text
    assert signer(text, signed["signature"]) == service.ok("info")["node_pubkey"]
