"""The connection that a question leads to: its id follows from the question, so that a repeated yes finds it."""

from __future__ import annotations

from kitestring.app.owner.app_connection import show_wish
from kitestring.app.owner.params import ID_BYTES
from kitestring.base.approvals import CONNECTION_ID_CHARS, Approval, ApprovalKind, connection_id
from kitestring.base.commands import Connect, freeze

QUESTION = Approval(
    approval_id="00" * 8 + "ab" * 8, kind=ApprovalKind.CONNECTION, wire="nwc", caller="", target="",
    command=freeze(Connect(client="")), asked_at=0, expires_at=1,
)  # fmt: skip


def test_the_id_of_the_connection_is_the_end_of_that_of_the_question_as_long_as_any() -> None:
    assert connection_id(QUESTION) == "ab" * 8
    assert CONNECTION_ID_CHARS == 2 * ID_BYTES


def test_who_waits_for_a_link_and_who_cannot_verify_the_answer_is_shown_as_such() -> None:
    shown = show_wish(Connect(client=""))
    assert (shown["wants_link"], shown["verifiable"], shown["budget"]) == (True, False, None)
