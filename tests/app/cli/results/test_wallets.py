"""What a wallet tells has the names that the service's own answers have."""

from __future__ import annotations

import pytest

from kitestring.app.cli.results import wallets as wallet
from kitestring.app.owner.results import money
from kitestring.app.owner.results.words import AnswerJson


@pytest.mark.parametrize(
    ("told", "own"),
    [
        (wallet.WalletInvoiceJson, money.TransactionJson),
        (wallet.WalletHoldJson, money.HoldMadeJson),
        (wallet.WalletTransactionJson, money.TransactionJson),
    ],
)
def test_a_wallet_tells_less_in_the_same_words(told: type[AnswerJson], own: type[AnswerJson]) -> None:
    assert set(told.__struct_fields__) < set(own.__struct_fields__)
