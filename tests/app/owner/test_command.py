"""A command is carried out once per caller and key, and one at a time, through however many doors it comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kitestring.app.owner.command import read_params
from kitestring.app.owner.commands import OwnerCommands, all_commands, command
from kitestring.app.service.service_desk import ServiceDesk
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.money import sat
from kitestring.base.transactions.owner import Execute, SaveGrant
from tests.kit.app.desk import Heard, real_desk
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life, Rig
from tests.kit.rates import HangingRates


def door(desk: ServiceDesk) -> OwnerCommands[Any]:
    """Each door may make its own: what must not happen twice is kept by the desk."""
    return OwnerCommands(desk, all_commands())


async def device(rig: Rig) -> Grant:
    """A second caller of the owner's."""
    grant = Grant(grant_id="device", name="device", wire="owner")
    await rig.write(SaveGrant(grant))
    return grant


async def refused(asked: Any) -> KitestringError:
    with pytest.raises(KitestringError) as caught:
        await asked
    return caught.value


def claims(rig: Rig) -> list[str]:
    """What the owner's commands have claimed, in order."""
    found = [tx.request.request_id for tx in rig.store.applied if isinstance(tx, Execute)]
    return [claim for claim in found if len(claim) == len("ctl:") + 64]


async def named(rig: Rig, name: str) -> list[Grant]:
    return [grant for grant in await rig.store.grants() if grant.name == name]


@virtual
async def test_two_doors_that_look_for_one_name_at_the_same_time_make_one_connection(life: Life) -> None:
    async with life.service(start=False) as rig:
        desk = real_desk(rig)
        owner = await door(desk).owner()
        asked = (door(desk).run(owner, "connect", {"name": "alice"}, f"k{number}") for number in range(5))
        answers = await asyncio.gather(*asked)
        assert len(await named(rig, "alice")) == 1
        assert sorted(answer["created"] for answer in answers) == [False, False, False, False, True]
        assert len({answer["nwc_uri"] for answer in answers}) == 1


@virtual
async def test_a_repeated_key_gets_the_same_answer_through_any_door_and_its_secret_is_not_stored(life: Life) -> None:
    async with life.service(start=False) as rig:
        desk = real_desk(rig)
        owner = await door(desk).owner()
        first = await door(desk).run(owner, "connect", {"name": "alice"}, "k")
        again = await door(desk).run(owner, "connect", {"name": "alice"}, "k")
        assert first["nwc_uri"].startswith("nostr+walletconnect://")
        assert again == first
        assert isinstance(desk.connections, Heard)
        assert desk.connections.changed == [first["connection_id"]]
        (message,) = await rig.store.messages(claims(rig)[-1])
        assert b"nostr+walletconnect" not in message.plaintext


@virtual
async def test_a_key_is_taken_for_one_set_of_parameters(life: Life) -> None:
    async with life.service(start=False) as rig:
        commands = door(real_desk(rig))
        owner = await commands.owner()
        await commands.run(owner, "offer_create", {"label": "tea"}, "k")
        other = await refused(commands.run(owner, "offer_create", {"label": "cake"}, "k"))
        assert other.reason is Reason.ALREADY_USED
        assert [offer.label for offer in await rig.store.offers()] == ["tea"]


@virtual
async def test_the_keys_of_two_callers_do_not_meet(life: Life) -> None:
    async with life.service(start=False) as rig:
        desk = real_desk(rig)
        owner, other = await door(desk).owner(), await device(rig)
        made = await door(desk).run(owner, "offer_create", {"label": "tea"}, "order-17")
        dearer = {"label": "tea", "price_msat": 5_000}
        found = await refused(door(desk).run(other, "offer_create", dearer, "order-17"))
        assert (found.reason, found.details["offer_id"]) == (Reason.CONFLICT, made["offer_id"])
        cake = await door(desk).run(other, "offer_create", {"label": "cake"}, "order-17")
        assert cake["offer_id"] != made["offer_id"]
        rows = [await rig.store.request(claim) for claim in claims(rig)]
        assert [row.grant_id for row in rows if row is not None] == ["owner", "device"]


