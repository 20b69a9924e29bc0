"""The codes of a wallet in the setting `node`: what they may look like, and by which key it knows us."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from kitestring.backend.clink.link import ClinkWalletLink, named_relays, read_link
from kitestring.backend.registry import BackendContext, BackendUrl
from kitestring.base.errors import KitestringError
from kitestring.base.money import sat
from kitestring.client.debits import requestor_key
from kitestring.client.requestor import requestor_seed
from kitestring.codec import bech32, pointers
from kitestring.codec.pointers import Ndebit, Nmanage, Noffer, PriceType
from tests.kit.chance import entropy
from tests.kit.client.hostile import CLIENT, CLOCK, SERVICE, STRANGER, ndebit, noffer

RELAY = "wss://relay.example.com"
OFFER, DEBIT = (pointers.encode(code) for code in (noffer(RELAY), ndebit(RELAY)))
BOTH = f"noffer={OFFER}&ndebit={DEBIT}"


def read(query: str, directory: Path = Path("/nowhere"), **environment: str) -> ClinkWalletLink:
    url = BackendUrl.parse(f"clink://?{query}")
    return read_link(url, BackendContext(CLOCK, entropy, directory, environment=environment))


def test_the_two_codes_are_all_that_is_needed() -> None:
    link = read(BOTH)
    assert (link.noffer.offer, link.noffer.relays) == ("tips", (RELAY,))
    assert (link.ndebit.pointer, link.ndebit.relays) == ("main", (RELAY,))
    assert (link.opening_msat, link.network, link.is_known, link.secret) == (0, "", False, "")
    assert read(f"noffer={quote('lightning:' + OFFER.upper())}&ndebit=%20{DEBIT}").noffer == link.noffer


def test_what_the_wallet_does_not_tell_is_said_beside_them() -> None:
    link = read(f"{BOTH}&balance_sat=50000&network=bitcoin&service=kitestring&relay=wss%3A%2F%2Ftwo.example")
    assert (link.opening_msat, link.network, link.is_known) == (sat(50_000), "bitcoin", True)
    assert link.noffer.relays == link.ndebit.relays == (RELAY, "wss://two.example")


def test_the_relays_of_the_wallet_are_told_without_opening_it() -> None:
    assert named_relays(f"clink://?{BOTH}") == (RELAY,)
    assert named_relays(f"clink://?{BOTH}&relay=wss%3A%2F%2Ftwo.example&relay=foo") == (RELAY, "wss://two.example")
    for other in ("sandbox://", "clink://", f"clink://?noffer={OFFER}", "clink://?noffer=x&ndebit=y", "lnd+https://x"):
        assert named_relays(other) == ()


@pytest.mark.parametrize(
    ("offer", "debit"),
    [(pointers.encode(noffer(RELAY, key=STRANGER)), DEBIT), (OFFER, pointers.encode(ndebit(RELAY, key=STRANGER)))],
)
def test_a_service_is_no_wallet_of_its_own(offer: str, debit: str) -> None:
    url = BackendUrl.parse(f"clink://?noffer={offer}&ndebit={debit}")
    with pytest.raises(KitestringError, match="one of this very service"):
        read_link(url, BackendContext(CLOCK, entropy, Path("/nowhere"), own_key=STRANGER.public_hex))
    assert read_link(url, BackendContext(CLOCK, entropy, Path("/nowhere"), own_key=CLIENT.public_hex))


def test_the_wallet_is_named_by_who_answers_and_not_by_where(tmp_path: Path) -> None:
    here = read(BOTH).wallet_id
    moved = noffer("wss://other.example"), ndebit("wss://other.example")
    elsewhere = [pointers.encode(code) for code in moved]
    assert read(f"noffer={elsewhere[0]}&ndebit={elsewhere[1]}&balance_sat=7").wallet_id == here
    others = [
        (pointers.encode(noffer(RELAY, "tip")), DEBIT),
        (pointers.encode(noffer(RELAY, key=STRANGER)), DEBIT),
        (OFFER, pointers.encode(ndebit(RELAY, "other"))),
        (OFFER, pointers.encode(ndebit(RELAY, None))),
        (OFFER, pointers.encode(ndebit(RELAY, key=STRANGER))),
    ]
    found = {read(f"noffer={offer}&ndebit={debit}").wallet_id for offer, debit in others}
    assert len(found | {here}) == len(others) + 1


def test_the_key_is_the_one_that_asks_for_budgets_from_this_directory(tmp_path: Path) -> None:
    context = BackendContext(CLOCK, entropy, tmp_path)
    key = read(BOTH).key(context)
    assert key.public_hex == requestor_key(requestor_seed(tmp_path, entropy), SERVICE.public_hex).public_hex
    assert read(BOTH).key(context).public_hex == key.public_hex


def test_the_key_may_be_in_a_file_or_in_a_variable_and_is_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "wallet.key"
    file.write_text(f"{CLIENT.hex()}\n")
    for where in (f"file:{file}", "env:WALLET"):
        link = read(f"{BOTH}&key={where}", WALLET=CLIENT.hex())
        assert link.key(BackendContext(CLOCK, entropy, tmp_path)).public_hex == CLIENT.public_hex
        assert CLIENT.hex() not in repr(link)
    with pytest.raises(KitestringError, match="not 64 hexadecimal digits") as caught:
        read(f"{BOTH}&key=env:WALLET", WALLET=CLIENT.hex()[1:]).key(BackendContext(CLOCK, entropy, tmp_path))
    assert CLIENT.hex()[1:] not in str(caught.value)


FIXED = pointers.encode(Noffer(SERVICE.public_hex, (RELAY,), "tea", PriceType.FIXED, 21))
VARIABLE = pointers.encode(Noffer(SERVICE.public_hex, (RELAY,), "tea", PriceType.VARIABLE))
SESSION = pointers.encode(Ndebit(SERVICE.public_hex, (RELAY,), "main", "ab" * 32))
NOWHERE = bech32.encode("ndebit", bytes([0, 32]) + SERVICE.public_bytes)
MANAGE = pointers.encode(Nmanage(SERVICE.public_hex, (RELAY,)))


@pytest.mark.parametrize(("query", "words"), [
    (f"noffer={OFFER}", "needs ndebit="),
    (f"ndebit={DEBIT}", "needs noffer="),
    (f"noffer={DEBIT}&ndebit={DEBIT}", "no offer: its code begins with noffer1"),
    (f"noffer={OFFER}&ndebit={OFFER}", "no debit code: it begins with ndebit1"),
    (f"noffer={OFFER}&ndebit={MANAGE}", "no debit code"),
    (f"noffer={OFFER[:-1]}&ndebit={DEBIT}", "noffer in the clink:// address cannot be read"),
    (f"noffer={FIXED}&ndebit={DEBIT}", "has a price of its own"),
    (f"noffer={VARIABLE}&ndebit={DEBIT}", "has a price of its own"),
    (f"noffer={OFFER}&ndebit={SESSION}", "good for one payment"),
    (f"noffer={OFFER}&ndebit={NOWHERE}", "ndebit= names no relay: add relay="),
    (f"{BOTH}&network=litecoin", "network in a clink:// address is one of bitcoin"),
    (f"{BOTH}&service=pub", "service in a clink:// address is kitestring"),
    (f"{BOTH}&balance_sat=-1", "whole number"),
    (f"{BOTH}&balance_sat=9999999999999999", "at most"),
    (f"{BOTH}&key={CLIENT.hex()}", "file:PATH or env:NAME"),
    (f"{BOTH}&key=env:ABSENT", "there is no variable ABSENT"),
    (f"{BOTH}&colour=blue", "does not know colour"),
])  # fmt: skip
def test_what_cannot_be_a_wallet_is_refused_with_what_to_write(query: str, words: str) -> None:
    with pytest.raises(KitestringError, match=words) as caught:
        read(query)
    assert CLIENT.hex() not in caught.value.message


def test_a_host_in_the_address_is_refused() -> None:
    url = BackendUrl.parse(f"clink://wallet.example?{BOTH}")
    with pytest.raises(KitestringError, match="the two codes of a wallet"):
        read_link(url, BackendContext(CLOCK, entropy, Path("/nowhere")))
