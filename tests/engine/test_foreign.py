"""Methods of plugins: allowed by a permission of their own, bounded, and answered once, whatever their code does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from kitestring.base.commands import CallMethod
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import MethodCalled, Outcome, Refused
from kitestring.base.plugins import Asker, MethodPlugin
from kitestring.base.transactions.requests import ForgetRefusals
from kitestring.engine.context import Incoming
from kitestring.engine.foreign import HANDLER_S, MAX_AT_WORK, MAX_RESULT_BYTES
from tests.kit.clock import virtual
from tests.kit.engine.rig import Life, Rig

SECRET = "the words of a library with a secret in them"


class Text(msgspec.Struct):
    text: str = ""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """The bytes of answers that are kept of a grant here: some of them."""
    monkeypatch.setattr("kitestring.engine.foreign.MAX_REPLY_BYTES", 2_000)
    monkeypatch.setattr("kitestring.engine.foreign.MAX_KEPT_BYTES", 8_000)
    return 8_000


class Toys:
    """Handlers, and what they were asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Asker]] = []

    async def echo(self, params: Text, asker: Asker) -> Mapping[str, object]:
        self.asked.append((params.text, asker))
        match params.text:
            case "slow":
                await asyncio.sleep(HANDLER_S + 1)
            case "broken":
                raise ValueError(SECRET)
            case "refused":
                raise KitestringError(Reason.CONFLICT, "this round is complete")
            case "large":
                return {"text": "x" * MAX_RESULT_BYTES}
            case "no json":
                return {"text": object()}
        return {"text": params.text}


async def ready(rig: Rig, methods: str = "toys") -> Toys:
    toys = Toys()
    rig.context.plugins = {"echo": MethodPlugin("echo", Text, toys.echo, "toys")}
    await rig.account("purse", 0)
    await rig.grant("app", caller="ab" * 32, methods=methods, account="purse")
    return toys


async def ask(rig: Rig, text: str, name: str = "r1", grant_id: str = "app", **more: Any) -> Outcome | None:
    command = CallMethod(method="echo", permission="toys", params=msgspec.json.encode({"text": text}))
    now = rig.clock.now()
    await rig.engine.handle(Incoming(name, "nwc", grant_id, command, b"", now, refused_until=now + 300, **more))
    told = rig.told(name)
    return told[-1] if told else None


@virtual
async def test_a_call_is_carried_out_once_and_a_copy_gets_the_stored_answer(life: Life) -> None:
    async with life.service() as rig:
        toys = await ready(rig)
        answer = await ask(rig, "hello")
        assert isinstance(answer, MethodCalled)
        assert msgspec.json.decode(answer.result) == {"text": "hello"}
        ((text, asker),) = toys.asked
        assert (text, asker.request_id, asker.connection_id, asker.client) == ("hello", "r1", "app", "ab" * 32)
        assert await ask(rig, "hello") == answer
    async with life.service() as rig:
        rig.context.plugins = {"echo": MethodPlugin("echo", Text, toys.echo, "toys")}
        assert await ask(rig, "hello") == answer
        assert len(toys.asked) == 1
    life.audit()


@virtual
async def test_who_has_no_permission_for_it_calls_nothing(life: Life) -> None:
    async with life.service() as rig:
        toys = await ready(rig, "pay_invoice make_invoice echo")
        answer = await ask(rig, "hello")
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.NOT_PERMITTED
        await rig.change("app", methods=frozenset({"toys"}), revoked_at=rig.clock.now())
        ended = await ask(rig, "hello", "r2")
        assert isinstance(ended, Refused)
        assert ended.reason is Reason.CONNECTION_ENDED
        assert toys.asked == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("slow", Reason.INTERNAL),
        ("broken", Reason.INTERNAL),
        ("large", Reason.INTERNAL),
        ("no json", Reason.INTERNAL),
        ("refused", Reason.CONFLICT),
    ],
)
def test_whatever_its_code_does_there_is_one_answer_and_no_word_of_an_error(
    text: str, reason: Reason, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "kitestring.plugins")

    @virtual
    async def story(life: Life) -> None:
        async with life.service() as rig:
            await ready(rig)
            answer = await ask(rig, text)
            assert isinstance(answer, Refused)
            assert answer.reason is reason
            assert SECRET not in answer.message
            assert bool(answer.message == "this round is complete") == (reason is Reason.CONFLICT)
            assert await ask(rig, text) == answer
        life.audit()

    story(Life(tmp_path / "ledger.db"))


