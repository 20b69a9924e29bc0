"""What the params of several methods have in common."""

from __future__ import annotations

import json

from kitestring.base.commands import MakeInvoice
from kitestring.base.money import Msat
from tests.kit import vectors
from tests.kit.codec.invoices import invoice
from tests.kit.wire.nwc import decode, read

VECTORS = vectors.load("nwc_payloads.json")


def test_metadata_that_is_too_long_is_dropped_and_the_request_goes_on() -> None:
    (case,) = (case for case in VECTORS["request"] if case["id"] == "make-metadata-too-long")
    assert read(case["payload"], "bitcoin").command == MakeInvoice(amount_msat=Msat(21_000))
    for length, is_kept in ((4096, True), (4097, False)):
        metadata = {"comment": "x" * (length - len('{"comment":""}'))}
        paid = decode("pay_invoice", {"invoice": invoice(), "metadata": metadata})
        assert (paid.metadata, len(json.dumps(metadata, separators=(",", ":")))) == (
            json.dumps(metadata, separators=(",", ":")) if is_kept else "",
            length,
        )


def test_metadata_is_kept_as_json_whose_text_has_no_control_characters() -> None:
    metadata = {"comment": "a\x7f\u202eb\n", "nostr": {"kind": 9734}}
    kept = decode("make_invoice", {"amount": 1, "metadata": metadata}).metadata
    assert kept.isprintable()
    assert json.loads(kept) == metadata
    assert decode("make_invoice", {"amount": 1, "metadata": "text"}).metadata == ""
