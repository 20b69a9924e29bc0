"""The names of enrolled keys' accounts."""

from __future__ import annotations

from kitestring.app.owner import accounts
from kitestring.base.enrolments import account_id_of, enrolled_key, is_enrolled
from kitestring.base.grants import Account

KEY = "3b" * 32


def test_an_account_tells_whose_it_is_and_its_id_fits_where_names_of_accounts_stand() -> None:
    account = Account(account_id=account_id_of(KEY), name=KEY)
    assert is_enrolled(account.account_id)
    assert enrolled_key(account) == KEY
    assert len(account.account_id) <= 64


def test_an_account_of_the_owners_is_that_of_no_key_and_none_can_be_made_with_such_a_name() -> None:
    assert enrolled_key(Account(account_id="shop", name="shop")) == ""
    assert accounts._ACCOUNT.fullmatch(account_id_of(KEY)) is None
