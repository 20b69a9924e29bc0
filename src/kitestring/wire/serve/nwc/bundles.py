"""Several payments in one request of NIP-47 (``multi_pay_invoice``, ``multi_pay_keysend``), which the text has dropped.

Each element is answered by a response of its own, whose ``d`` tag is the element's ``id``, else its payment hash or the
key that it pays. What is wrong with one element is said of that one; what is wrong with all of them, of the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kitestring.base.commands import MAX_PARTS, Bundle, Part, PayInvoice, Unread
from kitestring.base.destinations import Keysend
from kitestring.base.errors import CodecError, KitestringError
from kitestring.codec.members import said, words_member
from kitestring.wire.reply_to import ReplyTo
from kitestring.wire.serve.nwc.keysends import read_keysend
from kitestring.wire.serve.nwc.members import Params
from kitestring.wire.serve.nwc.payments import read_payment

#: Longer ids are refused: an answer repeats them.
MAX_ID_CHARS: Final = 128


def read_payments(params: Params, network: str) -> Bundle:
    """``multi_pay_invoice``. Raises CodecError."""
    return _read_bundle(params, "invoices", read_payment, network)


def read_keysends(params: Params, network: str) -> Bundle:
    """``multi_pay_keysend``. Raises CodecError."""
    return _read_bundle(params, "keysends", read_keysend, network)


def _read_bundle(params: Params, member: str, read: Callable[[Params, str], PayInvoice], network: str) -> Bundle:
    """The payments in the list ``member``, each read by ``read``; in the place of a ``reply_to`` is the name of its
    answer. Raises CodecError for none, for more than 20, and for two that would be answered by one name."""
    elements = params.get(member)
    if not isinstance(elements, list) or not elements:
        raise CodecError(f"{member} must be a list of payments")
    if len(elements) > MAX_PARTS:
        raise CodecError(f"at most {MAX_PARTS} payments can be asked for in one request")
    found = [_read(number, element, read, network) for number, element in enumerate(elements)]
    if len({name for name, _ in found}) < len(found):
        raise CodecError("two payments have the same id: give each one of its own")
    return Bundle(parts=tuple(Part(payment, name.encode()) for name, payment in found))


def _read(
    number: int, element: object, read: Callable[[Params, str], PayInvoice], network: str
) -> tuple[str, PayInvoice | Unread]:
    name = ""
    try:
        members = _members(element)
        name = _id(members)
        payment = read(members, network)
    except CodecError as error:
        return name or str(number), Unread("malformed", str(error))
    except KitestringError as error:
        return name or str(number), Unread(error.reason.value, error.message)
    return name or _own_name(payment), payment


def _members(element: object) -> Params:
    if not isinstance(element, dict):
        raise CodecError("a payment must be an object")
    return said(element)


def _id(members: Params) -> str:
    name = words_member(members, "id")
    if len(name) > MAX_ID_CHARS:
        raise CodecError(f"an id has at most {MAX_ID_CHARS} characters")
    return name


def _own_name(payment: PayInvoice) -> str:
    destination = payment.destination
    return destination.node_key if isinstance(destination, Keysend) else payment.payment_hash


def addressed(bundle: Bundle, to: ReplyTo) -> Bundle:
    """The same with the way of each answer: that of ``to``, under its name."""
    return Bundle(parts=tuple(Part(part.payment, to.of_part(part.reply_to.decode()).freeze()) for part in bundle.parts))
