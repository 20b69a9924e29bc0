"""The terms of enrolment."""

from __future__ import annotations

import pytest

from kitestring.base.errors import Reason
from kitestring.policy.enrolling import CLOSED, EnrollTerms, refuse_enrolment


def test_nobody_enrolls_unless_the_owner_has_said_so_whatever_was_mined() -> None:
    assert refuse_enrolment(EnrollTerms(), 256) == CLOSED


@pytest.mark.parametrize(("difficulty", "bits"), [(18, 0), (18, 17), (1, 0)])
def test_less_work_than_is_asked_for_is_refused_with_what_is_asked_for(difficulty: int, bits: int) -> None:
    refused = refuse_enrolment(EnrollTerms("open", difficulty), bits)
    assert refused is not None
    assert (refused.reason, refused.details) == (Reason.INSUFFICIENT_POW, {"required_difficulty": difficulty})


@pytest.mark.parametrize(("difficulty", "bits"), [(18, 18), (18, 24), (0, 0)])
def test_as_much_work_as_is_asked_for_is_enough(difficulty: int, bits: int) -> None:
    assert refuse_enrolment(EnrollTerms("open", difficulty), bits) is None
