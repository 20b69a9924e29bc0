"""The page for those who write a wire names everything, and the real gateway serves the wire on it as it stands."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from kitestring.base.errors import Reason
from kitestring.base.outcomes import Refused
from kitestring.wire import registry
from kitestring.wire.grammar import Wire
from tests.kit.app.door import STRANGER, Door, door
from tests.kit.engine.rig import Life
from tests.kit.pages import HOW_TO, blocks, names_of
from tests.kit.wire.samples import reply_to

TEXT = (HOW_TO / "write-a-wire.md").read_text(encoding="utf-8")


@pytest.fixture
def tips(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """The wire of the page, with its row in the registry."""
    (code,) = blocks("write-a-wire")
    wire: Wire = names_of(code, "tips")["WIRE"]
    monkeypatch.setitem(registry.BY_NAME, wire.name, wire)
    for kind, window in wire.windows.items():
        monkeypatch.setitem(registry.BY_KIND, kind, wire)
        monkeypatch.setitem(registry.WINDOWS, kind, window)
    return wire


def test_every_member_of_a_wire_is_on_the_page() -> None:
    heads = re.findall(r"^### (.*)$", TEXT, re.MULTILINE)
    assert {field.name for field in fields(Wire)} == {name for head in heads for name in head.split(", ")}


def test_the_wire_of_the_page_sells_an_invoice_and_sends_a_receipt(tmp_path: Path, tips: Wire) -> None:
    life = Life(tmp_path / "ledger.db")
    (kind,) = tips.windows

    @door()
    async def story(_: Life, opened: Door) -> None:
        await opened.rig.offer("tips")
        asking: dict[str, Any] = {"key": STRANGER, "to": opened.keyring.service_id, "kind": kind}
        event = opened.event('{"tip":21}', **asking)
        (reply,) = await opened.tell(event)
        made = next(iter(life.node._made))
        assert reply == {"pay": life.node._made[made].invoice.bolt11}
        assert await opened.tell(event) == [reply]
        life.node.pay_in(made)
        await opened.clock.sleep(5)
        assert opened.read(opened.pool.sent[-1]) == {"thanks": True}
        assert [one["code"] for one in await opened.tell(opened.event('{"tip":1.5}', **asking))] == ["no"]

    story(life)
    life.audit()


def test_the_wire_of_the_page_has_a_word_for_every_reason_and_no_private_one(tips: Wire) -> None:
    for reason in Reason:
        plaintext = tips.answer(Refused(reason, private="10.0.0.7"), reply_to("offers"))
        assert (plaintext is None) == (tips.codes[reason] is None)
        assert plaintext is None or set(json.loads(plaintext)) == {"code", "why"}
        assert plaintext is None or b"10.0.0.7" not in plaintext
