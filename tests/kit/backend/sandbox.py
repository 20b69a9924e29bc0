"""A sandbox node and its world on a clock that walks."""

import secrets
from pathlib import Path

from kitestring.backend.registry import BackendContext
from kitestring.backend.sandbox.file import OPENING_BALANCE_MSAT, open_file
from kitestring.backend.sandbox.node import SandboxNode
from kitestring.backend.sandbox.world import World
from kitestring.base.money import Msat
from kitestring.base.node import InvoiceOrder
from tests.kit.clock import WalkingClock


def make(
    directory: Path, clock: WalkingClock, opening_msat: Msat = OPENING_BALANCE_MSAT, latency_ms: int = 20
) -> SandboxNode:
    context = BackendContext(clock, secrets.token_bytes, directory, clock.now_ms)
    return SandboxNode(directory / "sandbox.db", context, opening_msat=opening_msat, latency_ms=latency_ms)


def make_world(directory: Path, clock: WalkingClock) -> World:
    return World(directory / "sandbox.db", now_ms=clock.now_ms)


def new_file(directory: Path) -> Path:
    open_file(directory / "sandbox.db", opening_msat=OPENING_BALANCE_MSAT).close()
    return directory / "sandbox.db"


def an_invoice(amount_msat: int | None = 5000, expiry_s: int = 600) -> InvoiceOrder:
    amount = None if amount_msat is None else Msat(amount_msat)
    return InvoiceOrder(amount, "tea", "", expiry_s, secrets.token_hex(32))
