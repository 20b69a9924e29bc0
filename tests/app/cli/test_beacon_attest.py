"""Attesting a service on the command line, from its beacon to what others read."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitestring.codec import nip19
from kitestring.crypto.keys import SecretKey
from tests.kit.app.beacons import OPERATOR, OPERATOR_NPUB, station
from tests.kit.app.console import kitestring

OTHER = SecretKey(b"\x08" * 32).public_hex


def test_an_operator_attests_the_own_service_and_another_and_others_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with station(tmp_path) as shop:
        key, relay = f"file:{tmp_path / 'operator.key'}", shop.card["relay"]
        ours = shop.card["service_pubkey"]
        said = shop.ok("beacon", "attest", "--key", key)
        assert said == {
            "operator": OPERATOR_NPUB,
            "service_pubkey": ours,
            "attested": [ours],
            "revoked": [],
            "relays": [{"relay": relay, "has_it": True, "words": said["relays"][0]["words"]}],
        }
        shop.ok("beacon", "publish")
        assert shop.ok("beacon", "show")["operated"] == "verified"
        monkeypatch.setenv("OPERATOR_KEY", OPERATOR.hex())
        again = shop.run("beacon", "attest", nip19.encode(nip19.PublicKey(OTHER)), "--key", "env:OPERATOR_KEY")
        assert again.exit_code == 0
        first, blank, *rows = again.stdout.splitlines()
        assert (first, blank) == (f"attested {nip19.encode(nip19.PublicKey(OTHER))}", "")
        assert [row.split()[0] for row in rows] == ["operator", "attests", "revokes", "relays"]
        assert all(nip19.encode(nip19.PublicKey(one)) in rows[1] for one in (ours, OTHER))
        assert rows[3].endswith(f"{relay} has it")
        piped = shop.ok("beacon", "attest", "--key", "-", stdin=OPERATOR.hex())
        assert set(piped["attested"]) == {ours, OTHER}


def test_whose_key_the_beacon_does_not_name_is_told_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "other.key").write_text("07" * 32)
    with station(tmp_path) as shop:
        stranger = shop.run("beacon", "attest", "--key", f"file:{tmp_path / 'other.key'}")
        assert stranger.exit_code == 0
        assert (
            "nobody believes it yet: beacon.operator in the settings of this service is another key" in stranger.stderr
        )
        named = shop.run("beacon", "attest", "--key", f"file:{tmp_path / 'operator.key'}")
        assert "nobody believes" not in named.stderr


def test_without_a_service_in_the_directory_one_has_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(OPERATOR.hex())
    refused = kitestring("beacon", "attest", "--key", f"file:{tmp_path / 'key'}", "--data-dir", str(tmp_path / "none"))
    assert (refused.exit_code, "there is no service in" in refused.stderr) == (4, True)
    assert OPERATOR.hex() not in refused.output
