"""Between the commit of a connection and the eyes of its owner anything may break: the link is there all the same."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kitestring.app.home.datadir import DataDir
from kitestring.nostr import kinds
from kitestring.relay.limits import PRODUCT_KINDS, RelayLimits
from tests.kit.app.console import Service
from tests.kit.app.process import relay, service, wallet

#: A relay that carries requests and answers, and no announcements: "blocked: …".
MEMBERS_ONLY = RelayLimits(kinds=PRODUCT_KINDS - {kinds.NWC_INFO})
KITESTRING = [sys.executable, "-m", "kitestring", "--data-dir"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Any:
    started = Service.start(tmp_path_factory.mktemp("links") / "data")
    yield started
    started.stop()


def connections(running: Service) -> list[str]:
    return [found["name"] for found in running.ok("connections")["connections"]]


async def test_a_relay_that_refuses_announcements_is_quoted_and_the_links_work(tmp_path: Path) -> None:
    async with relay(MEMBERS_ONLY) as refusing, service(tmp_path / "data", refusing.url) as running:
        first = await running.call("link", "k1", name="first wallet")
        made = await running.call("connect", "k2", name="my app", methods=["get_balance"])
        (row,) = made["relays"]
        assert (row["relay"], row["carries"]) == (refusing.url, False)
        assert row["words"].startswith("blocked: ")
        assert first["relays"] == made["relays"]
        async with wallet(made["nwc_uri"]) as app:
            assert "result" in await app.ask("get_balance")


async def test_a_relay_that_is_away_costs_no_link_and_hears_of_it_when_it_is_back(tmp_path: Path) -> None:
    async with relay() as first, asyncio.timeout(60):
        port = int(first.url.rpartition(":")[2])
        async with service(tmp_path / "data", first.url) as running:
            await first.stop()
            made = await running.call("connect", "k1", name="my app")
            assert made["nwc_uri"].startswith("nostr+walletconnect://")
            assert [row["carries"] for row in made["relays"]] == [False]
            assert made["relays"][0]["words"]
            await first.start("127.0.0.1", port)
            while not (await running.call("link", "k2", name="my app"))["relays"][0]["carries"]:
                pass
            async with wallet(made["nwc_uri"]) as app:
                assert "result" in await app.ask("get_balance")


# ------------------------------------------------------------ where the answer cannot be shown


@dataclass(frozen=True)
class Outlet:
    """A standard output that takes nothing, and what is said of it."""

    redirection: str
    words: str


OUTLETS = {
    "a full disk": Outlet("> /dev/full", "no space left on device"),
    "a reader that has gone": Outlet("| exec true", "nobody read it"),
    "closed": Outlet(">&-", "standard output is closed"),
}


def shell(home: Path, redirection: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command whose standard output is redirected in a shell; ``PIPESTATUS`` is that of the command."""
    line = f'"$@" {redirection}; exit "${{PIPESTATUS[0]}}"'
    return subprocess.run(
        ["bash", "-c", line, "bash", *KITESTRING, str(home), *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", OUTLETS)
@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["people", "json"])
def test_a_link_that_could_not_be_written_is_shown_by_the_command_that_is_named(
    running: Service, name: str, as_json: list[str]
) -> None:
    outlet, app = OUTLETS[name], f"{name} {len(as_json)}"
    done = shell(running.home, outlet.redirection, *as_json, "connect", app)
    assert done.returncode == 1, done.stderr
    assert (
        f"done, but the answer could not be written ({outlet.words}); to see it: kitestring link '{app}'" in done.stderr
    )
    assert running.ok("link", app)["nwc_uri"].startswith("nostr+walletconnect://")


def test_a_first_start_that_cannot_show_its_card_keeps_its_link_for_the_next(tmp_path: Path) -> None:
    done = shell(tmp_path, "> /dev/full", "up")
    assert done.returncode == 1
    assert done.stderr == "error: done, but the answer could not be written (no space left on device)\n"
    second = Service.start(tmp_path)
    try:
        assert (second.card["nwc_uri"], second.card["unused"]) == (None, "first wallet")
        assert second.ok("link", "first wallet")["nwc_uri"].startswith("nostr+walletconnect://")
    finally:
        second.stop()


def hang_up(home: Path, name: str) -> None:
    """Ask for a connection and close the socket instead of reading the answer."""
    body = json.dumps({"name": name})
    lines = (
        "POST /v1/commands/connect HTTP/1.1",
        "Host: x",
        f"Idempotency-Key: {name}",
        f"Content-Length: {len(body)}",
    )
    head = "\r\n".join((*lines, "", ""))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.connect(str(DataDir(home, home).control_path()))
        door.sendall((head + body).encode())
        assert door.recv(1) == b"H"


def kill_command(number: signal.Signals) -> Callable[[Path, str], None]:
    """End the command while it waits for the answer, or just after it came."""

    def end(home: Path, name: str) -> None:
        command = [*KITESTRING, str(home), "connect", name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            while name not in names_of(home) and child.poll() is None:
                pass
            child.send_signal(number)
            child.communicate(timeout=30)

    return end


def names_of(home: Path) -> list[str]:
    done = subprocess.run(
        [*KITESTRING, str(home), "--json", "connections"], capture_output=True, text=True, check=True, env=os.environ
    )
    return [found["name"] for found in json.loads(done.stdout)["connections"]]


@pytest.mark.parametrize(
    "end",
    [hang_up, kill_command(signal.SIGKILL), kill_command(signal.SIGINT), kill_command(signal.SIGHUP)],
    ids=["socket", "kill", "ctrl-c", "terminal"],
)
def test_a_command_that_ends_before_it_has_shown_the_link_is_repeated_and_shows_it(
    running: Service, end: Callable[[Path, str], None], request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id
    end(running.home, name)
    assert connections(running).count(name) == 1
    again = running.ok("connect", name)
    assert (again["created"], again["nwc_uri"][:22]) == (False, "nostr+walletconnect://")
    assert running.ok("link", name)["nwc_uri"] == again["nwc_uri"]
    assert connections(running).count(name) == 1
