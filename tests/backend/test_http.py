"""The transport of REST backends against a real server with faults."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from kitestring.backend import http
from kitestring.backend.http import (
    Form,
    Lane,
    NodeAnswerError,
    NodeHttp,
    NodeRefusedError,
    Site,
    drain,
    read_pin,
)
from kitestring.backend.registry import BackendUrl
from kitestring.base.errors import KitestringError
from kitestring.base.node import NodeUnreachableError
from tests.kit.backend.lnd import make_certificate
from tests.rig.process import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Answer(msgspec.Struct):
    """What the node answers where all is well."""

    value: int


class Refusal(msgspec.Struct):
    """What it answers where it refuses."""

    code: int
    why: str


def refusal(status: int, body: bytes) -> NodeRefusedError | None:
    try:
        found = msgspec.json.decode(body, type=Refusal)
    except msgspec.MsgspecError:
        return None
    return NodeRefusedError("node", status, found.code, found.why)


@asynccontextmanager
async def serving(handler: Handler, **tls: Path) -> AsyncIterator[str]:
    """The origin of a server that answers everything with ``handler``; with ``cert`` and ``key`` it speaks TLS."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls["cert"], tls["key"])
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(site: Site) -> AsyncIterator[NodeHttp]:
    node = NodeHttp(site, refusal)
    await node.open()
    try:
        yield node
    finally:
        await node.close()


@asynccontextmanager
async def node_that(handler: Handler) -> AsyncIterator[NodeHttp]:
    async with serving(handler) as origin, asking(Site("node", origin, {"X-Key": "secret"})) as node:
        yield node


def saying(status: int, body: bytes, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return answer


def breaking_off(*parts: bytes) -> Handler:
    """Sends the parts, then breaks the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if parts:
            await response.prepare(request)
        for part in parts:
            await response.write(part)
        assert request.transport is not None
        request.transport.abort()
        return response

    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    """Bytes without a line's end, until the other side has had enough."""
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 1_000_000)
    return response


