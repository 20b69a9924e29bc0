"""How to answer is stored with a request: it must be read by every later version."""

from __future__ import annotations

import msgspec
import pytest

from kitestring.wire.reply_to import ReplyTo, thaw
from tests.kit.changed import replace
from tests.kit.clock import NOW
from tests.kit.wire.samples import CLIENT, reply_to

NWC = replace(reply_to("nwc"), method="get_balance")
LEGACY_OFFER = replace(reply_to("offers"), version="legacy", cipher="nip04")


@pytest.mark.parametrize("to", [NWC, LEGACY_OFFER])
def test_it_survives_its_stored_form(to: ReplyTo) -> None:
    assert thaw(to.freeze()) == to


def test_a_stored_form_that_lacks_later_members_is_still_read() -> None:
    stored = msgspec.msgpack.encode(["nwc", "nwc:g1", CLIENT.public_hex, "nip44", "ab" * 32, NOW])
    assert thaw(stored) == reply_to("nwc")


def test_the_members_of_the_stored_form_keep_their_places() -> None:
    assert msgspec.msgpack.decode(LEGACY_OFFER.freeze()) == [
        "offers", "service", CLIENT.public_hex, "nip04", "ab" * 32, NOW, "", "legacy", "",
    ]  # fmt: skip


@pytest.mark.parametrize("stored", [b"", b"\x01", msgspec.msgpack.encode(["nwc"]), NWC.freeze()[:-1]])
def test_anything_else_is_not_guessed_at(stored: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        thaw(stored)


def test_a_method_that_is_found_out_later_changes_nothing_else() -> None:
    assert NWC.named("pay_invoice") == replace(NWC, method="pay_invoice")
    assert LEGACY_OFFER.named("x") == replace(LEGACY_OFFER, method="x")
