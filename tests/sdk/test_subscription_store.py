"""The memory of subscriptions: what it keeps through a crash, and what it never lets happen twice."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.sdk.subscription_store import FILE_NAME, FOLDER, SubscriptionRow, SubscriptionStore
from tests.kit.chance import Counted
from tests.kit.clock import NOW

DRAWS = Counted()
HASHES = [f"{number:064x}" for number in range(9)]


def subscribed(
    store: SubscriptionStore, name: str = "", amount_sats: int = 500, ndebit: str = "ndebit1x"
) -> SubscriptionRow:
    return store.open_one(
        ndebit=ndebit, service="ab" * 32, pointer="main", amount_sats=amount_sats, every="month", name=name, now=NOW,
        entropy=DRAWS,
    )  # fmt: skip


def charged(store: SubscriptionStore, row: SubscriptionRow, period: int, payment_hash: str) -> None:
    store.add_charge(
        row.subscription_id, period, bolt11="lnbcrt1x", payment_hash=payment_hash, expires_at=NOW + 60, now=NOW
    )  # fmt: skip


def test_the_same_terms_are_the_same_subscription_also_in_the_next_life(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path) as store:
        row = subscribed(store)
        assert subscribed(store, name="other") != row
        assert subscribed(store, amount_sats=501) != row
    with SubscriptionStore(tmp_path) as store:
        moved = subscribed(store, ndebit="ndebit1y")
        assert (moved.subscription_id, moved.ndebit) == (row.subscription_id, "ndebit1y")
        assert len(store.subscriptions()) == 3


def test_one_that_was_cancelled_stays_so_and_a_new_one_takes_its_terms(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path) as store:
        row = subscribed(store)
        assert store.cancel(row.subscription_id, NOW + 5).cancelled_at == NOW + 5
        assert store.cancel(row.subscription_id, NOW + 9).cancelled_at == NOW + 5
        assert subscribed(store).subscription_id != row.subscription_id
        with pytest.raises(KitestringError, match="no subscription 00") as caught:
            store.cancel("00", NOW)
        assert caught.value.reason is Reason.UNKNOWN_TARGET


def test_period_0_begins_with_the_first_budget_and_never_again(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path) as store:
        row = subscribed(store)
        assert (row.begun_at, row.has_budget) == (None, False)
        store.begin(row.subscription_id, NOW + 5)
        store.lose_budget(row.subscription_id)
        assert not store.subscription(row.subscription_id).has_budget
        store.begin(row.subscription_id, NOW + 500)
        begun = store.subscription(row.subscription_id)
    assert (begun.begun_at, begun.has_budget) == (NOW + 5, True)
    assert (begun.begins_at(0), begun.begins_at(2)) == (NOW + 5, NOW + 5 + 2 * 2_592_000)


def test_only_what_has_not_begun_is_forgotten(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path) as store:
        row = subscribed(store)
        begun = subscribed(store, "other")
        store.begin(begun.subscription_id, NOW)
        for each in (row, begun):
            store.forget(each.subscription_id)
        assert [each.name for each in store.subscriptions()] == ["other"]


def test_a_period_has_one_invoice_that_may_be_paid_whoever_asks(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path) as store, SubscriptionStore(tmp_path) as other:
        row = subscribed(store)
        charged(store, row, 3, HASHES[0])
        with pytest.raises(KitestringError, match="period 3 has an invoice already") as caught:
            charged(other, row, 3, HASHES[1])
        assert caught.value.reason is Reason.BUSY
        charged(other, row, 4, HASHES[1])
        store.void(HASHES[0])
        charged(other, row, 3, HASHES[2])
        store.settle(HASHES[2], NOW)
        with pytest.raises(KitestringError):
            charged(store, row, 3, HASHES[3])
        found = store.charge_of(row.subscription_id, 3)
        assert found is not None
        assert (found.payment_hash, found.state) == (HASHES[2], "paid")


def test_a_hash_belongs_to_one_period_for_ever(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path) as store:
        row = subscribed(store)
        charged(store, row, 0, HASHES[0])
        with pytest.raises(KitestringError):
            charged(store, row, 1, HASHES[0])


def test_paid_is_never_undone_and_a_late_truth_is_booked(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path) as store:
        row = subscribed(store)
        charged(store, row, 0, HASHES[0])
        store.settle(HASHES[0], NOW + 1)
        store.void(HASHES[0])
        store.settle(HASHES[0], NOW + 9)
        found = store.charge(HASHES[0])
        assert (found.state, found.settled_at) == ("paid", NOW + 1)


def test_what_is_paid_is_told_until_it_was_dealt_with(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path) as store:
        row = subscribed(store)
        for period in (1, 0, 2):
            charged(store, row, period, HASHES[period])
        for period in (1, 0):
            store.settle(HASHES[period], NOW)
        assert [each.period for each in store.open_charges(row.subscription_id)] == [2]
        assert [each.period for each in store.untold_charges(row.subscription_id)] == [0, 1]
        store.mark_told(HASHES[0])
    with SubscriptionStore(tmp_path) as store:
        assert [each.period for each in store.untold_charges(row.subscription_id)] == [1]
        assert [each.period for each in store.paid_charges(row.subscription_id)] == [0, 1]
        with pytest.raises(KitestringError, match="no charge"):
            store.charge(HASHES[8])


def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path / "home") as store, store.held(subscribed(store).subscription_id):
        folder = tmp_path / "home" / FOLDER
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_a_change_is_on_disk_when_it_is_told(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path) as store:
        (synchronous,) = store._db.execute("PRAGMA synchronous").fetchone()
        (mode,) = store._db.execute("PRAGMA journal_mode").fetchone()
    assert (synchronous, mode) == (3, "delete")


HOLD = """
import sys
from contextlib import closing
from pathlib import Path
from kitestring.sdk.subscription_store import SubscriptionStore
with SubscriptionStore(Path(sys.argv[1])) as store, store.held(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_told_who_carries_it_out_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path) as store:
        row, other = subscribed(store), subscribed(store, "other")
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), row.subscription_id],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        words = f"carried out by another process .pid {holder.pid}"
        with pytest.raises(KitestringError, match=words) as caught, store.held(row.subscription_id):
            pass
        assert caught.value.reason is Reason.BUSY
        with store.held(other.subscription_id):  # another one is nobody's business
            pass
        holder.kill()
        holder.communicate()
        again = SubscriptionStore(tmp_path)
        with store.held(row.subscription_id), again:
            refused = pytest.raises(KitestringError, match="carried out")
            with refused, again.held(row.subscription_id):
                pass


