"""The owner is told what the node said; nobody else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kitestring.app.home.config import Config
from kitestring.app.owner.desk import expect
from kitestring.app.service.node_words import in_its_words, node_of, told
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import Balance, Refused
from kitestring.codec.pointers import encode
from kitestring.transport.clock import SystemClock
from tests.kit.client.hostile import SERVICE, ndebit, noffer


@pytest.mark.parametrize(
    ("url", "words"),
    [("lndd+https://host", "did you mean lnd?"), ("lnd+https://host?macaroon=/nowhere/m", "/nowhere/m")],
)
def test_a_node_that_cannot_be_right_is_refused_by_the_name_of_its_setting(
    tmp_path: Path, url: str, words: str
) -> None:
    with pytest.raises(KitestringError, match=r"^the setting node: ") as caught:
        node_of(Config(tmp_path, node_url=url), tmp_path, SystemClock(), os.urandom)
    assert words in caught.value.message
    assert caught.value.details == {"key": "node"}


def test_a_service_whose_node_is_itself_does_not_start(tmp_path: Path) -> None:
    url = f"clink://?noffer={encode(noffer('wss://relay.example'))}&ndebit={encode(ndebit('wss://relay.example'))}"
    with pytest.raises(KitestringError, match="the setting node: a code in this address is one of this very service"):
        node_of(Config(tmp_path, node_url=url), tmp_path, SystemClock(), os.urandom, SERVICE.public_hex)


async def test_what_does_not_answer_may_be_a_wallet_as_well_as_a_node() -> None:
    async def refusing() -> None:
        raise OSError("connection refused")

    with pytest.raises(
        KitestringError, match=r"connection refused; .* macaroon, or the wallet's link\) the right ones"
    ):
        await told(refusing())


def test_the_owner_reads_the_words_of_the_node_instead_of_a_general_sentence() -> None:
    refused = Refused(Reason.UNAVAILABLE, "it answers with an error", private="lnd: permission denied (code 7)")
    with pytest.raises(KitestringError, match=r"cannot be used: lnd: permission denied \(code 7\)$") as caught:
        expect(refused, Balance)
    assert caught.value.reason is Reason.UNAVAILABLE
    assert in_its_words("too many requests", "") == "too many requests"
