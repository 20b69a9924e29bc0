"""Parts of a payment without an invoice (keysend): the key of a node, a preimage, and TLV records.

Specification: NIP-47, extension 04; https://github.com/lightning/blips/blob/master/blip-0003.md for the records.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from kitestring.base.commands import PayInvoice
from kitestring.base.destinations import (
    MAX_RECORD_BYTES,
    MAX_RECORDS,
    MESSAGE_RECORD,
    MIN_RECORD_TYPE,
    PREIMAGE_RECORD,
    Keysend,
)
from kitestring.base.errors import CodecError
from kitestring.base.money import MAX_WHOLE, Msat
from kitestring.base.text import clean
from kitestring.codec.members import count_member
from kitestring.crypto import secp

Records = tuple[tuple[int, str], ...]


def read_node_key(text: str) -> str:
    """The key of a node as 66 lower-case hex digits. Raises CodecError for what is none, or on no curve."""
    found = text.strip().lower()
    try:
        key = bytes.fromhex(found)
    except ValueError:
        key = b""
    if len(found) != 66 or len(key) != 33 or key[0] not in (2, 3) or not secp.is_valid_public(key[1:]):
        raise CodecError("the key of a node is 66 hexadecimal digits that begin with 02 or 03")
    return found


def checked_records(records: Iterable[tuple[int, str]]) -> Records:
    """The records in the order of their types, values as lower-case hex.

    Raises CodecError for more than 20 of them or 1,000 bytes, for a type twice, for one below 65,536, and for that of
    the preimage, which is not the sender's to write.
    """
    found = sorted((number, _hex(value)) for number, value in records)
    types = [number for number, _ in found]
    if len(found) > MAX_RECORDS:
        raise CodecError(f"at most {MAX_RECORDS} records can be sent along")
    if sum(len(value) for _, value in found) > 2 * MAX_RECORD_BYTES:
        raise CodecError(f"the records have more than {MAX_RECORD_BYTES} bytes")
    if len({*types}) < len(types):
        raise CodecError("a type of record comes twice")
    if any(not MIN_RECORD_TYPE <= number <= MAX_WHOLE for number in types):
        raise CodecError(f"types of records begin with {MIN_RECORD_TYPE}")
    if PREIMAGE_RECORD in types:
        raise CodecError(f"record {PREIMAGE_RECORD} is that of the preimage")
    return tuple(found)


def read_records(value: object) -> Records:
    """The ``tlv_records`` of a request: objects with ``type`` and ``value`` (hex). Raises CodecError."""
    if value is None or value == "":
        return ()
    if not isinstance(value, list) or len(value) > MAX_RECORDS:
        raise CodecError(f"tlv_records must be a list of at most {MAX_RECORDS}")
    return checked_records([_read_record(each) for each in value])


def _read_record(each: object) -> tuple[int, str]:
    if not isinstance(each, dict):
        raise CodecError("a record must be an object")
    number, value = count_member(each, "type"), each.get("value")
    if number is None or not isinstance(value, str):
        raise CodecError("a record needs a type and a value")
    return number, value


def _hex(value: str) -> str:
    try:
        return bytes.fromhex(value).hex()
    except ValueError:
        raise CodecError("the value of a record must be hexadecimal") from None


def write_records(records: Records) -> list[dict[str, object]]:
    """The ``tlv_records`` of a request."""
    return [{"type": number, "value": value} for number, value in records]


def message_record(text: str) -> tuple[int, str]:
    """The record that carries words to the payee."""
    return MESSAGE_RECORD, text.encode(errors="replace").hex()


def message_of(records: Records) -> str:
    """The words to the payee on one line, "" where there are none."""
    value = bytes.fromhex(dict(records).get(MESSAGE_RECORD, ""))
    return clean(value.decode(errors="replace"), MAX_RECORD_BYTES)


def keysend(
    node_key: str,
    amount_msat: Msat,
    *,
    preimage: str = "",
    records: Records = (),
    max_fee_msat: Msat | None = None,
    metadata: str = "",
) -> PayInvoice:
    """The command to pay ``node_key``. A ``preimage`` (64 hex digits) that is not given is drawn when it is claimed."""
    return PayInvoice(
        destination=Keysend(node_key, preimage, records),
        payment_hash=sha256(bytes.fromhex(preimage)).hexdigest() if preimage else "",
        amount_msat=amount_msat,
        max_fee_msat=max_fee_msat,
        description=message_of(records),
        metadata=metadata,
    )