@virtual
async def test_what_was_denied_does_not_use_up_its_key(life: Life) -> None:
    async with life.service(start=False) as rig:
        commands = door(real_desk(rig))
        owner = await commands.owner()
        await commands.run(owner, "account_create", {"name": "bob"}, "k")
        have = int((await rig.node.balance()).spendable_msat)
        params = {"account": "bob", "amount_msat": have + 1}
        denied = await refused(commands.run(owner, "account_fund", params, "fund"))
        assert denied.reason is Reason.INSUFFICIENT_FUNDS
        funded = await commands.run(owner, "account_fund", {**params, "amount_msat": 5_000}, "fund")
        assert (funded["available_msat"], await rig.available("bob")) == (5_000, sat(5))
        assert await commands.run(owner, "account_fund", {**params, "amount_msat": 5_000}, "fund") == funded
        assert await rig.available("bob") == sat(5)


@virtual
async def test_a_stored_answer_is_given_although_the_handler_would_refuse_by_now(life: Life) -> None:
    async with life.service(start=False) as rig:
        commands = door(real_desk(rig))
        owner = await commands.owner()
        await commands.run(owner, "connect", {"name": "alice"}, "k1")
        ended = await commands.run(owner, "revoke", {"name": "alice"}, "k2")
        assert await commands.run(owner, "revoke", {"name": "alice"}, "k2") == ended
        assert (await refused(commands.run(owner, "revoke", {"name": "alice"}, "k3"))).reason is Reason.UNKNOWN_TARGET