@pytest.mark.parametrize("name", ["../x", "", "A"])
def test_an_id_is_no_path(name: str, tmp_path: Path) -> None:
    store = SubscriptionStore(tmp_path)
    with store, pytest.raises(KitestringError, match="no subscription"), store.held(name):
        pass


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / FOLDER / FILE_NAME
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(KitestringError, match="put it back from a copy"):
        SubscriptionStore(tmp_path)
    assert path.read_bytes() == b"no database at all" * 100


def test_a_file_of_a_newer_kitestring_is_not_touched(tmp_path: Path) -> None:
    SubscriptionStore(tmp_path).close()
    path = tmp_path / FOLDER / FILE_NAME
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    with pytest.raises(KitestringError, match="newer kitestring") as caught:
        SubscriptionStore(tmp_path)
    assert caught.value.reason is Reason.UNSUPPORTED


def test_a_file_from_before_restores_were_noted_is_read_on(tmp_path: Path) -> None:
    with SubscriptionStore(tmp_path) as store:
        row = subscribed(store)
    with closing(sqlite3.connect(tmp_path / FOLDER / FILE_NAME)) as connection:
        connection.executescript("DROP TABLE restores; PRAGMA user_version = 1")
    with SubscriptionStore(tmp_path) as store:
        assert (store.subscriptions(), store.restored_at()) == ([row], None)


def test_a_copy_knows_when_it_was_put_back_and_what_may_have_begun_since(tmp_path: Path) -> None:
    (tmp_path / "copy" / FOLDER).mkdir(parents=True)
    with SubscriptionStore(tmp_path) as store:
        begun, waiting = subscribed(store), subscribed(store, name="waiting")
        store.begin(begun.subscription_id, NOW)
        store.copy_to(tmp_path / "copy" / FOLDER / FILE_NAME, NOW + 9)
        assert (store.restored_at(), store.subscription(waiting.subscription_id).begun_at) == (None, None)
    assert stat.S_IMODE((tmp_path / "copy" / FOLDER / FILE_NAME).stat().st_mode) == 0o600
    with SubscriptionStore(tmp_path / "copy") as copy:
        assert copy.restored_at() == NOW + 9
        assert [row.begun_at for row in copy.subscriptions()] == [NOW, NOW + 9]
        assert [row.has_budget for row in copy.subscriptions()] == [True, False]
