"""What a wallet announces decides what it is relied upon for."""

from __future__ import annotations

import pytest

from kitestring.backend.nostr.abilities import CAPABILITIES, HOLDING, KEYSEND, NEEDED, permissions
from kitestring.base.node import FindingState
from tests.kit.backend.scripted import INFO, Says, wallet
from tests.kit.changed import replace
from tests.kit.client.hostile import info_event

HOLDS = {**INFO, "methods": sorted(HOLDING), "block_height": 800_000}


async def test_amounts_are_left_to_the_payer_only_where_the_wallet_announces_receive() -> None:
    async with wallet({"get_info": {**INFO, "methods": ["receive"]}}) as (backend, _):
        before = backend.capabilities.amountless
        await backend.info()
        assert (before, backend.capabilities.amountless) == (False, True)
    capabilities = backend.capabilities
    assert not any(
        (
            capabilities.own_preimage, capabilities.idempotent_by_hash, capabilities.authoritative_lookup,
            capabilities.fee_cap, capabilities.payment_index, capabilities.repeats_safely,
        )
    )  # fmt: skip


@pytest.mark.parametrize(("told", "named", "abilities"), [
    (HOLDS, HOLDING, {"hold"}),
    ({**HOLDS, "methods": []}, HOLDING, {"hold"}),
    (HOLDS, (), {"hold"}),
    ({**HOLDS, "methods": sorted(HOLDING | KEYSEND)}, HOLDING | KEYSEND, {"hold", "keysend"}),
    ({**HOLDS, "block_height": 0}, HOLDING | KEYSEND, set()),
    (HOLDS, KEYSEND, set()),
    ({**HOLDS, "methods": sorted(KEYSEND)}, HOLDING, set()),
    ({**HOLDS, "methods": []}, (), set()),
    *(({**HOLDS, "methods": sorted(HOLDING - {one})}, HOLDING, set()) for one in sorted(HOLDING)),
    *(({**HOLDS, "methods": sorted(KEYSEND - {one})}, KEYSEND, set()) for one in sorted(KEYSEND)),
])  # fmt: skip
async def test_holds_and_keysends_are_declared_where_all_of_it_is_announced_wherever_anything_is(
    told: Says, named: frozenset[str], abilities: set[str]
) -> None:
    async with wallet({"get_info": told}, stored=[info_event(" ".join(sorted(named)))]) as (backend, _):
        assert backend.capabilities == CAPABILITIES
        await backend.info()
        expected = dict.fromkeys(abilities, True)
        assert backend.capabilities == replace(CAPABILITIES, **expected)


async def test_what_is_not_announced_any_more_is_not_declared_any_more() -> None:
    stored = [info_event(" ".join(sorted(HOLDING)))]
    async with wallet({"get_info": [HOLDS, INFO]}, stored=stored) as (backend, _):
        seen = []
        for _ in range(2):
            await backend.info()
            seen.append(backend.capabilities.hold)
        assert seen == [True, False]


def test_the_doctor_warns_of_each_thing_that_the_link_does_not_allow() -> None:
    assert permissions(frozenset(NEEDED)).state is FindingState.OK
    assert permissions(None).state is FindingState.INFO
    for method, loss in NEEDED.items():
        found = permissions(frozenset(NEEDED) - {method})
        assert found.state is FindingState.WARN
        assert f"{method} ({loss})" in found.sentence
