"""The example of the wallet runs as it stands."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from kitestring.base.money import sat
from kitestring.codec import pointers
from kitestring.codec.uri import encode_nwc
from kitestring.nostr.event import Event
from tests.kit.client.hostile import Request, hostile_relay, info_event, noffer, nwc_uri
from tests.kit.codec.invoices import PREIMAGE, invoice

EXAMPLE = Path(__file__).parents[2] / "examples" / "pay.py"


async def test_pay_prints_the_invoice_the_preimage_and_the_fee() -> None:
    now = int(time.time())
    text = invoice(sat(210), at=now)
    ours = {"type": "incoming", "state": "pending", "amount": 210_000, "created_at": now, "invoice": text}

    def script(request: Request) -> Iterable[Event]:
        if request.method == "":
            return [request.reply({"bolt11": invoice(sat(50), at=now)})]
        results = {
            "get_info": {"network": "regtest"},
            "make_invoice": ours,
            "pay_invoice": {"preimage": PREIMAGE, "fees_paid": 7},
        }
        return [request.result(results[request.method])]

    async with hostile_relay(script, stored=[info_event()]) as relay:
        arguments = (encode_nwc(nwc_uri(relay.url)), pointers.encode(noffer(relay.url)))
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(EXAMPLE), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        printed, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, "")
    assert printed.decode() == f"{text} {PREIMAGE} 0.007 sat\n"
