"""A thousand keys enroll at once, and one through kills and an old backup: an account each, forever the same codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kitestring.base.enrolments import is_enrolled
from kitestring.crypto.keys import SecretKey
from kitestring.policy.enrolling import EnrollTerms
from tests.kit.app.client import WORK_BITS, Newcomer
from tests.kit.app.house import House, Service
from tests.kit.clock import virtual
from tests.kit.engine.crossings import Crossings

KEYS = 1_000
MOST = 200


async def accounts(service: Service) -> int:
    return sum(is_enrolled(account.account_id) for account in await service.store.accounts())


async def told(newcomer: Newcomer) -> Any:
    """The answer to a new request."""
    return await newcomer.first(newcomer.publish(newcomer.request()))


@virtual
async def test_a_thousand_keys_get_as_many_accounts_as_there_are_and_nothing_is_stored_of_the_others(
    tmp_path: Path,
) -> None:
    house = House(tmp_path, enroll=EnrollTerms("open", WORK_BITS, MOST, 10_000))
    async with house.service() as service:
        some = service.newcomer(1)
        newcomers = [
            Newcomer(
                SecretKey((number + 1_000).to_bytes(32)), some.service, house.relay, house.clocks.app, house.entropy
            )
            for number in range(KEYS)
        ]
        asked = [newcomer.publish(newcomer.request()) for newcomer in newcomers]
        await house.clocks.service.sleep(30)
        answers = [newcomer.replies(event) for newcomer, event in zip(newcomers, asked, strict=True)]
        codes = {reply["noffer"] for replies in answers for reply in replies if reply["res"] == "ok"}
        assert len(codes) == await accounts(service) == MOST
        no = {reply["code"] for replies in answers for reply in replies if reply["res"] == "GFY"}
        assert no <= {1, 4}, "it is full, or too many have asked"
        stored = [event for event in asked if await service.store.request(event.id) is not None]
        assert len(stored) == MOST
    assert house.violations() == []


@virtual
async def test_a_key_has_the_same_codes_after_kills_and_with_a_backup_from_before_it_had_any(tmp_path: Path) -> None:
    house = House(tmp_path, enroll=EnrollTerms("open", WORK_BITS))
    async with house.service():
        pass
    before = house.copy()
    async with house.service() as service:
        newcomer = service.newcomer(1)
        first = await told(newcomer)
        assert first["res"] == "ok"
    for at in ("before EnrollKey", "after EnrollKey"):
        crossings = Crossings(at=at)
        async with house.service(crossings) as service:
            other = service.newcomer(2)
            other.publish(other.request())
            await crossings.killed.wait()
    async with house.service() as service:
        assert await told(newcomer) == first
        assert (await told(service.newcomer(2)))["res"] == "ok"
        assert await accounts(service) == 2
    house.restore(before)
    async with house.service() as service:
        assert await told(newcomer) == first, "an account is opened anew, and its codes go on to work"
    assert house.violations() == []
