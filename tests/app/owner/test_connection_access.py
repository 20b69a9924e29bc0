"""Whether the app of a connection gets in: a new link ends the old one, a pause holds it off, an end is forever."""

from __future__ import annotations

from typing import Any

from kitestring.base.errors import Reason
from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from tests.app.owner.test_connection_edits import asks_to_pay, refused_as, stored
from tests.app.owner.test_connections import HERE, THERE, made, use
from tests.kit.app.desk import Office
from tests.kit.changed import replace
from tests.kit.engine.node import Script

PAYS: dict[str, Any] = {"name": "alice", "budget_msat": 100_000, "period": "day", "methods": ["pay_invoice"]}


# ------------------------------------------------------------ another link


async def test_a_rotated_connection_has_another_secret_over_the_relays_of_today_and_all_else_as_before(
    office: Office,
) -> None:
    shown = await office.run("connect", name="alice", budget_msat=5_000, period="day", expires_in_s=60)
    await use(office, "alice")
    (before,) = await made(office)
    await office.rig.change(before.grant_id, nip44_seen=True)
    (before,) = await made(office)
    office.relays_are(HERE, THERE)
    office.relays_live(THERE)
    anew = await office.run("connection_rotate", "k2", name="alice")
    old, new = decode_nwc(shown["nwc_uri"]), decode_nwc(anew["nwc_uri"])
    (after,) = await made(office)
    assert (new.relays, new.service_pubkey) == ((THERE, HERE), old.service_pubkey)
    assert after.caller == SecretKey(new.secret).public_hex != before.caller == SecretKey(old.secret).public_hex
    assert len(after.link_salt) == 32
    assert after == replace(
        before, caller=after.caller, link_salt=after.link_salt, relays=new.relays, nip44_seen=False,
        version=before.version + 1,
    )  # fmt: skip
    assert office.announced[-1] == before.grant_id


async def test_rotating_again_with_its_key_shows_the_same_link_and_with_another_key_the_next(office: Office) -> None:
    await office.run("connect", name="alice")
    first = await office.run("connection_rotate", "k2", name="alice")
    assert await office.run("connection_rotate", "k2", name="alice") == first
    assert (await office.run("link", "k3", name="alice"))["nwc_uri"] == first["nwc_uri"]
    second = await office.run("connection_rotate", "k4", name="alice")
    assert second["nwc_uri"] != first["nwc_uri"]


async def test_what_has_ended_or_never_was_is_not_rotated(office: Office) -> None:
    await office.run("connect", name="alice", expires_in_s=60)
    office.rig.clock.advance(61)
    ended = await office.refused("connection_rotate", "k2", name="alice")
    assert (ended.reason, "kitestring connection edit alice --expires" in ended.message) == (
        Reason.CONNECTION_ENDED,
        True,
    )
    assert (await office.refused("connection_rotate", "k3", name="bob")).reason is Reason.UNKNOWN_TARGET


async def test_nobody_rotates_a_connection_to_what_he_may_not_do_himself(office: Office) -> None:
    await office.run("connect", name="alice")
    before = await made(office)
    await office.set_owner(methods=frozenset({"manage"}))
    assert (await office.refused("connection_rotate", "k2", name="alice")).reason is Reason.NOT_PERMITTED
    assert await made(office) == before


async def test_a_payment_that_is_under_way_outlives_the_link_it_was_asked_with(office: Office) -> None:
    await office.run("connect", **PAYS)
    hanging = await asks_to_pay(office, "r1", Script(settles_after_s=None))
    await office.has_state(hanging, "dispatched")
    await office.run("connection_rotate", "k2", name="alice")
    office.node.release(hanging)
    await office.has_state(hanging, "settled")


# ------------------------------------------------------------ a pause


async def stands(office: Office) -> dict[str, Any]:
    (row,) = (await office.run("connections"))["connections"]
    return {name: row[name] for name in ("state", "paused_at")}


async def test_a_paused_connection_pays_nothing_until_it_is_resumed(office: Office) -> None:
    await office.run("connect", **PAYS)
    told = await office.run("connection_pause", "k2", name="alice")
    now = office.rig.clock.now()
    assert (told["changed"], told["state"], told["paused_at"]) == (True, "paused", now)
    assert await stands(office) == {"state": "paused", "paused_at": now}
    assert len(office.announced) == 2, "it is served anew at once"
    await asks_to_pay(office, "r1")
    assert await refused_as(office, "r1") == "not_permitted"
    assert office.node.sends == []
    resumed = await office.run("connection_resume", "k3", name="alice")
    assert (resumed["changed"], resumed["state"], resumed["paused_at"]) == (True, "active", None)
    await office.has_state(await asks_to_pay(office, "r2"), "settled")


