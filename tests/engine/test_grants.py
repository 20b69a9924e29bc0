"""The grants that decisions are made on are read once, and forgotten with the commit that changes them."""

from __future__ import annotations

from kitestring.base.grants import Grant
from kitestring.engine.grants import Grants
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life, Rig


def counted(rig: Rig) -> list[str]:
    """The ids that are asked of the ledger from now on."""
    asked: list[str] = []
    read = rig.store.grant

    async def grant(grant_id: str) -> Grant | None:
        asked.append(grant_id)
        found: Grant | None = await read(grant_id)
        return found

    rig.store.grant = grant
    return asked


@virtual
async def test_a_grant_is_read_once_until_it_changes(life: Life) -> None:
    async with life.service(start=False) as rig:
        await rig.grant("app")
        await rig.grant("other")
        grants, asked = Grants(rig.store), counted(rig)
        first = [await grants.get(name) for name in ("app", "other", "app")]
        assert first[0] == first[2]
        assert asked == ["app", "other"]
        await rig.change("app", per_payment_msat=None)
        asked.clear()
        changed = await grants.get("app")
        await grants.get("other")
        assert (changed is not None and changed.version, asked) == (2, ["app"])


@virtual
async def test_a_grant_that_is_not_there_yet_is_looked_for_each_time(life: Life) -> None:
    async with life.service(start=False) as rig:
        grants = Grants(rig.store)
        assert await grants.get("app") is None
        await rig.grant("app")
        found = await grants.get("app")
        assert found is not None
        assert found.grant_id == "app"


@virtual
async def test_what_the_ledger_does_not_hold_any_more_is_not_decided_on(life: Life) -> None:
    async with life.service(start=False) as rig:
        grants = Grants(rig.store)
        grants._known["ghost"] = Grant(grant_id="ghost", name="ghost", wire="nwc")
        assert await grants.reload("ghost") is None
        assert await grants.get("ghost") is None


@virtual
async def test_what_has_changed_while_it_was_read_is_read_again(life: Life) -> None:
    async with life.service(start=False) as rig:
        await rig.pointer()
        await rig.allow("till", "a1" * 32)
        grants, read, read_of = Grants(rig.store), rig.store.grant, rig.store.grants_of

        async def grant(grant_id: str) -> Grant | None:
            found: Grant | None = await read(grant_id)
            rig.store.grant = read
            await rig.change(grant_id)
            return found

        async def grants_of(wire: str, caller: str) -> list[Grant]:
            found: list[Grant] = await read_of(wire, caller)
            rig.store.grants_of = read_of
            await rig.change(found[0].grant_id)
            return found

        rig.store.grant, rig.store.grants_of = grant, grants_of
        for _ in range(2):
            pointer, own = await grants.get("till"), await grants.at("debits", "a1" * 32, "till")
        assert pointer is not None
        assert own is not None
        assert (pointer.version, own.version) == (2, 2)
