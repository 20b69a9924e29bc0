"""A name that was mistyped is met with the one that may be meant."""

import pytest

from kitestring.app.owner.near import MAX_COMPARED, hint


@pytest.mark.parametrize(
    ("typed", "said"), [("shp", "; did you mean 'Shop'?"), ("SHOP", "; did you mean 'Shop'?"), ("zzz", ""), ("", "")]
)
def test_the_nearest_name_is_offered_whatever_its_case(typed: str, said: str) -> None:
    assert hint(typed, ["first wallet", "Shop", "tea"]) == said


def test_only_a_bounded_number_of_names_is_compared() -> None:
    assert hint("shop", (*map(str, range(MAX_COMPARED)), "shop")) == ""