async def test_a_payment_that_is_under_way_goes_on_through_a_pause_and_counts(office: Office) -> None:
    await office.run("connect", **PAYS)
    hanging = await asks_to_pay(office, "r1", Script(settles_after_s=None, fee=1_000))
    await office.has_state(hanging, "dispatched")
    held = (await office.run("connection_pause", "k2", name="alice"))["spent_msat"]
    office.node.release(hanging)
    await office.has_state(hanging, "settled")
    spent = (await office.run("connection_show", name="alice"))["spent_msat"]
    assert 0 < spent < held, "the reserve that was not needed is free again"


async def test_a_second_pause_changes_nothing_and_so_does_a_second_resume(office: Office) -> None:
    await office.run("connect", **PAYS)
    assert (await office.run("connection_resume", "k2", name="alice"))["changed"] is False
    first = await office.run("connection_pause", "k3", name="alice")
    office.rig.clock.advance(60)
    again = await office.run("connection_pause", "k4", name="alice")
    assert (again["changed"], again["paused_at"]) == (False, first["paused_at"])
    assert (await stored(office)).version == 2


async def test_a_paused_connection_can_be_changed_and_rotated_and_stays_paused(office: Office) -> None:
    shown = await office.run("connect", **PAYS)
    await office.run("connection_pause", "k2", name="alice")
    edited = await office.run("connection_edit", "k3", name="alice", budgets=[], new_name="bob")
    assert edited["state"] == "paused"
    rotated = await office.run("connection_rotate", "k4", name="bob")
    assert rotated["nwc_uri"] not in {None, shown["nwc_uri"]}
    assert (await stands(office))["state"] == "paused"


async def test_what_was_paused_and_has_expired_is_called_expired_and_stays_paused_beneath(office: Office) -> None:
    await office.run("connect", **PAYS, expires_in_s=60)
    await office.run("connection_pause", "k2", name="alice")
    office.rig.clock.advance(61)
    assert (await stands(office))["state"] == "expired"
    await office.run("connection_edit", "k3", name="alice", expires_at=None)
    assert (await stands(office))["state"] == "paused"


async def test_nobody_resumes_what_he_may_not_do_himself_but_everybody_who_manages_may_pause(office: Office) -> None:
    await office.run("connect", **PAYS)
    await office.set_owner(methods=frozenset({"manage"}))
    assert (await office.run("connection_pause", "k2", name="alice"))["changed"]
    assert (await office.refused("connection_resume", "k3", name="alice")).reason is Reason.NOT_PERMITTED
    assert (await stored(office)).paused_at is not None


async def test_what_is_not_there_is_neither_paused_nor_resumed(office: Office) -> None:
    for command in ("connection_pause", "connection_resume"):
        assert (await office.refused(command, name="nobody")).reason is Reason.UNKNOWN_TARGET


# ------------------------------------------------------------ the end


async def test_a_revoked_connection_is_gone_and_its_name_is_free(office: Office) -> None:
    await office.run("connect", name="alice")
    ended = await office.run("revoke", name="alice")
    assert await office.run("revoke", name="alice") == ended
    assert (await office.run("connections"))["connections"] == []
    assert [grant.version for grant in await made(office)] == [2]
    assert (await office.run("connect", "k3", name="alice"))["nwc_uri"] is not None
    assert (await office.refused("revoke", "k4", name="bob")).reason is Reason.UNKNOWN_TARGET
    assert len(office.announced) == 3


async def test_who_names_a_revoked_connection_is_told_when_it_ended(office: Office) -> None:
    await office.run("connect", name="alice")
    await office.run("revoke", name="alice")
    commands = ("revoke", "connection_show", "connection_pause", "connection_rotate")
    for number, command in enumerate(commands):
        refused = await office.refused(command, f"n{number}", name="alice")
        assert refused.reason is Reason.UNKNOWN_TARGET
        assert refused.message.startswith("the connection 'alice' was revoked on 20")
