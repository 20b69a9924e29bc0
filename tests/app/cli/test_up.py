"""``kitestring up`` where it cannot start: one sentence, the right exit code, no traceback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kitestring.app.card import Card
from kitestring.app.cli.qr import drawing
from kitestring.app.cli.up import card_json, card_parts
from kitestring.app.home.datadir import DataDir
from kitestring.app.service.kept_relays import KeptRelay
from kitestring.base.records import Stop, StopCause
from kitestring.ledger.sqlite.store import SqliteStore
from tests.kit.app.answers import hold_one
from tests.kit.app.console import Service
from tests.kit.changed import replace


def card_text(card: Card, *, sandbox: bool, qr: bool = False, extra: str = "") -> str:
    return "\n".join(card_parts(card, sandbox=sandbox, qr=qr, extra=extra))


START = [sys.executable, "-m", "kitestring", "up", "--json", "--data-dir"]


def refused(home: Path, code: int, *options: str) -> str:
    """The sentence of a start that must fail."""
    done = subprocess.run([*START, str(home), *options], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    sentence: str = json.loads(done.stdout)["error"]["message"]
    assert done.stderr == f"error: {sentence}\n"
    return sentence


def test_a_port_in_use_is_named(taken: int, tmp_path: Path) -> None:
    (tmp_path / "kitestring.toml").write_text(f"[relay]\nport = {taken}\n")
    sentence = refused(tmp_path, 4)
    assert f"port {taken} on 127.0.0.1 is in use" in sentence
    assert "choose another port" in sentence


def test_a_first_start_without_its_relay_is_refused(closed: int, tmp_path: Path) -> None:
    sentence = refused(tmp_path, 4, "--relay", f"ws://127.0.0.1:{closed}")
    assert f"ws://127.0.0.1:{closed}" in sentence


def test_a_node_that_is_not_there_is_named(closed: int, tmp_path: Path) -> None:
    (tmp_path / "macaroon").write_text("0201")
    sentence = refused(tmp_path, 4, "--node", f"lnd+https://127.0.0.1:{closed}?macaroon={tmp_path}/macaroon")
    assert f"https://127.0.0.1:{closed} cannot be reached" in sentence
    assert "0201" not in sentence


@pytest.mark.parametrize(
    "secret", ["nope", "lnd+https://host", "lnd+https://host?macaroon=/nowhere/m", "cln+unix:///x"]
)
def test_an_address_of_a_node_that_cannot_be_right_is_refused(secret: str, tmp_path: Path) -> None:
    refused(tmp_path, 2, "--node", secret)


async def test_the_directory_of_another_service_is_refused(tmp_path: Path) -> None:
    home = DataDir(tmp_path, tmp_path)
    await (await SqliteStore.open(home.ledger, "ab" * 32)).close()
    home.key_file.write_text("07" * 32)
    home.key_file.chmod(0o600)
    assert "holds the ledger of another service" in refused(tmp_path, 2)
    home.key_file.unlink()
    assert "put that file back from your backup" in refused(tmp_path, 2)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed(taken: int) -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


# ------------------------------------------------------------ the card


def test_the_card_is_one_line_of_json(service: Service) -> None:
    card = service.card
    hold_one("up", card)
    assert list(card) == [
        "relay", "relays", "service_pubkey", "noffer", "ndebit", "network", "node", "nwc_uri", "socket", "unused",
        "missing_on", "old_relays", "spending_stopped",
    ]  # fmt: skip
    assert (card["unused"], card["missing_on"], card["old_relays"]) == ("first wallet", {}, [])
    assert card["spending_stopped"] == []
    assert card["relay"].startswith("ws://127.0.0.1:")
    assert card["noffer"].startswith("noffer1")
    assert card["ndebit"].startswith("ndebit1")
    assert card["network"] is card["node"] is card["nwc_uri"] is None, "no secret goes into a pipe"
    assert service.run("link", "first wallet").exit_code == 0
    assert Path(card["socket"]) == service.home / "control.sock"


def test_the_card_can_be_shown_again_without_its_secret(service: Service) -> None:
    members = ("relays", "old_relays", "service_pubkey", "noffer", "ndebit")
    assert service.ok("card") == {member: service.card[member] for member in members}
    shown = service.run("card").stdout
    assert shown.splitlines()[0] == f"relays          {service.card['relay']}"
    assert service.card["noffer"] in shown
    assert "old relays" not in shown


def test_the_card_for_people_can_be_copied() -> None:
    card = Card(
        ("ws://127.0.0.1:7",), "ab" * 32, "noffer1xyz", "nostr+walletconnect://x", Path("/d/control.sock"), "wallet"
    )
    text = card_text(card, sandbox=True, extra="--data-dir /d ")
    assert "`kitestring --data-dir /d link wallet` shows it again" in text
    assert "\n  kitestring --data-dir /d sandbox pay noffer1xyz 21\n" in text
    assert "\n  kitestring --data-dir /d pay $(kitestring --data-dir /d sandbox invoice 50)\n" in text
    assert "█" not in text
    both = card_text(card, sandbox=True, qr=True)
    assert f"\nnoffer1xyz\n\n{drawing('noffer1xyz')}\n" in both
    assert f"\nnostr+walletconnect://x\n\n{drawing('nostr+walletconnect://x')}\n" in both
    assert "warning" not in text
    assert "\n  kitestring --data-dir /d link" not in text


def test_the_card_shows_a_code_to_ask_by_and_where_the_questions_are() -> None:
    card = Card(("ws://127.0.0.1:7",), "ab" * 32, "noffer1xyz", None, Path("/d/control.sock"), ndebit="ndebit1xyz")
    lines = card_text(card, sandbox=False, qr=True, extra="--data-dir /d ").splitlines()
    assert "ndebit1xyz" in lines
    asked = "whoever has it may ask you for money; `kitestring --data-dir /d approvals` shows who does."
    assert any(line.endswith(asked) for line in lines)
    assert card_json(card)["ndebit"] == "ndebit1xyz"
    assert "debit" not in card_text(replace(card, ndebit=None), sandbox=False)


def test_the_card_names_old_relays_and_who_needs_them() -> None:
    kept = (KeptRelay("wss://left.example", ("shop",), ("tea",)),)
    card = Card(("wss://here.example",), "ab" * 32, "noffer1xyz", None, Path("/d/control.sock"), kept=kept)
    lines = card_text(card, sandbox=False).splitlines()
    assert "old relay    wss://left.example (for the connection shop and the offer tea)" in lines
    assert card_json(card)["old_relays"] == ["wss://left.example"]


def test_the_card_says_first_that_spending_is_stopped_and_what_to_do() -> None:
    stop = Stop(StopCause.LEDGER, "this ledger comes from a backup", 1_800_000_000)
    card = Card(("wss://here.example",), "ab" * 32, "noffer1xyz", None, Path("/d/control.sock"), stops=(stop,))
    head, empty, said, *_ = card_text(card, sandbox=False).splitlines()
    assert (head.startswith("kitestring is up"), empty) == (True, "")
    assert said.startswith("spending is stopped: this ledger comes from a backup; run `kitestring audit --node`")
    assert card_json(card)["spending_stopped"] == [{"cause": "ledger", "why": "this ledger comes from a backup"}]


def test_the_card_says_which_relay_does_not_carry_the_link_and_how_to_see_it_again() -> None:
    card = Card(
        ("ws://127.0.0.1:7",), "ab" * 32, "noffer1xyz", "nostr+walletconnect://x", Path("/d/control.sock"),
        "first wallet", {"ws://127.0.0.1:7": "blocked: members only"},
    )  # fmt: skip
    text = card_text(card, sandbox=False)
    assert "warning: ws://127.0.0.1:7 does not carry it yet: blocked: members only\nwarning: no relay" in text
    assert "keep it secret; until its first use `kitestring link 'first wallet'` shows it again.\n" in text
    later = card_text(replace(card, nwc_uri=None, missing_on={}), sandbox=False)
    assert "\n  kitestring link 'first wallet'\n" in later
    assert "warning" not in later


def test_the_card_says_whose_node_it_is_and_whether_its_money_is_real() -> None:
    card = Card(
        ("ws://127.0.0.1:7",), "ab" * 32, "noffer1xyz", None, Path("/d/control.sock"), network="bitcoin", node="anna's"
    )
    first = card_text(card, sandbox=False).splitlines()[0]
    assert first == "kitestring is up in front of anna's (bitcoin: real money)"
    test = card_text(replace(card, network="regtest", node=""), sandbox=False).splitlines()[0]
    assert test == "kitestring is up in front of a node (regtest: no real money)"
    forged = card_text(replace(card, node="x\nYour offer"), sandbox=False).splitlines()[0]
    assert forged.startswith("kitestring is up in front of x")
    assert forged.endswith("(bitcoin: real money)")
    sandbox = card_text(replace(card, network="", node=""), sandbox=True)
    assert sandbox.splitlines()[0] == "kitestring is up (sandbox: no real money)"
    assert (card_json(card)["network"], card_json(card)["node"]) == ("bitcoin", "anna's")


def test_the_first_link_is_written_on_a_terminal_alone(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "kitestring", "up", "--data-dir", str(tmp_path)]
    child = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    try:
        text = b""
        while b"Ctrl-C stops it." not in text:
            text += os.read(ours, 65_536)
        assert b"\r\nnostr+walletconnect://" in text
    finally:
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 0
        os.close(ours)


def test_the_card_says_how_a_shell_finds_the_program_when_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card(("ws://127.0.0.1:7",), "ab" * 32, "noffer1xyz", None, Path("/d/control.sock"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "\n  . .venv/bin/activate\n" in card_text(card, sandbox=True)
    (tmp_path / "kitestring").touch(mode=0o700)
    assert "activate" not in card_text(card, sandbox=True)


def test_a_second_service_on_the_directory_is_refused(service: Service) -> None:
    result = service.run("up")
    assert result.exit_code == 4
    assert f"(pid {service.child.pid})" in result.stderr


# ------------------------------------------------------------ what happens, on a terminal


def on_terminal(home: Path, *options: str) -> str:
    """What a service writes on a terminal from its card to its end: something is done meanwhile, and it is stopped."""
    ours, theirs = os.openpty()
    running = Service.start(home, *options, stderr=theirs)
    os.close(theirs)
    try:
        running.ok("account", "create", "alice")
        running.ok("pay", running.ok("sandbox", "invoice", "50")["bolt11"])
        assert running.stop(signal.SIGINT) == 0
        text = b""
        with suppress(OSError):  # the other end is closed
            while part := os.read(ours, 65_536):
                text += part
        return text.decode()
    finally:
        os.close(ours)


def test_on_a_terminal_each_thing_that_happens_is_a_line_and_so_is_the_end(tmp_path: Path) -> None:
    owner, paid, stopping = on_terminal(tmp_path).splitlines()
    assert owner[8:] == "  owner     account create alice"
    assert paid[8:].startswith("  paid      -50 sat and ")
    assert "stopping: payments under way have 10 s" in stopping


def test_quiet_writes_nothing_of_it(tmp_path: Path) -> None:
    assert on_terminal(tmp_path, "--quiet") == ""


def test_a_log_of_json_has_one_object_for_each(tmp_path: Path) -> None:
    (tmp_path / "kitestring.toml").write_text('log_format = "json"')
    rows = [json.loads(line) for line in on_terminal(tmp_path).splitlines()]
    (paid,) = (row for row in rows if row.get("event") == "payment_sent")
    assert (paid["amount_msat"], paid["logger"], paid["level"]) == (50_000, "kitestring.activity", "info")
    assert "preimage" not in paid
