from __future__ import annotations

from kitestring.relay.vouched import VouchedKeys


def test_the_owner_vouches_for_his_own_keys_and_those_of_his_callers_as_they_are_now() -> None:
    own: set[str] = set()
    vouched = VouchedKeys(own=own, known={"app"})
    assert [key in vouched for key in ("service", "app", "stranger")] == [False, True, False]
    own.add("service")
    vouched.known.discard("app")
    assert [key in vouched for key in ("service", "app", "stranger")] == [True, False, False]
