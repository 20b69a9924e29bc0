"""Beacons, and the documents of their operator, right in everything that is not named."""

from __future__ import annotations

import json
from typing import Any

from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.wire.beacon import ATTEST_D, REVOKE_D, SERVICE_D
from tests.kit.client.hostile import SERVICE
from tests.kit.clock import NOW

OPERATOR = SecretKey(b"\x0c" * 32)
VERSION = ["clink_version", "1"]
CONTENT: dict[str, Any] = {
    "name": "Corner shop",
    "fees": {"serviceFeeFloor": 2, "serviceFeeBps": 50},
    "enroll_difficulty": 18,
    "supported_kinds": [21001, 21002],
}


def beacon(
    content: Any = None, *, age_s: int = 10, d: str = SERVICE_D, key: SecretKey = SERVICE, operator: str = "",
    version: list[str] | None = VERSION, at: int | None = None,
) -> Event:  # fmt: skip
    tags = [["d", d], *([version] if version else []), *([["operator", operator]] if operator else [])]
    text = content if isinstance(content, str) else json.dumps(CONTENT if content is None else content)
    created_at = NOW - age_s if at is None else at
    return sign_event(key, kind=kinds.BEACON, tags=tags, content=text, created_at=created_at)


def document(
    d: str, *services: str, at: int = NOW, key: SecretKey = OPERATOR, version: list[str] | None = VERSION
) -> Event:
    tags = [["d", d], *([version] if version else []), *(["service", service] for service in services)]
    return sign_event(key, kind=kinds.BEACON, tags=tags, content="", created_at=at)


def attestation(*services: str, **how: Any) -> Event:
    return document(ATTEST_D, *(services or (SERVICE.public_hex,)), **how)


def revocation(*services: str, **how: Any) -> Event:
    return document(REVOKE_D, *(services or (SERVICE.public_hex,)), **how)
