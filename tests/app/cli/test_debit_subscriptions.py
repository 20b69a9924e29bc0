"""What is charged from a data directory, and the end of it."""

from __future__ import annotations

from pathlib import Path

from kitestring.sdk.subscription_store import SubscriptionStore
from tests.kit.app.console import kitestring
from tests.kit.chance import Counted
from tests.kit.clock import NOW


def ready(home: Path) -> list[str]:
    """Three subscriptions: paid, without budget, with an open charge; their ids."""
    draws, ids = Counted(), []
    with SubscriptionStore(home) as store:
        for name in ("blog", "new", "open"):
            row = store.open_one(
                ndebit="ndebit1x", service="ab" * 32, pointer="main", amount_sats=500, every="month", name=name,
                now=NOW, entropy=draws,
            )  # fmt: skip
            ids.append(row.subscription_id)
        for subscription_id, payment_hash in ((ids[0], "00" * 32), (ids[2], "11" * 32)):
            store.begin(subscription_id, NOW)
            store.add_charge(
                subscription_id, 0, bolt11="lnbcrt1x", payment_hash=payment_hash, expires_at=NOW + 60, now=NOW
            )  # fmt: skip
        store.settle("00" * 32, NOW)
    return ids


def listed(home: Path, *words: str) -> str:
    done = kitestring("--data-dir", str(home), "debit", "subscriptions", *words)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_an_empty_directory_stays_empty_and_says_what_to_type(tmp_path: Path) -> None:
    assert listed(tmp_path).startswith("no subscriptions; make one with: kitestring ")
    assert list(tmp_path.iterdir()) == []
    done = kitestring("--data-dir", str(tmp_path), "debit", "subscriptions", "--cancel", "ab")
    assert (done.exit_code, done.stderr) == (2, "error: there is no subscription ab\n")


def test_each_is_a_line_with_what_it_is_waiting_for(tmp_path: Path) -> None:
    blog, new, unclear = ready(tmp_path)
    lines = listed(tmp_path).splitlines()[1:]
    assert [line.split()[0] for line in lines] == [blog, new, unclear]
    assert "500 sat per month" in lines[0]
    assert [line.split("  ")[-1].strip() for line in lines] == ["runs", "no budget yet", "1 not decided"]


def test_one_is_cancelled_by_its_id(tmp_path: Path) -> None:
    blog, _, unclear = ready(tmp_path)
    assert listed(tmp_path, "--cancel", blog) == f"{blog} is cancelled: nothing is charged any more\n"
    assert "; 1 invoices may still be paid" in listed(tmp_path, "--cancel", unclear)
    assert "cancelled 20" in listed(tmp_path).splitlines()[1]


def test_programs_are_told_amounts_in_msat_and_times(tmp_path: Path) -> None:
    import json

    ready(tmp_path)
    rows = json.loads(listed(tmp_path, "--json"))["subscriptions"]
    assert [(row["name"], row["charges"], row["open"], row["paid_until"]) for row in rows] == [
        ("blog", 1, 0, NOW + 2_592_000), ("new", 0, 0, None), ("open", 0, 1, None),
    ]  # fmt: skip
    assert {row["amount_msat"] for row in rows} == {500_000}