async def silent(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


# ------------------------------------------------------------ answers


async def test_a_call_shows_its_credential_and_its_body_as_json_and_nothing_of_the_node_is_kept() -> None:
    seen: list[tuple[str, str, str, object, bool]] = []

    async def answer(request: web.Request) -> web.Response:
        kept = "Cookie" in request.headers
        seen.append((request.method, request.path_qs, request.headers["X-Key"], await request.json(), kept))
        return web.Response(status=201, body=b'{"value": 7, "more": [1]}', headers={"Set-Cookie": "a=b"})

    async with node_that(answer) as node:
        for _ in range(2):
            assert await node.call("POST", "/pay?x=1", Answer, {"amount": 5}) == Answer(7)
    assert seen == [("POST", "/pay?x=1", "secret", {"amount": 5}, False)] * 2


@pytest.mark.parametrize(
    ("headers", "told_at"),
    [({"Date": "Thu, 09 Oct 2025 08:53:20 GMT"}, 1_760_000_000), ({"Date": "soon"}, 0)],
)
async def test_an_answer_tells_the_time_of_whoever_gave_it(headers: dict[str, str], told_at: int) -> None:
    async with node_that(saying(200, b'{"value": 7}', **headers)) as node:
        assert await node.call_dated("GET", "/info", Answer) == (Answer(7), told_at)


async def test_a_form_is_written_as_one() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.content_type == "application/x-www-form-urlencoded"
        assert dict(await request.post()) == {"invoice": "lnbc1", "note": "a&b=ü"}
        return web.Response(body=b'{"value": 1}')

    async with node_that(answer) as node:
        assert await node.call("POST", "/pay", Answer, Form(invoice="lnbc1", note="a&b=ü")) == Answer(1)


async def test_a_question_without_a_body_sends_none() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert (await request.read(), "Content-Type" in request.headers) == (b"", False)
        return web.Response(body=b'{"value": 1}')

    async with node_that(answer) as node:
        assert await node.call("GET", "/info", Answer) == Answer(1)


# ------------------------------------------------------------ refused, or nobody knows


async def test_the_nodes_own_error_is_told_with_status_code_and_words() -> None:
    body = b'{"code": 6, "why": "taken\\n\\u202e already' + b"." * 1_000 + b'"}'
    async with node_that(saying(409, body)) as node:
        with pytest.raises(NodeRefusedError) as caught:
            await node.call("POST", "/pay", Answer)
    refused = caught.value
    assert (refused.status, refused.code) == (409, 6)
    assert refused.message.startswith("taken already...")
    assert len(refused.message) == http.MAX_WORDS
    assert str(refused) == f"node: {refused.message} (code 6)"
    assert str(NodeRefusedError("node", 400, 0, "no")) == "node: no (HTTP status 400)"


SPOILED: dict[str, Handler] = {
    "page of a proxy": saying(502, b"<html>Bad Gateway</html>"),
    "error in another form": saying(400, b'{"detail": "no"}'),
    "sent elsewhere": saying(302, b'{"value": 1}', Location="http://127.0.0.1:1/"),
    "nothing": saying(200, b""),
    "no JSON": saying(200, b"{"),
    "another type": saying(200, b'{"value": "7"}'),
    "no text": saying(200, b'{"value": "\xff"}'),
    "too deep": saying(200, b'{"other":' * 100_000),
    "broken before the head": breaking_off(),
    "broken in the body": breaking_off(b'{"value": 7'),
    "endless": endless,
}


@pytest.mark.parametrize("fault", SPOILED)
async def test_after_any_other_answer_nobody_knows(fault: str) -> None:
    async with node_that(SPOILED[fault]) as node:
        with pytest.raises(NodeAnswerError):
            await node.call("POST", "/pay", Answer, {"amount": 5})


async def test_an_answer_that_does_not_come_is_waited_for_so_long_and_no_longer() -> None:
    async with node_that(silent) as node:
        with pytest.raises(NodeAnswerError, match="no answer within 0 s"):
            await node.call("POST", "/pay", Answer, limit_s=0.05)


async def test_an_order_is_never_sent_twice_by_itself() -> None:
    """The connection of the first is kept, and breaks under the second."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if len(asked) == 1:
            return web.Response(body=b'{"value": 1}')
        return await breaking_off()(request)

    async with node_that(answer) as node:
        await node.call("POST", "/pay", Answer)
        with pytest.raises(NodeAnswerError, match="ended the connection in the middle of its answer"):
            await node.call("POST", "/pay", Answer)
    assert asked == ["/pay", "/pay"]


# ------------------------------------------------------------ never asked


async def test_a_port_that_nobody_listens_on_was_never_asked() -> None:
    async with asking(Site("node", f"http://127.0.0.1:{free_port()}")) as node:
        with pytest.raises(NodeUnreachableError, match=r"^http://127.0.0.1:\d+ cannot be reached: "):
            await node.call("POST", "/pay", Answer)
        with pytest.raises(NodeUnreachableError):
            async with node.stream("POST", "/pay"):
                pass


async def test_a_name_that_leads_nowhere_was_never_asked() -> None:
    async with asking(Site("node", "http://nowhere.invalid:1")) as node:
        with pytest.raises(NodeUnreachableError, match="cannot be reached"):
            await node.call("GET", "/info", Answer)


async def test_a_node_is_asked_between_open_and_close_only() -> None:
    async with serving(saying(200, b'{"value": 1}')) as origin:
        node = NodeHttp(Site("node", origin), refusal)
        await node.close()
        with pytest.raises(NodeUnreachableError, match="not open"):
            await node.call("GET", "/info", Answer)
        await node.open()
        assert await node.call("GET", "/info", Answer) == Answer(1)
        for _ in range(2):
            await node.close()
        with pytest.raises(NodeUnreachableError, match="not open"):
            await node.call("GET", "/info", Answer)


async def test_only_the_pinned_certificate_is_spoken_to_whatever_its_name(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = make_certificate(tmp_path / "other")
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=b'{"value": 1}')

    async with serving(answer, cert=cert, key=key) as origin:
        for pem, words in ((cert, ""), (other, "shows another certificate than the one given as cert="), (None, "add")):
            pin = read_pin(BackendUrl.parse(f"x+https://h?cert={pem}" if pem else "x+https://h"))
            async with asking(Site("node", origin, pin=pin, certificate="its node.pem")) as node:
                if not words:
                    assert await node.call("GET", "/right", Answer) == Answer(1)
                    continue
                with pytest.raises(NodeUnreachableError, match=words) as caught:
                    await node.call("GET", "/wrong", Answer)
                assert "SSL" not in str(caught.value)
    assert "(its node.pem)" in str(caught.value)
    assert asked == ["/right"]


@pytest.mark.parametrize(
    "pem", ["", "-----BEGIN CERTIFICATE-----\nAAAA", "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----"]
)
def test_a_file_that_holds_no_certificate_is_named(tmp_path: Path, pem: str) -> None:
    (tmp_path / "pem").write_text(pem)
    with pytest.raises(KitestringError, match="holds no PEM certificate"):
        read_pin(BackendUrl.parse(f"x+https://h?cert={tmp_path}/pem"))
    with pytest.raises(KitestringError, match=r"the certificate .*missing cannot be read: no such file"):
        read_pin(BackendUrl.parse(f"x+https://h?cert={tmp_path}/missing"))


async def test_a_port_that_speaks_something_else_is_named() -> None:
    async def speak_grpc(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes.fromhex("000006040000000000000500004000"))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak_grpc, "127.0.0.1", 0) as server:
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asking(Site("node", origin)) as node:
            with pytest.raises(NodeAnswerError, match=f"^{origin} does not speak HTTP: is it the right port"):
                await node.call("GET", "/info", Answer)


# ------------------------------------------------------------ streams


async def follow(node: NodeHttp, found: list[bytes]) -> None:
    async with node.stream("GET", "/follow") as lines:
        async for line in lines:
            found.append(line)  # noqa: PERF401 - what came before a break counts


async def lines_of(node: NodeHttp) -> list[bytes]:
    found: list[bytes] = []
    await follow(node, found)
    return found


async def test_lines_come_whole_however_they_are_cut_and_without_the_empty_ones() -> None:
    async with node_that(saying(200, b'{"a":1}\n\n \n{"b":\n2}\nlast')) as node:
        assert await lines_of(node) == [b'{"a":1}', b'{"b":', b"2}", b"last"]

    async def in_pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"on", b"e\ntw", b"o", b"\n"):
            await response.write(piece)
            await asyncio.sleep(0)
        return response

    async with node_that(in_pieces) as node:
        assert await lines_of(node) == [b"one", b"two"]


async def test_a_stream_that_breaks_off_after_a_line_has_given_that_line() -> None:
    found: list[bytes] = []
    async with node_that(breaking_off(b"one\n")) as node:
        with pytest.raises(NodeAnswerError, match="in the middle of its answer"):
            await follow(node, found)
    assert found == [b"one"]


@pytest.mark.parametrize("fault", ["page of a proxy", "sent elsewhere", "broken before the head", "endless"])
async def test_a_stream_is_spoiled_as_a_call_is(fault: str) -> None:
    async with node_that(SPOILED[fault]) as node:
        with pytest.raises(NodeAnswerError):
            await lines_of(node)


async def test_a_stream_that_has_ended_leaves_its_connection_and_one_that_was_left_takes_it_along() -> None:
    ports: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        if request.path == "/endless":
            await asyncio.Event().wait()
        return response

    async with node_that(answer) as node:
        for path, is_drained in (("/ends", True), ("/ends", True), ("/endless", False), ("/ends", True)):
            async with node.stream("GET", path) as lines:
                assert await anext(lines) == b"one"
                if is_drained:
                    await drain(lines)
    assert ports[0] == ports[1] == ports[2] != ports[3]


async def test_to_drain_a_stream_that_breaks_is_no_error() -> None:
    async with node_that(breaking_off(b"one\n")) as node, node.stream("GET", "/follow") as lines:
        await drain(lines)


# ------------------------------------------------------------ lanes


async def test_payments_that_last_leave_room_for_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_PAYMENTS", 2)
    monkeypatch.setattr(http, "MAX_CALLS", 1)
    under_way, released = asyncio.Semaphore(0), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/pay":
            under_way.release()
            await released.wait()
        return web.Response(body=b'{"value": 1}')

    async with node_that(answer) as node, asyncio.timeout(20):
        paying = [asyncio.create_task(node.call("POST", "/pay", Answer, lane=Lane.PAYMENTS)) for _ in range(3)]
        for _ in range(2):
            await under_way.acquire()
        assert await node.call("GET", "/balance", Answer) == Answer(1)
        assert under_way.locked(), "a third payment was under way"
        released.set()
        assert await asyncio.gather(*paying) == [Answer(1)] * 3


async def test_closing_waits_until_the_sockets_of_cancelled_requests_are_gone(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    arrived = asyncio.Semaphore(0)

    async def answer(request: web.Request) -> web.StreamResponse:
        arrived.release()
        return await silent(request)

    async with serving(answer, cert=cert, key=key) as origin:
        pin = read_pin(BackendUrl.parse(f"x+https://h?cert={cert}"))
        async with asking(Site("node", origin, pin=pin)) as node:
            paying = [asyncio.create_task(node.call("POST", "/pay", Answer)) for _ in range(3)]
            for _ in paying:
                await arrived.acquire()
            made = list(node._sockets)
            for task in paying:
                task.cancel()
            await asyncio.gather(*paying, return_exceptions=True)
        assert [one.fileno() for one in made] == [-1, -1, -1]


async def test_a_credential_is_in_no_repr() -> None:
    site = Site("node", "http://host:1", {"X-Key": "secret"})
    assert "secret" not in f"{site!r}{NodeHttp(site, refusal)!r}"
