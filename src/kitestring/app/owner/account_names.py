"""Accounts in answers: handlers and rows name them by their ids, which never change, and people by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kitestring.app.service.execute import Result
from kitestring.base.store import Reads

#: The members of answers that hold the id of an account.
MEMBERS: Final = frozenset({"account", "from_account", "to_account"})


async def in_names(store: Reads, result: Result) -> Result:
    """The same with the present name in the place of each id. A stored answer that is told again is told in the names
    of now."""
    names = await store.renamed_accounts()
    named: Result = _named(result, names) if names else result
    return named


def _named(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    return {member: _member(member, one, names) for member, one in value.items()}


def _member(member: str, value: Any, names: Mapping[str, str]) -> Any:
    if member in MEMBERS and isinstance(value, str):
        return names.get(value, value)
    return _named(value, names)
