"""The operator's key on the command line: from a file, a variable or standard input, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.app.cli.at_operator import read_key
from kitestring.app.cli.shell import Shell
from kitestring.base.errors import KitestringError, Reason
from kitestring.codec import nip19
from tests.kit.app.beacons import OPERATOR
from tests.kit.app.console import kitestring

NSEC = nip19.encode(nip19.Nsec(bytes.fromhex(OPERATOR.hex())))


@pytest.mark.parametrize("text", [NSEC, f"{NSEC}\n", OPERATOR.hex(), f"nostr:{NSEC}"])
def test_a_key_is_read_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "key").write_text(text)
    monkeypatch.setenv("OPERATOR_KEY", text)
    for source in (f"file:{tmp_path / 'key'}", "env:OPERATOR_KEY"):
        assert read_key(Shell(), source).public_hex == OPERATOR.public_hex


@pytest.mark.parametrize("source", [NSEC, OPERATOR.hex(), "file:", "env:", "nsec1x", ""])
def test_a_key_that_was_typed_is_refused_and_not_repeated(source: str) -> None:
    with pytest.raises(KitestringError, match="a secret key is never typed") as caught:
        read_key(Shell(), source)
    assert caught.value.reason is Reason.MALFORMED
    assert not source or source in {"file:", "env:"} or source not in caught.value.message


@pytest.mark.parametrize("text", ["", "hello", "00" * 32, "npub1x", NSEC[:-1]])
def test_a_file_that_holds_no_key_is_named_and_its_text_is_not(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(KitestringError, match=r"key holds no secret key: it is one line") as caught:
        read_key(Shell(), f"file:{tmp_path / 'key'}")
    assert not text or text not in caught.value.message


def test_a_file_or_variable_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KitestringError, match=r"nothing is not a file with a secret key"):
        read_key(Shell(), f"file:{tmp_path / 'nothing'}")
    with pytest.raises(KitestringError, match="the environment variable KITE_NO_KEY holds no secret key"):
        read_key(Shell(), "env:KITE_NO_KEY")


def test_both_commands_need_a_key() -> None:
    for word in ("attest", "revoke"):
        refused = kitestring("beacon", word)
        assert (refused.exit_code, "--key is missing" in refused.stderr) == (2, True)