@virtual
async def test_a_node_or_a_relay_that_hangs_keeps_no_other_command_waiting(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with life.service(start=False) as rig:
        desk, hangs, waiting = real_desk(rig), asyncio.Event(), list[str]()
        commands, owner = door(desk), await door(desk).owner()

        async def never(grant_id: str) -> None:
            waiting.append(grant_id)
            await hangs.wait()

        await rig.grant("rogue")
        await rig.account("kid", 0)
        life.node.replace("balance", hangs.wait)
        funding = asyncio.create_task(commands.run(owner, "account_fund", {"account": "kid", "amount_msat": 1}, "f"))
        await rig.clock.sleep(1)
        with monkeypatch.context() as relay:
            relay.setattr(desk.connections, "grant_changed", never)
            making = asyncio.create_task(commands.run(owner, "connect", {"name": "alice"}, "c"))
            await rig.clock.sleep(1)
        async with asyncio.timeout(1):
            await commands.run(owner, "revoke", {"name": "rogue"}, "r")
        assert (funding.done(), making.done(), len(waiting)) == (False, False, 1)
        for task in (funding, making):
            task.cancel()


@virtual
async def test_two_fundings_under_one_key_at_the_same_time_move_the_money_once(life: Life) -> None:
    async with life.service(start=False) as rig:
        commands, params = door(real_desk(rig)), {"account": "kid", "amount_msat": 5_000}
        owner = await commands.owner()
        await rig.account("kid", 0)
        answers = await asyncio.gather(*(commands.run(owner, "account_fund", params, "f") for _ in range(3)))
        assert answers == [answers[0]] * 3
        assert await rig.available("kid") == 5_000


@virtual
async def test_an_owner_that_was_revoked_behind_the_service_loses_all_doors_at_once(life: Life) -> None:
    async with life.service(start=False) as rig:
        commands = door(real_desk(rig))
        assert (await commands.run(await commands.owner(), "offer_list", {}))["offers"] == []
        await rig.change("owner", revoked_at=rig.clock.now())
        lost = await refused(commands.run(await commands.owner(), "offer_list", {}))
        assert (lost.reason, lost.message) == (
            Reason.NOT_PERMITTED,
            "`offer_list` needs the right to read: the grant owner was revoked",
        )


@virtual
async def test_two_processes_that_carry_out_one_key_at_once_do_it_once_and_tell_the_same(life: Life) -> None:
    async with life.service(start=False) as rig:
        first, second = real_desk(rig), real_desk(rig)  # each with a lock of its own
        owner = await door(first).owner()
        apply, meanwhile = rig.store.apply, list[object]()

        async def overtaken(tx: Any) -> Any:
            if isinstance(tx, Execute) and not meanwhile:
                meanwhile.append(tx)
                meanwhile.append(await door(second).run(owner, "offer_create", {"label": "tea"}, "k"))
            return await apply(tx)

        rig.store.apply = overtaken
        told = await door(first).run(owner, "offer_create", {"label": "tea"}, "k")
        assert told == meanwhile[1]
        assert len(await rig.store.offers()) == 1


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("connect", {"name": ""}, "connect: name must not be empty"),
        ("connect", {"name": "x" * 65}, "connect: name has at most 64 characters"),
        ("offer_create", {"label": "tea", "payer_data": [""]}, "offer create: payer data must not be empty"),
        ("connect", {"name": 5}, "connect: name must be a string"),
        ("connect", {"name": None}, "connect: name must be a string"),
        ("connect", {}, "connect: name is missing"),
        ("connect", {"name": "a", "nmae": "b"}, "connect: there is no parameter 'nmae'"),
        ("connect", {"name": "a", "period": "hour"}, "connect: period cannot be 'hour'"),
        ("connect", {"name": "a", "methods": "pay_invoice"}, "connect: methods must be a list"),
        ("connect", {"name": "a", "budget_msat": -1}, "connect: budget msat must be at least 0"),
        ("connect", {"name": "a", "expires_at": True}, "connect: expires at must be a whole number"),
        ("offer_create", {"label": "tea", "payer_data": ["x"] * 9}, "offer create: payer data has at most 8 values"),
        (
            "offer_create",
            {"label": "t", "price_msat": 2**70},
            "offer create: price msat must be at most 9007199254740991",
        ),
        ("transactions", {"unpaid": "yes"}, "transactions: unpaid must be true or false"),
    ],
)
def test_a_wrong_parameter_is_told_in_plain_words(name: str, params: dict[str, object], words: str) -> None:
    with pytest.raises(KitestringError) as refusal:
        read_params(command(name), params)
    assert (refusal.value.reason, refusal.value.message) == (Reason.MALFORMED, words)


WITHIN_EUROS = [
    ("connect", {"name": "bob", "currency": "EUR", "budget_minor": 1_000}),
    ("connection_edit", {"name": "alice", "budgets": [{"currency": "EUR", "limit_minor": 1_000}]}),
    (
        "debit_pointer_create",
        {"label": "till", "policy": "budget", "budgets": [{"currency": "EUR", "limit_minor": 1_000}]},
    ),
]


@virtual
@pytest.mark.parametrize(("name", "params"), WITHIN_EUROS)
async def test_a_source_of_rates_that_hangs_keeps_no_other_command_waiting(
    life: Life, name: str, params: dict[str, Any]
) -> None:
    async with life.service(start=False) as rig:
        rates = HangingRates(EUR=100_000)
        desk = replace(real_desk(rig), rates=rates)
        owner = await door(desk).owner()
        for other in ("alice", "gone"):
            await door(desk).run(owner, "connect", {"name": other}, f"k-{other}")
        slow = asyncio.create_task(door(desk).run(owner, name, params, "k2"))
        await rates.waiting.wait()
        revoked = await asyncio.wait_for(door(desk).run(owner, "revoke", {"name": "gone"}, "k3"), 1)
        assert revoked["revoked_at"] is not None
        assert not slow.done()
        rates.answers.set()
        assert await slow
