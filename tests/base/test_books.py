"""What the owner may ask of the books."""

from kitestring.base.books import OF_INVOICES, OF_PAYMENTS, BookQuery, BookState


def test_every_state_is_one_of_a_payment_or_of_an_invoice() -> None:
    assert frozenset(BookState) == OF_PAYMENTS | OF_INVOICES
    assert {BookState.PENDING, BookState.SETTLED} == OF_PAYMENTS & OF_INVOICES


def test_only_what_has_settled_is_listed_unless_more_is_asked_for() -> None:
    assert BookQuery().states == {BookState.SETTLED}
