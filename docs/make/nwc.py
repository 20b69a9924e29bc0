"""The page docs/reference/nwc.md: every method of Nostr Wallet Connect, served or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, get_args

from kitestring.app.owner.connections import preset_methods
from kitestring.app.service.notices import MAX_HEARERS
from kitestring.app.service.routes import NOTIFICATION_GIVE_UP_S
from kitestring.base.budgets import Budget
from kitestring.base.commands import HOLD_BLOCKS, MAX_HOLD_BLOCKS, MAX_PARTS, MIN_HOLD_BLOCKS
from kitestring.base.destinations import MAX_RECORD_BYTES, MAX_RECORDS, MIN_RECORD_TYPE, PREIMAGE_RECORD
from kitestring.base.errors import Reason
from kitestring.base.events import EventKind
from kitestring.base.grants import Grant
from kitestring.base.money import ZERO
from kitestring.engine.hold_pursuit import CANCEL_BEFORE_BLOCKS
from kitestring.ledger.sqlite.reads.transactions import COUNT_LIMIT
from kitestring.policy.presets import PRESETS, PresetName
from kitestring.wire.grammar import NotificationType
from kitestring.wire.serve.nwc.codes import CODES, NARROW_CODES, NO_INSTRUCTION, NO_PAYMENT_TYPE, WIDE_CODES
from kitestring.wire.serve.nwc.history import DEFAULT_LIMIT, MAX_LIMIT
from kitestring.wire.serve.nwc.members import MAX_METADATA_CHARS
from kitestring.wire.serve.nwc.methods import Method
from kitestring.wire.serve.nwc.notifications import KINDS, NOTIFICATIONS, WORD
from kitestring.wire.serve.nwc.table import METHODS, granted
from kitestring.wire.text import MAX_PLAINTEXT_BYTES

#: Methods of the text, and the extension that each belongs to ("" = older texts). Those that are served have a row in
#: the table of the code.
KNOWN: Final[Mapping[str, str]] = {
    "pay_keysend": "04",
    "make_hold_invoice": "03",
    "settle_hold_invoice": "03",
    "cancel_hold_invoice": "03",
    "lookup_payment": "09",
    "make_offer": "12",
    "pay": "321",
    "receive": "321",
    "multi_pay_invoice": "",
    "multi_pay_keysend": "",
    "sign_message": "",
    "create_connection": "",
}
#: With what every method may be refused.
GENERAL: Final = (
    Reason.MALFORMED,
    Reason.NOT_PERMITTED,
    Reason.CONNECTION_ENDED,
    Reason.RATE_LIMITED,
    Reason.UNSUPPORTED_ENCRYPTION,
    Reason.UNAVAILABLE,
)
#: With what else each one may be.
REFUSALS: Final[Mapping[str, tuple[Reason, ...]]] = {
    "pay_invoice": (Reason.OVER_BUDGET, Reason.INSUFFICIENT_FUNDS, Reason.PAYMENT_FAILED, Reason.FEE_LIMIT),
    "pay_keysend": (Reason.OVER_BUDGET, Reason.INSUFFICIENT_FUNDS, Reason.PAYMENT_FAILED, Reason.FEE_LIMIT),
    "multi_pay_invoice": (Reason.OVER_BUDGET, Reason.INSUFFICIENT_FUNDS, Reason.PAYMENT_FAILED, Reason.FEE_LIMIT),
    "multi_pay_keysend": (Reason.OVER_BUDGET, Reason.INSUFFICIENT_FUNDS, Reason.PAYMENT_FAILED, Reason.FEE_LIMIT),
    "make_invoice": (),
    "lookup_invoice": (Reason.UNKNOWN_TARGET,),
    "lookup_payment": (Reason.UNKNOWN_TARGET,),
    "get_balance": (),
    "get_budget": (),
    "get_info": (),
    "list_transactions": (),
    "sign_message": (),
    "create_connection": (Reason.UNDECIDED, Reason.RATE_LIMITED),
    "make_hold_invoice": (Reason.INVOICE_TAKEN, Reason.UNSUPPORTED),
    "settle_hold_invoice": (Reason.UNKNOWN_TARGET, Reason.CONFLICT),
    "cancel_hold_invoice": (Reason.UNKNOWN_TARGET, Reason.CONFLICT),
    "pay": (Reason.OVER_BUDGET, Reason.INSUFFICIENT_FUNDS, Reason.PAYMENT_FAILED, Reason.FEE_LIMIT),
    "receive": (),
}

#: The event that a notification follows from, in words.
WHEN: Final[Mapping[EventKind, str]] = {
    EventKind.ACCEPTED: "the payment of a hold invoice of the connection is held",
    EventKind.RECEIVED: "an invoice of the connection is paid",
    EventKind.SETTLED: "a payment of the connection has settled",
}
#: In the words of the page, what a method needs.
NEEDS: Final[Mapping[str, str]] = {
    "hold": "where the node can (hold)",
    "keysend": "where the node can (keysend)",
    "sign_message": "where the node can (sign_message)",
    "amountless": "where the node can (invoices without an amount)",
    "legacy_methods": "with the setting `nwc.legacy_methods`",
    "connection_requests": "with the setting `nwc.connection_requests`",
    "draft_methods": "with the setting `nwc.draft_methods`",
}

_HEAD: Final = f"""\
# Nostr Wallet Connect

