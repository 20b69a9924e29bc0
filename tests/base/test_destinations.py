"""Destinations are a closed type, and only one of them has an invoice."""

from __future__ import annotations

import msgspec
import pytest

from kitestring.base.destinations import Bolt11, Destination, Keysend, invoice_text

KEY = Keysend("02" * 33, "ab" * 32, ((65_536, "00ff"),))


@pytest.mark.parametrize("destination", [Bolt11("lnbcrt1"), Bolt11("lnbcrt1", True), KEY])
def test_a_stored_destination_is_read_back_as_the_one_that_it_was(destination: Destination) -> None:
    assert msgspec.json.decode(msgspec.json.encode(destination), type=Destination) == destination


def test_what_is_neither_is_not_read() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"type":"bolt12","text":"lno1"}', type=Destination)


def test_only_an_invoice_has_a_text() -> None:
    assert (invoice_text(Bolt11("lnbcrt1")), invoice_text(KEY)) == ("lnbcrt1", "")
