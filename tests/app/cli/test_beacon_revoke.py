"""Revoking a service on the command line: what others read follows at once, and it can be taken back."""

from __future__ import annotations

from pathlib import Path

from tests.kit.app.beacons import OPERATOR_NPUB, station


def test_a_revocation_wins_over_the_attestation_until_the_service_is_attested_anew(tmp_path: Path) -> None:
    with station(tmp_path) as shop:
        key, ours = f"file:{tmp_path / 'operator.key'}", shop.card["service_pubkey"]
        shop.ok("beacon", "attest", "--key", key)
        said = shop.ok("beacon", "revoke", "--key", key)
        assert (said["attested"], said["revoked"]) == ([ours], [ours])
        shop.ok("beacon", "publish")
        assert shop.ok("beacon", "show")["operated"] == "revoked"
        text = shop.run("beacon", "revoke", shop.card["noffer"], "--key", key).stdout
        assert text.startswith("revoked npub1")
        assert OPERATOR_NPUB in text
        rows = dict(line.split(maxsplit=1) for line in text.splitlines()[2:])
        assert rows["attests"] == "–"  # what stands in the document and counts no more is not shown as if it did
        assert rows["revokes"].startswith("npub1")
        again = shop.ok("beacon", "attest", "--key", key)
        assert (again["attested"], again["revoked"]) == ([ours], [])
        assert shop.ok("beacon", "show")["operated"] == "verified"
