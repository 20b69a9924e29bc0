"""In a pipe, where a file or a journal keeps it, stands no secret but the one that a command was asked for."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kitestring.app.cli.examples import EXAMPLES
from kitestring.app.home.keyring import Keyring
from kitestring.codec import bech32
from kitestring.codec.uri import decode_nwc
from tests.kit.app.console import Service

#: Whose answer is a secret link or key, which somebody asks for: on standard output alone.
ASKED = frozenset({"connect", "link", "connection rotate", "connect-request", "enroll"})
#: Those that serve or watch until they are stopped, or ask machines elsewhere.
LEFT_OUT = frozenset({"up", "relay", "demo", "watch", "rate", "restore"})
#: What ends something is tried last.
ENDINGS = ("revoke", "delete", "close", "unlink")
#: What the examples name is there.
SETUP = (
    "account create alice", "account create bob", "connect bot --budget 5000/day", "connect shop --preset receive-only",
    "offer create coffee --price 300", "offer create espresso --price 300", "debit pointer create till",
    "manage link market",
)  # fmt: skip
SCHEME = "nostr+walletconnect://"
PATIENCE_S = 60


def _examples() -> list[tuple[str, str]]:
    found = [(words, one) for words, several in EXAMPLES.items() for one in several if words not in LEFT_OUT]
    found = [(words, one) for words, one in found if "@example.com" not in one and "--wait" not in one]
    return sorted(found, key=lambda row: row[0].endswith(ENDINGS))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service.start(tmp_path_factory.mktemp("pipes") / "data")
    yield running
    running.stop()


def _own_secrets(home: Path) -> list[str]:
    seed = (home / "service.key").read_text().strip()
    key = Keyring(bytes.fromhex(seed)).service_key.hex()
    return [seed, key, bech32.encode("nsec", bytes.fromhex(key))]


@pytest.mark.timeout(600)
def test_no_command_writes_a_secret_that_was_not_asked_for(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    links = {service.first_link}
    for line in SETUP:
        made = service.ok(*line.split())
        links |= {made["nwc_uri"]} if "nwc_uri" in made else set()
    clients = {decode_nwc(link).secret.hex() for link in links}
    secrets = [*_own_secrets(service.home), *clients]
    succeeded = set()
    for words, line in _examples():
        for form in ([], ["--json"]):
            told = service.run(*form, *[word for word in shlex.split(line)[1:] if word != "--json"])
            shown = told.stderr if words in ASKED else told.stdout + told.stderr
            assert [secret for secret in secrets if secret in shown] == [], line
            assert SCHEME not in shown, line
            if told.exit_code == 0:
                succeeded.add(words)
    assert len(succeeded) > 50, "most examples are carried out"
    assert {"card", "init", "connect", "link", "doctor", "backup", "connections"} <= succeeded


@pytest.mark.parametrize("form", [[], ["--json"], ["--qr"]])
def test_the_first_start_writes_none_either_and_the_link_is_there_for_whoever_asks(
    tmp_path: Path, form: list[str]
) -> None:
    command = [sys.executable, "-m", "kitestring", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen([*command, "up", *form], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
        assert up.stdout is not None
        begun = up.stdout.readline()
        asked = subprocess.run([*command, "--json", "link", "first wallet"], capture_output=True, text=True, check=True)
        up.send_signal(signal.SIGTERM)
        said = begun + up.stdout.read()
        assert up.wait(PATIENCE_S) == 0
    link = json.loads(asked.stdout)["nwc_uri"]
    assert link.startswith(SCHEME)
    secrets = [*_own_secrets(tmp_path / "data"), decode_nwc(link).secret.hex(), SCHEME]
    assert [secret for secret in secrets if secret in said] == []
