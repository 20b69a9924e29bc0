"""A ledger in which everything has happened once."""

from kitestring.base.approvals import DebitSession, Token
from kitestring.base.destinations import Bolt11
from kitestring.base.grants import Account, Grant
from kitestring.base.invoices import Decision
from kitestring.base.money import Msat
from kitestring.base.transactions.answers import Tx
from kitestring.base.transactions.owner import SaveAccount, SaveGrant, SaveSession
from kitestring.base.transactions.payments import ResolvePayment
from tests.kit.changed import replace
from tests.kit.ledger.enrolling import enroll
from tests.kit.ledger.holding import decide, end, hold, record_hold
from tests.kit.ledger.managing import GRANT, LINK, manages, offer
from tests.kit.ledger.questions import CHARGER, POINTER, approve, asks, deny
from tests.kit.ledger.values import (
    NOW,
    answered,
    charge,
    claim,
    credit,
    execute,
    fail,
    invoice,
    lose,
    move,
    payment,
    receipt,
    record_invoice,
    refuse,
    reply,
    request,
    setting,
    settle,
)

#: A word that was paid with.
WORD = Token(POINTER, "c4" * 32)
#: A second service on the same file.
OTHER = "07" * 32
BUSY: tuple[Tx[object], ...] = (
    setting(),
    enroll(),
    claim("paid", payment("paid"), charge(1100, 50_000)),
    settle("paid", 10, answered("paid")),
    claim("plain", payment("plain")),
    settle("plain", 10, answered("plain")),
    claim("taxed", payment("taxed", service_fee_msat=Msat(25)), charge(1125, 50_000, 10)),
    settle("taxed", 10, answered("taxed")),
    claim("untaxed", payment("untaxed", service_fee_msat=Msat(25))),
    fail("untaxed", answered("untaxed")),
    claim("joined"),
    claim("joined", payment("joined", payment_id="x"), asked=request("ask-again")),
    settle("joined", 0, answered("joined"), reply("ask-again")),
    claim("lost", payment("lost"), charge(1100, 50_000)),
    fail("lost", answered("lost")),
    claim("unknown"),
    lose("unknown"),
    claim("resolved"),
    lose("resolved"),
    ResolvePayment("pay-resolved", "node gone", NOW),
    claim("late"),
    lose("late"),
    ResolvePayment("pay-late", "node gone", NOW),
    settle("late", 5, answered("late")),
    claim("dear", payment("dear", 1000, 1, account_id="bob", grant_id="bobs")),
    settle("dear", 500, answered("dear")),
    claim("owners", payment("owners", account_id="owner", grant_id="owner")),
    settle("owners", 3, answered("owners")),
    record_invoice("in"),
    credit("in", 600, b"", receipt("want-in")),
    record_invoice("inside"),
    claim("inside", payment("inside", 500, 0, internal=True)),
    settle("inside", 0, answered("inside")),
    credit("inside", 500),
    record_invoice("open", invoice("open")),
    credit("stranger", 900),
    claim("open", payment("open", destination=Bolt11("lnbcrt-wrapped"))),
    execute("back", move("t", "alice", "owner", 50)),
    execute(
        "short",
        SaveAccount(Account(account_id="short", name="Short")),
        SaveGrant(Grant(grant_id="shorts", name="shorts", wire="nwc", account_id="short")),
        move("fund-short", "owner", "short", 1001),
    ),
    claim("short", payment("short", 1000, 1, account_id="short", grant_id="shorts")),
    settle("short", 500, answered("short")),
    refuse("refused"),
    refuse("refused in silence", None),
    refuse("refused once more", max_bytes=10),
    execute("pointer", SaveGrant(CHARGER), SaveSession(DebitSession(POINTER, "d5" * 32, Msat(1), Msat(9), NOW, NOW))),
    asks("yes", token=WORD),
    replace(approve("yes"), claim=replace(approve("yes").claim, consume=(WORD,))),
    settle("yes", 5, answered("yes")),
    asks("no"),
    deny("no", answered("no")),
    asks("waits", "b2" * 32),
    record_hold("unpaid"),
    record_hold("deciding"),
    hold("deciding"),
    decide("deciding", Decision.SETTLE, "deciding"),
    record_hold("back"),
    hold("back"),
    decide("back", Decision.CANCEL, "back"),
    end("back", reply("back")),
    record_hold("held inside"),
    claim("held inside", payment("held inside", 500, 0, internal=True)),
    hold("held inside", payment_id="pay-held inside"),
    execute("link", SaveGrant(LINK), SaveGrant(GRANT)),
    manages("mug", offer("mug")),
)
