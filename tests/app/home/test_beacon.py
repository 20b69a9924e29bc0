"""The settings of the beacon take what a beacon can say, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.app.home.beacon import BeaconSettings, operator_key
from kitestring.app.home.config import ROWS
from kitestring.base.errors import CodecError, KitestringError
from kitestring.codec import nip19
from kitestring.codec.beacon import BeaconContent, encode_content

KEY = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


def test_without_any_setting_nothing_is_published() -> None:
    assert BeaconSettings() == BeaconSettings(publish=False)


@pytest.mark.parametrize("form", [KEY, KEY.upper(), nip19.encode(nip19.PublicKey(KEY))])
def test_the_operator_is_a_public_key_in_either_form(form: str) -> None:
    assert ROWS["beacon.operator"].kind.check(form) == form
    assert operator_key(form) == KEY


def test_nobody_is_named_without_a_key_and_a_secret_key_is_none() -> None:
    assert operator_key("") == ""
    secret = nip19.encode(nip19.Nsec(b"\x07" * 32))
    with pytest.raises(CodecError, match="no public key"):
        operator_key(secret)
    with pytest.raises(KitestringError, match="no public key") as caught:
        ROWS["beacon.operator"].kind.check(secret)
    assert secret not in caught.value.message


@pytest.mark.parametrize("name", ["name", "description", "avatar_url", "website"])
def test_what_a_setting_takes_can_be_written(name: str) -> None:
    text = "https://shop.example/x" if name in {"avatar_url", "website"} else "Tea & coffee ☕"
    assert ROWS[f"beacon.{name}"].kind.check(text) == text
    members: dict[str, Any] = {name: text}
    assert text in encode_content(BeaconContent(**members))
    assert ROWS[f"beacon.{name}"].kind.check("") == ""
    assert ROWS[f"beacon.{name}"].kind.check(7) is None
    with pytest.raises(KitestringError):
        ROWS[f"beacon.{name}"].kind.check("x\n" * 3_000)
