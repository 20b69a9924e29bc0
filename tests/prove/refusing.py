"""Claims that are to be refused for two reasons at once, tried after each step and taken back: the ledger has to name
the reason that the model names. Who learns what is no accident."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations
from typing import Final

from hypothesis.stateful import invariant

from kitestring.base.approvals import Block, Token
from kitestring.base.destinations import Bolt11
from kitestring.base.money import ZERO, Msat
from kitestring.base.shares import Share
from kitestring.base.transactions.answers import Tx
from kitestring.base.transactions.owner import SaveBlock
from kitestring.base.transactions.payments import ClaimPayment
from kitestring.base.transactions.service import SetSpending
from kitestring.policy.budget import charges
from tests.kit.changed import replace
from tests.kit.ledger.values import hash_of
from tests.prove.asking import CALLERS
from tests.prove.closing import Closing
from tests.prove.ground import ACCOUNTS, POINTER, agree, word

#: A word that nobody has minted.
UNKNOWN: Final = Token(POINTER, "c9" * 32, minted=True)
#: Claims that are tried after each step. A few hundred steps see every two reasons of everybody several times.
LOOKS: Final = 4


class Refusing(Closing):
    """Whatever two reasons there are to refuse a claim."""

    @invariant()
    def of_two_reasons_the_same_one_is_told(self) -> None:
        if not hasattr(self, "model"):
            return
        for payer, reasons in random.Random(self.count).sample(ALL, LOOKS):  # the same ones for the same steps
            tx = self._plain(payer)
            for reason in reasons:
                tx = REASONS[reason](self, tx)
            self._look(tx, "stopped" in reasons, "blocked" in reasons and bool(tx.payment.requestor))

    def _plain(self, payer: str) -> ClaimPayment:
        """One msat of a hash that nobody knows: of an account, or of a key by its own grant, or at the pointer."""
        mine = [name for name in self._kids() if self.model.grants[name].caller == payer]
        grant = self.model.grants[f"of-{payer}" if payer in ACCOUNTS else next(iter(mine), POINTER)]
        asked = self.asks("two reasons", grant_id=grant.grant_id, wire=grant.wire)
        self.model.names[hash_of("two reasons")] = "two reasons"
        tx = self.claims(asked, "two reasons", 1, 0, internal=False)
        return replace(tx, payment=replace(tx.payment, requestor="" if payer in ACCOUNTS else payer))

    def _look(self, tx: ClaimPayment, is_stopped: bool, is_blocked: bool) -> None:
        before: list[Tx[object]] = []
        stops, blocked, caller = set(self.model.stops), set(self.model.blocked), tx.payment.requestor
        if is_stopped:
            before.append(SetSpending(True, "a drill", self.now))
            self.model.stops.add("drift")
        if is_blocked:
            command = self.owners(SaveBlock(caller, Block(caller, self.now)))
            before.append(replace(command, request=replace(command.request, sent_at=self.model.pruned_before)))
            self.model.blocked.add(caller)
        try:
            agree(word(self.try_out(*before, tx)), self.model.would_claim(tx), tx)
        finally:
            self.model.stops, self.model.blocked = stops, blocked

    # ------------------------------------------------------------ what may be wrong with a claim

    def over_budget(self, tx: ClaimPayment) -> ClaimPayment:
        return self._costs(tx, max([0, *self._left(tx)]) + 1)

    def over_balance(self, tx: ClaimPayment) -> ClaimPayment:
        return self._costs(tx, self.model.available(tx.payment.account_id) + 1)

    def all_there_is(self, tx: ClaimPayment) -> ClaimPayment:
        """Nothing is wrong with it, to the last msat."""
        return self._costs(tx, min([self.model.available(tx.payment.account_id), *self._left(tx)]))

    def _left(self, tx: ClaimPayment) -> list[int]:
        return [int(one.limit_msat) - self.model._before(one) for one in tx.charges]

    def _costs(self, tx: ClaimPayment, total: int) -> ClaimPayment:
        """It takes so much, or what it takes already where that is more."""
        paid = tx.payment
        more = max(0, total - int(paid.reserved_msat))
        paid = replace(paid, amount_msat=Msat(int(paid.amount_msat) + more))
        grant = self.model.grants[tx.request.grant_id]
        return replace(tx, payment=paid, charges=charges(grant, paid.reserved_msat, self.now, self.zone))

    def known(self, tx: ClaimPayment) -> ClaimPayment:
        name = next(iter(self.model.requests), tx.request.request_id)
        return replace(tx, request=replace(tx.request, request_id=name))

    def too_old(self, tx: ClaimPayment) -> ClaimPayment:
        return replace(tx, request=replace(tx.request, sent_at=self.model.pruned_before - 1))

    def read_before(self, tx: ClaimPayment) -> ClaimPayment:
        return replace(tx, grant_version=tx.grant_version - 1)

    def held(self, tx: ClaimPayment) -> ClaimPayment:
        """Some payment has this hash."""
        there = (paid for paid in self.model.payments.values() if paid.node == self.there and paid.state != "failed")
        return self._of(tx, next((paid.name for paid in there), ""))

    def sold(self, tx: ClaimPayment) -> ClaimPayment:
        """It is the hash of an invoice of ours that is paid."""
        made = self.model.invoices.items()
        return self._of(tx, next((name for name, one in made if (one.node, one.state) == (self.there, "settled")), ""))

    def _of(self, tx: ClaimPayment, name: str) -> ClaimPayment:
        if not name:
            return tx
        paid = replace(tx.payment, payment_hash=hash_of(name), destination=Bolt11(f"lnbcrt-{name}"))
        return replace(tx, payment=paid)

    def not_ours(self, tx: ClaimPayment) -> ClaimPayment:
        """It is called an invoice of ours, and is none."""
        paid = replace(tx.payment, internal=True, fee_cap_msat=ZERO, service_fee_msat=ZERO)
        return self._costs(replace(tx, payment=paid), 0)

    def full(self, tx: ClaimPayment) -> ClaimPayment:
        return replace(tx, share=Share(0))

    def no_word(self, tx: ClaimPayment) -> ClaimPayment:
        return replace(tx, consume=(UNKNOWN,)) if tx.payment.requestor else tx

    def as_it_is(self, tx: ClaimPayment) -> ClaimPayment:
        """It is the service that is another one meanwhile."""
        return tx


#: The reasons; where the ledger has nothing of the kind, one leaves the claim as it is.
REASONS: Final[dict[str, Callable[[Refusing, ClaimPayment], ClaimPayment]]] = {
    "known": Refusing.known,
    "too old": Refusing.too_old,
    "read before": Refusing.read_before,
    "blocked": Refusing.as_it_is,
    "no word": Refusing.no_word,
    "held": Refusing.held,
    "stopped": Refusing.as_it_is,
    "not ours": Refusing.not_ours,
    "sold": Refusing.sold,
    "full": Refusing.full,
    "over budget": Refusing.over_budget,
    "over balance": Refusing.over_balance,
    "nothing": Refusing.all_there_is,
}
#: Everybody who pays, with every two of them.
ALL: Final = [(payer, two) for payer in (*ACCOUNTS, CALLERS[0]) for two in combinations(REASONS, 2)]
