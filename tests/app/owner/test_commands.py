"""The table of the owner's commands, and what is checked before any of them is carried out."""

from __future__ import annotations

import pytest

from kitestring.app.owner.command import Foresee, Sign, Speak, request_id
from kitestring.app.owner.commands import OwnerCommands, all_commands, command
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.rights import Right
from tests.kit.app.desk import OWNER, Office
from tests.kit.changed import replace


def test_every_command_has_a_sentence_and_a_known_right() -> None:
    for spec in all_commands().values():
        assert spec.doc.endswith((".", "judges."))
        assert spec.mutating == (spec.right is not Right.READ and not isinstance(spec, Foresee | Sign | Speak))
        assert not (spec.offline and spec.mutating)


async def test_an_unknown_command_is_refused(office: Office) -> None:
    assert (await office.refused("fly")).reason is Reason.UNKNOWN_TARGET
    with pytest.raises(KitestringError, match="no command 'fly' in version 1"):
        command("fly")


async def test_a_command_that_this_desk_cannot_carry_out_needs_the_running_service(office: Office) -> None:
    with pytest.raises(KitestringError, match="`pay` needs the running service") as caught:
        await OwnerCommands(office.desk, {}).run(OWNER, "pay", {})
    assert caught.value.reason is Reason.UNAVAILABLE


async def test_a_ledger_without_an_owner_has_no_caller_for_the_owners_door(office: Office) -> None:
    async def nobody(_: str) -> None:
        return None

    office.store.grant = nobody
    with pytest.raises(KitestringError, match="no grant of its owner") as caught:
        await office.commands.owner()
    assert caught.value.reason is Reason.NOT_PERMITTED


async def test_a_door_learns_whose_service_it_opens(office: Office) -> None:
    assert office.commands.service_id == office.desk.keyring.service_id
    assert await office.commands.owner() == OWNER


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "é"])
async def test_a_mutating_command_needs_a_key(office: Office, key: str) -> None:
    assert (await office.refused("account_create", key, name="bob")).reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "amount", [1.5, 1.0, "21", True, -1, 0, None, [21], 21_000_000 * 100_000_000 * 1000 + 1], ids=repr
)
async def test_an_amount_is_a_plain_integer(office: Office, amount: object) -> None:
    assert (await office.refused("invoice", amount_msat=amount)).reason is Reason.MALFORMED
    assert office.rig.store.applied == []


async def test_an_unknown_parameter_is_refused(office: Office) -> None:
    assert "amount_sat" in (await office.refused("invoice", amount_msat=1000, amount_sat=1)).message


async def test_what_a_codec_cannot_read_is_malformed_and_no_fault_of_the_service(office: Office) -> None:
    assert (await office.refused("pay", target="lnbc1qqqq")).reason is Reason.MALFORMED


def test_keys_of_different_commands_and_callers_do_not_meet() -> None:
    other = replace(OWNER, grant_id="device")
    ids = {request_id(caller, name, key) for caller in (OWNER, other) for name in ("pay", "invoice") for key in "ab"}
    assert len(ids) == 8