Every method of [NIP-47](https://nips.nostr.com/47) and its extensions, as this service answers it. What is not served
is answered with `{CODES[Reason.UNSUPPORTED]}`.

A method is announced in the info event (kind 13194) and in `get_info` to the connection that may use it. The owner
names the methods with `connect --methods`, or a preset; without either it has those of the preset `app`. `extensions`
are those of the methods and of the notifications that are announced. [Notifications](#notifications-02) are permissions
of their own.

| method | served | extension | announced | permission | refused with |
|---|---|---|---|---|---|
"""

_SEE_ALL: Final = " or ".join(f"`{name}`" for name, preset in PRESETS.items() if preset.history == "account")
_PRESETS: Final = """
## Presets

`connect --preset` stands for a list of methods. A method that is added later is part of the presets made from then on,
never of a connection that is there.

| preset | for an app that | history on the owner's account | methods |
|---|---|---|---|
"""
_HISTORY: Final = f"""
## What a connection sees

Of balance and history a connection sees what its owner has set. Both can be changed by `connection edit`, and hold from
the next request on.

| option | value | the app sees |
|---|---|---|
| `--show-balance` | `budget` | no more than what is left of its budget: what it can spend |
| | `full` | all that its account has |
| `--show-history` | `own` | what it has paid itself, and the invoices that it has made |
| | `account` | every payment in and out of its account, whoever made it |

`account` has what came to offers, to Lightning Addresses and as zaps, what was debited, and what the owner and other
connections have paid and received. `list_transactions`, `lookup_invoice`, `lookup_payment` and the notifications go by
the same value. Nothing of another account is ever shown. Without `--show-history` a new connection has:

| account | connection | history |
|---|---|---|
| a sub-account | may ask for the balance (`get_balance`) | `account`: it is one person's, as the balance is |
| | may not, such as `receive-only` | `own` |
| the owner's | of the preset {_SEE_ALL} | `account` |
| | of another preset, or with a list of methods | `own`: other apps use this account too |
| any | that an app has asked for itself | `own`, unless it gets an account of its own: then as above |

Another preset or list of methods changes nothing of it later.

- A payment inside an account (from one of its connections to another) is two records, one for each direction. One to
  another account of the service is an `outgoing` record of the one and an `incoming` record of the other.
- `fees_paid` has the service's own fee in it, where the owner takes one.
- A hold invoice is listed while it is held (with `unpaid`), and decided by whoever made it alone.
- Left out is what has no invoice and no payment hash: what the owner moves between accounts (`account fund`,
  `account transfer`, `account withdraw`), and money that came to the node for no invoice of this service. The balance
  has it.
"""
_NOTIFICATIONS: Final = f"""
## Notifications (02)

A connection is told of the payments that [it sees](#what-a-connection-sees) as they end, without asking:
`{{"notification_type": …, "notification": …}}`, with the transaction as `list_transactions` shows it, in an event of
kind {KINDS["nip44"]} (NIP-44) or {KINDS["nip04"]} (NIP-04) with a `p` tag.

| type | told when | announced | permission |
|---|---|---|---|
"""
_HEARING: Final = f"""
What is announced stands in the tag `notifications` of the info event, and as a list in `get_info`; the content of the
info event has the word `{WORD}` then.

- Of each payment a connection is told once for each type. What another one did, and what came to an offer, is told to
  those that see all of the account: to the {MAX_HEARERS} that were made first, where there are more.
- A second payment of an invoice is told to nobody.
- The cipher is the one that the app uses; as long as it has asked nothing, and with `connect --encryption both`, each
  notification is sent in both.
- It is tried until a relay has taken it, or says that nobody listens, for {NOTIFICATION_GIVE_UP_S // 3600} hours, over
  restarts. Relays keep none of them: a client that was away looks at `list_transactions`, as
  [`wallet.notifications()`](../how-to/hear-of-payments.md) does.
- A connection that is revoked, has expired or has lost the permission is told nothing, whatever happened before.
"""
_TAIL: Final = f"""
## Keysend (04)

`pay_keysend` pays the key of a node that has asked for nothing. `tlv_records` are at most {MAX_RECORDS}, with
{MAX_RECORD_BYTES:,} bytes of values together and types from {MIN_RECORD_TYPE:,} on, each once; that of the preimage
({PREIMAGE_RECORD}) is not the caller's to write. `max_fee` and `metadata` are read as with `pay_invoice`. The records
are kept in the metadata as `tlv_records`.

Each request is a payment of its own. With a `preimage` (64 hex digits) it has that hash, and the same order in another
request is not paid again. A payment to the service's own node moves in the books: the owner is paid, without a fee.

## Several payments in one request

`multi_pay_invoice` has up to {MAX_PARTS} `invoices`, `multi_pay_keysend` as many `keysends`: each with the members of a
single payment, and an `id`. Each is a payment of its own with a response of its own, whose `d` tag is the `id`, else
the payment hash or the key that is paid. Two that would have the same `d`, or more than {MAX_PARTS}, are refused as
one request. What is wrong with one of them is said of that one, and budgets and limits are those of each. A crash in
the middle carries on the rest, within `payments.send_within_s`; the same event again is answered with all responses.

## One record by any of its names (09)

`lookup_payment` takes exactly one of `transaction_id`, `payment_hash` and/or `invoice`, and `payment_type` `bolt11`
with `lookup`. A payment inside what the connection sees has two records of one hash: by the hash it is refused with
`{WIDE_CODES["lookup_payment"][Reason.AMBIGUOUS_LOOKUP]}`, by `transaction_id` it is found. Other types are refused with
`{NO_PAYMENT_TYPE}`, and a request of another form with `{WIDE_CODES["lookup_payment"][Reason.MALFORMED]}`; callers of
NIP-04 get `{CODES[Reason.MALFORMED]}` for all three.

## Budget (13)

`get_budget` answers `{{}}` where the connection has no budget. Else it tells `used_budget` and `total_budget` in msat,
`renewal_period`, and `renews_at` (Unix seconds) unless the period is `never`.

- Used is what was paid, with its fees, and what is held for payments under way. It may exceed the total, where that was
  lowered.
- Of several budgets the one with the least left is told, because it is the one that refuses first.
- Calendar periods are those of the owner's time zone (`zone`, else UTC), weeks from Monday. A rolling budget is
  told with the next longer period (up to 1 day `daily`, 7 days `weekly`, 31 days `monthly`, else `yearly`): an app that
  goes by the word alone then spends too slowly rather than too fast. Its `renews_at` is when all that counts now will
  have left; some of it leaves earlier.
- A budget of 0 is a budget. Methods that pay are not announced then.
- The permission is one of its own: an app may be told its budget and not the balance, and the other way round.

`get_balance` of a connection with a budget is what is left of that, where the account has more.

## Hold invoices (03)

`make_hold_invoice` makes an invoice of the `payment_hash` that the app gives; the app keeps the preimage. The node
holds what is paid to it: the state is `accepted`, with `settle_deadline`, the height of the block at which it goes
back.

- `settle_hold_invoice` takes it, with the `preimage`. The answer `{{}}` comes when the node has settled, also when the
  same was asked before. `OTHER` while nobody has paid, and after it was cancelled.
- `cancel_hold_invoice` gives it back, and lets nobody pay an unpaid one. `{{}}` also where it was cancelled before, or
  has expired. `OTHER` after it was settled.
- Only the connection that made one, and the owner, can settle or cancel it: to all others it is `NOT_FOUND`.
- A payment hash is good once, whoever has used it: `OTHER`.
- `min_cltv_expiry_delta` is the least number of blocks that a payment leaves for the decision: {HOLD_BLOCKS} unless the
  app says so, at least {MIN_HOLD_BLOCKS}, at most {MAX_HOLD_BLOCKS:,}. What nobody has decided about is cancelled
  {CANCEL_BEFORE_BLOCKS} blocks before its deadline.
- The state of one that was cancelled is `expired`: the text has no other word. So it is with an ordinary invoice that
  the owner of the wallet has taken back (`kitestring invoice cancel`); its app is told nothing, as of one that expires.
- An app that was away finds what is held in `list_transactions` with `unpaid`: its state is `accepted`. Otherwise only
  what is settled is listed.
- They are announced where the node can hold payments.

## History (05)

`list_transactions` has {DEFAULT_LIMIT} entries unless another number is asked for, at most {MAX_LIMIT}, and no more
than fit into {MAX_PLAINTEXT_BYTES:,} bytes. Without `unpaid` it lists what has settled.
`total_count` is how many match on all pages. It is left out for more than {COUNT_LIMIT:,}: they are counted in an index
for each request, and no list costs more for having grown long.

## Links (321)

`pay` takes a BIP-321 link (`bitcoin:…?lightning=lnbc…`), or a bare invoice, as `payment`, and pays the invoice in it.
It is another form of `pay_invoice`: the same permission, budget and record, and an invoice that the connection has paid
by one of them is answered by the other. Amounts of the link, the invoice and the request may not differ. What a link
demands and nobody here knows (`req-…`), two invoices in one link, and a `payer_note` are refused with `BAD_REQUEST`,
another network with `UNSUPPORTED_NETWORK`, a link without an invoice with `{NO_INSTRUCTION}`.
It is answered when the payment has ended, as `pay_invoice` is. `transaction_id` is the payment hash.

`receive` is `make_invoice` whose answer is such a link. Both are served where the node takes invoices without an
amount.

## Methods of plugins

A package may add methods of its own: [how](../how-to/add-a-method.md). They are announced by their names to connections
that list their permission, which is part of no preset and has to be named, and their answers are stored as all others
are.

## Metadata (06)

A JSON object of at most {MAX_METADATA_CHARS:,} characters that comes with an invoice or a payment is kept, and shown in
look-ups and lists. A longer one is dropped, and the request goes on.
"""


def nwc_page() -> str:
    """docs/reference/nwc.md."""
    others = (f"| `{name}` | no | {KNOWN[name] or '–'} | – | – | – |" for name in KNOWN if name not in METHODS)
    rows = "\n".join([*map(_row, METHODS.values()), *others])
    narrow = " and ".join(f"`{code}` in place of `{CODES[reason]}`" for reason, code in NARROW_CODES.items())
    general = f"Each may be refused with {_listed(_codes(GENERAL))} too; [what the codes mean](errors.md)."
    presets = "\n".join(
        f"| `{name}` | {PRESETS[name].words} | `{PRESETS[name].history}` | {_methods(name)} |"
        for name in get_args(PresetName)
    )
    types = "\n".join(map(_type, NOTIFICATIONS.values()))
    heard = f"{_NOTIFICATIONS}{types}\n{_HEARING}"
    methods = f"{_HEAD}{rows}\n\n{general}\nCallers of NIP-04 get {narrow}.\n{_PRESETS}{presets}\n"
    return f"{methods}{_HISTORY}{heard}{_TAIL}"


def _methods(preset: PresetName) -> str:
    return " ".join(f"`{permission}`" for permission in preset_methods(preset))


def _type(row: NotificationType) -> str:
    return f"| `{row.name}` | {WHEN[row.event]} | with its permission | `{row.permission}` |"


def _row(method: Method) -> str:
    announced, permission = "with its permission", f"`{method.permission}`"
    if method in granted(()):
        announced, permission = "always", f"none; {permission} for facts about the node"
    elif method.permission not in _without_money(method).announced:
        announced += ", unless a budget is 0"
    announced += "".join(f", {NEEDS[need]}" for need in sorted(method.needs))
    codes = [code for code in _codes(REFUSALS[method.name]) if code not in _codes(GENERAL)]
    extensions = " ".join(method.extensions) or "–"
    return f"| `{method.name}` | yes | {extensions} | {announced} | {permission} | {_listed(codes)} |"


def _without_money(method: Method) -> Grant:
    empty = (Budget.total(ZERO),)
    return Grant(grant_id="", name="", wire="nwc", methods=frozenset({method.permission}), budgets=empty)


def _codes(reasons: Iterable[Reason]) -> list[str]:
    return list(dict.fromkeys(f"`{CODES[reason]}`" for reason in reasons))


def _listed(codes: Iterable[str]) -> str:
    return ", ".join(codes) or "–"
