"""One running service on its sandbox for all tests of the command line; what they leave there is in nobody's way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.app.console import Service


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service.start(tmp_path_factory.mktemp("up") / "data")
    yield running
    if running.child.poll() is None:
        running.stop()
