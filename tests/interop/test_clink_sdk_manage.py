"""clink-sdk manages offers, in two generations, at a service on the sandbox's node; its requests are made by its own
functions, and it reads our answers."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kitestring.codec.pointers import Noffer, PriceType, decode
from tests.conftest import NodeJs
from tests.kit.interop.program import Json, Kitestring, Script, eventually, running

#: How long clink-sdk waits for an answer; the owner of these tests decides within seconds.
TIMEOUT_S = 60
MUG: Json = {"price_sats": 12_000, "callback_url": "", "payer_data": ["email"]}
CREATE: Json = {"make": "newCreateRequest", "args": ["Mug", MUG, "@pointer"]}
LIST: Json = {"make": "newListRequest", "args": ["@pointer"]}


@dataclass(frozen=True, slots=True)
class Generation:
    """A version of clink-sdk: what it is imported as, and what of it asks."""

    sdk: str
    calls: str


GENERATIONS = {
    "1.5.4": Generation("@shocknet/clink-sdk", "Nmanage"),
    "1.1.7": Generation("clink-sdk-old", "SendNmanageRequest"),
}


@dataclass(slots=True)
class App:
    """clink-sdk, unmodified, in a script of ours, with a key of its own."""

    command: list[str]
    generation: Generation
    nmanage: str
    secret: str = field(default_factory=lambda: secrets.token_hex(32))

    @asynccontextmanager
    async def asking(self, *requests: Json) -> AsyncIterator[Script]:
        given = {
            "sdk": self.generation.sdk, "calls": self.generation.calls, "secret": self.secret,
            "nmanage": self.nmanage, "requests": requests, "timeout_s": TIMEOUT_S,
        }  # fmt: skip
        async with running(self.command, given) as script:
            assert (await script.line())["pointer"]["type"] == "nmanage"
            yield script

    async def ask(self, *requests: Json) -> list[Json]:
        async with self.asking(*requests) as script:
            replies = [await reply_of(script) for _ in requests]
            await script.end()
        return replies


async def reply_of(script: Script) -> Json:
    assert "asked" in await script.line()
    said = await script.line()
    assert "reply" in said, said
    reply: Json = said["reply"]
    return reply


@pytest.fixture(scope="module")
def seller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitestring]:
    """The service at which offers are managed. Whatever becomes of it, its books are right at the end."""
    home = tmp_path_factory.mktemp("seller") / "data"
    service = Kitestring(home)
    service.start()
    try:
        yield service
        assert service.ask("audit", "--node")["violations"] == []
    finally:
        stopped = service.stop()
    assert stopped == 0


@pytest.fixture(params=list(GENERATIONS))
def app(request: pytest.FixtureRequest, node_js: NodeJs, scripts: Path, seller: Kitestring) -> App:
    generation: str = request.param
    label = f"{generation} {request.node.name}"[:60]
    made = seller.ask("manage", "link", label)
    return App(node_js.command(scripts / "managing.mjs"), GENERATIONS[generation], made["nmanage"])


async def waiting(seller: Kitestring) -> list[Json]:
    found: list[Json] = []

    async def asked() -> bool:
        found[:] = (await seller.ask_apart("approvals"))["approvals"]
        return bool(found)

    await eventually(asked, "somebody asks")
    return found


async def let(seller: Kitestring, app: App, script: Script, verdict: str = "--always") -> Json:
    """The owner's yes to what the app asks for, and the app's answer."""
    (question,) = await waiting(seller)
    assert question["kind"] == "manage"
    await seller.ask_apart("approve", question["id"], verdict)
    return await reply_of(script)


async def test_it_waits_for_the_owner_and_then_makes_changes_lists_and_deletes(seller: Kitestring, app: App) -> None:
    async with app.asking(CREATE) as script:
        made = await let(seller, app, script)
        await script.end()
    details = made["details"]
    assert (made["res"], made["resource"]) == ("ok", "offer")
    assert details | MUG | {"label": "Mug"} == details
    code = decode(details["noffer"])
    assert isinstance(code, Noffer)
    assert (code.offer, code.price_type) == (details["id"], PriceType.VARIABLE)
    changed = {**details, "price_sats": 13_000}
    update = {"make": "newUpdateRequest", "args": [changed]}
    get = {"make": "newGetRequest", "args": [details["id"]]}
    gone = {"make": "newDeleteRequest", "args": [details["id"]]}
    updated, looked, listed, deleted, again, after = await app.ask(update, get, LIST, gone, gone, get)
    assert (updated["details"], looked["details"], listed["details"]) == (changed, changed, [changed])
    assert deleted == again == {"res": "ok", "resource": "offer"}
    assert (after["res"], after["code"]) == ("GFY", 6)


async def test_what_is_wrong_with_a_field_comes_back_with_its_name(seller: Kitestring, app: App) -> None:
    async with app.asking({"make": "newCreateRequest", "args": ["Tips", {}, "@pointer"]}) as script:
        made = await let(seller, app, script)
        await script.end()
    assert made["details"]["price_sats"] == 0
    bad = {"make": "newCreateRequest", "args": ["x", {"callback_url": "http://a.example"}, "@pointer"]}
    negative = {"make": "newCreateRequest", "args": ["x", {"price_sats": -1}, "@pointer"]}
    callback, price = await app.ask(bad, negative)
    assert (callback["code"], callback["field"]) == (5, "callback_url")
    assert (price["code"], price["field"], price["range"]["min"]) == (5, "price_sats", 0)


async def test_once_is_for_one_request_and_a_no_is_a_no(seller: Kitestring, app: App) -> None:
    async with app.asking(CREATE, CREATE) as script:
        first = await let(seller, app, script, "--once")
        assert first["res"] == "ok"
        (question,) = await waiting(seller)
        await seller.ask_apart("deny", question["id"])
        denied = await reply_of(script)
        await script.end()
    assert (denied["res"], denied["code"]) == ("GFY", 1)


async def test_anybody_pays_what_it_has_made_at_the_price_of_now(seller: Kitestring, app: App) -> None:
    async with app.asking({"make": "newCreateRequest", "args": ["Mug", {"price_sats": 50}, "@pointer"]}) as script:
        made = (await let(seller, app, script))["details"]
        await script.end()
    await app.ask({"make": "newUpdateRequest", "args": [{**made, "price_sats": 70}]})
    assert seller.run("sandbox", "pay", made["noffer"], "70").code == 0, "the code of before is good"
    (newest,) = (await seller.ask_apart("transactions", "--limit", "1"))["transactions"]
    assert (newest["type"], newest["amount_msat"], newest["offer_id"]) == ("incoming", 70_000, made["id"])
