"""The event kinds this project speaks, what each of them is for, and the three NIP-01 classes of storage."""

from __future__ import annotations

from typing import Final

METADATA: Final = 0
DELETE: Final = 5  # NIP-09
SEAL: Final = 13  # NIP-59
ZAP_REQUEST: Final = 9734  # NIP-57
ZAP_RECEIPT: Final = 9735
RELAY_LIST: Final = 10002  # NIP-65
NWC_INFO: Final = 13194  # NIP-47
OFFER: Final = 21001  # CLINK
DEBIT: Final = 21002
MANAGE: Final = 21003
ENROLL: Final = 21004
WRAP: Final = 21059  # ephemeral gift wrap
AUTH: Final = 22242  # NIP-42
NWC_REQUEST: Final = 23194
NWC_RESPONSE: Final = 23195
NWC_NOTIFY_NIP04: Final = 23196
NWC_NOTIFY: Final = 23197
REMOTE_SIGNER: Final = 24133  # NIP-46
HTTP_AUTH: Final = 27235  # NIP-98
BEACON: Final = 30078  # NIP-78, as CLINK uses it

#: Requests and replies of CLINK: of one kind, and each event says its version.
CLINK: Final = frozenset({OFFER, DEBIT, MANAGE, ENROLL})
#: Encrypted from one key to another: nobody else has a reason to read them.
CONVERSATIONS: Final = CLINK | {NWC_REQUEST, NWC_RESPONSE, NWC_NOTIFY_NIP04, NWC_NOTIFY, REMOTE_SIGNER, WRAP}
#: For everybody: who somebody is, where they are found, and the end of what they have published.
PUBLIC: Final = frozenset({METADATA, DELETE, RELAY_LIST, NWC_INFO, BEACON})
#: Proofs of identity for one connection or one request: passing them on would give them away.
PROOFS: Final = frozenset({AUTH, HTTP_AUTH})


def is_ephemeral(kind: int) -> bool:
    """Passed on to subscribers, not kept."""
    return 20_000 <= kind < 30_000


def is_replaceable(kind: int) -> bool:
    """Only the newest of an author and kind is kept."""
    return kind in {0, 3} or 10_000 <= kind < 20_000


def is_addressable(kind: int) -> bool:
    """Only the newest of an author, kind and ``d`` tag is kept."""
    return 30_000 <= kind < 40_000
