"""A private Lightning network: btcd and three lnd nodes A - B - C in a line, funded, paying each other real fees.

Kitestring stands in front of A. A pays C, and C pays A, through B for a real routing fee; neighbours pay each other for
nothing. Everything lives in one temporary directory and is gone when the network stops. Ports are chosen at start.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import miner, parts
from .node import LndNode, NodeError
from .process import Process, free_port, spawn, stop_all, wait_until

# Segwit is active on this chain only from block 432 on; before that a funding transaction is silently refused.
FIRST_BLOCKS = 450
# The largest channel of a node without special settings is 16,777,215 sat; half of it is pushed to the other side.
CHANNEL_SAT = 16_000_000
# A pay-to-script-hash address (of a segwit output): btcd writes no transaction to a newer kind.
NEW_ADDRESS = "/v1/newaddress?type=NESTED_PUBKEY_HASH"
# A channel is told to others, and can be part of a route, six blocks after its funding.
BLOCKS_TO_ANNOUNCE = 6
# Half of a block's 50 BTC, less a fee.
FUNDING_BTC = 24.999
# Large enough that B's fee (1 sat and a millionth of the amount) has a part below one sat.
PROBE_MSAT = 5_000_000
# Just after a channel turns active the first payments fail for a second or two.
READY_LIMIT_S = 60.0
POLL_S = 0.1
# lnd closes its databases on SIGTERM; btcd goes afterwards.
STOP_PATIENCE_S = 10.0
# What the service needs of its node, and nothing that could empty it on chain, close its channels or stop it.
SERVICE_PERMISSIONS = [
    {"entity": entity, "action": action}
    for entity, actions in (
        ("info", "read"),
        ("invoices", "read write"),
        ("message", "write"),
        ("offchain", "read write"),
    )
    for action in actions.split()
]
PREFIX = "kitestring-rig-"
OWNER = "owner"


class RigError(Exception):
    """The network could not be started; the message says why and where the logs are."""


class LightningRig:
    """The network from start to stop. Start and stop block; `async with` runs them in a thread."""

    def __init__(self) -> None:
        self.home = Path()
        self._bin = Path()
        self._btcd_ports = (0, 0)
        self._btcd: Process | None = None
        self._lnds: list[Process] = []
        self.a = self.b = self.c = LndNode("", Path(), 0, 0, 0)

    @property
    def nodes(self) -> tuple[LndNode, LndNode, LndNode]:
        return (self.a, self.b, self.c)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def start(self) -> None:
        """Up, funded, and a payment from A to C settled with a fee. Raises RigError; nothing is left running then."""
        programs = parts.find_lnd()
        if programs is None:
            raise RigError(f"btcd and lnd are not built; {parts.HOW_TO_GET}")
        sweep()
        self._bin = programs
        self.home = Path(tempfile.mkdtemp(prefix=PREFIX))
        (self.home / OWNER).write_text(f"{os.getpid()} {_started_at(os.getpid())}")
        self._btcd_ports = (free_port(), free_port())
        self.a, self.b, self.c = (
            LndNode(name, self.home / name, free_port(), free_port(), free_port()) for name in ("a", "b", "c")
        )
        try:
            _run_apart(self._bring_up)
        except (NodeError, RuntimeError, OSError, subprocess.SubprocessError) as reason:
            logs = "".join(f"\n--- {process.name}\n{process.last_lines()}" for process in self._processes())
            self.stop()
            raise RigError(f"the Lightning network did not start: {reason}{logs}") from reason

    def stop(self) -> None:
        """Stop the lnds, then btcd (an lnd whose btcd is gone ignores SIGTERM for minutes), and delete everything."""
        stop_all(self._lnds, STOP_PATIENCE_S)
        if self._btcd is not None:
            self._btcd.stop(STOP_PATIENCE_S)
        self._lnds, self._btcd = [], None
        shutil.rmtree(self.home, ignore_errors=True)

    async def mine(self, blocks: int = 1) -> None:
        """Add blocks to the chain; none of the wallets owns them."""
        await asyncio.to_thread(self._generate, blocks)

    def dead(self) -> list[str]:
        """Names of the nodes that ended by themselves."""
        return [process.name for process in self._processes() if not process.is_running()]

    # ---- bringing it up ------------------------------------------------------------------------------------------

    async def _bring_up(self) -> None:
        self._start_btcd()
        self._generate(FIRST_BLOCKS)
        self._lnds = [self._start_lnd(node) for node in self.nodes]
        await asyncio.gather(*(self._until_state(node, "RPC_ACTIVE", "SERVER_ACTIVE") for node in self.nodes))
        wallets = [str((await node.get(NEW_ADDRESS))["address"]) for node in (self.a, self.b)]
        await asyncio.to_thread(self._fund, wallets)
        await asyncio.gather(*(self._until_state(node, "SERVER_ACTIVE") for node in self.nodes))
        await asyncio.gather(self._open_channel(self.a, self.b), self._open_channel(self.b, self.c))
        await self.mine(BLOCKS_TO_ANNOUNCE)
        await asyncio.gather(*(self._bake(node) for node in self.nodes))
        await self._until_paying(self.a, self.c)
        await self._until_paying(self.c, self.a)

    def _start_btcd(self) -> None:
        rpc, peer = self._btcd_ports
        home = self.home / "btcd"
        command: list[str | Path] = [
            self._bin / "btcd",
            "--configfile=/dev/null",
            "--regtest",
            "--txindex",
            "--nodnsseed",
            "--rpcuser=rig",
            "--rpcpass=rig",
            f"--rpclisten=127.0.0.1:{rpc}",
            f"--listen=127.0.0.1:{peer}",
            f"--datadir={home}",
            f"--logdir={home}",
            f"--rpccert={self.home / 'btcd.cert'}",
            f"--rpckey={self.home / 'btcd.key'}",
            f"--miningaddr={miner.ADDRESS}",
        ]
        self._btcd = spawn("btcd", command, self.home)
        wait_until(self._answers, "btcd answers", self._btcd)

    def _fund(self, addresses: list[str]) -> None:
        """Share the oldest coinbase output among the wallets: one output each, which keeps them fast."""
        block = json.loads(self._btcctl("getblock", self._btcctl("getblockhash", "1").strip()))
        coin = [{"txid": block["tx"][0], "vout": 0}]
        shares = dict.fromkeys(addresses, FUNDING_BTC)
        unsigned = self._btcctl("createrawtransaction", json.dumps(coin), json.dumps(shares)).strip()
        self._btcctl("sendrawtransaction", miner.signed(unsigned), "true")
        self._generate(1)

    def _start_lnd(self, node: LndNode) -> Process:
        command: list[str | Path] = [
            self._bin / "lnd",
            f"--lnddir={node.home}",
            "--configfile=/dev/null",
            f"--alias=kitestring-rig-{node.name}",
            "--bitcoin.regtest",
            "--bitcoin.node=btcd",
            f"--btcd.rpchost=127.0.0.1:{self._btcd_ports[0]}",
            "--btcd.rpcuser=rig",
            "--btcd.rpcpass=rig",
            f"--btcd.rpccert={self.home / 'btcd.cert'}",
            f"--listen=127.0.0.1:{node.peer_port}",
            f"--rpclisten=127.0.0.1:{node.rpc_port}",
            f"--restlisten=127.0.0.1:{node.rest_port}",
            "--noseedbackup",
            "--nobootstrap",
            "--accept-keysend",
            "--trickledelay=50",
            "--db.batch-commit-interval=10ms",
            "--bitcoin.defaultchanconfs=1",
            # A payment that failed in one test is not held against the route for an hour in the next.
            "--routerrpc.apriori.penaltyhalflife=1s",
            # A test may stop the chain; the nodes should outlive that.
            "--healthcheck.chainbackend.attempts=0",
        ]
        return spawn(f"lnd-{node.name}", command, self.home)

    async def _open_channel(self, funder: LndNode, peer: LndNode) -> None:
        """A channel with half of the money on each side, active on both."""
        pubkey = await peer.pubkey()
        address = {"pubkey": pubkey, "host": f"127.0.0.1:{peer.peer_port}"}
        await funder.post("/v1/peers", {"addr": address, "perm": True})
        request = {
            "node_pubkey": base64.b64encode(bytes.fromhex(pubkey)).decode(),
            "local_funding_amount": CHANNEL_SAT,
            "push_sat": CHANNEL_SAT // 2,
        }
        # The wallet may need a moment more than the node to see its coins.
        await self._until(lambda: funder.post("/v1/channels", request), f"{funder.name} funds a channel")

    async def _bake(self, node: LndNode) -> None:
        baked = await node.post("/v1/macaroon", {"permissions": SERVICE_PERMISSIONS})
        node.service_macaroon.write_bytes(bytes.fromhex(baked["macaroon"]))

    async def _until_paying(self, payer: LndNode, payee: LndNode) -> None:
        """Repeat a payment until one settles with a fee."""

        async def probe() -> bool:
            invoice = await payee.invoice(PROBE_MSAT, "is the line ready?")
            payment = await payer.pay(invoice.bolt11)
            return payment.status == "SUCCEEDED" and payment.fee_msat > 0

        await self._until(probe, f"{payer.name} pays {payee.name}")

    async def _until_state(self, node: LndNode, *states: str) -> None:
        async def reached() -> bool:
            return node.tls_cert.exists() and (await node.get("/v1/state"))["state"] in states

        await self._until(reached, f"{node.name} is up")

    async def _until(self, attempt: Callable[[], Awaitable[object]], what: str) -> None:
        """Repeat a call until it returns something true; what a node refuses meanwhile is shown at the end."""
        deadline = time.monotonic() + READY_LIMIT_S
        refusal = ""
        while True:
            try:
                if await attempt():
                    return
            except (NodeError, OSError) as reason:
                refusal = f" ({reason})"
            if time.monotonic() > deadline:
                raise RuntimeError(f"not within {READY_LIMIT_S:.0f} s: {what}{refusal}")
            if self.dead():
                raise RuntimeError(f"{', '.join(self.dead())} ended before {what}")
            await asyncio.sleep(POLL_S)

    def _processes(self) -> list[Process]:
        return [*self._lnds, *([self._btcd] if self._btcd else [])]

    def _generate(self, blocks: int) -> None:
        self._btcctl("generate", str(blocks))

    def _answers(self) -> bool:
        try:
            return bool(self._btcctl("getblockcount"))
        except RuntimeError:
            return False

    def _btcctl(self, *arguments: str) -> str:
        command = [
            str(self._bin / "btcctl"),
            "--configfile=/dev/null",
            "--regtest",
            "--rpcuser=rig",
            "--rpcpass=rig",
            f"--rpcserver=127.0.0.1:{self._btcd_ports[0]}",
            f"--rpccert={self.home / 'btcd.cert'}",
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"btcctl {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


def sweep() -> None:
    """End and delete networks whose owner was killed and could not do it."""
    for home in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            pid, began = (home / OWNER).read_text().split()
        except (OSError, ValueError):
            continue  # just being made, or somebody else's
        if _started_at(int(pid)) == began:
            continue
        for process in Path("/proc").glob("[0-9]*"):
            _kill_if_mentions(process, str(home))
        shutil.rmtree(home, ignore_errors=True)


def _kill_if_mentions(process: Path, home: str) -> None:
    with contextlib.suppress(OSError):
        if f"{home}/".encode() in (process / "cmdline").read_bytes():
            os.kill(int(process.name), signal.SIGKILL)


def _started_at(pid: int) -> str:
    """When a process started, in the kernel's ticks: a reused number does not pass for its predecessor."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "gone"


def _run_apart(task: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run in a loop of its own on another thread, so that the caller's loop, if there is one, is not in the way."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(task())).result()
