"""The info event of Nostr Wallet Connect: what everybody may know about a connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from kitestring.base.grants import Grant
from kitestring.nostr import kinds
from kitestring.wire.encryption import allowed_ciphers
from kitestring.wire.grammar import Announcement, Draft
from kitestring.wire.reply_to import Cipher
from kitestring.wire.serve.nwc.auth import answer_to_app
from kitestring.wire.serve.nwc.foreign import with_calls
from kitestring.wire.serve.nwc.methods import extensions_of
from kitestring.wire.serve.nwc.notifications import WORD, notified
from kitestring.wire.serve.nwc.table import granted


def info_event(permissions: Collection[str], ciphers: Sequence[Cipher], without: Collection[str] = ()) -> Draft:
    """The info event for the permissions that a grant lists, at a service that is ``without`` these methods."""
    methods, types = granted(permissions, without), notified(permissions)
    tags = []
    if "nip44" in ciphers:  # no tag means NIP-04 alone
        tags.append(["encryption", "nip44_v2 nip04" if "nip04" in ciphers else "nip44_v2"])
    if types:
        tags.append(["notifications", " ".join(row.name for row in types)])
    if extensions := extensions_of([*methods, *types]):
        tags.append(["extensions", " ".join(extensions)])
    words = [row.name for row in methods] + [WORD] * bool(types)
    return Draft(kinds.NWC_INFO, tags, " ".join(words))


def _of_grant(grant: Grant, without: Collection[str]) -> Draft:
    draft = info_event(grant.announced, allowed_ciphers(grant.cipher, grant.nip44_seen), without)
    return answer_to_app(draft, grant) if grant.asked_relays else draft


ANNOUNCEMENT: Final = Announcement(kinds.NWC_INFO, _of_grant, with_calls)
