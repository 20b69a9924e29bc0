"""Whom a name means."""

from kitestring.base.grants import Grant
from kitestring.base.store import Store
from kitestring.base.transactions.owner import SaveGrant
from tests.kit.changed import replace
from tests.kit.ledger.values import (
    NOW,
    execute,
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
