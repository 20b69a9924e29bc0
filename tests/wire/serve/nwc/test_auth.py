"""The info event of an app that has asked for its connection: it knows it by its own key and its state."""

from __future__ import annotations

import pytest

from kitestring.base.grants import Grant
from kitestring.nostr import kinds
from kitestring.wire.grammar import Draft
from kitestring.wire.serve.nwc import WIRE
from kitestring.wire.serve.nwc.auth import answer_to_app
from tests.kit.changed import replace

GRANT = Grant(
    grant_id="g", name="app", wire="nwc", caller="ab" * 32, methods=frozenset({"get_budget"}),
    relays=("wss://ours.example", "wss://other.example"), asked_relays=("wss://app.example",), asked_state="9f" * 16,
)  # fmt: skip


def written(grant: Grant) -> Draft:
    assert WIRE.announces is not None
    return WIRE.announces.write(grant, frozenset())


def test_the_answer_names_the_app_its_state_our_relays_and_the_draft() -> None:
    assert written(GRANT) == Draft(
        kinds.NWC_INFO,
        [
            ["encryption", "nip44_v2 nip04"],
            ["extensions", "08 13"],
            ["p", "ab" * 32],
            ["state", "9f" * 16],
            ["relay", "wss://ours.example"],
            ["relay", "wss://other.example"],
        ],
        "get_budget get_info",
    )


@pytest.mark.parametrize("state", ["", "9f" * 16])
def test_a_state_is_sent_back_where_the_app_has_sent_one(state: str) -> None:
    tags = written(replace(GRANT, asked_state=state)).tags
    assert [tag[1] for tag in tags if tag[0] == "state"] == ([state] if state else [])


def test_without_another_extension_the_tag_has_this_one() -> None:
    plain = Draft(kinds.NWC_INFO, [], "get_info")
    assert ["extensions", "08"] in answer_to_app(plain, GRANT).tags
    assert plain.tags == []


def test_a_connection_that_the_owner_made_says_nothing_of_it() -> None:
    tags = written(replace(GRANT, asked_relays=(), asked_state="")).tags
    assert [tag[0] for tag in tags] == ["encryption", "extensions"]
