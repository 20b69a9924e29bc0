"""I16: no secret of the service is in a log, an answer, a file or a process, whatever the service goes through."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.backend.sandbox.payments import Behaviour
from kitestring.backend.sandbox.world import World
from kitestring.base.money import sat
from kitestring.codec import bech32
from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.wire.envelope import shared_secret
from tests.kit.app.process import GENEROUS, PATIENCE_S, Wallet, wallet

SEED = bytes(range(100, 132))
MACAROON = b"\x02\x01\x03lnd\x02canary-in-the-coal-mine"
KITESTRING = [sys.executable, "-m", "kitestring"]
SETTINGS = 'log_level = "debug"\n' + GENEROUS

Needles = dict[str, tuple[bytes, ...]]


# ---------------------------------------------------------------- looking


def forms(secret: bytes) -> tuple[bytes, ...]:
    """How 32 bytes would be written down."""
    written = [secret, secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret)]
    written += [repr(secret)[2:-1].encode(), str(list(secret))[1:-1].encode(), str(int.from_bytes(secret)).encode()]
    return tuple(written)


def nsec(secret: bytes) -> str:
    return bech32.encode("nsec", secret)


def key_forms(key: SecretKey) -> tuple[bytes, ...]:
    secret = bytes.fromhex(key.hex())
    return (*forms(secret), nsec(secret).encode())


def find(hay: Mapping[str, bytes], needles: Needles) -> list[str]:
    """Where which secret is."""
    return [
        f"{name} in {where}"
        for where, text in hay.items()
        for name, written in needles.items()
        if any(form in text for form in written)
    ]


def files(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.iterdir() if path.is_file() and path.name != "service.key"}


def processes(pid: int) -> dict[str, bytes]:
    """What any program of this user can read about the service and its children, where the system has /proc."""
    found: dict[str, bytes] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            family = {int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])}
            if pid in family:
                for name in ("cmdline", "environ"):
                    found[f"{stat.parent.name}/{name}"] = (stat.parent / name).read_bytes()
        except OSError:  # it has just ended
            continue
    return found


# ---------------------------------------------------------------- a service that goes through a lot


@dataclass
class Story:
    """A real service with a known seed, and everything it and the command line have said."""

    home: Path
    said: dict[str, bytes] = field(default_factory=dict)
    uris: dict[str, str] = field(default_factory=dict)
    needles: Needles = field(default_factory=dict)
    _child: asyncio.subprocess.Process | None = None
    _starts: int = 0

    def __post_init__(self) -> None:
        self.home.mkdir(mode=0o700)
        (self.home / "kitestring.toml").write_text(SETTINGS)
        (self.home / "service.key").write_text(SEED.hex())
        (self.home / "service.key").chmod(0o600)
        self.keyring = Keyring(SEED)
        self.needles["the seed"] = forms(SEED)
        self.needles["the service's key"] = key_forms(self.keyring.service_key)

    @property
    def log(self) -> Path:
        return self.home.with_suffix(".log")

    async def start(self) -> dict[str, Any]:
        with self.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *KITESTRING, "up", "--json", "--data-dir", str(self.home), stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self._child.stdout is not None
        card: dict[str, Any] = json.loads(await asyncio.wait_for(self._child.stdout.readline(), PATIENCE_S))
        self._starts += 1
        self.said[f"card {self._starts}"] = json.dumps(card).encode()
        if self._starts == 1:
            self.uris["first wallet"] = (await self.run("link", "first wallet"))["nwc_uri"]
        return card

    async def end(self, number: signal.Signals) -> None:
        child = self._child
        assert child is not None
        self.said |= processes(child.pid)
        self.said |= files(self.home)
        child.send_signal(number)
        assert child.stdout is not None
        self.said[f"stdout {self._starts}"] = await asyncio.wait_for(child.stdout.read(), PATIENCE_S)
        await child.wait()

    async def run(self, *words: str, code: int = 0, **environment: str) -> dict[str, Any]:
        """A command and what it says, with all details. An answer that has a link, which was asked for, is not kept."""
        done = await asyncio.to_thread(
            subprocess.run, [*KITESTRING, "--json", "--debug", "--data-dir", str(self.home), *words],
            capture_output=True, env={**os.environ, **environment}, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        made = words[0] in {"connect", "link"} and told.get("nwc_uri")
        self.said[f"{len(self.said)}: {' '.join(words)[:60]}"] = done.stderr if made else done.stdout + done.stderr
        return told

    async def connect(self, name: str, *words: str) -> str:
        made = await self.run("connect", name, *words)
        self.uris[name] = made["nwc_uri"]
        return str(made["nwc_uri"])

    async def know_connections(self) -> None:
        """Learn the secrets that belong to the connections made so far."""
        for made in (await self.run("connections"))["connections"]:
            name, key = made["name"], self.keyring.connection_key(made["connection_id"])
            uri = decode_nwc(self.uris[name])
            assert uri.service_pubkey == key.public_hex
            client = SecretKey(uri.secret)
            self.needles[f"the key of {name}"] = key_forms(key)
            self.needles[f"the client secret of {name}"] = key_forms(client)
            for cipher in ("nip44", "nip04"):
                shared = shared_secret(key, client.public_hex, cipher)
                self.needles[f"the {cipher} conversation key of {name}"] = forms(shared)

    def invoice(self, amount_sat: int, behaviour: Behaviour = Behaviour.SETTLE, delay_ms: int = 0) -> str:
        with World(DataDir(self.home, self.home).sandbox_db) as world:
            return world.invoice(sat(amount_sat), behaviour=behaviour, delay_ms=delay_ms)


async def everyday(app: Wallet, cipher: Any, invoices: Iterable[str]) -> None:
    """What an app does, and what it does wrong."""
    for invoice in invoices:
        await app.ask("pay_invoice", cipher, invoice=invoice)
    await app.ask("make_invoice", cipher, amount=5_000, description="tea")
    for method in ("get_balance", "get_budget", "get_info", "list_transactions", "no_such_method"):
        await app.ask(method, cipher)
    await app.ask("pay_invoice", cipher, invoice="lnbc1nonsense")
    await app.ask("pay_invoice", cipher, invoice=7)


async def live(story: Story) -> None:
    """Connections, payments both ways, refusals, failures, a crash in the middle of a payment, and every command."""
    card = await story.start()
    agent = await story.connect("agent", "--budget", "5000/day")
    legacy = await story.connect("legacy", "--encryption", "legacy")
    await story.know_connections()
    failing = story.invoice(30, Behaviour.FAIL)
    async with wallet(agent) as modern, wallet(legacy) as old:
        await everyday(modern, "nip44", [story.invoice(20), failing, story.invoice(9_000)])
        await everyday(old, "nip04", [story.invoice(20), story.invoice(31, Behaviour.FAIL)])
        await commands(story, card["noffer"], agent)
        await modern.send("pay_invoice", invoice=story.invoice(40, delay_ms=3_000))
        newest = (await story.run("transactions", "--unpaid", "--out"))["transactions"][0]
        assert (newest["amount_msat"], newest["state"]) == (40_000, "pending")
        await story.end(signal.SIGKILL)
    await story.start()
    used = await story.run("connect", "agent", code=2)
    assert used["error"]["reason"] == "already_used"
    await story.run("transactions", "--unpaid")
    await story.run("audit", "--node")
    await story.run("revoke", "legacy")
    await story.end(signal.SIGTERM)
    for words in ("connections", "transactions", "balance", "offer list", "audit"):
        await story.run(*words.split())
    await story.run("doctor", code=1)
    await misused(story, agent)
    story.said["log"] = story.log.read_bytes()


async def commands(story: Story, noffer: str, uri: str) -> None:
    for words in ("connections", "transactions --unpaid", "account list", "offer list", "balance", "doctor", "audit"):
        await story.run(*words.split())
    await story.run("audit", "--node")
    await story.run("sandbox", "pay", noffer, "21")
    await story.run("pay", story.invoice(3), "--yes", "--wallet", "env:CANARY", CANARY=uri)
    await story.run("decode", uri)
    await story.run("decode", nsec(SEED))


async def misused(story: Story, uri: str) -> None:
    """Whoever makes a mistake must not find the secret in the answer."""
    await story.run("pay", story.invoice(3), "--yes", "--wallet", f"{uri}&secret=00", code=2)
    await story.run("pay", "x", "--wallet", uri, code=2)
    await story.run("pay", uri, "5", code=2)
    await story.run("sandbox", "pay", nsec(SEED), code=2)
    (story.home / "macaroon").write_bytes(MACAROON)
    node = f"lnd+https://127.0.0.1:9?macaroon={story.home}/macaroon"
    story.needles["the macaroon"] = (MACAROON.hex().encode(), MACAROON)
    await story.run("up", "--node", node, code=4)
    await story.run("up", code=4, KITESTRING_NODE="lnd+https://127.0.0.1:9?macaroon=env:MAC", MAC=MACAROON.hex())
    (story.home / "kitestring.toml").write_text(f'node = "{node}"\n{SETTINGS}')
    await story.run("doctor", code=1)
    (story.home / "macaroon").unlink()


@asynccontextmanager
async def lived(home: Path) -> AsyncIterator[Story]:
    story = Story(home)
    try:
        await live(story)
        yield story
    finally:
        child = story._child
        if child is not None and child.returncode is None:
            child.kill()
            await child.wait()


async def test_no_secret_is_found_anywhere(tmp_path: Path) -> None:
    async with lived(tmp_path / "data") as story:
        story.said |= {f"{name} at the end": text for name, text in files(story.home).items()}
        assert b" DEBUG " in story.log.read_bytes()
        assert {"kitestring.db", "relay.db", "sandbox.db", "log"} <= story.said.keys()
        assert len(story.needles) == 3 + 3 * 4
        assert find(story.said, story.needles) == []
        key_file = {"service.key": (story.home / "service.key").read_bytes()}
        assert find(key_file, story.needles) == ["the seed in service.key"]  # the scan does find what is there
        uris = {"the first answers": " ".join(story.uris.values()).encode()}
        assert len(find(uris, story.needles)) == 3


@pytest.mark.parametrize("form", range(len(key_forms(SecretKey(SEED)))))
def test_a_secret_is_found_in_whatever_form_it_is_written(form: int) -> None:
    planted = b"2026-11-21 DEBUG key=" + key_forms(SecretKey(SEED))[form] + b" done"
    assert find({"log": planted, "other": b"nothing"}, {"key": key_forms(SecretKey(SEED))}) == ["key in log"]
