"""The kinds of requests that are sent, and the check of every answer: author, addressee, signature, cipher, content."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from bench import world
from bench.world import Client
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, first_tag, verify_event
from kitestring.wire.envelope import decrypt

_event: Final = msgspec.json.Decoder(Event).decode
_CONTENT: Final = msgspec.json.Decoder(dict[str, Any])
Content = dict[str, Any]
#: Kind of the request and of its answer, by who sends it.
_KINDS: Final = {
    "connection": (kinds.NWC_REQUEST, kinds.NWC_RESPONSE),
    "requestor": (kinds.DEBIT, kinds.DEBIT),
    "stranger": (kinds.OFFER, kinds.OFFER),
}


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of request: its plaintext by number, and whether an answer is what it must be. ``journaled`` ones leave
    a row, those that ``pays`` need an invoice of the node's. The sender is a connection, or a requestor of debits, each
    in turn, or a stranger, somebody new each time."""

    name: str
    text: Callable[[int], str]
    is_right: Callable[[int, Content], bool]
    journaled: bool = False
    pays: bool = False
    sender: Literal["connection", "requestor", "stranger"] = "connection"

    @property
    def kind(self) -> int:
        return _KINDS[self.sender][0]

    @property
    def reply_kind(self) -> int:
        return _KINDS[self.sender][1]


@dataclass(frozen=True, slots=True)
class Sent:
    """One request on its way."""

    number: int
    sender: Client
    event: Event


def _pay_text(number: int) -> str:
    return '{"method":"pay_invoice","params":{"invoice":"' + world.invoice(number) + '"}}'


def _debit_text(number: int) -> str:
    return '{"pointer":"' + world.POINTER + '","amount_sats":1000,"bolt11":"' + world.invoice(number) + '"}'


def _result(content: Content) -> Content:
    result: Content = content["result"] if content.get("error") is None else {}
    return result


def _is_invoice(invoice: object) -> bool:
    return isinstance(invoice, str) and invoice.startswith("lnbcrt")


GET_INFO: Final = Load(
    "get_info",
    lambda _: '{"method":"get_info","params":{}}',
    lambda _, content: bool(_result(content).get("network") == world.NETWORK),
)
GET_BALANCE: Final = Load(
    "get_balance",
    lambda _: '{"method":"get_balance","params":{}}',
    lambda _, content: bool(_result(content).get("balance", 0) > 0),
)
PAY_INVOICE: Final = Load(
    "pay_invoice",
    _pay_text,
    lambda number, content: bool(_result(content).get("preimage") == world.preimage(number).hex()),
    journaled=True,
    pays=True,
)
DEBIT: Final = Load(
    "debit",
    _debit_text,
    lambda number, content: content == {"res": "ok", "preimage": world.preimage(number).hex()},
    journaled=True,
    pays=True,
    sender="requestor",
)
MAKE_INVOICE: Final = Load(
    "make_invoice",
    lambda _: '{"method":"make_invoice","params":{"amount":1000000,"description":"tea"}}',
    lambda _, content: _is_invoice(_result(content).get("invoice")) and _result(content)["state"] == "pending",
    journaled=True,
)


def offer_request(offers: int) -> Load:
    """Ask so many offers in turn."""
    return Load(
        "offer request",
        lambda number: '{"offer":"' + world.offer(number % offers).offer_id + '","amount_sats":1000}',
        lambda _, content: _is_invoice(content.get("bolt11")),
        journaled=True,
        sender="stranger",
    )


OFFER_REQUEST: Final = offer_request(world.OFFERS)


def pay_inside(invoices: dict[int, str]) -> Load:
    """Pay these invoices, by number: they are the service's own."""
    return Load(
        "pay_invoice inside",
        lambda number: '{"method":"pay_invoice","params":{"invoice":"' + invoices[number] + '"}}',
        lambda _, content: _result(content).get("fees_paid") == 0,
        journaled=True,
    )


def prepare(load: Load, numbers: Iterable[int], sender: Callable[[int], Client]) -> list[Sent]:
    """Signed requests of these numbers; ``sender`` says whose turn it is, where it is a connection's."""
    sent = []
    for number in numbers:
        client = world.stranger() if load.sender == "stranger" else sender(number)
        sent.append(Sent(number, client, world.request(client, load.text(number), load.kind)))
    return sent


def check(load: Load, sent: Iterable[Sent], answers: Iterable[bytes]) -> dict[int, Content]:
    """The answers by number. Raises AssertionError unless each request has one, and a good one."""
    waiting, contents = {one.event.id: one for one in sent}, {}
    for answer in answers:
        reply = _event(answer)
        asked = waiting.pop(first_tag(reply, "e") or "")
        genuine = (
            reply.pubkey == asked.sender.service
            and first_tag(reply, "p") == asked.sender.key.public_hex
            and reply.kind == load.reply_kind
            and verify_event(reply)
        )
        content = _CONTENT.decode(decrypt(reply.content, "nip44", asked.sender.shared))
        if not (genuine and load.is_right(asked.number, content)):
            raise AssertionError(f"{load.name} {asked.number} was answered with {content}")
        contents[asked.number] = content
    if waiting:
        raise AssertionError(f"{len(waiting)} requests were not answered")
    return contents
