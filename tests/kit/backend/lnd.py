"""A server with lnd's paths and a real TLS certificate that spoils its answers as told."""

import asyncio
import contextlib
import datetime
import ipaddress
import json
import ssl
from pathlib import Path
from typing import Self

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from tests.rig.process import free_port


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for another host name, as after a move, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "elsewhere")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("10.9.8.7"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = directory / "fake.cert", directory / "fake.key"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path


def _result(**members: object) -> bytes:
    return json.dumps({"result": members}).encode() + b"\n"


def _error(code: int, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "details": []}}).encode() + b"\n"


class FakeLnd:
    """``fault`` is the name of what happens to the answer of /v2/router/send, unless ``send`` is an answer of its own;
    look-ups answer ``track`` (status, body). ``date`` is what its clock shows, "" for the true time. With the fault
    "hang" there is no answer before ``released``; with ``last`` no connection is taken after one that is "cut before
    the headers". Only requests with the right macaroon reach any of it."""

    FAULTS = (
        "cut before the headers",
        "cut before a line",
        "cut in a line",
        "cut after in flight",
        "garbage",
        "page of a proxy",
        "error without a code",
        "error of lnd that nobody knows",
        "foreign payment",
        "float fee",
        "empty",
        "endless line",
        "refused, then gone",
    )

    def __init__(self, directory: Path) -> None:
        self.fault = ""
        self.node_id = "02" + "cd" * 32
        self.greetings = 0
        self.date = ""
        self.track: tuple[int, bytes] = (404, _error(5, "payment isn't initiated"))
        self.send: tuple[int, bytes] | None = None
        self.invoice: tuple[int, bytes] = (404, b"")
        self.payments: dict[str, object] = {}
        self.asked: list[URL] = []
        self.channels: list[dict[str, object]] = []
        self.sent: list[dict[str, object]] = []
        self.routes: tuple[int, bytes] = (404, _error(5, "unable to find a path to destination"))
        self.last = False
        self.released = asyncio.Event()
        self.cert, self._key = make_certificate(directory)
        self._macaroon = directory / "fake.macaroon"
        self._macaroon.write_bytes(b"\x02\x01fake")
        self._port = free_port()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"lnd+https://127.0.0.1:{self._port}?cert={self.cert}&macaroon={self._macaroon}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v2/router/send", self._send)
        app.router.add_get("/v2/router/track/{hash}", self._track)
        app.router.add_get("/v1/getinfo", self._getinfo)
        app.router.add_get("/v1/channels", self._channels)
        app.router.add_get("/v1/payments", self._payments)
        app.router.add_get("/v1/graph/routes/{key}/{amount}", self._routes)
        app.router.add_get("/v1/invoice/{hash}", self._invoice)
        for call in ("cancel", "settle", "hodl"):
            app.router.add_post(f"/v2/invoices/{call}", self._invoice)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self._key)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=context)
        await self._site.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _getinfo(self, request: web.Request) -> web.Response:
        if request.headers["Grpc-Metadata-macaroon"] != "020166616b65":
            return web.Response(status=500, body=_error(2, "verification failed"))
        self.greetings += 1
        info = {"identity_pubkey": self.node_id, "chains": [{"network": "regtest"}]}
        return web.json_response(info, headers={"Date": self.date} if self.date else {})

    async def _channels(self, request: web.Request) -> web.Response:
        return web.json_response({"channels": self.channels})

    async def _payments(self, request: web.Request) -> web.Response:
        self.asked.append(request.url)
        return web.json_response(self.payments)

    async def _routes(self, request: web.Request) -> web.Response:
        self.asked.append(request.url)
        return web.Response(status=self.routes[0], body=self.routes[1])

    async def _invoice(self, request: web.Request) -> web.Response:
        return web.Response(status=self.invoice[0], body=self.invoice[1])

    async def _track(self, request: web.Request) -> web.StreamResponse:
        if self.fault == "refused, then gone":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, body = self.track
        return web.Response(status=status, body=body)

    async def _send(self, request: web.Request) -> web.StreamResponse:
        if request.headers["Grpc-Metadata-macaroon"] != "020166616b65":
            return web.Response(status=500, body=_error(2, "verification failed"))
        self.sent.append(await request.json())
        if self.send is not None:
            return web.Response(status=self.send[0], body=self.send[1])
        if self.fault == "hang":
            await self.released.wait()
        if self.fault == "cut before the headers":
            assert request.transport is not None
            if self.last:
                await self._site.stop()
            request.transport.abort()
            return web.Response()
        if self.fault == "endless line":
            return await self._send_endless(request)
        status, body, cut = _SPOILED[self.fault]
        if not cut:
            return web.Response(status=status, body=body)
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        await response.write(body)
        await asyncio.sleep(0)
        assert request.transport is not None
        request.transport.abort()
        return response

    async def _send_endless(self, request: web.Request) -> web.StreamResponse:
        """Until the other side has had enough."""
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while request.transport is not None and not request.transport.is_closing():
                await response.write(b"x" * 1_000_000)
                await asyncio.sleep(0)  # writing waits for nothing: that the other side has gone must be heard
        return response


#: fault -> (status, body, whether the connection breaks after it)
_SPOILED = {
    "cut before a line": (200, b"", True),
    "cut in a line": (200, _result(payment_hash="00" * 32, status="FAILED")[:-20], True),
    "cut after in flight": (200, _result(payment_hash="00" * 32, status="IN_FLIGHT"), True),
    "garbage": (200, b'{"result": FAILED}\n', False),
    "page of a proxy": (502, b"<html>Bad Gateway</html>", False),
    "error without a code": (500, b'{"error": "payment failed"}', False),
    "error of lnd that nobody knows": (500, _error(2, "context canceled"), False),
    "foreign payment": (200, _result(payment_hash="00" * 32, status="FAILED"), False),
    "float fee": (200, b'{"result": {"payment_hash": "x", "status": "SUCCEEDED", "fee_msat": 1.5}}\n', False),
    "empty": (200, b"", False),
    "refused, then gone": (500, _error(2, "invoice expired. Valid until yesterday"), False),
}
