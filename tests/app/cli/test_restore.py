"""Backup, restore, start: as somebody does it who has lost a disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.kit.app.console import Service


def test_a_restored_service_receives_and_spends_after_the_books_were_compared(tmp_path: Path) -> None:
    home, backup = tmp_path / "home", tmp_path / "monday"
    first = Service.start(home)
    first.ok("pay", first.ok("sandbox", "invoice", "50")["bolt11"])
    first.ok("connect", "alice")
    first.ok("backup", str(backup))
    paid_later = first.ok("sandbox", "invoice", "60")["bolt11"]
    first.ok("pay", paid_later)
    refused = first.run("restore", str(backup), "--force")
    assert "another kitestring is running" in refused.stderr
    first.ok("revoke", "alice")
    assert first.stop() == 0
    restored = first.run("restore", str(backup), "--force")
    assert "a link that was exchanged or revoked since the backup is good again" in restored.stdout
    assert "alice" in [row["name"] for row in first.ok("connections")["connections"]]

    again = Service.start(home)
    again.ok("revoke", "alice")  # before anything is spent
    refused = again.run("pay", paid_later)
    assert "spending is stopped here at the moment; `kitestring doctor` says why and what to do" in refused.stderr
    again.ok("sandbox", "pay", again.card["noffer"], "21")
    found = {row["name"]: row for row in json.loads(again.run("--json", "doctor").stdout)["checks"]}
    assert found["ledger"]["state"] == "fail"
    assert "comes from the backup of" in found["ledger"]["message"]
    assert again.ok("audit", "--node")["allowed"] == ["ledger"]
    again.ok("pay", again.ok("sandbox", "invoice", "70")["bolt11"])
    assert again.stop() == 0

    third = Service.start(home)
    third.ok("pay", third.ok("sandbox", "invoice", "80")["bolt11"])
    assert third.stop() == 0


def test_a_directory_that_was_copied_by_hand_and_put_back_does_not_spend(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy.db"
    first = Service.start(home)
    first.ok("pay", first.ok("sandbox", "invoice", "50")["bolt11"])
    assert first.stop() == 0
    shutil.copy(home / "kitestring.db", copy)
    second = Service.start(home)
    second.ok("pay", second.ok("sandbox", "invoice", "60")["bolt11"])
    assert second.stop() == 0
    shutil.copy(copy, home / "kitestring.db")
    third = Service.start(home)
    refused = third.run("pay", third.ok("sandbox", "invoice", "70")["bolt11"])
    assert "spending is stopped here at the moment; `kitestring doctor` says why and what to do" in refused.stderr
    assert third.ok("allow-spending", "--note", "I know what I paid")["allowed"] == ["ledger"]
    third.ok("pay", third.ok("sandbox", "invoice", "70")["bolt11"])
    assert third.stop() == 0
