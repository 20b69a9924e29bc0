"""Names at domains, and where their documents are."""

from __future__ import annotations

import pytest

from kitestring.base.errors import CodecError
from kitestring.codec.address import InternetAddress, decode
from tests.kit.vectors import load

VECTORS = load("lnurl.json")


@pytest.mark.parametrize("case", VECTORS["addresses"], ids=lambda case: case["address"])
def test_an_address_leads_to_its_document(case: dict[str, str]) -> None:
    assert decode(case["address"]).lnurlp == case["url"]


@pytest.mark.parametrize("text", VECTORS["addresses_invalid"])
def test_what_is_no_name_at_a_domain_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        decode(text)


@pytest.mark.parametrize(
    "text",
    ["", "@", f"{'a' * 65}@x.example", f"a@{'b' * 250}.example", "a@-x.example", "a@x..example", "a@x.example:0"],
)
def test_names_and_domains_have_their_limits(text: str) -> None:
    with pytest.raises(CodecError):
        decode(text)


def test_the_document_of_nip05_is_asked_for_by_the_name() -> None:
    address = decode(" Bob+Tea@Pay.Example:8443 ")
    assert address == InternetAddress("bob+tea", "pay.example:8443")
    assert address.nostr_json == "https://pay.example:8443/.well-known/nostr.json?name=bob%2Btea"
    assert str(address) == "bob+tea@pay.example:8443"
    assert decode(f"bob@{'b' * 56}.onion").nostr_json.startswith("http://bbb")
