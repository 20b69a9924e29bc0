"""Whom a name means, and who is shown an account."""

from kitestring.base.grants import Grant
from kitestring.base.store import Store
from kitestring.base.transactions.owner import SaveGrant
from tests.kit.changed import replace
from tests.kit.ledger.plans import WALK, Plans
from tests.kit.ledger.values import (
    NOW,
    execute,
    setting,
)


async def test_a_grant_is_found_by_its_name_or_its_id_as_long_as_it_is_not_revoked(store: Store) -> None:
    app = await store.grant("app")
    assert app is not None
    twin = Grant(grant_id="twin", name="bobs", wire="other", account_id="alice")
    await store.apply(execute("twin", SaveGrant(replace(app, name="shop", version=2)), SaveGrant(twin)))
    for name in ("shop", "app"):
        found = await store.grant_named("nwc", name)
        assert found is not None
        assert found.grant_id == "app"
    bobs = await store.grant_named("nwc", "bobs")
    assert bobs is not None
    assert (bobs.grant_id, await store.grant_named("nwc", "twin")) == ("bobs", None)
    await store.apply(execute("end", SaveGrant(replace(app, name="shop", version=3, revoked_at=NOW))))
    assert await store.grant_named("nwc", "shop") is None


async def test_who_is_shown_an_account_is_found_the_oldest_first_without_a_look_at_the_others(plans: Plans) -> None:
    store, explained = plans
    await store.apply(setting())
    first = Grant(grant_id="g0", name="g0", wire="nwc", created_at=NOW, account_id="alice", shown_history="account")
    new = [replace(first, grant_id=f"g{n}", name=f"g{n}", created_at=NOW - n) for n in range(4)]
    away = [
        replace(new[0], grant_id="ended", name="ended", revoked_at=NOW),
        replace(new[0], grant_id="own", name="own", shown_history="own"),
        replace(new[0], grant_id="bobs2", name="bobs2", account_id="bob"),
    ]
    for grant in (*new, *away):
        await store.apply(execute(grant.grant_id, SaveGrant(grant)))
    found = await store.grants_shown("alice", 3)
    assert [one.grant_id for one in found] == ["g3", "g2", "g1"]
    assert found == [new[3], new[2], new[1]]
    await store.apply(execute("less", SaveGrant(replace(new[3], shown_history="own", version=2))))
    assert [one.grant_id for one in await store.grants_shown("alice", 9)] == ["g2", "g1", "g0"]
    reads = [step for step in explained() if "grants_by_history" in step[0]]
    assert len(reads) == 2
    assert [step for step in reads if WALK.search(step[1])] == []