@virtual
async def test_slow_methods_hold_up_no_more_than_their_number(life: Life) -> None:
    async with life.service() as rig:
        await ready(rig)
        calls = [asyncio.create_task(ask(rig, "slow", f"s{number}")) for number in range(MAX_AT_WORK)]
        await asyncio.sleep(1)
        refused = await ask(rig, "hello")
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.RATE_LIMITED
        await asyncio.gather(*calls)
        assert isinstance(await ask(rig, "hello", "r2"), MethodCalled)


def test_of_the_answers_to_one_grant_no_more_is_kept_than_a_number_of_bytes(life: Life, small: int) -> None:
    @virtual
    async def story() -> None:
        async with life.service() as rig:
            toys = await ready(rig)
            await rig.grant("other", methods="toys", account="purse")
            told = [await ask(rig, "x" * 900, f"r{number}") for number in range(12)]
            refused = [one for one in told if isinstance(one, Refused)]
            assert {one.reason for one in refused} == {Reason.RATE_LIMITED}
            assert 3 <= len(toys.asked) == 12 - len(refused) < 12
            assert (await rig.store.unclaimed("app")).answer_bytes <= small
            copies = [await ask(rig, "x" * 900, f"r{number}") for number in range(12)]
            assert copies == told, "whatever was said is said again"
            assert isinstance(await ask(rig, "hello", "o1", "other"), MethodCalled)
            life.audit()
            await rig.delivery.flush()
            await life.clock.sleep(301)
            await rig.store.apply(ForgetRefusals(rig.clock.now(), 0))
            assert await rig.store.request("r0") is None
            assert isinstance(await ask(rig, "hello", "new"), MethodCalled)
        life.audit()

    story()


def test_calls_that_come_at_once_leave_room_for_each_others_answers(life: Life, small: int) -> None:
    @virtual
    async def story() -> None:
        async with life.service() as rig:
            toys = await ready(rig)
            await asyncio.gather(*(ask(rig, "x" * 900, f"r{number}") for number in range(12)))
            assert 3 <= len(toys.asked) < 12
            assert (await rig.store.unclaimed("app")).answer_bytes <= small

    story()


def test_a_call_whose_answer_was_forgotten_is_not_carried_out_by_a_copy(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kitestring.engine.answers.MAX_REFUSALS", 2)
    monkeypatch.setattr("kitestring.ledger.apply.refusals.FORGET_OLDEST", 1)

    @virtual
    async def story() -> None:
        async with life.service() as rig:
            toys = await ready(rig)
            sent_at = rig.clock.now()
            for number in range(3):
                assert isinstance(await ask(rig, f"call {number}", f"r{number}"), MethodCalled)
                await life.clock.sleep(1)
            assert await rig.store.request("r0") is None
            command = CallMethod(method="echo", permission="toys", params=b'{"text":"call 0"}')
            await rig.engine.handle(Incoming("r0", "nwc", "app", command, b"", sent_at, refused_until=sent_at + 300))
            assert rig.told("r0")[-1] == Refused(Reason.STALE_REQUEST)
            assert [text for text, _ in toys.asked] == ["call 0", "call 1", "call 2"]
        life.audit()

    story()


@virtual
async def test_a_call_that_has_expired_or_whose_plugin_is_gone_is_refused(life: Life) -> None:
    async with life.service() as rig:
        toys = await ready(rig)
        late = await ask(rig, "hello", expires_at=rig.clock.now())
        assert isinstance(late, Refused)
        assert late.reason is Reason.STALE_REQUEST
        rig.context.plugins = {}
        gone = await ask(rig, "hello", "r2")
        assert isinstance(gone, Refused)
        assert gone.reason is Reason.UNSUPPORTED
        assert toys.asked == []
