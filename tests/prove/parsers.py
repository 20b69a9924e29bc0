"""Every parser of what others send, one row each: what it may raise, and where a random walk through it begins."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from kitestring.app.home import config
from kitestring.app.home.settings import FILE_NAME
from kitestring.backend.http import NodeAnswerError
from kitestring.backend.http import decode as node_decode
from kitestring.backend.lnd import rest as lnd_rest
from kitestring.backend.lnd import wire as lnd
from kitestring.backend.lnd.macaroon import Macaroon, judge
from kitestring.backend.lnd.routes import PricedRoutes
from kitestring.backend.registry import BackendUrl
from kitestring.base import currency
from kitestring.base.errors import CodecError, KitestringError
from kitestring.base.grants import Webhook
from kitestring.base.text import clean, escape_unsafe, on_screen, unseen
from kitestring.client import beacon as client_beacon
from kitestring.client import enroll as client_enroll
from kitestring.client import payable
from kitestring.client.debits import read_ndebit
from kitestring.client.manage import read_nmanage
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
from kitestring.nostr import inbox, kinds
from kitestring.nostr import pow as work
from kitestring.nostr.event import Event, decode_event, encode_event
from kitestring.nostr.relay import ClientConversation, ServerConversation
from kitestring.transport import border, dates, guard, publications, webhooks
from kitestring.wire import beacon as beacons
from kitestring.wire import clink
from kitestring.wire.ask import debits as ask_debits
from kitestring.wire.ask import enroll as ask_enroll
from kitestring.wire.ask import hints
from kitestring.wire.ask import manage as ask_manage
from kitestring.wire.ask import offers as ask_offers
from kitestring.wire.ask.nwc import notifications
from kitestring.wire.envelope import Expected, is_reply
from kitestring.wire.serve import debits, enroll, manage, offers
from kitestring.wire.text import clean_description
from kitestring.wire.zaps import read_zap_request
from tests.kit.clock import NOW
from tests.kit.codec.invoices import invoice
from tests.kit.wire.samples import zap_request
from tests.prove.parser import (
    CLINK,
    HASH,
    KEY,
    REFUSED,
    Parser,
    as_event,
    as_request,
    as_text,
    events,
    found_in,
    of,
    these,
)
from tests.prove.parsers_nwc import NWC_PARSERS


def _hints() -> tuple[bytes, ...]:
    codes = [code.decode() for code in found_in("clink_pointers.json") if code.startswith(b"noffer1")][:20]
    named = {"clink_offer": {"Bob": codes[0]}, "nip69": codes[1], "noffer": codes[2], "tag": "payRequest"}
    return tuple(json.dumps(one).encode() for one in (named, *({"clink_offer": code, "lud16": "x"} for code in codes)))


def _links() -> tuple[bytes, ...]:
    values = f"lightning=lnbc1&lightning={invoice()}&noffer=noffer1x&lno=lno1x&label=%E9".encode()
    codes = found_in("clink_pointers.json", "nip19.json", "bolt11.json")
    return (*codes, b"bitcoin:?amount=0.00000021&" + values, b"BITCOIN:?" + values)


def _relay_lists() -> tuple[bytes, ...]:
    return (b"wss://a.example/,http://b,wss://c:65536,wss://[::1]:7/x?y,", b"wss://caf\xe9,ws://u@b#c")


def _pasted() -> tuple[bytes, ...]:
    return tuple(f"\ufeff{code[:20]}\r\n\t{code[20:]}\u200b\n".encode() for code in (invoice(), "me@pay.example"))


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


def _tags(text: str) -> object:
    tags = [[part] for part in text.split(",")]
    return work.committed_target(tags), work.proven_bits(HASH, tags)


def _looked_at(event: Event) -> object:
    """All that is asked of an event before it is believed, whoever sent it."""
    kept = (is_reply(event, Expected(event.kind, event.pubkey, HASH, HASH)), event.kind in kinds.CLINK)
    told = notifications.is_notification(event, event.pubkey, HASH)
    return kept, told, inbox.has_expired(event, NOW), clink.read_version(event, accept_legacy=True)


def _code(text: str) -> None:
    """What somebody was given and types: each reader takes it or says in a sentence why not."""
    for read in (read_ndebit, read_nmanage, client_enroll.read_service, client_beacon.read_service):
        with contextlib.suppress(KitestringError):
            read(text)


def _lnd_line(data: bytes) -> object:
    """A line of a stream, and an answer that is an error."""
    return lnd_rest._refusal(400, data), node_decode(data, lnd_rest._Line, "lnd")


def _webhook(text: str, form: Any) -> None:
    webhooks.check_webhook(Webhook(text, form=form), ("name", "note"), own=False)


def _payment(data: bytes) -> object:
    found = node_decode(data, lnd.LndPayment, "lnd")
    return lnd.payment_answer(found, HASH), lnd.listed_payment(found)


def _lnd(answer: Any) -> Callable[[bytes], object]:
    return lambda data: node_decode(data, answer, "lnd")


_SAID: Final = (CodecError, KitestringError)
_NODE: Final = (NodeAnswerError,)
_MACAROON: Final = b"\x02\x01\x03lnd\x02\x10\x03\x0a\x06nonce1\x12\x03abc\x00\x00\x06" + KEY
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

PARSERS: Final = (
    *NWC_PARSERS,
    Parser("bech32", as_text(lambda text: bech32.decode(text, limit=5_000)), of("bech32.json", "nip19.json")),
    Parser("bolt11", as_text(bolt11.decode), lambda: (*found_in("bolt11.json"), invoice().encode())),
    Parser("bolt11, not recovered", as_text(lambda text: bolt11.decode(text, recover=False)), of("bolt11.json")),
    Parser("nip19", as_text(nip19.decode), of("nip19.json")),
    Parser("nip19 secret", as_text(nip19.decode_secret), of("nip19.json")),
    Parser("tlv", tlv.decode, these(b"\x00\x20" + KEY + b"\x01\x03abc", b"\x02\x00")),
    Parser("pointers", as_text(pointers.decode), of("clink_pointers.json")),
    Parser("targets", as_text(lambda text: (target.candidates(text), target.link_amount(text))), _links),
    Parser("payable", as_text(lambda text: payable.choose(text, "regtest")), _links, (KitestringError,)),
    Parser("wallet links", as_text(uri.decode_nwc), of("nwc_uris.json")),
    Parser("wallet auth", as_text(wallet_auth.decode_wallet_auth), of("nwc_uris.json")),
    Parser(
        "deep links",
        as_text(lambda text: (deep_link.decode_deep_link(text), deep_link.answer_link(text, "x"))),
        these("nostrnwc://connect?appname=My%20App&callback=app%3A%2F%2Fx%3Fa%3D1%23b", "my-app://x?a=1#b"),
    ),
    Parser("lists of relays", as_text(lambda text: relay_url.usable_relays(text.split(","), 4)), _relay_lists, ()),
    Parser(
        "dates of answers",
        as_text(lambda text: dates.unix_time({"Date": text})),
        these(b"Thu, 09 Oct 2025 08:53:20 GMT", b"Thursday, 09-Oct-25 08:53:20 GMT", b"9 Oct 2025 08:53 +0200"),
        (),
    ),
    Parser(
        "bitcoin links",
        as_text(uri.decode_bip321),
        these(
            "bitcoin:bc1q?amount=0.1&lightning=lnbc1&lno=x",
            "bitcoin:?lightning=a&req-x=1",
            "BITCOIN:?AMOUNT=20999999.99999999999&label=caf%E9&lightning=a&lightning=b&pop=c%3a\r\n d#e",
        ),
    ),
    Parser("pasted texts", as_text(lambda text: (pasted.tidy(text), pasted.is_wrapped(text))), _pasted, ()),
    Parser(
        "relay urls", as_text(relay_url.require_relay_url), these("wss://relay.example.com:7/x?y#z", "ws://[::1]:1")
    ),
    Parser(
        "foreign relays",
        as_text(guard.check_foreign),
        these("wss://relay.example.com:7/x", "wss://[2001:db8::1]"),
        _SAID,
    ),
    Parser(
        "urls to fetch",
        as_text(border.parse_url),
        these("https://example.com:7/x?y#z", "http://[::1]:80/", "https://me@xn--bcher-kva.example/%2f"),
        _SAID,
    ),
    Parser(
        "prices of tickers",
        lambda data: (tickers.read_price(data, "/*/0/c"), tickers.read_price(data, "")),
        these(b'{"a":[{"c":"97012.34"}]}', b"97012.34", b'{"a":[{"c":9.7e4}],"b":{"a":1,"a":2}}'),
    ),
    Parser("sources of rates", as_text(tickers.own_ticker), these("https://a.example:8/{currency}?x#/a~1b/*/0")),
    Parser(
        "amounts in currencies", as_text(lambda text: currency.read_amount(text, "EUR")), these("3.50", "1234"), _SAID
    ),
    Parser("strict json", as_text(strict_json.loads_object), of("nwc_payloads.json", "clink_payloads.json")),
    Parser(
        "json of a reply",
        as_text(partial(strict_json.loads_reply, max_bytes=65_536)),
        of("nwc_payloads.json", "clink_payloads.json"),
    ),
    Parser("nip44", as_text(lambda text: nip44.decrypt(text, KEY)), these(nip44.encrypt("hello", KEY, KEY), "A" * 200)),
    Parser("nip44, after the mac", _after_the_mac, these(b"\x00\x05hello" + bytes(27), bytes(66))),
    Parser("nip04", as_text(lambda text: nip04.decrypt(text, KEY)), these(nip04.encrypt("hello", KEY, KEY[:16]))),
    Parser("events", decode_event, events),
    Parser("events before they are believed", as_event(_looked_at), events, _SAID),
    Parser("filters", lambda data: filters.decode_filter(_json(data)), these(_FILTER)),
    Parser("proof of work", as_text(_tags), these("nonce,1,20", "nonce")),
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
    Parser(
        "offer requests",
        as_request(offers.read, kinds.OFFER, "offers"),
        these(_OFFER, {"offer": "x", "amount": "7"}, {"offer": "x", "zap": zap_request()}),
        REFUSED,
    ),
    Parser(
        "invoices of offers",
        as_text(lambda text: ask_offers.check_invoice(text, amount_sats=21, network="regtest", now=NOW)),
        lambda: (*found_in("bolt11.json"), invoice().encode()),
        _SAID,
    ),
    Parser("codes of services", as_text(_code), of("clink_pointers.json", "nip19.json"), ()),
    Parser("answers of relays", as_text(lambda text: publications.read_ok(False, text)), these("rate-limited: x"), ()),
    *(
        Parser(f"webhooks by {form}", as_text(partial(_webhook, form=form)), these(*addresses), (KitestringError,))
        for form, addresses in (("post", ("https://a.example:8/x?y",)), ("get", ("https://a.example/{?name,amount}",)))
    ),
    Parser("zap requests", as_text(lambda text: read_zap_request(text, KEY.hex())), these(zap_request())),
    Parser("manage requests", as_request(manage.read, kinds.MANAGE, "manage"), these(_CREATE, _LIST), REFUSED),
    Parser("manage actions", as_text(manage.method), these(_CREATE, _LIST), ()),
    Parser(
        "callback urls",
        as_text(callback_url.require_callback_url),
        these("https://shop.example/{a}{?amount,b*,c:3}", "https://[::1]:8/%41{a}"),
    ),
    Parser("debit requests", as_request(debits.read, kinds.DEBIT, "debits"), these(_DEBIT, _BUDGET), REFUSED),
    Parser("offer replies", as_text(ask_offers.decode_reply), of("clink_payloads.json", "lightning_pub_offers.json")),
    Parser(
        "hints at an offer",
        as_text(lambda text: (hints.read_nostr_json(text, "bob"), hints.read_lnurlp(text), hints.read_profile(text))),
        _hints,
    ),
    Parser("addresses", as_text(address.decode), these("Bob+tea@Pay.Example:8443", f"a@{'b' * 56}.onion")),
    Parser("enroll requests", as_request(enroll.read, kinds.ENROLL, "enroll"), these({}, {"name": "Bob"}), REFUSED),
    Parser("enroll replies", as_text(ask_enroll.decode_reply), of("clink_payloads.json")),
    Parser("debit replies", as_text(ask_debits.decode_reply), of("clink_payloads.json", "lightning_pub_debits.json")),
    Parser("manage replies", as_text(ask_manage.decode_reply), of("lightning_pub_manage.json")),
    Parser("contents of beacons", as_text(beacon.decode_content), these(_BEACON)),
    Parser("beacons", as_event(beacons.read_beacon), _beacons),
    Parser("documents of operators", as_event(lambda one: (beacons.attested(one), beacons.revoked(one))), _beacons),
    Parser("descriptions", as_text(clean_description), of("nwc_payloads.json"), ()),
    Parser("escapes", as_text(escape_unsafe), of("nwc_payloads.json"), ()),
    Parser("words of others", as_text(lambda text: (clean(text, 200), unseen(text))), of("nwc_payloads.json"), ()),
    Parser("screens", as_text(on_screen), these("head\n\x1b[1A\x1b[2Kfalse\u202e\n\nend\r"), ()),
    Parser("config", _config, these(_TOML, "relays = "), (KitestringError,)),
    Parser("proxies", as_text(_proxy), these("http://proxy.lan:3128", "socks5://u:p@[::1]:9050"), (KitestringError,)),
    Parser(
        "node urls",
        as_text(BackendUrl.parse),
        these("lnd+https://127.0.0.1:8080?cert=/a&macaroon=/b&x=1", "sandbox://"),
        (KitestringError,),
    ),
    Parser("macaroons that are judged", lambda data: judge(Macaroon("x", data)), these(_MACAROON), ()),
    Parser("macaroons", macaroon.rights, these(_MACAROON)),
    Parser("lnd payments", _payment, these(_LND_PAYMENT, {**_LND_PAYMENT, "status": "FAILED"}), _NODE),
    Parser(
        "lnd payment pages",
        _lnd(lnd.PaymentPage),
        these({"payments": [_LND_PAYMENT], "last_index_offset": "3"}),
        _NODE,
    ),
    Parser(
        "lnd invoices",
        lambda data: lnd.invoice_status(node_decode(data, lnd.LndInvoice, "lnd")),
        these(_LND_INVOICE),
        _NODE,
    ),
    Parser("lnd invoice pages", _lnd(lnd.InvoicePage), these({"invoices": [_LND_INVOICE]}), _NODE),
    Parser("lnd routes", _lnd(PricedRoutes), these({"routes": [{"total_fees_msat": "5"}]}), _NODE),
    Parser(
        "lnd streams and errors",
        _lnd_line,
        these({"result": _LND_PAYMENT}, {"error": {"code": 5, "message": "x"}}, {"error": "x", "code": 2}),
        _NODE,
    ),
    Parser("lnd channels", _lnd(lnd.Channels), these({"channels": [{"local_balance": "5", "active": True}]}), _NODE),
    Parser(
        "lnd info",
        _lnd(lnd.LndInfo),
        these({"identity_pubkey": "02" + HASH, "chains": [{"network": "regtest"}]}),
        _NODE,
    ),
)
BY_NAME: Final = {parser.name: parser for parser in PARSERS}


def _frames(around: bytes) -> tuple[bytes, ...]:
    return tuple(around % one for one in events())


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
