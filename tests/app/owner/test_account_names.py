"""Ids of accounts in answers are told as names, however deep they stand."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.owner.account_names import in_names


class Renamed:
    """A store in which one account has another name."""

    async def renamed_accounts(self) -> dict[str, str]:
        return {"a": "alice"}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"account": "a"}, {"account": "alice"}),
        ({"account": "b", "name": "a"}, {"account": "b", "name": "a"}),
        ({"from_account": "a", "to_account": "owner"}, {"from_account": "alice", "to_account": "owner"}),
        (
            {"rows": [{"account": "a"}, {"x": {"account": "a"}}, "a"]},
            {"rows": [{"account": "alice"}, {"x": {"account": "alice"}}, "a"]},
        ),
        ({"account": None}, {"account": None}),
        ({"account": {"account": "a"}}, {"account": {"account": "alice"}}),
    ],
)
async def test_an_id_is_told_as_the_name_of_now(answer: dict[str, Any], told: dict[str, Any]) -> None:
    store: Any = Renamed()
    assert await in_names(store, answer) == told
