"""Every parser of what others send, one row each: what it may raise, and where a random walk through it begins."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import msgspec

from kitestring.app.home import config
from kitestring.app.home.settings import FILE_NAME
from kitestring.backend.http import NodeAnswerError
from kitestring.backend.http import decode as node_decode
from kitestring.backend.lnd import wire as lnd
from kitestring.backend.registry import BackendUrl
from kitestring.base import currency
from kitestring.base.commands import GetBudget, GetInfo, ListTransactions, MakeInvoice, PayInvoice
from kitestring.base.destinations import Bolt11
from kitestring.base.errors import CodecError, KitestringError
from kitestring.base.money import Msat
from kitestring.base.text import clean, escape_unsafe, on_screen, unseen
from kitestring.client import payable
from kitestring.codec import (
    address,
    beacon,
    bech32,
    bolt11,
    callback_url,
    deep_link,
    nip19,
    pasted,
    pointers,
    relay_url,
    target,
    tickers,
    tlv,
    uri,
    wallet_auth,
)
from kitestring.codec import json as strict_json
from kitestring.crypto import macaroon, nip04, nip44
from kitestring.nostr import filter as filters
from kitestring.nostr import kinds
from kitestring.nostr import pow as work
from kitestring.nostr.event import Event, decode_event, encode_event
from kitestring.nostr.relay import ClientConversation, ServerConversation
from kitestring.transport import border, dates, guard
from kitestring.wire import beacon as beacons
from kitestring.wire.ask import debits as ask_debits
from kitestring.wire.ask import enroll as ask_enroll
from kitestring.wire.ask import hints
from kitestring.wire.ask import manage as ask_manage
from kitestring.wire.ask import offers as ask_offers
from kitestring.wire.ask.nwc.announcement import read_info_event
from kitestring.wire.ask.nwc.methods import decode_response
from kitestring.wire.ask.nwc.records import decode_record
from kitestring.wire.grammar import Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve import debits, enroll, manage, offers
from kitestring.wire.serve.nwc import requests as nwc
from kitestring.wire.text import clean_description
from kitestring.wire.zaps import read_zap_request
from tests.kit import vectors
from tests.kit.clock import NOW
from tests.kit.codec.invoices import PAYMENT_HASH, invoice
from tests.kit.wire.samples import event, reply_to, zap_request

KEY: Final = bytes(range(32))
HASH: Final = "ab" * 32
FACTS: Final = Facts("regtest", accept_legacy_offers=True)
PAY: Final = PayInvoice(
    destination=Bolt11(invoice()),
    payment_hash=PAYMENT_HASH,
    amount_msat=Msat(21_000),
    expires_at=NOW + 3_600,
    network="regtest",
)
CLINK: Final = ["clink_version", "1"]


@dataclass(frozen=True)
class Parser:
    """``call`` is given the bytes, and may raise ``raises`` and nothing else. ``seeds`` are valid inputs."""

    name: str
    call: Callable[[bytes], object]
    seeds: Callable[[], tuple[bytes, ...]]
    raises: tuple[type[Exception], ...] = (CodecError,)


def _text(call: Callable[[str], object]) -> Callable[[bytes], object]:
    """Broken UTF-8 becomes lone surrogates: JSON can say those too."""
    return lambda data: call(data.decode("utf-8", "surrogateescape"))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _strings(member)


@cache
def _vectors(*names: str) -> tuple[bytes, ...]:
    """Every text of these vectors that is long enough to be an input."""
    found = {text for name in names for text in _strings(vectors.load(name)) if 8 <= len(text) <= 4_000}
    return tuple(text.encode("utf-8", "surrogatepass") for text in sorted(found))


def _of(*names: str) -> Callable[[], tuple[bytes, ...]]:
    return lambda: _vectors(*names)


def _these(*values: object) -> Callable[[], tuple[bytes, ...]]:
    made = [
        value if isinstance(value, bytes) else value if isinstance(value, str) else json.dumps(value)
        for value in values
    ]
    return lambda: tuple(value.encode() if isinstance(value, str) else value for value in made)


def _nwc_requests() -> tuple[bytes, ...]:
    return (*_vectors("nwc_payloads.json"), *(json.dumps(form).encode() for form in _FORMS))


def _hints() -> tuple[bytes, ...]:
    codes = [code.decode() for code in _vectors("clink_pointers.json") if code.startswith(b"noffer1")][:20]
    named = {"clink_offer": {"Bob": codes[0]}, "nip69": codes[1], "noffer": codes[2], "tag": "payRequest"}
    return tuple(json.dumps(one).encode() for one in (named, *({"clink_offer": code, "lud16": "x"} for code in codes)))


def _links() -> tuple[bytes, ...]:
    values = f"lightning=lnbc1&lightning={invoice()}&noffer=noffer1x&lno=lno1x&label=%E9".encode()
    codes = _vectors("clink_pointers.json", "nip19.json", "bolt11.json")
    return (*codes, b"bitcoin:?amount=0.00000021&" + values, b"BITCOIN:?" + values)


def _relay_lists() -> tuple[bytes, ...]:
    return (b"wss://a.example/,http://b,wss://c:65536,wss://[::1]:7/x?y,", b"wss://caf\xe9,ws://u@b#c")


def _pasted() -> tuple[bytes, ...]:
    return tuple(f"\ufeff{code[:20]}\r\n\t{code[20:]}\u200b\n".encode() for code in (invoice(), "me@pay.example"))


def _events() -> tuple[bytes, ...]:
    rows = vectors.load("events.json")["events"]
    return tuple(json.dumps(row["event"]).encode() for row in rows)


def _of_event(call: Callable[[Event], object]) -> Callable[[bytes], object]:
    return lambda data: call(decode_event(data))


def _beacons() -> tuple[bytes, ...]:
    """The document of a service in three forms, and those of an operator."""
    content, version, service = json.dumps(_BEACON), CLINK, ["service", HASH]
    forms = (
        ([["d", beacons.SERVICE_D], version, ["operator", HASH]], content),
        ([["d", beacons.SERVICE_D]], content),
        ([["d", beacons.LEGACY_D]], content),
        ([["d", beacons.ATTEST_D], version, service, ["service", HASH.upper()]], ""),
        ([["d", beacons.REVOKE_D], service], ""),
    )
    made = (Event(HASH, HASH, NOW, kinds.BEACON, tags, text, HASH * 2) for tags, text in forms)
    return tuple(map(encode_event, made))


def _config(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / FILE_NAME).write_bytes(data)
        return config.load(Path(home), environment={})


def _proxy(text: str) -> object:
    return config.load(Path("/nowhere"), environment={"HTTPS_PROXY": text.replace("\0", "")})


def _after_the_mac(data: bytes) -> object:
    """What only somebody who knows the key can send: the padding is spoiled, the code is right."""
    return nip44.decrypt(nip44.seal(data, KEY, KEY), KEY)


def _read_info(text: str) -> object:
    return read_info_event(msgspec.structs.replace(event(kinds.NWC_INFO, ["encryption", text]), content=text))


def _tags(text: str) -> object:
    tags = [[part] for part in text.split(",")]
    return work.committed_target(tags), work.proven_bits(HASH, tags)


def _payment(data: bytes) -> object:
    found = node_decode(data, lnd.LndPayment, "lnd")
    return lnd.payment_answer(found, HASH), lnd.listed_payment(found)


def _lnd(answer: Any) -> Callable[[bytes], object]:
    return lambda data: node_decode(data, answer, "lnd")


def _wire(read: Any, kind: int, wire: str) -> Callable[[bytes], object]:
    to = reply_to(wire)
    return _text(lambda text: read(text, event(kind, CLINK), to, FACTS))


_REFUSED: Final = (WireRefusalError,)
_SAID: Final = (CodecError, KitestringError)
_NODE: Final = (NodeAnswerError,)
_LND_PAYMENT: Final = {
    "payment_hash": HASH, "status": "SUCCEEDED", "payment_preimage": "07" * 32, "fee_msat": "1005",
    "value_msat": "5000", "creation_time_ns": "1800000000999999999", "failure_reason": "FAILURE_REASON_NO_ROUTE",
}  # fmt: skip
_LND_INVOICE: Final = {
    "r_hash": "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=", "state": "SETTLED", "settle_index": "7",
    "amt_paid_msat": "5000", "settle_date": "1800000000", "r_preimage": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
    "payment_request": "lnbcrt1", "expiry": "3600", "creation_date": "1800000000",
}  # fmt: skip
_FILTER: Final = {"kinds": [23194], "#p": [HASH], "since": NOW, "until": NOW + 5, "limit": 10, "authors": [HASH]}
_TOML: Final = (
    'node = "sandbox://"\nrelays = ["wss://relay.example.com"]\n[limits]\nopen_payments = 10\n'
    '[relay]\nport = 7777\nkinds = [1, 2]\nauth = true\n[network]\nproxy_wss = "http://proxy.lan:3128"\n'
)
_OFFER: Final = {"offer": "coffee", "amount_sats": 21, "payer_data": {"name": "x"}, "expires_in_seconds": 600}
_DEBIT: Final = {"pointer": "p", "amount_sats": 21, "bolt11": invoice(), "k1": HASH, "want_preimage": True}
_BEACON: Final = {
    "name": "x", "avatarUrl": "https://a.example:7/b?c", "website": "http://[::1]:80/", "description": "y\u202ez",
    "relays": ["wss://relay.example.com", 7], "fees": {"serviceFeeFloor": 1, "serviceFeeBps": 100},
    "enroll_difficulty": 18, "supported_kinds": [21001, 21002], "version": "1",
}  # fmt: skip
_FIELDS: Final = {"label": "Mug", "price_sats": 9, "callback_url": "https://a.example/{?b}", "payer_data": ["c"]}
_CREATE: Final = {"resource": "offer", "action": "create", "pointer": "p", "offer": {"fields": _FIELDS}}
_LIST: Final = {"resource": "offer", "action": "list", "pointer": "p", "limit": 9, "before": HASH}
_BUDGET: Final = {"pointer": "p", "amount_sats": "21", "frequency": {"number": 1, "unit": "day"}, "description": "x"}

#: Members as clients in PHP, Python and JavaScript write them.
_FORMS: Final = (
    {"method": "get_balance", "params": []},
    {"method": "list_transactions", "params": {"from": 1.5e9, "until": "7", "unpaid": "true", "type": "Incoming"}},
    {"method": "lookup_invoice", "params": {"payment_hash": "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="}},
    {"method": "make_invoice", "params": {"amount": "21000", "expiry": 600.5, "description": 17}},
)

PARSERS: Final = (
    Parser("bech32", _text(lambda text: bech32.decode(text, limit=5_000)), _of("bech32.json", "nip19.json")),
    Parser("bolt11", _text(bolt11.decode), lambda: (*_vectors("bolt11.json"), invoice().encode())),
    Parser("bolt11, not recovered", _text(lambda text: bolt11.decode(text, recover=False)), _of("bolt11.json")),
    Parser("nip19", _text(nip19.decode), _of("nip19.json")),
    Parser("nip19 secret", _text(nip19.decode_secret), _of("nip19.json")),
    Parser("tlv", tlv.decode, _these(b"\x00\x20" + KEY + b"\x01\x03abc", b"\x02\x00")),
    Parser("pointers", _text(pointers.decode), _of("clink_pointers.json")),
    Parser("targets", _text(lambda text: (target.candidates(text), target.link_amount(text))), _links),
    Parser("payable", _text(lambda text: payable.choose(text, "regtest")), _links, (KitestringError,)),
    Parser("wallet links", _text(uri.decode_nwc), _of("nwc_uris.json")),
    Parser("wallet auth", _text(wallet_auth.decode_wallet_auth), _of("nwc_uris.json")),
    Parser(
        "deep links",
        _text(lambda text: (deep_link.decode_deep_link(text), deep_link.answer_link(text, "x"))),
        _these("nostrnwc://connect?appname=My%20App&callback=app%3A%2F%2Fx%3Fa%3D1%23b", "my-app://x?a=1#b"),
    ),
    Parser("lists of relays", _text(lambda text: relay_url.usable_relays(text.split(","), 4)), _relay_lists, ()),
    Parser(
        "dates of answers",
        _text(lambda text: dates.unix_time({"Date": text})),
        _these(b"Thu, 09 Oct 2025 08:53:20 GMT", b"Thursday, 09-Oct-25 08:53:20 GMT", b"9 Oct 2025 08:53 +0200"),
        (),
    ),
    Parser(
        "bitcoin links",
        _text(uri.decode_bip321),
        _these(
            "bitcoin:bc1q?amount=0.1&lightning=lnbc1&lno=x",
            "bitcoin:?lightning=a&req-x=1",
            "BITCOIN:?AMOUNT=20999999.99999999999&label=caf%E9&lightning=a&lightning=b&pop=c%3a\r\n d#e",
        ),
    ),
    Parser("pasted texts", _text(lambda text: (pasted.tidy(text), pasted.is_wrapped(text))), _pasted, ()),
    Parser("relay urls", _text(relay_url.require_relay_url), _these("wss://relay.example.com:7/x?y#z", "ws://[::1]:1")),
    Parser(
        "foreign relays",
        _text(guard.check_foreign),
        _these("wss://relay.example.com:7/x", "wss://[2001:db8::1]"),
        _SAID,
    ),
    Parser(
        "urls to fetch",
        _text(border.parse_url),
        _these("https://example.com:7/x?y#z", "http://[::1]:80/", "https://me@xn--bcher-kva.example/%2f"),
        _SAID,
    ),
    Parser(
        "prices of tickers",
        lambda data: (tickers.read_price(data, "/*/0/c"), tickers.read_price(data, "")),
        _these(b'{"a":[{"c":"97012.34"}]}', b"97012.34", b'{"a":[{"c":9.7e4}],"b":{"a":1,"a":2}}'),
    ),
    Parser("sources of rates", _text(tickers.own_ticker), _these("https://a.example:8/{currency}?x#/a~1b/*/0")),
    Parser(
        "amounts in currencies", _text(lambda text: currency.read_amount(text, "EUR")), _these("3.50", "1234"), _SAID
    ),
    Parser("strict json", _text(strict_json.loads_object), _of("nwc_payloads.json", "clink_payloads.json")),
    Parser(
        "json of a reply",
        _text(partial(strict_json.loads_reply, max_bytes=65_536)),
        _of("nwc_payloads.json", "clink_payloads.json"),
    ),
    Parser("nip44", _text(lambda text: nip44.decrypt(text, KEY)), _these(nip44.encrypt("hello", KEY, KEY), "A" * 200)),
    Parser("nip44, after the mac", _after_the_mac, _these(b"\x00\x05hello" + bytes(27), bytes(66))),
    Parser("nip04", _text(lambda text: nip04.decrypt(text, KEY)), _these(nip04.encrypt("hello", KEY, KEY[:16]))),
    Parser("events", decode_event, _events),
    Parser("filters", lambda data: filters.decode_filter(_json(data)), _these(_FILTER)),
    Parser("proof of work", _text(_tags), _these("nonce,1,20", "nonce")),
    Parser(
        "messages of a relay",
        lambda data: ClientConversation("wss://relay.example.com").receive(data),
        lambda: (
            *_frames(b'["EVENT","a",%s]'),
            b'["OK","%s",true,""]' % HASH.encode(),
            b'["AUTH","x"]',
            b'["EOSE","a"]',
        ),
        (),
    ),
    Parser(
        "messages to a relay",
        lambda data: ServerConversation("challenge", ("relay.example.com",)).receive(data),
        lambda: (*_frames(b'["EVENT",%s]'), *_frames(b'["AUTH",%s]'), b'["REQ","a",%s]' % json.dumps(_FILTER).encode()),
        (),
    ),
    Parser("nwc requests", _wire(nwc.read, kinds.NWC_REQUEST, "nwc"), _nwc_requests, _REFUSED),
    Parser("nwc method", _text(nwc.read_method), _of("nwc_payloads.json"), ()),
    Parser(
        "offer requests",
        _wire(offers.read, kinds.OFFER, "offers"),
        _these(_OFFER, {"offer": "x", "amount": "7"}, {"offer": "x", "zap": zap_request()}),
        _REFUSED,
    ),
    Parser("zap requests", _text(lambda text: read_zap_request(text, KEY.hex())), _these(zap_request())),
    Parser("manage requests", _wire(manage.read, kinds.MANAGE, "manage"), _these(_CREATE, _LIST), _REFUSED),
    Parser("manage actions", _text(manage.method), _these(_CREATE, _LIST), ()),
    Parser(
        "callback urls",
        _text(callback_url.require_callback_url),
        _these("https://shop.example/{a}{?amount,b*,c:3}", "https://[::1]:8/%41{a}"),
    ),
    Parser("debit requests", _wire(debits.read, kinds.DEBIT, "debits"), _these(_DEBIT, _BUDGET), _REFUSED),
    *(
        Parser(
            f"nwc responses to {type(asked).__name__}",
            _text(partial(decode_response, command=asked)),
            _of("nwc_payloads.json"),
        )
        for asked in (PAY, MakeInvoice(amount_msat=Msat(1_000)), ListTransactions(), GetBudget(), GetInfo())
    ),
    Parser(
        "nwc records of payments",
        _text(partial(decode_record, payment_hash=PAY.payment_hash, now=0)),
        _of("nwc_payloads.json"),
    ),
    Parser("nwc info", _text(_read_info), _these("pay_invoice get_balance", "nip44_v2 nip04"), ()),
    Parser("offer replies", _text(ask_offers.decode_reply), _of("clink_payloads.json", "lightning_pub_offers.json")),
    Parser(
        "hints at an offer",
        _text(lambda text: (hints.read_nostr_json(text, "bob"), hints.read_lnurlp(text), hints.read_profile(text))),
        _hints,
    ),
    Parser("addresses", _text(address.decode), _these("Bob+tea@Pay.Example:8443", f"a@{'b' * 56}.onion")),
    Parser("enroll requests", _wire(enroll.read, kinds.ENROLL, "enroll"), _these({}, {"name": "Bob"}), _REFUSED),
    Parser("enroll replies", _text(ask_enroll.decode_reply), _of("clink_payloads.json")),
    Parser("debit replies", _text(ask_debits.decode_reply), _of("clink_payloads.json", "lightning_pub_debits.json")),
    Parser("manage replies", _text(ask_manage.decode_reply), _of("lightning_pub_manage.json")),
    Parser("contents of beacons", _text(beacon.decode_content), _these(_BEACON)),
    Parser("beacons", _of_event(beacons.read_beacon), _beacons),
    Parser("documents of operators", _of_event(lambda one: (beacons.attested(one), beacons.revoked(one))), _beacons),
    Parser("descriptions", _text(clean_description), _of("nwc_payloads.json"), ()),
    Parser("escapes", _text(escape_unsafe), _of("nwc_payloads.json"), ()),
    Parser("words of others", _text(lambda text: (clean(text, 200), unseen(text))), _of("nwc_payloads.json"), ()),
    Parser("screens", _text(on_screen), _these("head\n\x1b[1A\x1b[2Kfalse\u202e\n\nend\r"), ()),
    Parser("config", _config, _these(_TOML, "relays = "), (KitestringError,)),
    Parser("proxies", _text(_proxy), _these("http://proxy.lan:3128", "socks5://u:p@[::1]:9050"), (KitestringError,)),
    Parser(
        "node urls",
        _text(BackendUrl.parse),
        _these("lnd+https://127.0.0.1:8080?cert=/a&macaroon=/b&x=1", "sandbox://"),
        (KitestringError,),
    ),
    Parser(
        "macaroons", macaroon.rights, _these(b"\x02\x01\x03lnd\x02\x10\x03\x0a\x06nonce1\x12\x03abc\x00\x00\x06" + KEY)
    ),
    Parser("lnd payments", _payment, _these(_LND_PAYMENT, {**_LND_PAYMENT, "status": "FAILED"}), _NODE),
    Parser(
        "lnd payment pages",
        _lnd(lnd.PaymentPage),
        _these({"payments": [_LND_PAYMENT], "last_index_offset": "3"}),
        _NODE,
    ),
    Parser(
        "lnd invoices",
        lambda data: lnd.invoice_status(node_decode(data, lnd.LndInvoice, "lnd")),
        _these(_LND_INVOICE),
        _NODE,
    ),
    Parser("lnd channels", _lnd(lnd.Channels), _these({"channels": [{"local_balance": "5", "active": True}]}), _NODE),
    Parser(
        "lnd info",
        _lnd(lnd.LndInfo),
        _these({"identity_pubkey": "02" + HASH, "chains": [{"network": "regtest"}]}),
        _NODE,
    ),
)
BY_NAME: Final = {parser.name: parser for parser in PARSERS}


def _frames(around: bytes) -> tuple[bytes, ...]:
    return tuple(around % one for one in _events())


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
