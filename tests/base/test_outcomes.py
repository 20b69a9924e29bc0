from __future__ import annotations

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import Refused


def test_a_failure_becomes_a_refusal_that_tells_the_same_and_keeps_private_what_was_private() -> None:
    failure = KitestringError(Reason.UNAVAILABLE, "it is away", private="https://10.0.0.7 refused", retry_after=5)
    assert Refused.of(failure) == Refused(
        Reason.UNAVAILABLE, "it is away", {"retry_after": 5}, "https://10.0.0.7 refused"
    )
    assert "10.0.0.7" not in str(failure)
