"""Offers of one's own at a service, from the command line: a running service, asked by an app beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.app.console import Service, kitestring


class App:
    """The command line in a data directory of its own, at the link of the service."""

    def __init__(self, home: Path, service: Service) -> None:
        home.mkdir()
        relays = json.dumps(service.card["relays"])
        (home / "kitestring.toml").write_text(f"relays = {relays}\n")
        self.home, self.link = home, service.ok("manage", "link", home.name)["nmanage"]

    def run(self, *args: str) -> Any:
        return kitestring("--json", "manage", args[0], self.link, *args[1:], KITESTRING_DATA_DIR=str(self.home))

    def ok(self, *args: str) -> dict[str, Any]:
        done = self.run(*args)
        assert done.exit_code == 0, done.output
        told: dict[str, Any] = json.loads(done.stdout)
        return told


@pytest.fixture
def app(tmp_path: Path, service: Service) -> App:
    made = App(tmp_path / tmp_path.name[:40], service)
    assert made.run("create", "first", "5", "--wait", "1").exit_code == 4  # it waits for the owner
    (asked,) = [row for row in service.ok("approvals")["approvals"] if row["pointer"] == made.home.name]
    service.ok("approve", asked["id"], "--always")
    return made


def test_offers_are_made_changed_listed_and_deleted(app: App, service: Service) -> None:
    made = app.ok("create", "Mug", "12000", "--ask", "email", "--callback", "https://shop.example/{?invoice}")
    assert (made["label"], made["price_sats"], made["payer_data"]) == ("Mug", 12_000, ["email"])
    changed = app.ok("update", made["id"], "--price", "13000", "--no-callback")
    assert changed == made | {"price_sats": 13_000, "callback_url": None}
    assert app.ok("get", made["id"]) == changed
    page = app.ok("list", "--limit", "1")
    assert (page["next"], len(page["offers"])) == (page["offers"][0]["id"], 1)
    rest = app.ok("list", "--before", page["next"])
    assert {row["label"] for row in (*page["offers"], *rest["offers"])} == {"first", "Mug"}
    again = ("create", "Mug", "13000", "--ask", "email", "--if-missing")
    assert app.ok(*again) == changed
    assert app.ok("delete", made["id"]) == {"id": made["id"], "deleted": True}
    assert app.run("get", made["id"]).exit_code == 2
    assert app.ok("delete", made["id"])["deleted"]


def test_people_are_told_in_words(app: App) -> None:
    words = ("manage", "list", app.link)
    listed = kitestring(*words, "--limit", "1", KITESTRING_DATA_DIR=str(app.home))
    assert "first" in listed.stdout
    assert "5 sat" in listed.stdout
    one = kitestring("manage", "create", app.link, "Tips", "0", KITESTRING_DATA_DIR=str(app.home))
    assert "whatever the payer names" in one.stdout


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("create", "x" * 101, "5"), 2, "the field is label"),
        (("create", "x", "5", "--callback", "http://a.example"), 2, "the field is callback_url"),
        (("create", "x", "5", "--ask", "a b"), 2, "the field is payer_data"),
        (("create", "x", "-5"), 2, "no sign"),
        (("update", "nowhere", "--label", "y"), 2, "you have no such offer"),
        (("update", "nowhere"), 2, "say what to change"),
        (("update", "x", "--callback", "https://a.example", "--no-callback"), 2, "its opposite"),
        (("list", "--before", "nowhere"), 2, "names no offer of yours"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_an_exit_code(app: App, args: tuple[str, ...], code: int, words: str) -> None:
    done = app.run(*args)
    assert (done.exit_code, words in done.output) == (code, True), done.output


def test_a_denied_app_is_told_so(tmp_path: Path, service: Service) -> None:
    app = App(tmp_path / "denied", service)
    service.ok("manage", "policy", "denied", "deny")
    assert app.run("create", "x", "5").exit_code == 5
    assert kitestring("manage", "list", "nmanage1x", KITESTRING_DATA_DIR=str(app.home)).exit_code == 2
