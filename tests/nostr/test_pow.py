"""Proof of work: shown bits and committed target (NIP-13)."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.nostr.pow import committed_target, leading_zero_bits, proven_bits
from tests.kit.vectors import load

VECTORS: dict[str, Any] = load("nip13.json")


@pytest.mark.parametrize(("event_id", "bits"), VECTORS["difficulty"])
def test_leading_zero_bits(event_id: str, bits: int) -> None:
    assert leading_zero_bits(event_id) == bits


@pytest.mark.parametrize("case", VECTORS["committed_target"], ids=lambda case: case.get("why", "accepted"))
def test_the_target_must_be_committed_and_reached(case: dict[str, Any]) -> None:
    tags = [["p", "x"], case["nonce_tag"]] if case["nonce_tag"] else []
    assert (proven_bits(case["id"], tags) >= case["required"]) is case["accept"]


@pytest.mark.parametrize("target", ["", "-1", "²", "1e2", " 20", "9999"])
def test_a_target_that_is_no_number_commits_to_nothing(target: str) -> None:
    assert committed_target([["nonce", "1", target]]) == 0


def test_the_first_nonce_decides() -> None:
    assert committed_target([[], ["nonce", "1", "20"], ["nonce", "2", "30"]]) == 20
