"""The answer to an app that has asked for a connection (draft 08 of NIP-47): its info event, which it knows by its own
key and ``state``."""

from __future__ import annotations

from typing import Final

from kitestring.base.grants import Grant
from kitestring.wire.grammar import Draft

EXTENSION: Final = "08"


def answer_to_app(draft: Draft, grant: Grant) -> Draft:
    """The info event of ``grant``, for the app that has asked for it: with the relays that we listen at, because it may
    wait at others."""
    tags = [list(tag) for tag in draft.tags]
    extensions = next((tag for tag in tags if tag[0] == "extensions"), None)
    if extensions is None:
        tags.append(["extensions", EXTENSION])
    else:
        extensions[1] = " ".join(sorted({*extensions[1].split(), EXTENSION}))
    tags.append(["p", grant.caller])
    if grant.asked_state:
        tags.append(["state", grant.asked_state])
    return Draft(draft.kind, [*tags, *(["relay", url] for url in grant.relays)], draft.content)
