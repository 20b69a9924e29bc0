"""What people are told when the address of lnd is not quite right."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from kitestring.base.node import NodeUnreachableError
from tests.kit.backend.lnd import FakeLnd, make_certificate
from tests.kit.backend.sides import open_url

#: What a gRPC server says first: HTTP/2 SETTINGS.
SETTINGS = bytes.fromhex("000006040000000000000500004000")


async def test_the_grpc_port_is_told_from_the_rest_port(tmp_path: Path) -> None:
    async def speak_grpc(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SETTINGS)
        await writer.drain()
        writer.close()

    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    (tmp_path / "macaroon").write_text("0201")
    async with await asyncio.start_server(speak_grpc, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"lnd+https://127.0.0.1:{port}?cert={certificate}&macaroon={tmp_path}/macaroon"
        lnd = open_url(url, tmp_path)
        await lnd.open()
        try:
            with pytest.raises(NodeUnreachableError, match=r"lnd's gRPC port; use its REST port \(8080 by default\)"):
                await lnd.balance()
        finally:
            await lnd.close()


async def test_a_certificate_that_nobody_has_signed_asks_for_lnds_own(tmp_path: Path) -> None:
    async with FakeLnd(tmp_path) as fake:
        lnd = open_url(fake.url.replace(f"cert={fake.cert}&", ""), tmp_path)
        await lnd.open()
        try:
            with pytest.raises(NodeUnreachableError, match=r"is not known: add cert=PATH \(lnd's tls.cert\)") as caught:
                await lnd.balance()
            assert "SSL" not in str(caught.value)
        finally:
            await lnd.close()
