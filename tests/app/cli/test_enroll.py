"""An account at somebody else's service, by command line; and at this very program's."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitestring.codec import nip19, pointers
from kitestring.codec.nip19 import Profile, PublicKey
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from tests.kit.app.console import Service, kitestring
from tests.kit.app.questions import NPUB
from tests.kit.chance import entropy
from tests.kit.client.debtor import Answers, Debtor, always
from tests.kit.clock import StandingClock

CLOSED = {"res": "GFY", "code": 1, "error": "Closed"}


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that lets strangers in, for little work."""
    home = tmp_path_factory.mktemp("bank") / "data"
    home.mkdir(mode=0o700)
    (home / "kitestring.toml").write_text('[enroll]\nmode = "open"\ndifficulty = 12\n', encoding="utf-8")
    running = Service.start(home)
    yield running
    if running.child.poll() is None:
        running.stop()


def profile(service: Service) -> str:
    return nip19.encode(Profile(service.card["service_pubkey"], tuple(service.card["relays"])))


def customer(bank: Service, home: Path) -> Service:
    """Another data directory, whose commands know no running service."""
    return Service(home, bank.child, bank.card)


def test_an_account_is_opened_paid_and_taken_from_over_the_wire_and_outlives_a_kill(
    bank: Service, tmp_path: Path
) -> None:
    carol = customer(bank, tmp_path)
    (tmp_path / "kitestring.toml").write_text(f'relays = ["{bank.card["relays"][0]}"]\n', encoding="utf-8")
    made = carol.ok("enroll", profile(bank))
    assert (made["work_bits"], made["service"]) == (12, bank.card["service_pubkey"])
    bank.ok("sandbox", "pay", made["noffer"], "1000")
    (row,) = [row for row in bank.ok("account", "list")["accounts"] if row["npub"]]
    assert (row["available_msat"], row["npub"]) == (1_000_000, nip19.encode(PublicKey(made["key"])))
    shown = bank.ok("account", "show", row["npub"])
    assert [offer["noffer"] for offer in shown["offers"]] == [made["noffer"]]
    assert [pointer["ndebit"] for pointer in shown["pointers"]] == [made["ndebit"]]

    bill = bank.ok("sandbox", "invoice", "500")["bolt11"]
    taken = carol.ok("debit", "request", made["ndebit"], bill)
    assert (taken["amount_msat"], taken["proof"]) == (500_000, "proven")
    (row,) = [row for row in bank.ok("account", "list")["accounts"] if row["npub"]]
    assert 490_000 <= row["available_msat"] < 500_000, "with the fee of the route"

    bank.stop(signal.SIGKILL)
    again = Service.start(bank.home)
    bank.child, bank.card = again.child, again.card
    second = carol.ok("enroll", profile(bank))
    assert {**second, "work_bits": 12} == made, "and without work"
    assert bank.ok("audit")["violations"] == []
    lines = bank.run("doctor").stdout
    assert "open to strangers for 12 bits of work; 1 of 1000 have an account" in lines


def test_without_a_word_of_the_owner_nobody_enrolls(service: Service, tmp_path: Path) -> None:
    told = customer(service, tmp_path / "dave").run("enroll", profile(service), "--relay", service.card["relays"][0])
    assert (told.exit_code, "no new accounts are opened here" in told.stderr) == (5, True)


async def asked(service: Service, answers: Answers, *args: str) -> tuple[int, str, str]:
    """One command against a service that plays a script, on the relay of a real one."""
    import asyncio

    url, clock = service.card["relays"][0], StandingClock(int(time.time()))
    async with Debtor(url, answers, clock, SecretKey.generate(entropy), kinds.ENROLL) as bank:
        text = nip19.encode(PublicKey(bank.key.public_hex))
        done = await asyncio.to_thread(service.run, *args[:1], "enroll", text, "--relay", url, *args[1:])
        return done.exit_code, done.stdout, done.stderr


async def test_a_refusal_has_the_exit_code_of_its_reason(service: Service) -> None:
    code, _, err = await asked(service, always(CLOSED), "--json")
    assert (code, err) == (5, "error: the service opened no account: Closed\n")
    hard = {"res": "GFY", "code": 5, "error": "Work", "required_difficulty": 30}
    code, out, _ = await asked(service, always(hard), "--json")
    assert (code, json.loads(out)["error"]["details"]["required_difficulty"]) == (6, 30)
    code, _, err = await asked(service, always(None), "--json", "--wait", "1")
    assert (code, "has not answered" in err) == (4, True)


def test_the_codes_are_shown_one_a_line(bank: Service, tmp_path: Path) -> None:
    relay = bank.card["relays"][0]
    done = customer(bank, tmp_path / "erin").run("enroll", bank.card["noffer"], "--relay", relay)
    assert done.exit_code == 0
    codes = [line.split()[-1] for line in done.stdout.splitlines()]
    assert [type(pointers.decode(code)).__name__ for code in codes] == ["Noffer", "Ndebit", "Nmanage"]


@pytest.mark.parametrize("text", ["npub1x", "bob", NPUB])
def test_what_names_no_service_or_no_relay_is_refused(text: str) -> None:
    assert kitestring("enroll", text).exit_code == 2
