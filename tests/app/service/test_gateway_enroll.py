"""CLINK Enroll through the gateway and the real engine: real events in, real events out."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.approvals import Block
from kitestring.base.enrolments import account_id_of
from kitestring.base.transactions.owner import SaveBlock
from kitestring.codec import pointers
from kitestring.codec.pointers import Ndebit, Nmanage, Noffer
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag, sign_event
from kitestring.nostr.pow import leading_zero_bits
from kitestring.nostr.work import find_nonce
from tests.kit.app.door import STRANGER, Door, door
from tests.kit.engine.rig import ENROLLING, Life

BITS = ENROLLING.terms.difficulty
DAY_S = 86_400


def enroll(door: Door, text: str = "{}", *, bits: int = BITS, more: list[list[str]] | None = None, **how: Any) -> Event:
    """A stranger's request, mined for so many bits; ``more`` are tags in place of those of this protocol."""
    asking: dict[str, Any] = {"key": STRANGER, "to": door.keyring.service_id, "kind": kinds.ENROLL}
    plain = door.event(text, **(asking | how))
    tags = plain.tags if more is None else [plain.tags[0], *more]
    return mined(how.get("key", STRANGER), plain, tags, bits)


def mined(key: SecretKey, plain: Event, tags: list[list[str]], bits: int) -> Event:
    if bits:
        tags = [*tags, find_nonce(key.public_hex, plain.created_at, plain.kind, tags, plain.content, bits)]
    return sign_event(
        key, kind=plain.kind, tags=tags, content=plain.content, created_at=plain.created_at, aux=b"\x00" * 32
    )


def lucky(door: Door, committed: int) -> Event:
    """A request whose id shows enough work, although its author has committed to less."""
    while True:
        event = enroll(door, bits=committed)
        if leading_zero_bits(event.id) >= BITS:
            return event


@door()
async def test_a_stranger_gets_the_codes_of_an_account_and_a_copy_the_same_answer(life: Life, door: Door) -> None:
    event = enroll(door)
    (told,) = await door.tell(event)
    assert told["res"] == "ok"
    found = [pointers.decode(told[name]) for name in ("noffer", "ndebit", "nmanage")]
    assert [type(one) for one in found] == [Noffer, Ndebit, Nmanage]
    assert {one.pubkey for one in found} == {door.keyring.service_id}
    assert await door.rig.store.account(account_id_of(STRANGER.public_hex)) is not None
    reply = door.pool.sent[-1]
    assert (reply.kind, reply.pubkey) == (21_004, door.keyring.service_id)
    assert reply.tags == [["p", STRANGER.public_hex], ["e", event.id], ["clink_version", "1"]]
    await door.forget()
    assert await door.tell(event) == [told]
    await door.clock.sleep(3_600)
    assert await door.tell(event) == [told], "whatever its age is"
    (again,) = await door.tell(enroll(door, bits=0))
    assert again == told, "who has an account needs no work"


@door()
async def test_less_work_is_told_how_much_is_asked_for_and_luck_is_not_enough(life: Life, door: Door) -> None:
    for event in (enroll(door, bits=0), enroll(door, bits=BITS - 1), lucky(door, 1)):
        (told,) = await door.tell(event)
        assert (told["res"], told["code"], told["required_difficulty"]) == ("GFY", 5, BITS)
        assert told["error"].startswith("Insufficient Proof of Work: ")
        assert await door.rig.store.request(event.id) is None
    assert await door.rig.store.account(account_id_of(STRANGER.public_hex)) is None


@door()
async def test_a_target_that_was_not_reached_proves_nothing(life: Life, door: Door) -> None:
    tags = [["clink_version", "1"], ["nonce", "7", "22"]]
    (told,) = await door.tell(enroll(door, bits=0, more=tags))
    assert told["code"] == 5


@door()
async def test_a_request_outside_of_its_window_is_told_so_and_opens_nothing(life: Life, door: Door) -> None:
    (stale,) = await door.tell(enroll(door, age_s=121))
    assert (stale["code"], stale["delta"]) == (3, {"max_delta_ms": 120_000, "actual_delta_ms": 121_000})
    (ahead,) = await door.tell(enroll(door, age_s=-31))
    assert (ahead["code"], ahead["delta"]) == (3, {"max_delta_ms": 30_000, "actual_delta_ms": 31_000})
    assert await door.tell(enroll(door, age_s=3_601)) == []
    assert await door.tell(enroll(door, age_s=DAY_S)) == []
    assert await door.rig.store.account(account_id_of(STRANGER.public_hex)) is None
    await door.clock.sleep(200)
    (old,) = await door.tell(enroll(door, age_s=120))
    assert old["res"] == "ok", "mining takes its time"


@door()
async def test_what_was_refused_is_not_carried_out_by_a_copy(life: Life, door: Door) -> None:
    ahead = enroll(door, age_s=-31)
    await door.tell(ahead)
    await door.clock.sleep(31)
    assert await door.tell(ahead) == []
    assert await door.rig.store.account(account_id_of(STRANGER.public_hex)) is None


@pytest.mark.parametrize("text", ["[]", '"x"', "null", "{}x", '{"a":NaN}'])
def test_what_is_no_object_is_an_invalid_request(life: Life, text: str) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        assert [reply["code"] for reply in await opened.tell(enroll(opened, text))] == [6]

    story(life)


@pytest.mark.parametrize("tags", [[], [["clink_version", "2"]]], ids=["none", "another"])
def test_a_request_of_another_version_is_an_invalid_request(life: Life, tags: list[list[str]]) -> None:
    @door()
    async def story(_: Life, opened: Door) -> None:
        assert [reply["code"] for reply in await opened.tell(enroll(opened, more=tags))] == [6]

    story(life)


@door()
async def test_what_nobody_can_read_and_what_is_sent_to_a_connection_is_met_with_silence(
    life: Life, door: Door
) -> None:
    assert await door.tell(enroll(door, cipher="nip04")) == []
    assert await door.tell(enroll(door, to=door.grant_key)) == []


@door()
async def test_a_blocked_key_is_denied(life: Life, door: Door) -> None:
    await door.rig.write(SaveBlock(STRANGER.public_hex, Block(STRANGER.public_hex, 1)))
    assert [reply["code"] for reply in await door.tell(enroll(door))] == [1]


@door()
async def test_a_thousand_keys_at_once_share_the_rates_of_strangers_and_of_new_accounts(life: Life, door: Door) -> None:
    """Of those who have done the work as many get their account as a minute has room for; all others hear why not, as
    far as refusals may be told, and leave no row."""
    keys = [SecretKey((number + 5).to_bytes(32, "big")) for number in range(1_000)]
    before = len(door.pool.sent)
    for start in range(0, len(keys), 100):
        for key in keys[start : start + 100]:
            door.gateway.receive(enroll(door, key=key, bits=1 if start else BITS), "ws://127.0.0.1:1")
        await door.gateway.drain(60)
    await door.clock.sleep(1)
    told = [door.read(reply) for reply in door.pool.sent[before:]]
    assert sum(reply["res"] == "ok" for reply in told) == 30
    assert all("retry_after" in reply for reply in told if reply.get("code") == 4)
    assert len(await door.rig.store.accounts()) == 31
    assert all(first_tag(reply, "e") for reply in door.pool.sent[before:])
