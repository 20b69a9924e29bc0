"""Questions to the owner, words that are good once, blocked keys, and what is taken with them; alone and at once."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from kitestring.base.approvals import Approval, ApprovalKind, ApprovalState, Block, DebitSession, PromptGate, Token
from kitestring.base.commands import Debit, PayInvoice, freeze
from kitestring.base.destinations import Bolt11
from kitestring.base.grants import Grant
from kitestring.base.money import Msat
from kitestring.base.payments import Failed, Settled
from kitestring.base.records import BUNDLE, Message
from kitestring.base.shares import ANY, Share
from kitestring.base.transactions.answers import DecisionStored, Denied, Tx
from kitestring.base.transactions.approvals import AskOwner, AwaitApproval, Decide
from kitestring.base.transactions.owner import Execute, SaveBlock, SaveGrant, SaveSession, Write
from kitestring.base.transactions.payments import ClaimBundle, ClaimPayment, EndBundle, RecordPayment
from kitestring.base.transactions.requests import Answer
from kitestring.policy.budget import charges
from tests.kit.changed import replace
from tests.kit.ledger.values import claim, hash_of, payment, preimage_of, reply
from tests.prove.editing import CAREFUL, Editing
from tests.prove.ground import HASHES, MORE_HASHES, NUMBERED, POINTER, agree, word
from tests.prove.rows import OPEN

CALLERS = tuple(f"{number:02x}" * 32 for number in (1, 2, 3))
CALLER = st.sampled_from(CALLERS)
ASKED = st.integers(0, 40)
#: Few, so that the same is asked for again.
DUE = st.sampled_from([1_000, 1_000, 1_000, 6_000])
BILLS = st.sampled_from(HASHES + MORE_HASHES)
CAP = st.integers(0, 50)
#: All may use all of it, small shares of little, and the owner's.
SHARES = st.sampled_from([ANY, ANY, Share(5, 2), Share(4, 4), Share(3)])
WORDS = st.sampled_from(["c1" * 32, "c2" * 32, "c3" * 32])
TOKENS = st.none() | st.builds(Token, st.just(POINTER), WORDS, st.booleans())
#: Of one caller, of all: open wide, soon closed, closed.
GATES = st.sampled_from([(99, 99), (99, 99), (99, 99), (2, 99), (99, 3), (0, 0)])
VERDICTS = st.sampled_from(["as asked", "as asked", "as asked", "budget", "budget", "deny", "block", "expire"])
#: To whom of all that wait a message is said with what ends their waiting; the others are told later.
TOLD = st.sampled_from(["all", "all", "some", "none"])


class Asking(Editing):
    """Whatever a public key may ask by the pointer, and whatever its owner may say. ``words`` counts the answers."""

    words: ClassVar[Counter[tuple[str, str]]] = Counter()

    @initialize()
    def begin_to_ask(self) -> None:
        #: What each question is about: a hash and an amount, or nothing that is paid at once.
        self.wanted: dict[str, tuple[str, int] | None] = {}

    # ------------------------------------------------------------ what may be done, as values

    def _an_ask(self, data: st.DataObject) -> Tx[object]:
        caller, name, amount = data.draw(CALLER), data.draw(BILLS), data.draw(DUE)
        is_payment, careful = data.draw(st.sampled_from([True, True, True, False])), data.draw(CAREFUL)
        wanted = PayInvoice(destination=Bolt11(f"lnbcrt-{name}"), payment_hash=hash_of(name), amount_msat=Msat(amount))
        command = freeze(Debit(pointer_id=POINTER, payment=wanted if is_payment else None))
        asked = self.asks(f"ask-{data.draw(ASKED)}", wire="debits", grant_id="")
        open_now = self.model.open_question(caller)
        is_same = bool(open_now) and (data.draw(st.booleans()) or self.model.questions[open_now].command == command)
        if is_same and careful:
            return AwaitApproval(asked, open_now)
        replaces = open_now if careful else data.draw(st.sampled_from(["", "pay-0"]))
        of_caller, of_all = data.draw(GATES)
        made = Approval(
            approval_id=f"pay-{self.number()}", kind=ApprovalKind.PAYMENT if is_payment else ApprovalKind.BUDGET,
            wire="debits", caller=caller, target=POINTER, command=command, asked_at=self.now,
            expires_at=self.now + 600, is_known=data.draw(st.booleans()),
        )  # fmt: skip
        told = self._replies(replaces) if data.draw(CAREFUL) else ()
        gate = PromptGate(self.now - 600, of_caller, of_all)
        self.wanted[made.approval_id] = (name, amount) if is_payment else None
        return AskOwner(asked, made, gate, replaces, told, self._a_word(data))

    def _a_join(self, data: st.DataObject) -> Tx[object]:
        """A request comes to wait for a question that may have ended meanwhile."""
        asked = self.asks(f"ask-{data.draw(ASKED)}", wire="debits", grant_id="")
        return AwaitApproval(asked, self._any_question(data))

    def _a_decision(self, data: st.DataObject, approval_id: str = "") -> Tx[object]:
        """About any question, or the one that is named."""
        approval_id, verdict = approval_id or self._any_question(data), data.draw(VERDICTS)
        asked = self.model.questions.get(approval_id)
        version = asked.version if asked is not None and data.draw(CAREFUL) else 2
        caller = asked.caller if asked is not None else CALLERS[0]
        writes: tuple[Write, ...] = ()
        grant, paying = self.model.grants[POINTER], None
        state = ApprovalState.APPROVED
        if verdict == "budget":
            grant = self._grant_for(caller, data)
            writes = (SaveGrant(grant),)
        if verdict == "block":
            writes = (SaveBlock(caller, Block(caller, self.now)),)
        if verdict in ("deny", "block"):
            state = ApprovalState.DENIED
        elif verdict == "expire":
            state = ApprovalState.EXPIRED
        elif (wanted := self.wanted.get(approval_id)) is not None:
            held = next((key[1] for key, one in self.model.words.items() if one.holder == approval_id), None)
            token = Token(POINTER, held) if held is not None else self._a_word(data)
            waiting = sorted(self.model.waiting(approval_id)) or ["ask-0"]
            paying = self._claims(data, waiting[0], approval_id, *wanted, grant, caller, token)
        messages = () if paying is not None else self._told(data, approval_id)
        return Decide(approval_id, version, state, self.now, "owner", "", verdict, writes, paying, messages)

    def _a_debit(self, data: st.DataObject) -> Tx[object]:
        """A key takes what it may take without asking."""
        caller, name, amount = data.draw(CALLER), data.draw(BILLS), data.draw(DUE)
        if data.draw(st.booleans()):  # what it has asked for, as soon as it has a budget
            wanted = self.wanted.get(self.model.open_question(caller))
            name, amount = wanted or (name, amount)
        mine = [one for one in self.model.grants.values() if one.caller == caller]
        grant = mine[-1] if data.draw(CAREFUL) and mine else self.model.grants[POINTER]
        return self._claims(
            data, f"ask-{data.draw(ASKED)}", f"pay-{self.number()}", name, amount, grant, caller, self._a_word(data)
        )

    def _a_failure(self, data: st.DataObject) -> Tx[object]:
        """A payment fails, or is found to be over already."""
        payment_id = data.draw(st.sampled_from(sorted(self.model.payments) or ["pay-0"]))
        return RecordPayment(payment_id, Failed("proof"), self.now, self._told(data, payment_id))

    def _claims(
        self, data: st.DataObject, asked: str, new: str, name: str, amount: int, grant: Grant, caller: str,
        token: Token | None,
    ) -> ClaimPayment:  # fmt: skip
        made = self.model.made(self.there, name)
        ours = (made is not None and made.state == "open") == data.draw(CAREFUL)
        cap = 0 if ours else data.draw(CAP)
        paid = payment(
            name, amount, cap, payment_id=new, account_id=grant.account_id, grant_id=grant.grant_id,
            created_at=self.now, internal=ours, requestor=caller, node_id=self.there,
            service_fee_msat=self.tax(grant, ours),
        )  # fmt: skip
        charged = charges(grant, paid.reserved_msat, self.now, self.zone)
        tx = claim(name, paid, *charged, asked=self.asks(asked, wire="debits", grant_id=grant.grant_id))
        consume = () if token is None else (token,)
        return replace(tx, grant_version=grant.version, share=data.draw(SHARES), consume=consume)

    def _grant_for(self, caller: str, data: st.DataObject) -> Grant:
        """A new grant of this key, or what becomes of the one that it has."""
        budgets, careful = data.draw(NUMBERED), data.draw(CAREFUL)
        mine = [one for one in self.model.grants.values() if one.caller == caller and one.revoked_at is None]
        if mine and careful:
            return replace(mine[0], budgets=budgets, version=mine[0].version + 1)
        return Grant(
            grant_id=f"kid-{self.number()}", name="kid", wire="debits", caller=caller, pointer_id=POINTER,
            account_id="alice", budgets=budgets,
        )  # fmt: skip

    def _a_word(self, data: st.DataObject) -> Token | None:
        """Any or none, often one that is known here."""
        known = sorted(self.model.words)
        if data.draw(st.booleans()) and known:
            scope, value = data.draw(st.sampled_from(known))
            return Token(scope, value, self.model.words[scope, value].good is not None)
        return data.draw(TOKENS)

    def _any_question(self, data: st.DataObject) -> str:
        """Mostly one that is open."""
        questions = self.model.questions
        still = [name for name, one in questions.items() if one.state == "open"]
        which = still if data.draw(CAREFUL) and still else [*questions, "pay-0"]
        return data.draw(st.sampled_from(sorted(which)))

    def _told(self, data: st.DataObject, whom: str) -> tuple[Message, ...]:
        messages = self._replies(whom)
        return {"all": messages, "some": messages[:1], "none": ()}[data.draw(TOLD)]

    def _replies(self, whom: str) -> tuple[Message, ...]:
        return tuple(reply(name, signed_at=self.now) for name in sorted(self.model.waiting(whom)))

    # ------------------------------------------------------------ doing it

    def play(self, *transactions: Tx[object]) -> list[str]:
        """Apply them in one commit; the model says what each must answer, one after the other. Gives the answers."""
        words = []
        for tx, answer in zip(transactions, self.apply_at_once(*transactions), strict=True):
            words.append(word(answer))
            agree(words[-1], self.said(tx), tx)
            Asking.words[type(tx).__name__, words[-1]] += 1
            if isinstance(answer, Denied) and answer.reason.value == "over_budget":
                assert answer.budget_id == self.model.tightest
            if isinstance(tx, Decide) and isinstance(answer, DecisionStored):
                left = self.model.waiting(tx.approval_id) if tx.claim is None else set()
                assert {one.request_id for one in answer.unanswered} == left
        return words

    def said(self, tx: Tx[object]) -> str:
        """What the model answers."""
        match tx:
            case ClaimPayment():
                return self.model.claim(tx)
            case AskOwner():
                return self.model.ask(tx)
            case AwaitApproval():
                return self.model.join(tx)
            case Decide():
                return self.model.decide(tx)
            case ClaimBundle():
                return self.model.claim_bundle(tx)
            case EndBundle():
                return self.model.end_bundle(tx)
            case Answer():
                return self.model.finish(tx)
            case Execute():
                return self.model.command(tx.request.request_id, tx.request.sent_at, tx.writes)
            case RecordPayment(payment_id, outcome):
                state = "settled" if isinstance(outcome, Settled) else "failed"
                return self.model.end(payment_id, state, 0, tx.messages)
        raise NotImplementedError(tx)

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        self.play(self._an_ask(data))

    @rule(data=st.data(), seconds=st.sampled_from([0, 30, 30, 700]))
    def ask_and_decide(self, data: st.DataObject, seconds: int) -> None:
        self.play(self._an_ask(data))
        self.now += seconds
        asked = f"pay-{self.count}"
        if asked in self.model.questions:
            self.play(self._a_decision(data, asked))

    @precondition(lambda self: any(one.state == "open" for one in self.model.questions.values()))
    @rule(data=st.data(), end=st.sampled_from([None, Settled, Failed]), is_same=st.booleans())
    def decide_what_was_taken_meanwhile(
        self, data: st.DataObject, end: type[Settled | Failed] | None, is_same: bool
    ) -> None:
        """The hash that somebody was asked about is held by then, or paid, or free again."""
        still = [name for name, one in self.model.questions.items() if one.state == "open" and self.wanted.get(name)]
        if not still:
            return
        approval_id, new = data.draw(st.sampled_from(still)), f"pay-{self.number()}"
        name, amount = self.wanted[approval_id] or ("", 0)
        caller = self.model.questions[approval_id].caller if is_same else data.draw(CALLER)
        till = self.model.grants[POINTER]
        taking = self._claims(data, f"ask-{data.draw(ASKED)}", new, name, amount, till, caller, None)
        self.play(taking)
        if end is not None and new in self.model.payments:
            outcome = Failed("proof") if end is Failed else Settled(preimage_of(name), Msat(0))
            self.play(RecordPayment(new, outcome, self.now, self._told(data, new)))
        self.play(self._a_decision(data, approval_id))

    @precondition(lambda self: self.model.questions)
    @rule(data=st.data())
    def join(self, data: st.DataObject) -> None:
        self.play(self._a_join(data))

    @precondition(lambda self: self.model.questions)
    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        self.play(self._a_decision(data))

    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        self.play(self._a_debit(data))

    @rule(data=st.data(), number=st.integers(2, 4))
    def at_once(self, data: st.DataObject, number: int) -> None:
        """What several tasks have decided before any of them is in the ledger."""
        kinds = [self._an_ask, self._a_debit, self._an_edit]
        if self.model.questions:
            kinds += [self._a_join, self._a_decision, self._a_decision]
        if self.model.payments:
            kinds.append(self._a_failure)
        self.play(*(data.draw(st.sampled_from(kinds))(data) for _ in range(number)))

    @rule(data=st.data(), value=WORDS, seconds=st.sampled_from([0, 90_000]))
    def mint_and_take(self, data: st.DataObject, value: str, seconds: int) -> None:
        """A session of ours is paid with, ends, and may be forgotten, or not."""
        self.mint(value, 0, 9_000, 7_200)
        till, caller = self.model.grants[POINTER], data.draw(CALLER)
        bill, asked, new = data.draw(BILLS), f"ask-{data.draw(ASKED)}", f"pay-{self.number()}"
        self.play(self._claims(data, asked, new, bill, 1_000, till, caller, Token(POINTER, value, minted=True)))
        self.now += seconds
        self.fund("bob", 1)  # something new, so that what is old is known to be old
        self.prune(3_600 if seconds else 500 * 86_400)

    @rule(caller=CALLER, blocked=st.booleans())
    def block(self, caller: str, blocked: bool) -> None:
        self.command(SaveBlock(caller, Block(caller, self.now) if blocked else None))

    @rule(value=WORDS, least=st.integers(0, 2_000), most=st.integers(5_000, 9_000), life_s=st.sampled_from([60, 7_200]))
    def mint(self, value: str, least: int, most: int, life_s: int) -> None:
        self.command(SaveSession(DebitSession(POINTER, value, Msat(least), Msat(most), self.now + life_s, self.now)))

    def _kids(self) -> list[str]:
        """The grants of keys at pointers."""
        living = {name: one for name, one in self.model.grants.items() if one.revoked_at is None}
        return sorted(name for name, one in living.items() if one.caller and one.pointer_id)

    @precondition(lambda self: self._kids())
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        kids = self._kids()
        grant = self.model.grants[data.draw(st.sampled_from(kids))]
        self.command(SaveGrant(replace(grant, revoked_at=self.now, version=grant.version + 1)))

    @precondition(lambda self: self.model.left())
    @rule()
    def answer_what_is_left(self) -> None:
        """As every start does after a crash."""
        for waiting in self.runner.run(self.store.running_requests()):
            if waiting.request_id in self.model.left():
                message = (reply(waiting.request_id, signed_at=self.now),)
                assert word(self.apply(Answer(waiting, message, self.now))) == "Done"
                self.model.answer(message)

    # ------------------------------------------------------------ after each step

    @invariant()
    def who_waits_waits_for_something(self) -> None:
        if hasattr(self, "model"):
            self.runner.run(self._compare_questions())

    async def _compare_questions(self) -> None:
        model, store = self.model, self.store
        running = {one.request_id: one.payment_id for one in await store.running_requests()}
        assert running == {name: one.waits for name, one in model.requests.items() if one.answered_at is None}
        over = {*model.left(), *(name for name, whom in running.items() if self._is_open(whom))}
        assert over >= running.keys(), "a request waits for what will never end"
        for ended in (False, True):
            found = {one.approval_id: one.state for one in await store.approvals(limit=10_000, ended=ended)}
            assert found == {name: one.state for name, one in model.questions.items() if (one.state != "open") == ended}
        assert {one.caller for one in await store.blocks()} == model.blocked
        kept = self.store._connection.execute("SELECT scope, value, holder FROM tokens").fetchall()
        assert {(scope, value): holder for scope, value, holder in kept} == {
            key: one.holder for key, one in model.words.items()
        }
        for payment_id in model.payments.keys() & model.questions.keys():
            assert model.questions[payment_id].state == "approved"

    def _is_open(self, whom: str) -> bool:
        if whom == BUNDLE:
            return True
        if any(made.id == whom and made.waits and made.decision for made in self.model.invoices.values()):
            return True
        paid, asked = self.model.payments.get(whom), self.model.questions.get(whom)
        return paid.state in (*OPEN, "resolved") if paid else asked is not None and asked.state == "open"

    @invariant()
    def every_question_can_be_ended(self) -> None:
        if not hasattr(self, "model"):
            return
        for approval_id, asked in self.model.questions.items():
            if asked.state == "open":
                for state in (ApprovalState.DENIED, ApprovalState.EXPIRED):
                    ended = Decide(approval_id, asked.version, state, self.now, messages=self._replies(approval_id))
                    assert self.try_out(ended) == DecisionStored()
