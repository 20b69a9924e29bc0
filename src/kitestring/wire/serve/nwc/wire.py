"""Nostr Wallet Connect (NIP-47), the service's side, as the value that the registry lists.

State of the text: 2026-09, with the extensions 02 (notifications), 03 (hold invoices), 04 (keysend), 05 (history), 06
(metadata), 13 (budget) and 321 (links), and drafts where the owner wants them. Amounts on this wire are millisatoshi.
"""

from __future__ import annotations

from typing import Final

from kitestring.base.clocks import AHEAD_S
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.nostr import kinds
from kitestring.nostr.event import Event
from kitestring.nostr.inbox import DAY_S, Window
from kitestring.wire.encryption import Choice, choose_cipher
from kitestring.wire.grammar import Speakers, Wire
from kitestring.wire.serve.nwc.announcement import ANNOUNCEMENT
from kitestring.wire.serve.nwc.codes import CODES, NARROW_CODES
from kitestring.wire.serve.nwc.notifications import NOTIFYING
from kitestring.wire.serve.nwc.replies import encode, refuse
from kitestring.wire.serve.nwc.requests import read, read_method
from kitestring.wire.serve.nwc.table import QUESTIONS


def _cipher(event: Event, grant: Grant | None) -> Choice:
    return choose_cipher(event, grant.cipher, grant.nip44_seen) if grant else Choice("nip44", allowed=False)


WIRE: Final = Wire(
    name="nwc",
    title="NWC",
    speakers=Speakers.CONNECTIONS,
    windows={kinds.NWC_REQUEST: Window(back_s=300, ahead_s=AHEAD_S, answer_s=DAY_S)},
    reply_kind=kinds.NWC_RESPONSE,
    codes=CODES,
    older_codes=NARROW_CODES,
    cipher=_cipher,
    unreadable=Reason.MALFORMED,
    method=read_method,
    questions=QUESTIONS,
    read=read,
    encode=encode,
    refuse=refuse,
    announces=ANNOUNCEMENT,
    notifies=NOTIFYING,
)
