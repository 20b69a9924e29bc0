"""Offers that apps manage: an app sees and changes only what it has made, by the owner's leave.

What changes an offer is claimed by the id of its request and answered in the same commit. The id of a new offer follows
from that request, or from the question to the owner: however often it comes, there is one offer. Who only looks is
answered anew each time, and nothing is stored of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, assert_never

import msgspec

from kitestring.base.approvals import Approval, ApprovalKind, ApprovalState, OwnersWord, Ruling
from kitestring.base.commands import (
    DEBITS_WIRE,
    MANAGE_WIRE,
    CreateOffer,
    Deed,
    DeleteOffer,
    GetOffer,
    ListOffers,
    ManageOffer,
    UpdateOffer,
    offer_id_in,
    thaw,
)
from kitestring.base.enrolments import account_id_of, enrolled_key
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Account, Grant, Offer
from kitestring.base.outcomes import OfferGone, OffersListed, OfferTold, Outcome, Refused
from kitestring.base.store import OffersOf
from kitestring.base.transactions.answers import Claimed, Denied, Finished, Running, Stale
from kitestring.base.transactions.owner import CheckOffer, ManageOffers, SaveGrant, SaveOffer, Write
from kitestring.engine.answers import Answers, new_request, unclaimed_request
from kitestring.engine.approvals import Approvals
from kitestring.engine.context import MAX_STALE_ROUNDS, Context, Incoming
from kitestring.engine.forgotten import may_have_paid
from kitestring.engine.grants import Grants
from kitestring.policy.debits import refuse_pointer
from kitestring.policy.managing import (
    ALL_OWN_CHANGES,
    CHANGES,
    FULL,
    MAX_DELETED,
    MAX_OFFERS,
    MAX_OWN_DELETED,
    MAX_OWN_OFFERS,
    NO_SUCH_OFFER,
    OWN_CHANGES,
    OWN_FULL,
    Allowed,
    AskOwnerToManage,
    changed_offer,
    decide_managing,
    ended_offer,
    managing_grant,
    new_offer,
)
from kitestring.policy.rate_limits import Limiter, take_all

_BLOCKED: Final = Refused(Reason.NOT_PERMITTED)
_FOREIGN: Final = Refused(Reason.NOT_PERMITTED)
_WAITS: Final = Refused(Reason.BUSY, "another request of this key waits for the owner: ask again when that is decided")
_NO_CURSOR: Final = Refused(Reason.MALFORMED, "before names no offer of yours")

#: The writes of a deed, and its answer; without writes nothing is claimed.
Plan = tuple[tuple[Write, ...], Outcome]


class Around(msgspec.Struct, frozen=True):
    """The rows that a deed is about, as far as they are there and the caller may see them."""

    pointer: Grant | None
    offer: Offer | None


class OfferManaging:
    """Carries out what apps ask for about offers; and the case of these questions to the owner."""

    def __init__(self, context: Context, answers: Answers, grants: Grants, approvals: Approvals) -> None:
        self._context = context
        self._answers = answers
        self._grants = grants
        self._approvals = approvals
        self._changes: Final = Limiter(CHANGES)
        self._own_changes: Final = Limiter(OWN_CHANGES)
        self._all_own_changes: Final = Limiter(ALL_OWN_CHANGES)
        self._plans: dict[type, Callable[[str, Any, Around, str], Awaitable[Plan | Refused]]] = {
            CreateOffer: self._plan_new,
            UpdateOffer: self._plan_change,
            GetOffer: self._plan_look,
            ListOffers: self._plan_list,
            DeleteOffer: self._plan_end,
        }

    async def handle(self, incoming: Incoming, command: ManageOffer) -> Refused | None:
        """Do it, ask the owner, or refuse; returns when that is durable. The refusal of a stranger, and of who only
        looks, is returned, and told by whoever asks."""
        for _ in range(MAX_STALE_ROUNDS):
            answer = await self._decide(incoming, command)
            if not isinstance(answer, Stale):
                break
            await self._grants.reload(command.pointer_id)
        else:
            answer = Refused(Reason.BUSY, "this offer is being changed all the time; try again")
        return None if answer is None else await self._refuse(incoming, command, answer)

    # ------------------------------------------------------------ decide

    async def _decide(self, incoming: Incoming, command: ManageOffer) -> Refused | Stale | None:
        if await self._context.store.is_blocked(incoming.author):
            return _BLOCKED
        deed = command.deed
        if isinstance(deed, ListOffers) and not command.pointer_id:
            return await self._list_all(incoming, deed)
        offer = None
        if offer_id_in(deed):
            offer = await self._own(incoming.author, offer_id_in(deed), command.pointer_id)
            if offer is None:
                return await self._absent(incoming, deed)
            command = msgspec.structs.replace(command, pointer_id=offer.pointer_id or command.pointer_id)
        pointer = await self._grants.get(command.pointer_id) if command.pointer_id else None
        grant = await self._grants.at(MANAGE_WIRE, incoming.author, command.pointer_id)
        account_id = offer.account_id if offer is not None else "" if pointer is None else pointer.account_id
        is_living = pointer is None or (pointer.revoked_at is None and not pointer.caller)
        owns = is_living and await self._owns(incoming.author, account_id)
        verdict = decide_managing(pointer, grant, owns=owns, now=self._context.clock.now())
        if isinstance(verdict, Refused):
            return verdict
        if isinstance(verdict, AskOwnerToManage):
            return await self._ask(incoming, command)
        return await self._carry_out(incoming, command, verdict, Around(pointer, offer))

    async def _ask(self, incoming: Incoming, command: ManageOffer) -> Refused | None:
        """Ask the owner. A look takes the place of no question about a change: who looks whether its offer was made
        would keep it from being made."""
        if isinstance(command.deed, GetOffer | ListOffers):
            before = await self._context.store.open_approval(MANAGE_WIRE, command.pointer_id, incoming.author)
            if before is not None and not isinstance(_command(before).deed, GetOffer | ListOffers):
                return _WAITS
        known = bool(incoming.known)
        return await self._approvals.ask(incoming, command, ApprovalKind.MANAGE, None, has_grant=known)

    async def _own(self, author: str, offer_id: str, pointer_id: str) -> Offer | None:
        """The offer, if it is there and the caller may see it."""
        offer = await self._context.store.offer(offer_id) if offer_id else None
        if offer is None or not offer.is_standing:
            return None
        is_own = offer.creator == author and pointer_id in {"", offer.pointer_id}
        return offer if is_own or await self._owns(author, offer.account_id) else None

    async def _owns(self, author: str, account_id: str) -> bool:
        """Whether the caller has enrolled for this account, and the owner has not ended that since."""
        account: Account | None = await self._context.store.account(account_id) if account_id else None
        if account is None or enrolled_key(account) != author:
            return False
        living = await self._context.store.grants_of(DEBITS_WIRE, author)
        return any(grant.account_id == account_id for grant in living)

    async def _absent(self, incoming: Incoming, deed: Deed) -> Refused | None:
        """Answer about an offer that is not there, or not the caller's: what is gone may be deleted again by who has a
        grant here, and nobody else is told what there is. What the owner has let forward is gone for its app: it sells
        nothing there any more, and where it leads is the owner's."""
        if not isinstance(deed, DeleteOffer):
            return NO_SUCH_OFFER
        found = await self._context.store.offer(deed.offer_id)
        was_own = found is not None and found.creator == incoming.author and not found.is_standing
        if not was_own and (found is not None or not incoming.known):
            return _FOREIGN
        await self._confirm(incoming, OfferGone())
        return None

    # ------------------------------------------------------------ carry out

    async def _carry_out(
        self, incoming: Incoming, command: ManageOffer, by: Allowed, at: Around
    ) -> Refused | Stale | None:
        plan = await self._plan(incoming.author, command, at, incoming.request_id)
        if isinstance(plan, Refused):
            return plan
        writes, outcome = plan
        if not writes:
            if isinstance(command.deed, GetOffer | ListOffers):
                self._tell(incoming, outcome)
            else:
                await self._confirm(incoming, outcome)
            return None
        limited = self._limit(incoming.author, by)
        if limited is not None:
            return limited
        now = self._context.clock.now()
        grant_id = "" if by.grant is None else by.grant.grant_id
        request = msgspec.structs.replace(new_request(incoming, now), grant_id=grant_id, command=b"")
        (reply,) = self._answers.replies((request,), (outcome,))
        version = 0 if by.grant is None else by.grant.version
        answer = await self._context.store.apply(
            ManageOffers(request, incoming.author, grant_id, version, writes, reply)
        )
        match answer:
            case Claimed() | Running():
                return None
            case Finished():
                self._context.deliver(answer.messages)
                return None
            case Stale():
                return answer
            case Denied():
                full = OWN_FULL if by.grant is None else FULL
                return full if answer.reason is Reason.OVER_BUDGET else Refused(answer.reason)
            case _:
                assert_never(answer)

    def _limit(self, author: str, by: Allowed) -> Refused | None:
        """The refusal of one change too many: the answer to each is kept."""
        buckets = [(self._changes, author)]
        if by.grant is None:
            buckets = [(self._own_changes, author), (self._all_own_changes, "")]
        wait_ms = take_all(buckets, int(self._context.clock.monotonic() * 1_000))
        if not wait_ms:
            return None
        details = {"retry_after": self._context.clock.now() - (-wait_ms // 1_000)}
        return Refused(Reason.RATE_LIMITED, "this key has changed too many offers lately", details)

    async def _plan(self, author: str, command: ManageOffer, at: Around, name: str) -> Plan | Refused:
        """The writes, and the answer. ``name`` is what the id of a new offer follows from."""
        return await self._plans[type(command.deed)](author, command.deed, at, name)

    async def _plan_new(self, author: str, deed: CreateOffer, at: Around, name: str) -> Plan | Refused:
        if at.pointer is None:
            return Refused(Reason.UNKNOWN_TARGET, "there is no such pointer")
        offer_id, now = self._context.offer_id_of(name), self._context.clock.now()
        made = new_offer(at.pointer, author, offer_id, deed.fields, now)
        before = await self._context.store.offer(offer_id)
        # Of an earlier life it may be there already.
        if before is not None:
            return (), self._told(before)
        is_own = at.pointer.wire != MANAGE_WIRE
        return _written(None, made, is_own=is_own), self._told(made)

    async def _plan_look(self, _author: str, _deed: GetOffer, at: Around, _name: str) -> Plan | Refused:
        return NO_SUCH_OFFER if at.offer is None else ((), self._told(at.offer))

    async def _plan_change(self, _author: str, deed: UpdateOffer, at: Around, _name: str) -> Plan | Refused:
        if at.offer is None:
            return NO_SUCH_OFFER
        after = changed_offer(at.offer, deed.fields)
        return () if after == at.offer else _written(at.offer, after), self._told(after)

    async def _plan_end(self, _author: str, _deed: DeleteOffer, at: Around, _name: str) -> Plan | Refused:
        if at.offer is None:
            return NO_SUCH_OFFER
        ended = ended_offer(at.offer)
        return ended if isinstance(ended, Refused) else (_written(at.offer, ended), OfferGone())

    async def _plan_list(self, author: str, deed: ListOffers, at: Around, _name: str) -> Plan | Refused:
        """Of the caller's own offers over the link; of all those of the account to the key that it belongs to."""
        if at.pointer is None:
            return Refused(Reason.UNKNOWN_TARGET, "there is no such pointer")
        maker = OffersOf(at.pointer.grant_id, author)
        if await self._owns(author, at.pointer.account_id):
            maker = OffersOf(account_id=at.pointer.account_id)
        listed = await self._page([maker], deed, author)
        return listed if isinstance(listed, Refused) else ((), listed)

    def _told(self, offer: Offer) -> OfferTold:
        return OfferTold(self._context.enrolling.service_pubkey, offer)

    # ------------------------------------------------------------ lists

    async def _list_all(self, incoming: Incoming, deed: ListOffers) -> Refused | None:
        """All offers of the caller's own account, and those that it has made over the links at which it has a grant."""
        now = self._context.clock.now()
        own = account_id_of(incoming.author)
        makers = [OffersOf(account_id=own)] if await self._owns(incoming.author, own) else []
        makers += [
            OffersOf(grant.pointer_id, incoming.author)
            for grant in await self._context.store.grants_of(MANAGE_WIRE, incoming.author)
            if not (makers and grant.account_id == own)  # they stand there already
            and isinstance(
                decide_managing(await self._grants.get(grant.pointer_id), grant, owns=False, now=now), Allowed
            )
        ]
        if not makers:
            return Refused(Reason.NOT_PERMITTED, "the owner has not allowed this key to manage offers")
        listed = await self._page(makers, deed, incoming.author)
        if isinstance(listed, Refused):
            return listed
        self._tell(incoming, listed)
        return None

    async def _page(self, makers: list[OffersOf], deed: ListOffers, author: str) -> OffersListed | Refused:
        store, before = self._context.store, None
        if deed.before:
            before = await store.offer(deed.before)
            if before is None or not (before.creator == author or await self._owns(author, before.account_id)):
                return _NO_CURSOR
        offers = [
            offer for maker in makers for offer in await store.offers_of(maker, before=before, limit=deed.limit + 1)
        ]
        offers.sort(key=lambda offer: (offer.created_at, offer.offer_id), reverse=True)
        is_more = len(offers) > deed.limit
        return OffersListed(self._context.enrolling.service_pubkey, tuple(offers[: deed.limit]), is_more)

    # ------------------------------------------------------------ answer

    def _tell(self, incoming: Incoming, outcome: Outcome) -> None:
        """Say it and store nothing: who asks anew is answered anew."""
        request = unclaimed_request(incoming, self._context.clock.now())
        self._context.deliver(self._answers.replies((request,), (outcome,)))

    async def _confirm(self, incoming: Incoming, outcome: Outcome) -> None:
        """Say that everything is so already; kept for a known key, as its other answers are."""
        if incoming.known:
            await self._answers.confirm(incoming, outcome, incoming.known)
        else:
            self._tell(incoming, outcome)

    async def _refuse(self, incoming: Incoming, command: ManageOffer, refused: Refused) -> Refused | None:
        """Refuse it, without a word where an earlier life may have said yes."""
        is_silent = await may_have_paid(self._context, incoming)
        if not incoming.known or isinstance(command.deed, GetOffer | ListOffers):
            return None if is_silent else refused
        named = msgspec.structs.replace(incoming, grant_id=incoming.known)
        if is_silent:
            await self._answers.pass_over(named)
        else:
            await self._answers.refuse(named, refused)
        return None

    # ------------------------------------------------------------ the owner's yes

    def target(self, _incoming: Incoming, asked: ManageOffer) -> str:
        return asked.pointer_id

    def ends(self, _asked: ManageOffer) -> int | None:
        return None

    async def approve(self, asked: Approval, word: OwnersWord) -> Approval:
        """Do what was asked for, and (always) let this app do more of it without asking."""
        if word.verdict is Ruling.BUDGET:
            raise KitestringError(Reason.MALFORMED, "this asks to manage offers, and takes no money: once or always")
        command, now = _command(asked), self._context.clock.now()
        pointer = await self._grants.reload(asked.target)
        if pointer is None or refuse_pointer(pointer, now, MANAGE_WIRE) is not None:
            raise KitestringError(Reason.UNKNOWN_TARGET, "the link that this was asked by is gone")
        offer = await self._own(asked.caller, offer_id_in(command.deed), "")
        plan = await self._plan(asked.caller, command, Around(pointer, offer), asked.approval_id)
        if isinstance(plan, Refused):
            raise KitestringError(Reason.UNKNOWN_TARGET, f"this cannot be done any more: {plan.message}")
        writes, outcome = plan
        before = await self._grants.at(MANAGE_WIRE, asked.caller, asked.target)
        if word.verdict is Ruling.ALWAYS and before is None:
            writes = (SaveGrant(managing_grant(pointer, asked.caller, self._context.new_id(now), now)), *writes)
        try:
            return await self._approvals.end(asked, ApprovalState.APPROVED, outcome, word, writes)
        except KitestringError as failure:
            if failure.reason is Reason.OVER_BUDGET:
                raise KitestringError(FULL.reason, FULL.message, **FULL.details) from failure
            raise

    async def told(self, asked: Approval) -> Outcome:
        """The end of what was asked for, as it stands now."""
        deed = _command(asked).deed
        if isinstance(deed, ListOffers):
            return await self._page([OffersOf(asked.target, asked.caller)], deed, asked.caller)
        if isinstance(deed, DeleteOffer):
            return OfferGone()
        made = self._context.offer_id_of(asked.approval_id)
        offer = await self._own(asked.caller, offer_id_in(deed) or made, "")
        return NO_SUCH_OFFER if offer is None else self._told(offer)


def _written(before: Offer | None, after: Offer, *, is_own: bool = False) -> tuple[Write, ...]:
    """Write an offer, if it is still as it was seen; a new one, if there is room, which is less over the pointer of an
    account of its maker's own."""
    most, most_deleted = (MAX_OWN_OFFERS, MAX_OWN_DELETED) if is_own else (MAX_OFFERS, MAX_DELETED)
    check = CheckOffer(after.offer_id, before, after.pointer_id, after.creator, most, most_deleted)
    return (check, SaveOffer(after))


def _command(asked: Approval) -> ManageOffer:
    command = thaw(asked.command)
    assert isinstance(command, ManageOffer)  # noqa: S101 - this is their case
    return command
