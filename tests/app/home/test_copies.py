"""A backup is all of a service or nothing; a restore takes nothing away."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from kitestring.app.home import copies
from kitestring.app.home.copies import ASIDE, back_up, restore
from kitestring.app.home.datadir import DataDir
from kitestring.app.home.keyring import Keyring
from kitestring.backend.clink.book import FILE_NAME as BOOK
from kitestring.backend.clink.book import WalletBook
from kitestring.base.errors import KitestringError, Reason
from kitestring.client.requestor import FILE_NAME, requestor_seed
from kitestring.ledger.sqlite.store import SqliteStore
from kitestring.sdk.subscription_store import FOLDER, SubscriptionRow, SubscriptionStore

NOW = 1_795_920_000


async def service_at(path: Path) -> DataDir:
    """A directory in which a service ran once."""
    home = DataDir(path, path)
    home.create()
    await (await SqliteStore.open(home.ledger, Keyring(home.seed(os.urandom)).service_id)).close()
    home.marker_file.write_bytes(b"{}")
    return home


@pytest.fixture
async def home(tmp_path: Path) -> DataDir:
    made = await service_at(tmp_path / "home")
    made.config_file.write_text("[fees]\n")
    return made


def stops(ledger: Path) -> list[str]:
    with closing(sqlite3.connect(ledger)) as connection:
        return [why for (why,) in connection.execute("SELECT why FROM stops")]


async def test_a_backup_holds_key_settings_and_ledger_for_their_owner_alone(home: DataDir, tmp_path: Path) -> None:
    target = tmp_path / "backups" / "monday"
    before = os.umask(0)
    try:
        back_up(home, target, NOW)
    finally:
        os.umask(before)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in target.iterdir()} == {
        "service.key": 0o600, "kitestring.toml": 0o600, "kitestring.db": 0o600,
    }  # fmt: skip
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert DataDir(target, target).read_seed() == home.read_seed()
    assert (stops(home.ledger), stops(target / "kitestring.db")) == (
        [], ["this ledger comes from the backup of 2026-11-29 02:40 UTC; what happened since then is not in it"],
    )  # fmt: skip
    assert [path.name for path in target.parent.iterdir()] == ["monday"]


async def test_a_backup_that_breaks_off_leaves_nothing(
    home: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise home.full()

    monkeypatch.setattr(copies, "write_whole", full)
    with pytest.raises(KitestringError, match="the disk is full"):
        back_up(home, tmp_path / "backups" / "monday", NOW)
    assert list((tmp_path / "backups").iterdir()) == []


async def test_a_backup_goes_into_a_new_directory_alone(home: DataDir, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    back_up(home, tmp_path / "empty", NOW)
    with pytest.raises(KitestringError, match="exists already"):
        back_up(home, tmp_path / "empty", NOW)
    with pytest.raises(KitestringError, match=r"no service in .* yet"):
        back_up(DataDir(tmp_path / "nobody", tmp_path), tmp_path / "new", NOW)


async def test_a_restored_service_is_the_old_one_and_says_that_it_was_restored(home: DataDir, tmp_path: Path) -> None:
    back_up(home, tmp_path / "monday", NOW)
    there = DataDir(tmp_path / "new", tmp_path)
    assert restore(there, tmp_path / "monday", NOW, force=False) == []
    assert there.read_seed() == home.read_seed()
    assert there.config_file.read_text() == "[fees]\n"
    assert "backup of 2026-11-29" in stops(there.ledger)[0]
    assert stat.S_IMODE(there.ledger.stat().st_mode) == 0o600
    there.check_owner(Keyring(home.read_seed()).service_id)


async def test_a_ledger_that_was_copied_by_hand_is_marked_when_it_is_restored(home: DataDir, tmp_path: Path) -> None:
    there = DataDir(tmp_path / "new", tmp_path)
    restore(there, home.path, NOW, force=False)
    assert stops(there.ledger) == [
        "the ledger was restored on 2026-11-29 02:40 UTC; what happened since the backup is not in it"
    ]
    assert stops(home.ledger) == []


async def test_a_restore_overwrites_nothing_and_with_force_keeps_what_was_there(home: DataDir, tmp_path: Path) -> None:
    back_up(home, tmp_path / "monday", NOW)
    there = await service_at(tmp_path / "new")
    there.config_file.write_text("# mine\n")
    own, key = there.ledger.read_bytes(), there.key_file.read_bytes()
    with pytest.raises(KitestringError, match=r"holds a service already \(service.key, kitestring.db\)") as caught:
        restore(there, tmp_path / "monday", NOW, force=False)
    assert caught.value.reason is Reason.ALREADY_USED
    assert (there.ledger.read_bytes(), there.key_file.read_bytes()) == (own, key)
    kept = restore(there, tmp_path / "monday", NOW, force=True)
    assert [path.read_bytes() for path in kept] == [key, b"# mine\n", own]
    assert all(path.name.endswith(ASIDE) for path in kept)
    assert there.read_seed() == home.read_seed()
    assert there.marker_file.read_bytes() == b"{}"  # the witness of what was here


async def test_no_restore_takes_away_what_another_one_has_put_aside(
    home: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(home, tmp_path / "monday", NOW)
    there = await service_at(tmp_path / "new")
    own, key = there.ledger.read_bytes(), there.key_file.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(copies, "sync_directory", killed)
    with pytest.raises(KeyboardInterrupt):
        restore(there, tmp_path / "monday", NOW, force=True)
    monkeypatch.undo()
    assert not there.ledger.exists()
    assert restore(there, tmp_path / "monday", NOW, force=False) == []
    kept = [path.name for path in restore(there, tmp_path / "monday", NOW, force=True)]
    assert kept == [f"service.key{ASIDE}-2", f"kitestring.toml{ASIDE}-2", f"kitestring.db{ASIDE}-2"]
    assert there.ledger.with_name(f"kitestring.db{ASIDE}").read_bytes() == own
    assert there.key_file.with_name(f"service.key{ASIDE}").read_bytes() == key


async def test_settings_of_ones_own_stay_where_there_was_no_service(home: DataDir, tmp_path: Path) -> None:
    there = DataDir(tmp_path / "new", tmp_path)
    there.create()
    there.config_file.write_text("# mine\n")
    assert restore(there, home.path, NOW, force=False) == []
    assert there.config_file.read_text() == "# mine\n"


async def test_the_log_of_the_old_ledger_is_never_read_as_one_of_the_new(home: DataDir, tmp_path: Path) -> None:
    back_up(home, tmp_path / "monday", NOW)
    log = home.ledger.with_name("kitestring.db-wal")
    log.write_bytes(b"of the old one")
    restore(home, tmp_path / "monday", NOW, force=True)
    assert not log.exists()
    assert home.ledger.with_name(f"kitestring.db{ASIDE}-wal").read_bytes() == b"of the old one"


async def test_what_is_no_backup_and_a_service_that_runs_are_refused(home: DataDir, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(KitestringError, match=r"is no backup: it must hold service\.key and kitestring\.db"):
        restore(home, tmp_path / "empty", NOW, force=True)
    back_up(home, tmp_path / "monday", NOW)
    with home.locked(), pytest.raises(KitestringError, match="another kitestring is running"):
        restore(DataDir(home.path, home.path), tmp_path / "monday", NOW, force=True)


# ---------------------------------------------------------------- debits that are asked of others


def subscribe(home: DataDir, name: str) -> SubscriptionRow:
    """Make a subscription, and the key with which it is asked for."""
    requestor_seed(home.path, os.urandom)
    with SubscriptionStore(home.path) as store:
        return store.open_one(
            ndebit="ndebit1x", service="ab" * 32, pointer="", amount_sats=500, every="day", name=name, now=NOW,
            entropy=os.urandom,
        )  # fmt: skip


def subscribed(home: DataDir) -> tuple[list[str], int | None]:
    """The names of the subscriptions, and when they were put back."""
    with SubscriptionStore(home.path) as store:
        return [row.name for row in store.subscriptions()], store.restored_at()


async def test_the_key_that_others_granted_to_and_the_subscriptions_come_along(home: DataDir, tmp_path: Path) -> None:
    subscribe(home, "blog")
    before = os.umask(0)
    try:
        back_up(home, tmp_path / "monday", NOW)
        there = DataDir(tmp_path / "new", tmp_path)
        assert restore(there, tmp_path / "monday", NOW + 60, force=False) == []
    finally:
        os.umask(before)
    assert (there.path / FILE_NAME).read_bytes() == (home.path / FILE_NAME).read_bytes()
    assert subscribed(there) == (["blog"], NOW + 60)
    assert subscribed(home) == (["blog"], None)
    for place in (tmp_path / "monday", there.path):
        assert stat.S_IMODE((place / FILE_NAME).stat().st_mode) == 0o600
        assert stat.S_IMODE((place / FOLDER).stat().st_mode) == 0o700
        assert stat.S_IMODE((place / FOLDER / "subscriptions.db").stat().st_mode) == 0o600


async def test_subscriptions_that_went_on_after_the_backup_are_not_put_back(home: DataDir, tmp_path: Path) -> None:
    subscribe(home, "blog")
    back_up(home, tmp_path / "monday", NOW)
    subscribe(home, "news")
    restore(home, tmp_path / "monday", NOW + 60, force=True)
    assert subscribed(home) == (["blog", "news"], None)
    assert not (home.path / f"{FILE_NAME}{ASIDE}").exists()


async def test_another_key_is_never_overwritten_and_with_force_it_is_kept_with_its_subscriptions(
    home: DataDir, tmp_path: Path
) -> None:
    subscribe(home, "blog")
    back_up(home, tmp_path / "monday", NOW)
    there = DataDir(tmp_path / "new", tmp_path)
    there.create()
    row = subscribe(there, "mine")
    key = (there.path / FILE_NAME).read_bytes()
    with pytest.raises(KitestringError, match=r"holds a service already \(requestor.key\)"):
        restore(there, tmp_path / "monday", NOW, force=False)
    with SubscriptionStore(there.path) as store, store.held(row.subscription_id):  # it is being carried out
        with pytest.raises(KitestringError) as caught:
            restore(there, tmp_path / "monday", NOW, force=True)
        assert caught.value.reason is Reason.BUSY
    assert (there.path / FILE_NAME).read_bytes() == key
    kept = restore(there, tmp_path / "monday", NOW, force=True)
    assert [path.name for path in kept] == [f"{FILE_NAME}{ASIDE}", f"subscriptions.db{ASIDE}"]
    assert kept[0].read_bytes() == key
    assert (there.path / FILE_NAME).read_bytes() == (home.path / FILE_NAME).read_bytes()
    assert subscribed(there) == (["blog"], NOW)


# ---------------------------------------------------------------- a CLINK wallet in place of a node


def learn(home: DataDir, network: str) -> None:
    """Write something into the book of a wallet."""
    book = WalletBook(home.path, "wallet")
    book.learn_network(network)
    book.close()


def learnt(home: DataDir) -> str:
    book = WalletBook(home.path, "wallet")
    try:
        return book.network
    finally:
        book.close()


async def test_the_book_of_a_wallet_comes_along_and_is_not_put_over_one_that_went_on(
    home: DataDir, tmp_path: Path
) -> None:
    learn(home, "regtest")
    back_up(home, tmp_path / "monday", NOW)
    there = DataDir(tmp_path / "new", tmp_path)
    assert restore(there, tmp_path / "monday", NOW, force=False) == []
    assert learnt(there) == "regtest"
    assert stat.S_IMODE((there.path / BOOK).stat().st_mode) == 0o600
    learn(home, "bitcoin")
    restore(home, tmp_path / "monday", NOW, force=True)
    assert learnt(home) == "bitcoin"


async def test_the_book_of_another_key_is_put_aside_with_it(home: DataDir, tmp_path: Path) -> None:
    subscribe(home, "blog")
    learn(home, "regtest")
    back_up(home, tmp_path / "monday", NOW)
    there = DataDir(tmp_path / "new", tmp_path)
    there.create()
    subscribe(there, "mine")
    learn(there, "bitcoin")
    kept = restore(there, tmp_path / "monday", NOW, force=True)
    assert f"{BOOK}{ASIDE}" in {path.name for path in kept}
    assert learnt(there) == "regtest"
