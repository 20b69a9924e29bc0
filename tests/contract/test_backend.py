"""One suite for every backend: each check against the sandbox, and against a real lnd."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kitestring.backend.sandbox.node import Sandbox, SandboxFaultError
from kitestring.base.node import PayOrder
from kitestring.base.payments import Failed, PayAnswer
from tests.kit.backend.sides import SandboxSide, Side, lnd_side, sandbox_side

from .backend_checks import CHECKS, check_a_spoiled_answer_is_never_a_failure


@pytest.fixture(params=["sandbox", pytest.param("lnd", marks=pytest.mark.real)])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "sandbox":
        async with sandbox_side(tmp_path) as sandbox:
            yield sandbox
            assert sandbox.world.books().balanced
    else:
        async with lnd_side(request.getfixturevalue("rig"), tmp_path) as lnd:
            yield lnd


@pytest.mark.parametrize("check", CHECKS)
async def test_backend(side: Side, check: str) -> None:
    await CHECKS[check](side)


class _SaysFailedOnAReadError(Sandbox):
    async def pay(self, order: PayOrder) -> PayAnswer:
        try:
            return await super().pay(order)
        except SandboxFaultError as error:
            return Failed(str(error))


async def test_a_backend_that_says_failed_on_a_read_error_does_not_pass(tmp_path: Path) -> None:
    async with sandbox_side(tmp_path) as sound:
        assert isinstance(sound.backend, Sandbox)
        sound.backend.__class__ = _SaysFailedOnAReadError
        with pytest.raises(AssertionError, match="lost: Failed"):
            await check_a_spoiled_answer_is_never_a_failure(SandboxSide(sound.backend, sound.world, sound.directory))
