"""A name that was mistyped is met with the one that may be meant."""

import pytest

from kitestring.app.owner.near import MAX_COMPARED, hint
from kitestring.base.errors import Reason
from tests.kit.app.desk import Office


@pytest.mark.parametrize(
    ("typed", "said"), [("shp", "; did you mean 'Shop'?"), ("SHOP", "; did you mean 'Shop'?"), ("zzz", ""), ("", "")]
)
def test_the_nearest_name_is_offered_whatever_its_case(typed: str, said: str) -> None:
    assert hint(typed, ["first wallet", "Shop", "tea"]) == said


def test_only_a_bounded_number_of_names_is_compared() -> None:
    assert hint("shop", (*map(str, range(MAX_COMPARED)), "shop")) == ""


@pytest.mark.parametrize(
    ("made", "asked", "said"),
    [
        (("connect", {"name": "shop"}), ("revoke", {"name": "shpo"}), "connection 'shpo'; did you mean 'shop'?"),
        (("connect", {"name": "shop"}), ("link", {"name": "else"}), "connection 'else'; see `kitestring connections`"),
        (("offer_create", {"label": "tea"}), ("offer_show", {"offer": "tee"}), "offer 'tee'; did you mean 'tea'?"),
        (("offer_create", {"label": "tea"}), ("offer_off", {"offer": "x"}), "offer 'x'; see `kitestring offer list`"),
        (
            ("offer_create", {"label": "tea"}),
            ("offer_deliveries", {"offer": "tee"}),
            "offer 'tee'; did you mean 'tea'?",
        ),
        (
            ("debit_pointer_create", {"label": "till"}),
            ("debit_pointer_delete", {"pointer": "tll"}),
            "debit pointer 'tll'; did you mean 'till'?",
        ),
        (
            ("manage_link", {"label": "market"}),
            ("manage_unlink", {"link": "markt"}),
            "link 'markt'; did you mean 'market'?",
        ),
        (
            ("manage_link", {"label": "market"}),
            ("manage_revoke", {"grant": "nobody"}),
            "grant to manage offers named 'nobody'; see `kitestring manage grants`",
        ),
        (
            ("debit_pointer_create", {"label": "till"}),
            ("debit_revoke", {"grant": "nobody"}),
            "debit grant 'nobody'; see `kitestring debit grants`",
        ),
    ],
)
async def test_whatever_has_a_name_is_told_in_one_way_where_it_is_not_there(
    office: Office, made: tuple[str, dict[str, object]], asked: tuple[str, dict[str, object]], said: str
) -> None:
    await office.run(made[0], **made[1])
    refused = await office.refused(asked[0], "k2", **asked[1])
    assert (refused.reason, refused.message) == (Reason.UNKNOWN_TARGET, f"there is no {said}")


async def test_a_code_that_is_not_there_is_not_repeated(office: Office) -> None:
    made = await office.run("offer_create", label="tea")
    await office.run("offer_delete", "k2", offer="tea")
    refused = await office.refused("offer_show", offer=made["noffer"])
    assert refused.message == "there is no offer with this code here; see `kitestring offer list`"
