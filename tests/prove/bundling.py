"""Keysends and bundles in the random transactions: a bundle breaks off anywhere, and is carried on from the file."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from kitestring.base.commands import Bundle, Part, PayInvoice, freeze, thaw
from kitestring.base.destinations import Bolt11, Keysend
from kitestring.base.money import Msat
from kitestring.base.records import BUNDLE, Request
from kitestring.base.shares import Share
from kitestring.base.transactions.payments import ClaimBundle, ClaimPayment, EndBundle
from kitestring.base.transactions.requests import Answer
from kitestring.engine.answers import part_id
from tests.kit.changed import replace
from tests.kit.ledger.values import hash_of, preimage_of, reply
from tests.prove.asking import ASKED, BILLS, CAP, DUE, SHARES
from tests.prove.ground import ACCOUNT
from tests.prove.managing import Managing

#: A node out there.
KEY: Final = "03" + "cd" * 32
#: What somebody outside sends to the node unasked: few, so that the node tells the same more than once.
GIFTS: Final = tuple(f"gift {number}" for number in range(8))
#: Few, so that the same is asked for again.
MANY: Final = st.integers(0, 9)
#: Whether a payment is one that is known.
AGAIN: Final = st.sampled_from([True, False, False])
#: A bundle that is carried on comes to its end, mostly.
FAR: Final = st.sampled_from([1, 9, 9, 9])
#: What becomes of a keysend at once; "" leaves it under way.
SENT: Final = st.sampled_from(["", "", "settled", "failed", "unknown", "resolved"])
#: What a part is told at its claim that nothing else answers.
_BEGUN: Final = frozenset({"Claimed", "Joined", "Running", "Finished"})


class Bundling(Managing):
    """Payments to keys, and several payments in one request."""

    # ------------------------------------------------------------ keysends

    def _wanted(self, data: st.DataObject, account: str, *, by_key: bool) -> PayInvoice:
        """Something new, or a hash that its account pays already, with the same amount and maybe in another way: the
        payer of a key may choose the preimage."""
        mine = [one for one in self.model.payments.values() if one.account == account and not one.requestor]
        done = [one for one in mine if one.state == "settled"]
        keys = [KEY, KEY, self.there]
        is_known: bool = data.draw(AGAIN)
        is_done: bool = data.draw(st.booleans())
        if mine and is_known:
            paid = data.draw(st.sampled_from(done if done and is_done else mine))
            name, amount = paid.name, paid.amount
            keys = [paid.key, paid.key, KEY] if by_key and paid.key else keys
        else:
            name = data.draw(BILLS) if not by_key or data.draw(AGAIN) else self.fresh("sent")
            amount = data.draw(DUE)
        to = Keysend(data.draw(st.sampled_from(keys)), preimage_of(name)) if by_key else Bolt11(f"lnbcrt-{name}")
        return PayInvoice(destination=to, payment_hash=hash_of(name), amount_msat=Msat(amount))

    @rule(data=st.data(), account=ACCOUNT, cap=CAP, asked=ASKED, share=SHARES, end=SENT)
    def send(self, data: st.DataObject, account: str, cap: int, asked: int, share: Share, end: str) -> None:
        """A key is paid; its payment ends at once, or is left as it is."""
        wanted = self._wanted(data, account, by_key=True)
        request, inside = self.asks(f"ask-{asked}", grant_id=f"of-{account}"), self._is_inside(wanted)
        tx = replace(self._claims_of(request, wanted, cap), share=share)
        if self.play(tx) != ["Claimed"] or not end or (inside and end in ("unknown", "resolved")):
            return
        for state in ("unknown", end) if end == "resolved" else (end,):
            self.see()
            self.record(tx.payment.payment_id, state, 0, self._replies(tx.payment.payment_id))

    def _is_inside(self, wanted: PayInvoice) -> bool:
        """Whether it is an open invoice of ours, or the key of the node."""
        if isinstance(wanted.destination, Keysend):
            return wanted.destination.node_key == self.there
        made = self.model.made(self.there, self.model.names[wanted.payment_hash])
        return made is not None and made.state == "open"

    def _claims_of(self, asked: Request, wanted: PayInvoice, cap: int) -> ClaimPayment:
        name, amount = self.model.names[wanted.payment_hash], int(wanted.amount_msat or 0)
        inside = self._is_inside(wanted)
        return self.claims(asked, name, amount, cap, internal=inside, destination=wanted.destination)

    @rule(gift=st.sampled_from(GIFTS), received=st.sampled_from([1, 500, 9_000]))
    def receive_unasked(self, gift: str, received: int) -> None:
        """It is the owner's."""
        self.model.names[hash_of(gift)] = gift
        if self.credit(self.there, gift, received) == "Credited":
            self.reach("keysend came in")

    # ------------------------------------------------------------ bundles

    @rule(data=st.data(), account=ACCOUNT, asked=MANY, number=st.integers(1, 4), far=st.integers(0, 4))
    def ask_for_several(self, data: st.DataObject, account: str, asked: int, number: int, far: int) -> None:
        """The process ends after ``far`` parts, if there are more."""
        wanted = [self._wanted(data, account, by_key=data.draw(st.booleans())) for _ in range(number)]
        parts = tuple(Part(one) for one in wanted)
        asks = self.asks(f"many-{asked}", grant_id=f"of-{account}")
        request = replace(asks, payment_id=BUNDLE, command=freeze(Bundle(parts=parts)))
        if self.play(ClaimBundle(request)) == ["Claimed"]:
            self.reach("bundle claimed")
            self._begin_parts(data, request, far)

    @precondition(lambda self: self.model.waiting(BUNDLE))
    @rule(data=st.data(), far=FAR)
    def carry_on(self, data: st.DataObject, far: int) -> None:
        """As every start does: from the first part on, of which those that were begun are passed over."""
        waiting = [one for one in self.runner.run(self.store.running_requests()) if one.payment_id == BUNDLE]
        assert {one.request_id for one in waiting} == self.model.waiting(BUNDLE)
        for request in waiting:
            self.reach("bundle carried on")
            self._begin_parts(data, request, far)

    def _begin_parts(self, data: st.DataObject, request: Request, far: int) -> None:
        """Begin its parts, up to as many, and end it when that were all."""
        bundle = thaw(request.command)
        assert isinstance(bundle, Bundle)
        for number, part in enumerate(bundle.parts[:far]):
            assert isinstance(part.payment, PayInvoice)
            self._begin_part(data, request, number, part.payment)
        if far < len(bundle.parts):
            self.reach("bundle broken off")
            self.reopen()
            return
        for number in range(len(bundle.parts)):
            assert part_id(request.request_id, number) in self.model.requests, "a part was never decided"
        parts = tuple(part_id(request.request_id, number) for number in range(len(bundle.parts)))
        until = data.draw(st.sampled_from([None, self.now + 600]))  # each part has a row that lasts: so does this one
        assert self.play(EndBundle(request.request_id, parts, until, self.now, 1_000)) == ["Done"]
        self.reach("bundle carried out")

    def _begin_part(self, data: st.DataObject, request: Request, number: int, wanted: PayInvoice) -> None:
        asked = replace(
            self.asks(part_id(request.request_id, number), grant_id=request.grant_id), sent_at=request.sent_at
        )
        (said,) = self.play(self._claims_of(asked, wanted, data.draw(CAP)))
        self.reach(f"part of a bundle: {said}")
        if said not in _BEGUN:
            refusal = (reply(asked.request_id, "no", signed_at=self.now),)
            assert self.play(Answer(asked, refusal, self.now)) == ["Done"]
