"""The wallet service of Alby's sdk as a node: its side of the protocol, in front of a sandbox's money."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import nostr_sdk

from kitestring.backend.sandbox.world import World
from kitestring.base.destinations import Bolt11, Destination, Keysend
from kitestring.base.errors import CodecError
from kitestring.base.money import Msat
from kitestring.base.node import Backend, InvoiceOrder, NodeInvoiceState, PayOrder
from kitestring.base.payments import Failed, FailureReason, InFlight, Settled
from kitestring.codec import bolt11
from kitestring.codec.keysend import read_records
from kitestring.codec.uri import NwcUri
from kitestring.crypto.keys import SecretKey
from tests.kit.backend.sides import open_url
from tests.kit.backend.wallet import WalletSide, open_wallet
from tests.kit.chance import entropy
from tests.kit.interop.program import WAIT_LIMIT_S, Json

_CODES: Final = {
    FailureReason.INSUFFICIENT_FUNDS: "INSUFFICIENT_BALANCE", FailureReason.FEE_LIMIT: "FEE_LIMIT_EXCEEDED",
}  # fmt: skip
_STATES: Final = {
    NodeInvoiceState.OPEN: "pending", NodeInvoiceState.SETTLED: "settled", NodeInvoiceState.CANCELED: "expired",
}  # fmt: skip


def _named(text: str) -> Json:
    """What a record has of an invoice."""
    return {"invoice": text, "expires_at": bolt11.decode(text, recover=False).expires_at}


class RefusalError(Exception):
    """The code that a wallet refuses with."""


class SandboxWallet:
    """Answers requests as a small wallet would: it keeps a record of what it was asked, and its node has the money."""

    def __init__(self, node: Backend) -> None:
        self._node = node
        self._records: dict[str, Json] = {}

    async def answer(self, method: str, params: Json) -> Json:
        """A response. What it does not understand it calls OTHER."""
        try:
            return {"result": await getattr(self, method)(params)}
        except RefusalError as refused:
            return {"error": {"code": str(refused), "message": f"this wallet says {refused}"}}
        except CodecError as error:
            return {"error": {"code": "OTHER", "message": str(error)}}

    async def get_info(self, _: Json) -> Json:
        info = await self._node.info()
        return {
            "alias": info.alias, "color": info.color, "pubkey": info.node_id, "network": info.network,
            "block_height": info.block_height, "block_hash": info.block_hash, "methods": [],
        }  # fmt: skip

    async def get_balance(self, _: Json) -> Json:
        return {"balance": int((await self._node.balance()).spendable_msat)}

    async def make_invoice(self, params: Json) -> Json:
        order = InvoiceOrder(
            Msat(params["amount"]), params.get("description", ""), params.get("description_hash", ""),
            params.get("expiry", 3_600), entropy(32).hex(),
        )  # fmt: skip
        made = await self._node.make_invoice(order)
        return dict(self._record("incoming", made.payment_hash, params["amount"], _named(made.bolt11)))

    def _record(self, kind: str, payment_hash: str, amount_msat: int, more: Json) -> Json:
        record = {
            "type": kind, "state": "pending", "payment_hash": payment_hash, "amount": amount_msat, "fees_paid": 0,
            "created_at": int(time.time()), **more,
        }  # fmt: skip
        self._records[payment_hash] = record
        return record

    async def pay_invoice(self, params: Json) -> Json:
        invoice = bolt11.decode(params["invoice"])
        amount = int(invoice.amount_msat or params.get("amount", 0))
        destination = Bolt11(invoice.text, invoice.amount_msat is None)
        return await self._pay(destination, invoice.payment_hash, amount, params, _named(invoice.text))

    async def pay_keysend(self, params: Json) -> Json:
        preimage = params.get("preimage") or entropy(32).hex()
        key = Keysend(params["pubkey"], preimage, read_records(params.get("tlv_records")))
        payment_hash = sha256(bytes.fromhex(preimage)).hexdigest()
        return await self._pay(key, payment_hash, params["amount"], params, {})

    async def _pay(
        self, destination: Destination, payment_hash: str, amount_msat: int, params: Json, named: Json
    ) -> Json:
        record = self._records.get(payment_hash)
        if record is None or record["state"] == "failed":
            record = self._record("outgoing", payment_hash, amount_msat, named)
        order = PayOrder(destination, payment_hash, Msat(amount_msat), Msat(params.get("max_fee", 10_000)), 60)
        end = await self._node.pay(order)
        while isinstance(end, InFlight):
            end = await self._node.track(payment_hash)  # type: ignore[assignment]  # it was seen
        return self._ended(record, end)

    def _ended(self, record: Json, end: object) -> Json:
        match end:
            case Settled(preimage, fee_msat):
                told = {"preimage": preimage, "fees_paid": int(fee_msat)}
                record |= {**told, "state": "settled", "settled_at": int(time.time())}
                return told
            case Failed(_, reason):
                record["state"] = "failed"
                raise RefusalError(_CODES.get(reason, "PAYMENT_FAILED"))
            case _:
                raise RefusalError("INTERNAL")

    async def lookup_invoice(self, params: Json) -> Json:
        record = self._records.get(params["payment_hash"])
        if record is None:
            raise RefusalError("NOT_FOUND")
        return await self._looked_at(record)

    async def _looked_at(self, record: Json) -> Json:
        if record["type"] == "incoming":
            status = await self._node.lookup_invoice(record["payment_hash"])
            record["state"] = _STATES[status.state]
            if status.state is NodeInvoiceState.SETTLED:
                record |= {
                    "preimage": status.preimage, "settled_at": status.settled_at, "amount": int(status.received_msat),
                }  # fmt: skip
        return dict(record)

    async def list_transactions(self, params: Json) -> Json:
        """Of one second it knows what came later."""
        rows = [await self._looked_at(record) for record in reversed(self._records.values())]
        found = [
            row for row in rows
            if params.get("type") in {None, row["type"]} and row["created_at"] >= params.get("from", 0)
            and (params.get("unpaid") or row["state"] == "settled")
        ]  # fmt: skip
        offset = params.get("offset", 0)
        return {"transactions": found[offset : offset + params.get("limit", 20)], "total_count": len(found)}


METHODS: Final = [name for name in vars(SandboxWallet) if not name.startswith("_") and name != "answer"]


@asynccontextmanager
async def served(wallet: SandboxWallet, command: Sequence[str]) -> AsyncIterator[NwcUri]:
    """The link of a connection to that wallet, which Alby's sdk serves over a relay of nostr-sdk."""
    relay = nostr_sdk.LocalRelayBuilder().build()
    await relay.run()
    url, service, client = str(await relay.url()), SecretKey(entropy(32)), entropy(32)
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**24)
    reader, writer = child.stdout, child.stdin
    assert reader is not None
    assert writer is not None

    def say(value: object) -> None:
        writer.write(json.dumps(value).encode() + b"\n")

    async def answer(asked: Json) -> None:
        say({"id": asked["id"], **await wallet.answer(asked["method"], asked["params"])})

    async def listen() -> None:
        async with asyncio.TaskGroup() as answers:
            async for line in reader:
                answers.create_task(answer(json.loads(line)))

    say({"relay": url, "secret": service.hex(), "client": SecretKey(client).public_hex, "methods": METHODS})
    ready: Any = json.loads(await asyncio.wait_for(reader.readline(), WAIT_LIMIT_S))
    assert ready == {"ready": True}
    listening = asyncio.create_task(listen())
    try:
        yield NwcUri(service.public_hex, (url,), client)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        child.kill()
        await child.wait()
        child._transport.close()  # type: ignore[attr-defined]  # or its pipes are reported as left open
        relay.shutdown()


@asynccontextmanager
async def alby_side(directory: Path, command: Sequence[str]) -> AsyncIterator[WalletSide]:
    node = open_url("sandbox://?latency_ms=5", directory)
    await node.open()
    async with served(SandboxWallet(node), command) as uri:
        backend = open_wallet(uri, directory)
        await backend.open()
        await backend.info()
        try:
            with World(directory / "sandbox.db") as world:
                yield WalletSide(backend, uri, world, directory)
        finally:
            await backend.close()
    await node.close()
