"""A service that does not run can be looked at and managed, and nothing more."""

from __future__ import annotations

import pytest

from kitestring import KitestringError, Service, sat
from kitestring.app.owner.commands import all_commands


async def test_only_what_needs_neither_node_nor_relay_is_there(service: Service) -> None:
    names = await service._at_office(lambda office: _names(office.commands))
    assert {"connect", "connections", "offer_create", "account_list"} <= names
    assert not {"pay", "account_fund", "invoice", "doctor"} & names
    assert names < all_commands().keys()


async def _names(commands: object) -> set[str]:
    return set(vars(commands)["_commands"])


async def test_it_is_told_so(service: Service) -> None:
    await service.add_account("alice")
    with pytest.raises(KitestringError, match="`account_fund` needs the running service"):
        await service.fund("alice", sat(5))
