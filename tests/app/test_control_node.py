"""What the owner learns when the node refuses, whatever the backend raises then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kitestring.app import control
from kitestring.app.contact import told
from kitestring.base.errors import KitestringError, Reason
from tests.app.kit import FakeDesk


class OddError(Exception):
    """Of a kind that only a backend knows."""


class RefusingNode:
    async def info(self) -> Any:
        raise OddError("permission denied")


@pytest.fixture
def desk(tmp_path: Path) -> FakeDesk:
    made = FakeDesk(tmp_path)
    made.backend = RefusingNode()
    return made


async def test_doctor_reports_a_node_that_refuses(desk: FakeDesk) -> None:
    facts = await control.run(desk, "doctor", {})
    assert facts["node"] == {"reachable": False, "why": "permission denied"}


async def test_audit_says_why_the_node_cannot_be_asked(desk: FakeDesk) -> None:
    with pytest.raises(KitestringError, match="permission denied") as caught:
        await control.run(desk, "audit_node", {})
    assert caught.value.reason is Reason.NODE_UNAVAILABLE


async def test_a_sentence_of_our_own_is_told_as_it_is() -> None:
    async def refuse() -> None:
        raise KitestringError(Reason.INTERNAL, "the disk is full")

    with pytest.raises(KitestringError, match=r"^the disk is full$"):
        await told(refuse())
