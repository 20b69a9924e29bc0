"""Web servers that say byte for byte what a test has laid ready, over TCP or TLS, and note what they were asked."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kitestring.transport.border import AddressLookup
from kitestring.transport.names import AddressInfo


@dataclass(slots=True)
class RawServer:
    """``asked`` are the heads of the requests, with their bodies; ``has_asked`` is set by the first."""

    port: int = 0
    asked: list[bytes] = field(default_factory=list)
    has_asked: asyncio.Event = field(default_factory=asyncio.Event)


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """A whole answer; ``length`` is what it says of its length, where that is a lie."""
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers))
    return head.encode() + b"\r\n\r\n" + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(b"", f"Location: {location}", status=status)


@asynccontextmanager
async def raw_server(
    said: bytes, *, again: bytes = b"", stays_open: bool = False, trust: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Says ``said`` to everybody, then ``again`` forever, and closes, unless it ``stays_open``, saying no more."""
    server, writers = RawServer(), set[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            server.asked.append(await reader.readuntil(b"\r\n\r\n") + await _rest(reader))
            server.has_asked.set()
            writer.write(said)
            await writer.drain()
            while again:
                writer.write(again)
                await writer.drain()
            if stays_open:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the one who asked has gone: that is what such a test is about
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=trust)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """The body of a request, of which these tests know the length: what has come with the head."""
    return await reader.read(65_536) if reader._buffer else b""  # type: ignore[attr-defined]  # asyncio tells it no other way


def leads_to(*addresses: str) -> AddressLookup:
    """A resolver for which every name has these addresses."""

    async def resolve(_host: str, port: int) -> Sequence[AddressInfo]:
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in addresses
        ]  # fmt: skip

    return resolve


def certified(name: str, place: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server whose certificate is made for ``name``, and of somebody who believes that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (place / "both.pem").write_bytes(secret + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(place / "both.pem")
    return server, ssl.create_default_context(cadata=pem.decode())
