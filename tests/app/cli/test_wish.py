"""What only the payer can decide: it is asked on a terminal, and elsewhere said as the next command."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from kitestring.app.cli import wish as wish_module
from kitestring.app.cli.shell import Shell
from kitestring.app.cli.values import InCurrency
from kitestring.app.cli.wish import Wish, fulfil, in_sats
from kitestring.base.currency import ExchangeRate
from kitestring.base.errors import KitestringError, Reason
from kitestring.client.exchange import ExchangeRates
from tests.kit.clock import NOW
from tests.kit.codec.invoices import invoice

PAID = {"amount_msat": 21_000}
INVOICE = invoice()
PRICE: dict[str, Any] = {"amount_msat": 21_500, "bolt11": INVOICE}
OFFER, LATEST = "noffer1old", "noffer1new"


def unseen(**more: str) -> KitestringError:
    return KitestringError(Reason.AMOUNT_OUT_OF_RANGE, "it costs", **{**PRICE, **more})


def moved() -> KitestringError:
    return KitestringError(Reason.MOVED_OR_EXPIRED_OFFER, "it has moved", code=3, latest=LATEST)


class Payee:
    """Refuses with each of these errors in turn, then is paid."""

    def __init__(self, *errors: KitestringError) -> None:
        self.errors = list(errors)
        self.asked: list[Wish] = []

    def pay(self, wish: Wish) -> dict[str, Any]:
        self.asked.append(wish)
        if self.errors:
            raise self.errors.pop(0)
        return PAID


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wish_module, "person_answers", lambda _: True)


def say(answers: str, wish: Wish, payee: Payee) -> Result:
    """What comes of a wish whose author types ``answers``."""

    @click.command()
    def command() -> None:
        shell = Shell()
        shell.data_dir = "/nowhere"
        assert fulfil(shell, wish, payee.pay) == PAID

    return CliRunner().invoke(command, input=answers, standalone_mode=False)


def refused(wish: Wish, *errors: KitestringError) -> KitestringError:
    shell = Shell()
    shell.data_dir = "/nowhere"
    with pytest.raises(KitestringError) as caught:
        fulfil(shell, wish, Payee(*errors).pay)
    return caught.value


def told(monkeypatch: pytest.MonkeyPatch, look: Callable[[str], ExchangeRate]) -> None:
    async def rate(_: ExchangeRates, currency: str) -> ExchangeRate:
        return look(currency)

    monkeypatch.setattr(ExchangeRates, "rate", rate)


def test_an_amount_in_a_currency_is_paid_at_the_rate_of_now_and_shown_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(monkeypatch, lambda code: ExchangeRate.of_price(code, Fraction(100_000), NOW, ("here",)))
    shell = Shell()
    shell.data_dir = "/nowhere"
    assert in_sats(shell, InCurrency(450, "EUR")) == 4_500
    assert capsys.readouterr().err == "4.50 EUR is 4,500 sat now (1 BTC = 100,000 EUR)\n"
    assert (in_sats(shell, 21), in_sats(shell, None)) == (21, None)


def test_what_was_typed_in_a_currency_is_told_beside_its_sats_so_that_it_can_be_repeated() -> None:
    priced = Wish(OFFER, 4_500, in_currency=InCurrency(450, "EUR")).params()
    assert (priced["amount_msat"], priced["currency"], priced["amount_minor"]) == (4_500_000, "EUR", 450)
    assert "currency" not in Wish(OFFER, 4_500).params()


def test_an_amount_in_a_currency_whose_rate_nobody_knows_is_refused_and_never_guessed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(_: str) -> ExchangeRate:
        raise KitestringError(Reason.UNAVAILABLE, "the sources contradict each other")

    told(monkeypatch, unknown)
    shell = Shell()
    shell.data_dir = "/nowhere"
    with pytest.raises(KitestringError, match="contradict"):
        in_sats(shell, InCurrency(450, "EUR"))


def test_a_wish_is_told_to_the_service_as_far_as_it_is_said() -> None:
    assert Wish(OFFER).params() == {"target": OFFER, "description": ""}
    whole = Wish(OFFER, 21, 30, 0, "tea", {"name": "Bob"}, nip69=True)
    assert whole.params() == {
        "target": OFFER, "description": "tea", "amount_msat": 21_000, "max_amount_msat": 30_000, "max_fee_msat": 0,
        "payer_data": {"name": "Bob"}, "nip69": True,
    }  # fmt: skip


def test_what_is_paid_at_once_asks_nothing() -> None:
    payee = Payee()
    assert fulfil(Shell(), Wish(OFFER), payee.pay) == PAID
    assert payee.asked == [Wish(OFFER)]


def test_without_a_terminal_an_unseen_price_is_not_paid_and_the_sentence_says_what_to_add() -> None:
    error = refused(Wish(OFFER), unseen())
    assert error.message == "this offer costs 21.500 sat now: add --max 22 to pay up to that; nothing was paid"
    assert error.details == PRICE


@pytest.mark.usefixtures("at_a_terminal")
def test_who_agrees_to_a_price_pays_the_very_invoice_that_was_shown() -> None:
    payee = Payee(unseen())
    done = say("y\n", Wish(OFFER, max_fee_sat=3, description="tea", payer_data={"name": "Bob"}), payee)
    assert done.exception is None
    assert "this offer costs 21.500 sat now\nPay it? [y/N]: " in done.stderr
    assert payee.asked[1:] == [Wish(INVOICE, max_fee_sat=3)]


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize("error", [unseen(), moved()], ids=["price", "move"])
@pytest.mark.parametrize("answer", ["n\n", "\n", ""], ids=["no", "nothing", "gone"])
def test_who_does_not_agree_pays_nothing(error: KitestringError, answer: str) -> None:
    payee = Payee(error)
    done = say(answer, Wish(OFFER), payee)
    if answer:
        assert isinstance(done.exception, KitestringError)
        assert done.exception.message == "you did not agree: nothing was paid"
        assert done.exception.reason is Reason.NOT_PERMITTED
    else:
        assert isinstance(done.exception, click.Abort)
    assert payee.asked == [Wish(OFFER)]


def test_the_worth_in_the_currency_of_the_offer_is_shown_beside_the_price(monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, lambda code: ExchangeRate.of_price(code, Fraction(100_000), NOW, ("here",)))
    assert "costs 21.500 sat (about 0.02 EUR) now" in refused(Wish(OFFER), unseen(currency="EUR")).message


@pytest.mark.parametrize("failure", [KitestringError(Reason.UNAVAILABLE, "stale"), TimeoutError()])
def test_a_worth_that_nobody_knows_at_once_is_left_out(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def unknown(_: str) -> ExchangeRate:
        raise failure

    told(monkeypatch, unknown)
    assert "costs 21.500 sat now" in refused(Wish(OFFER), unseen(currency="EUR")).message


def test_without_a_terminal_a_move_to_another_service_is_told_with_what_to_type() -> None:
    error = refused(Wish(OFFER, 21), moved())
    assert error.message.endswith(f"nothing was paid. If you agree to that one: `kitestring pay {LATEST} 21`")
    assert error.reason is Reason.MOVED_OR_EXPIRED_OFFER


@pytest.mark.usefixtures("at_a_terminal")
def test_who_agrees_to_a_move_pays_there_once_and_a_second_one_is_the_end() -> None:
    payee = Payee(moved())
    done = say("y\n", Wish(OFFER, 21, payer_data={"name": "Bob"}), payee)
    assert f"moved to another service:\n{LATEST}\nPay that one, and tell it your name? [y/N]" in done.stderr
    assert payee.asked[1:] == [Wish(LATEST, 21, payer_data={"name": "Bob"})]
    again = Payee(moved(), moved())
    assert isinstance(say("y\ny\n", Wish(OFFER, 21), again).exception, KitestringError)
    assert len(again.asked) == 2


def test_the_options_for_what_an_offer_wants_to_know_are_named_so_that_a_shell_takes_them_for_words() -> None:
    names = ["email", "na me; rm x"]
    error = refused(Wish(OFFER), KitestringError(Reason.MALFORMED, "it wants to know", payer_data=names))
    assert error.message == "it wants to know; add --data 'email=…' --data 'na me; rm x=…'"


def test_the_fee_limit_that_an_error_speaks_of_is_said_as_it_is_typed() -> None:
    short = KitestringError(Reason.INSUFFICIENT_FUNDS, "or a fee limit of 1,204 sat", fee_left_msat=1_204_374)
    assert refused(Wish(INVOICE), short).message == "or a fee limit of 1,204 sat (--max-fee 1204)"
    dear = KitestringError(Reason.FEE_LIMIT, "one was found for 1.5 sat", route_fee_msat=1_500)
    assert refused(Wish(INVOICE), dear).message == "one was found for 1.5 sat (--max-fee 2)"


@pytest.mark.usefixtures("at_a_terminal")
def test_the_key_of_an_open_payment_is_said_with_the_invoice_for_which_it_stands() -> None:
    lost = KitestringError(Reason.PAYMENT_IN_FLIGHT, "repeat it with --idempotency-key k", idempotency_key="k")
    done = say("y\n", Wish(OFFER), Payee(unseen(), lost))
    assert isinstance(done.exception, KitestringError)
    assert done.exception.message == f"repeat it with --idempotency-key k for this target: {INVOICE}"


def test_nobody_answers_where_there_is_no_terminal_or_a_program_reads() -> None:
    shell = Shell()
    assert not wish_module.person_answers(shell)
    shell.as_json = True
    assert not wish_module.person_answers(shell)
