"""The ledger as a child would write it: dictionaries and sums, no batch, no index, no file.

It says what each transaction must answer, and what everybody owns afterwards. What a node says is true and is booked,
however odd: a fee below zero counts as none, and nothing received moves nothing.
"""

from __future__ import annotations

from kitestring.base.approvals import MAX_WAITING, Approval, ApprovalState
from kitestring.base.commands import Debit, thaw
from kitestring.base.destinations import Keysend
from kitestring.base.grants import OFFER_STEPS, Grant, Offer, OfferState
from kitestring.base.records import CONTROL_WIRE, REPLY, Charge, Message, Payment
from kitestring.base.shares import Share
from kitestring.base.transactions.approvals import AskOwner, AwaitApproval, Decide
from kitestring.base.transactions.invoices import MAX_DECIDING, DecideHold
from kitestring.base.transactions.owner import (
    CheckOffer,
    EndOffers,
    ManageOffers,
    SaveAccount,
    SaveBlock,
    SaveGrant,
    SaveOffer,
    SaveSession,
    SendAgain,
    Write,
)
from kitestring.base.transactions.payments import MAX_JOINED, ClaimPayment
from tests.kit.changed import replace
from tests.prove.books import Books
from tests.prove.rows import ALLOWED, OPEN, Made, Paid, Window


