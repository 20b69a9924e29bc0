"""Methods of plugins on the wire: read in their own form, answered as they are, announced to who may call them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from kitestring.base.commands import CallMethod
from kitestring.base.errors import Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Info, MethodCalled
from kitestring.base.plugins import MethodPlugin
from kitestring.nostr import kinds
from kitestring.wire.grammar import Facts
from kitestring.wire.refusal import WireRefusalError
from kitestring.wire.serve.nwc import WIRE
from kitestring.wire.serve.nwc.foreign import allowed
from tests.kit.wire.samples import event, reply_to

TO = reply_to("nwc")


class Join(msgspec.Struct, forbid_unknown_fields=True):
    round: str
    keys: list[str] = []


async def handler(_params: Any, _asker: Any) -> dict[str, object]:
    return {}


PLUGINS = {"join": MethodPlugin("join", Join, handler, "multisig"), "echo": MethodPlugin("echo", Join, handler)}


def read(params: Any, method: str = "join") -> Any:
    text = json.dumps({"method": method, "params": params})
    return WIRE.read(text, event(kinds.NWC_REQUEST), TO, Facts("regtest", plugins=PLUGINS))


def test_a_call_is_read_with_the_permission_that_it_needs() -> None:
    asked = read({"round": "r1", "keys": ["02"]})
    assert asked.to.method == "join"
    assert isinstance(asked.command, CallMethod)
    assert (asked.command.method, asked.command.permission) == ("join", "multisig")
    assert msgspec.json.decode(asked.command.params) == {"round": "r1", "keys": ["02"]}


@pytest.mark.parametrize("params", [{}, {"round": 1}, {"round": "r", "keys": "02"}, {"round": "r", "secret": "s3cret"}])
def test_params_of_another_form_are_refused_without_repeating_them(params: Any) -> None:
    with pytest.raises(WireRefusalError) as told:
        read(params)
    assert told.value.refused.reason is Reason.MALFORMED
    assert told.value.refused.message == "the params are not those of join"


def test_a_method_that_no_plugin_has_is_not_supported() -> None:
    with pytest.raises(WireRefusalError) as told:
        read({"round": "r"}, "absent")
    assert told.value.refused.reason is Reason.UNSUPPORTED


def test_the_result_is_sent_as_it_is_under_the_name_of_the_method() -> None:
    written = WIRE.answer(MethodCalled(b'{"keys":["02"]}'), TO.named("join"))
    assert written is not None
    assert json.loads(written) == {"result_type": "join", "result": {"keys": ["02"]}}


def test_a_call_may_change_something_so_that_its_refusals_are_kept() -> None:
    assert "join" not in WIRE.questions


def test_they_are_announced_to_who_may_call_them_behind_the_methods_of_the_wallet() -> None:
    grant = Grant(grant_id="g", name="app", wire="nwc", methods=frozenset({"multisig"}))
    assert allowed(PLUGINS, grant) == ("join",)
    assert WIRE.announces is not None
    draft = WIRE.announces.write(grant, frozenset())
    assert WIRE.announces.add(draft, allowed(PLUGINS, grant)).content == "get_info join"
    assert WIRE.announces.add(draft, ()) == draft
    told = WIRE.answer(Info("", "", "", "", None, "", ("get_info",), foreign=("join",)), TO.named("get_info"))
    assert told is not None
    assert json.loads(told)["result"]["methods"] == ["get_info", "join"]
