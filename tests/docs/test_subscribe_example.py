"""The example of a subscription runs as it stands, twice, and charges once."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from kitestring.base.money import sat
from kitestring.codec import pointers
from kitestring.codec.uri import encode_nwc
from kitestring.nostr.event import Event
from tests.kit.client.hostile import Request, hostile_relay, info_event, ndebit, nwc_uri
from tests.kit.codec.invoices import invoice

EXAMPLE = Path(__file__).parents[2] / "examples" / "subscribe.py"


class Both:
    """The wallet of the program, and the service that it asks, at one relay."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.made: dict[str, dict[str, Any]] = {}

    def __call__(self, request: Request) -> Iterable[Event]:
        if request.method:
            return [request.result(self.wallet(request.method, request.members["params"]))]
        self.asked.append(request.members)
        if "bolt11" not in request.members:
            return [request.reply({"res": "ok"})]
        (found,) = (row for row in self.made.values() if row["invoice"] == request.members["bolt11"])
        found |= {"state": "settled", "settled_at": int(time.time()), "preimage": found["secret"]}
        return [request.reply({"res": "ok", "preimage": found["secret"]})]

    def wallet(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "get_info":
            return {"network": "regtest"}
        if method == "lookup_invoice":
            return self.made[params["payment_hash"]]
        assert method == "make_invoice"
        secret, now = f"{len(self.made) + 1:064x}", int(time.time())
        payment_hash = sha256(bytes.fromhex(secret)).hexdigest()
        text = invoice(params["amount"], payment_hash=payment_hash, at=now, description=params["description"])
        self.made[payment_hash] = {
            "type": "incoming", "state": "pending", "amount": params["amount"], "created_at": now, "invoice": text,
            "payment_hash": payment_hash, "secret": secret,
        }  # fmt: skip
        return {name: value for name, value in self.made[payment_hash].items() if name != "secret"}


async def run(*arguments: str, home: Path) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), *arguments, env={**os.environ, "XDG_DATA_HOME": str(home)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, errors = await process.communicate()
    return process.returncode, printed.decode(), errors.decode()


async def test_a_month_is_charged_once_however_often_the_program_runs(tmp_path: Path) -> None:
    both = Both()
    async with hostile_relay(both, stored=[info_event()]) as relay:
        arguments = (encode_nwc(nwc_uri(relay.url)), pointers.encode(ndebit(relay.url)), "--once")
        first = await run(*arguments, home=tmp_path)
        second = await run(*arguments, home=tmp_path)
    assert (first[0], first[2], first[1][:29]) == (0, "", "month 0 is paid, 500 sat, unt")
    assert second == (0, "", "")
    budget, payment = both.asked
    assert budget == {"pointer": "main", "amount_sats": 510, "frequency": {"number": 1, "unit": "month"}}
    assert (payment["amount_sats"], payment["description"]) == (500, "the blog")
    assert [row["amount"] for row in both.made.values()] == [int(sat(500))]
