"""What the running service alone can do is refused at a wallet, and the other way round, before anybody is asked."""

from __future__ import annotations

from hashlib import sha256

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.codec.pointers import Ndebit, encode
from tests.kit.app.console import commands, run
from tests.kit.app.desk import RELAY
from tests.kit.codec.invoices import invoice

PREIMAGE = "5a" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()
NDEBIT = encode(Ndebit("7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e", (RELAY,), "till"))
#: Commands that ask the service or a wallet, with what they need.
EITHER: dict[str, tuple[str, ...]] = {
    "pay": (invoice(),), "keysend": ("02" + "ab" * 32, "5"), "balance": (), "invoice": ("21",), "transactions": (),
    "lookup": (HASH,), "info": (), "sign-message": ("tea",), "hold create": ("21", "--payment-hash", HASH),
    "hold settle": (HASH, PREIMAGE), "hold cancel": (HASH,), "watch": (),
    "debit request": (NDEBIT, "5"), "debit subscribe": (NDEBIT, "5/day"),
}  # fmt: skip
#: Those that only a wallet can be asked.
WALLET_ALONE: dict[str, tuple[str, ...]] = {"call": ("get_info",), "receive": ("21",)}
KEYED = [words for words in EITHER if any(one.name == "key" for one in commands()[words].params)]


@pytest.mark.parametrize("words", EITHER)
def test_an_encryption_without_a_wallet_is_refused(words: str) -> None:
    with pytest.raises(KitestringError, match="name it with --wallet"):
        run(commands()[words], *EITHER[words], "--encryption", "legacy")


def test_every_command_that_a_wallet_can_do_takes_one() -> None:
    takes = {words for words, one in commands().items() if any(found.name == "wallet" for found in one.params)}
    assert takes == EITHER.keys() | WALLET_ALONE.keys()


@pytest.mark.parametrize("words", EITHER | WALLET_ALONE)
def test_a_wallet_is_named_everywhere_in_the_same_forms(words: str) -> None:
    with pytest.raises(KitestringError, match="the environment variable NO_SUCH is not set"):
        run(commands()[words], *(EITHER | WALLET_ALONE)[words], "--wallet", "env:NO_SUCH")


@pytest.mark.parametrize("words", KEYED)
def test_an_idempotency_key_is_no_promise_of_a_wallet(words: str) -> None:
    asked = (*EITHER[words], "--wallet", "env:NO_SUCH", "--idempotency-key", "k")
    with pytest.raises(KitestringError, match="leave it out with --wallet, and ") as caught:
        run(commands()[words], *asked)
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("words", "option", "sentence"),
    [
        ("transactions", ("--account", "bob"), "--account is one of the running service: leave it out with --wallet"),
        ("hold create", ("--blocks", "144"), "leave --blocks out with --wallet"),
    ],
)
def test_an_option_that_no_wallet_can_do_is_refused(words: str, option: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(KitestringError, match=sentence):
        run(commands()[words], *EITHER[words], "--wallet", "env:NO_SUCH", *option)
