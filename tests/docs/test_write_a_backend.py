"""The page for those who write a backend names everything, and the backend on it keeps the rule that it teaches."""

import inspect
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import fields

from kitestring.backend.registry import BackendContext, BackendUrl
from kitestring.base.money import Msat
from kitestring.base.node import Backend, Capabilities, NodeUnreachableError
from kitestring.base.payments import Failed, NeverSeen, Settled, Unknown
from kitestring.transport.clock import SystemClock
from tests.kit.backend.sides import order, stranger_invoice
from tests.kit.chance import entropy
from tests.kit.pages import HOW_TO, blocks, names_of
from tests.rig.process import free_port

TEXT = (HOW_TO / "write-a-backend.md").read_text(encoding="utf-8")
ORDER = order(stranger_invoice(1_000, 1_800_000_000))

PAID = {"state": "paid", "preimage": "ab" * 32, "fee_msat": 7}
NONE = {"acme_error": "NO_SUCH_PAYMENT"}


def test_every_method_of_the_port_and_every_capability_is_on_the_page() -> None:
    heads = re.findall(r"^### (.*)$", TEXT, re.MULTILINE)
    methods = {name for name, _ in inspect.getmembers(Backend, inspect.isfunction) if not name.startswith("_")}
    assert (methods | {"node_id"}) - {"findings"} == {name for head in heads for name in head.split(", ")}
    assert "\n## Findings\n" in TEXT
    rows = re.findall(r"^\| ((?:`[a-z0-9_]+`(?:, )?)+) \|", TEXT, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"[a-z0-9_]+", row)}
    assert {field.name for field in fields(Capabilities)} <= named


@asynccontextmanager
async def acme(paying: tuple[int, object], looking: tuple[int, object], directory: Path) -> AsyncIterator[Any]:
    """The backend of the page, in front of a server that answers so."""
    (code,) = blocks("write-a-backend")
    names = names_of(code, "acme")

    def saying(status: int, said: object) -> Any:
        async def answer(request: web.Request) -> web.Response:
            assert request.headers["Authorization"] == "Bearer open sesame"
            return web.Response(status=status, body=said if isinstance(said, bytes) else json.dumps(said).encode())

        return answer

    app = web.Application()
    app.router.add_post("/pay", saying(*paying))
    app.router.add_get("/payments/{payment_hash}", saying(*looking))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    context = BackendContext(SystemClock(), entropy, directory, environment={"ACME": "open sesame"})
    backend = names["from_url"](BackendUrl.parse(f"acme+http://127.0.0.1:{port}?token=env:ACME"), context)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    ("paying", "looking", "kind", "reason"),
    [
        ((200, PAID), (404, NONE), Settled, ""),
        ((200, {"state": "failed"}), (404, NONE), Failed, "other"),
        ((200, {"state": "odd"}), (404, NONE), Unknown, ""),
        ((400, {"acme_error": "BAD_SIGNATURE"}), (404, NONE), Failed, "refused"),
        ((400, {"acme_error": "BAD_SIGNATURE"}), (200, PAID), Settled, ""),
        ((400, {"acme_error": "BAD_SIGNATURE"}), (404, b"404 page not found"), Unknown, ""),
        ((400, {"acme_error": "A_NEW_WORD"}), (404, NONE), Unknown, ""),
    ],
)
async def test_the_backend_of_the_page_says_failed_only_where_it_is_proven(
    tmp_path: Path, paying: tuple[int, object], looking: tuple[int, object], kind: type, reason: str
) -> None:
    async with acme(paying, looking, tmp_path) as backend:
        answer = await backend.pay(ORDER)
    assert type(answer) is kind
    assert reason == getattr(answer, "reason", "")


async def test_the_backend_of_the_page_leaves_to_the_engine_what_it_does_not_understand(tmp_path: Path) -> None:
    for body in (b"<html>Bad Gateway</html>", b"{"):
        async with acme((502, body), (404, NONE), tmp_path) as backend:
            with pytest.raises(Exception, match="HTTP status 502"):
                await backend.pay(ORDER)
    with pytest.raises(NodeUnreachableError):
        await backend.pay(ORDER)


async def test_the_backend_of_the_page_knows_what_it_has_never_seen(tmp_path: Path) -> None:
    async with acme((200, PAID), (404, NONE), tmp_path) as backend:
        assert isinstance(await backend.lookup_payment("00" * 32), NeverSeen)
        assert await backend.pay(ORDER) == Settled("ab" * 32, Msat(7))
