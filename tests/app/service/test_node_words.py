"""The owner is told what the node said; nobody else is."""

from __future__ import annotations

import pytest

from kitestring.app.owner.desk import expect
from kitestring.app.service.node_words import in_its_words
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import Balance, Refused


def test_the_owner_reads_the_words_of_the_node_instead_of_a_general_sentence() -> None:
    refused = Refused(Reason.UNAVAILABLE, "it answers with an error", private="lnd: permission denied (code 7)")
    with pytest.raises(KitestringError, match=r"cannot be used: lnd: permission denied \(code 7\)$") as caught:
        expect(refused, Balance)
    assert caught.value.reason is Reason.UNAVAILABLE
    assert in_its_words("too many requests", "") == "too many requests"
