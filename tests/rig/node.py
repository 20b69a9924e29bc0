"""One lnd of the test network, spoken to through its own REST interface.

Every call opens and closes its own connection, so that a node can be used from any event loop. This is deliberately
not kitestring's own lnd backend: what a test compares has to be asked on another way.
"""

import base64
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

# Payments of the tests cross one hop; what takes longer than this hangs.
PAY_TIMEOUT_S = 20
CALL_TIMEOUT = aiohttp.ClientTimeout(total=60)
# lnd's own fee for one hop is 1 sat and a millionth of the amount.
FEE_LIMIT_MSAT = 100_000
# More than all tests together make.
ALL_PAYMENTS = 100_000


class NodeError(Exception):
    """lnd refused a call; the message is lnd's own."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as lnd gave it out."""

    bolt11: str
    payment_hash: str


@dataclass(frozen=True, slots=True)
class Payment:
    """How a payment ended: `SUCCEEDED` with preimage and fee, or `FAILED` with lnd's reason."""

    status: str
    payment_hash: str
    preimage: str
    amount_msat: int
    fee_msat: int
    failure_reason: str

    @classmethod
    def from_lnd(cls, answer: dict[str, Any]) -> "Payment":
        return cls(
            status=answer["status"],
            payment_hash=answer["payment_hash"],
            preimage=answer["payment_preimage"],
            amount_msat=int(answer["value_msat"]),
            fee_msat=int(answer["fee_msat"]),
            failure_reason=answer.get("failure_reason", ""),
        )


@dataclass(frozen=True, slots=True)
class LndNode:
    """Where one node is and what opens it."""

    name: str
    home: Path
    rest_port: int
    rpc_port: int
    peer_port: int

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def tls_cert(self) -> Path:
        return self.home / "tls.cert"

    @property
    def admin_macaroon(self) -> Path:
        return self.home / "data/chain/bitcoin/regtest/admin.macaroon"

    @property
    def service_macaroon(self) -> Path:
        """May make and see invoices, pay and see payments, read who the node is; nothing on chain, no channels."""
        return self.home / "kitestring.macaroon"

    @property
    def backend_url(self) -> str:
        """What `kitestring up --node` takes."""
        cert, macaroon = (quote(str(path), safe="/") for path in (self.tls_cert, self.service_macaroon))
        return f"lnd+https://{self.host}:{self.rest_port}?cert={cert}&macaroon={macaroon}"

    async def get(self, path: str, macaroon: Path | None = None) -> dict[str, Any]:
        """As the node's owner, or with another macaroon. Raises NodeError."""
        return await self._call("GET", path, None, macaroon)

    async def post(self, path: str, body: dict[str, Any], macaroon: Path | None = None) -> dict[str, Any]:
        """The answer, the last one where lnd streams several. Raises NodeError."""
        return await self._call("POST", path, body, macaroon)

    async def delete(self, path: str) -> dict[str, Any]:
        """As the node's owner. Raises NodeError."""
        return await self._call("DELETE", path, None, None)

    async def pubkey(self) -> str:
        return str((await self.get("/v1/getinfo"))["identity_pubkey"])

    async def invoice(self, amount_msat: int, memo: str = "", expiry_s: int = 3600) -> Invoice:
        """An invoice of this node; amount 0 leaves the amount to the payer."""
        made = await self.post("/v1/invoices", {"value_msat": amount_msat, "memo": memo, "expiry": expiry_s})
        return Invoice(made["payment_request"], base64.b64decode(made["r_hash"]).hex())

    async def hold_invoice(self, payment_hash: str, amount_msat: int) -> str:
        """A bolt11 whose payment stays in flight until `settle` or `cancel`."""
        body = {"hash": _base64(payment_hash), "value_msat": amount_msat}
        return str((await self.post("/v2/invoices/hodl", body))["payment_request"])

    async def settle(self, preimage: str) -> None:
        """Take the money held by a hold invoice."""
        await self.post("/v2/invoices/settle", {"preimage": _base64(preimage)})

    async def cancel(self, payment_hash: str) -> None:
        """Give the money held by a hold invoice back, or close an unpaid invoice."""
        await self.post("/v2/invoices/cancel", {"payment_hash": _base64(payment_hash)})

    async def pay(self, bolt11: str, amount_msat: int = 0, fee_limit_msat: int = FEE_LIMIT_MSAT) -> Payment:
        """Pay and wait for the end; a failed payment is an answer, not an error. `amount_msat` is for open codes."""
        body: dict[str, Any] = {
            "payment_request": bolt11,
            "fee_limit_msat": fee_limit_msat,
            "timeout_seconds": PAY_TIMEOUT_S,
            "no_inflight_updates": True,
        }
        if amount_msat:
            body["amt_msat"] = amount_msat
        return Payment.from_lnd(await self.post("/v2/router/send", body))

    async def lookup(self, payment_hash: str) -> dict[str, Any]:
        """lnd's record of an own invoice: `state`, `amt_paid_msat`, `settle_index` and so on."""
        return await self.get(f"/v1/invoice/{payment_hash}")

    async def payments(self) -> dict[str, Payment]:
        """Every payment this node ever tried, by payment hash, the unfinished ones too."""
        return {entry["payment_hash"]: Payment.from_lnd(entry) for entry in await self.payment_records()}

    async def payment_records(self) -> list[dict[str, Any]]:
        """The same as lnd tells it, with the attempts in `htlcs`. Unasked it would leave out all but the first 100."""
        answer = await self.get(f"/v1/payments?include_incomplete=true&max_payments={ALL_PAYMENTS}")
        records: list[dict[str, Any]] = answer["payments"]
        return records

    async def balance_msat(self) -> int:
        """What this node owns in its channels, without what is in flight."""
        return int((await self.get("/v1/balance/channels"))["local_balance"]["msat"])

    async def _call(self, method: str, path: str, body: dict[str, Any] | None, macaroon: Path | None) -> dict[str, Any]:
        chosen = macaroon or self.admin_macaroon
        # The one call that works before there is a macaroon asks whether the node is up.
        headers = {"Grpc-Metadata-macaroon": chosen.read_bytes().hex()} if chosen.exists() else {}
        url = f"https://{self.host}:{self.rest_port}{path}"
        trust = ssl.create_default_context(cafile=str(self.tls_cert))
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), timeout=CALL_TIMEOUT) as session,
            session.request(method, url, json=body, headers=headers) as response,
        ):
            answers = [json.loads(line) for line in (await response.text()).splitlines() if line.strip()]
        return [_result(answer) for answer in answers][-1]


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    """A stream wraps each answer in `result`, an error in `error`; a single error has `message` beside its code."""
    error = answer.get("error") or (answer if "code" in answer and "message" in answer else None)
    if error:
        raise NodeError(str(error["message"]))
    result: dict[str, Any] = answer.get("result", answer)
    return result


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
