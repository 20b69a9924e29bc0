"""The example of a webhook runs as it stands, and the snippets of the page judge signatures as it does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kitestring.wire.webhooks import signature
from tests.conftest import NodeJs
from tests.kit.app.console import Service
from tests.kit.clock import PATIENCE_S
from tests.kit.pages import HOW_TO

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "webhook.py"
PAGE = HOW_TO / "be-told-of-payments-by-a-webhook.md"
URL = "https://shop.example/paid?a=1&b=é"
SECRET = "5e" * 32
BODY = '{"id":"1","label":"Té"}'.encode()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def line(till: asyncio.subprocess.Process) -> str:
    assert till.stdout is not None
    return (await asyncio.wait_for(till.stdout.readline(), PATIENCE_S)).decode().rstrip()


async def opened(room: Path, port: int, secret: str) -> asyncio.subprocess.Process:
    till = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), str(port), cwd=room, env={**os.environ, "WEBHOOK_SECRET": secret},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert await line(till) == "open"
    return till


async def closed(till: asyncio.subprocess.Process) -> str:
    assert till.stderr is not None
    till.kill()
    await till.wait()
    return (await till.stderr.read()).decode()


async def test_the_till_hears_of_each_payment_once_and_of_none_that_is_not_signed(tmp_path: Path) -> None:
    home, port = tmp_path / "data", free_port()
    home.mkdir(mode=0o700)
    (home / "kitestring.toml").write_text(f'[network]\nprivate_hosts = ["127.0.0.1:{port}"]\n')
    service = await asyncio.to_thread(Service.start, home)

    def ok(*words: str) -> dict[str, Any]:
        return service.ok(*words)

    try:
        url = f"http://127.0.0.1:{port}/paid"
        made = await asyncio.to_thread(ok, "offer", "create", "tea", "--price", "210", "--webhook", url)
        secret = (await asyncio.to_thread(ok, "offer", "webhook", "tea"))["secret"]
        till = await opened(tmp_path, port, secret)
        try:
            assert (await asyncio.to_thread(ok, "offer", "webhook", "tea", "--test"))["test"]["taken"] is True
            await asyncio.to_thread(ok, "sandbox", "pay", made["noffer"])
            assert await line(till) == "tea, paid with 210 sat"
            delivery = await taken(ok)
            assert (delivery["status"], delivery["amount_msat"]) == ("HTTP status 204", 210_000)
            await asyncio.to_thread(ok, "offer", "resend", delivery["delivery"])
            await taken(ok)
            await asyncio.to_thread(ok, "sandbox", "pay", made["noffer"])
            assert await line(till) == "tea, paid with 210 sat"  # the repetition was none
        finally:
            complaints = await closed(till)
        assert complaints == ""
        till = await opened(tmp_path, port, SECRET)
        try:
            test = await asyncio.to_thread(service.run, "--json", "offer", "webhook", "tea", "--test")
            assert (test.exit_code, json.loads(test.stdout)["test"]["status"]) == (1, "HTTP status 403")
        finally:
            await closed(till)
    finally:
        await asyncio.to_thread(service.stop)


async def taken(ok: Any) -> dict[str, Any]:
    """The newest delivery, once it was taken."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            (newest,) = (await asyncio.to_thread(ok, "offer", "deliveries", "tea", "--limit", "1"))["deliveries"]
            if newest["state"] == "delivered":
                return dict(newest)


# ------------------------------------------------------------ the snippets


def snippet(language: str) -> str:
    (code,) = re.findall(f"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(code)


def cases() -> list[tuple[bool, str, str, str, bytes]]:
    """Whether it is to be believed, then the header, the method, the address and the body."""
    now = int(time.time())
    post, get = signature(SECRET, now, "POST", URL, BODY), signature(SECRET, now, "GET", URL, None)
    return [
        (True, post, "POST", URL, BODY),
        (True, get, "GET", URL, b""),
        (False, post, "POST", URL, BODY + b" "),
        (False, post, "GET", URL, BODY),
        (False, post, "POST", URL + "x", BODY),
        (False, signature("ab" * 32, now, "POST", URL, BODY), "POST", URL, BODY),
        (False, signature(SECRET, now - 1_000, "POST", URL, BODY), "POST", URL, BODY),
        (False, post.replace(f"t={now}", f"t={now - 1}"), "POST", URL, BODY),
        (False, post[:-1], "POST", URL, BODY),
        (False, post[:-2], "POST", URL, BODY),
        (False, "", "POST", URL, BODY),
        (False, "t=,v1=", "POST", URL, BODY),
        (False, "t=now,v1=é", "POST", URL, BODY),
    ]


def test_the_python_of_the_page_believes_what_is_signed_and_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec(snippet("python"), names)
    assert [names["is_signed"](SECRET, *case[1:]) for case in cases()] == [case[0] for case in cases()]


def test_the_javascript_of_the_page_believes_what_is_signed_and_nothing_else(node_js: NodeJs, tmp_path: Path) -> None:
    judged = [[header, method, url, body.decode()] for _, header, method, url, body in cases()]
    tail = f"\nconsole.log(JSON.stringify({json.dumps(judged)}.map((one) => isSigned({SECRET!r}, ...one))));\n"
    script = tmp_path / "judge.cjs"
    script.write_text(snippet("js") + tail)
    said = subprocess.run(node_js.command(script), capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [case[0] for case in cases()]
