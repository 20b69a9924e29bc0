"""Macaroons as lnd bakes them, for tests: signed by nobody."""


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def macaroon(words: list[str]) -> bytes:
    """As macaroon-bakery 3 writes it: nonce, storage id, then one operation per entity."""
    entities: dict[str, list[str]] = {}
    for word in words:
        entity, _, action = word.partition(":")
        entities.setdefault(entity, []).append(action)
    operations = b"".join(
        field(3, field(1, entity.encode()) + b"".join(field(2, action.encode()) for action in actions))
        for entity, actions in entities.items()
    )
    identifier = b"\x03" + field(1, b"n" * 16) + field(2, b"0") + operations
    size = len(identifier)
    length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return b"\x02" + b"\x01\x03lnd" + b"\x02" + length + identifier + b"\x00\x00" + b"\x06\x20" + bytes(32)
