"""A disk that is full: one sentence, nothing half made, the books in order, and all is well again when room is made.

A limit on the size of files plays the full disk anywhere; root also mounts a small one.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FULL = "error: the disk is full ("
ROOT = os.geteuid() == 0
#: Bytes of the small disk: enough for a service and its logs.
DISK_BYTES = 4_000_000
KITESTRING = [sys.executable, "-m", "kitestring", "--json", "--data-dir"]


@dataclass
class Limited:
    """Nobody may write beyond the first page of a file."""

    home: Path
    most: int = resource.RLIM_INFINITY
    services: list[subprocess.Popen[str]] = field(default_factory=list)

    def fill(self) -> None:
        self._set(4_096)

    def make_room(self) -> None:
        self._set(resource.RLIM_INFINITY)

    def close(self) -> None:
        return None

    def _set(self, most: int) -> None:
        self.most = most
        for service in self.services:
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


@dataclass
class Mounted:
    """A disk of its own, and one file that fills it."""

    home: Path
    most: int = resource.RLIM_INFINITY
    services: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.disk = self.home.parent
        self.disk.mkdir()
        size = f"size={DISK_BYTES}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "kitestring-test", str(self.disk)], check=True)

    def fill(self) -> None:
        try:
            with (self.disk / "ballast").open("wb", buffering=0) as ballast:
                while ballast.write(bytes(4_096)):
                    pass
        except OSError:
            return

    def make_room(self) -> None:
        (self.disk / "ballast").unlink()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.disk)], check=True)


def _may_mount() -> bool:
    """Root in a container often may not."""
    if not ROOT:
        return False
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True)
    return tried.returncode == 0


KINDS = [Limited, Mounted] if _may_mount() else [Limited]


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Limited | Mounted]:
    made = request.param(tmp_path / "disk" / "data")
    try:
        yield made
    finally:
        for service in made.services:
            service.kill()
            service.communicate()
        made.close()


def run(disk: Limited | Mounted, *words: str) -> subprocess.CompletedProcess[str]:
    limit = (disk.most, resource.RLIM_INFINITY)
    return subprocess.run(
        [*KITESTRING, str(disk.home), *words], capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )  # fmt: skip


def ok(disk: Limited | Mounted, *words: str) -> dict[str, Any]:
    done = run(disk, *words)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def start(disk: Limited | Mounted) -> dict[str, Any]:
    child = subprocess.Popen([*KITESTRING, str(disk.home), "up"], stdout=subprocess.PIPE, text=True)
    disk.services.append(child)
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, "the service did not start"
    card: dict[str, Any] = json.loads(line)
    return card


def test_a_first_start_on_a_full_disk_is_one_sentence_and_leaves_nothing_half_made(disk: Limited | Mounted) -> None:
    disk.home.mkdir(parents=True)
    disk.fill()
    for words in (["up"], ["relay"]):
        refused = run(disk, *words)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
        assert refused.stderr.startswith(f"{FULL}{disk.home}): make room")
    assert {path.name for path in disk.home.iterdir()} <= {"lock"}
    disk.make_room()
    assert start(disk)["unused"] == "first wallet"
    books = ok(disk, "audit")
    assert (books["violations"], books["alarms"]) == ([], [])


def test_a_disk_that_fills_up_refuses_payments_and_nothing_is_lost(disk: Limited | Mounted) -> None:
    card = start(disk)
    invoice, beyond = (ok(disk, "sandbox", "invoice", amount)["bolt11"] for amount in ("50", "51"))
    before = ok(disk, "balance")["balance_msat"]
    disk.fill()
    for words in (["pay", invoice, "--idempotency-key", "k1"], ["pay", beyond], ["invoice", "5"], ["connect", "x"]):
        refused = run(disk, *words)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
        assert "nothing was lost" in refused.stderr
        assert "repeat it safely with --idempotency-key" in refused.stderr
    assert ok(disk, "balance")["balance_msat"] == before
    assert ok(disk, "audit", "--node")["violations"] == []
    disk.make_room()
    paid = ok(disk, "pay", invoice, "--idempotency-key", "k1")
    assert paid["amount_msat"] == 50_000
    assert ok(disk, "sandbox", "pay", card["noffer"], "21")["amount_msat"] == 21_000
    assert ok(disk, "balance")["balance_msat"] == before - 50_000 - paid["fee_msat"] + 21_000
    assert ok(disk, "audit", "--node")["violations"] == []


@pytest.mark.parametrize("disk", KINDS[1:], indirect=True)
def test_an_app_is_told_at_once_that_nothing_was_done_and_can_pay_when_there_is_room(disk: Mounted) -> None:
    start(disk)
    link = ok(disk, "link", "first wallet")["nwc_uri"]
    first, second = (ok(disk, "sandbox", "invoice", amount)["bolt11"] for amount in ("50", "51"))
    disk.fill()
    refused = run(disk, "pay", "--yes", "--wallet", link, first)
    assert "the service can store nothing now: nothing was done" in refused.stderr
    assert refused.returncode == 1
    disk.make_room()
    assert ok(disk, "pay", "--yes", "--wallet", link, second)["amount_msat"] == 51_000
    assert ok(disk, "audit", "--node")["violations"] == []


def test_the_outside_world_of_a_sandbox_says_the_same_of_a_full_disk(disk: Limited | Mounted) -> None:
    start(disk)
    disk.services[0].terminate()
    disk.services.pop().communicate(timeout=20)
    disk.fill()
    refused = run(disk, "sandbox", "invoice", "5")
    assert (refused.returncode, refused.stderr) == (1, f"{FULL}{disk.home}): make room, at least 1 MB, and try again\n")
    disk.make_room()
    assert ok(disk, "sandbox", "invoice", "5")["amount_msat"] == 5_000