class Model(Books):
    """``names`` are those of the payment hashes."""

    # ------------------------------------------------------------ payments

    def has_place(self, node: str, grant: str, share: Share) -> bool:
        """Whether one more payment of it may be open at a node; ``most`` 0 is the owner."""
        open_ones = [p.grant for p in self.payments.values() if p.state in OPEN and p.node == node]
        own, free = open_ones.count(grant), share.places - len(open_ones)
        return free > 0 and (not share.most or (own < share.most and own < free))

    def claim(self, tx: ClaimPayment) -> str:
        known = self._known(tx.request)
        if known is not None:
            return known
        answer = self._refusal(tx)
        if answer == "Joined":
            held = self.holder(self.names[tx.payment.payment_hash])
            payment_id = next(name for name, one in self.payments.items() if one is held)
            if len(self.waiting(payment_id)) >= MAX_JOINED and tx.request.wire != CONTROL_WIRE:
                return "payment_in_flight"
            self._wait(tx.request, payment_id)
        if answer is not None:
            return answer
        self._begin(tx)
        self._wait(tx.request, tx.payment.payment_id)
        return "Claimed"

    def would_claim(self, tx: ClaimPayment) -> str:
        """What :meth:`claim` would say, and nothing is claimed."""
        return self._known(tx.request) or self._refusal(tx) or "Claimed"

    def _refusal(self, tx: ClaimPayment) -> str | None:
        paid = self._paid(tx.payment)
        grant = self.grants.get(tx.request.grant_id)
        if grant is None or grant.version != tx.grant_version or grant.revoked_at is not None:
            return "Stale"
        holder, unmeant = self.holder(paid.name), self._unmeant(paid, tx)
        if holder is not None and holder.whose == paid.whose and holder.state != "resolved":
            return "AlreadyPaid" if holder.state == "settled" else "Joined"
        if holder is not None:
            is_told = holder.whose != paid.whose and unmeant in {"not_permitted", "unknown_target"}
            return unmeant if is_told else "invoice_taken"
        if unmeant is not None:
            return unmeant
        if self.stops:
            return "spending_stopped"
        made = None if paid.key else self.made(paid.node, paid.name)
        is_ours = made is not None and made.state == "open" and not made.decision
        if not paid.key and (is_ours != paid.internal or (made and paid.internal and not _is_payable(made, paid))):
            return "Stale"
        if made is not None and not paid.internal and (ended := _ended(made)):
            return ended
        return self._not_now(paid, tx)

    def _not_now(self, paid: Paid, tx: ClaimPayment) -> str | None:
        """The refusal to a payment that nothing is known of yet: by the budgets before the balance, so that no app
        learns more of the account than what its budget lets it spend."""
        if not self.has_place(paid.node, paid.grant, tx.share):
            return "rate_limited"
        over = self._over_budget(tx.charges)
        if over is not None:
            return over
        if paid.account in self.overdrawn or paid.held > self.available(paid.account):
            return "insufficient_funds"
        return None

    def _unmeant(self, paid: Paid, tx: ClaimPayment) -> str | None:
        """The refusal to a blocked key, and of a word that is not good."""
        if paid.requestor in self.blocked:
            return "not_permitted"
        p = tx.payment
        refusals = (self.words.refused(token, paid.amount, p.created_at, p.payment_id) for token in tx.consume)
        return next(filter(None, refusals), None)

    def _over_budget(self, charges: tuple[Charge, ...]) -> str | None:
        left = [(int(c.limit_msat) - self._before(c), c.budget_id) for c in charges]
        if all(free >= int(charge.amount_msat) for (free, _), charge in zip(left, charges, strict=True)):
            return None
        self.tightest = min(left, key=lambda one: one[0])[1]
        return "over_budget"

    def _before(self, charge: Charge) -> int:
        """What is used of its budget right before a charge."""
        window = self.windows.setdefault((charge.grant_id, charge.budget_id), Window())
        before = window.before if charge.oldest <= window.before_at else 0
        return before + self.used((charge.grant_id, charge.budget_id), self._oldest(window, charge))

    def _oldest(self, window: Window, charge: Charge) -> int:
        """The oldest bucket that counts with a charge. A period goes on to its end, and as long as its charges lie in
        that of the new one."""
        if window.oldest is None:
            return charge.oldest
        goes_on = charge.oldest <= max(window.oldest, window.last_at) or charge.at < window.ends
        return window.oldest if goes_on else charge.oldest

    def _begin(self, tx: ClaimPayment) -> None:
        paid = self._paid(tx.payment)
        for charge in tx.charges:
            window = self.windows[charge.grant_id, charge.budget_id]
            is_rolling = charge.bucket != charge.oldest
            oldest = self._oldest(window, charge)
            if window.oldest is not None and oldest != window.oldest:
                used = self.used((charge.grant_id, charge.budget_id))
                window.before, window.before_at = used if window.last_at else 0, window.last_at
                window.ends = window.last_at = 0
            window.oldest = oldest
            if charge.ends:
                window.ends, window.last_at = max(window.ends, charge.ends), max(window.last_at, charge.at)
            bucket = max(charge.bucket, window.oldest) if is_rolling else window.oldest
            paid.buckets[charge.grant_id, charge.budget_id] = bucket
        self.payments[tx.payment.payment_id] = paid
        for token in tx.consume:
            self.words.take(token, tx.payment.payment_id)

    def _paid(self, p: Payment) -> Paid:
        state = "reserved" if p.internal else "dispatched"
        name, amount, cap = self.names[p.payment_hash], int(p.amount_msat), int(p.fee_cap_msat)
        key = p.destination.node_key if isinstance(p.destination, Keysend) else ""
        return Paid(
            name, p.account_id, amount, cap, state, p.internal, p.grant_id, p.requestor, p.node_id, key,
            tax=int(p.service_fee_msat),
        )  # fmt: skip

    def holder(self, name: str) -> Paid | None:
        """The payment that holds a hash, at whichever node."""
        there = (p for p in self.payments.values() if p.name == name)
        return next((p for p in there if p.state != "failed"), None)

    def made(self, node: str, name: str) -> Made | None:
        """The invoice of a hash at a node."""
        made = self.invoices.get(name)
        return made if made is not None and made.node == node else None

    def end(self, payment_id: str, state: str, fee: int, messages: tuple[Message, ...] = ()) -> str:
        paid = self.payments[payment_id]
        if state not in ALLOWED.get(paid.state, ()):
            return "illegal"
        made = None if paid.key else self.made(paid.node, paid.name)
        pays_ours = paid.internal and not paid.key
        if state == "settled" and pays_ours and (made is None or not _may_settle(made, payment_id)):
            return "InvoiceNotOpen"
        if state == "failed" and made is not None and (made.state, made.held_by) == ("accepted", payment_id):
            made.state = "canceled"
        paid.state = state
        self.answer(messages)
        if state == "failed":
            self.words.free(payment_id)
        if state == "settled":
            self._settle(paid, fee if fee >= 0 else paid.cap)  # what cannot be is booked as the most that was allowed
        return "Recorded"

    def _settle(self, paid: Paid, fee: int) -> None:
        paid.fee = fee
        self.funds[paid.account] -= paid.amount + fee + paid.tax
        self.taxed += paid.tax
        if paid.internal and paid.key:
            self.owner += paid.amount
        elif paid.internal:
            made = self.invoices[paid.name]
            made.state, made.internal = "settled", True
            self.gain(made.account, paid.amount)
        else:
            self.spent += paid.amount + fee
        if fee > paid.cap or self.available(paid.account) < 0:
            self.overdrawn.add(paid.account)

    # ------------------------------------------------------------ what comes in

    def credit(self, node: str, name: str, received: int, messages: tuple[Message, ...] = ()) -> str:
        made = self.made(node, name)
        kind = "invoice"
        if made is None or (not made.internal and made.amount is not None and received < made.amount):
            kind = "unknown"
        elif made.internal:
            kind = "surplus"
        if {kind, "invoice", "unknown"} & {found for at, of, found in self.credits if (at, of) == (node, name)}:
            return "AlreadyCredited"
        self.credits.add((node, name, kind))
        if kind == "unknown" or made is None:
            self.owner += received
        else:
            made.state = "settled"
            self.gain(made.account, received)
        if kind == "invoice":
            self.answer(messages)
        return "Credited"

    def expire(self, node: str, before: int, drop_before: int, drop_unpaid_before: int, max_unpaid: int) -> None:
        here = {name: made for name, made in self.invoices.items() if made.node == node}
        for name, made in here.items():
            if made.of_offer and made.state == "expired" and made.expires_at < drop_before:
                self.times.pop(self.invoices.pop(name).request)
        ended = [one for one in here.values() if one.state == "open" and one.expires_at < before and not one.decision]
        for made in ended:
            made.state = "expired"
        for account in {made.account for made in ended if not made.of_offer}:  # each has one connection
            self._forget_unpaid(account, drop_unpaid_before, max_unpaid, ended)

    def _forget_unpaid(self, account: str, drop_before: int, most: int, fresh: list[Made]) -> None:
        """Of each connection the newest stay, and what is held inside, or somebody waits for."""
        theirs = {
            name: made for name, made in self.invoices.items()
            if made.account == account and not made.of_offer and made.state in ("expired", "canceled")
        }  # fmt: skip
        newest = sorted((made.expires_at for made in theirs.values()), reverse=True)[:most]
        for name, made in theirs.items():
            is_beyond = len(newest) == most and made.expires_at < min(newest[-1], drop_before)
            if is_beyond and not made.held_by and not self.waiting(made.id) and made not in fresh:
                self.times.pop(self.invoices.pop(name).request, None)

    def leave(self, node: str, before: int) -> None:
        """The service stands on this node: those of others that ended before are left aside, its own are back."""
        for made in self.invoices.values():
            if made.node == node and made.state == "left":
                made.state = "open"
            elif made.node != node and made.state == "open" and made.expires_at < before and not made.is_kept:
                made.state = "left"

    # ------------------------------------------------------------ hold invoices

    def hold(self, node: str, name: str, payment_id: str) -> str:
        made = self.made(node, name)
        if made is None or not made.is_hold or not made.waits:
            return "Stale"
        if made.state == "accepted":
            return "Done" if made.held_by == payment_id else "Stale"
        if payment_id and made.decision:
            return "Stale"
        made.state, made.held_by = "accepted", payment_id
        return "Done"

    def decide_hold(self, name: str, tx: DecideHold) -> str:
        made = self.invoices[name]
        if tx.request is not None:
            grant = self.grants.get(tx.request.grant_id)
            known = self._known(tx.request)
            if known is not None:
                return known
            if grant is None or grant.version != tx.grant_version or grant.revoked_at is not None:
                return "Stale"
        may = made.state == "accepted" if tx.decision == "settle" else made.waits
        is_able = made.is_hold or tx.decision == "cancel"
        if not is_able or not may or made.decision not in ("", tx.decision):
            return "Stale"
        if tx.request is not None and len(self.waiting(made.id)) >= MAX_DECIDING:
            return "rate_limited"
        made.decision = tx.decision
        if tx.request is not None:
            self._wait(tx.request, made.id)
        return "Claimed"

    def end_hold(self, name: str, messages: tuple[Message, ...]) -> str:
        made = self.invoices[name]
        if not made.waits or made.held_by or not (made.is_hold or made.decision):
            return "Stale"
        made.state = "canceled"
        self.answer(messages)
        return "Done"

    def transfer(self, name: str, at: int, source: str, target: str, amount: int) -> str:
        """By a command of the owner; what he has himself is never too little, and back to him it goes at any time."""
        if self.is_too_old(at):
            return "stale_request"
        if self.stops and target != "owner":
            return "spending_stopped"
        self.hear(name, at, at)
        if source == "owner":
            self.owner -= amount
            self.gain(target, amount)
            return "Claimed"
        if source in self.overdrawn or amount > self.available(source):
            del self.times[name]
            return "insufficient_funds"
        self.funds[source] -= amount
        if target == "owner":
            self.owner += amount
        else:
            self.gain(target, amount)
        return "Claimed"

    # ------------------------------------------------------------ questions to the owner

    def ask(self, tx: AskOwner) -> str:
        asked = tx.approval
        known = self._known(tx.request)
        if known is not None:
            return known
        replies = {message.request_id for message in tx.messages if message.kind == REPLY}
        if tx.replaces != self.open_question(asked.caller) or replies != self.waiting(tx.replaces):
            return "Stale"
        lately = [
            one for one in self.questions.values()
            if one.asked_at > tx.gate.since and (one.asked_at <= asked.asked_at or one.state == "open")
        ]  # fmt: skip
        of_caller = sum(one.caller == asked.caller and one.state != "approved" for one in lately)
        if of_caller >= tx.gate.of_caller or sum(one.is_known == asked.is_known for one in lately) >= tx.gate.of_all:
            return "rate_limited"
        if asked.caller in self.blocked:
            return "not_permitted"
        refusal = tx.token and self.words.refused(tx.token, _amount(asked), asked.asked_at, tx.replaces)
        if refusal:
            return refusal
        if tx.replaces:
            self._decided(tx.replaces, ApprovalState.SUPERSEDED, tx.messages)
        self._wait(tx.request, asked.approval_id)
        self.questions[asked.approval_id] = asked
        if tx.token:
            self.words.take(tx.token, asked.approval_id)
        return "Claimed"

    def open_question(self, caller: str) -> str:
        """The id of the one open question of a caller, or ""."""
        mine = (name for name, one in self.questions.items() if (one.caller, one.state) == (caller, "open"))
        return next(mine, "")

    def join(self, tx: AwaitApproval) -> str:
        known = self._known(tx.request)
        if known is not None:
            return known
        asked = self.questions.get(tx.approval_id)
        if asked is None or asked.state != "open":
            return "Stale"
        if len(self.waiting(tx.approval_id)) >= MAX_WAITING:
            return "rate_limited"
        self._wait(tx.request, tx.approval_id)
        return "Claimed"

    def decide(self, tx: Decide) -> str:
        asked = self.questions.get(tx.approval_id)
        if asked is None:
            return "unknown_target"
        if asked.state != "open":
            return "AlreadyDecided"
        if asked.version != tx.version:
            return "Stale"
        if tx.state == "approved" and tx.now >= asked.expires_at:
            return "undecided"
        if tx.state == "approved" and asked.caller in self.blocked:
            return "not_permitted"
        before = dict(self.grants), set(self.blocked)
        refusal = self.write(tx.writes) or (tx.claim and self._refusal(tx.claim))
        if refusal:
            self.grants, self.blocked = before
            return refusal
        if tx.claim is not None:
            self._begin(tx.claim)
        self._decided(tx.approval_id, tx.state, tx.messages)
        return "DecisionStored"

    def _decided(self, name: str, state: ApprovalState, messages: tuple[Message, ...]) -> None:
        self.questions[name] = replace(self.questions[name], state=state)
        self.answer(messages)
        if name not in self.payments:
            self.words.free(name)

    # ------------------------------------------------------------ what the owner writes

    def command(self, name: str, at: int, writes: tuple[Write, ...]) -> str:
        """One command of the owner, by a key that is new."""
        if self.is_too_old(at):
            return "stale_request"
        before = dict(self.grants), set(self.blocked), dict(self.offers)
        refusal = self.write(writes)
        if refusal:
            self.grants, self.blocked, self.offers = before
            return refusal
        self.hear(name, at, at)
        return "Claimed"

    def manage(self, tx: ManageOffers) -> str:
        """One request of the app that manages offers."""
        request, known = tx.request, self._known(tx.request)
        if known is not None:
            return known
        grant = self.grants[tx.grant_id]
        if grant.version != tx.grant_version or grant.revoked_at is not None:
            return "Stale"
        before = dict(self.offers)
        refusal = self.write(tx.writes)
        if refusal:
            self.offers = before
            return refusal
        self._wait(request, "")
        self.requests[request.request_id].answered_at = tx.message.signed_at  # kept as long as what was answered is
        return "Claimed"

    def write(self, writes: tuple[Write, ...]) -> str | None:
        for write in writes:
            refusal = None
            match write:
                case SaveGrant():
                    refusal = self._save(write.grant)
                case SaveBlock(caller, block):
                    (self.blocked.add if block else self.blocked.discard)(caller)
                case SaveOffer(offer):
                    refusal = self._save_offer(offer)
                case CheckOffer() | EndOffers():
                    refusal = self._of_apps(write)
                case SaveSession(session):
                    refusal = self.words.mint(session)
                case SaveOffer() | SendAgain() | SaveAccount():
                    pass  # whom a webhook tells is the audit's to compare, and a name moves nothing
                case _:
                    raise NotImplementedError(write)
            if refusal:
                return refusal
        return None

    def _made(self, pointer_id: str, creator: str) -> list[Offer]:
        """What one app has made over a link, "" = any; deleted ones left out."""
        over = [one for one in self.offers.values() if one.creator and one.pointer_id == pointer_id]
        return [one for one in over if creator in {"", one.creator} and one.state is not OfferState.DELETED]

    def _of_apps(self, write: CheckOffer | EndOffers) -> str | None:
        if isinstance(write, CheckOffer):
            return self._check_offer(write)
        for one in filter(lambda one: one.is_standing, self._made(write.pointer_id, write.creator)):
            self.offers[one.offer_id] = replace(one, state=OfferState.DELETED)
        return None

    def _check_offer(self, check: CheckOffer) -> str | None:
        is_over = self.grants[check.pointer_id].revoked_at is not None
        if is_over or self.offers.get(check.offer_id) != check.before:
            return "Stale"
        if check.before is not None:
            return None
        living = len(self._made(check.pointer_id, check.creator))
        deleted = sum(one.creator == check.creator for one in self.offers.values()) - living
        return "over_budget" if living >= check.most or deleted >= check.most_deleted else None

    def _save_offer(self, offer: Offer) -> str | None:
        known = self.offers.get(offer.offer_id)
        if known is not None and offer.state is not known.state and offer.state not in OFFER_STEPS[known.state]:
            return "unknown_target"
        if known is not None and known.state is OfferState.DELETED:
            return "unknown_target"
        self.offers[offer.offer_id] = offer
        return None

    def _save(self, grant: Grant) -> str | None:
        known = self.grants.get(grant.grant_id)
        if known is not None and grant.version != known.version + 1:
            return "Stale"
        there = [one for one in self.grants.values() if one.pointer_id and one.revoked_at is None and one is not known]
        place = (grant.wire, grant.pointer_id, grant.caller)
        is_taken = any((one.wire, one.pointer_id, one.caller) == place for one in there)
        if grant.pointer_id and grant.revoked_at is None and is_taken:
            return "Stale"
        pointer = self.grants.get(grant.pointer_id)
        if grant.revoked_at is None and pointer is not None and pointer.revoked_at is not None:
            return "Stale"
        self.grants[grant.grant_id] = grant
        return None


def _amount(asked: Approval) -> int:
    command = thaw(asked.command)
    return int(command.payment.amount_msat or 0) if isinstance(command, Debit) and command.payment else 0


def _is_payable(made: Made, paid: Paid) -> bool:
    return not made.decision and (made.amount is None or made.amount <= paid.amount)


def _ended(made: Made) -> str | None:
    """The refusal of an invoice that nobody can pay any more, or that is to be cancelled."""
    if made.state == "settled":
        return "invoice_taken"
    return "expired_invoice" if made.state == "canceled" or (made.state == "open" and made.decision) else None


def _may_settle(made: Made, payment_id: str) -> bool:
    if made.is_hold:
        return (made.state, made.held_by, made.decision) == ("accepted", payment_id, "settle")
    return made.state == "open" and not made.decision
