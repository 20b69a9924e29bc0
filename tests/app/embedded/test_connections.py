"""Connections that a program makes, changes and ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kitestring import (
    Budget,
    KitestringError,
    Reason,
    Service,
    Wallet,
    sat,
)
from kitestring.relay.server import Relay
from tests.kit.waiting import until


def test_a_grant_of_a_known_name_is_returned_with_its_link_and_other_values_are_refused(tmp_path: Path) -> None:
    service = Service(relays=["ws://127.0.0.1:1"], store=tmp_path / "kite.db")
    made, found = service.grant("agent", methods={"pay_invoice"}), service.grant("agent")
    assert found == made
    assert made.nwc_uri is not None
    with pytest.raises(KitestringError, match="another budget") as refused:
        service.grant("agent", budget=Budget.daily(sat(100)))
    assert refused.value.reason is Reason.CONFLICT
    assert made.nwc_uri not in repr(made)
    assert sorted(path.name for path in tmp_path.iterdir() if "db-" not in path.name) == [
        "kite.db",
        "kite.key",
        "kite.lock",
    ]


async def test_a_running_service_makes_connections_that_work_at_once(relay: Relay, tmp_path: Path) -> None:
    async with Service(relays=[relay.url], store=tmp_path / "kite.db") as service:
        grant = await service.add_grant("later")
        assert grant.nwc_uri is not None
        assert grant.missing_on == {}
        async with Wallet.open(grant.nwc_uri) as wallet:
            assert await wallet.balance() == sat(10_000), "what its budget allows: 10,000 sat a day, unless it is said"
        rich = await service.add_grant("rich", budget=None)
        assert rich.nwc_uri is not None
        async with Wallet.open(rich.nwc_uri) as wallet:
            assert await wallet.balance() == sat(1_000_000)

        async def is_used() -> bool:
            return (await service.add_grant("later")).nwc_uri is None

        await until(is_used)
        with pytest.raises(KitestringError, match="add_grant"):
            service.grant("too late")


async def test_a_connection_is_listed_changed_and_ended_whether_the_service_runs_or_not(service: Service) -> None:
    made = await service.add_grant("agent", methods=["pay_invoice"], budget=Budget.daily(sat(100)), encryption="nip44")
    (before,) = await service.grants()
    assert (before.name, before.connection_id, before.account) == ("agent", made.connection_id, "owner")
    assert (before.methods, before.encryption, before.used) == (("pay_invoice",), "nip44", False)
    assert before.budgets == (Budget.daily(sat(100)),)
    async with service:
        changed = await service.update_grant(made, budget=Budget.weekly(sat(50)), per_payment=sat(5), max_fee=sat(1))
        assert (changed.budgets, changed.per_payment, changed.fee_cap) == ((Budget.weekly(sat(50)),), sat(5), sat(1))
        (stands,) = await service.budgets("agent")
        assert (stands.budget, stands.used, stands.left) == (Budget.weekly(sat(50)), sat(0), sat(50))
        assert stands.renews_at is not None
    plain = await service.update_grant("agent", budget=None, per_payment=None, new_name="robot")
    assert (plain.name, plain.budgets, plain.per_payment, plain.fee_cap) == ("robot", (), None, sat(1))
    with pytest.raises(KitestringError, match="needs the running service"):
        await service.budgets("robot")
    await service.revoke("robot")
    assert await service.grants() == []


async def test_what_nobody_has_limited_is_limited_and_none_is_no_limit(service: Service) -> None:
    await service.add_grant("agent")
    await service.add_grant("owner's own", budget=None)
    assert [one.budgets for one in await service.grants()] == [(Budget.daily(sat(10_000)),), ()]


async def test_another_value_is_refused_and_the_refusal_says_which(service: Service) -> None:
    await service.add_grant("agent", budget=Budget.daily(sat(100)))
    with pytest.raises(KitestringError, match="another budget") as refused:
        await service.add_grant("agent", budget=Budget.daily(sat(9)))
    assert (refused.value.reason, refused.value.details["differs"]) == (Reason.CONFLICT, ["budget"])


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"budget": 5_000}, r"a budget is written Budget.daily"),
        ({"budget": Budget(5_000, "day")}, "not as a bare number"),  # type: ignore[arg-type]  # what mypy refuses too
        ({"per_payment": 5_000}, "not as a bare number"),
        ({"max_fee": 5_000}, "not as a bare number"),
        ({"methods": "pay_invoice"}, r"write methods=\['pay_invoice'\]"),
    ],
)
async def test_a_bare_number_or_word_is_refused_before_anything_is_made(
    service: Service, terms: dict[str, Any], words: str
) -> None:
    for make in (service.add_grant, service.update_grant):
        with pytest.raises(TypeError, match=words):
            await make("agent", **terms)
    assert await service.grants() == []


async def test_a_paused_app_is_refused_until_it_is_resumed_and_another_link_ends_the_old_one(service: Service) -> None:
    made = await service.add_grant("agent")

    async def is_used() -> bool:
        return (await service.grants())[0].used

    async with service:
        async with Wallet.open(str(made.nwc_uri)) as wallet:
            await wallet.balance()
            await until(is_used)
            assert (await service.pause(made)).name == "agent"
            with pytest.raises(KitestringError):
                await wallet.balance()
            assert (await service.resume("agent")).connection_id == made.connection_id
            await wallet.balance()
        anew = await service.rotate(made)
        assert (anew.connection_id, anew.nwc_uri == made.nwc_uri) == (made.connection_id, False)
        async with Wallet.open(str(anew.nwc_uri)) as wallet:
            await wallet.balance()
    with pytest.raises(KitestringError) as refused:
        await service.pause("nobody")
    assert refused.value.reason is Reason.UNKNOWN_TARGET
