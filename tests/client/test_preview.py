"""A payment is shown by who is paid, as far as that is told, and by the invoice that would be paid."""

from __future__ import annotations

import pytest

from kitestring.base.money import sat
from kitestring.client.payable import Payable, Source
from kitestring.client.preview import preview
from kitestring.codec import bolt11, nip19
from kitestring.codec.address import InternetAddress
from kitestring.codec.nip19 import Profile
from kitestring.codec.pointers import Noffer
from tests.kit.codec.invoices import invoice

KEY = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"

NPUB = nip19.encode(nip19.PublicKey(KEY))


@pytest.mark.parametrize(
    ("source", "kind", "payee"),
    [
        (Noffer(KEY, ("wss://a.example",), "tips\x1b[2K"), "offer", f"offer tips [2K of {NPUB[:12]}…{NPUB[-6:]}"),
        (InternetAddress("me", "b.example"), "address", "me@b.example"),
        (Profile(KEY), "profile", f"{NPUB[:12]}…{NPUB[-6:]}"),
    ],
)
def test_who_has_an_offer_is_named_as_it_was_typed_and_nothing_forges_a_line(
    source: Source, kind: str, payee: str
) -> None:
    found = preview(source, Payable(bolt11.decode(invoice(description="a\nb")), sat(5)))
    assert (found.kind, found.payee, found.description) == (kind, payee, "a b")


def test_an_invoice_says_the_key_of_its_node_and_all_that_a_payer_agrees_to() -> None:
    read = bolt11.decode(invoice())
    found = preview(read, Payable(bolt11.decode(invoice(), recover=False), sat(5)))
    assert (found.kind, found.payee_key, len(found.payee_key)) == ("invoice", read.payee, 66)
    assert (found.bolt11, found.payment_hash, found.amount_msat) == (read.text, read.payment_hash, sat(5))
    assert (found.network, found.expires_at) == (read.network, read.expires_at)
