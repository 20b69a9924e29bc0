"""The guarded way out, before real servers on loopback with every fault that they can have."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from kitestring.base.errors import Reason
from kitestring.transport.border import FetchError, FetchFault
from kitestring.transport.fetch import MAX_HEADER_BYTES, MAX_HEADERS, FetchCaps, Fetched, Fetcher
from kitestring.transport.names import AddressInfo, resolve
from kitestring.transport.proxies import Proxies
from tests.kit.clock import PATIENCE_S
from tests.kit.transport.proxy import proxy
from tests.kit.transport.web import answer, certified, leads_to, raw_server, redirect

#: Long enough for a server on this machine, however busy it is; what is too late never comes at all.
CAPS = FetchCaps(total_s=PATIENCE_S, body_bytes=1_000)
#: For servers that never end.
SHORT = FetchCaps(total_s=0.3, body_bytes=1_000)
OPEN = ("127.0.0.1", "localhost", "shop.test")


def fetcher() -> Fetcher:
    return Fetcher(private_hosts=OPEN, resolver=leads_to("127.0.0.1"))


async def ask(port: int, path: str = "/", caps: FetchCaps = CAPS, host: str = "127.0.0.1") -> Fetched:
    return await fetcher().fetch(f"http://{host}:{port}{path}", own=True, caps=caps)


async def fault_of(said: bytes, caps: FetchCaps = CAPS, *, again: bytes = b"", stays_open: bool = False) -> FetchError:
    async with raw_server(said, again=again, stays_open=stays_open) as server:
        with pytest.raises(FetchError) as caught:
            await ask(server.port, "/path?k1=secret", caps)
    assert "secret" not in caught.value.message
    assert caught.value.reason is Reason.UNAVAILABLE
    return caught.value


async def test_an_answer_has_its_status_its_type_and_its_body() -> None:
    async with raw_server(answer(b'{"a":1}', "Content-Type: Application/JSON; charset=utf-8")) as server:
        found = await ask(server.port, "/path?a=b#fragment")
    assert found == Fetched(200, "application/json", b'{"a":1}', f"http://127.0.0.1:{server.port}/path?a=b")
    assert server.asked[0].startswith(b"GET /path?a=b HTTP/1.1\r\n")


@pytest.mark.parametrize("status", ["402 Payment Required", "404 Not Found", "500 Broken", "304 Not Modified"])
async def test_an_answer_that_says_no_is_an_answer(status: str) -> None:
    async with raw_server(answer(b"", status=status)) as server:
        assert (await ask(server.port)).status == int(status[:3])


async def test_a_question_may_have_a_method_a_body_and_headers_and_says_who_asks() -> None:
    async with raw_server(answer(b"")) as server:
        await fetcher().fetch(
            f"http://127.0.0.1:{server.port}/hook", own=True, method="POST", body=b"paid", headers={"X-Signature": "ab"}
        )
    head = server.asked[0].lower()
    assert head.startswith(b"post /hook ")
    assert head.endswith(b"\r\n\r\npaid")
    assert b"x-signature: ab\r\n" in head
    assert b"user-agent: kitestring\r\n" in head


# ------------------------------------------------------------ where to


async def test_a_private_server_is_not_asked_by_what_others_have_written() -> None:
    async with raw_server(answer(b"")) as server:
        for url in (f"https://127.0.0.1:{server.port}/", f"https://shop.test:{server.port}/"):
            with pytest.raises(FetchError) as caught:
                await fetcher().fetch(url)
            assert (caught.value.fault, caught.value.reason) == (FetchFault.REFUSED, Reason.NOT_PERMITTED)
    assert server.asked == []


async def test_a_name_is_resolved_once_and_the_checked_address_is_the_one_that_is_dialled() -> None:
    asked: list[str] = []

    async def first_here_then_nowhere(host: str, port: int) -> Sequence[AddressInfo]:
        asked.append(host)
        return await leads_to("127.0.0.1" if len(asked) == 1 else "192.0.2.1")(host, port)

    async with raw_server(answer(b"here")) as server:
        one = Fetcher(private_hosts=OPEN, resolver=first_here_then_nowhere)
        assert (await one.fetch(f"http://shop.test:{server.port}/", own=True)).body == b"here"
    assert asked == ["shop.test"]


async def test_a_name_with_a_private_address_among_public_ones_is_not_asked() -> None:
    async with raw_server(answer(b"")) as server:
        one = Fetcher(resolver=leads_to("1.1.1.1", "127.0.0.1"))
        with pytest.raises(FetchError, match=r"^shop\.example is not on a public address"):
            await one.fetch(f"https://shop.example:{server.port}/")
    assert server.asked == []


async def test_tls_checks_the_name_although_the_address_is_pinned(tmp_path: Path) -> None:
    served, believed = certified("shop.test", tmp_path)
    async with raw_server(answer(b"safe"), trust=served) as server:
        here = leads_to("127.0.0.1")
        one = Fetcher(private_hosts=OPEN, resolver=here, trust=believed)
        assert (await one.fetch(f"https://shop.test:{server.port}/", own=True)).body == b"safe"
        for wrong, host in ((one, "localhost"), (Fetcher(private_hosts=OPEN, resolver=here), "shop.test")):
            with pytest.raises(FetchError, match=f"^{host} is not trusted: its certificate") as caught:
                await wrong.fetch(f"https://{host}:{server.port}/", own=True)
            assert caught.value.fault is FetchFault.UNREACHABLE
    assert len(server.asked) == 1


async def test_a_server_that_is_not_there_is_told_as_such(port: int) -> None:
    with pytest.raises(FetchError, match=r"^127\.0\.0\.1 cannot be reached: connection refused$") as caught:
        await ask(port)
    assert caught.value.fault is FetchFault.UNREACHABLE


# ------------------------------------------------------------ redirects


async def test_a_redirect_is_followed_and_the_answer_tells_who_gave_it() -> None:
    async with raw_server(answer(b"there")) as there, raw_server(redirect(f"http://127.0.0.1:{there.port}/x")) as here:
        found = await ask(here.port)
    assert (found.body, found.url) == (b"there", f"http://127.0.0.1:{there.port}/x")


async def test_a_relative_redirect_stays_at_its_server() -> None:
    async with raw_server(redirect("/loop?again")) as server:
        with pytest.raises(FetchError) as caught:
            await ask(server.port, "/start")
    assert [head.split()[1] for head in server.asked] == [b"/start", b"/loop?again", b"/loop?again", b"/loop?again"]
    assert caught.value.message == "127.0.0.1 has redirected 3 times, and no further one is followed"
    assert caught.value.fault is FetchFault.REDIRECTED


@pytest.mark.parametrize(
    "location",
    ["http://localhost:{port}/", "https://localhost:{port}/", "https://127.0.0.2:{port}/", "https://[::1]:{port}/",
     "https://169.254.169.254/latest/meta-data", "//localhost:{port}/x"],
)  # fmt: skip
async def test_a_redirect_to_another_host_is_checked_as_what_a_stranger_says(location: str) -> None:
    async with (
        raw_server(answer(b"inside")) as inside,
        raw_server(redirect(location.format(port=inside.port))) as server,
    ):
        with pytest.raises(FetchError) as caught:
            await ask(server.port)
    assert caught.value.fault is FetchFault.REFUSED
    assert inside.asked == []


@pytest.mark.parametrize("location", ["ftp://host/", "https://me:secret@host/", "http://[::1", "data:text/plain,x"])
async def test_a_redirect_to_what_is_no_address_is_a_fault_of_the_server(location: str) -> None:
    error = await fault_of(redirect(location))
    assert (error.fault, error.message) == (FetchFault.BROKEN, "127.0.0.1 redirects to what is no address")


async def test_a_redirect_without_a_place_is_a_fault_of_the_server() -> None:
    assert (await fault_of(answer(b"", status="302 Found"))).fault is FetchFault.BROKEN


@pytest.mark.parametrize("status", ["301 x", "302 x", "303 x", "307 x", "308 x"])
async def test_no_redirect_is_followed_where_the_caller_says_so_nor_for_what_changes_something(status: str) -> None:
    async with raw_server(redirect("/there", status)) as server:
        url = f"http://127.0.0.1:{server.port}/"
        for method, caps in (("GET", FetchCaps(redirects=0)), ("POST", FetchCaps())):
            with pytest.raises(FetchError) as caught:
                await fetcher().fetch(url, own=True, method=method, caps=caps)
            assert caught.value.message == "127.0.0.1 answers with a redirect, and no further one is followed"
    assert len(server.asked) == 2


async def test_nothing_is_carried_from_one_server_to_the_next() -> None:
    """Neither what the caller has sent to the first one, nor its cookies."""
    async with raw_server(answer(b"")) as there:
        leave = answer(b"", f"Location: http://shop.test:{there.port}/", "Set-Cookie: a=b; Path=/", status="302 Found")
        async with raw_server(leave) as here:
            one = fetcher()
            for _ in range(2):
                await one.fetch(f"http://shop.test:{here.port}/", own=True, headers={"Authorization": "L402 secret"})
    assert all(b"Authorization: L402 secret" in head for head in here.asked)
    assert not any(b"secret" in head for head in there.asked)
    assert not any(b"cookie" in head.lower() for head in (*here.asked, *there.asked))


# ------------------------------------------------------------ size and time


@pytest.mark.parametrize(("size", "fits"), [(1_000, True), (1_001, False)])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("told", [True, False])
async def test_a_body_may_be_as_large_as_the_caller_says(size: int, fits: bool, packed: bool, told: bool) -> None:
    body = gzip.compress(bytes(size)) if packed else bytes(size)
    encoding = ["Content-Encoding: gzip"] if packed else []
    whole = answer(body, *encoding)
    if not told:
        whole = whole.replace(f"Content-Length: {len(body)}\r\n".encode(), b"")
    async with raw_server(whole) as server:
        if fits:
            assert (await ask(server.port)).body == bytes(size)
            return
        with pytest.raises(FetchError) as caught:
            await ask(server.port)
    assert caught.value.fault is FetchFault.TOO_LARGE
    assert caught.value.message == "127.0.0.1 answers with more than 1,000 bytes"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_is_not_unpacked(encoding: str) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    bomb = b"".join((*(packer.compress(bytes(2**20)) for _ in range(128)), packer.flush()))
    tracemalloc.start()
    try:
        error = await fault_of(answer(bomb, f"Content-Encoding: {encoding}"), FetchCaps(PATIENCE_S, 1_000_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.fault is FetchFault.TOO_LARGE
    assert peak < 16 * 2**20  # of 128 MiB


@pytest.mark.parametrize(
    "said",
    [
        answer(b"no gzip", "Content-Encoding: gzip"),
        answer(gzip.compress(b"cut off")[:-6], "Content-Encoding: gzip"),
        answer(gzip.compress(b"and more") + b"more", "Content-Encoding: gzip"),
        answer(zlib.compress(b"raw")[2:-4], "Content-Encoding: deflate"),
        answer(b"x", "Content-Encoding: br"),
        answer(b"x", "Content-Encoding: gzip, gzip"),
        answer(b"short", length=500),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello",
    ],
)
async def test_an_answer_that_breaks_off_or_is_none_is_a_fault_of_the_server(said: bytes) -> None:
    assert (await fault_of(said)).fault is FetchFault.BROKEN


async def test_an_answer_that_is_longer_than_it_says_is_none() -> None:
    assert (await fault_of(answer(b"hello, and more", length=5))).fault is FetchFault.BROKEN


async def test_a_length_beyond_the_limit_is_refused_before_the_body_comes() -> None:
    said = answer(b"", length=10**12)
    assert (await fault_of(said, stays_open=True)).fault is FetchFault.TOO_LARGE


@pytest.mark.parametrize(
    ("said", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 1_000),
        (b"HTTP/1.1 ", b"2" * 1_000),
    ],
)
async def test_a_head_that_never_ends_is_given_up_by_its_size(said: bytes, again: bytes) -> None:
    error = await fault_of(said, again=again)
    assert (error.fault, error.message) == (
        FetchFault.BROKEN, "127.0.0.1 answers with a head that is no HTTP, or too large",
    )  # fmt: skip


async def test_a_head_may_have_as_many_lines_as_common_servers_send() -> None:
    headers = [f"X-{number}: {'x' * 500}" for number in range(MAX_HEADERS - 1)]
    assert MAX_HEADER_BYTES > 500
    async with raw_server(answer(b"", *headers)) as server:
        assert (await ask(server.port)).status == 200


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\n", answer(b"slow", length=500), b"HTTP/1.1 100 Continue\r\n\r\n"]
)
async def test_a_server_that_falls_silent_is_given_up(said: bytes) -> None:
    error = await fault_of(said, SHORT, stays_open=True)
    assert (error.fault, error.message) == (FetchFault.LATE, "127.0.0.1 has not answered within 0.3 s")


async def test_a_server_that_goes_on_saying_wait_is_given_up_by_its_time() -> None:
    again = b"HTTP/1.1 102 Processing\r\n\r\n"
    assert (await fault_of(again, SHORT, again=again)).fault is FetchFault.LATE


async def test_the_time_covers_the_look_up_of_the_name() -> None:
    async def never(_host: str, _port: int) -> Sequence[AddressInfo]:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # nobody sets it

    with pytest.raises(FetchError, match="has not answered") as caught:
        await Fetcher(resolver=never).fetch("https://shop.example", caps=SHORT)
    assert caught.value.fault is FetchFault.LATE


async def test_more_than_a_number_of_questions_wait_within_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kitestring.transport.fetch.MAX_AT_ONCE", 1)
    one = fetcher()
    async with raw_server(b"", stays_open=True) as silent, raw_server(answer(b"")) as server:
        first = asyncio.ensure_future(one.fetch(f"http://127.0.0.1:{silent.port}/", own=True, caps=CAPS))
        await silent.has_asked.wait()
        with pytest.raises(FetchError) as caught:
            await one.fetch(f"http://127.0.0.1:{server.port}/", own=True, caps=SHORT)
        assert caught.value.fault is FetchFault.LATE
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert (await one.fetch(f"http://127.0.0.1:{server.port}/", own=True, caps=CAPS)).status == 200
    assert len(server.asked) == 1


# ------------------------------------------------------------ proxies


async def test_an_onion_address_is_resolved_by_the_proxy() -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    async with raw_server(answer(b"hidden")) as server, proxy(asked, socks=True) as port:
        one = Fetcher(Proxies(ws=f"socks5h://127.0.0.1:{port}"))
        found = await one.fetch(f"http://abc.onion:{server.port}/x")
    assert found.body == b"hidden"
    assert asked.get_nowait() == b"\x03abc.onion"


async def test_a_proxy_that_fails_is_named_and_not_shown(port: int) -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    async with proxy(asked, socks=False) as refusing:
        for url, sentence in (
            (f"http://me:secret@127.0.0.1:{refusing}", "the proxy does not lead to shop.example"),
            (f"http://me:secret@127.0.0.1:{port}", "the proxy to shop.example cannot be reached: connection refused"),
            (f"socks5://me:secret@127.0.0.1:{port}", "the proxy does not lead to shop.example"),
        ):
            with pytest.raises(FetchError) as caught:
                await Fetcher(Proxies(wss=url)).fetch("https://shop.example", own=True)
            assert caught.value.fault is FetchFault.UNREACHABLE
            assert caught.value.message.startswith(sentence)
            assert "secret" not in caught.value.message


async def test_a_redirect_behind_a_proxy_leads_to_no_other_host() -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    async with raw_server(redirect("https://other.example/")) as server, proxy(asked, socks=True) as port:
        one = Fetcher(Proxies(ws=f"socks5://127.0.0.1:{port}", wss=f"socks5://127.0.0.1:{port}"))
        with pytest.raises(FetchError, match=r"where other\.example leads to cannot be checked behind a proxy"):
            await one.fetch(f"http://abc.onion:{server.port}/", own=True)
    assert asked.qsize() == 1


async def test_the_repr_of_an_answer_shows_neither_its_url_nor_its_body() -> None:
    assert "secret" not in repr(Fetched(200, "text/plain", b"secret", "https://host/?k1=secret"))


def test_the_system_resolves_a_name_of_this_machine() -> None:
    found = asyncio.run(_resolved())
    assert {row[1] for row in found} == {socket.SOCK_STREAM}
    assert all(row[4][1] == 443 for row in found)


async def _resolved() -> Sequence[AddressInfo]:
    return await resolve("localhost", 443)
